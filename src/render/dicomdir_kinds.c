/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/dicomdir_kinds.c -- which record an object gets, and its keys: PS3.3
 * Table F.4-1 and sections F.5.1 to F.5.47. */
#include "dicomdir.h"

#include <string.h>

#define STORAGE "1.2.840.10008.5.1.4.1.1."
#define DATE "20000101" /* dates and times that are hidden or missing */
#define TIME "000000"

#define KEYS(name, ...)                                                                \
    static const struct vivo_dicomdir_key name##_keys[] = {__VA_ARGS__,                \
                                                           {0, "", NULL, false}}
#define TYPE1(tag, vr, instead)                                                        \
    {                                                                                  \
        tag, vr, instead, false                                                        \
    }
#define TYPE2(tag, vr)                                                                 \
    {                                                                                  \
        tag, vr, NULL, false                                                           \
    }
#define TYPE3(tag, vr)                                                                 \
    {                                                                                  \
        tag, vr, NULL, true                                                            \
    }
#define NUMBER TYPE1(0x00200013, "IS", "#")
#define CONTENT_DATE TYPE1(0x00080023, "DA", DATE), TYPE1(0x00080033, "TM", TIME)
/* Content Identification Macro, PS3.3 Table 10-12; behind InstanceNumber. */
#define CONTENT NUMBER, TYPE1(0x00700080, "CS", "UNNAMED"), TYPE2(0x00700081, "LO")
#define CREATOR TYPE2(0x00700084, "PN")

KEYS(patient, TYPE2(0x00100010, "PN"), TYPE1(0x00100020, "LO", "unknown"),
     TYPE3(0x00100030, "DA"), TYPE3(0x00100040, "CS"));
KEYS(study, TYPE1(0x00080020, "DA", DATE), TYPE1(0x00080030, "TM", TIME),
     TYPE2(0x00080050, "SH"), TYPE2(0x00081030, "LO"),
     TYPE1(0x0020000D, "UI", "2.25.0"), TYPE1(0x00200010, "SH", "#"));
KEYS(series, TYPE1(0x00080060, "CS", "OT"), TYPE3(0x0008103E, "LO"),
     TYPE1(0x0020000E, "UI", "2.25.0"), TYPE1(0x00200011, "IS", "#"));
KEYS(image, TYPE3(0x00080008, "CS"), NUMBER, TYPE3(0x00200020, "CS"),
     TYPE3(0x00280008, "IS"));
KEYS(dose, NUMBER, TYPE1(0x3004000A, "CS", "PLAN"));
KEYS(structures, NUMBER, TYPE1(0x30060002, "SH", "UNNAMED"), TYPE2(0x30060008, "DA"),
     TYPE2(0x30060009, "TM"));
KEYS(plan, NUMBER, TYPE1(0x300A0002, "SH", "UNNAMED"), TYPE2(0x300A0006, "DA"),
     TYPE2(0x300A0007, "TM"));
KEYS(treatment, NUMBER, TYPE2(0x30080250, "DA"), TYPE2(0x30080251, "TM"));
KEYS(presentation, TYPE3(0x00081115, "SQ"), CONTENT, TYPE1(0x00700082, "DA", DATE),
     TYPE1(0x00700083, "TM", TIME), CREATOR);
KEYS(waveform, CONTENT_DATE, NUMBER);
KEYS(report, CONTENT_DATE, NUMBER, TYPE3(VIVO_DICOMDIR_VERIFIED, "DT"),
     TYPE2(0x0040A043, "SQ"), TYPE1(0x0040A491, "CS", "PARTIAL"),
     TYPE1(0x0040A493, "CS", "UNVERIFIED"));
KEYS(key_object, CONTENT_DATE, NUMBER, TYPE2(0x0040A043, "SQ"));
KEYS(spectroscopy, TYPE1(0x00080008, "CS", "DERIVED"), CONTENT_DATE, NUMBER,
     TYPE1(0x00280008, "IS", "1"), TYPE3(0x00280010, "US"), TYPE3(0x00280011, "US"),
     TYPE3(0x00289001, "UL"), TYPE3(0x00289002, "UL"));
KEYS(raw, CONTENT_DATE, TYPE2(0x00200013, "IS"));
KEYS(content, CONTENT_DATE, CONTENT, CREATOR);
KEYS(encapsulated, TYPE2(0x00080023, "DA"), TYPE2(0x00080033, "TM"), NUMBER,
     TYPE2(0x0040A043, "SQ"), TYPE2(0x00420010, "ST"),
     TYPE1(0x00420012, "LO", "application/octet-stream"));
KEYS(measurement, CONTENT_DATE, NUMBER);
KEYS(assessment, TYPE1(0x00080012, "DA", DATE), TYPE2(0x00080013, "TM"), NUMBER);
KEYS(radiotherapy, NUMBER, TYPE3(0x30100033, "LO"), TYPE3(0x30100035, "LO"),
     TYPE3(0x30100054, "SQ"));
KEYS(bare, TYPE3(0x00200013, "IS"));

const struct vivo_dicomdir_kind vivo_dicomdir_patient = {"PATIENT", patient_keys};
const struct vivo_dicomdir_kind vivo_dicomdir_study = {"STUDY", study_keys};
const struct vivo_dicomdir_kind vivo_dicomdir_series = {"SERIES", series_keys};

/* The first that fits; a trailing dot stands for everything below. */
static const struct {
    const char *sop_class;
    struct vivo_dicomdir_kind kind;
} kinds[] = {
    {STORAGE "481.1", {"IMAGE", image_keys}},
    {STORAGE "481.2", {"RT DOSE", dose_keys}},
    {STORAGE "481.3", {"RT STRUCTURE SET", structures_keys}},
    {STORAGE "481.4", {"RT TREAT RECORD", treatment_keys}},
    {STORAGE "481.5", {"RT PLAN", plan_keys}},
    {STORAGE "481.6", {"RT TREAT RECORD", treatment_keys}},
    {STORAGE "481.7", {"RT TREAT RECORD", treatment_keys}},
    {STORAGE "481.8", {"RT PLAN", plan_keys}},
    {STORAGE "481.9", {"RT TREAT RECORD", treatment_keys}},
    {STORAGE "481.23", {"IMAGE", image_keys}}, /* Enhanced RT Image */
    {STORAGE "481.24", {"IMAGE", image_keys}},
    {STORAGE "481.", {"RADIOTHERAPY", radiotherapy_keys}},
    {"1.2.840.10008.5.1.4.34.", {"PLAN", bare_keys}},
    {STORAGE "4.2", {"SPECTROSCOPY", spectroscopy_keys}},
    {STORAGE "9.", {"WAVEFORM", waveform_keys}},
    {STORAGE "11.", {"PRESENTATION", presentation_keys}},
    {STORAGE "66", {"RAW DATA", raw_keys}},
    {STORAGE "66.1", {"REGISTRATION", content_keys}},
    {STORAGE "66.2", {"FIDUCIAL", content_keys}},
    {STORAGE "66.3", {"REGISTRATION", content_keys}},
    {STORAGE "66.5", {"SURFACE", content_keys}},
    {STORAGE "66.6", {"TRACT", content_keys}},
    {STORAGE "67", {"VALUE MAP", content_keys}},
    {STORAGE "68.", {"SURFACE SCAN", measurement_keys}},
    {STORAGE "77.1.5.3", {"STEREOMETRIC", bare_keys}},
    {STORAGE "78.", {"MEASUREMENT", measurement_keys}},
    {STORAGE "79.1", {"MEASUREMENT", measurement_keys}},
    {STORAGE "80.1", {"MEASUREMENT", measurement_keys}},
    {STORAGE "88.59", {"KEY OBJECT DOC", key_object_keys}},
    {STORAGE "88.", {"SR DOCUMENT", report_keys}},
    {STORAGE "90.1", {"ASSESSMENT", assessment_keys}},
    {STORAGE "104.", {"ENCAP DOC", encapsulated_keys}},
    {"", {"IMAGE", image_keys}},
};

const struct vivo_dicomdir_kind *vivo_dicomdir_kind_of(const char *sop_class)
{
    size_t i = 0;
    for (; kinds[i].sop_class[0]; i++) {
        const char *want = kinds[i].sop_class;
        size_t n = strlen(want);
        if (want[n - 1] == '.' ? !strncmp(want, sop_class, n)
                               : !strcmp(want, sop_class))
            break;
    }
    return &kinds[i].kind;
}

static bool is_key(uint32_t tag, const struct vivo_dicomdir_key *keys)
{
    for (; keys->tag; keys++)
        if (keys->tag == tag)
            return true;
    return false;
}

int vivo_render_dicomdir_keys(struct vivo_attrs a, struct vivo_buf *out)
{
    char sop_class[VIVO_UID_MAX + 1];
    struct vivo_attr e;
    vivo_attrs_text(a, VIVO_TAG_SOPClassUID, sop_class, sizeof sop_class);
    const struct vivo_dicomdir_key *keys = vivo_dicomdir_kind_of(sop_class)->keys;
    int rc = 0;
    while (!rc && vivo_attrs_next(&a, &e)) {
        bool named = e.tag == 0x00020010 || e.tag == VIVO_TAG_SOPClassUID ||
                     e.tag == VIVO_TAG_SOPInstanceUID ||
                     e.tag == VIVO_DICOMDIR_OBSERVERS;
        if (named || is_key(e.tag, keys) || is_key(e.tag, patient_keys) ||
            is_key(e.tag, study_keys) || is_key(e.tag, series_keys))
            rc = vivo_attrs_put(out, e.tag, e.vr, e.value, e.len);
    }
    return rc;
}
