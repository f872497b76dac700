/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/attrs_value.c -- one value in attrs form: its VR, its text as UTF-8, its
 * numbers in little endian, bulk reduced to its first bytes. */
#include "attrs.h"

#include "charset.h"

#include <errno.h>
#include <string.h>

#define BULK_MAX 16      /* bytes kept of a bulk value (model.h) */
#define UNKNOWN_MAX 1024 /* longer values of VR UN are bulk: nobody asks for them */
#define TAG_LUT_DATA 0x00283006u

#define VR(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

enum kind { KIND_NONE, KIND_TEXT, KIND_NUMBER, KIND_BULK, KIND_UNKNOWN };

/* What a VR holds, and the bytes of one number of it (PS3.5 section 6.2). */
static enum kind kind_of(const char *vr, unsigned *size)
{
    *size = 1;
    switch (VR((uint8_t)vr[0], (uint8_t)vr[1])) {
    case VR('U', 'S'):
    case VR('S', 'S'):
    case VR('A', 'T'):
        *size = 2;
        return KIND_NUMBER;
    case VR('U', 'L'):
    case VR('S', 'L'):
    case VR('F', 'L'):
        *size = 4;
        return KIND_NUMBER;
    case VR('F', 'D'):
    case VR('S', 'V'):
    case VR('U', 'V'):
        *size = 8;
        return KIND_NUMBER;
    case VR('O', 'W'):
        *size = 2;
        return KIND_BULK;
    case VR('O', 'F'):
    case VR('O', 'L'):
        *size = 4;
        return KIND_BULK;
    case VR('O', 'D'):
    case VR('O', 'V'):
        *size = 8;
        return KIND_BULK;
    case VR('O', 'B'):
        return KIND_BULK;
    case VR('A', 'E'):
    case VR('A', 'S'):
    case VR('C', 'S'):
    case VR('D', 'A'):
    case VR('D', 'S'):
    case VR('D', 'T'):
    case VR('I', 'S'):
    case VR('L', 'O'):
    case VR('L', 'T'):
    case VR('P', 'N'):
    case VR('S', 'H'):
    case VR('S', 'T'):
    case VR('T', 'M'):
    case VR('U', 'C'):
    case VR('U', 'I'):
    case VR('U', 'R'):
    case VR('U', 'T'):
        return KIND_TEXT;
    case VR('U', 'N'):
        return KIND_UNKNOWN;
    default:
        return KIND_NONE;
    }
}

/* The VR that the value is taken as. */
static const char *vr_of(const struct vivo_attrs_build *b,
                         const struct vivo_dcm_elem *e)
{
    unsigned size;
    enum kind kind = kind_of(e->vr, &size);
    bool implicit = e->syntax && e->syntax->implicit;
    const char *vr = e->vr;
    if (kind == KIND_NONE || kind == KIND_UNKNOWN) {
        /* PS3.5 section 6.2.2: whoever wrote UN did not know; the dictionary may. */
        vr = vivo_dcm_vr_of(e->tag);
        kind = kind_of(vr, &size);
        if (kind == KIND_NONE || e->length % size != 0)
            return "UN"; /* no sequence: the walker would have said so */
    }
    if (implicit && b->is_signed && strcmp(vr, "US") == 0 && e->tag != TAG_LUT_DATA) {
        const struct vivo_dict *row = vivo_dcm_dict(e->tag);
        if (row && row->either)
            return "SS"; /* US or SS: PS3.3 C.7.6.3.1.1 */
    }
    return vr;
}

/* The first `len` bytes of the value, from the event or from the source. */
static int load(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e, size_t len,
                const uint8_t **value, struct vivo_err *err)
{
    *value = e->value;
    if (e->value || len == 0)
        return 0;
    struct vivo_reader *r = b->bulk ? b->bulk : b->reader;
    vivo_buf_clear(&b->text);
    uint8_t *to = vivo_buf_reserve(&b->text, len);
    if (!to)
        return vivo_fail(err, ENOMEM, "header: out of memory");
    *value = to;
    return r->read(r, to, len, e->value_offset, err);
}

/* How much of it is kept; never more than the source has. */
static size_t kept(const struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                   enum kind kind)
{
    uint64_t len = e->length;
    if (!e->value) {
        uint64_t size = b->bulk ? b->bulk->size : b->reader->size;
        uint64_t there = e->value_offset < size ? size - e->value_offset : 0;
        len = VIVO_MIN(VIVO_MIN(len, there), (uint64_t)VIVO_ATTRS_VALUE_MAX);
    }
    if (kind == KIND_BULK || (kind == KIND_UNKNOWN && len > UNKNOWN_MAX))
        len = VIVO_MIN(len, (uint64_t)BULK_MAX);
    return (size_t)len;
}

static int put_text(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                    const char *vr, const char *charset, const uint8_t *s, size_t len)
{
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\0'))
        len--; /* padding, and spaces that mean nothing */
    if (vivo_charset_is_plain(s, len))
        return vivo_attrs_build_put(b, e->tag, vr, s, len);
    struct vivo_buf utf8;
    vivo_buf_init(&utf8, 8 * (size_t)VIVO_DCM_VALUE_MAX);
    int rc = vivo_dcm_text(charset, vr, s, len, &utf8);
    if (rc == 0)
        rc = vivo_attrs_build_put(b, e->tag, vr, utf8.data, utf8.len);
    vivo_buf_free(&utf8);
    b->foreign = true;
    return rc;
}

static int put_swapped(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                       const char *vr, const uint8_t *value, size_t len, unsigned size)
{
    len = VIVO_MIN(len, (size_t)VIVO_ATTRS_VALUE_MAX);
    VIVO_AUTO(vivo_free_p) uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        return -ENOMEM;
    size_t i = 0;
    for (; i + size <= len; i += size)
        for (unsigned k = 0; k < size; k++)
            copy[i + k] = value[i + size - 1 - k];
    return vivo_attrs_build_put(b, e->tag, vr, copy, i);
}

int vivo_attrs_build_value(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                           const char *charset, struct vivo_err *err)
{
    const char *vr = vr_of(b, e);
    unsigned size;
    enum kind kind = kind_of(vr, &size);
    size_t len = kept(b, e, kind);
    const uint8_t *value = NULL;
    int rc = load(b, e, len, &value, err);
    if (rc < 0)
        return rc;
    if (kind == KIND_TEXT)
        rc = put_text(b, e, vr, charset, value, len);
    else if (size > 1 && e->syntax && e->syntax->big_endian)
        rc = put_swapped(b, e, vr, value, len, size);
    else
        rc = vivo_attrs_build_put(b, e->tag, vr, value, len);
    if (rc < 0)
        return vivo_fail(err, -rc, "header: no room for (%04x,%04x)",
                         (unsigned)(e->tag >> 16), (unsigned)(e->tag & 0xFFFF));
    return 0;
}
