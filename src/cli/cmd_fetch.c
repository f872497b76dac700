/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_fetch.c -- `vivofs fetch`: reads everything below paths of a mount, so
 * that it is in the cache before it is wanted. One thread walks, the others read; what
 * they read comes through the mount, so it is the same as anybody's reading. */
#include "cli.h"

#include "vivofs/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { JOBS_DEFAULT = 8, AHEAD = 1024, CHUNK = 1 << 20, TICK_MS = 100 };

struct fetch {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    size_t queued; /* guarded by mutex: files given to the pool and not done */
    size_t seen;   /* the walker's own */
    atomic_size_t done, refused, failed;
    atomic_uint_least64_t bytes;
    struct progress progress;
};

struct one {
    struct fetch *fetch;
    char path[];
};

static int read_whole(struct fetch *f, const char *path)
{
    VIVO_AUTO(vivo_free_p) char *buf = malloc(CHUNK);
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!buf || fd < 0)
        return buf ? -errno : -ENOMEM;
    for (ssize_t n; (n = read(fd, buf, CHUNK)) != 0;) {
        if (n < 0)
            return -errno;
        atomic_fetch_add(&f->bytes, (uint_least64_t)n);
    }
    return 0;
}

static void read_job(void *ctx)
{
    struct one *one = ctx;
    struct fetch *f = one->fetch;
    int rc = read_whole(f, one->path);
    if (rc == -EPERM) {
        atomic_fetch_add(&f->refused, 1);
    } else if (rc) {
        atomic_fetch_add(&f->failed, 1);
        progress_fail(&f->progress, one->path, strerror(-rc));
    } else {
        atomic_fetch_add(&f->done, 1);
    }
    free(one);
    pthread_mutex_lock(&f->mutex);
    f->queued--;
    pthread_cond_broadcast(&f->change);
    pthread_mutex_unlock(&f->mutex);
}

static void show(const struct fetch *f, bool walking)
{
    progress_show(&f->progress, f->done + f->refused + f->failed, f->seen, walking,
                  f->bytes);
}

/* Until at most `most` files are under way. */
static void wait_for(struct fetch *f, size_t most, bool walking)
{
    pthread_mutex_lock(&f->mutex);
    while (f->queued > most) {
        vivo_wait_ms(&f->change, &f->mutex, TICK_MS);
        show(f, walking);
    }
    pthread_mutex_unlock(&f->mutex);
}

static int give(struct fetch *f, struct vivo_pool *pool, const char *path)
{
    size_t len = strlen(path) + 1;
    struct one *one = malloc(sizeof *one + len);
    if (!one)
        return cli_fail("out of memory");
    one->fetch = f;
    memcpy(one->path, path, len);
    f->seen++;
    pthread_mutex_lock(&f->mutex);
    f->queued++;
    pthread_mutex_unlock(&f->mutex);
    if (vivo_pool_run(pool, read_job, one)) {
        free(one);
        return cli_fail("out of memory");
    }
    wait_for(f, AHEAD, true);
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk(struct fetch *f, struct vivo_pool *pool, char *const *paths)
{
    FTS *fts = fts_open(paths, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT,
                        by_name);
    int rc = 0;
    if (!fts)
        return cli_fail("%s: %s", paths[0], strerror(errno));
    for (FTSENT *e; !rc && (e = fts_read(fts));) {
        switch (e->fts_info) {
        case FTS_F:
        case FTS_NSOK:
            rc = give(f, pool, e->fts_path);
            break;
        case FTS_D:
            /* .vivofs grows while it is read. */
            if (e->fts_level > 0 && strcmp(e->fts_name, ".vivofs") == 0)
                fts_set(fts, e, FTS_SKIP);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            progress_fail(&f->progress, e->fts_path, strerror(e->fts_errno));
            atomic_fetch_add(&f->failed, 1);
            break;
        default:
            break;
        }
    }
    fts_close(fts);
    return rc;
}

static int run(size_t jobs, char *const *paths)
{
    struct fetch f = {0};
    struct vivo_err err = {0};
    struct vivo_pool *pool = NULL;
    progress_init(&f.progress);
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.change, NULL);
    if (vivo_pool_new("vivofs-fetch", jobs, &pool, &err))
        return cli_fail("%s", err.text);
    int rc = walk(&f, pool, paths);
    wait_for(&f, 0, false);
    vivo_pool_free(pool);
    progress_clear(&f.progress);
    fprintf(stderr, "vivofs: %zu files read, %.1f MB", f.done, (double)f.bytes / 1e6);
    if (f.refused)
        fprintf(stderr, ", %zu refused by policy", f.refused);
    if (f.failed)
        fprintf(stderr, ", %zu failed", f.failed);
    fputc('\n', stderr);
    pthread_cond_destroy(&f.change);
    pthread_mutex_destroy(&f.mutex);
    return rc || f.failed ? 1 : 0;
}

static int holds(void *ctx, const char *mountpoint)
{
    const char *path = ctx;
    size_t n = strlen(mountpoint);
    return strncmp(path, mountpoint, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Reading what is no mount of ours would count files and keep none. A path that does
 * not exist is told by the walk. */
static int check_paths(char *const *paths)
{
    for (; *paths; paths++) {
        VIVO_AUTO(vivo_free_p) char *path = realpath(*paths, NULL);
        if (path && !cli_each_mount(holds, path))
            return cli_fail("%s: not below a mount of vivofs", *paths);
    }
    return 0;
}

int cmd_fetch(int argc, char **argv)
{
    size_t jobs = JOBS_DEFAULT;
    int i = 1;
    if (i < argc && strncmp(argv[i], "-j", 2) == 0) {
        const char *text = argv[i][2] ? argv[i] + 2 : argv[++i];
        if (cli_jobs("fetch", text, &jobs))
            return 2;
        i++;
    }
    if (i >= argc)
        return cli_usage("fetch: a path below a mount is needed");
    if (argv[i][0] == '-' && argv[i][1])
        return cli_usage("fetch: unknown argument '%s'", argv[i]);
    int rc = check_paths(argv + i);
    return rc ? rc : run(jobs, argv + i);
}
