/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_table.h -- the members of an archive by number and by locator. Not
 * thread-safe. */
#ifndef VIVOFS_DRIVERS_PACK_TABLE_H
#define VIVOFS_DRIVERS_PACK_TABLE_H

#include "vivofs/base.h"

#include <stdbool.h>

/* Where the bytes of a member are; PACK_CANNOT = they cannot be decoded. */
enum pack_where { PACK_NOWHERE, PACK_IN_FILE, PACK_IN_SPOOL, PACK_CANNOT };

struct pack_row {
    char *locator;
    uint64_t size, off; /* off: in the file or spool */
    uint32_t twin;      /* of a path's first bearer: 1 + the last one; 0 = itself */
    uint32_t twins;     /* of it: how many more bear its path */
    enum pack_where where;
    bool dicom, folder;
    bool regular;    /* a file that can be read */
    bool sized;      /* size is its size */
    bool superseded; /* a later member has the same path */
};

struct pack_table {
    struct pack_row *rows; /* in the order of the archive */
    size_t n, cap;
    uint32_t *slots; /* 1 + index by hash of the locator; 0 = free */
    size_t nslots;   /* power of two */
    uint64_t seed, names;
};

int pack_table_init(struct pack_table *t); /* 0 or -EIO; frees nothing */
void pack_table_free(struct pack_table *t);

/* NULL = no member has this locator. Until the next member is added. */
struct pack_row *pack_table_find(const struct pack_table *t, const char *locator);

/* Adds a member at the end. Its locator is its path, or made of it when another has
 * that: "path//2"; the other is superseded. 0 or -ENOMEM. */
int pack_table_add(struct pack_table *t, const char *path, const struct pack_row *is);

#endif
