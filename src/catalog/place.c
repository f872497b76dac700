/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/place.c -- where files that are no objects are shown, and under which
 * names (DESIGN A1), decided anew at the end of a listing that changed something.
 *
 * Places and names are a function of all that the archive holds, so that they are the
 * same on another machine: files are gone through in the order of their paths, folders
 * win over files, and what belongs to the tree of objects wins over both. What is where
 * it belongs is only read. Memory: a number for each folder that holds such files. */
#include "catalog/extra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct placing {
    struct vivo_catalog *c;
    struct vivo_writer *w;
    enum vivo_level via; /* whose listing brought the files */
    vivo_row owner;
    struct vivo_rowset folders; /* of the files, by number */
    vivo_row *series;           /* of each: the only one; 0 = none, -1 = several */
    struct vivo_rowset used;    /* folders that are shown */
    /* The folder that was made last, with those above it. */
    vivo_row base;
    char path[VIVO_PATH_MAX]; /* "" = the base itself */
    struct {
        size_t len; /* of its path */
        vivo_row row;
    } above[VIVO_PATH_MAX / 2];
    size_t depth;
    struct vivo_err *err;
};

struct file { /* an extra as it is, and where it belongs */
    vivo_row id, base, parent, home;
    enum vivo_level hlevel;
    int64_t folder;
    char name[VIVO_NAME_MAX + 1];
    char path[VIVO_PATH_MAX];
    char key[2 * VIVO_CATALOG_KEY_LEN + 1];
    bool again; /* the file before it has the same path */
};

static int no_memory(struct placing *p)
{
    return vivo_fail(p->err, ENOMEM, "catalog: out of memory");
}

/* ---- which folders hold objects of one series -------------------------------------
 */

static int read_folders(struct placing *p)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db,
        "SELECT folder FROM extra WHERE owner = ?1 AND via = ?2 AND kind = 0", p->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->owner);
    vivo_catdb_int(st, 2, p->via);
    while ((rc = vivo_catdb_step(&p->w->db, st, p->err)) == 1) {
        if (vivo_catalog_rowset_add(&p->folders, sqlite3_column_int64(st, 0)) == 0)
            continue;
        sqlite3_reset(st);
        return no_memory(p);
    }
    vivo_catalog_rowset_sort(&p->folders);
    return rc;
}

static vivo_row *series_of(struct placing *p, int64_t folder)
{
    size_t low = 0, high = p->folders.n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (p->folders.rows[mid] < folder)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->folders.n && p->folders.rows[low] == folder ? &p->series[low]
                                                                : NULL;
}

static int take_object(struct placing *p, vivo_row *series, vivo_row instance)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&p->w->db, "SELECT parent FROM instance WHERE id = ?1", p->err);
    int64_t parent = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, instance);
    rc = vivo_catdb_number(&p->w->db, st, 0, &parent, p->err);
    if (rc == 0 && parent)
        *series = *series == 0 || *series == parent ? parent : -1;
    return rc;
}

/* Of each folder with such files the series whose objects it holds. The listing of a
 * series says itself whose files these are. */
static int read_series(struct placing *p)
{
    sqlite3_stmt *st;
    int rc;

    p->series = calloc(p->folders.n + 1, sizeof *p->series);
    if (!p->series)
        return no_memory(p);
    if (p->via >= VIVO_LEVEL_SERIES)
        return 0;
    st = vivo_catdb_stmt(&p->w->db,
                         "SELECT folder, instance FROM source WHERE via = ?1"
                         " AND folder IS NOT NULL AND instance > 0",
                         p->err);
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->via);
    while ((rc = vivo_catdb_step(&p->w->db, st, p->err)) == 1) {
        vivo_row *series = series_of(p, sqlite3_column_int64(st, 0));
        if (!series || *series < 0)
            continue;
        rc = take_object(p, series, sqlite3_column_int64(st, 1));
        if (rc == 0)
            continue;
        sqlite3_reset(st);
        return rc;
    }
    return rc;
}

/* ---- names ------------------------------------------------------------------------
 */

/* Does the tree of objects have that name below the node? */
static int taken(struct placing *p, enum vivo_level level, vivo_row row,
                 const char *name, bool *out)
{
    static const char *const sql[] = {
        [VIVO_LEVEL_COLLECTION] =
            "SELECT 1 FROM patient WHERE parent = ?1 AND name = ?2",
        [VIVO_LEVEL_PATIENT] = "SELECT 1 FROM study WHERE parent = ?1 AND name = ?2",
        [VIVO_LEVEL_STUDY] = "SELECT 1 FROM series WHERE parent = ?1 AND name = ?2",
        [VIVO_LEVEL_SERIES] = "SELECT 1 FROM instance WHERE parent = ?1 AND name = ?2",
    };
    sqlite3_stmt *st = vivo_catdb_stmt(&p->w->db, sql[level], p->err);
    int64_t there = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_text(st, 2, name);
    rc = vivo_catdb_number(&p->w->db, st, 0, &there, p->err);
    *out = there != 0;
    return rc;
}

/* Names that the mount answers itself (papers of names=tcia). */
static bool is_paper(const struct placing *p, enum vivo_level level, const char *name)
{
    return level == VIVO_LEVEL_COLLECTION && p->w->names == VIVO_NAMES_TCIA &&
           (strcmp(name, "metadata.csv") == 0 || strcmp(name, "LICENSE") == 0);
}

/* Of the last part of path. level: of the parent, NONE = a folder. */
static int make_name(struct placing *p, enum vivo_level level, vivo_row parent,
                     const char *path, bool folder, char out[VIVO_NAME_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    bool mark;
    int rc = 0;

    vivo_name_extra(name, path, folder, false, out);
    mark = is_paper(p, level, out);
    if (!mark && level != VIVO_LEVEL_NONE)
        rc = taken(p, level, parent, out, &mark);
    if (rc == 0 && mark)
        vivo_name_extra(name, path, folder, true, out);
    return rc;
}

/* ---- folders ----------------------------------------------------------------------
 */

static enum vivo_level base_level(const struct placing *p)
{
    return p->via == VIVO_LEVEL_NONE ? VIVO_LEVEL_COLLECTION : p->via;
}

static int bind_and_run(struct placing *p, const char *sql, int64_t a, int64_t b,
                        const char *name, int *changes)
{
    sqlite3_stmt *st = vivo_catdb_stmt(&p->w->db, sql, p->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, a);
    if (b)
        vivo_catdb_int(st, 2, b);
    if (name)
        vivo_catdb_text(st, b ? 3 : 2, name);
    rc = vivo_catdb_run(&p->w->db, st, p->err);
    *changes = rc == 0 ? sqlite3_changes(p->w->db.db) : 0;
    if (*changes)
        p->w->dirty = true;
    return rc;
}

static int unplace(struct placing *p, vivo_row id)
{
    int changes;

    return bind_and_run(p, "UPDATE extra SET parent = -id, name = '' WHERE id = ?1", id,
                        0, NULL, &changes);
}

/* A file that has the name gives it up, and gets another one later on. */
static int free_name(struct placing *p, vivo_row parent, const char *name)
{
    int changes;

    return bind_and_run(p,
                        "UPDATE extra SET parent = -id, name = '' WHERE parent = ?1"
                        " AND name = ?2 AND kind = 0",
                        parent, 0, name, &changes);
}

static int find_folder(struct placing *p, const char *path, size_t len, vivo_row *row,
                       vivo_row *parent, char name[VIVO_NAME_MAX + 1])
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&p->w->db,
                        "SELECT id, parent, name FROM extra WHERE owner = ?1 AND"
                        " via = ?2 AND kind = 1 AND base = ?3 AND path = ?4",
                        p->err);
    int rc;

    *row = 0;
    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, p->owner);
    vivo_catdb_int(st, 2, p->via);
    vivo_catdb_int(st, 3, p->base);
    vivo_catdb_blob(st, 4, path, len);
    rc = vivo_catdb_step(&p->w->db, st, p->err);
    if (rc == 1) {
        *row = sqlite3_column_int64(st, 0);
        *parent = sqlite3_column_int64(st, 1);
        snprintf(name, VIVO_NAME_MAX + 1, "%s", vivo_catdb_column_text(st, 2));
        sqlite3_reset(st);
    }
    return rc < 0 ? rc : 0;
}

static int insert_folder(struct placing *p, const char *path, size_t len, vivo_row *row)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db,
        "INSERT INTO extra(id, parent, name, kind, owner, via, base, path, key, folder,"
        " size, exact, home, hlevel) VALUES(?1, -?1, '', 1, ?2, ?3, ?4, ?5, x'', 0, 0,"
        " 1, ?4, ?6)",
        p->err);

    if (!st)
        return -EIO;
    *row = vivo_catalog_next_id(p->w);
    vivo_catdb_int(st, 1, *row);
    vivo_catdb_int(st, 2, p->owner);
    vivo_catdb_int(st, 3, p->via);
    vivo_catdb_int(st, 4, p->base);
    vivo_catdb_blob(st, 5, path, len);
    vivo_catdb_int(st, 6, base_level(p));
    return vivo_catdb_run(&p->w->db, st, p->err);
}

/* Puts a folder where it belongs; what has its name by chance makes it longer. */
static int name_folder(struct placing *p, vivo_row row, vivo_row parent,
                       const char *path, char name[VIVO_NAME_MAX + 1])
{
    static const char sql[] =
        "UPDATE OR IGNORE extra SET parent = ?2, name = ?3 WHERE id = ?1";
    const char *slash = strrchr(path, '/');
    int changes = 0, rc = free_name(p, parent, name);

    if (rc == 0)
        rc = bind_and_run(p, sql, row, parent, name, &changes);
    if (rc < 0 || changes)
        return rc;
    vivo_name_extra(slash ? slash + 1 : path, path, true, true, name);
    rc = free_name(p, parent, name);
    if (rc == 0)
        rc = bind_and_run(p, sql, row, parent, name, &changes);
    if (rc < 0 || changes)
        return rc;
    return vivo_fail(p->err, EIO, "catalog: no free name");
}

/* The folder of this path in `parent`, made or moved if need be. */
static int need_folder(struct placing *p, char *path, size_t len, vivo_row parent,
                       vivo_row *row)
{
    enum vivo_level level = parent == p->base ? base_level(p) : VIVO_LEVEL_NONE;
    char want[VIVO_NAME_MAX + 1], name[VIVO_NAME_MAX + 1] = "";
    char kept = path[len];
    vivo_row now = 0;
    int rc;

    path[len] = 0;
    rc = make_name(p, level, parent, path, true, want);
    if (rc == 0)
        rc = find_folder(p, path, len, row, &now, name);
    if (rc == 0 && *row == 0)
        rc = insert_folder(p, path, len, row);
    if (rc == 0 && (now != parent || strcmp(name, want) != 0))
        rc = name_folder(p, *row, parent, path, want);
    if (rc == 0 && vivo_catalog_rowset_add(&p->used, *row) < 0)
        rc = no_memory(p);
    path[len] = kept;
    return rc;
}

/* Bytes of the path of the nth folder above; 0 = none. */
static size_t kept_depth(const struct placing *p, vivo_row base, const char *dir,
                         size_t len)
{
    size_t n = 0;

    if (base != p->base)
        return 0;
    while (n < p->depth && p->above[n].len <= len &&
           memcmp(p->path, dir, p->above[n].len) == 0 &&
           (dir[p->above[n].len] == '/' || p->above[n].len == len))
        n++;
    return n;
}

/* The folder that the first len bytes of the path name, with all above it. */
static int enter(struct placing *p, vivo_row base, char *path, size_t len,
                 vivo_row *row)
{
    int rc = 0;

    p->depth = kept_depth(p, base, path, len);
    p->base = base;
    *row = p->depth ? p->above[p->depth - 1].row : base;
    for (size_t at = p->depth ? p->above[p->depth - 1].len + 1 : 0;
         rc == 0 && at < len;) {
        size_t end = at + strcspn(path + at, "/");
        rc = need_folder(p, path, end, *row, row);
        p->above[p->depth].len = end;
        p->above[p->depth++].row = *row;
        at = end + 1;
    }
    memcpy(p->path, path, len);
    return rc;
}

/* ---- files ------------------------------------------------------------------------
 */

static void read_file(sqlite3_stmt *st, const char *before, struct file *f)
{
    struct vivo_attrs path = vivo_catdb_column_attrs(st, 5);
    struct vivo_attrs key = vivo_catdb_column_attrs(st, 6);
    size_t n = VIVO_MIN(path.len, (size_t)VIVO_PATH_MAX - 1);

    f->id = sqlite3_column_int64(st, 0);
    f->parent = sqlite3_column_int64(st, 1);
    f->home = sqlite3_column_int64(st, 2);
    f->base = sqlite3_column_int64(st, 3);
    f->folder = sqlite3_column_int64(st, 4);
    snprintf(f->name, sizeof f->name, "%s", vivo_catdb_column_text(st, 7));
    memcpy(f->path, path.data, n);
    f->path[n] = 0;
    f->again = strcmp(before, f->path) == 0;
    f->key[0] = 0;
    if (key.len == VIVO_CATALOG_KEY_LEN)
        vivo_hex(key.data, key.len, f->key);
}

/* Where the file belongs: *parent, and its home. */
static int find_place(struct placing *p, struct file *f, vivo_row *parent,
                      vivo_row *home, enum vivo_level *level)
{
    const vivo_row *series = series_of(p, f->folder);
    const char *slash = strrchr(f->path, '/');

    *level = series && *series > 0 ? VIVO_LEVEL_SERIES : base_level(p);
    *home = series && *series > 0 ? *series : f->base;
    *parent = *home;
    if ((series && *series > 0) || !slash)
        return 0;
    return enter(p, f->base, f->path, (size_t)(slash - f->path), parent);
}

/* The name that the file has if nothing else is in its way. */
static int want_name(struct placing *p, const struct file *f, vivo_row parent,
                     vivo_row home, enum vivo_level level, char out[VIVO_NAME_MAX + 1])
{
    char identity[VIVO_PATH_MAX + sizeof f->key];
    const char *slash = strrchr(f->path, '/');

    if (!f->again)
        return make_name(p, parent == home ? level : VIVO_LEVEL_NONE, parent, f->path,
                         false, out);
    snprintf(identity, sizeof identity, "%s%s", f->path, f->key);
    vivo_name_extra(slash ? slash + 1 : f->path, identity, false, true, out);
    return 0;
}

/* First pass: folders are made, and what is not where it belongs loses its place. */
static int check_file(struct placing *p, struct file *f)
{
    char name[VIVO_NAME_MAX + 1];
    enum vivo_level level;
    vivo_row parent, home;
    int rc = find_place(p, f, &parent, &home, &level);

    if (rc < 0 || f->parent < 0)
        return rc;
    rc = want_name(p, f, parent, home, level, name);
    if (rc < 0 || (parent == f->parent && home == f->home && !strcmp(name, f->name)))
        return rc;
    return unplace(p, f->id);
}

static int put_file(struct placing *p, const struct file *f, vivo_row parent,
                    vivo_row home, enum vivo_level level, const char *name, bool *done)
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&p->w->db,
                        "UPDATE OR IGNORE extra SET parent = ?2, name = ?3, home = ?4,"
                        " hlevel = ?5 WHERE id = ?1",
                        p->err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, f->id);
    vivo_catdb_int(st, 2, parent);
    vivo_catdb_text(st, 3, name);
    vivo_catdb_int(st, 4, home);
    vivo_catdb_int(st, 5, level);
    rc = vivo_catdb_run(&p->w->db, st, p->err);
    *done = rc == 0 && sqlite3_changes(p->w->db.db) > 0;
    p->w->dirty = true;
    return rc;
}

/* Second pass: what has no place gets one; a name that a folder has is marked. */
static int place_file(struct placing *p, struct file *f)
{
    const char *slash = strrchr(f->path, '/');
    char identity[VIVO_PATH_MAX + sizeof f->key];
    char name[VIVO_NAME_MAX + 1];
    enum vivo_level level;
    vivo_row parent, home;
    bool done = false;
    int rc;

    if (f->parent >= 0)
        return 0;
    rc = find_place(p, f, &parent, &home, &level);
    if (rc == 0)
        rc = want_name(p, f, parent, home, level, name);
    for (int tries = 0; rc == 0 && !done && tries < 3; tries++) {
        if (tries > 0) {
            snprintf(identity, sizeof identity, "%s%s", f->path,
                     tries > 1 ? f->key : "");
            vivo_name_extra(slash ? slash + 1 : f->path, identity, false, true, name);
        }
        rc = put_file(p, f, parent, home, level, name, &done);
    }
    return rc < 0 || done ? rc : vivo_fail(p->err, EIO, "catalog: no free name");
}

static int each_file(struct placing *p, int (*fn)(struct placing *p, struct file *f))
{
    sqlite3_stmt *st =
        vivo_catdb_stmt(&p->w->db,
                        "SELECT id, parent, home, base, folder, path, key, name"
                        " FROM extra WHERE owner = ?1 AND via = ?2 AND kind = 0"
                        " ORDER BY base, path, key",
                        p->err);
    VIVO_AUTO(vivo_free_p) struct file *f = calloc(1, sizeof *f);
    char before[VIVO_PATH_MAX] = "";
    vivo_row base = 0;
    int rc;

    if (!st || !f)
        return f ? -EIO : no_memory(p);
    p->depth = 0;
    vivo_catdb_int(st, 1, p->owner);
    vivo_catdb_int(st, 2, p->via);
    while ((rc = vivo_catdb_step(&p->w->db, st, p->err)) == 1) {
        read_file(st, base == sqlite3_column_int64(st, 3) ? before : "", f);
        base = f->base;
        memcpy(before, f->path, strlen(f->path) + 1);
        rc = fn(p, f);
        if (rc == 0)
            continue;
        sqlite3_reset(st);
        return rc;
    }
    return rc;
}

static int drop_unused(struct placing *p)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &p->w->db, "SELECT id FROM extra WHERE owner = ?1 AND via = ?2 AND kind = 1",
        p->err);
    struct vivo_rowset gone = {NULL, 0, 0};
    int changes, rc;

    if (!st)
        return -EIO;
    vivo_catalog_rowset_sort(&p->used);
    vivo_catdb_int(st, 1, p->owner);
    vivo_catdb_int(st, 2, p->via);
    while ((rc = vivo_catdb_step(&p->w->db, st, p->err)) == 1) {
        vivo_row row = sqlite3_column_int64(st, 0);
        if (vivo_catalog_rowset_has(&p->used, row) ||
            vivo_catalog_rowset_add(&gone, row) == 0)
            continue;
        sqlite3_reset(st);
        rc = no_memory(p);
        break;
    }
    for (size_t i = 0; rc == 0 && i < gone.n; i++)
        rc = bind_and_run(p, "DELETE FROM extra WHERE id = ?1", gone.rows[i], 0, NULL,
                          &changes);
    free(gone.rows);
    return rc;
}

int vivo_catalog_place(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       struct vivo_err *err)
{
    struct placing *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return vivo_fail(err, ENOMEM, "catalog: out of memory");
    p->c = c;
    p->w = &c->w;
    p->via = level;
    p->owner = row;
    p->err = err;
    rc = read_folders(p);
    if (rc == 0 && p->folders.n)
        rc = read_series(p);
    if (rc == 0 && p->folders.n)
        rc = each_file(p, check_file);
    if (rc == 0 && p->folders.n)
        rc = each_file(p, place_file);
    if (rc == 0)
        rc = drop_unused(p);
    free(p->folders.rows);
    free(p->series);
    free(p->used.rows);
    free(p);
    return rc;
}

int vivo_catalog_unplaced(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                          struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db,
        "SELECT 1 FROM extra WHERE parent < 0 AND owner = ?1 AND via = ?2 LIMIT 1",
        err);
    int64_t there = 0;
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, row);
    vivo_catdb_int(st, 2, level);
    rc = vivo_catdb_number(&w->db, st, 0, &there, err);
    return rc < 0 ? rc : there != 0;
}
