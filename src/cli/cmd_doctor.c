/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_doctor.c -- `vivofs doctor`: is this machine fit for a mount, and are the
 * sources what they are said to be; `vivofs bugreport`: the same and what every mount
 * tells of itself. No secret and no patient's value is in either. */
#include "cli.h"
#include "preset.h"

#include "vivofs/file.h"
#include "vivofs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

enum { SOURCES_MAX = 64, MOUNT_ANSWERS_MS = 3000 };

enum finding { FINE, NOTE, BAD };

static int bad_count;

static void tell(enum finding f, const char *what, const char *fmt, ...)
    VIVO_PRINTF(3, 4);
static void tell(enum finding f, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok  ", "note", "BAD "};
    va_list ap;
    bad_count += f == BAD;
    printf("%s  %-12s ", words[f], what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* ---- the machine --------------------------------------------------------------------
 */

static void check_fuse(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    if (fd < 0)
        tell(BAD, "fuse", "/dev/fuse: %s%s", strerror(errno),
             errno == ENOENT ? " (modprobe fuse; in a container: --device /dev/fuse)"
                             : "");
    else
        tell(FINE, "fuse", "/dev/fuse opens");
    if (geteuid() == 0)
        return;
    struct stat st;
    if (stat("/usr/bin/fusermount3", &st) && stat("/bin/fusermount3", &st))
        tell(BAD, "fuse", "fusermount3 is missing: install the package fuse3");
    else if (!(st.st_mode & S_ISUID))
        tell(BAD, "fuse", "fusermount3 is not set-uid root: only root can mount");
}

static void check_allow_other(void)
{
    struct vivo_err err = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 1 << 20);
    bool allowed = false;
    if (!vivo_file_read("/etc/fuse.conf", text.max, &text, &err) && text.data)
        for (const char *line = (char *)text.data; *line && !allowed;) {
            allowed = strncmp(line, "user_allow_other", 16) == 0;
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
    if (geteuid() != 0 && !allowed)
        tell(NOTE, "readers",
             "allow_other and readers= need user_allow_other in /etc/fuse.conf");
}

static void check_limits(void)
{
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files))
        tell(files.rlim_max < 1024   ? BAD
             : files.rlim_max < 4096 ? NOTE
                                     : FINE,
             "files", "%llu open files at most", (unsigned long long)files.rlim_max);
    FILE *f = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
    unsigned long watches = 0;
    if (f && fscanf(f, "%lu", &watches) == 1)
        tell(watches < 8192 ? NOTE : FINE, "inotify", "%lu folders can be followed%s",
             watches, watches < 8192 ? "; of more, changes show after a minute" : "");
    if (f)
        fclose(f);
}

static void check_own(const char *what, const char *path, mode_t forbidden)
{
    struct stat st;
    if (!path)
        tell(BAD, what, "no place for it: set HOME");
    else if (stat(path, &st))
        tell(FINE, what, "%s: not there yet", path);
    else if (st.st_uid != geteuid())
        tell(BAD, what, "%s belongs to another account", path);
    else if (st.st_mode & forbidden)
        tell(BAD, what, "%s: mode %03o, others can get at it: chmod go= it", path,
             (unsigned)(st.st_mode & 0777));
    else
        tell(FINE, what, "%s", path);
}

static void check_cache(void)
{
    VIVO_AUTO(vivo_free_p) char *dir = vivo_user_dir(VIVO_DIR_CACHE, NULL);
    struct statvfs fs;
    struct vivo_err err = {0};
    struct vivo_store_config cfg = {.dir = dir};
    struct vivo_store *store = NULL;
    check_own("cache", dir, 022);
    if (!dir || access(dir, F_OK))
        return;
    if (vivo_store_open(&cfg, &store, &err)) {
        tell(BAD, "cache", "%s", err.text);
        return;
    }
    struct vivo_store_verdict v;
    vivo_store_check(store, false, &v);
    vivo_store_close(store);
    if (!statvfs(dir, &fs))
        tell((uint64_t)fs.f_bavail * fs.f_frsize < UINT64_C(4) << 30 ? NOTE : FINE,
             "cache", "%" PRIu64 " objects, %.1f GB; %.1f GB free on the disk",
             v.objects, (double)v.bytes / 1e9,
             (double)fs.f_bavail * (double)fs.f_frsize / 1e9);
}

static void check_keys(void)
{
    VIVO_AUTO(vivo_free_p) char *key = vivo_user_dir(VIVO_DIR_CONFIG, "key");
    VIVO_AUTO(vivo_free_p) char *netrc = vivo_user_dir(VIVO_DIR_CONFIG, "netrc");
    struct vivo_err err = {0};
    struct vivo_key *k = NULL;
    check_own("key", key, 077);
    if (key && !access(key, F_OK)) {
        if (vivo_key_load(key, &k, &err))
            tell(BAD, "key", "%s", err.text);
        else
            tell(FINE, "key", "key id %s; is there a backup of it?", vivo_key_id(k));
        vivo_key_free(k);
    }
    if (netrc && !access(netrc, F_OK))
        check_own("logins", netrc, 077);
}

static void check_presets(void)
{
    struct vivo_err err = {0};
    char **names = NULL;
    size_t n = 0;
    if (preset_names(&names, &n, &err)) {
        tell(BAD, "presets", "%s", err.text);
        return;
    }
    tell(n ? FINE : BAD, "presets", "%zu archives are known by name", n);
    preset_names_free(names, n);
}

/* ---- what is mounted
 * ----------------------------------------------------------------- */

/* A mount that hangs must not hang its doctor: a child looks. */
static bool answers(const char *mountpoint)
{
    pid_t child = fork();
    struct stat st;
    if (child == 0)
        _exit(stat(mountpoint, &st) != 0);
    for (int ms = 0; child > 0 && ms < MOUNT_ANSWERS_MS; ms += 20) {
        int status;
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    if (child > 0)
        kill(child, SIGKILL);
    return false;
}

static int check_mount(void *ctx, const char *mountpoint)
{
    (void)ctx;
    if (answers(mountpoint))
        tell(FINE, "mount", "%s answers", mountpoint);
    else
        tell(BAD, "mount", "%s does not answer: `vivofs umount %s`", mountpoint,
             mountpoint);
    return 0;
}

static void machine(void)
{
    struct utsname u;
    uname(&u);
    tell(FINE, "vivofs", "%s on %s %s %s", VIVOFS_VERSION, u.sysname, u.release,
         u.machine);
    check_fuse();
    check_allow_other();
    check_limits();
    check_keys();
    check_cache();
    check_presets();
    cli_each_mount(check_mount, NULL);
}

/* ---- sources
 * --------------------------------------------------------------------------- */

static void check_source(const char *text)
{
    struct vivo_err err = {0};
    struct source s;
    struct house *h = NULL;
    struct house_hooks hooks = {.probe = true, .insist = true};
    /* Nothing of this is kept, no key is made for it, and nothing of it is shown. */
    const char *const options[] = {"cache=memory,deid=none,retries=0"};
    if (source_parse(text, options, VIVO_ARRAY_LEN(options), &s, &err)) {
        tell(BAD, "source", "%s", err.text);
        return;
    }
    if (house_build(&s, 1, &hooks, &h, &err))
        tell(BAD, "source", "%s", err.text);
    else
        tell(FINE, "source", "%s answers as what it is said to be", s.name);
    house_free(h);
    source_free(&s);
}

int cmd_doctor(int argc, char **argv)
{
    if (argc > SOURCES_MAX)
        return cli_usage("doctor: more than %d sources", SOURCES_MAX);
    bad_count = 0;
    machine();
    for (int i = 1; i < argc; i++)
        check_source(argv[i]);
    return bad_count ? 1 : 0;
}

/* ---- bugreport
 * -------------------------------------------------------------------------- */

static int report_mount(void *ctx, const char *mountpoint)
{
    static const char *const files[] = {"config", "status.json", "conformance.txt",
                                        "log"};
    (void)ctx;
    if (!answers(mountpoint))
        return 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(files); i++) {
        struct vivo_err err = {0};
        VIVO_AUTO(vivo_free_p) char *path = NULL;
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
        vivo_buf_init(&text, 16 << 20);
        if (asprintf(&path, "%s/.vivofs/%s", mountpoint, files[i]) < 0) {
            path = NULL;
            return cli_fail("out of memory");
        }
        printf("\n== %s\n", path);
        if (vivo_file_read(path, text.max, &text, &err))
            printf("%s\n", err.text);
        else
            fwrite(text.data, 1, text.len, stdout);
    }
    return 0;
}

int cmd_bugreport(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return cli_usage("bugreport: takes no argument");
    puts("Read this before you send it: it names folders and servers of yours.\n");
    machine();
    return cli_each_mount(report_mount, NULL);
}
