/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/db.c -- one SQLite connection with its prepared statements.
 *
 * Error texts carry SQLite's result code only: its own messages may quote values. */
#include "catalog/db.h"

#include "vivofs/log.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static int translate(struct vivo_catdb *d, int rc, struct vivo_err *err)
{
    int ext = d->db ? sqlite3_extended_errcode(d->db) : rc;

    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    case SQLITE_FULL:
        return vivo_fail(err, ENOSPC, "catalog: no space left on the disk");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        d->corrupt = true;
        return vivo_fail(err, EIO, "catalog: the database is damaged (SQLite %d)", ext);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return vivo_fail(err, EIO, "catalog: locked by another process for too long");
    default:
        return vivo_fail(err, EIO, "catalog: SQLite error %d", ext);
    }
}

int vivo_catdb_do(struct vivo_catdb *d, const char *sql, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, sql, err);

    return st ? vivo_catdb_run(d, st, err) : -EIO;
}

/* SQLite's own tally of its memory takes a lock at each allocation, and nobody asks. */
static void stop_tally(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS,
                   0); /* refused once it is in use: then not */
}

int vivo_catdb_open(struct vivo_catdb *d, const char *path, bool writer, int busy_ms,
                    struct vivo_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int rc;

    memset(d, 0, sizeof *d);
    pthread_once(&once, stop_tally);
    rc = sqlite3_open_v2(path, &d->db, flags, NULL);
    if (rc != SQLITE_OK) {
        rc = vivo_fail(err, EIO, "catalog: cannot be opened (SQLite %d)", rc);
        vivo_catdb_close(d);
        return rc;
    }
    sqlite3_extended_result_codes(d->db, 1);
    sqlite3_busy_timeout(d->db, busy_ms);
    /* 1 MiB of cache a connection (DESIGN C6); the writer may use 16, which halves
     * what a large batch spills to the log. */
    rc = vivo_catdb_do(
        d, writer ? "PRAGMA cache_size = -16384" : "PRAGMA cache_size = -1024", err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "PRAGMA mmap_size = 0", err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "PRAGMA synchronous = NORMAL", err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "PRAGMA temp_store = MEMORY", err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "PRAGMA trusted_schema = OFF", err);
    if (rc == 0 && writer)
        rc = vivo_catdb_do(d, "PRAGMA journal_mode = WAL", err);
    if (rc == 0 && writer)
        rc = vivo_catdb_do(d, "PRAGMA wal_autocheckpoint = 4000", err);
    if (rc < 0) {
        bool corrupt = d->corrupt;
        vivo_catdb_close(d);
        d->corrupt = corrupt;
    }
    return rc;
}

void vivo_catdb_close(struct vivo_catdb *d)
{
    for (size_t i = 0; i < d->n; i++)
        sqlite3_finalize(d->slots[i].st);
    sqlite3_close(d->db);
    memset(d, 0, sizeof *d);
}

sqlite3_stmt *vivo_catdb_stmt(struct vivo_catdb *d, const char *sql,
                              struct vivo_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc;

    for (size_t i = 0; i < d->n; i++) {
        if (d->slots[i].sql != sql)
            continue;
        st = d->slots[i].st;
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return st;
    }
    if (d->n == VIVO_CATDB_SLOTS) {
        vivo_fail(err, EIO, "catalog: too many statements");
        return NULL;
    }
    rc = sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK) {
        vivo_log(VIVO_LOG_DEBUG, "catalog", "cannot prepare: %s", sql);
        translate(d, rc, err);
        return NULL;
    }
    d->slots[d->n].sql = sql;
    d->slots[d->n].st = st;
    d->n++;
    return st;
}

int vivo_catdb_step(struct vivo_catdb *d, sqlite3_stmt *st, struct vivo_err *err)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return 0;
    }
    rc = translate(d, rc, err);
    sqlite3_reset(st);
    return rc;
}

int vivo_catdb_run(struct vivo_catdb *d, sqlite3_stmt *st, struct vivo_err *err)
{
    int rc;

    do {
        rc = vivo_catdb_step(d, st, err);
    } while (rc == 1);
    return rc;
}

int vivo_catdb_number(struct vivo_catdb *d, sqlite3_stmt *st, int64_t none,
                      int64_t *out, struct vivo_err *err)
{
    int rc = vivo_catdb_step(d, st, err);

    if (rc < 0)
        return rc;
    *out = rc == 1 ? sqlite3_column_int64(st, 0) : none;
    sqlite3_reset(st);
    return 0;
}

void vivo_catdb_int(sqlite3_stmt *st, int n, int64_t v)
{
    sqlite3_bind_int64(st, n, v);
}

void vivo_catdb_text(sqlite3_stmt *st, int n, const char *s)
{
    if (s)
        sqlite3_bind_text(st, n, s, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, n);
}

void vivo_catdb_blob(sqlite3_stmt *st, int n, const void *p, size_t len)
{
    if (p)
        sqlite3_bind_blob64(st, n, p, len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, n);
}

const char *vivo_catdb_column_text(sqlite3_stmt *st, int n)
{
    const char *s = (const char *)sqlite3_column_text(st, n);

    return s ? s : "";
}

struct vivo_attrs vivo_catdb_column_attrs(sqlite3_stmt *st, int n)
{
    const uint8_t *p = sqlite3_column_blob(st, n);
    int len = sqlite3_column_bytes(st, n);

    return (struct vivo_attrs){.data = p, .len = p ? (size_t)len : 0};
}
