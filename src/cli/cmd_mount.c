/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_mount.c -- `vivofs mount` and `vivofs umount`.
 *
 * Without -f the command forks first; threads, FUSE, libcurl and SQLite start in the
 * child, which tells through a pipe that the mount stands or why it does not. */
#include "cli.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SOURCES_MAX = 64, TEXTS_MAX = 32 };

struct request {
    const char *words[SOURCES_MAX + 1]; /* sources, then the mount point */
    size_t nwords;
    const char *texts[TEXTS_MAX]; /* of -o */
    size_t ntexts;
    const char *files[SOURCES_MAX]; /* of -c */
    size_t nfiles;
    bool foreground, verbose;
};

static int parse_word(struct request *r, const char *word)
{
    if (r->nwords == VIVO_ARRAY_LEN(r->words))
        return cli_usage("more than %d sources", SOURCES_MAX);
    r->words[r->nwords++] = word;
    return 0;
}

static int parse_args(struct request *r, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (only_words || a[0] != '-' || !a[1]) {
            if (parse_word(r, a))
                return 2;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            only_words = true;
        } else if (strcmp(a, "-f") == 0) {
            r->foreground = true;
        } else if (strcmp(a, "-v") == 0 || strcmp(a, "-d") == 0) {
            r->verbose = true;
        } else if (strcmp(a, "-s") == 0 || strcmp(a, "-n") == 0) {
            /* mount(8)'s "sloppy" and "no mtab": nothing to do */
        } else if (strcmp(a, "-t") == 0 && i + 1 < argc) {
            i++; /* mount(8)'s type: ours, or we would not have been called */
        } else if (strncmp(a, "-o", 2) == 0) {
            const char *text = a[2] ? a + 2 : ++i < argc ? argv[i] : NULL;
            if (!text)
                return cli_usage("-o needs options");
            if (r->ntexts == TEXTS_MAX)
                return cli_usage("too many -o");
            r->texts[r->ntexts++] = text;
        } else if (strcmp(a, "-c") == 0) {
            if (++i >= argc)
                return cli_usage("-c needs a file");
            if (r->nfiles == SOURCES_MAX)
                return cli_usage("more than %d sources", SOURCES_MAX);
            r->files[r->nfiles++] = argv[i];
        } else {
            return cli_usage("mount: unknown argument '%s'", a);
        }
    }
    if (r->nwords + r->nfiles < 2 || !r->nwords)
        return cli_usage("mount: a source and a mount point are needed");
    return 0;
}

static int check_mountpoint(const char *path, struct vivo_err *err)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno == ENOTCONN)
            return vivo_fail(err, EIO,
                             "%s: a former mount ended badly here; run `vivofs umount "
                             "%s` first",
                             path, path);
        return vivo_fail(err, ENOENT, "mount point %s: %s", path, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode))
        return vivo_fail(err, EINVAL, "mount point %s: is no directory", path);
    return 0;
}

/* ---- the mounted process
 * ------------------------------------------------------------- */

struct mounted {
    struct source *sources;
    size_t nsources;
    struct house *house;
    _Atomic(struct vivo_session *) session; /* read by the flows' threads */
    struct vivo_tree *tree;
    struct vivo_counters counters;
    struct vivo_buf config, conformance;
    char *saved;
    const char *mountpoint; /* absolute */
    int ready_fd; /* to the parent; -1 in the foreground and once it was told */
};

static void changed(void *ctx)
{
    struct mounted *m = ctx;
    struct vivo_session *session = m->session;
    if (session)
        vivo_session_changed(session);
}

static int build_tree(struct mounted *m, struct vivo_err *err)
{
    const struct options *o = &m->sources[0].options;
    size_t n;
    struct vivo_flow **flows = house_flows(m->house, &n);
    int rc = house_config_text(m->house, &m->config);
    if (!rc)
        rc = house_conformance(m->house, &m->conformance);
    if (rc)
        return vivo_fail(err, -rc, "the configuration is too long");
    size_t nlists;
    struct vivo_query_list *const *lists = house_lists(m->house, &nlists);
    m->saved = vivo_user_dir(VIVO_DIR_CONFIG, "queries");
    struct vivo_tree_config cfg = {
        .flows = flows,
        .nflows = n,
        .flat = o->flat,
        .magic = o->magic,
        .sidecars = o->sidecars,
        .size_exact = strcmp(o->size, "exact") == 0,
        .refused_hide = strcmp(o->refused, "hide") == 0,
        .uid = getuid(),
        .gid = getgid(),
        .config_text = (const char *)m->config.data,
        .conformance = (const char *)m->conformance.data,
        .profile = house_profile(m->house),
        .key_id = house_key_id(m->house),
        .saved_dir = m->saved,
        .audit = o->audit,
        .mountpoint = m->mountpoint,
        .lists = lists,
        .nlists = nlists,
        .counters = &m->counters,
        .store = house_store(m->house),
    };
    return vivo_tree_new(&cfg, &m->tree, err);
}

/* A name, or a number. */
static int find_group(const char *text, gid_t *out, struct vivo_err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && n < UINT32_MAX) {
        *out = (gid_t)n;
        return 0;
    }
    const struct group *g = getgrnam(text);
    if (!g)
        return vivo_fail(err, EINVAL, "option readers: there is no group '%s'", text);
    *out = g->gr_gid;
    return 0;
}

static int mount_session(struct mounted *m, const char *mountpoint,
                         struct vivo_err *err)
{
    const struct options *o = &m->sources[0].options;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf name = {0};
    vivo_buf_init(&name, 4096);
    for (size_t i = 0; i < m->nsources; i++)
        if (vivo_buf_printf(&name, "%s%s", i ? "+" : "", m->sources[i].name))
            break;
    struct vivo_session_config cfg = {
        .mountpoint = mountpoint,
        .fsname = (const char *)name.data,
        .options = (const char *const *)o->fuse,
        .network = house_network(m->house),
        .xattr = o->xattr,
        .restricted = *o->readers != '\0',
        .counters = &m->counters,
    };
    struct vivo_session *session = NULL;
    int rc = cfg.restricted ? find_group(o->readers, &cfg.readers, err) : 0;
    if (!rc)
        rc = vivo_session_mount(&cfg, &session, err);
    m->session = session;
    return rc;
}

static void tell_parent(struct mounted *m, const struct vivo_err *err)
{
    if (m->ready_fd < 0)
        return;
    const char *text = err ? err->text : "";
    ssize_t n = write(m->ready_fd, text, strlen(text) + 1);
    (void)n; /* a parent that is gone needs no answer */
    close(m->ready_fd);
    m->ready_fd = -1;
}

/* The terminal is the parent's; what is logged goes to syslog from now on. */
static void detach(void)
{
    int null = open("/dev/null", O_RDWR);
    setsid();
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (chdir("/"))
        vivo_log(VIVO_LOG_DEBUG, "mount", "chdir failed");
}

static void tear_down(struct mounted *m)
{
    /* The flows' threads stop before what they call into goes. */
    house_free(m->house);
    vivo_tree_free(m->tree);
    vivo_session_free(m->session);
    vivo_buf_free(&m->config);
    vivo_buf_free(&m->conformance);
    free(m->saved);
}

static int serve(struct mounted *m, const char *mountpoint)
{
    struct vivo_err err = {0};
    struct house_hooks hooks = {.changed = changed, .ctx = m, .probe = true};
    bool foreground = m->ready_fd < 0;
    m->mountpoint = mountpoint;
    vivo_buf_init(&m->config, 1 << 20);
    vivo_buf_init(&m->conformance, 1 << 20);
    int rc = house_build(m->sources, m->nsources, &hooks, &m->house, &err);
    if (!rc)
        rc = build_tree(m, &err);
    if (!rc)
        rc = mount_session(m, mountpoint, &err);
    if (!rc) {
        if (!foreground)
            detach();
        tell_parent(m, NULL);
        rc = vivo_session_run(m->session, m->tree, &err);
    } else {
        tell_parent(m, &err);
    }
    if (rc && foreground)
        cli_fail("%s", err.text);
    else if (rc)
        vivo_log(VIVO_LOG_ERROR, "mount", "%s", err.text);
    tear_down(m);
    return rc ? 1 : 0;
}

/* ---- the command
 * --------------------------------------------------------------------------- */

/* Waits for the child's word, then for the mount's own answer. */
static int await_child(int fd, pid_t child, const char *mountpoint)
{
    char text[VIVO_ERR_TEXT + 1] = "";
    size_t got = 0;
    ssize_t n;
    while (got < sizeof text - 1 &&
           (n = read(fd, text + got, sizeof text - 1 - got)) > 0)
        got += (size_t)n;
    struct stat st;
    if (got && !text[0] && !stat(mountpoint, &st))
        return 0;
    if (text[0])
        return cli_fail("%s", text);
    int status = 0;
    waitpid(child, &status, 0);
    return cli_fail("the mount did not come up");
}

static int fork_and_serve(struct mounted *m, const char *mountpoint)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return cli_fail("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return cli_fail("fork: %s", strerror(errno));
    if (child) {
        close(fds[1]);
        int rc = await_child(fds[0], child, mountpoint);
        close(fds[0]);
        return rc;
    }
    close(fds[0]);
    vivo_log_setup(VIVO_LOG_TO_SYSLOG, VIVO_LOG_INFO);
    m->ready_fd = fds[1];
    return serve(m, mountpoint);
}

static int parse_sources(const struct request *r, struct source *out, size_t *n)
{
    *n = r->nfiles + r->nwords - 1;
    if (*n > SOURCES_MAX)
        return cli_usage("more than %d sources", SOURCES_MAX);
    for (size_t i = 0; i < *n; i++) {
        struct vivo_err err = {0};
        if (i < r->nfiles &&
            !source_from_file(r->files[i], r->texts, r->ntexts, &out[i], &err))
            continue;
        if (i >= r->nfiles &&
            !source_parse(r->words[i - r->nfiles], r->texts, r->ntexts, &out[i], &err))
            continue;
        for (size_t j = 0; j < i; j++)
            source_free(&out[j]);
        return cli_fail("%s", err.text);
    }
    return 0;
}

int cmd_mount(int argc, char **argv)
{
    struct request r = {0};
    int rc = parse_args(&r, argc, argv);
    if (rc)
        return rc;
    struct vivo_err err = {0};
    VIVO_AUTO(vivo_free_p) char *mountpoint = NULL;
    const char *given = r.words[r.nwords - 1];
    if (check_mountpoint(given, &err))
        return cli_fail("%s", err.text);
    mountpoint = realpath(given, NULL);
    if (!mountpoint)
        return cli_fail("mount point %s: %s", given, strerror(errno));
    struct source sources[SOURCES_MAX];
    struct mounted m = {.sources = sources, .ready_fd = -1};
    rc = parse_sources(&r, sources, &m.nsources);
    if (rc)
        return rc;
    if (sources[0].options.flat && m.nsources > 1)
        rc = cli_usage("option flat is for one source");
    /* No core dump, no ptrace by others: keys and raw bytes are in this memory. */
    prctl(PR_SET_DUMPABLE, 0);
    umask(077);
    if (!rc && r.foreground) {
        vivo_log_setup(VIVO_LOG_TO_STDERR, r.verbose ? VIVO_LOG_DEBUG : VIVO_LOG_INFO);
        rc = serve(&m, mountpoint);
    } else if (!rc) {
        rc = fork_and_serve(&m, mountpoint);
    }
    for (size_t i = 0; i < m.nsources; i++)
        source_free(&sources[i]);
    return rc;
}

static int run_program(char *const argv[])
{
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (!child) {
        execvp(argv[0], argv);
        _exit(127);
    }
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* Absolute and without links, as fusermount3 wants it. A mount point that has died may
 * not be asked itself, only the folder that it is in. */
static char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    if (real || errno != ENOTCONN)
        return real;
    VIVO_AUTO(vivo_free_p) char *copy = strdup(path);
    if (!copy)
        return NULL;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    const char *folder = slash == copy ? "/" : slash ? copy : ".";
    if (slash)
        *slash = '\0';
    VIVO_AUTO(vivo_free_p) char *in = realpath(folder, NULL);
    if (!in || asprintf(&real, "%s/%s", in[1] ? in : "", name) < 0)
        return NULL;
    return real;
}

static int is_that(void *ctx, const char *mountpoint)
{
    return strcmp(ctx, mountpoint) == 0;
}

int cmd_umount(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-')
        return cli_usage("umount: one mount point is needed");
    VIVO_AUTO(vivo_free_p) char *at = absolute(argv[1]);
    if (!at)
        return cli_fail("%s: %s", argv[1], strerror(errno));
    if (!cli_each_mount(is_that, at))
        return cli_fail("%s: no vivofs is mounted there", argv[1]);
    char fusermount[] = "fusermount3";
    char flag[] = "-u";
    char *const call[] = {fusermount, flag, at, NULL};
    int rc = run_program(call);
    if (rc == 127)
        return cli_fail("fusermount3 is missing: install the package fuse3");
    return rc ? 1 : 0; /* it has said why */
}
