/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/alike.h -- what is shown of an object, from what was shown of one like it.
 *
 * The headers of a series differ in a few values. A thread keeps some of the last
 * sources that it described, and what was shown of them; of the next one only the
 * values that differ are cleaned, where that is certain to give the same. */
#ifndef VIVO_DEID_ALIKE_H
#define VIVO_DEID_ALIKE_H

#include "pixels.h"

#define VIVO_DEID_LEAD (16u << 10) /* bytes from the start that are read at once */

#define VIVO_ALIKE_MODELS 4 /* of a thread: series that lie among each other */
#define VIVO_ALIKE_PARTS_MAX 512
#define VIVO_ALIKE_CHANGES_MAX 32
#define VIVO_ALIKE_PREAMBLE 132
#define VIVO_ALIKE_BULK_SHOWN 16 /* bytes of pixel data in attrs form (model.h) */
#define VIVO_ALIKE_OUT_UNKNOWN UINT32_MAX
#define VIVO_ALIKE_ATTRS_KEPT (4 * VIVO_DEID_LEAD)

struct vivo_part { /* a top-level element of a source */
    uint32_t tag;
    uint32_t at, len;          /* with its header */
    uint32_t shown, shown_len; /* in the attributes; where it would stand, 0 */
    uint32_t out;  /* bytes in the result; VIVO_ALIKE_OUT_UNKNOWN = not asked yet */
    uint8_t head;  /* bytes of its header */
    bool simple;   /* a value of defined length, and no sequence */
    uint8_t alone; /* does it stand alone? 0 = nobody asked, 1 = no, 2 = yes */
};

struct vivo_model {
    bool ready, placed;              /* placed: it is known where each part is shown */
    bool whole, cleaned;             /* while it is made: nothing unusual was seen */
    uint64_t used;                   /* when, by the thread's clock */
    uint8_t digest[VIVO_DIGEST_LEN]; /* of the profile, key included */
    struct vivo_syntax syntax, out;
    char sop_class[VIVO_UID_MAX + 1];
    uint32_t instance; /* bytes of the SOP Instance UID in the file meta information */
    bool pixels;       /* the last part; its value begins within the lead */
    uint64_t size, shown_size; /* of the source, of the result */
    bool at_risk;
    uint32_t n;
    struct vivo_part parts[VIVO_ALIKE_PARTS_MAX];
    struct vivo_buf attrs;
    uint8_t lead[VIVO_DEID_LEAD];
};

struct vivo_models { /* of a thread */
    uint64_t clock;
    struct vivo_model *m[VIVO_ALIKE_MODELS];
};

/* A model to be made of the next object that this thread describes; it stays the
 * thread's. NULL: the profile looks at an object as a whole, or there is no memory. */
struct vivo_model *vivo_alike_begin(const struct vivo_deid *d);
/* Every event of the walk over the source, from its beginning. */
void vivo_alike_event(struct vivo_model *m, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e);
/* The header was rewritten to `out`. */
void vivo_alike_clean(struct vivo_model *m, const struct vivo_rewrite *r,
                      const struct vivo_syntax *out);
/* What was shown of it. Only now, and only if all of it is of the kind that others can
 * be alike to, the model serves. lead: the first bytes of the source of `size`. */
void vivo_alike_shown(struct vivo_model *m, const uint8_t *lead, size_t len,
                      uint64_t size, struct vivo_attrs attrs,
                      const struct vivo_deid_report *report);

/* Appends the attributes that are shown of the source, and fills the report, if one of
 * the thread's models is like it. False: nothing was done, clean it whole. */
bool vivo_alike_describe(const struct vivo_deid *d, const uint8_t *lead, size_t len,
                         uint64_t size, struct vivo_buf *attrs,
                         struct vivo_deid_report *report);

/* Of the thread. NULL: it has none, and none are to be made, or no memory. */
struct vivo_models *vivo_alike_models(bool make);
/* The VR of a part, of the stream or, where it gives none, of the dictionary. */
const char *vivo_alike_vr(const struct vivo_model *m, const struct vivo_part *p);
/* Does the part stand alone? */
bool vivo_alike_alone(struct vivo_model *m, struct vivo_part *p,
                      const struct vivo_deid *d);
/* Finds out where the parts are shown. False: it cannot be told. */
bool vivo_alike_place(struct vivo_model *m);
/* Bytes that a UID takes as a value (PS3.5 section 6.2). */
uint32_t vivo_alike_even(const char *uid);
/* Which tags may differ: where it is of that VR, does what is shown of the attribute,
 * at the top level, hang on its own value alone, and nothing else on it? */
bool vivo_alike_stands_alone(const struct vivo_deid *d, uint32_t tag);

#endif
