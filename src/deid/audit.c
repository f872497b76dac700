/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/audit.c -- notes of what was done, counted by place and action. */
#include "audit.h"

#include <errno.h>
#include <string.h>

#define PATH_MAX_TAGS (VIVO_DCM_DEPTH_MAX + 2)
#define NOTES_MAX 65536 /* different ones in an object; a header has hundreds */

struct note {
    uint32_t *path; /* owned */
    uint32_t depth; /* tags in path */
    enum vivo_did did;
    size_t count;
};

struct vivo_audit {
    uint32_t path[PATH_MAX_TAGS];
    uint32_t depth;
    struct note *notes;
    size_t n, cap;
    uint32_t *slots; /* index of a note + 1, by hash; a power of two of them */
    size_t nslots;
    int failed;
};

struct vivo_audit *vivo_audit_new(void)
{
    return calloc(1, sizeof(struct vivo_audit));
}

void vivo_audit_free(struct vivo_audit *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        free(a->notes[i].path);
    free(a->notes);
    free(a->slots);
    free(a);
}

void vivo_audit_enter(struct vivo_audit *a, uint32_t tag)
{
    if (a && a->depth < PATH_MAX_TAGS)
        a->path[a->depth] = tag;
    if (a)
        a->depth++;
}

void vivo_audit_leave(struct vivo_audit *a)
{
    if (a)
        a->depth--;
}

/* FNV-1a over words: the tags are the file's, but 65,536 notes bound what anybody can
 * gain by making them collide. */
static uint32_t hash(const uint32_t *path, uint32_t depth, enum vivo_did did)
{
    uint32_t h = 2166136261u ^ (uint32_t)did;
    for (uint32_t i = 0; i < depth; i++)
        h = (h ^ path[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool is_same(const struct note *n, const uint32_t *path, uint32_t depth,
                    enum vivo_did did)
{
    return n->did == did && n->depth == depth &&
           memcmp(n->path, path, depth * sizeof *path) == 0;
}

static uint32_t *slot_of(const struct vivo_audit *a, const uint32_t *path,
                         uint32_t depth, enum vivo_did did)
{
    size_t at = hash(path, depth, did) & (a->nslots - 1);
    while (a->slots[at] && !is_same(&a->notes[a->slots[at] - 1], path, depth, did))
        at = (at + 1) & (a->nslots - 1);
    return &a->slots[at];
}

/* Room for one more note, and for its slot. */
static int grow(struct vivo_audit *a)
{
    if (a->n < a->cap)
        return 0;
    size_t cap = a->cap ? 2 * a->cap : 256;
    if (cap > NOTES_MAX)
        return -ENOSPC;
    struct note *notes = realloc(a->notes, cap * sizeof *notes);
    if (!notes)
        return -ENOMEM;
    a->notes = notes;
    uint32_t *slots = calloc(2 * cap, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    free(a->slots);
    a->slots = slots;
    a->nslots = 2 * cap;
    a->cap = cap;
    for (size_t i = 0; i < a->n; i++)
        *slot_of(a, notes[i].path, notes[i].depth, notes[i].did) = (uint32_t)i + 1;
    return 0;
}

static int add(struct vivo_audit *a, enum vivo_did did)
{
    int rc = grow(a);
    if (rc)
        return rc;
    uint32_t *slot = slot_of(a, a->path, a->depth, did);
    if (*slot) {
        a->notes[*slot - 1].count++;
        return 0;
    }
    uint32_t *path = malloc(a->depth * sizeof *path);
    if (!path)
        return -ENOMEM;
    memcpy(path, a->path, a->depth * sizeof *path);
    a->notes[a->n++] = (struct note){path, a->depth, did, 1};
    *slot = (uint32_t)a->n;
    return 0;
}

void vivo_audit_note(struct vivo_audit *a, uint32_t tag, enum vivo_did did)
{
    if (!a || did == VIVO_DID_NOTHING || a->failed)
        return;
    vivo_audit_enter(a, tag);
    a->failed = a->depth > PATH_MAX_TAGS ? -ENOSPC : add(a, did);
    vivo_audit_leave(a);
}

static int compare(const void *x, const void *y)
{
    const struct note *a = x, *b = y;
    for (uint32_t i = 0; i < a->depth && i < b->depth; i++)
        if (a->path[i] != b->path[i])
            return a->path[i] < b->path[i] ? -1 : 1;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return (a->did > b->did) - (a->did < b->did);
}

static int print_note(const struct note *n, bool first, struct vivo_buf *out)
{
    static const char *const words[] = {
        [VIVO_DID_NOTHING] = "",
        [VIVO_DID_KEEP] = "kept",
        [VIVO_DID_REMOVE] = "removed",
        [VIVO_DID_EMPTY] = "emptied",
        [VIVO_DID_DUMMY] = "dummy",
        [VIVO_DID_UID] = "uid",
        [VIVO_DID_PSEUDONYM] = "pseudonym",
        [VIVO_DID_SHIFT] = "shifted",
        [VIVO_DID_CLEAN] = "cleaned",
        [VIVO_DID_CODE] = "code",
        [VIVO_DID_BLANK] = "blanked",
        [VIVO_DID_SCRIPT] = "script",
        [VIVO_DID_ADD] = "added",
    };
    int rc = vivo_buf_puts(out, first ? "{\"tag\":\"" : ",{\"tag\":\"");
    for (uint32_t i = 0; !rc && i < n->depth; i++)
        rc = vivo_buf_printf(out, "%s%08X", i ? "." : "", n->path[i]);
    if (!rc)
        rc = vivo_buf_printf(out, "\",\"action\":\"%s\"", words[n->did]);
    if (!rc && n->count > 1)
        rc = vivo_buf_printf(out, ",\"count\":%zu", n->count);
    return rc ? rc : vivo_buf_puts(out, "}");
}

int vivo_audit_print(struct vivo_audit *a, struct vivo_buf *out)
{
    int rc = a->failed;
    if (!rc)
        rc = vivo_buf_puts(out, "[");
    if (a->n)
        qsort(a->notes, a->n, sizeof *a->notes, compare);
    for (size_t i = 0; !rc && i < a->n; i++)
        rc = print_note(&a->notes[i], i == 0, out);
    return rc ? rc : vivo_buf_puts(out, "]");
}
