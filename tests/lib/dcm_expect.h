/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dcm_expect.h -- for tests of the walker: says in one line what a walk
 * over hand-made bytes must report, or why it must be refused. */
#ifndef VIVO_TEST_DCM_EXPECT_H
#define VIVO_TEST_DCM_EXPECT_H

#include "dcm_events.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ELE "1.2.840.10008.1.2.1"
#define ILE "1.2.840.10008.1.2"
#define EBE "1.2.840.10008.1.2.2"

/* Bytes of a file with a meta of the syntax; the test adds the data set. */
static inline struct bytes file_of(const char *syntax)
{
    struct bytes x;
    bytes_init(&x);
    put_meta(&x, syntax);
    return x;
}

/* Short form of a walk: "event tag vr" words of the data set, for comparing. */
static inline int note_short(void *ctx, enum vivo_dcm_event event,
                             const struct vivo_dcm_elem *e,
                             struct vivo_err *err VIVO_UNUSED)
{
    static const char *const words[] = {"?", "M",  "D",   "",     "bulk", "SQ",
                                        "I", "/I", "/SQ", "frag", "end"};
    struct vivo_buf *out = ctx;

    if (event == VIVO_DCM_META || event == VIVO_DCM_DATASET)
        return 0;
    if (event == VIVO_DCM_ITEM || event == VIVO_DCM_ITEM_END ||
        event == VIVO_DCM_SEQUENCE_END || event == VIVO_DCM_END)
        return vivo_buf_printf(out, "%s ", words[event]);
    return vivo_buf_printf(out, "%s%s%08x%s%s%s ", words[event],
                           *words[event] ? ":" : "", e->tag, e->vr,
                           e->vr_doubt ? "?" : "", e->cut ? "!" : "");
}

static inline int walk_short(struct bytes *x, struct vivo_buf *out,
                             struct vivo_err *err)
{
    vivo_buf_init(out, 1 << 20);
    return walk_pieces(x->b.data, x->b.len, 0, -1, NULL, 0, note_short, out, err);
}

/* Walks x (and frees it): the short form must be this. */
static inline void expect(struct bytes x, const char *events)
{
    struct vivo_buf got;
    struct vivo_err err = {0};
    int rc = walk_short(&x, &got, &err);

    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    assert_string_equal(got.data, events);
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

/* Walks x (and frees it): it must be refused with this in the sentence. */
static inline void refuse(struct bytes x, const char *why)
{
    struct vivo_buf got;
    struct vivo_err err = {0};

    assert_int_equal(walk_short(&x, &got, &err), -EBADMSG);
    assert_int_equal(err.errnum, EBADMSG);
    if (!strstr(err.text, why))
        print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    vivo_buf_free(&got);
    vivo_buf_free(&x.b);
}

/* A structure in a sequence (0008,1140) of defined length `sq`. */
static inline struct bytes in_sequence(uint32_t sq)
{
    struct bytes x = file_of(ELE);
    put_text(&x, 0x00080060, "CS", "CT");
    put_long(&x, 0x00081140, "SQ", sq);
    return x;
}

#endif
