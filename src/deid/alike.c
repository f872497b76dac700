/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/alike.c -- models: objects that others may be like.
 *
 * A source is like a model when it has the same top-level elements in the same order,
 * byte for byte, but for values that stand alone: the policy removes them whatever they
 * are, or they are numbers, times and UIDs of a list, which nothing else hangs on.
 * Here is what stands alone, and how a model is made; alike_describe.c uses it. */
#include "alike.h"
#include "options.h"

#include <pthread.h>
#include <string.h>

#define TAG_META_LENGTH 0x00020000u
#define TAG_META_INSTANCE 0x00020003u

/* ---- what stands alone -------------------------------------------------------- */

/* What differs from image to image. No attribute of which another one's fate hangs, or
 * the patient's pseudonym, or what happens to the pixels. */
static const uint32_t list[] = {
    0x00080012, /* InstanceCreationDate */
    0x00080013, /* InstanceCreationTime */
    0x00080018, /* SOPInstanceUID */
    0x00080021, /* SeriesDate */
    0x00080022, /* AcquisitionDate */
    0x00080023, /* ContentDate */
    0x0008002A, /* AcquisitionDateTime */
    0x00080031, /* SeriesTime */
    0x00080032, /* AcquisitionTime */
    0x00080033, /* ContentTime */
    0x00180050, /* SliceThickness */
    0x00180080, /* RepetitionTime */
    0x00180081, /* EchoTime */
    0x00180082, /* InversionTime */
    0x00180083, /* NumberOfAverages */
    0x00180084, /* ImagingFrequency */
    0x00180086, /* EchoNumbers */
    0x00180088, /* SpacingBetweenSlices */
    0x00180090, /* DataCollectionDiameter */
    0x00181060, /* TriggerTime */
    0x00181063, /* FrameTime */
    0x00181100, /* ReconstructionDiameter */
    0x00181120, /* GantryDetectorTilt */
    0x00181130, /* TableHeight */
    0x00181150, /* ExposureTime */
    0x00181151, /* XRayTubeCurrent */
    0x00181152, /* Exposure */
    0x00181153, /* ExposureInuAs */
    0x00181170, /* GeneratorPower */
    0x00181242, /* ActualFrameDuration */
    0x00181314, /* FlipAngle */
    0x00181316, /* SAR */
    0x00189087, /* DiffusionBValue */
    0x00189089, /* DiffusionGradientOrientation */
    0x00189311, /* SpiralPitchFactor */
    0x00189345, /* CTDIvol */
    0x0020000E, /* SeriesInstanceUID */
    0x00200011, /* SeriesNumber */
    0x00200012, /* AcquisitionNumber */
    0x00200013, /* InstanceNumber */
    0x00200032, /* ImagePositionPatient */
    0x00200037, /* ImageOrientationPatient */
    0x00200052, /* FrameOfReferenceUID */
    0x00200100, /* TemporalPositionIdentifier */
    0x00200105, /* NumberOfTemporalPositions */
    0x00200110, /* TemporalResolution */
    0x00201002, /* ImagesInAcquisition */
    0x00201041, /* SliceLocation */
    0x00209057, /* InStackPositionNumber */
    0x00209128, /* TemporalPositionIndex */
    0x00280106, /* SmallestImagePixelValue */
    0x00280107, /* LargestImagePixelValue */
    0x00281050, /* WindowCenter */
    0x00281051, /* WindowWidth */
    0x00281052, /* RescaleIntercept */
    0x00281053, /* RescaleSlope */
    0x00541300, /* FrameReferenceTime */
    0x00541321, /* DecayFactor */
    0x00541322, /* DoseCalibrationFactor */
    0x00541324, /* DeadTimeFactor */
    0x00541330, /* ImageIndex */
};

static bool in_list(uint32_t tag)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(list); i++)
        if (list[i] == tag)
            return true;
    return false;
}

/* Numbers, times and UIDs: ASCII or binary, whatever the character set. */
static bool is_plain_vr(const char *vr)
{
    static const char plain[][3] = {"DA", "DS", "DT", "FD", "FL", "IS",
                                    "SL", "SS", "TM", "UI", "UL", "US"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(plain); i++)
        if (!memcmp(vr, plain[i], 2))
            return true;
    return false;
}

/* What the action makes of a value asks nobody but the value and the class. */
static bool is_plain_act(enum vivo_act act)
{
    switch (act) {
    case VIVO_ACT_K:
    case VIVO_ACT_KEEP:
    case VIVO_ACT_Z:
    case VIVO_ACT_D:
    case VIVO_ACT_U:
    case VIVO_ACT_XZ:
    case VIVO_ACT_XD:
    case VIVO_ACT_ZD:
    case VIVO_ACT_XZD:
    case VIVO_ACT_AWAY:
        return true;
    case VIVO_ACT_NONE:
    case VIVO_ACT_X:
    case VIVO_ACT_XZU:
    case VIVO_ACT_CODE:
    case VIVO_ACT_PSEUDO:
    case VIVO_ACT_SHIFT:
    case VIVO_ACT_CLEAN:
    case VIVO_ACT_PERSON:
    case VIVO_ACT_PRIVATE:
        break;
    }
    return false;
}

bool vivo_alike_stands_alone(const struct vivo_deid *d, uint32_t tag)
{
    struct vivo_decision dec;
    if (tag == TAG_META_LENGTH || tag == TAG_META_INSTANCE)
        return true;
    if (tag < 0x00080000u || tag >= 0x50000000u)
        return false;
    vivo_deid_decide(d, tag, &dec);
    if (dec.scripted || dec.unlisted)
        return false;
    if (dec.act == VIVO_ACT_X)
        return !vivo_header_asks(tag);
    return in_list(tag) && is_plain_act(dec.act) && is_plain_vr(dec.vr);
}

/* ---- making a model -------------------------------------------------------------- */

static void free_models(void *p)
{
    struct vivo_models *all = p;
    for (size_t i = 0; i < VIVO_ALIKE_MODELS; i++) {
        if (!all->m[i])
            continue;
        vivo_buf_free(&all->m[i]->attrs);
        vivo_wipe(all->m[i]->lead, sizeof all->m[i]->lead);
        free(all->m[i]);
    }
    free(all);
}

static pthread_key_t per_thread;
static bool have_key;

static void make_key(void)
{
    have_key = !pthread_key_create(&per_thread, free_models);
}

struct vivo_models *vivo_alike_models(bool make)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    struct vivo_models *all = have_key ? pthread_getspecific(per_thread) : NULL;
    if (all || !make || !have_key)
        return all;
    all = calloc(1, sizeof *all);
    if (all && pthread_setspecific(per_thread, all)) {
        free(all);
        all = NULL;
    }
    return all;
}

/* What serves nobody is the first to go. */
static uint64_t used(const struct vivo_model *m)
{
    return m && m->ready ? m->used : 0;
}

struct vivo_model *vivo_alike_begin(const struct vivo_deid *d)
{
    if (d->none || d->options & VIVO_DEID_COLLECTS || d->ctp || d->pixels)
        return NULL;
    struct vivo_models *all = vivo_alike_models(true);
    size_t oldest = 0;
    if (!all)
        return NULL;
    for (size_t i = 1; i < VIVO_ALIKE_MODELS; i++)
        if (used(all->m[i]) < used(all->m[oldest]))
            oldest = i;
    struct vivo_model *m = all->m[oldest];
    if (!m) {
        m = all->m[oldest] = malloc(sizeof *m);
        if (!m)
            return NULL;
        vivo_buf_init(&m->attrs, VIVO_ALIKE_ATTRS_KEPT);
    }
    m->ready = m->placed = m->cleaned = m->pixels = false;
    m->whole = true;
    m->used = ++all->clock;
    memcpy(m->digest, d->digest, sizeof m->digest);
    m->n = 0;
    return m;
}

/* The end of the part that was last: where the next one begins. */
static void end_part(struct vivo_model *m, uint64_t at)
{
    struct vivo_part *last = m->n ? &m->parts[m->n - 1] : NULL;
    if (last && at >= last->at && at - last->at < UINT32_MAX)
        last->len = (uint32_t)(at - last->at);
    else if (last)
        m->whole = false;
}

static void add_part(struct vivo_model *m, const struct vivo_dcm_elem *e, bool simple)
{
    uint32_t last = m->n ? m->parts[m->n - 1].tag : 0;
    end_part(m, e->offset);
    if (m->n == VIVO_ALIKE_PARTS_MAX || e->offset > VIVO_DEID_LEAD ||
        (m->n && e->tag <= last) || m->pixels) {
        m->whole = false;
        return;
    }
    m->parts[m->n++] = (struct vivo_part){
        .tag = e->tag,
        .at = (uint32_t)e->offset,
        .out = VIVO_ALIKE_OUT_UNKNOWN,
        .head = (uint8_t)(e->value_offset - e->offset),
        .simple = simple,
    };
}

void vivo_alike_event(struct vivo_model *m, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e)
{
    if (e->depth)
        return;
    switch (event) {
    case VIVO_DCM_META:
    case VIVO_DCM_ELEMENT:
        add_part(m, e, true);
        break;
    case VIVO_DCM_SEQUENCE:
        add_part(m, e, false);
        break;
    case VIVO_DCM_BULK:
        add_part(m, e, false);
        m->pixels = true;
        m->whole = m->whole && e->tag == VIVO_TAG_PixelData && !e->cut &&
                   e->length >= VIVO_ALIKE_BULK_SHOWN;
        break;
    case VIVO_DCM_DATASET:
        m->syntax = *e->syntax;
        break;
    case VIVO_DCM_END:
        end_part(m, e->offset);
        m->size = e->offset;
        break;
    case VIVO_DCM_FRAGMENTS:
    case VIVO_DCM_NONE:
        m->whole = false;
        break;
    case VIVO_DCM_ITEM:
    case VIVO_DCM_ITEM_END:
    case VIVO_DCM_SEQUENCE_END:
        break;
    }
}

static bool is_native_little(const struct vivo_syntax *s)
{
    return !s->big_endian && !s->deflated && !s->encapsulated;
}

uint32_t vivo_alike_even(const char *uid)
{
    uint32_t n = (uint32_t)strlen(uid);
    return n + (n & 1);
}

void vivo_alike_clean(struct vivo_model *m, const struct vivo_rewrite *r,
                      const struct vivo_syntax *out)
{
    char text[VIVO_UID_MAX + 1];
    const struct vivo_header *h = r->h;
    m->cleaned = r->plan->way == VIVO_PIXELS_LEFT && !r->plan->blanks && !r->audit &&
                 !h->collects && !h->dicomdir && h->inflated < 0 && h->ordered &&
                 is_native_little(out) && is_native_little(&h->syntax) &&
                 out->implicit == h->syntax.implicit && r->sop_class[0] &&
                 vivo_header_text(h, VIVO_TAG_PatientID, text, sizeof text) &&
                 vivo_header_text(h, VIVO_TAG_SOPInstanceUID, text, sizeof text);
    m->out = *out;
    memcpy(m->sop_class, r->sop_class, sizeof m->sop_class);
    vivo_rewrite_instance(r, text);
    m->instance = vivo_alike_even(text);
}

const char *vivo_alike_vr(const struct vivo_model *m, const struct vivo_part *p)
{
    bool implicit = m->syntax.implicit && p->tag >> 16 != 0x0002;
    return implicit ? vivo_dcm_vr_of(p->tag) : (const char *)m->lead + p->at + 4;
}

/* The first element of the data set tells the syntax and stays what it is. */
static bool stands_alone(const struct vivo_model *m, const struct vivo_part *p,
                         const struct vivo_deid *d)
{
    const char *vr = vivo_alike_vr(m, p);
    bool meta = p->tag >> 16 == 0x0002;
    if (!p->simple || !vivo_alike_stands_alone(d, p->tag))
        return false;
    if (p->tag == TAG_META_LENGTH)
        return !memcmp(vr, "UL", 2) && p->len == 12;
    if (meta)
        return !memcmp(vr, "UI", 2);
    if (p == m->parts || p[-1].tag >> 16 == 0x0002)
        return false;
    /* US or SS: told by another attribute where the stream does not say. */
    const struct vivo_dict *dict = vivo_dcm_dict(p->tag);
    return !m->syntax.implicit || !dict || !dict->either;
}

bool vivo_alike_alone(struct vivo_model *m, struct vivo_part *p,
                      const struct vivo_deid *d)
{
    if (!p->alone)
        p->alone = stands_alone(m, p, d) ? 2 : 1;
    return p->alone == 2;
}

/* Where each part stands in the attributes. */
static bool find_shown(struct vivo_model *m)
{
    const struct vivo_attrs attrs = {m->attrs.data, m->attrs.len};
    struct vivo_attrs it = attrs;
    struct vivo_attr a;
    uint32_t i = 0;
    for (uint32_t at = 0; vivo_attrs_next(&it, &a);
         at = (uint32_t)(attrs.len - it.len)) {
        for (; i < m->n && m->parts[i].tag < a.tag; i++)
            m->parts[i].shown = at;
        if (i == m->n || m->parts[i].tag != a.tag)
            continue;
        m->parts[i].shown = at;
        m->parts[i++].shown_len = (uint32_t)(attrs.len - it.len) - at;
    }
    for (; i < m->n; i++)
        m->parts[i].shown = (uint32_t)attrs.len;
    return !it.len;
}

/* Do the attributes end with the first bytes of the pixel data? */
static bool shows_pixels(const struct vivo_model *m)
{
    const struct vivo_part *p = &m->parts[m->n - 1];
    return p->shown_len >= VIVO_ALIKE_BULK_SHOWN + 8 &&
           p->shown + p->shown_len == m->attrs.len &&
           !memcmp(m->attrs.data + m->attrs.len - VIVO_ALIKE_BULK_SHOWN,
                   m->lead + p->at + p->head, VIVO_ALIKE_BULK_SHOWN);
}

bool vivo_alike_place(struct vivo_model *m)
{
    if (!m->placed)
        m->placed = find_shown(m) && (!m->pixels || shows_pixels(m));
    return m->placed;
}

/* Bytes of the source that are compared, and those of the pixels that are shown. */
static uint64_t compared(const struct vivo_model *m)
{
    const struct vivo_part *last = &m->parts[m->n - 1];
    return m->pixels ? (uint64_t)last->at + last->head + VIVO_ALIKE_BULK_SHOWN
                     : m->size;
}

void vivo_alike_shown(struct vivo_model *m, const uint8_t *lead, size_t len,
                      uint64_t size, struct vivo_attrs attrs,
                      const struct vivo_deid_report *report)
{
    if (!m->whole || !m->cleaned || report->refusal != VIVO_REFUSAL_NONE || !m->n ||
        m->parts[0].at != VIVO_ALIKE_PREAMBLE || m->size != size || compared(m) > len ||
        memcmp(lead + VIVO_ALIKE_PREAMBLE - 4, "DICM", 4))
        return;
    vivo_buf_clear(&m->attrs);
    if (vivo_buf_add(&m->attrs, attrs.data, attrs.len))
        return;
    memcpy(m->lead, lead, (size_t)compared(m));
    m->shown_size = report->size;
    m->at_risk = report->at_risk;
    m->ready = true;
}
