/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/picture_find.c -- what the header says of the pixels: one walk. */
#include "picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PALETTE_MAX (1u << 18) /* bytes; 65536 entries of 16 bits are half of it */
#define SHARED_GROUPS 0x52009229u
#define FRAME_GROUPS 0x52009230u

struct finding {
    struct vivo_frame_source *src;
    uint32_t group; /* the top-level sequence that the walk is in */
    uint32_t item;  /* and the item of it */
    bool top;       /* a window of the top level was seen */
};

static uint32_t us(const struct vivo_dcm_elem *e, unsigned i)
{
    const uint8_t *p = e->value + 2 * (size_t)i;
    if (e->length < 2 * (uint64_t)(i + 1))
        return 0;
    return e->syntax && e->syntax->big_endian ? vivo_be16(p) : vivo_le16(p);
}

/* The first value of a text, without spaces. */
static void text_of(const struct vivo_dcm_elem *e, char *out, size_t cap)
{
    size_t n = 0;
    for (uint64_t i = 0; i < e->length && e->value[i] && n + 1 < cap; i++) {
        if (e->value[i] == '\\')
            break;
        if (e->value[i] != ' ' || n)
            out[n++] = (char)e->value[i];
    }
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

static bool number_of(const struct vivo_dcm_elem *e, double *out)
{
    char text[64], *end;
    text_of(e, text, sizeof text);
    double v = strtod(text, &end);
    if (end == text || *end || v != v || v > 1e30 || v < -1e30)
        return false;
    *out = v;
    return true;
}

static uint32_t photometric_of(const char *text)
{
    static const char *const words[] = {
        [VIVO_PHOTOMETRIC_MONOCHROME1] = "MONOCHROME1",
        [VIVO_PHOTOMETRIC_MONOCHROME2] = "MONOCHROME2",
        [VIVO_PHOTOMETRIC_PALETTE] = "PALETTE COLOR",
        [VIVO_PHOTOMETRIC_RGB] = "RGB",
        [VIVO_PHOTOMETRIC_YBR_FULL] = "YBR_FULL",
        [VIVO_PHOTOMETRIC_YBR_FULL_422] = "YBR_FULL_422",
        [VIVO_PHOTOMETRIC_YBR_RCT] = "YBR_RCT",
        [VIVO_PHOTOMETRIC_YBR_ICT] = "YBR_ICT",
    };
    for (uint32_t i = 1; i < VIVO_ARRAY_LEN(words); i++)
        if (!strcmp(text, words[i]))
            return i;
    return VIVO_PHOTOMETRIC_NONE;
}

static int take_palette(struct vivo_palette *p, const struct vivo_dcm_elem *e,
                        struct vivo_err *err)
{
    bool big = e->syntax && e->syntax->big_endian && strcmp(e->vr, "OB") != 0;
    vivo_buf_free(&p->data);
    vivo_buf_init(&p->data, PALETTE_MAX);
    if (vivo_buf_add(&p->data, e->value, (size_t)e->length))
        return vivo_fail(err, EBADMSG, "a palette is too long");
    for (size_t i = 0; big && i + 1 < p->data.len; i += 2) {
        uint8_t b = p->data.data[i];
        p->data.data[i] = p->data.data[i + 1];
        p->data.data[i + 1] = b;
    }
    return 0;
}

static void take_descriptor(struct vivo_palette *p, const struct vivo_dcm_elem *e)
{
    p->n = us(e, 0) ? us(e, 0) : 65536;
    p->first = strcmp(e->vr, "SS") ? (int32_t)us(e, 1) : (int16_t)us(e, 1);
    p->bits = us(e, 2);
}

/* What values mean: at the top, or in functional groups of all frames or the middle one
 * (PS3.3 C.7.6.16). */
static void take_meaning(struct finding *f, const struct vivo_dcm_elem *e)
{
    struct vivo_frame_source *s = f->src;
    if (e->tag == 0x00281050 && number_of(e, &s->window.center))
        s->window.has_center = true;
    if (e->tag == 0x00281051 && number_of(e, &s->window.width))
        s->window.has_width = true;
    if (e->tag == 0x00281052 && number_of(e, &s->intercept))
        s->has_intercept = true;
    if (e->tag == 0x00281053 && number_of(e, &s->slope))
        s->has_slope = true;
    if (e->tag == 0x00281056)
        text_of(e, s->window.function, sizeof s->window.function);
}

static bool is_of_the_frame(const struct finding *f)
{
    return f->group == SHARED_GROUPS ||
           (f->group == FRAME_GROUPS && f->item == f->src->frames / 2);
}

static int take_element(struct finding *f, const struct vivo_dcm_elem *e,
                        struct vivo_err *err)
{
    struct vivo_frame_source *s = f->src;
    char text[32];
    double n;
    if (e->depth) {
        if (is_of_the_frame(f))
            take_meaning(f, e);
        return 0;
    }
    take_meaning(f, e);
    switch (e->tag) {
    case 0x00280002:
        s->samples = us(e, 0);
        break;
    case 0x00280004:
        text_of(e, text, sizeof text);
        s->photometric = photometric_of(text);
        break;
    case 0x00280006:
        s->planar = us(e, 0);
        break;
    case 0x00280008:
        s->frames = number_of(e, &n) && n >= 1 && n < 1e6 ? (uint32_t)n : 1;
        break;
    case 0x00280010:
        s->rows = us(e, 0);
        break;
    case 0x00280011:
        s->columns = us(e, 0);
        break;
    case 0x00280100:
        s->allocated = us(e, 0);
        break;
    case 0x00280101:
        s->stored = us(e, 0);
        break;
    case 0x00280102:
        s->high = us(e, 0);
        break;
    case 0x00280103:
        s->is_signed = us(e, 0);
        break;
    case 0x00281101:
    case 0x00281102:
    case 0x00281103:
        take_descriptor(&s->palette[e->tag - 0x00281101], e);
        break;
    case 0x00281201:
    case 0x00281202:
    case 0x00281203:
        return take_palette(&s->palette[e->tag - 0x00281201], e, err);
    case 0x00281221:
        s->segmented = true;
        break;
    default:
        break;
    }
    return 0;
}

static void take_pixels(struct finding *f, enum vivo_dcm_event event,
                        const struct vivo_dcm_elem *e)
{
    struct vivo_frame_source *s = f->src;
    bool floats = e->tag == 0x7FE00008 || e->tag == 0x7FE00009;
    if (e->depth || (e->tag != VIVO_TAG_PixelData && !floats))
        return;
    s->floats = floats;
    s->at = e->value_offset;
    s->length = e->length;
    s->cut = e->cut;
    s->encapsulated = event == VIVO_DCM_FRAGMENTS;
}

static int see(void *ctx, enum vivo_dcm_event event, const struct vivo_dcm_elem *e,
               struct vivo_err *err)
{
    struct finding *f = ctx;
    if (event == VIVO_DCM_DATASET)
        f->src->syntax = e->syntax;
    if (event == VIVO_DCM_SEQUENCE && !e->depth)
        f->group = e->tag;
    if (event == VIVO_DCM_ITEM && e->depth <= 1)
        f->item = e->item;
    if (event == VIVO_DCM_BULK || event == VIVO_DCM_FRAGMENTS)
        take_pixels(f, event, e);
    /* Nothing else that is long matters here. */
    if (event == VIVO_DCM_SEQUENCE && f->group != SHARED_GROUPS &&
        f->group != FRAME_GROUPS)
        return VIVO_DCM_SKIP;
    return event == VIVO_DCM_ELEMENT ? take_element(f, e, err) : 0;
}

static int no_picture(const struct vivo_frame_source *s, struct vivo_err *err)
{
    if (!s->length || !s->rows || !s->columns)
        return vivo_fail(err, EBADMSG, "it holds no picture");
    if (s->floats)
        return vivo_fail(err, EBADMSG, "its pixels are floating-point numbers");
    if (s->cut)
        return vivo_fail(err, EBADMSG, "its pixel data are cut");
    if (s->segmented)
        return vivo_fail(err, EBADMSG, "its palette is in segments");
    bool known = s->photometric != VIVO_PHOTOMETRIC_NONE &&
                 (s->samples == 1 || s->samples == 3) && s->is_signed <= 1 &&
                 s->planar <= 1 && s->stored && s->stored <= s->allocated &&
                 s->high < s->allocated && s->high + 1 >= s->stored;
    bool cells = s->allocated == 8 || s->allocated == 16 ||
                 (s->samples == 1 && (s->allocated == 1 || s->allocated == 32));
    bool colours = s->photometric >= VIVO_PHOTOMETRIC_RGB;
    if (!known || !cells || colours != (s->samples == 3))
        return vivo_fail(err, EBADMSG, "its pixels are of an unknown kind");
    return 0;
}

int vivo_frame_find(struct vivo_reader *object, int deflated,
                    struct vivo_frame_source *out, struct vivo_err *err)
{
    struct finding f = {.src = out};
    *out = (struct vivo_frame_source){.samples = 1, .frames = 1, .slope = 1};
    int rc = vivo_dcm_walk_reader(object, NULL, 0, deflated, see, &f, err);
    if (rc < 0)
        return rc;
    if (!out->stored)
        out->stored = out->allocated;
    if (!out->high)
        out->high = out->stored ? out->stored - 1 : 0;
    return no_picture(out, err);
}

void vivo_frame_source_free(struct vivo_frame_source *s)
{
    for (unsigned i = 0; i < 3; i++)
        vivo_buf_free(&s->palette[i].data);
}
