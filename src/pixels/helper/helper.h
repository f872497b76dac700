/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/helper.h -- what the files of the program vivofs-pixels share. It
 * links GDCM and libseccomp and nothing of vivofs. */
#ifndef VIVO_PIXELS_HELPER_H
#define VIVO_PIXELS_HELPER_H

#include "vivofs/pixels.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Descriptors that the parent gives. */
enum { FD_SOURCE = 3, FD_OUT = 4, FD_JOB = 5 };

/* Exit codes; spawn.c turns them into errors. */
enum { HELPER_OK, HELPER_BAD_JOB = 10, HELPER_BAD_FRAME, HELPER_IO, HELPER_MEMORY };

/* Limits of memory, time and file size, then the filter of system calls: what is not
 * reading, writing, memory or the end kills the process. 0 or -1. */
int helper_limits(uint64_t memory, uint64_t seconds, uint64_t file_size);
int helper_confine(void);

/* geometry.c: is the frame of the size, samples and bits that the job says? 0 or -1. */
int helper_check(const struct vivo_pixels_job *job, const uint8_t *frame, size_t len);
/* decode.cc: one compressed frame into out_len bytes of colour-by-pixel samples in
 * the host's byte order. 0, or -1 when that is not what comes out. */
int helper_decode(const struct vivo_pixels_job *job, const uint8_t *frame, size_t len,
                  uint8_t *out, size_t out_len);

/* rle.c: the same for RLE, which GDCM does not do for colours of 16 bits. */
int helper_decode_rle(const struct vivo_pixels_job *job, const uint8_t *frame,
                      size_t len, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
