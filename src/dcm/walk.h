/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/walk.h -- the inside of the walker, shared by src/dcm/walk*.c only.
 *
 * walk.c takes bytes in (carry buffer, skipping, inflating, end of stream),
 * walk_start.c finds preamble, file meta and syntax, walk_data.c reads elements,
 * sequences and fragments. Each state has a step function that is given the bytes
 * at w->pos and either moves w->pos on or asks for more. */
#ifndef VIVO_DCM_WALK_H
#define VIVO_DCM_WALK_H

#include "vivofs/dcm.h"
#include "vivofs/inflate.h"

#include <inttypes.h>

/* Group and element of the structural tags (PS3.5 section 7.5). */
#define TAG_ITEM 0xFFFEE000u
#define TAG_ITEM_END 0xFFFEE00Du
#define TAG_SEQUENCE_END 0xFFFEE0DDu
#define TAG_PIXELS 0x7FE00010u
#define TAG_TRANSFER_SYNTAX 0x00020010u

/* Returned by a step that needs w->need bytes at w->pos to go on. Not an error
 * and no value that a callback may return. */
#define STEP_MORE 100

enum walk_state {
    WALK_NONE,
    WALK_START,     /* at offset 0: preamble or not */
    WALK_META,      /* in group 0002 */
    WALK_DEFLATED,  /* meta is over; what follows must be inflated first */
    WALK_SETTLE,    /* at the data set's first element: which syntax? */
    WALK_DATA,      /* at an element, item or delimiter */
    WALK_BULK,      /* w->pending is due when w->pos is reached */
    WALK_FRAGMENTS, /* at the item tag of a fragment, w->pending is due at the end */
    WALK_PADDING,   /* zeros after the data set */
    WALK_ENDED,
    WALK_STOPPED,
    WALK_FAILED,
};

/* One open sequence or item; frame 0 is the data set itself. Items have even
 * indices, so a frame's index tells what it is and how deep. */
struct walk_frame {
    uint64_t offset;                  /* of its tag */
    uint64_t value;                   /* of its first byte inside */
    uint64_t end;                     /* UINT64_MAX = undefined length */
    uint64_t limit;                   /* end of the nearest enclosing defined length */
    const struct vivo_syntax *syntax; /* of what is inside */
    uint32_t tag;
    uint32_t number; /* sequence: items seen; item: its own number */
    char vr[3];
    bool fresh; /* item: its first element has not been looked at */
};
#define WALK_FRAMES (2 * VIVO_DCM_DEPTH_MAX + 1)

struct vivo_dcm_walk {
    vivo_dcm_event_fn *fn;
    void *ctx;
    unsigned flags;
    uint32_t value_max;
    int inflated; /* descriptor, or -1 */

    enum walk_state state;
    bool eof;     /* finish() was called: no more bytes will come */
    uint64_t pos; /* offset of the element (or byte) that is looked at next */
    uint64_t in;  /* offset of the next byte to come in; pos <= in with carry */
    size_t need;  /* bytes at pos that the step wants; set with STEP_MORE */
    int verdict;  /* of a failed walk */
    struct vivo_buf carry; /* bytes [pos, in) when they were too few for a step */

    const struct vivo_syntax *declared; /* by the meta or the caller; may be NULL */
    struct vivo_syntax actual;          /* declared, corrected by what is there */
    const struct vivo_syntax *syntax;   /* in force; NULL before DATASET */
    bool meta_seen;
    uint64_t meta_end; /* as (0002,0000) says; 0 = it does not */

    struct vivo_inflate *inflate;
    bool inflate_end;
    uint64_t outer;        /* deflated: next byte of the outer stream */
    uint64_t inflate_from; /* the meta's end */
    uint64_t inflate_in;   /* compressed bytes seen */
    struct vivo_buf head;  /* preamble and meta, kept for `inflated` */

    struct vivo_dcm_elem pending; /* BULK or FRAGMENTS to be sent */
    unsigned frames;              /* in use, at least 1 */
    unsigned muted; /* frames above this count are not reported; 0 = all are */
    struct walk_frame frame[WALK_FRAMES];
};

extern const struct vivo_syntax vivo_dcm_syntax_ile; /* implicit VR little endian */
extern const struct vivo_syntax vivo_dcm_syntax_ele; /* explicit VR little endian */
extern const struct vivo_syntax vivo_dcm_syntax_ebe; /* explicit VR big endian */

/* How a VR is written (PS3.5 section 7.1.2). */
enum vr_form {
    VR_NOT,     /* no two upper-case letters */
    VR_UNKNOWN, /* letters, but no VR of PS3.5: 32-bit length */
    VR_SHORT,   /* 16-bit length */
    VR_LONG,    /* two reserved bytes, 32-bit length */
};
enum vr_form vivo_dcm_vr_form(const char vr[2]);
/* ' ' or 0, what values of the VR are padded with (PS3.5 section 6.2). */
uint8_t vivo_dcm_vr_padding(const char vr[2]);

/* The syntax that the bytes of a first element speak for. declared = what it should
 * be (NULL = nothing known, then NULL back = this is no DICOM). */
const struct vivo_syntax *vivo_dcm_settle(const struct vivo_syntax *declared,
                                          const uint8_t *p, size_t n);

/* 0, VIVO_DCM_SKIP, or a value that ends the step (VIVO_DCM_STOP, -errno). */
int vivo_dcm_walk_emit(struct vivo_dcm_walk *w, enum vivo_dcm_event event,
                       const struct vivo_dcm_elem *e, struct vivo_err *err);

/* The steps; bytes [p, p+n) are those at w->pos. 0 = w->pos or w->state moved. */
int vivo_dcm_walk_start(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                        struct vivo_err *err);
int vivo_dcm_walk_meta(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct vivo_err *err);
int vivo_dcm_walk_settle(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                         struct vivo_err *err);
int vivo_dcm_walk_data(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                       struct vivo_err *err);
int vivo_dcm_walk_fragments(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                            struct vivo_err *err);
int vivo_dcm_walk_padding(struct vivo_dcm_walk *w, const uint8_t *p, size_t n,
                          struct vivo_err *err);
/* Sends w->pending as BULK or FRAGMENTS; the stream has got to its end, or is cut. */
int vivo_dcm_walk_pending(struct vivo_dcm_walk *w, struct vivo_err *err);
/* Sends END. */
int vivo_dcm_walk_end(struct vivo_dcm_walk *w, struct vivo_err *err);

/* Is the value pixel data of PS3.5 section 8: never given as a value? */
static inline bool walk_is_pixels(uint32_t tag)
{
    return tag == TAG_PIXELS || tag == 0x7FE00008 || tag == 0x7FE00009;
}

static inline int walk_more(struct vivo_dcm_walk *w, size_t need)
{
    w->need = need;
    return STEP_MORE;
}

#endif
