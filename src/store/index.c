/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/index.c -- see index.h. One connection; its mutex is held across SQLite's
 * I/O, which is the point of it: nothing on the way of a read takes it. */
#include "store/index.h"
#include "vivofs/log.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define SCHEMA_VERSION 1
#define BUSY_MS 10000
#define EVICT_BATCH 64

struct vivo_store_index {
    pthread_mutex_t mutex;
    sqlite3 *db;                                  /* guarded by mutex */
    sqlite3_stmt *upsert, *erase, *oldest, *keys; /* guarded by mutex */
    sqlite3_stmt *totals, *pin, *pinned;          /* guarded by mutex */
};

/* state: 0 = may be evicted, 1 = pinned. The totals are kept by triggers, so that all
 * processes see the same and none has to add up a million rows. */
static const char schema[] =
    "CREATE TABLE object(key BLOB PRIMARY KEY NOT NULL, length INTEGER NOT NULL,"
    " used INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE INDEX object_used ON object(state, used);"
    "CREATE TABLE total(bytes INTEGER NOT NULL, entries INTEGER NOT NULL);"
    "INSERT INTO total VALUES(0, 0);"
    "CREATE TRIGGER object_added AFTER INSERT ON object BEGIN"
    " UPDATE total SET bytes = bytes + new.length, entries = entries + 1; END;"
    "CREATE TRIGGER object_gone AFTER DELETE ON object BEGIN"
    " UPDATE total SET bytes = bytes - old.length, entries = entries - 1; END;"
    "CREATE TRIGGER object_changed AFTER UPDATE OF length ON object BEGIN"
    " UPDATE total SET bytes = bytes - old.length + new.length; END;"
    "PRAGMA user_version = 1;";

static int fail(struct vivo_store_index *x, struct vivo_err *err)
{
    return vivo_fail(err, EIO, "store: index: %s",
                     x->db ? sqlite3_errmsg(x->db) : "cannot be opened");
}

static int run(struct vivo_store_index *x, const char *sql)
{
    return sqlite3_exec(x->db, sql, NULL, NULL, NULL); /* allow: literals only */
}

/* ---- opening --------------------------------------------------------------------- */

static void close_db(struct vivo_store_index *x)
{
    sqlite3_stmt **all[] = {&x->upsert, &x->erase, &x->oldest, &x->keys,
                            &x->totals, &x->pin,   &x->pinned};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(all); i++) {
        sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
    sqlite3_close(x->db);
    x->db = NULL;
}

static int prepare_all(struct vivo_store_index *x)
{
    const struct {
        sqlite3_stmt **out;
        const char *sql;
    } all[] = {
        {&x->upsert, "INSERT INTO object(key, length, used) VALUES(?1, ?2, ?3)"
                     " ON CONFLICT(key) DO UPDATE SET length = excluded.length,"
                     " used = max(used, excluded.used)"},
        {&x->erase, "DELETE FROM object WHERE key = ?1"},
        {&x->oldest, "SELECT key, length FROM object WHERE state = 0"
                     " ORDER BY used LIMIT ?1"},
        {&x->keys, "SELECT key FROM object WHERE key >= ?1 AND key <= ?2 ORDER BY key"},
        {&x->totals, "SELECT bytes, entries FROM total"},
        {&x->pin, "UPDATE object SET state = ?2 WHERE key = ?1"},
        {&x->pinned, "SELECT state FROM object WHERE key = ?1"},
    };

    for (size_t i = 0; i < VIVO_ARRAY_LEN(all); i++) {
        int rc = sqlite3_prepare_v3(x->db, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    all[i].out, NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static int schema_version(struct vivo_store_index *x, int *version)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(x->db, "PRAGMA user_version", -1, &st, NULL);

    if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        *version = sqlite3_column_int(st, 0);
    int end = sqlite3_finalize(st);
    return rc != SQLITE_OK ? rc : end;
}

/* Under the write lock, so that two processes do not both make the schema. */
static int make_schema(struct vivo_store_index *x, bool *fresh)
{
    int version = 0;
    int rc = run(x, "BEGIN IMMEDIATE");

    if (rc != SQLITE_OK)
        return rc;
    rc = schema_version(x, &version);
    if (rc == SQLITE_OK && version == 0) {
        rc = run(x, schema);
        *fresh = true;
    } else if (rc == SQLITE_OK && version != SCHEMA_VERSION) {
        rc = SQLITE_NOTADB;
    }
    if (rc != SQLITE_OK) {
        run(x, "ROLLBACK");
        return rc;
    }
    return run(x, "COMMIT");
}

static int open_db(struct vivo_store_index *x, const char *path, bool *fresh)
{
    /* SQLite gives its -wal and -shm the rights of the database. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return SQLITE_CANTOPEN;
    close(fd);
    int rc = sqlite3_open_v2(path, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(x->db, BUSY_MS);
    /* A short log: it takes room on a disk that may be nearly full. */
    rc = run(x, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                "PRAGMA wal_autocheckpoint = 128; PRAGMA journal_size_limit = 524288;"
                "PRAGMA cache_size = -1024; PRAGMA trusted_schema = OFF");
    if (rc == SQLITE_OK)
        rc = make_schema(x, fresh);
    if (rc == SQLITE_OK)
        rc = prepare_all(x);
    return rc;
}

static bool is_damage(int rc)
{
    rc &= 0xff;
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_ERROR;
}

static void remove_db(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    struct vivo_buf name;

    vivo_buf_init(&name, 8192);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ends); i++) {
        vivo_buf_clear(&name);
        if (vivo_buf_printf(&name, "%s%s", path, ends[i]) == 0)
            (void)unlink((const char *)name.data);
    }
    vivo_buf_free(&name);
}

int vivo_store_index_open(const char *path, bool *fresh, struct vivo_store_index **out,
                          struct vivo_err *err)
{
    struct vivo_store_index *x = calloc(1, sizeof *x);

    if (!x)
        return vivo_fail(err, ENOMEM, "store: no memory for the index");
    *fresh = false;
    int rc = open_db(x, path, fresh);
    if (is_damage(rc)) {
        vivo_log(VIVO_LOG_WARN, "store",
                 "the index is damaged or of another version "
                 "and is begun anew");
        close_db(x);
        remove_db(path);
        rc = open_db(x, path, fresh);
    }
    if (rc != SQLITE_OK) {
        rc = fail(x, err);
        close_db(x);
        free(x);
        return rc;
    }
    pthread_mutex_init(&x->mutex, NULL);
    *out = x;
    return 0;
}

void vivo_store_index_close(struct vivo_store_index *x)
{
    if (!x)
        return;
    close_db(x);
    pthread_mutex_destroy(&x->mutex);
    free(x);
}

/* ---- statements ------------------------------------------------------------------ */

static int step_key_locked(sqlite3_stmt *st, const struct vivo_store_key *key)
{
    sqlite3_bind_blob(st, 1, key->digest, sizeof key->digest, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_totals_locked(struct vivo_store_index *x, struct vivo_store_totals *out)
{
    int rc = sqlite3_step(x->totals);

    if (rc == SQLITE_ROW) {
        out->bytes = (uint64_t)VIVO_MAX(sqlite3_column_int64(x->totals, 0), 0);
        out->entries = (uint64_t)VIVO_MAX(sqlite3_column_int64(x->totals, 1), 0);
    }
    sqlite3_reset(x->totals);
    return rc == SQLITE_ROW ? SQLITE_OK : SQLITE_CORRUPT;
}

static int apply_locked(struct vivo_store_index *x, const struct vivo_store_note *note)
{
    if (note->used_ms == 0)
        return step_key_locked(x->erase, &note->key);
    sqlite3_bind_int64(x->upsert, 2, (sqlite3_int64)note->length);
    sqlite3_bind_int64(x->upsert, 3, note->used_ms);
    return step_key_locked(x->upsert, &note->key);
}

/* Ends the transaction; the first failure decides. */
static int end_locked(struct vivo_store_index *x, int rc, struct vivo_err *err)
{
    if (rc == SQLITE_OK)
        rc = run(x, "COMMIT");
    if (rc == SQLITE_OK)
        return 0;
    int failed = fail(x, err);
    run(x, "ROLLBACK");
    return failed;
}

int vivo_store_index_apply(struct vivo_store_index *x,
                           const struct vivo_store_note *notes, size_t n,
                           struct vivo_store_totals *out, struct vivo_err *err)
{
    pthread_mutex_lock(&x->mutex);
    int rc = run(x, n > 0 ? "BEGIN IMMEDIATE" : "BEGIN");
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
        rc = apply_locked(x, &notes[i]);
    if (rc == SQLITE_OK)
        rc = read_totals_locked(x, out);
    rc = end_locked(x, rc, err);
    pthread_mutex_unlock(&x->mutex);
    return rc;
}

/* One batch of victims; *freed grows. SQLITE_DONE when there are no more. */
static int evict_batch_locked(struct vivo_store_index *x, struct vivo_store_eviction *e,
                              uint64_t need, uint64_t *freed)
{
    struct vivo_store_key victims[EVICT_BATCH];
    size_t n = 0;
    int rc = SQLITE_DONE;

    sqlite3_bind_int(x->oldest, 1, EVICT_BATCH);
    while (*freed < need && (rc = sqlite3_step(x->oldest)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(x->oldest, 0) != VIVO_DIGEST_LEN)
            break;
        memcpy(victims[n++].digest, sqlite3_column_blob(x->oldest, 0), VIVO_DIGEST_LEN);
        *freed += (uint64_t)VIVO_MAX(sqlite3_column_int64(x->oldest, 1), 0);
    }
    sqlite3_reset(x->oldest);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return rc;
    /* The file goes first: a crash then leaves a row too many, which counts too much
     * and is found by the next eviction, never a file that nobody counts. */
    for (size_t i = 0; i < n; i++) {
        e->remove(e->ctx, &victims[i]);
        e->evicted++;
        rc = step_key_locked(x->erase, &victims[i]);
        if (rc != SQLITE_OK)
            return rc;
    }
    return n < EVICT_BATCH ? SQLITE_DONE : SQLITE_OK;
}

static int evict_locked(struct vivo_store_index *x, struct vivo_store_eviction *e,
                        struct vivo_store_totals *out)
{
    uint64_t freed = 0;
    int rc = read_totals_locked(x, out);

    if (rc != SQLITE_OK)
        return rc;
    uint64_t over = out->bytes > e->keep ? out->bytes - e->keep : 0;
    uint64_t need = VIVO_MAX(over, e->bytes);
    while (rc == SQLITE_OK && freed < need)
        rc = evict_batch_locked(x, e, need, &freed);
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        return rc;
    return read_totals_locked(x, out);
}

int vivo_store_index_evict(struct vivo_store_index *x, struct vivo_store_eviction *e,
                           struct vivo_store_totals *out, struct vivo_err *err)
{
    pthread_mutex_lock(&x->mutex);
    int rc = run(x, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK)
        rc = evict_locked(x, e, out);
    rc = end_locked(x, rc, err);
    pthread_mutex_unlock(&x->mutex);
    return rc;
}

static int collect_keys_locked(struct vivo_store_index *x, struct vivo_store_key **out,
                               size_t *n)
{
    size_t cap = 0;
    int rc;

    while ((rc = sqlite3_step(x->keys)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(x->keys, 0) != VIVO_DIGEST_LEN)
            continue;
        struct vivo_store_key *p =
            vivo_array_grow(*out, *n, &cap, sizeof *p, VIVO_ARRAY_MAX);
        if (!p)
            return SQLITE_NOMEM;
        *out = p;
        memcpy((*out)[(*n)++].digest, sqlite3_column_blob(x->keys, 0), VIVO_DIGEST_LEN);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int vivo_store_index_keys(struct vivo_store_index *x, uint8_t prefix,
                          struct vivo_store_key **out, size_t *n, struct vivo_err *err)
{
    struct vivo_store_key low, high;
    struct vivo_store_key *keys = NULL;
    size_t count = 0;
    int failed = 0;

    memset(&low, 0, sizeof low);
    memset(&high, 0xff, sizeof high);
    low.digest[0] = high.digest[0] = prefix;
    pthread_mutex_lock(&x->mutex);
    sqlite3_bind_blob(x->keys, 1, low.digest, sizeof low.digest, SQLITE_STATIC);
    sqlite3_bind_blob(x->keys, 2, high.digest, sizeof high.digest, SQLITE_STATIC);
    if (collect_keys_locked(x, &keys, &count) != SQLITE_OK)
        failed = fail(x, err);
    sqlite3_reset(x->keys);
    sqlite3_clear_bindings(x->keys);
    pthread_mutex_unlock(&x->mutex);
    if (failed) {
        free(keys);
        return failed;
    }
    *out = keys;
    *n = count;
    return 0;
}

int vivo_store_index_pin(struct vivo_store_index *x, const struct vivo_store_key *key,
                         bool pinned, struct vivo_err *err)
{
    pthread_mutex_lock(&x->mutex);
    sqlite3_bind_int(x->pin, 2, pinned);
    int rc = step_key_locked(x->pin, key);
    int failed = rc == SQLITE_OK ? 0 : fail(x, err);
    int changed = sqlite3_changes(x->db);
    pthread_mutex_unlock(&x->mutex);
    if (failed)
        return failed;
    return changed ? 0 : vivo_fail(err, ENOENT, "store: no such entry");
}

bool vivo_store_index_pinned(struct vivo_store_index *x,
                             const struct vivo_store_key *key)
{
    pthread_mutex_lock(&x->mutex);
    sqlite3_bind_blob(x->pinned, 1, key->digest, sizeof key->digest, SQLITE_STATIC);
    bool pinned =
        sqlite3_step(x->pinned) == SQLITE_ROW && sqlite3_column_int(x->pinned, 0) == 1;
    sqlite3_reset(x->pinned);
    pthread_mutex_unlock(&x->mutex);
    return pinned;
}
