/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/pixels.h -- what de-identification does to pixel data.
 *
 * pixel_rules.c reads signatures and rectangles, pixel_plan.c says what an object
 * needs, frames.c finds its frames, scan_jpeg.c and scan_jp2.c what hides in them,
 * patches.c puts bytes over others where they lie. Only what must be decoded is. */
#ifndef VIVO_DEID_PIXELS_H
#define VIVO_DEID_PIXELS_H

#include "ctp_expr.h"

#include "vivofs/pixels.h"

/* ---- rules (pixel_rules.c) ------------------------------------------------------ */

struct vivo_pixel_area { /* negative x, y: from the right, from the bottom */
    int32_t x, y, w, h;
};
struct vivo_pixel_rule {
    struct vivo_ctp_expr *when;    /* owned */
    struct vivo_pixel_area *areas; /* owned; none = nothing is burned in */
    uint32_t n;
};
struct vivo_pixel_rules {
    struct vivo_pixel_rule *rules;
    uint32_t n;
    uint8_t digest[VIVO_DIGEST_LEN]; /* of the text */
};
/* -EINVAL with file and line. */
int vivo_pixel_rules_parse(const struct vivo_ctp_source *s,
                           struct vivo_pixel_rules **out, struct vivo_err *err);
int vivo_pixel_rules_load(const char *file, struct vivo_pixel_rules **out,
                          struct vivo_err *err);
/* Our own, for machines whose screens are publicly known. */
int vivo_pixel_rules_default(struct vivo_pixel_rules **out, struct vivo_err *err);
void vivo_pixel_rules_free(struct vivo_pixel_rules *r);
/* The first rule whose signature the header has; NULL = none. */
int vivo_pixel_rules_match(const struct vivo_pixel_rules *r,
                           const struct vivo_header *h,
                           const struct vivo_pixel_rule **out, struct vivo_err *err);

/* ---- patches (patches.c) --------------------------------------------------------- */

/* Bytes of the source that are shown as others, in ascending order. */
struct vivo_patch {
    uint64_t off, len;
    uint32_t at;     /* of the pattern in `bytes` */
    uint32_t period; /* bytes of the pattern, at most VIVO_VIEW_PERIOD_MAX */
};
struct vivo_patches {
    struct vivo_patch *p;
    uint32_t n;
    size_t cap;
    struct vivo_buf bytes;
};
void vivo_patches_init(struct vivo_patches *p);
void vivo_patches_free(struct vivo_patches *p);
/* off must not lie before the end of the last one. */
int vivo_patches_add(struct vivo_patches *p, uint64_t off, uint64_t len,
                     const void *pattern, uint32_t period, struct vivo_err *err);
/* Appends [off, off+len) of the source to the view, patched. */
int vivo_patches_view(const struct vivo_patches *p, struct vivo_view *v, uint64_t off,
                      uint64_t len);

/* ---- frames (frames.c) ----------------------------------------------------------- */

struct vivo_frames {                  /* of encapsulated pixel data */
    struct vivo_pixels_piece *pieces; /* fragments without their headers */
    uint32_t n, frames;
    size_t cap;
    uint64_t table, table_len; /* the basic offset table */
};
/* Finds the fragments of [off, off+len) and whose they are; wanted: NumberOfFrames. */
int vivo_frames_find(struct vivo_frames *f, struct vivo_reader *r, uint64_t off,
                     uint64_t len, uint32_t wanted, struct vivo_err *err);
void vivo_frames_free(struct vivo_frames *f);
/* Covers what is no picture: comments, application data, boxes, what follows the end;
 * and a wrong offset table. syntax: of the pixel data. */
int vivo_frames_clean(const struct vivo_frames *f, struct vivo_reader *r,
                      const char *syntax, struct vivo_patches *out,
                      struct vivo_err *err);

/* ---- one frame as a stream (scan.c) ------------------------------------------------
 */

#define VIVO_SCAN_CHUNK 65536

struct vivo_scan {
    struct vivo_reader *reader;
    const struct vivo_pixels_piece *pieces; /* of this frame */
    uint32_t n;
    uint64_t len;   /* of the frame */
    uint64_t spare; /* bytes of the object that may still be read whole */
    struct vivo_patches *patches;
    struct vivo_err *err;
    uint64_t at; /* of the buffer in the frame */
    size_t have;
    uint8_t buf[VIVO_SCAN_CHUNK];
};
/* At least n bytes at pos and how many there are; NULL = past the end (*rc 0) or it
 * could not be read. whole: as many as the buffer takes. */
const uint8_t *vivo_scan_at(struct vivo_scan *s, uint64_t pos, size_t n, bool whole,
                            size_t *have, int *rc);
/* Covers [pos, pos+len) of the frame with zeros, or with a pattern of that length. */
int vivo_scan_zero(struct vivo_scan *s, uint64_t pos, uint64_t len);
int vivo_scan_put(struct vivo_scan *s, uint64_t pos, const void *bytes, uint32_t len);
int vivo_scan_jpeg(struct vivo_scan *s); /* T.81, T.87 */
int vivo_scan_codestream(struct vivo_scan *s, uint64_t pos, uint64_t end); /* T.800 */
int vivo_scan_boxes(struct vivo_scan *s); /* T.800 Annex I; JPEG XL's container */

/* ---- the plan of one object (pixel_plan.c) -----------------------------------------
 */

enum vivo_pixels_way {
    VIVO_PIXELS_LEFT,   /* as they are */
    VIVO_PIXELS_PATCH,  /* where they are, with patches */
    VIVO_PIXELS_DECODE, /* made anew by the helper, explicit little endian */
};

struct vivo_pixel_plan {
    enum vivo_pixels_way way;
    bool ruled;          /* a signature fits */
    bool blanks;         /* and says what to blank */
    bool lossy;          /* what is decoded was compressed with loss */
    uint64_t at, length; /* the pixel data in the source */
    bool encapsulated;
    uint64_t size; /* DECODE: bytes of the result, without padding */
    struct vivo_pixels_job job;
    struct vivo_pixels_rect *rects; /* owned */
    uint32_t frames;                /* NumberOfFrames */
    bool big_endian;
};
/* After the capture. -EBADMSG: a rule or an overlay asks for what cannot be done. */
int vivo_pixels_plan(const struct vivo_header *h, struct vivo_pixel_plan *out,
                     struct vivo_err *err);
void vivo_pixels_plan_free(struct vivo_pixel_plan *p);
/* PATCH: the patches. */
int vivo_pixels_patches(const struct vivo_pixel_plan *p, const struct vivo_header *h,
                        struct vivo_reader *r, struct vivo_patches *out,
                        struct vivo_err *err);
/* DECODE: all frames from fd (and r over it) to the file `out`. */
int vivo_pixels_decode(const struct vivo_pixel_plan *p, struct vivo_reader *r, int fd,
                       int out, struct vivo_err *err);

/* ---- header and pixels become a view (assemble.c) -----------------------------------
 */

struct vivo_assembly {
    const struct vivo_header *h;
    struct vivo_dcm_writer *w;
    const struct vivo_pixel_plan *plan;
    struct vivo_reader *reader; /* of the source */
    int fd;
    const struct vivo_identity *id; /* NULL: fd is ours alone */
    bool sketch;                    /* in: pixels to be decoded may be left out */
    struct vivo_view *view;         /* out: owns fd unless copied or sketched */
    bool copied;                    /* it has another descriptor */
    bool sketched; /* out: of the right size, with zeros for what the source has */
};
int vivo_assemble(struct vivo_assembly *a, struct vivo_err *err);

#endif
