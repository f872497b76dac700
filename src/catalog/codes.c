/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/codes.c -- numbers of values: given when columns are made, read back.
 *
 * A row of `code` is a block of 256 values of one attribute: VR (2 bytes), length (1),
 * bytes, each. An empty row with the last block number shuts the attribute. */
#include "catalog/codes.h"

#include "catalog/column.h"

#include <errno.h>
#include <string.h>

#define SHUT 0x7FFFFFFF        /* no block has this number */
#define ENTRY 3                /* bytes before a value */
#define MEMORY_MAX (24u << 20) /* bytes of all that is remembered */
#define TRIAL 2048             /* new values before they are weighed: */
#define WORTH 4                /* members that a value should have */

struct vivo_codes {
    uint32_t tag;
    bool shut, shut_now;  /* now: not written yet */
    struct vivo_buf text; /* entries, in order of their numbers */
    uint32_t *at;         /* of each in `text` */
    uint32_t *slots;      /* open addressing: number, or 0 */
    size_t n, cap, nslots, written;
    size_t asked, given; /* in this run */
};

struct vivo_code_table {
    struct vivo_codes **all; /* by tag */
    size_t n, cap, bytes;
};

static int64_t block_id(uint32_t tag, uint32_t block)
{
    return (int64_t)tag << 31 | block;
}

/* ---- what they mean
 * ----------------------------------------------------------------- */

static int open_block(struct vivo_catdb *d, uint32_t tag, uint32_t block,
                      struct vivo_code_block *out, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(d, "SELECT data FROM code WHERE id = ?1", err);
    int rc;

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, block_id(tag, block));
    rc = vivo_catdb_step(d, st, err);
    if (rc == 1)
        *out = (struct vivo_code_block){vivo_catdb_column_attrs(st, 0), st, tag};
    return rc;
}

int vivo_catalog_code_block(struct vivo_catdb *d, uint32_t tag, uint16_t code,
                            struct vivo_code_block *out, uint16_t *first,
                            struct vivo_err *err)
{
    uint32_t block = (uint32_t)(code - 1) / VIVO_CODES_BLOCK;

    if (code == VIVO_CODES_ABSENT)
        return 0;
    *first = (uint16_t)(block * VIVO_CODES_BLOCK + 1);
    return open_block(d, tag, block, out, err);
}

bool vivo_catalog_code_next(struct vivo_code_block *b, struct vivo_attr *out)
{
    size_t len = b->rest.len < ENTRY ? 0 : b->rest.data[2];

    if (b->rest.len < ENTRY + len)
        return false;
    *out = (struct vivo_attr){
        .tag = b->tag, .value = b->rest.data + ENTRY, .len = (uint32_t)len};
    memcpy(out->vr, b->rest.data, 2);
    b->rest.data += ENTRY + len;
    b->rest.len -= ENTRY + len;
    return true;
}

void vivo_catalog_code_close(struct vivo_code_block *b)
{
    sqlite3_reset(b->st);
}

/* ---- remembering
 * -------------------------------------------------------------------- */

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "catalog: out of memory");
}

static void release(struct vivo_codes *k)
{
    vivo_buf_free(&k->text);
    free(k->at);
    free(k->slots);
    k->at = k->slots = NULL;
    k->n = k->cap = k->nslots = 0;
}

static size_t bytes_of(const struct vivo_codes *k)
{
    return k->text.cap + k->cap * sizeof *k->at + k->nslots * sizeof *k->slots;
}

/* The slot of a value: its number stands there, or 0. */
static uint32_t *find_slot(const struct vivo_codes *k, const uint8_t *entry, size_t len)
{
    size_t i = vivo_catalog_hash_bytes(entry, len) & (k->nslots - 1);

    for (; k->slots[i]; i = (i + 1) & (k->nslots - 1)) {
        const uint8_t *e = k->text.data + k->at[k->slots[i] - 1];
        if (e[2] == len - ENTRY && memcmp(e, entry, len) == 0)
            break;
    }
    return &k->slots[i];
}

static int grow(struct vivo_codes *k)
{
    size_t cap = k->cap ? 2 * k->cap : 64;
    uint32_t *at = realloc(k->at, cap * sizeof *at), *slots;

    if (!at)
        return -ENOMEM;
    k->at = at;
    slots = calloc(2 * cap, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    free(k->slots);
    k->slots = slots;
    k->nslots = 2 * cap;
    k->cap = cap;
    for (size_t i = 0; i < k->n; i++) {
        const uint8_t *e = k->text.data + k->at[i];
        *find_slot(k, e, ENTRY + (size_t)e[2]) = (uint32_t)i + 1;
    }
    return 0;
}

static int append(struct vivo_writer *w, struct vivo_codes *k, const uint8_t *entry,
                  size_t len)
{
    size_t before = bytes_of(k);
    int rc = 0;

    if (k->n == k->cap)
        rc = grow(k);
    if (rc == 0)
        rc = vivo_buf_add(&k->text, entry, len);
    if (rc < 0)
        return -ENOMEM;
    k->at[k->n++] = (uint32_t)(k->text.len - len);
    *find_slot(k, entry, len) = (uint32_t)k->n;
    w->codes->bytes += bytes_of(k) - before;
    return 0;
}

static int load(struct vivo_writer *w, struct vivo_codes *k, struct vivo_err *err)
{
    struct vivo_code_block b;
    struct vivo_attr a;
    int rc = open_block(&w->db, k->tag, SHUT, &b, err);

    if (rc == 1) {
        k->shut = true;
        vivo_catalog_code_close(&b);
        return 0;
    }
    for (uint32_t i = 0; rc == 0 && i < VIVO_CODES / VIVO_CODES_BLOCK; i++) {
        rc = open_block(&w->db, k->tag, i, &b, err);
        if (rc != 1)
            return rc;
        rc = 0;
        while (rc == 0 && vivo_catalog_code_next(&b, &a))
            rc = append(w, k, a.value - ENTRY, ENTRY + a.len) < 0 ? no_memory(err) : 0;
        vivo_catalog_code_close(&b);
    }
    k->written = k->n;
    return rc;
}

static struct vivo_codes *add_codes(struct vivo_code_table *t, size_t at, uint32_t tag)
{
    struct vivo_codes *k;

    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct vivo_codes **all = realloc(t->all, cap * sizeof *all);
        if (!all)
            return NULL;
        t->all = all;
        t->cap = cap;
    }
    k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->tag = tag;
    vivo_buf_init(&k->text, (size_t)VIVO_CODES * (ENTRY + VIVO_CODES_VALUE));
    memmove(&t->all[at + 1], &t->all[at], (t->n - at) * sizeof *t->all);
    t->all[at] = k;
    t->n++;
    return k;
}

struct vivo_codes *vivo_catalog_codes(struct vivo_writer *w, uint32_t tag,
                                      struct vivo_err *err)
{
    size_t lo = 0, hi = w->codes ? w->codes->n : 0;
    struct vivo_codes *k;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (w->codes->all[mid]->tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (w->codes && lo < w->codes->n && w->codes->all[lo]->tag == tag)
        return w->codes->all[lo];
    if (!w->codes)
        w->codes = calloc(1, sizeof *w->codes);
    k = w->codes ? add_codes(w->codes, lo, tag) : NULL;
    if (!k) {
        no_memory(err);
        return NULL;
    }
    /* Half loaded it would give numbers that are taken. */
    if (load(w, k, err) < 0) {
        vivo_catalog_codes_forget(w);
        return NULL;
    }
    return k;
}

void vivo_catalog_codes_forget(struct vivo_writer *w)
{
    if (!w->codes)
        return;
    for (size_t i = 0; i < w->codes->n; i++) {
        release(w->codes->all[i]);
        free(w->codes->all[i]);
    }
    free(w->codes->all);
    free(w->codes);
    w->codes = NULL;
}

/* ---- giving
 * ------------------------------------------------------------------------- */

/* Values that few members share are better kept by the series themselves. */
static bool is_worth(const struct vivo_codes *k)
{
    return k->given < TRIAL || k->asked / WORTH >= k->given;
}

int vivo_catalog_codes_give(struct vivo_writer *w, struct vivo_codes *k, const char *vr,
                            const uint8_t *value, size_t len, uint16_t *code,
                            struct vivo_err *err)
{
    uint8_t entry[ENTRY + VIVO_CODES_VALUE];
    uint32_t number;

    if (k->shut || len > VIVO_CODES_VALUE)
        return 0;
    memcpy(entry, vr, 2);
    entry[2] = (uint8_t)len;
    if (len)
        memcpy(entry + ENTRY, value, len);
    k->asked++;
    number = k->nslots ? *find_slot(k, entry, ENTRY + len) : 0;
    if (number) {
        *code = (uint16_t)number;
        return 1;
    }
    if (w->codes->bytes > MEMORY_MAX) /* of the others; it is nobody's fault */
        return 0;
    if (k->n == VIVO_CODES - 1 || !is_worth(k)) {
        k->shut = k->shut_now = true;
        return 0;
    }
    if (append(w, k, entry, ENTRY + len) < 0)
        return no_memory(err);
    k->given++;
    *code = (uint16_t)k->n;
    return 1;
}

static int write_block(struct vivo_writer *w, uint32_t tag, uint32_t block,
                       const uint8_t *data, size_t len, struct vivo_err *err)
{
    sqlite3_stmt *st = vivo_catdb_stmt(
        &w->db, "INSERT OR REPLACE INTO code(id, data) VALUES(?1, ?2)", err);

    if (!st)
        return -EIO;
    vivo_catdb_int(st, 1, block_id(tag, block));
    vivo_catdb_blob(st, 2, data, len);
    return vivo_catdb_run(&w->db, st, err);
}

static int flush_one(struct vivo_writer *w, struct vivo_codes *k, struct vivo_err *err)
{
    int rc = 0;

    for (size_t i = k->written / VIVO_CODES_BLOCK * VIVO_CODES_BLOCK;
         rc == 0 && k->written < k->n && i < k->n; i += VIVO_CODES_BLOCK) {
        size_t next = i + VIVO_CODES_BLOCK;
        size_t end = next < k->n ? k->at[next] : k->text.len;
        rc = write_block(w, k->tag, (uint32_t)(i / VIVO_CODES_BLOCK),
                         k->text.data + k->at[i], end - k->at[i], err);
    }
    if (rc == 0 && k->shut_now)
        rc = write_block(w, k->tag, SHUT, (const uint8_t *)"", 0, err);
    if (rc < 0)
        return rc;
    k->written = k->n;
    if (k->shut_now) {
        w->codes->bytes -= bytes_of(k);
        release(k);
        k->written = 0;
        k->shut_now = false;
    }
    return 0;
}

int vivo_catalog_codes_flush(struct vivo_writer *w, struct vivo_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && w->codes && i < w->codes->n; i++)
        rc = flush_one(w, w->codes->all[i], err);
    return rc;
}
