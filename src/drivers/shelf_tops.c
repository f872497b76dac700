/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/shelf_tops.c -- the collections of an archive that knows them by ids;
 * see shelf.h. */
#include "shelf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 1000000u
#define ARENA_BYTES (256u << 20)

struct vivo_shelf_top {
    char id[VIVO_SHELF_ID_MAX + 1];
    const char *name; /* in the arena */
};

int vivo_shelf_tops_add(struct vivo_shelf_tops *t, const char *id, const char *name,
                        struct vivo_err *err)
{
    if (!t->arena)
        t->arena = vivo_arena_new(ARENA_BYTES);
    struct vivo_shelf_top *rows =
        vivo_array_grow(t->rows, t->n, &t->cap, sizeof *rows, ROWS_MAX);
    if (!rows)
        return vivo_fail(err, t->n >= ROWS_MAX ? EIO : ENOMEM, "too many collections");
    t->rows = rows;
    struct vivo_shelf_top *r = &t->rows[t->n];
    snprintf(r->id, sizeof r->id, "%s", id);
    r->name = t->arena ? vivo_arena_strndup(t->arena, name, strlen(name)) : NULL;
    if (!r->name)
        return vivo_fail(err, ENOMEM, "collections: out of memory");
    t->n++;
    return 0;
}

void vivo_shelf_tops_free(struct vivo_shelf_tops *t)
{
    vivo_arena_free(t->arena);
    free(t->rows);
    *t = (struct vivo_shelf_tops){0};
}

static int by_name(const void *a, const void *b)
{
    const struct vivo_shelf_top *x = a;
    const struct vivo_shelf_top *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->id, y->id);
}

/* Two of one name, or one without: told apart by their ids. */
static int emit(const struct vivo_shelf_top *r, bool plain, char kind,
                struct vivo_intake *in, struct vivo_op *op)
{
    char locator[VIVO_SHELF_ID_MAX + 3];
    char name[VIVO_SHELF_NAME_MAX + VIVO_SHELF_ID_MAX + 2];
    snprintf(locator, sizeof locator, "%c/%s", kind, r->id);
    if (plain)
        snprintf(name, sizeof name, "%s", r->name);
    else
        snprintf(name, sizeof name, "%s%s%s", r->name, r->name[0] ? " " : "", r->id);
    const struct vivo_record rec = {
        .level = VIVO_LEVEL_COLLECTION, .locator = locator, .collection = name};
    return in->record(in, &rec, &op->err);
}

int vivo_shelf_tops_emit(struct vivo_shelf_tops *t, char kind, struct vivo_intake *in,
                         struct vivo_op *op)
{
    int rc = 0;
    if (t->n > 1)
        qsort(t->rows, t->n, sizeof *t->rows, by_name);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct vivo_shelf_top *r = &t->rows[i];
        bool same = i > 0 && strcmp(r->name, r[-1].name) == 0;
        if (same && strcmp(r->id, r[-1].id) == 0)
            continue;
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = emit(r, r->name[0] && !same, kind, in, op);
    }
    return rc;
}
