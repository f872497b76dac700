/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/base.h -- attributes, cleanup, ownership and other small words.
 *
 * GNU extensions are allowed in this project only through these names. */
#ifndef VIVOFS_BASE_H
#define VIVOFS_BASE_H

#include "vivofs/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VIVO_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define VIVO_ARRAY_LEN(a) (sizeof(a) / sizeof *(a))
#define VIVO_MIN(a, b) ((a) < (b) ? (a) : (b))
#define VIVO_MAX(a, b) ((a) > (b) ? (a) : (b))
#define VIVO_UNUSED __attribute__((unused))

/* Runs fn(&variable) at the end of the scope: VIVO_AUTO(vivo_free_p) char *s = NULL; */
#define VIVO_AUTO(fn) __attribute__((cleanup(fn)))

/* Ownership leaves the variable visibly: *out = VIVO_STEAL(view); */
static inline void *vivo_steal_pointer(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p); /* any pointer type: no aliasing through void ** */
    memset(pp, 0, sizeof p);
    return p;
}
#define VIVO_STEAL(p) ((__typeof__(p))vivo_steal_pointer(&(p)))

static inline void vivo_free_p(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof p);
    free(p);
}
static inline void vivo_close_p(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Big- and little-endian loads and stores at any alignment. */
static inline uint16_t vivo_le16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t vivo_le32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
           (uint32_t)b[3] << 24;
}
static inline uint16_t vivo_be16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[1] | b[0] << 8);
}
static inline uint32_t vivo_be32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 |
           (uint32_t)b[0] << 24;
}
static inline void vivo_put_le16(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}
static inline void vivo_put_le32(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)(v >> 16);
    b[3] = (uint8_t)(v >> 24);
}
static inline void vivo_put_be16(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[1] = (uint8_t)v;
    b[0] = (uint8_t)(v >> 8);
}
static inline void vivo_put_be32(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[3] = (uint8_t)v;
    b[2] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)(v >> 16);
    b[0] = (uint8_t)(v >> 24);
}

#endif
