/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/policy.c -- what happens to an attribute: an allow-list.
 *
 * An attribute survives only when the standard knows it, Table E.1-1 does not touch
 * it, and its VR cannot hold an identity or somebody decided that it does not
 * (gaps_keep.txt). PS3.15 E.1.1, E.3. */
#include "ctp.h"
#include "options.h"

#include <errno.h>
#include <string.h>

#define TAG_TRANSFER_SYNTAX 0x00020010u
#define TAG_ZONE 0x00080201u
#define GROUP(tag) ((tag) >> 16)
#define ELEMENT(tag) ((tag)&0xFFFF)

/* Groups that never stay: illegal and private ones (PS3.5 section 7.1, 7.8), command
 * and media directory sets (0000-0006), curves and overlays whole (the table lists
 * parts of 60xx, but its labels and descriptions are free text too), the padding and
 * signatures behind the pixel data, group lengths, and (0008,0001) LengthToEnd, which
 * would be wrong. */
static bool group_goes(uint32_t tag)
{
    uint32_t g = GROUP(tag);
    return (g & 1) || g < 0x0008 || (g >> 8) == 0x50 || (g >> 8) == 0x60 ||
           g >= 0xFF00 || ELEMENT(tag) == 0 || tag == 0x00080001;
}

/* VRs in which a person may be named or found; an attribute of one of them that
 * neither table decides is removed. */
static bool vr_goes(const char *vr)
{
    static const char prone[][3] = {"PN", "DA", "DT", "TM", "LO", "SH", "ST",
                                    "LT", "UT", "UC", "UR", "AE", "UN"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(prone); i++)
        if (!memcmp(vr, prone[i], 2))
            return true;
    return false;
}

/* (60xx,eeee) with clean-graphics: what the plane is made of, and no text. Even groups
 * only (PS3.5 section 7.6). */
static bool is_overlay_plane(uint32_t tag)
{
    static const uint16_t elements[] = {0x0010, 0x0011, 0x0015, 0x0040, 0x0050, 0x0051,
                                        0x0100, 0x0102, 0x1301, 0x1302, 0x1303, 0x3000};
    if (tag >> 24 != 0x60 || GROUP(tag) & 1)
        return false;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(elements); i++)
        if (elements[i] == ELEMENT(tag))
            return true;
    return false;
}

/* Private groups that PS3.5 section 7.8 allows. */
static bool is_private(uint32_t tag)
{
    uint32_t g = GROUP(tag);
    return (g & 1) && g > 0x0008 && g != 0xFFFF && ELEMENT(tag) >= 0x0010;
}

/* C: cleaned by what the VR can hold. What cannot be cleaned takes the basic action. */
static enum vivo_act act_of_clean(const struct vivo_deid_row *row, const char *vr)
{
    static const char dates[][3] = {"DA", "DT", "TM"};
    static const char texts[][3] = {"LO", "SH", "LT", "ST", "UT", "UC"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dates); i++)
        if (!memcmp(vr, dates[i], 2))
            return VIVO_ACT_SHIFT;
    if (row->tag == TAG_ZONE)
        return VIVO_ACT_SHIFT;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(texts); i++)
        if (!memcmp(vr, texts[i], 2))
            return VIVO_ACT_CLEAN;
    return memcmp(vr, "SQ", 2) ? row->basic : VIVO_ACT_KEEP;
}

static enum vivo_act act_of_row(const struct vivo_deid *d,
                                const struct vivo_deid_row *row, const char *vr)
{
    bool clean = false;
    for (unsigned i = 0; i < 10; i++) {
        if (!(d->options & 1u << i))
            continue;
        if (row->option[i] == 'K')
            return VIVO_ACT_K;
        clean = clean || row->option[i] == 'C';
    }
    return clean ? act_of_clean(row, vr) : row->basic;
}

static enum vivo_act act_of_gap(const struct vivo_deid *d,
                                const struct vivo_deid_gap *gap, bool *registry)
{
    switch (gap->action) {
    case VIVO_GAP_KEEP:
        return VIVO_ACT_KEEP;
    case VIVO_GAP_CODE:
        return VIVO_ACT_CODE;
    case VIVO_GAP_EMPTY:
        return VIVO_ACT_Z;
    case VIVO_GAP_REGISTRY:
        *registry = true;
        return VIVO_ACT_KEEP;
    case VIVO_GAP_REMAP:
        return d->options & VIVO_DEID_RETAIN_UIDS ? VIVO_ACT_K : VIVO_ACT_U;
    case VIVO_GAP_NONE:
    case VIVO_GAP_REMOVE:
        break;
    }
    return VIVO_ACT_AWAY;
}

static void set_vr(struct vivo_decision *out, const char *vr)
{
    memcpy(out->vr, vr, 3);
}

static void work_out_basic(const struct vivo_deid *d, uint32_t tag,
                           struct vivo_decision *out)
{
    memset(out, 0, sizeof *out);
    set_vr(out, "UN");
    out->act = VIVO_ACT_X;
    out->basic = VIVO_ACT_X;
    if (d->options & VIVO_DEID_RETAIN_SAFE_PRIVATE && is_private(tag))
        out->act = VIVO_ACT_PRIVATE;
    bool plane = d->options & VIVO_DEID_CLEAN_GRAPHICS && is_overlay_plane(tag);
    if (group_goes(tag) && !plane)
        return;
    const struct vivo_dict *dict = vivo_dcm_dict(tag);
    if (dict) {
        set_vr(out, dict->vr);
        out->either = dict->either;
    }
    if (tag == VIVO_TAG_PatientName || tag == VIVO_TAG_PatientID) {
        out->act = VIVO_ACT_PSEUDO;
        return;
    }
    const struct vivo_deid_row *row = vivo_deid_row_find(tag);
    if (row) {
        /* The table is newer than the dictionary and knows some VRs alone. */
        if (!dict)
            set_vr(out, row->vr);
        out->act = plane ? VIVO_ACT_KEEP : act_of_row(d, row, out->vr);
        out->basic = row->basic;
        return;
    }
    const struct vivo_deid_gap *gap = vivo_deid_gap_find(tag);
    if (gap) {
        if (!dict)
            set_vr(out, gap->vr);
        out->act = act_of_gap(d, gap, &out->registry);
        return;
    }
    if (!dict)
        return;
    if (vr_goes(dict->vr))
        out->act = VIVO_ACT_AWAY;
    else if (d->options & VIVO_DEID_RETAIN_UIDS && !memcmp(dict->vr, "UI", 2))
        out->act = VIVO_ACT_K;
    else
        out->act = VIVO_ACT_KEEP;
}

static bool is_curve(uint32_t tag)
{
    return tag >> 24 == 0x50 || tag >> 24 == 0x60;
}

/* With a script alone the standard's attributes stay, but for those that never make
 * sense in another file. */
static void keep_all(uint32_t tag, struct vivo_decision *out)
{
    const struct vivo_dict *dict = vivo_dcm_dict(tag);
    bool curve = is_curve(tag) && !(GROUP(tag) & 1) && ELEMENT(tag);
    if (!dict || (group_goes(tag) && !curve) || out->act == VIVO_ACT_PSEUDO)
        return;
    set_vr(out, dict->vr);
    out->either = dict->either;
    out->act = VIVO_ACT_K;
}

static void work_out(const struct vivo_deid *d, uint32_t tag, struct vivo_decision *out)
{
    work_out_basic(d, tag, out);
    if (!d->ctp)
        return;
    if (d->ctp->alone)
        keep_all(tag, out);
    vivo_ctp_decide(d, tag, out);
}

int vivo_deid_learn(struct vivo_deid *d)
{
    size_t n = 0;
    const struct vivo_dict *rows = vivo_dcm_dict_all(&n);
    if (!n)
        return 0;
    d->decisions = calloc(n, sizeof *d->decisions);
    if (!d->decisions)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        work_out(d, rows[i].tag, &d->decisions[i]);
    return 0;
}

void vivo_deid_decide(const struct vivo_deid *d, uint32_t tag,
                      struct vivo_decision *out)
{
    const struct vivo_dict *row = d->decisions ? vivo_dcm_dict(tag) : NULL;
    size_t n = 0;
    /* A row of a repeating group speaks for other tags than its own. */
    if (row && row->tag == tag)
        *out = d->decisions[row - vivo_dcm_dict_all(&n)];
    else
        work_out(d, tag, out);
}

bool vivo_deid_asks_type(enum vivo_act act)
{
    switch (act) {
    case VIVO_ACT_Z:
    case VIVO_ACT_XZ:
    case VIVO_ACT_XD:
    case VIVO_ACT_ZD:
    case VIVO_ACT_XZD:
    case VIVO_ACT_AWAY:
        return true;
    case VIVO_ACT_NONE:
    case VIVO_ACT_K:
    case VIVO_ACT_KEEP:
    case VIVO_ACT_X:
    case VIVO_ACT_D:
    case VIVO_ACT_U:
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

/* PS3.15 E.1, note on compound codes: removed where the attribute is of type 3, empty
 * where it is of type 2, a dummy where it is of type 1; without knowing, the last
 * letter, which neither leaks nor breaks the object. Z means "zero length or a
 * dummy", so that a type 1 attribute gets a dummy. */
enum vivo_act vivo_deid_resolve(enum vivo_act act, char type)
{
    bool required = type == '1';
    switch (act) {
    case VIVO_ACT_Z:
    case VIVO_ACT_XZ:
        if (act == VIVO_ACT_XZ && type == '3')
            return VIVO_ACT_X;
        return required ? VIVO_ACT_D : VIVO_ACT_Z;
    case VIVO_ACT_XD:
        return type == '3' ? VIVO_ACT_X : VIVO_ACT_D;
    case VIVO_ACT_ZD:
        return type == '2' || type == '3' ? VIVO_ACT_Z : VIVO_ACT_D;
    case VIVO_ACT_XZD:
        if (type == '3')
            return VIVO_ACT_X;
        return type == '2' ? VIVO_ACT_Z : VIVO_ACT_D;
    case VIVO_ACT_AWAY:
        if (type == '2')
            return VIVO_ACT_Z;
        return required ? VIVO_ACT_D : VIVO_ACT_X;
    case VIVO_ACT_XZU:
        return VIVO_ACT_KEEP;
    case VIVO_ACT_NONE:
    case VIVO_ACT_PRIVATE:
        return VIVO_ACT_X;
    case VIVO_ACT_K:
    case VIVO_ACT_KEEP:
    case VIVO_ACT_X:
    case VIVO_ACT_D:
    case VIVO_ACT_U:
    case VIVO_ACT_CODE:
    case VIVO_ACT_PSEUDO:
    case VIVO_ACT_SHIFT:
    case VIVO_ACT_CLEAN:
    case VIVO_ACT_PERSON:
        break;
    }
    return act;
}

/* The word of the option that keeps or cleans the row's attribute, if one is offered.
 */
static const char *word_for(const struct vivo_deid_row *row)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    for (size_t i = 0; i < 10; i++)
        if (row->option[i] != '.' && words[i].offered)
            return words[i].word;
    return "deid=none";
}

/* The attributes that the engine itself writes into every object. */
static bool is_method(uint32_t tag)
{
    for (size_t i = 0; i < VIVO_METHOD_COUNT; i++)
        if (vivo_method_tags[i] == tag)
            return true;
    return false;
}

bool vivo_deid_cleans(const struct vivo_deid *d, uint32_t tag)
{
    struct vivo_decision dec;
    if (d->none)
        return false;
    vivo_deid_decide(d, tag, &dec);
    return dec.act == VIVO_ACT_CLEAN;
}

bool vivo_deid_keeps(const struct vivo_deid *d, uint32_t tag)
{
    struct vivo_decision dec;
    if (d->none)
        return true;
    if (GROUP(tag) & 1 || is_method(tag))
        return false;
    vivo_deid_decide(d, tag, &dec);
    if (dec.scripted || dec.unlisted)
        return false;
    return dec.act == VIVO_ACT_K || dec.act == VIVO_ACT_KEEP;
}

static const char *hides_private(const struct vivo_deid *d, uint32_t tag,
                                 const char *creator)
{
    if (!creator || !vivo_safe_find(tag, creator))
        return "deid=none";
    return d->options & VIVO_DEID_RETAIN_SAFE_PRIVATE ? NULL : "retain-safe-private";
}

const char *vivo_deid_hides(const struct vivo_deid *d, uint32_t tag,
                            const char *private_creator)
{
    if (d->none)
        return NULL;
    if (private_creator || (GROUP(tag) & 1))
        return hides_private(d, tag, private_creator);
    if (is_method(tag) || tag == TAG_TRANSFER_SYNTAX)
        return NULL;
    struct vivo_decision dec;
    vivo_deid_decide(d, tag, &dec);
    if (dec.script_goes || dec.unlisted)
        return "deid=none";
    if (dec.scripted)
        return NULL;
    switch (dec.act) {
    case VIVO_ACT_K:
    case VIVO_ACT_KEEP:
    case VIVO_ACT_U:
    case VIVO_ACT_CODE:
    case VIVO_ACT_PSEUDO:
    case VIVO_ACT_SHIFT:
    case VIVO_ACT_CLEAN:
        return NULL;
    case VIVO_ACT_NONE:
    case VIVO_ACT_X:
    case VIVO_ACT_Z:
    case VIVO_ACT_D:
    case VIVO_ACT_XZ:
    case VIVO_ACT_XD:
    case VIVO_ACT_ZD:
    case VIVO_ACT_XZD:
    case VIVO_ACT_XZU:
    case VIVO_ACT_AWAY:
    case VIVO_ACT_PERSON:
    case VIVO_ACT_PRIVATE:
        break;
    }
    const struct vivo_deid_row *row = vivo_deid_row_find(tag);
    return row ? word_for(row) : "deid=none";
}
