/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/db.h -- one SQLite connection with its prepared statements.
 *
 * The only door to SQLite in this module. SQL texts are string constants and are
 * prepared once per connection; values are always bound. A connection belongs to one
 * thread at a time. */
#ifndef VIVOFS_CATALOG_DB_H
#define VIVOFS_CATALOG_DB_H

#include "vivofs/buf.h"
#include "vivofs/model.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stdint.h>

#define VIVO_CATDB_SLOTS 224

struct vivo_catdb {
    sqlite3 *db;
    struct {
        const char *sql; /* a string constant: compared by address */
        sqlite3_stmt *st;
    } slots[VIVO_CATDB_SLOTS];
    size_t n;
    bool corrupt; /* SQLite said so: the file must be begun anew */
};

/* busy_ms: how long to wait for other processes. */
int vivo_catdb_open(struct vivo_catdb *d, const char *path, bool writer, int busy_ms,
                    struct vivo_err *err);
void vivo_catdb_close(struct vivo_catdb *d);

/* The prepared statement, reset and without bindings. NULL: err is set. */
sqlite3_stmt *vivo_catdb_stmt(struct vivo_catdb *d, const char *sql,
                              struct vivo_err *err);
/* 1 = a row; 0 = done; negative errno. After 0 or an error it is reset. A caller that
 * stops at a row resets it (sqlite3_reset). */
int vivo_catdb_step(struct vivo_catdb *d, sqlite3_stmt *st, struct vivo_err *err);
/* Steps to the end, ignoring rows: 0 or negative errno. */
int vivo_catdb_run(struct vivo_catdb *d, sqlite3_stmt *st, struct vivo_err *err);
/* Prepares and runs a statement without bindings. */
int vivo_catdb_do(struct vivo_catdb *d, const char *sql, struct vivo_err *err);
/* First column of the first row, `none` without a row. */
int vivo_catdb_number(struct vivo_catdb *d, sqlite3_stmt *st, int64_t none,
                      int64_t *out, struct vivo_err *err);

/* Bindings stay the caller's until the statement is reset. Failures (out of memory)
 * show when the statement is stepped. */
void vivo_catdb_int(sqlite3_stmt *st, int n, int64_t v);
void vivo_catdb_text(sqlite3_stmt *st, int n, const char *s); /* NULL = NULL */
void vivo_catdb_blob(sqlite3_stmt *st, int n, const void *p, size_t len);

/* "" for NULL. Borrowed until the statement moves. */
const char *vivo_catdb_column_text(sqlite3_stmt *st, int n);
struct vivo_attrs vivo_catdb_column_attrs(sqlite3_stmt *st, int n);

#endif
