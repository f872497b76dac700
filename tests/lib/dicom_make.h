/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dicom_make.h -- writes small DICOM files into memory, right ones and
 * wrong ones; knows nothing of the code under test. PS3.5 section 7, PS3.10 section 7.
 */
#ifndef VIVO_TEST_DICOM_MAKE_H
#define VIVO_TEST_DICOM_MAKE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_ILE "1.2.840.10008.1.2"
#define MAKE_ELE "1.2.840.10008.1.2.1"
#define MAKE_EBE "1.2.840.10008.1.2.2"
#define MAKE_JPEG "1.2.840.10008.1.2.4.50"
#define MAKE_CT "1.2.840.10008.5.1.4.1.1.2"

struct make {
    uint8_t *b;
    size_t n, cap;
    bool implicit, big;
    size_t open[64]; /* where a defined length is to be patched; 0 = undefined */
    unsigned depth;
};

static inline void make_bytes(struct make *m, const void *p, size_t len)
{
    if (m->n + len > m->cap) {
        m->cap = 2 * (m->n + len) + 4096;
        m->b = realloc(m->b, m->cap);
        assert(m->b);
    }
    if (len)
        memcpy(m->b + m->n, p, len);
    m->n += len;
}

static inline void make_int(struct make *m, uint32_t v, unsigned bytes)
{
    uint8_t b[4];
    for (unsigned i = 0; i < bytes; i++)
        b[m->big ? bytes - 1 - i : i] = (uint8_t)(v >> 8 * i);
    make_bytes(m, b, bytes);
}

static inline void make_tag(struct make *m, uint32_t tag)
{
    make_int(m, tag >> 16, 2);
    make_int(m, tag & 0xFFFF, 2);
}

static inline bool make_is_long(const char *vr)
{
    return strstr("OB OD OF OL OV OW SQ SV UC UN UR UT UV", vr) != NULL;
}

static inline void make_head(struct make *m, uint32_t tag, const char *vr, uint32_t len)
{
    make_tag(m, tag);
    if (m->implicit) {
        make_int(m, len, 4);
        return;
    }
    make_bytes(m, vr, 2);
    if (make_is_long(vr)) {
        make_int(m, 0, 2);
        make_int(m, len, 4);
    } else {
        make_int(m, len, 2);
    }
}

static inline void make_value(struct make *m, uint32_t tag, const char *vr,
                              const void *v, size_t len)
{
    make_head(m, tag, vr, (uint32_t)(len + (len & 1)));
    make_bytes(m, v, len);
    if (len & 1)
        make_bytes(m, strstr("UI OB UN", vr) ? "\0" : " ", 1);
}

static inline void make_text(struct make *m, uint32_t tag, const char *vr,
                             const char *s)
{
    make_value(m, tag, vr, s, strlen(s));
}

static inline void make_us(struct make *m, uint32_t tag, uint16_t v)
{
    make_head(m, tag, "US", 2);
    make_int(m, v, 2);
}

/* Sequences and items; defined = with a length that is patched at their end. */
static inline void make_open(struct make *m, bool defined)
{
    m->open[m->depth++] = defined ? m->n : 0;
}

static inline void make_close(struct make *m, uint32_t delimiter)
{
    size_t at = m->open[--m->depth];
    if (!at) {
        make_tag(m, delimiter);
        make_int(m, 0, 4);
        return;
    }
    struct make len = {.big = m->big};
    make_int(&len, (uint32_t)(m->n - at), 4);
    memcpy(m->b + at - 4, len.b, 4);
    free(len.b);
}

static inline void make_sequence(struct make *m, uint32_t tag, bool defined)
{
    make_head(m, tag, "SQ", 0xFFFFFFFFu);
    make_open(m, defined);
}

static inline void make_item(struct make *m, bool defined)
{
    make_tag(m, 0xFFFEE000u);
    make_int(m, 0xFFFFFFFFu, 4);
    make_open(m, defined);
}

static inline void make_item_end(struct make *m)
{
    make_close(m, 0xFFFEE00Du);
}

static inline void make_sequence_end(struct make *m)
{
    make_close(m, 0xFFFEE0DDu);
}

/* Preamble and file meta; afterwards the data set's syntax is in force. */
static inline void make_file(struct make *m, const char *syntax, const char *sop_class,
                             const char *instance)
{
    uint8_t preamble[128] = "II*\0PREAMBLETOKEN";
    struct make meta = {0};
    memset(m, 0, sizeof *m);
    make_bytes(m, preamble, sizeof preamble);
    make_bytes(m, "DICM", 4);
    make_value(&meta, 0x00020001, "OB", "\0\1", 2);
    make_text(&meta, 0x00020002, "UI", sop_class);
    make_text(&meta, 0x00020003, "UI", instance);
    make_text(&meta, 0x00020010, "UI", syntax);
    make_text(&meta, 0x00020012, "UI", "1.2.3.4.5.6.7777");
    make_text(&meta, 0x00020016, "AE", "METATOKENAE");
    make_text(&meta, 0x00020100, "UI", "1.2.3.4.5.6.8888");
    make_value(&meta, 0x00020102, "OB", "METATOKEN1", 10);
    make_head(m, 0x00020000, "UL", 4);
    make_int(m, (uint32_t)meta.n, 4);
    make_bytes(m, meta.b, meta.n);
    free(meta.b);
    m->implicit = !strcmp(syntax, MAKE_ILE);
    m->big = !strcmp(syntax, MAKE_EBE);
}

#endif
