/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_expr.h -- element names and boolean expressions of RSNA CTP's scripts.
 *
 * DicomFilter scripts and the signatures of pixel scripts are written in one language:
 *   Element.method("text") | true | false | !a | a * b (and) | a + b (or) | (a)
 * `//` begins a comment to the end of the line; an empty text is true. An element is a
 * keyword, ggggeeee, [gggg,eeee], (gggg,eeee), gggg[Owner]ee, or a path of those with
 * `::` through the first items of sequences. What is missing is the empty text. */
#ifndef VIVO_DEID_CTP_EXPR_H
#define VIVO_DEID_CTP_EXPR_H

#include "engine.h"

/* ---- where a script is read (for its errors) ---------------------------------------
 */

struct vivo_ctp_source {
    const char *file; /* as it was given; stands in errors */
    const char *text; /* whole; NUL-terminated */
    size_t len;
};
/* -EINVAL with "file:line: sentence"; at: offset into the text. */
int vivo_ctp_fail(const struct vivo_ctp_source *s, size_t at, struct vivo_err *err,
                  const char *fmt, ...) VIVO_PRINTF(4, 5);

/* ---- element names --------------------------------------------------------------- */

#define VIVO_CTP_STEPS 8
#define VIVO_CTP_OWNER_MAX 64

struct vivo_ctp_step {
    uint32_t tag; /* private: gggg00ee, the block is the owner's */
    char owner[VIVO_CTP_OWNER_MAX + 1]; /* "" = not private */
};
struct vivo_ctp_path {
    struct vivo_ctp_step step[VIVO_CTP_STEPS];
    unsigned n;
};
/* Reads a name at *at and moves *at behind it. -EINVAL. */
int vivo_ctp_path_parse(const struct vivo_ctp_source *s, size_t *at,
                        struct vivo_ctp_path *out, struct vivo_err *err);
/* Appends the value of the element in the captured header as text in UTF-8: values
 * trimmed and joined by backslashes, binary numbers in decimal; nothing when it is
 * missing. 0 or -ENOMEM, -ENOSPC. */
int vivo_ctp_value(const struct vivo_header *h, const struct vivo_ctp_path *path,
                   struct vivo_buf *out);

/* ---- expressions ----------------------------------------------------------------- */

struct vivo_ctp_expr; /* immutable: any number of threads may evaluate it */
/* The part [from, to) of the source. */
int vivo_ctp_expr_parse(const struct vivo_ctp_source *s, size_t from, size_t to,
                        struct vivo_ctp_expr **out, struct vivo_err *err);
void vivo_ctp_expr_free(struct vivo_ctp_expr *e);
/* 1 = true, 0 = false, -ENOMEM. The header must be captured with h->collects, so that
 * also what is removed can be asked for. */
int vivo_ctp_expr_eval(const struct vivo_ctp_expr *e, const struct vivo_header *h);

#endif
