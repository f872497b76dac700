/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/catalog.c -- opening and closing, lending readers, the writer's
 * transactions.
 *
 * A listing's puts share a transaction of at most VIVO_CATALOG_BATCH of them. It is
 * committed when it is a second old, by the next put or, when none comes, by the
 * ticker: so no other process waits for the lock longer than that. */
#include "catalog/internal.h"

#include "catalog/schema.h"
#include "vivofs/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BATCH_MS 1000
#define GENERATION_CHECK_MS 100 /* how old the word of other processes may be */

int64_t vivo_catalog_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- readers ----------------------------------------------------------------------
 */

static size_t take_slot(struct vivo_catalog *c)
{
    size_t i, fresh = VIVO_CATALOG_READERS;

    pthread_mutex_lock(&c->pool_mutex);
    for (;;) {
        for (i = 0; i < VIVO_CATALOG_READERS; i++) {
            if (!c->lent[i] && c->readers[i].db)
                break;
            if (!c->lent[i] && fresh == VIVO_CATALOG_READERS)
                fresh = i;
        }
        if (i == VIVO_CATALOG_READERS)
            i = fresh;
        if (i < VIVO_CATALOG_READERS)
            break;
        pthread_cond_wait(&c->pool_free, &c->pool_mutex);
        fresh = VIVO_CATALOG_READERS;
    }
    c->lent[i] = true;
    pthread_mutex_unlock(&c->pool_mutex);
    return i;
}

static void give_slot(struct vivo_catalog *c, size_t i)
{
    pthread_mutex_lock(&c->pool_mutex);
    c->lent[i] = false;
    pthread_cond_signal(&c->pool_free);
    pthread_mutex_unlock(&c->pool_mutex);
}

struct vivo_catdb *vivo_catalog_reader(struct vivo_catalog *c, struct vivo_err *err)
{
    size_t i = take_slot(c);

    if (!c->readers[i].db &&
        vivo_catdb_open(&c->readers[i], c->path, false, 10000, err) < 0) {
        give_slot(c, i);
        return NULL;
    }
    return &c->readers[i];
}

void vivo_catalog_reader_done(struct vivo_catalog *c, struct vivo_catdb *d)
{
    if (d->corrupt)
        vivo_catalog_schema_condemn(c->path);
    give_slot(c, (size_t)(d - c->readers));
}

/* ---- the writer's transactions ------------------------------------------------------
 */

static int meta_get(struct vivo_catdb *d, int id, int64_t *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, "SELECT value FROM meta WHERE id = ?1", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    return vivo_catdb_number(d, st, 0, out, err);
}

static int meta_set(struct vivo_catdb *d, int id, int64_t value, struct vivo_err *err)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(d, "UPDATE meta SET value = ?2 WHERE id = ?1", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, id);
    vivo_catdb_int(st, 2, value);
    return vivo_catdb_run(d, st, err);
}

static int begin(struct vivo_catalog *c, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    sqlite3_stmt *st;
    int64_t version;
    int rc = vivo_catdb_do(&w->db, "BEGIN IMMEDIATE", err);

    if (rc < 0)
        return rc;
    w->in_txn = true;
    w->dirty = false;
    w->puts = 0;
    w->began_ms = vivo_catalog_now_ms();
    rc = meta_get(&w->db, META_NEXT_ID, &w->next_id, err);
    if (rc < 0)
        return rc;
    /* What is remembered of series holds only while nobody else writes. */
    st = vivo_catdb_stmt(&w->db, "PRAGMA data_version", err);
    if (!st)
        return -EIO;
    rc = vivo_catdb_number(&w->db, st, 0, &version, err);
    if (rc == 0 && version != w->data_version) {
        vivo_catalog_forget(w);
        w->data_version = version;
    }
    return rc;
}

static void rollback(struct vivo_catalog *c)
{
    struct vivo_writer *w = &c->w;

    if (w->in_txn) {
        vivo_catdb_do(&w->db, "ROLLBACK", NULL);
        w->rollbacks++;
    }
    w->in_txn = false;
    vivo_catalog_forget(w);
    if (w->db.corrupt)
        vivo_catalog_schema_condemn(c->path);
}

static int commit(struct vivo_catalog *c, struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;
    int64_t generation = 0;
    int rc = vivo_catalog_flush(w, err);

    if (rc == 0)
        rc = meta_set(&w->db, META_NEXT_ID, w->next_id, err);
    if (rc == 0 && w->dirty)
        rc = meta_get(&w->db, META_GENERATION, &generation, err);
    if (rc == 0 && w->dirty)
        rc = meta_set(&w->db, META_GENERATION, ++generation, err);
    if (rc == 0)
        rc = vivo_catdb_do(&w->db, "COMMIT", err);
    if (rc < 0) {
        rollback(c);
        return rc;
    }
    w->in_txn = false;
    atomic_fetch_add(&c->commits, 1);
    if (w->dirty)
        atomic_store(&c->generation, (uint64_t)generation);
    return 0;
}

int vivo_catalog_write_begin(struct vivo_catalog *c, struct vivo_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&c->w.mutex);
    if (!c->w.in_txn)
        rc = begin(c, err);
    if (rc < 0) {
        rollback(c);
        pthread_mutex_unlock(&c->w.mutex);
    }
    return rc;
}

int vivo_catalog_write_end(struct vivo_catalog *c, int rc, bool now,
                           struct vivo_err *err)
{
    struct vivo_writer *w = &c->w;

    if (rc == 0 && w->remembered > VIVO_CATALOG_REMEMBERED) {
        rc = vivo_catalog_flush(w, err);
        vivo_catalog_forget(w);
    }
    if (rc < 0)
        rollback(c);
    else if (now || ++w->puts >= VIVO_CATALOG_BATCH ||
             vivo_catalog_now_ms() - w->began_ms >= BATCH_MS)
        rc = commit(c, err);
    else if (w->puts == 1)
        pthread_cond_signal(&w->tick);
    pthread_mutex_unlock(&w->mutex);
    return rc;
}

/* Commits what a listing that has fallen silent left open. */
static void *ticker(void *ctx)
{
    struct vivo_catalog *c = ctx;
    struct vivo_writer *w = &c->w;
    struct timespec until;

    pthread_mutex_lock(&w->mutex);
    while (!w->closing) {
        if (!w->in_txn) {
            pthread_cond_wait(&w->tick, &w->mutex);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 250000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->tick, &w->mutex, &until);
        /* A failed commit shows in the listing, whose batch is lost. */
        if (w->in_txn && vivo_catalog_now_ms() - w->began_ms >= BATCH_MS)
            commit(c, NULL);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

int vivo_catalog_start_ticker(struct vivo_catalog *c, struct vivo_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&c->w.mutex);
    if (!c->w.ticking) {
        c->w.ticking = pthread_create(&c->w.ticker, NULL, ticker, c) == 0;
        rc = c->w.ticking ? 0 : vivo_fail(err, EIO, "catalog: cannot start a thread");
    }
    pthread_mutex_unlock(&c->w.mutex);
    return rc;
}

static void init_locks(struct vivo_catalog *c)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&c->pool_mutex, NULL);
    pthread_cond_init(&c->pool_free, NULL);
    pthread_mutex_init(&c->w.mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->w.tick, &attr);
    pthread_condattr_destroy(&attr);
}

/* ---- open and close
 * ------------------------------------------------------------------ */

static int temporary_path(struct vivo_catalog *c, struct vivo_err *err)
{
    const char *base = getenv("TMPDIR");
    size_t len;

    if (!base || base[0] != '/')
        base = "/tmp";
    len = strlen(base) + sizeof "/vivofs-XXXXXX";
    c->temporary = malloc(len);
    if (!c->temporary)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    snprintf(c->temporary, len, "%s/vivofs-XXXXXX", base);
    if (!mkdtemp(c->temporary)) {
        free(c->temporary);
        c->temporary = NULL;
        return vivo_fail(err, EIO, "catalog: cannot make a temporary directory");
    }
    len += sizeof "/catalog.db";
    c->path = malloc(len);
    if (!c->path)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    snprintf(c->path, len, "%s/catalog.db", c->temporary);
    return 0;
}

static void remove_temporary(struct vivo_catalog *c)
{
    static const char *const names[] = {"",     "-wal",     "-shm",
                                        ".bad", ".damaged", ".lock"};
    char buf[4096];

    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++) {
        snprintf(buf, sizeof buf, "%s%s", c->path ? c->path : "", names[i]);
        if (c->path)
            unlink(buf);
    }
    rmdir(c->temporary);
}

int vivo_catalog_open(const struct vivo_catalog_config *cfg, struct vivo_catalog **out,
                      struct vivo_err *err)
{
    struct vivo_catalog *c = calloc(1, sizeof *c);
    int64_t generation = 0;
    int rc = 0;

    if (!c)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    init_locks(c);
    c->lately = vivo_lately_new();
    if (!c->lately)
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    vivo_buf_init(&c->w.scratch, 2 * VIVO_ATTRS_MAX);
    vivo_buf_init(&c->w.scratch2, 2 * VIVO_ATTRS_MAX);
    c->w.plain_names = cfg->plain_names;
    c->w.names = cfg->names;
    c->sealed = cfg->seal_key != NULL;
    if (c->sealed && !cfg->lookup_key)
        rc = vivo_fail(err, EINVAL, "catalog: a seal key without a lookup key");
    if (c->sealed && rc == 0) {
        memcpy(c->seal_key, cfg->seal_key, sizeof c->seal_key);
        vivo_hmac_init(&c->lookup_key, cfg->lookup_key, 32);
    }
    if (rc == 0 && !cfg->path)
        rc = temporary_path(c, err);
    else if (rc == 0 && !(c->path = strdup(cfg->path)))
        rc = vivo_fail(err, ENOMEM, "catalog: out of memory");
    if (rc == 0)
        rc = vivo_catalog_schema_open(&c->w.db, c->path, err);
    if (rc == 0)
        rc = meta_get(&c->w.db, META_GENERATION, &generation, err);
    atomic_store(&c->generation, (uint64_t)generation);
    if (rc < 0) {
        vivo_catalog_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void vivo_catalog_close(struct vivo_catalog *c)
{
    if (!c)
        return;
    if (c->w.ticking) {
        pthread_mutex_lock(&c->w.mutex);
        if (c->w.in_txn)
            commit(c, NULL);
        c->w.closing = true;
        pthread_cond_signal(&c->w.tick);
        pthread_mutex_unlock(&c->w.mutex);
        pthread_join(c->w.ticker, NULL);
    }
    for (size_t i = 0; i < VIVO_CATALOG_READERS; i++)
        vivo_catdb_close(&c->readers[i]);
    vivo_lately_free(c->lately);
    vivo_catalog_forget(&c->w);
    vivo_catdb_close(&c->w.db);
    if (c->temporary)
        remove_temporary(c);
    vivo_buf_free(&c->w.scratch);
    vivo_buf_free(&c->w.scratch2);
    pthread_mutex_destroy(&c->w.mutex);
    pthread_mutex_destroy(&c->pool_mutex);
    pthread_cond_destroy(&c->pool_free);
    pthread_cond_destroy(&c->w.tick);
    free(c->temporary);
    free(c->path);
    vivo_wipe(c, sizeof *c);
    free(c);
}

uint64_t vivo_catalog_generation(struct vivo_catalog *c)
{
    int64_t now = vivo_catalog_now_ms();
    struct vivo_catdb *d;
    int64_t value = 0;

    if (now - atomic_load(&c->generation_checked_ms) < GENERATION_CHECK_MS)
        return atomic_load(&c->generation);
    atomic_store(&c->generation_checked_ms, now);
    d = vivo_catalog_reader(c, NULL);
    if (!d)
        return atomic_load(&c->generation);
    if (meta_get(d, META_GENERATION, &value, NULL) == 0) {
        uint64_t seen = atomic_load(&c->generation);
        while ((uint64_t)value > seen &&
               !atomic_compare_exchange_weak(&c->generation, &seen, (uint64_t)value))
            ;
    }
    vivo_catalog_reader_done(c, d);
    return atomic_load(&c->generation);
}
