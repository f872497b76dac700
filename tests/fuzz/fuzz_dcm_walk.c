/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_dcm_walk.c -- any bytes through the walker, and what it reports
 * through the writer. Beyond memory safety it holds the walker to its contract:
 * the same events however the bytes arrive, events that nest, values and ranges
 * inside the stream, and a copy that walks again. Seeds: pydicom's test_files. */
#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) ((x) ? (void)0 : __builtin_trap())

struct trace {
    struct vivo_dcm_writer *w;
    uint64_t size; /* of the stream; UINT64_MAX if it is inflated */
    uint64_t sum;  /* of all events */
    unsigned open; /* sequences and items */
    struct vivo_syntax syntax;
    uint64_t elements;
    bool ended;
};

static void mix(struct trace *t, uint64_t v)
{
    t->sum = (t->sum ^ v) * 0x9E3779B97F4A7C15u;
    t->sum ^= t->sum >> 29;
}

static void check(struct trace *t, enum vivo_dcm_event event,
                  const struct vivo_dcm_elem *e)
{
    MUST(!t->ended);
    t->elements += event != VIVO_DCM_META;
    mix(t, (uint64_t)event << 56 | e->tag);
    mix(t, e->offset);
    mix(t, e->length);
    mix(t, e->value_offset);
    mix(t, (uint64_t)e->depth << 32 | e->item);
    for (uint64_t i = 0; e->value && i < e->length; i++)
        mix(t, e->value[i]);
    MUST(e->depth <= VIVO_DCM_DEPTH_MAX);
    if (event != VIVO_DCM_END && event != VIVO_DCM_DATASET)
        MUST(e->value_offset > e->offset);
    if (e->value || event == VIVO_DCM_BULK || event == VIVO_DCM_FRAGMENTS)
        MUST(e->value_offset + e->length <= t->size);
    MUST(!e->cut || e->depth == 0);
}

static int copy(struct trace *t, enum vivo_dcm_event event,
                const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    switch (event) {
    case VIVO_DCM_DATASET:
        t->syntax = *e->syntax;
        return vivo_dcm_writer_new(e->syntax, 4 << 20, &t->w, err);
    case VIVO_DCM_ELEMENT:
        return vivo_dcm_write(t->w, e->tag, e->vr, e->value, (size_t)e->length, err);
    case VIVO_DCM_BULK:
        return vivo_dcm_write_range(t->w, e->tag, e->vr, e->value_offset, e->length,
                                    err);
    case VIVO_DCM_FRAGMENTS:
        return vivo_dcm_write_fragments(t->w, e->tag, e->vr, e->value_offset, e->length,
                                        err);
    case VIVO_DCM_SEQUENCE:
        MUST(t->open++ % 2 == 0);
        return vivo_dcm_write_sequence(t->w, e->tag, e->length_undefined, err);
    case VIVO_DCM_ITEM:
        MUST(t->open++ % 2 == 1);
        return vivo_dcm_write_item(t->w, e->length_undefined, err);
    case VIVO_DCM_ITEM_END:
        MUST(t->open > 0 && t->open-- % 2 == 0);
        return vivo_dcm_write_item_end(t->w, err);
    case VIVO_DCM_SEQUENCE_END:
        MUST(t->open-- % 2 == 1);
        return vivo_dcm_write_sequence_end(t->w, err);
    case VIVO_DCM_END:
        MUST(t->open == 0);
        t->ended = true;
        return 0;
    case VIVO_DCM_NONE:
        __builtin_trap();
    case VIVO_DCM_META:
        break;
    }
    return 0;
}

static int note(void *ctx, enum vivo_dcm_event event, const struct vivo_dcm_elem *e,
                struct vivo_err *err)
{
    struct trace *t = ctx;
    int rc;

    check(t, event, e);
    rc = copy(t, event, e, err);
    /* The writer has its own limits; they are no matter of the walker's. */
    if (rc)
        MUST(rc == -EINVAL || rc == -ENOSPC);
    return rc;
}

/* How inputs without preamble are walked; their size decides. */
static const struct vivo_syntax *assumed(const uint8_t *data, size_t size,
                                         unsigned *flags)
{
    static const char *const uids[] = {"", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                       "1.2.840.10008.1.2.2"};
    const char *uid = uids[size / 2 % 4];

    *flags = 0;
    if (size >= 132 && memcmp(data + 128, "DICM", 4) == 0)
        return NULL;
    *flags = size % 2 ? VIVO_DCM_WALK_BARE : 0;
    return vivo_dcm_syntax(uid, strlen(uid));
}

/* Walks in pieces of `piece` bytes (0 = at once). */
static int walk(const uint8_t *data, size_t size, size_t piece, struct trace *t,
                vivo_dcm_event_fn *fn)
{
    unsigned flags;
    const struct vivo_syntax *syntax = assumed(data, size, &flags);
    struct vivo_dcm_walk *w = NULL;
    struct vivo_err err = {0};
    int rc = vivo_dcm_walk_new(syntax, flags, 0, -1, fn, t, &w, &err);

    for (size_t at = 0; at < size && rc == 0;) {
        size_t n = piece && piece < size - at ? piece : size - at;
        rc = vivo_dcm_walk_push(w, at, data + at, n, &err);
        at += n;
    }
    if (rc == 0)
        rc = vivo_dcm_walk_finish(w, size, &err);
    vivo_dcm_walk_free(w);
    MUST(err.errnum == -rc);
    MUST(rc || t->ended);
    return rc;
}

static int note_again(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct trace *t = ctx;
    (void)err;
    check(t, event, e);
    t->ended |= event == VIVO_DCM_END;
    return 0;
}

/* Skips some sequences and items; what is reported must still nest. */
static int note_skipping(void *ctx, enum vivo_dcm_event event,
                         const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct trace *t = ctx;
    bool opens = event == VIVO_DCM_SEQUENCE || event == VIVO_DCM_ITEM;
    (void)err;
    check(t, event, e);
    if (opens && (e->offset >> 2) % 3 == 0)
        return VIVO_DCM_SKIP;
    if (opens)
        MUST(t->open++ % 2 == (event == VIVO_DCM_ITEM));
    if (event == VIVO_DCM_ITEM_END || event == VIVO_DCM_SEQUENCE_END)
        MUST(t->open > 0 && t->open-- % 2 == (event == VIVO_DCM_SEQUENCE_END));
    if (event == VIVO_DCM_ELEMENT || event == VIVO_DCM_BULK)
        MUST(t->open % 2 == 0);
    t->ended |= event == VIVO_DCM_END;
    return 0;
}

struct slice { /* a reader that is not the one of memory: it is asked and seeks */
    struct vivo_reader base;
    const uint8_t *data;
};

static int read_slice(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                      struct vivo_err *err)
{
    const struct slice *s = (const struct slice *)self;
    (void)err;
    MUST(off <= self->size && len <= self->size - off);
    memcpy(buf, s->data + off, len);
    return 0;
}

static int walk_seeking(const uint8_t *data, size_t size, struct trace *t)
{
    struct slice s = {.base = {.read = read_slice, .size = size}, .data = data};
    struct vivo_err err = {0};
    unsigned flags;
    const struct vivo_syntax *syntax = assumed(data, size, &flags);

    return vivo_dcm_walk_reader(&s.base, syntax, flags, -1, note_again, t, &err);
}

/* What was written must be a data set in the syntax that it was written in, with
 * as many elements. */
static void walk_copy(const struct trace *a, const uint8_t *data, size_t size)
{
    size_t n;
    const struct vivo_dcm_piece *p = vivo_dcm_writer_pieces(a->w, &n);
    struct vivo_buf all;
    struct trace b = {0};
    struct vivo_mem_reader r;
    struct vivo_err err = {0};

    vivo_buf_init(&all, 64 << 20);
    for (size_t i = 0; i < n; i++) {
        MUST(p[i].data || p[i].off + p[i].len <= size);
        MUST(vivo_buf_add(&all, p[i].data ? p[i].data : data + p[i].off,
                          (size_t)p[i].len) == 0);
    }
    b.size = all.len;
    vivo_mem_reader_init(&r, all.data, all.len);
    if (all.len > 0) {
        MUST(vivo_dcm_walk_reader(&r.base, &a->syntax, VIVO_DCM_WALK_BARE, -1,
                                  note_again, &b, &err) == 0);
        MUST(b.elements == a->elements);
    }
    vivo_buf_free(&all);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return vivo_dcm_global_init(NULL);
}

static bool is_deflated(const uint8_t *data, size_t size)
{
    static const char uid[] = "1.2.840.10008.1.2.1.99";
    return memmem(data, size, uid, sizeof uid - 1) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool deflated = is_deflated(data, size);
    struct trace a = {.size = deflated ? UINT64_MAX : size}, b = a, c = a, d = a;
    int rc = walk(data, size, 0, &a, note), again;

    vivo_dcm_probe(data, size < 4096 ? size : 4096, size);
    if (rc == 0 && !deflated)
        walk_copy(&a, data, size);
    if (rc != -EINVAL && rc != -ENOSPC) {
        again = walk(data, size, size % 13 + 1, &b, note_again);
        MUST(again == rc);
        /* Before what cannot be inflated more or less may have come out. */
        MUST(b.sum == a.sum || (deflated && rc));
        MUST(walk_seeking(data, size, &c) == rc);
        MUST(c.sum == b.sum || (deflated && rc));
    }
    /* Skipping overlooks faults, it never makes one. */
    again = walk(data, size, size % 17, &d, note_skipping);
    MUST(again == 0 || rc != 0);
    vivo_dcm_writer_free(a.w);
    return 0;
}
