/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/attrs.h -- the inside of vivo_dcm_attrs(), shared by src/dcm/attrs*.c. */
#ifndef VIVOFS_DCM_ATTRS_H
#define VIVOFS_DCM_ATTRS_H

#include "vivofs/dcm.h"

struct vivo_attrs_level { /* the data set, or an open item */
    size_t at;            /* where its elements begin in the result */
    size_t sequence;      /* where its open sequence begins */
    uint32_t last;        /* tag of its last element */
    bool unsorted;        /* tags went down or came twice */
    const char *charset;  /* (0008,0005) in force; own, or an outer level's */
    char own[128];
};

struct vivo_attrs_build {
    struct vivo_buf *out;
    size_t start, limit;        /* of the result, in out */
    struct vivo_reader *reader; /* of the source */
    struct vivo_reader *bulk;   /* of the inflated stream; NULL = reader */
    bool deflated;
    bool charset_put; /* the result has (0008,0005) */
    bool foreign;     /* some text was not ASCII */
    bool is_signed;   /* PixelRepresentation */
    struct vivo_buf text;
    unsigned inner; /* sequences of VR UN around this */
    unsigned depth;
    struct vivo_attrs_level levels[VIVO_DCM_DEPTH_MAX + 1];
};

/* Appends an element, or leaves it out when it does not fit. 0 or -ENOMEM. */
int vivo_attrs_build_put(struct vivo_attrs_build *b, uint32_t tag, const char *vr,
                         const void *value, size_t len);
/* Appends an element that is no sequence, its value in attrs form. */
int vivo_attrs_build_value(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                           const char *charset, struct vivo_err *err);
/* Sorts the elements from `at` to the end; of several with one tag the first that
 * is not empty stays. */
int vivo_attrs_build_sort(struct vivo_attrs_build *b, size_t at);

#endif
