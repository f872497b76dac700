/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/codes.h -- distinct values of an attribute, numbered.
 *
 * A column says of each member the number of its value: a condition is then decided
 * once for each value of the archive and looked up for each member, and a facet is
 * a count of numbers. Numbers are given when columns are made and keep their meaning;
 * 0 is no value. An attribute with too many different values is shut: series that are
 * packed after that keep their values themselves (column.h). */
#ifndef VIVOFS_CATALOG_CODES_H
#define VIVOFS_CATALOG_CODES_H

#include "catalog/internal.h"

#define VIVO_CODES 65536     /* numbers of an attribute, 0 included */
#define VIVO_CODES_BLOCK 256 /* numbers in a row of `code` */
#define VIVO_CODES_VALUE 64  /* bytes of a value that gets one */
#define VIVO_CODES_ABSENT 0  /* the member has no such attribute */

/* ---- giving them (writer locked, in a transaction) --------------------------------
 */

/* Of one attribute, loaded when first asked for; remembered by the writer until
 * vivo_catalog_codes_forget. NULL: err is set. */
struct vivo_codes;
struct vivo_codes *vivo_catalog_codes(struct vivo_writer *w, uint32_t tag,
                                      struct vivo_err *err);
/* 1: *code is the value's number; 0: it has none; negative errno. */
int vivo_catalog_codes_give(struct vivo_writer *w, struct vivo_codes *k, const char *vr,
                            const uint8_t *value, size_t len, uint16_t *code,
                            struct vivo_err *err);
/* Writes what was given since. */
int vivo_catalog_codes_flush(struct vivo_writer *w, struct vivo_err *err);
void vivo_catalog_codes_forget(struct vivo_writer *w);

/* ---- what they mean ---------------------------------------------------------------
 */

struct vivo_code_block { /* close it before the next is opened */
    struct vivo_attrs rest;
    sqlite3_stmt *st;
    uint32_t tag;
};
/* 1 = open, at the first number of the block that `code` is in, which is *first;
 * 0 = there is none; negative errno. */
int vivo_catalog_code_block(struct vivo_catdb *d, uint32_t tag, uint16_t code,
                            struct vivo_code_block *out, uint16_t *first,
                            struct vivo_err *err);
bool vivo_catalog_code_next(struct vivo_code_block *b, struct vivo_attr *out);
void vivo_catalog_code_close(struct vivo_code_block *b);

#endif
