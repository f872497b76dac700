/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_eval.h -- one script over one object, for ctp_eval.c and ctp_fn.c. */
#ifndef VIVO_DEID_CTP_EVAL_H
#define VIVO_DEID_CTP_EVAL_H

#include "ctp.h"

enum vivo_ctp_verdict {
    VIVO_CTP_SET, /* the text in `out`; empty = zero length */
    VIVO_CTP_LEFT,
    VIVO_CTP_GONE,
    VIVO_CTP_BAD, /* not for this value: it goes */
    VIVO_CTP_STOPPED,
};

struct vivo_ctp_eval {
    const struct vivo_ctp *c;
    const struct vivo_key *key;
    const struct vivo_header *h; /* NULL: `alone` is all there is */
    const struct vivo_ctp_row *row;
    const struct vivo_node *node; /* NULL: the attribute is missing */
    const char *alone;            /* the value of `this`, UTF-8 */
    const char *patient;          /* pseudonym, may be "" */
    const char *charset;
    uint32_t first, end; /* siblings */
    unsigned depth;
    enum vivo_ctp_verdict verdict;
    int rc; /* -ENOMEM, -ENOSPC */
    struct vivo_buf *out;
};

/* Appends to e->out and moves e->verdict. */
void vivo_ctp_run(struct vivo_ctp_eval *e, const struct vivo_ctp_script *s);
/* One function that makes a text (ctp_fn.c). */
void vivo_ctp_call(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p);
/* The value as it is in the object, trimmed; numbers as text. False = missing or
 * empty. *present tells whether it is there at all. */
bool vivo_ctp_get(struct vivo_ctp_eval *e, const struct vivo_ctp_ref *ref,
                  struct vivo_buf *out, bool *present);
void vivo_ctp_add(struct vivo_ctp_eval *e, const char *s, size_t len);

#endif
