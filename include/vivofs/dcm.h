/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/dcm.h -- walking and writing DICOM data sets; the dictionary.
 *
 * The walker is push-driven and streaming (PS3.5 section 7, PS3.10 section 7): it
 * runs on bytes as they arrive, in constant stack and bounded memory, over
 * explicit and implicit VR, little and big endian, deflated, undefined lengths,
 * encapsulated pixel data, missing preamble or meta, UN that holds a sequence
 * (PS3.5 section 6.2.2), private sequences and elements after the pixel data. */
#ifndef VIVOFS_DCM_H
#define VIVOFS_DCM_H

#include "vivofs/buf.h"
#include "vivofs/model.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIVO_DCM_UNDEFINED UINT32_MAX /* length FFFFFFFF */
#define VIVO_DCM_DEPTH_MAX 64         /* nested sequences; deeper is -EBADMSG */
#define VIVO_DCM_VALUE_MAX (1u << 20) /* bytes of a value given as ELEMENT */

/* Once, from main() or a test's main(), before any thread: GDCM's dictionary is
 * copied into tables of our own. (src/dcm/gdcm.cc) */
int vivo_dcm_global_init(struct vivo_err *err);

/* ---- dictionary (PS3.6, from GDCM) ---------------------------------------- */

struct vivo_dict {
    uint32_t tag; /* 0xGGGGEEEE; repeating groups (50xx, 60xx, 7Fxx): xx as 00 */
    char vr[3];   /* "OB" for "OB or OW", "US" for "US or SS", "UN" = none */
    bool either;  /* the standard gives a choice of VRs */
    bool retired;
    const char *keyword; /* "PatientID"; static */
    const char *vm;      /* "1", "2-2n"; static */
};
/* NULL = the standard does not know it (private, unknown). Group lengths and
 * private creators are not in it. Repeating groups 50xx, 60xx are folded. */
const struct vivo_dict *vivo_dcm_dict(uint32_t tag);
const struct vivo_dict *vivo_dcm_dict_keyword(const char *s, size_t len); /* no case */
const char *vivo_dcm_dict_nearest(const char *s); /* "did you mean", or NULL */
/* All rows ascending by tag. */
const struct vivo_dict *vivo_dcm_dict_all(size_t *n);

/* The VR to read an element with when the stream gives none (implicit VR). For
 * US-or-SS etc. a fixed choice. Private: "UN"; group length: "UL"; creator: "LO". */
const char *vivo_dcm_vr_of(uint32_t tag);

/* UID of a PS3.6 Annex A keyword ("CTImageStorage", no case), or NULL; and whether
 * a UID is a registered one (SOP class, transfer syntax, well-known …: anything
 * in Annex A), which is never remapped. */
const char *vivo_dcm_uid_keyword(const char *s, size_t len);
bool vivo_dcm_uid_registered(const char *uid, size_t len);

/* A SOP class, and the type of a top-level attribute in its objects, from PS3.3's
 * tables as GDCM ships them (Part3.xml): '1', '2', '3' (1C counts as 1, 2C as 2), or 0
 * when the class (NULL) or the attribute's place in it is unknown. Thread-safe. */
struct vivo_sop_class;
const struct vivo_sop_class *vivo_dcm_class(const char *sop_class);
char vivo_dcm_class_type(const struct vivo_sop_class *c, uint32_t tag);

/* ---- character sets (PS3.5 section 6.1, PS3.3 C.12.1.1.2) ------------------ */

/* Appends `text` as UTF-8 NFC. charset: the value of the (0008,0005) in force, ""
 * = ASCII; ISO 2022 escapes are followed when it has several values; resets at
 * control characters, '\\' (except for ST LT UT), '^' and '=' (PN). Bad bytes
 * become U+FFFD. Never fails but for memory (-ENOMEM, -ENOSPC). */
int vivo_dcm_text(const char *charset, const char *vr, const void *text, size_t len,
                  struct vivo_buf *out);

/* ---- transfer syntaxes ------------------------------------------------------ */

struct vivo_syntax {
    const char *uid; /* static */
    bool implicit, big_endian, deflated, encapsulated;
};
/* Unknown UIDs are taken as explicit little endian encapsulated (PS3.5 section
 * 10); NULL for an empty one. */
const struct vivo_syntax *vivo_dcm_syntax(const char *uid, size_t len);

/* ---- the walker --------------------------------------------------------------- */

enum vivo_dcm_event {
    VIVO_DCM_NONE,
    VIVO_DCM_META,     /* one element of group 0002 (always whole; explicit LE) */
    VIVO_DCM_DATASET,  /* meta is over; e->syntax is set; no other field */
    VIVO_DCM_ELEMENT,  /* an element with its whole value (length may be 0) */
    VIVO_DCM_BULK,     /* an element whose value is longer than the limit, or is
                          pixel data of defined length: value is NULL, its bytes are
                          [value_offset, value_offset + length) of the stream.
                          Sent when the stream has come to its end. e->cut: the
                          stream ends inside it; length is what there is. */
    VIVO_DCM_SEQUENCE, /* SQ, or UN holding one; length may be undefined */
    VIVO_DCM_ITEM,     /* item of a sequence */
    VIVO_DCM_ITEM_END, /* explicit or implied by length */
    VIVO_DCM_SEQUENCE_END,
    VIVO_DCM_FRAGMENTS, /* encapsulated pixel data: its items, as one BULK: value_offset
                           is that of the first item tag, length up to and with the
                           sequence delimiter; sent at its end. e->cut as above. */
    VIVO_DCM_END,       /* whole data set seen; e->offset = its end */
};

struct vivo_dcm_elem { /* borrowed for the call */
    uint32_t tag;
    char vr[3];    /* as in the stream; implicit: vivo_dcm_vr_of() */
    uint8_t depth; /* sequences around it; 0 = top level */
    bool cut;      /* BULK, FRAGMENTS: the stream ended inside the value */
    bool vr_doubt; /* the stream's VR is no VR of PS3.5, or not the dictionary's */
    bool length_undefined; /* SEQUENCE, ITEM: FFFFFFFF in the stream */
    uint32_t item;         /* ITEM: 0-based number in its sequence */
    const uint8_t *value;  /* ELEMENT, META; else NULL */
    uint64_t length;       /* bytes of the value (2^32-1 undefined is resolved) */
    uint64_t offset;       /* of the element's first byte in the stream */
    uint64_t value_offset; /* of the value's first byte */
    const struct vivo_syntax *syntax; /* in force here: items of UN sequences are
                                         implicit little endian */
};

/* Non-zero (negative errno, err set by the callee) ends the walk with it. For
 * VIVO_DCM_SEQUENCE and ITEM the callee may return VIVO_DCM_SKIP: nothing of its
 * inside is reported, nor its end. */
#define VIVO_DCM_SKIP 1
/* Ends the walk early and happily (e.g. all wanted tags seen). */
#define VIVO_DCM_STOP 2
typedef int vivo_dcm_event_fn(void *ctx, enum vivo_dcm_event event,
                              const struct vivo_dcm_elem *e, struct vivo_err *err);

struct vivo_dcm_walk; /* one stream; one thread at a time */

enum vivo_dcm_walk_flag {
    VIVO_DCM_WALK_BARE = 1 << 0, /* a data set without meta, in the syntax given */
};
/* `syntax`: what to assume without file meta (NULL = find out). value_max: longer
 * values come as BULK (0 = VIVO_DCM_VALUE_MAX). Deflated streams are inflated
 * inside; then offsets are those of the inflated stream (meta included), and the
 * walker writes what it inflates to `inflated` (a descriptor, -1 = nowhere), meta
 * and preamble first, so that ranges can be read from there. Inflating stops with
 * -EBADMSG at 1000 times the input (judged from 16 MiB on) or 4 GiB. */
int vivo_dcm_walk_new(const struct vivo_syntax *syntax, unsigned flags,
                      uint32_t value_max, int inflated, vivo_dcm_event_fn *fn,
                      void *ctx, struct vivo_dcm_walk **out, struct vivo_err *err);
void vivo_dcm_walk_free(struct vivo_dcm_walk *w);

/* The offset of the next byte of the (outer) stream that the walker needs: a
 * caller that can seek skips there; bytes before it are ignored. */
uint64_t vivo_dcm_walk_wants(const struct vivo_dcm_walk *w);
/* Bytes [offset, offset+len) of the stream, offset <= wants (a gap is -EINVAL).
 * 0 = go on; VIVO_DCM_STOP = the callback stopped; -EBADMSG = not valid DICOM,
 * err names tag, offset and fault, never a value. */
int vivo_dcm_walk_push(struct vivo_dcm_walk *w, uint64_t offset, const void *data,
                       size_t len, struct vivo_err *err);
/* The stream ends at `size`, at most what the walker wants (what it wanted skipped
 * need not be pushed first). Sends what is due (FRAGMENTS, END). A stream that ends
 * inside an element's header or a value that was wanted whole, or inside a
 * sequence of defined length, is -EBADMSG; inside top-level pixel data it is
 * e->cut. Missing delimiters of undefined-length sequences at the end are -EBADMSG. */
int vivo_dcm_walk_finish(struct vivo_dcm_walk *w, uint64_t size, struct vivo_err *err);

/* ---- reading whole sources ------------------------------------------------- */

/* Anything that can be read at an offset. read() gives all of len bytes or fails. */
struct vivo_reader {
    int (*read)(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                struct vivo_err *err);
    uint64_t size;
};
struct vivo_fd_reader { /* over a descriptor that stays the caller's */
    struct vivo_reader base;
    int fd;
};
void vivo_fd_reader_init(struct vivo_fd_reader *r, int fd, uint64_t size);
struct vivo_mem_reader {
    struct vivo_reader base;
    const uint8_t *data;
};
void vivo_mem_reader_init(struct vivo_mem_reader *r, const void *data, size_t len);

/* Walks a source to its end, skipping bulk values without reading them. */
int vivo_dcm_walk_reader(struct vivo_reader *r, const struct vivo_syntax *syntax,
                         unsigned flags, int inflated, vivo_dcm_event_fn *fn, void *ctx,
                         struct vivo_err *err);

/* Is this the beginning of a DICOM file? By content: preamble and DICM followed by
 * an element, or without them a plausible first element of group 0002 or 0008.
 * `len` up to 4 KiB is looked at; size = the file's. */
bool vivo_dcm_probe(const void *data, size_t len, uint64_t size);

/* The header in attrs form (model.h): text decoded per item, bulk reduced, private
 * elements kept with their creators, file meta left out except TransferSyntaxUID
 * (0002,0010) which stands first. -EBADMSG as the walker. */
int vivo_dcm_attrs(struct vivo_reader *r, const struct vivo_syntax *syntax,
                   unsigned flags, struct vivo_buf *out, struct vivo_err *err);

/* ---- the writer -------------------------------------------------------------- */

/* Puts a data set together: bytes into a buffer, and ranges of the source for bulk
 * values. Lengths of sequences and items are patched when they end. */
struct vivo_dcm_writer;

/* syntax: of the output (deflated and unknown are written as what they hold).
 * max_bytes bounds the memory. */
int vivo_dcm_writer_new(const struct vivo_syntax *syntax, size_t max_bytes,
                        struct vivo_dcm_writer **out, struct vivo_err *err);
void vivo_dcm_writer_free(struct vivo_dcm_writer *w);

/* Preamble of zeros, DICM and a fresh file meta: version, class and instance UID,
 * transfer syntax, vivofs' implementation UID and version name. First call. */
int vivo_dcm_write_meta(struct vivo_dcm_writer *w, const char *sop_class,
                        const char *sop_instance, const char *syntax_uid,
                        struct vivo_err *err);
/* value is in the byte order of the output; padding is added. */
int vivo_dcm_write(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                   const void *value, size_t len, struct vivo_err *err);
/* Value = [off, off+len) of the source; length odd gets a zero byte of padding. */
int vivo_dcm_write_range(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                         uint64_t off, uint64_t len, struct vivo_err *err);
/* Encapsulated: undefined length, then the range, delimiter included in it. */
int vivo_dcm_write_fragments(struct vivo_dcm_writer *w, uint32_t tag, const char vr[2],
                             uint64_t off, uint64_t len, struct vivo_err *err);
int vivo_dcm_write_sequence(struct vivo_dcm_writer *w, uint32_t tag,
                            bool undefined_length, struct vivo_err *err);
int vivo_dcm_write_item(struct vivo_dcm_writer *w, bool undefined_length,
                        struct vivo_err *err);
int vivo_dcm_write_item_end(struct vivo_dcm_writer *w, struct vivo_err *err);
int vivo_dcm_write_sequence_end(struct vivo_dcm_writer *w, struct vivo_err *err);

/* What was written, in order. memory: data != NULL; range: data NULL. */
struct vivo_dcm_piece {
    const uint8_t *data;
    uint64_t off, len;
};
/* All sequences must be closed. Borrowed from the writer; *n pieces. */
const struct vivo_dcm_piece *vivo_dcm_writer_pieces(struct vivo_dcm_writer *w,
                                                    size_t *n);
/* Bytes of all that was written. */
uint64_t vivo_dcm_writer_size(const struct vivo_dcm_writer *w);

#ifdef __cplusplus
}
#endif
#endif
