/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/deid_folder.c -- a folder of `vivofs deid`. One thread walks in the order of
 * names, others make objects; the walker gives them their names in its own order, so
 * that the same folder gives the same files whoever was faster. */
#include "deid.h"

#include "vivofs/pool.h"

#include <errno.h>
#include <fts.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { AHEAD = 256, TICK_MS = 100 };

struct one {
    struct folder *folder;
    struct one *next;
    bool done; /* guarded by folder->mutex */
    struct deid_made made;
    char path[];
};

struct folder {
    struct deid_run *run;
    struct vivo_pool *pool;
    struct progress progress;
    pthread_mutex_t mutex;
    pthread_cond_t change;
    struct one *first, **last;  /* the walker's own: not named yet, in its order */
    size_t seen, over, waiting; /* the walker's own */
    atomic_uint_least64_t bytes;
    char **names; /* paths written by this run, by hash; owned */
    size_t nnames, cap;
    bool full; /* the disk */
};

static void make_job(void *ctx)
{
    struct one *one = ctx;
    struct folder *f = one->folder;
    deid_make(f->run, one->path, NULL, &one->made);
    atomic_fetch_add(&f->bytes, one->made.size);
    pthread_mutex_lock(&f->mutex);
    one->done = true;
    pthread_cond_broadcast(&f->change);
    pthread_mutex_unlock(&f->mutex);
}

/* ---- the names that this run gave
 * ----------------------------------------------------------------------- */

static char **slot_of(char **names, size_t cap, const char *path)
{
    size_t h = 2166136261u;
    for (const char *p = path; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    size_t at = h & (cap - 1);
    while (names[at] && strcmp(names[at], path) != 0)
        at = (at + 1) & (cap - 1);
    return &names[at];
}

static bool is_given(const struct folder *f, const char *path)
{
    return f->cap && *slot_of(f->names, f->cap, path);
}

/* Takes ownership of path on success. */
static int remember(struct folder *f, char *path)
{
    if (2 * (f->nnames + 1) > f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 1024;
        char **names = calloc(cap, sizeof *names);
        if (!names)
            return -ENOMEM;
        for (size_t i = 0; i < f->cap; i++)
            if (f->names[i])
                *slot_of(names, cap, f->names[i]) = f->names[i];
        free(f->names);
        f->names = names;
        f->cap = cap;
    }
    *slot_of(f->names, f->cap, path) = path;
    f->nnames++;
    return 0;
}

/* ---- an object gets its name
 * ---------------------------------------------------------------------------- */

/* Of objects with one SOP Instance UID but other bytes all are written: the first in
 * the order of the folder plainly, the others with a mark of their bytes (DESIGN A1).
 * *twin: the same bytes are there already. */
static int choose_name(struct folder *f, struct deid_made *m, char **out, bool *twin)
{
    char mine[2 * VIVO_DIGEST_LEN + 1], theirs[2 * VIVO_DIGEST_LEN + 1];
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    int rc = deid_place(f->run, m, NULL, &path, &m->err);
    *twin = false;
    if (!rc && is_given(f, path)) {
        rc = deid_digest_file(m->tmp, mine, &m->err);
        if (!rc)
            rc = deid_digest_file(path, theirs, &m->err);
        *twin = !rc && strcmp(mine, theirs) == 0;
        if (!rc && !*twin) {
            free(path);
            path = NULL;
            rc = deid_place(f->run, m, mine, &path, &m->err);
            *twin = !rc && is_given(f, path);
        }
    }
    if (!rc)
        *out = VIVO_STEAL(path);
    return rc;
}

static int cannot_rename(struct deid_made *m)
{
    m->full = errno == ENOSPC;
    return vivo_fail(&m->err, EIO, "%s", strerror(errno));
}

static int give_name(struct folder *f, struct deid_made *m)
{
    struct deid_run *run = f->run;
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    bool twin = false;
    int rc = choose_name(f, m, &path, &twin);
    if (!rc && !twin && rename(m->tmp, path))
        rc = cannot_rename(m);
    if (rc)
        return rc;
    if (run->audit && deid_audit_line(run, m, path + strlen(run->out) + 1))
        return vivo_fail(&m->err, EIO, "the audit could not be written");
    if (twin) {
        run->copies++;
        return 0;
    }
    free(m->tmp);
    m->tmp = NULL;
    run->written++;
    struct vivo_attrs a = {m->attrs.data, m->attrs.len};
    if (media_add(run->media, a, path) || remember(f, path))
        return vivo_fail(&m->err, ENOMEM, "out of memory");
    path = NULL; /* remembered */
    return 0;
}

static void finish(struct folder *f, struct one *one)
{
    struct deid_run *run = f->run;
    struct deid_made *m = &one->made;
    f->over++;
    if (m->other) {
        run->others++;
        return;
    }
    if (m->records) {
        run->wants_media = true;
        return;
    }
    int rc = m->rc ? m->rc : give_name(f, m);
    if (!rc || rc == -EINTR)
        return;
    if (m->full) {
        f->full = true;
        return;
    }
    run->refused++;
    progress_fail(&f->progress, one->path, m->err.text);
    if (run->audit)
        deid_audit_line(run, m, NULL);
}

/* Names what is made, in order, until at most `most` are left. */
static void settle(struct folder *f, size_t most, bool walking)
{
    bool shown = false;
    while (f->first) {
        struct one *one = f->first;
        pthread_mutex_lock(&f->mutex);
        if (!one->done && f->waiting > most)
            vivo_wait_ms(&f->change, &f->mutex, TICK_MS);
        bool done = one->done;
        pthread_mutex_unlock(&f->mutex);
        if (!done && f->waiting <= most)
            return;
        if (!done || !shown)
            progress_show(&f->progress, f->over, f->seen, walking, f->bytes);
        shown = true;
        if (!done)
            continue;
        f->first = one->next;
        if (!f->first)
            f->last = &f->first;
        f->waiting--;
        if (!deid_stop && !f->full)
            finish(f, one);
        deid_made_free(&one->made);
        free(one);
    }
}

static int give(struct folder *f, const char *path)
{
    size_t len = strlen(path) + 1;
    struct one *one = calloc(1, sizeof *one + len);
    if (!one)
        return cli_fail("out of memory");
    one->folder = f;
    memcpy(one->path, path, len);
    if (vivo_pool_run(f->pool, make_job, one)) {
        free(one);
        return cli_fail("out of memory");
    }
    f->seen++;
    f->waiting++;
    *f->last = one;
    f->last = &one->next;
    settle(f, AHEAD, true);
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk(struct folder *f)
{
    VIVO_AUTO(vivo_free_p) char *in = strdup(f->run->in);
    char *roots[] = {in, NULL};
    FTS *fts = in ? fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, by_name)
                  : NULL;
    int rc = 0;
    if (!fts)
        return cli_fail("%s: %s", f->run->in, strerror(errno));
    for (FTSENT *e; !rc && !deid_stop && !f->full && (e = fts_read(fts));) {
        if (e->fts_info == FTS_F) {
            rc = give(f, e->fts_path);
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR) {
            f->run->refused++;
            progress_fail(&f->progress, e->fts_path, strerror(e->fts_errno));
        }
    }
    fts_close(fts);
    return rc;
}

static int write_media(struct deid_run *run)
{
    size_t left_out = 0;
    struct vivo_err err = {0};
    if (!run->wants_media)
        return 0;
    if (media_write(run->media, run->out, &left_out, &err))
        return cli_fail("DICOMDIR: %s", err.text);
    fprintf(stderr, "vivofs: wrote %s/DICOMDIR over links in %s/DICOM\n", run->out,
            run->out);
    if (left_out)
        fprintf(stderr, "vivofs: %zu files are not in it: they have not all UIDs\n",
                left_out);
    return 0;
}

static void tell(const struct folder *f)
{
    const struct deid_run *run = f->run;
    progress_clear(&f->progress);
    fprintf(stderr, "vivofs: %zu written, %zu refused, %zu other files left out",
            run->written, run->refused, run->others);
    if (run->copies)
        fprintf(stderr, ", %zu exact copies", run->copies);
    fputc('\n', stderr);
}

static void free_names(struct folder *f)
{
    for (size_t i = 0; i < f->cap; i++)
        free(f->names[i]);
    free(f->names);
}

int deid_folder(struct deid_run *run)
{
    struct folder f = {.run = run};
    struct vivo_err err = {0};
    f.last = &f.first;
    progress_init(&f.progress);
    if (vivo_pool_new("vivofs-deid", run->jobs, &f.pool, &err))
        return cli_fail("%s", err.text);
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.change, NULL);
    int rc = walk(&f);
    settle(&f, 0, false);
    vivo_pool_free(f.pool);
    tell(&f);
    free_names(&f);
    pthread_cond_destroy(&f.change);
    pthread_mutex_destroy(&f.mutex);
    if (f.full)
        return cli_fail("%s: %s: what is written so far is whole", run->out,
                        strerror(ENOSPC));
    if (deid_stop)
        return 128 + (int)deid_stop;
    if (!rc)
        rc = write_media(run);
    return rc ? rc : run->refused ? 1 : 0;
}
