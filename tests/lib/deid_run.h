/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/deid_run.h -- runs the de-identification engine over bytes in memory. */
#ifndef VIVO_TEST_DEID_RUN_H
#define VIVO_TEST_DEID_RUN_H

#include "deid/engine.h"
#include "dicom_make.h"

#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct run { /* what came out */
    int rc;
    struct vivo_err err;
    struct vivo_deid_report report;
    struct vivo_view *view;
    uint8_t *b;
    size_t n;
    struct vivo_buf attrs;
};

static inline struct vivo_key *test_key(char fill)
{
    char bytes[32];
    struct vivo_key *k = NULL;
    memset(bytes, fill, sizeof bytes);
    assert_int_equal(vivo_key_from(bytes, sizeof bytes, &k, NULL), 0);
    return k;
}

static inline int test_fd(const void *p, size_t n)
{
    struct vivo_err err = {0};
    int fd = vivo_file_nameless(NULL, &err);
    assert_true(fd >= 0);
    assert_int_equal(vivo_pwrite_full(fd, p, n, 0, &err), 0);
    return fd;
}

static inline void run_bytes(struct run *r, const struct vivo_deid *d, const void *p,
                             size_t n)
{
    memset(r, 0, sizeof *r);
    vivo_buf_init(&r->attrs, VIVO_ATTRS_MAX);
    int fd = test_fd(p, n);
    struct vivo_identity id;
    assert_int_equal(vivo_identity_of(fd, &id, NULL), 0);
    r->rc = vivo_deid_object(d, fd, &id, n, &r->view, &r->attrs, &r->report, &r->err);
    if (r->rc) {
        assert_null(r->view);
        assert_int_equal(close(fd), 0); /* the descriptor is still the caller's */
        return;
    }
    r->n = (size_t)vivo_view_size(r->view);
    assert_int_equal(r->report.size, r->n);
    r->b = malloc(r->n + 1);
    assert_non_null(r->b);
    assert_int_equal(vivo_view_pread(r->view, r->b, r->n, 0, &r->err), r->n);
}

static inline void run_free(struct run *r)
{
    vivo_view_unref(r->view);
    vivo_buf_free(&r->attrs);
    free(r->b);
    memset(r, 0, sizeof *r);
}

static inline struct vivo_deid *
test_profile(const char *words, enum vivo_burned_in burned_in, const struct vivo_key *k)
{
    struct vivo_err err = {0};
    struct vivo_deid *d = NULL;
    int rc = vivo_deid_new(words, burned_in, k, &d, &err);
    if (rc)
        fail_msg("%s", err.text);
    return d;
}

/* One profile, one key, one object. */
static inline void run_profile(struct run *r, const char *words, const struct make *m)
{
    struct vivo_key *k = test_key('k');
    struct vivo_deid *d = test_profile(words, VIVO_BURNED_IN_REFUSE, k);
    run_bytes(r, d, m->b, m->n);
    vivo_deid_free(d);
    vivo_key_free(k);
}

static inline bool has_bytes(const void *hay, size_t n, const void *needle, size_t len)
{
    return n && memmem(hay, n, needle, len) != NULL;
}

static inline bool has_token(const struct run *r, const char *token)
{
    return has_bytes(r->b, r->n, token, strlen(token)) ||
           has_bytes(r->attrs.data, r->attrs.len, token, strlen(token));
}

struct lookup { /* one element of the output, found by tag and depth */
    uint32_t tag;
    unsigned depth;
    unsigned count; /* how many there are */
    bool sequence, ended;
    unsigned items;
    char vr[3];
    char value[1024];
    size_t length;
    uint64_t offset;
    char syntax[80];
    uint32_t last; /* tag, for the order */
    bool disordered;
};

static inline int lookup_event(void *ctx, enum vivo_dcm_event event,
                               const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct lookup *l = ctx;
    (void)err;
    bool starts = event == VIVO_DCM_ELEMENT || event == VIVO_DCM_BULK ||
                  event == VIVO_DCM_FRAGMENTS || event == VIVO_DCM_SEQUENCE;
    bool meta = event == VIVO_DCM_META;
    if (event == VIVO_DCM_SEQUENCE_END && l->count && e->depth == l->depth)
        l->ended = true;
    if (event == VIVO_DCM_ITEM && l->sequence && !l->ended && e->depth == l->depth + 1)
        l->items++;
    if (starts && e->depth == 0) {
        l->disordered = l->disordered || e->tag <= l->last;
        l->last = e->tag;
    }
    if (!(starts || meta) || e->tag != l->tag || e->depth != l->depth)
        return 0;
    l->count++;
    l->sequence = event == VIVO_DCM_SEQUENCE;
    memcpy(l->vr, e->vr, 3);
    l->length = (size_t)e->length;
    l->offset = e->value_offset;
    memset(l->value, 0, sizeof l->value);
    if (e->value)
        memcpy(l->value, e->value, VIVO_MIN(l->length, sizeof l->value - 1));
    return 0;
}

/* Walks the output to its end, which must be possible. */
static inline struct lookup look_at(const struct run *r, uint32_t tag, unsigned depth)
{
    struct lookup l = {.tag = tag, .depth = depth};
    struct vivo_mem_reader mem;
    struct vivo_err err = {0};
    assert_int_equal(r->rc, 0);
    vivo_mem_reader_init(&mem, r->b, r->n);
    int rc = vivo_dcm_walk_reader(&mem.base, NULL, 0, -1, lookup_event, &l, &err);
    if (rc)
        fail_msg("the output cannot be walked: %s", err.text);
    assert_false(l.disordered);
    size_t n = strlen(l.value);
    while (n && l.value[n - 1] == ' ')
        l.value[--n] = '\0';
    return l;
}

static inline bool is_there(const struct run *r, uint32_t tag, unsigned depth)
{
    return look_at(r, tag, depth).count > 0;
}

static inline void assert_value(const struct run *r, uint32_t tag, const char *want)
{
    struct lookup l = look_at(r, tag, 0);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.value, want);
}

/* A CT object whose identifying values are tokens; open for more elements. */
static inline void make_ct(struct make *m, const char *syntax)
{
    make_file(m, syntax, MAKE_CT, "1.2.826.0.1.99.1");
    make_text(m, 0x00080005, "CS", "ISO_IR 100");
    make_text(m, 0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    make_text(m, 0x00080016, "UI", MAKE_CT);
    make_text(m, 0x00080018, "UI", "1.2.826.0.1.99.1");
    make_text(m, 0x00080020, "DA", "20110405");
    make_text(m, 0x00080060, "CS", "CT");
}

static inline void make_patient(struct make *m)
{
    make_text(m, 0x00100010, "PN", "NAMETOKEN^JANE");
    make_text(m, 0x00100020, "LO", "IDTOKEN77");
    make_text(m, 0x00100030, "DA", "19510405");
}

static inline void make_study(struct make *m)
{
    make_text(m, 0x0020000D, "UI", "1.2.826.0.1.99.2");
    make_text(m, 0x0020000E, "UI", "1.2.826.0.1.99.3");
}

static inline void make_pixels(struct make *m)
{
    uint8_t pixels[64];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(3 * i + 1);
    make_us(m, 0x00280010, 4);
    make_us(m, 0x00280011, 8);
    make_value(m, 0x7FE00010, "OW", pixels, sizeof pixels);
}

static inline void finish(struct run *r, struct make *m)
{
    run_free(r);
    free(m->b);
    m->b = NULL;
}

static inline int deid_setup(void **state)
{
    (void)state;
    struct vivo_err err = {0};
    return vivo_dcm_global_init(&err);
}

#endif
