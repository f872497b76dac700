/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_deid.c -- `vivofs deid`: the engine of the mount over files. A file
 * becomes a file; a folder OUT/patient/study/series/instance.dcm with the names of the
 * mount. Nothing but finished objects ever gets its final name. */
#include "deid.h"

#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void stop(int number)
{
    deid_stop = number;
}

static int deid_file(struct deid_run *run)
{
    struct deid_made m = {0};
    deid_make(run, run->in, run->out, &m);
    int rc = m.rc;
    if (!rc && rename(m.tmp, run->out))
        rc = vivo_fail(&m.err, EIO, "%s: %s", run->out, strerror(errno));
    if (!rc) {
        free(m.tmp);
        m.tmp = NULL;
    }
    if (run->audit && deid_audit_line(run, &m, rc ? NULL : run->out))
        rc = vivo_fail(&m.err, EIO, "the audit could not be written");
    if (rc)
        rc = cli_fail("%s: %s", run->in, m.err.text);
    deid_made_free(&m);
    return deid_stop ? 128 + (int)deid_stop : rc;
}

/* A folder inside the one that is read would be read again. */
static int check_out(const struct deid_run *j, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *in = realpath(j->in, NULL);
    int rc = vivo_mkdirs(j->out, 0777, err);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_free_p) char *out = realpath(j->out, NULL);
    size_t n = in ? strlen(in) : 0;
    if (in && out && strncmp(in, out, n) == 0 && (out[n] == '/' || !out[n]))
        return vivo_fail(err, EINVAL, "%s lies inside %s: choose another place", j->out,
                         j->in);
    return 0;
}

/* Names outputs and digests alone, but it is the custodian's. */
static int open_audit(struct deid_run *j, struct vivo_err *err)
{
    if (!j->audit_file)
        return 0;
    int fd = open(j->audit_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    j->audit = fd < 0 ? NULL : fdopen(fd, "w");
    if (j->audit)
        return 0;
    if (fd >= 0)
        close(fd);
    return vivo_fail(err, EIO, "%s: %s", j->audit_file, strerror(errno));
}

static int run(struct deid_run *j)
{
    struct stat st;
    struct vivo_err err = {0};
    struct sigaction act = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    if (stat(j->in, &st))
        return cli_fail("%s: %s", j->in, strerror(errno));
    bool folder = S_ISDIR(st.st_mode);
    if ((folder && check_out(j, &err)) || open_audit(j, &err))
        return cli_fail("%s", err.text);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    int rc = folder ? deid_folder(j) : deid_file(j);
    if (j->audit && fclose(j->audit) && !rc)
        rc = cli_fail("%s: %s", j->audit_file, strerror(errno));
    return rc;
}

static int list_profiles(void)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 64 * 1024);
    if (vivo_deid_list_profiles(&text))
        return cli_fail("out of memory");
    fputs((char *)text.data, stdout);
    return 0;
}

static int parse_args(struct deid_run *j, int argc, char **argv)
{
    const char *words[2];
    size_t nwords = 0;
    struct vivo_err err = {0};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--profile") == 0 && value) {
            j->profile = argv[++i];
        } else if (strcmp(argv[i], "--key") == 0 && value) {
            j->key = argv[++i];
        } else if (strcmp(argv[i], "--filter") == 0 && value) {
            j->filter_file = argv[++i];
        } else if (strcmp(argv[i], "--audit") == 0 && value) {
            j->audit_file = argv[++i];
        } else if (strncmp(argv[i], "-j", 2) == 0) {
            if (cli_jobs("deid", argv[i][2] ? argv[i] + 2 : argv[++i], &j->jobs))
                return 2;
        } else if (strcmp(argv[i], "--media") == 0) {
            j->wants_media = true;
        } else if (strcmp(argv[i], "--pixels") == 0 && value) {
            j->pixels = argv[++i];
        } else if (strcmp(argv[i], "--burned-in") == 0 && value) {
            if (cli_burned_in(argv[++i], &j->burned_in, &err))
                return cli_usage("%s", err.text);
        } else if (argv[i][0] == '-' && argv[i][1]) {
            return cli_usage("deid: unknown argument '%s'", argv[i]);
        } else if (nwords == 2) {
            return cli_usage("deid: too many arguments");
        } else {
            words[nwords++] = argv[i];
        }
    }
    if (nwords < 2)
        return cli_usage("deid: IN and OUT are needed");
    j->in = words[0];
    j->out = words[1];
    return 0;
}

static size_t processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (size_t)VIVO_MIN(n, 64L);
}

int cmd_deid(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_profiles();
    struct deid_run j = {.profile = "basic", .burned_in = VIVO_BURNED_IN_REFUSE};
    struct vivo_err err = {0};
    struct vivo_key *key = NULL;
    struct vivo_deid *deid = NULL;
    struct vivo_filter *filter = NULL;
    j.jobs = processors();
    int rc = parse_args(&j, argc, argv);
    if (rc)
        return rc;
    rc = vivo_deid_check(j.profile, &err);
    if (!rc && strcmp(j.profile, "none") != 0)
        rc = cli_key(j.key, &key, &err);
    if (!rc)
        rc = vivo_deid_new(j.profile, j.burned_in, key, &deid, &err);
    if (!rc && j.filter_file)
        rc = vivo_filter_load(j.filter_file, &filter, &err);
    if (!rc && j.pixels)
        rc = vivo_deid_set_pixels(deid, j.pixels, &err);
    j.deid = deid;
    j.filter = filter;
    j.media = rc ? NULL : media_new();
    if (!rc && !j.media)
        rc = vivo_fail(&err, ENOMEM, "out of memory");
    rc = rc ? cli_fail("%s", err.text) : run(&j);
    media_free(j.media);
    vivo_filter_free(filter);
    vivo_deid_free(deid);
    vivo_key_free(key);
    return rc;
}
