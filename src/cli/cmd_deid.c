/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_deid.c -- `vivofs deid`: the engine of the mount over files. A file
 * becomes a file; a folder OUT/patient/study/series/instance.dcm with the names of the
 * mount. Nothing but finished objects ever gets its final name. */
#include "cli.h"

#include "vivofs/deid.h"
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

struct job {
    const char *profile, *key, *pixels, *filter_file, *in, *out;
    enum vivo_burned_in burned_in;
    const struct vivo_deid *deid;
    const struct vivo_filter *filter; /* NULL = every object */
    struct media *media;
    bool wants_media;      /* --media, or the source had a DICOMDIR */
    struct vivo_buf attrs; /* of the object at hand */
    size_t written, refused, others;
};

static int copy_view(const struct vivo_view *v, int fd, struct vivo_err *err)
{
    enum { CHUNK = 1 << 20 };
    VIVO_AUTO(vivo_free_p) uint8_t *buf = malloc(CHUNK);
    if (!buf)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (uint64_t off = 0; off < vivo_view_size(v);) {
        ssize_t n = vivo_view_pread(v, buf, CHUNK, off, err);
        if (n < 0)
            return (int)n;
        int rc = vivo_pwrite_full(fd, buf, (size_t)n, off, err);
        if (rc)
            return rc;
        off += (uint64_t)n;
    }
    return 0;
}

static int write_view(const struct vivo_view *v, const char *path, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *tmp = NULL;
    if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    VIVO_AUTO(vivo_close_p) int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return vivo_fail(err, EIO, "%s: %s", path, strerror(errno));
    mode_t mask = umask(0);
    umask(mask);
    int rc = copy_view(v, fd, err);
    if (!rc && fchmod(fd, 0666 & ~mask))
        rc = vivo_fail(err, EIO, "%s: %s", path, strerror(errno));
    if (!rc && rename(tmp, path))
        rc = vivo_fail(err, EIO, "%s: %s", path, strerror(errno));
    if (rc)
        unlink(tmp);
    return rc;
}

/* The header pass over one file. -EBADMSG with an empty text: no DICOM at all. */
static int clean(struct job *j, const char *path, struct vivo_view **out,
                 struct vivo_deid_report *report, struct vivo_err *err)
{
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vivo_identity id;
    if (fd < 0)
        return vivo_fail(err, errno == ENOENT ? ENOENT : EIO, "%s", strerror(errno));
    int rc = vivo_identity_of(fd, &id, err);
    if (rc)
        return rc;
    vivo_buf_clear(&j->attrs);
    rc = vivo_deid_object(j->deid, fd, &id, id.size, out, &j->attrs, report, err);
    if (!rc)
        fd = -1; /* the view's now */
    return rc;
}

static bool is_dicom(const char *path, uint64_t size)
{
    uint8_t head[4096];
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    return n > 0 && vivo_dcm_probe(head, (size_t)n, size);
}

static int deid_file(struct job *j, const char *in, const char *out)
{
    struct vivo_err err = {0};
    struct vivo_deid_report report = {0};
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    int rc = clean(j, in, &view, &report, &err);
    if (!rc)
        rc = write_view(view, out, &err);
    if (rc)
        return cli_fail("%s: %s", in, err.text);
    j->written++;
    return 0;
}

/* A DICOMDIR speaks of files by names that are not there any more: a new one is made
 * of what was written (PS3.15 E.2: an original must not stay in the file set). */
static bool is_dicomdir(const struct job *j, const struct vivo_deid_report *report)
{
    struct vivo_attrs a = {j->attrs.data, j->attrs.len};
    struct vivo_attr records;
    return report->refusal == VIVO_REFUSAL_DICOMDIR ||
           vivo_attrs_find(a, 0x00041220, &records);
}

/* Does the filter let it pass? What is not valid is told by who reads it next. */
static bool passes(const struct job *j, const char *path, uint64_t size)
{
    struct vivo_err ignored = {0};
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return !j->filter || fd < 0 || vivo_filter_passes(j->filter, fd, size, &ignored);
}

/* OUT/patient/study/series/instance.dcm by the attributes as shown. */
static int place(struct job *j, char **out, struct vivo_err *err)
{
    struct vivo_attrs a = {j->attrs.data, j->attrs.len};
    char patient[VIVO_NAME_MAX + 1];
    char study[VIVO_NAME_MAX + 1];
    char series[VIVO_NAME_MAX + 1];
    char instance[VIVO_NAME_MAX + 1];
    char uid[VIVO_UID_MAX + 1];
    vivo_name_patient(a, patient);
    bool plain = vivo_deid_cleans(j->deid, VIVO_TAG_SeriesDescription);
    (plain ? vivo_name_study_plain : vivo_name_study)(a, study);
    (plain ? vivo_name_series_plain : vivo_name_series)(a, series);
    if (!vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid, sizeof uid))
        return vivo_fail(err, EBADMSG, "has no SOP Instance UID");
    vivo_name_instance(a, uid, NULL, instance);
    VIVO_AUTO(vivo_free_p) char *dir = NULL;
    if (asprintf(&dir, "%s/%s/%s/%s", j->out, patient, study, series) < 0) {
        dir = NULL;
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    int rc = vivo_mkdirs(dir, 0777, err);
    if (rc)
        return rc;
    if (asprintf(out, "%s/%s", dir, instance) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    return 0;
}

static void deid_one_of_many(struct job *j, const char *path, uint64_t size)
{
    struct vivo_err err = {0};
    struct vivo_deid_report report = {0};
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    VIVO_AUTO(vivo_free_p) char *to = NULL;
    if (!is_dicom(path, size) || !passes(j, path, size)) {
        j->others++;
        return;
    }
    int rc = clean(j, path, &view, &report, &err);
    if ((!rc || rc == -EPERM) && is_dicomdir(j, &report)) {
        j->wants_media = true;
        return;
    }
    if (!rc)
        rc = place(j, &to, &err);
    if (!rc)
        rc = write_view(view, to, &err);
    if (!rc &&
        media_add(j->media, (struct vivo_attrs){j->attrs.data, j->attrs.len}, to))
        rc = vivo_fail(&err, ENOMEM, "out of memory");
    if (!rc) {
        j->written++;
        return;
    }
    j->refused++;
    cli_fail("%s: %s", path, err.text);
}

static int write_media(struct job *j)
{
    size_t left_out = 0;
    struct vivo_err err = {0};
    if (!j->wants_media)
        return 0;
    if (media_write(j->media, j->out, &left_out, &err))
        return cli_fail("DICOMDIR: %s", err.text);
    fprintf(stderr, "vivofs: wrote %s/DICOMDIR over links in %s/DICOM\n", j->out,
            j->out);
    if (left_out)
        fprintf(stderr, "vivofs: %zu files are not in it: they have not all UIDs\n",
                left_out);
    return 0;
}

static int deid_folder(struct job *j)
{
    char *in = strdup(j->in);
    char *roots[] = {in, NULL};
    FTS *fts = in ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    if (!fts) {
        free(in);
        return cli_fail("%s: %s", j->in, strerror(errno));
    }
    for (FTSENT *e; (e = fts_read(fts));) {
        if (e->fts_info == FTS_F)
            deid_one_of_many(j, e->fts_path, (uint64_t)e->fts_statp->st_size);
        else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
            j->refused +=
                (size_t)cli_fail("%s: %s", e->fts_path, strerror(e->fts_errno));
    }
    fts_close(fts);
    free(in);
    fprintf(stderr, "vivofs: %zu written, %zu refused, %zu other files left out\n",
            j->written, j->refused, j->others);
    int rc = write_media(j);
    return rc ? rc : j->refused ? 1 : 0;
}

/* A folder inside the one that is read would be read again. */
static int check_out(const struct job *j, struct vivo_err *err)
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

static int run(struct job *j)
{
    struct stat st;
    struct vivo_err err = {0};
    if (stat(j->in, &st))
        return cli_fail("%s: %s", j->in, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return deid_file(j, j->in, j->out);
    if (check_out(j, &err))
        return cli_fail("%s", err.text);
    return deid_folder(j);
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

static int parse_args(struct job *j, int argc, char **argv)
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

int cmd_deid(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_profiles();
    struct job j = {.profile = "basic", .burned_in = VIVO_BURNED_IN_REFUSE};
    struct vivo_err err = {0};
    struct vivo_key *key = NULL;
    struct vivo_deid *deid = NULL;
    struct vivo_filter *filter = NULL;
    int rc = parse_args(&j, argc, argv);
    if (rc)
        return rc;
    vivo_buf_init(&j.attrs, VIVO_ATTRS_MAX);
    if (strcmp(j.profile, "none") != 0)
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
    vivo_buf_free(&j.attrs);
    return rc;
}
