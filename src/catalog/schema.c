/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/schema.c -- the file of a catalog: made, checked, moved aside.
 *
 * What the tables are for is in README.md. The schema's number is PRAGMA user_version;
 * there is no migration: a catalog can always be made again from its source. */
#include "catalog/schema.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SCHEMA_VERSION 10

/* What collections, patients, studies and series have in common. `key` tells the node
 * from others of its parent (label; issuer and ID; UID), as shown. lookup and sealed
 * are NULL where the archive has no record of its own for the node. */
#define NODE                                                                           \
    "id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL, "            \
    "u TEXT NOT NULL, key TEXT NOT NULL, listed INTEGER NOT NULL DEFAULT 0, "          \
    "via INTEGER NOT NULL DEFAULT 0, mtime INTEGER NOT NULL DEFAULT 946684800, "       \
    "namer TEXT NOT NULL DEFAULT '', kept INTEGER NOT NULL DEFAULT 0, lookup BLOB, "   \
    "sealed BLOB, attrs BLOB"
#define NODE_INDEXES(t)                                                                \
    "CREATE UNIQUE INDEX " t "_name ON " t "(parent, name)",                           \
        "CREATE UNIQUE INDEX " t "_key ON " t "(parent, key)",                         \
        "CREATE INDEX " t "_u ON " t "(parent, u)",                                    \
        "CREATE UNIQUE INDEX " t "_lookup ON " t "(lookup) WHERE lookup IS NOT NULL",  \
        "CREATE INDEX " t "_unlisted ON " t                                            \
        "(parent) WHERE listed = 0 AND lookup IS NOT NULL"

static const char *const tables[] = {
    "CREATE TABLE meta(id INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE collection(" NODE ", license TEXT, citation TEXT)",
    NODE_INDEXES("collection"),
    "CREATE TABLE patient(" NODE ")",
    NODE_INDEXES("patient"),
    "CREATE TABLE study(" NODE ")",
    NODE_INDEXES("study"),
    "CREATE TABLE series(" NODE ", origin INTEGER NOT NULL DEFAULT 0, "
    "members INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0, "
    "open INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, "
    "risk INTEGER NOT NULL DEFAULT 0, varies INTEGER NOT NULL DEFAULT 0, hot BLOB, "
    "license TEXT, citation TEXT, packed INTEGER NOT NULL DEFAULT 0)",
    NODE_INDEXES("series"),
    "CREATE INDEX series_packed ON series(id) WHERE (packed & 1) = 0 AND members > 1"
    " AND (known = members OR known = 0)",
    "CREATE TABLE col(id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE code(id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE base(id INTEGER PRIMARY KEY, attrs BLOB, varying BLOB)",
    "CREATE TABLE instance(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, "
    "name TEXT NOT NULL, u TEXT NOT NULL, uid TEXT NOT NULL, size INTEGER NOT NULL, "
    "exact INTEGER NOT NULL, version INTEGER NOT NULL, refusal INTEGER NOT NULL, "
    "risk INTEGER NOT NULL, headers INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX instance_name ON instance(parent, name)",
    "CREATE UNIQUE INDEX instance_u ON instance(parent, u)",
    "CREATE TABLE diff(id INTEGER PRIMARY KEY, attrs BLOB)",
    "CREATE TABLE source(id INTEGER PRIMARY KEY, lookup BLOB NOT NULL, "
    "instance INTEGER NOT NULL, via INTEGER NOT NULL, owner INTEGER NOT NULL, "
    "stamp BLOB NOT NULL, sealed BLOB, folder INTEGER)",
    "CREATE UNIQUE INDEX source_lookup ON source(lookup)",
    "CREATE INDEX source_instance ON source(instance)",
    "CREATE TABLE extra(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, "
    "name TEXT NOT NULL, kind INTEGER NOT NULL, owner INTEGER NOT NULL, "
    "via INTEGER NOT NULL, base INTEGER NOT NULL, path BLOB NOT NULL, "
    "key BLOB NOT NULL, folder INTEGER NOT NULL, size INTEGER NOT NULL, "
    "exact INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 1, "
    "home INTEGER NOT NULL DEFAULT 0, hlevel INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX extra_name ON extra(parent, name)",
    "CREATE INDEX extra_path ON extra(owner, via, kind, base, path, key)",
    "CREATE TABLE search(key BLOB PRIMARY KEY, at INTEGER NOT NULL, "
    "unable INTEGER NOT NULL, upto INTEGER NOT NULL, rows BLOB, seen BLOB)",
    "INSERT INTO meta VALUES(1, 1), (2, 1), (3, 0)",
};

static int make_tables(struct vivo_catdb *d, struct vivo_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(tables); i++)
        rc = vivo_catdb_do(d, tables[i], err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "PRAGMA user_version = 10", err);
    return rc;
}

/* 0 = tables of this schema are there; 1 = another schema. */
static int check_tables(struct vivo_catdb *d, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, "PRAGMA user_version", err);
    int64_t version, objects;
    int rc;

    if (!st)
        return -EIO;
    rc = vivo_catdb_number(d, st, 0, &version, err);
    if (rc < 0)
        return rc;
    if (version == SCHEMA_VERSION) {
        st = vivo_catdb_stmt(d, "SELECT count(*) FROM meta WHERE id <= 3", err);
        if (!st)
            return -EIO;
        rc = vivo_catdb_number(d, st, 0, &objects, err);
        return rc < 0 ? rc : objects != 3;
    }
    st = vivo_catdb_stmt(d, "SELECT count(*) FROM sqlite_master", err);
    if (!st)
        return -EIO;
    rc = vivo_catdb_number(d, st, 0, &objects, err);
    if (rc < 0 || version != 0 || objects != 0)
        return rc < 0 ? rc : 1;
    return make_tables(d, err);
}

static char *beside(const char *path, const char *suffix)
{
    size_t len = strlen(path) + strlen(suffix) + 1;
    char *s = malloc(len);

    if (s)
        snprintf(s, len, "%s%s", path, suffix);
    return s;
}

static void move_one(const char *path, const char *suffix)
{
    VIVO_AUTO(vivo_free_p) char *from = beside(path, suffix);
    VIVO_AUTO(vivo_free_p) char *bad = beside(path, ".bad");
    VIVO_AUTO(vivo_free_p) char *to = bad ? beside(bad, suffix) : NULL;

    /* Where moving is not possible, removing is what lets the mount go on. */
    if (from && to && rename(from, to) != 0 && errno != ENOENT)
        unlink(from);
}

static void move_aside(const char *path)
{
    VIVO_AUTO(vivo_free_p) char *mark = beside(path, ".damaged");

    vivo_log(VIVO_LOG_WARN, "catalog",
             "the catalog is damaged or of an older version: moved aside (.bad)");
    move_one(path, "-wal");
    move_one(path, "-shm");
    move_one(path, "");
    if (mark)
        unlink(mark);
}

void vivo_catalog_schema_condemn(const char *path)
{
    VIVO_AUTO(vivo_free_p) char *mark = beside(path, ".damaged");
    int fd = mark ? open(mark, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

    if (fd >= 0)
        close(fd);
}

static int make_directory(const char *path, struct vivo_err *err)
{
    const char *slash = strrchr(path, '/');
    VIVO_AUTO(vivo_free_p) char *dir = NULL;

    if (!slash || slash == path)
        return 0;
    dir = strndup(path, (size_t)(slash - path));
    if (!dir)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    return vivo_mkdirs(dir, 0700, err) < 0 ? vivo_fail_in(err, "catalog") : 0;
}

static int make_file(const char *path, struct vivo_err *err)
{
    struct stat st;
    int fd;

    /* SQLite gives its -wal and -shm the mode of the database. One that is there is not
     * opened here: closing it would drop the POSIX locks of another connection. */
    fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST)
        return vivo_fail(err, EIO, "catalog: cannot make the database: %s",
                         strerror(errno));
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return vivo_fail(err, EIO, "catalog: the database is not a file of ours");
    if ((st.st_mode & 0777) != 0600 && chmod(path, 0600) != 0)
        return vivo_fail(err, EIO, "catalog: cannot protect the database");
    return 0;
}

/* 0 = ready; 1 = not ours or damaged; negative = failed. */
static int try_open(struct vivo_catdb *d, const char *path, struct vivo_err *err)
{
    int rc = make_file(path, err);

    if (rc < 0)
        return rc;
    rc = vivo_catdb_open(d, path, true, 30000, err);
    if (rc == 0)
        rc = vivo_catdb_do(d, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = check_tables(d, err);
    if (rc == 0)
        return vivo_catdb_do(d, "COMMIT", err);
    if (rc < 0 && !d->corrupt) {
        vivo_catdb_close(d);
        return rc;
    }
    vivo_catdb_close(d);
    return 1;
}

static int open_locked(struct vivo_catdb *d, const char *path, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *mark = beside(path, ".damaged");
    int rc;

    if (!mark)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    if (access(mark, F_OK) == 0)
        move_aside(path);
    rc = try_open(d, path, err);
    if (rc != 1)
        return rc;
    if (err)
        vivo_err_clear(err);
    move_aside(path);
    rc = try_open(d, path, err);
    return rc == 1 ? vivo_fail(err, EIO, "catalog: cannot be begun anew") : rc;
}

/* Two processes may come at the same time: one makes the database (or moves it aside),
 * the other waits and finds it. */
int vivo_catalog_schema_open(struct vivo_catdb *d, const char *path,
                             struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *lock = beside(path, ".lock");
    VIVO_AUTO(vivo_close_p) int fd = -1;
    int rc = make_directory(path, err);

    if (rc < 0)
        return rc;
    if (!lock)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        return vivo_fail(err, EIO, "catalog: cannot lock the database: %s",
                         strerror(errno));
    return open_locked(d, path, err);
}
