/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/beginning.h -- the header of an object out of its first bytes.
 *
 * For who asks for an object and does not want its pixels: bytes are kept as they come,
 * and looked at at 16 KiB, 64 KiB, 256 KiB …, until the pixel data begins. */
#ifndef VIVOFS_DRIVERS_BEGINNING_H
#define VIVOFS_DRIVERS_BEGINNING_H

#include "vivofs/driver.h"

#define VIVO_BEGINNING_FIRST (16u << 10)
#define VIVO_BEGINNING_GROWTH 4u /* each try has so many times the bytes before */
#define VIVO_BEGINNING_MAX (UINT64_C(256) << 20) /* longer headers are none */

enum vivo_beginning_is {
    VIVO_BEGINNING_MORE, /* bytes are wanted */
    VIVO_BEGINNING_OBJECT,
    VIVO_BEGINNING_OTHER, /* something else than an instance; attrs is empty */
};

struct vivo_beginning {
    enum vivo_beginning_is is;
    bool foreign;          /* OTHER: and no DICOM at all */
    struct vivo_buf attrs; /* OBJECT: attrs form; a cut of a pixel value's 16 bytes */
    struct vivo_err why;   /* OTHER: why */
    uint64_t len;          /* bytes so far */
    uint64_t next;         /* vivo_beginning_stream: the length of the next try */
    struct vivo_buf memory;
    int fd; /* -1 = all in memory */
};

void vivo_beginning_init(struct vivo_beginning *b);
void vivo_beginning_free(struct vivo_beginning *b);
/* Keeps bytes that follow, without looking. */
int vivo_beginning_keep(struct vivo_beginning *b, const void *data, size_t len,
                        struct vivo_err *err);
/* Forgets what is behind the first `len` bytes. */
void vivo_beginning_cut(struct vivo_beginning *b, uint64_t len);
/* Settles b->is. whole: no more bytes will come. */
int vivo_beginning_try(struct vivo_beginning *b, bool whole, struct vivo_err *err);
/* Keeps, and looks where it is time to. 1 = it is settled. */
int vivo_beginning_stream(struct vivo_beginning *b, const void *data, size_t len,
                          struct vivo_err *err);
/* A DICOMDIR speaks of files by names that nobody is shown: no instance. */
bool vivo_header_is_directory(struct vivo_attrs a);

#endif
