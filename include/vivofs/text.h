/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/text.h -- Unicode as vivofs needs it, over utf8proc. */
#ifndef VIVOFS_TEXT_H
#define VIVOFS_TEXT_H

#include "vivofs/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* A character as UTF-8 (RFC 3629): its bytes; 0 = there is no such character. */
size_t vivo_text_utf8(uint32_t c, char out[4]);

/* Appends the text in NFC (UAX 15); every byte that is not UTF-8 becomes U+FFFD. */
int vivo_text_nfc(const char *s, size_t len, struct vivo_buf *out);

/* Appends Unicode simple case folding (CaseFolding.txt C + S) of NFC text. */
int vivo_text_fold(const char *s, size_t len, struct vivo_buf *out);

/* Appends the text in letters of [A-Za-z0-9._+=@-]: Latin letters lose accents,
 * every other character becomes '-', runs of '-' are squeezed; never starts with
 * '.' or '-' (leading ones are dropped). May append nothing. *changed (may be
 * NULL) tells whether anything but a copy happened. DESIGN A1. */
int vivo_text_safe(const char *s, size_t len, struct vivo_buf *out, bool *changed);

/* How many letters are wrong, missing, too many or swapped, without case, for "did you
 * mean"; at most cap. */
size_t vivo_text_distance(const char *a, const char *b, size_t cap);

/* The candidate nearest to s within a third of its length, or NULL. */
const char *vivo_text_nearest(const char *s, const char *const *candidates, size_t n);

#endif
