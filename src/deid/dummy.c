/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/dummy.c -- what stands where a value must not be empty.
 *
 * Fixed constants, valid for VR and VM, in ASCII so that they are right under any
 * (0008,0005). Named in the conformance statement. */
#include "engine.h"

#include <errno.h>
#include <string.h>

static const struct {
    char vr[3];
    const char *text; /* NULL = binary */
    uint8_t unit;
} dummies[] = {
    {"AE", VIVO_DUMMY_TEXT, 0},
    {"AS", "000Y", 0},
    {"AT", NULL, 4},
    {"CS", VIVO_DUMMY_TEXT, 0},
    {"DA", VIVO_DUMMY_DATE, 0},
    {"DS", "0", 0},
    {"DT", VIVO_DUMMY_DATE VIVO_DUMMY_TIME, 0},
    {"FD", NULL, 8},
    {"FL", NULL, 4},
    {"IS", "0", 0},
    {"LO", VIVO_DUMMY_TEXT, 0},
    {"LT", VIVO_DUMMY_TEXT, 0},
    {"OB", NULL, 2},
    {"OD", NULL, 8},
    {"OF", NULL, 4},
    {"OL", NULL, 4},
    {"OV", NULL, 8},
    {"OW", NULL, 2},
    {"PN", VIVO_DUMMY_TEXT, 0},
    {"SH", VIVO_DUMMY_TEXT, 0},
    {"SL", NULL, 4},
    {"SS", NULL, 2},
    {"ST", VIVO_DUMMY_TEXT, 0},
    {"SV", NULL, 8},
    {"TM", VIVO_DUMMY_TIME, 0},
    {"UC", VIVO_DUMMY_TEXT, 0},
    {"UL", NULL, 4},
    {"UN", NULL, 2},
    {"UR", "about:blank", 0},
    {"US", NULL, 2},
    {"UT", VIVO_DUMMY_TEXT, 0},
    {"UV", NULL, 8},
};

/* The one item of a sequence that must not be empty. level 1: in the item; 2: in the
 * item of the sequence before it. value NULL: an empty sequence or value. */
static const struct part {
    uint32_t owner;
    uint8_t level;
    uint32_t tag;
    const char *vr, *value;
} parts[] = {
    /* Code Sequence Macro, PS3.3 Table 8.8-1; (DCM, 121106, "Comment"). */
    {0x00080082, 1, 0x00080100, "SH", "121106"},
    {0x00080082, 1, 0x00080102, "SH", "DCM"},
    {0x00080082, 1, 0x00080104, "LO", "Comment"},
    {0x00401101, 1, 0x00080100, "SH", "121106"},
    {0x00401101, 1, 0x00080102, "SH", "DCM"},
    {0x00401101, 1, 0x00080104, "LO", "Comment"},
    /* Person Identification Macro, PS3.3 Table 10-1. */
    {0x00081072, 1, 0x00080080, "LO", VIVO_DUMMY_TEXT},
    {0x00081072, 1, 0x00401101, "SQ", NULL},
    {0x00081072, 2, 0x00080100, "SH", "121106"},
    {0x00081072, 2, 0x00080102, "SH", "DCM"},
    {0x00081072, 2, 0x00080104, "LO", "Comment"},
    /* SOP Instance Reference Macro, PS3.3 Table 10-11. */
    {0x00081111, 1, 0x00081150, "UI", "1.2.840.10008.3.1.2.3.3"},
    {0x00081111, 1, 0x00081155, "UI", ""},
    /* PS3.3 C.35.1 */
    {0x00340001, 1, 0x00340007, "OB", ""},
    /* SR Document General, PS3.3 Table C.17-2. */
    {0x0040A073, 1, 0x0040A027, "LO", VIVO_DUMMY_TEXT},
    {0x0040A073, 1, 0x0040A030, "DT", VIVO_DUMMY_DATE VIVO_DUMMY_TIME},
    {0x0040A073, 1, 0x0040A075, "PN", VIVO_DUMMY_TEXT},
    {0x0040A073, 1, 0x0040A088, "SQ", NULL},
    /* A content item of value type TEXT, PS3.3 Table C.17-5. */
    {0x0040A730, 1, 0x0040A010, "CS", "CONTAINS"},
    {0x0040A730, 1, 0x0040A040, "CS", "TEXT"},
    {0x0040A730, 1, 0x0040A043, "SQ", NULL},
    {0x0040A730, 2, 0x00080100, "SH", "121106"},
    {0x0040A730, 2, 0x00080102, "SH", "DCM"},
    {0x0040A730, 2, 0x00080104, "LO", "Comment"},
    {0x0040A730, 1, 0x0040A160, "UT", VIVO_DUMMY_TEXT},
    /* Waveform Annotation, PS3.3 Table C.10-10. */
    {0x0040B020, 1, 0x0040A0B0, "US", ""},
    {0x0040B020, 1, 0x00700006, "ST", VIVO_DUMMY_TEXT},
    /* Graphic Annotation, PS3.3 Table C.10-5. */
    {0x00700001, 1, 0x00700002, "CS", VIVO_DUMMY_TEXT},
    {0x00700001, 1, 0x00700008, "SQ", NULL},
    {0x00700001, 2, 0x00700003, "CS", "PIXEL"},
    {0x00700001, 2, 0x00700006, "ST", VIVO_DUMMY_TEXT},
    {0x00700001, 2, 0x00700010, "FL", ""},
    {0x00700001, 2, 0x00700011, "FL", ""},
    {0x00700001, 2, 0x00700012, "CS", "LEFT"},
};

/* The least number of values of a VM: "1", "2-2n", "3". */
static unsigned least(uint32_t tag)
{
    const struct vivo_dict *dict = vivo_dcm_dict(tag);
    unsigned n = 0;
    for (const char *p = dict && dict->vm ? dict->vm : "1"; *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (unsigned)(*p - '0');
    return n >= 1 && n <= 64 ? n : 1;
}

static int put_simple(struct vivo_dcm_writer *w, const struct vivo_key *key,
                      uint32_t tag, const char *vr, struct vivo_err *err)
{
    if (!memcmp(vr, "UI", 2)) {
        char uid[VIVO_UID_MAX + 1];
        vivo_pseudo_uid(key, "", 0, uid);
        return vivo_dcm_write(w, tag, vr, uid, strlen(uid), err);
    }
    uint8_t value[64 * 32];
    size_t len = 0;
    memset(value, 0, sizeof value);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(dummies); i++) {
        if (memcmp(dummies[i].vr, vr, 2))
            continue;
        for (unsigned n = least(tag); n; n--) {
            const char *text = dummies[i].text;
            size_t part = text ? strlen(text) : dummies[i].unit;
            if (text)
                memcpy(value + len, text, part);
            len += part;
            if (text && n > 1)
                value[len++] = '\\';
        }
        return vivo_dcm_write(w, tag, vr, value, len, err);
    }
    return vivo_fail(err, EBADMSG, "(%04x,%04x): no dummy for its VR", tag >> 16,
                     tag & 0xFFFF);
}

static int put_part(struct vivo_dcm_writer *w, const struct vivo_key *key,
                    const struct part *p, struct vivo_err *err)
{
    if (p->value && *p->value)
        return vivo_dcm_write(w, p->tag, p->vr, p->value, strlen(p->value), err);
    return put_simple(w, key, p->tag, p->vr, err);
}

static int close_inner(struct vivo_dcm_writer *w, struct vivo_err *err)
{
    int rc = vivo_dcm_write_item_end(w, err);
    return rc ? rc : vivo_dcm_write_sequence_end(w, err);
}

static int put_parts(struct vivo_dcm_writer *w, const struct vivo_key *key,
                     uint32_t owner, struct vivo_err *err)
{
    bool inner = false;
    int rc = 0;
    for (size_t i = 0; !rc && i < VIVO_ARRAY_LEN(parts); i++) {
        const struct part *p = &parts[i];
        if (p->owner != owner)
            continue;
        if (inner && p->level == 1) {
            rc = close_inner(w, err);
            inner = false;
        }
        if (rc)
            return rc;
        if (memcmp(p->vr, "SQ", 2)) {
            rc = put_part(w, key, p, err);
            continue;
        }
        rc = vivo_dcm_write_sequence(w, p->tag, false, err);
        bool filled = i + 1 < VIVO_ARRAY_LEN(parts) && parts[i + 1].owner == owner &&
                      parts[i + 1].level == 2;
        if (!rc && filled)
            rc = vivo_dcm_write_item(w, false, err);
        else if (!rc)
            rc = vivo_dcm_write_sequence_end(w, err);
        inner = filled;
    }
    if (!rc && inner)
        rc = close_inner(w, err);
    return rc;
}

static int put_sequence(struct vivo_dcm_writer *w, const struct vivo_key *key,
                        uint32_t tag, struct vivo_err *err)
{
    int rc = vivo_dcm_write_sequence(w, tag, false, err);
    if (!rc)
        rc = vivo_dcm_write_item(w, false, err);
    if (!rc)
        rc = put_parts(w, key, tag, err);
    if (!rc)
        rc = vivo_dcm_write_item_end(w, err);
    return rc ? rc : vivo_dcm_write_sequence_end(w, err);
}

int vivo_deid_put_dummy(struct vivo_dcm_writer *w, const struct vivo_key *key,
                        uint32_t tag, const char *vr, struct vivo_err *err)
{
    if (!memcmp(vr, "SQ", 2))
        return put_sequence(w, key, tag, err);
    return put_simple(w, key, tag, vr, err);
}

int vivo_deid_put_empty(struct vivo_dcm_writer *w, uint32_t tag, const char *vr,
                        struct vivo_err *err)
{
    if (memcmp(vr, "SQ", 2))
        return vivo_dcm_write(w, tag, vr, NULL, 0, err);
    int rc = vivo_dcm_write_sequence(w, tag, false, err);
    return rc ? rc : vivo_dcm_write_sequence_end(w, err);
}
