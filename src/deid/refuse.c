/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/refuse.c -- what cannot be cleaned by cleaning its header.
 *
 * Documents and video carry text and faces inside; burned-in text is in the pixels
 * (DESIGN A6). SOP classes of PS3.4 Annex B.5 and PS3.6 Annex A. */
#include "pixels.h"

#include <string.h>

#define STORAGE "1.2.840.10008.5.1.4.1.1."

static const char *const documents[] = {
    STORAGE "104.1",    /* Encapsulated PDF */
    STORAGE "104.2",    /* Encapsulated CDA */
    STORAGE "104.3",    /* Encapsulated STL */
    STORAGE "104.4",    /* Encapsulated OBJ */
    STORAGE "104.5",    /* Encapsulated MTL */
    STORAGE "77.1.1.1", /* Video Endoscopic */
    STORAGE "77.1.2.1", /* Video Microscopic */
    STORAGE "77.1.4.1", /* Video Photographic */
};

/* A trailing dot stands for everything below. */
static const char *const risky[] = {
    STORAGE "7",    STORAGE "7.",    STORAGE "3",     STORAGE "3.",   STORAGE "6",
    STORAGE "6.",   STORAGE "12.1",  STORAGE "12.1.", STORAGE "12.2", STORAGE "12.2.",
    STORAGE "12.3", STORAGE "77.1.", STORAGE "77.2",
};

/* Words in ImageType that screen saves, dose screens and slide labels have. */
static const char *const risky_types[] = {
    "SCREEN", "DOSE", "CAPTURE", "LABEL", "REPORT", "SUMMARY",
};

static bool in_list(const char *uid, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);
        bool below = list[i][len - 1] == '.';
        if (below ? !strncmp(uid, list[i], len) : !strcmp(uid, list[i]))
            return true;
    }
    return false;
}

/* MPEG-2, MPEG-4 and HEVC are 1.2.840.10008.1.2.4.100 to 108 (PS3.6 Annex A), and
 * SMPTE ST 2110 is 1.2.840.10008.1.2.7.x (PS3.5 Annex A.5). */
static bool is_video(const char *syntax)
{
    return !strncmp(syntax, "1.2.840.10008.1.2.4.10", 22) ||
           !strncmp(syntax, "1.2.840.10008.1.2.7.", 20);
}

static bool is_risky(const struct vivo_header *h, const char *sop_class)
{
    char type[512];
    if (in_list(sop_class, risky, VIVO_ARRAY_LEN(risky)))
        return true;
    vivo_header_text(h, VIVO_TAG_ImageType, type, sizeof type);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(risky_types); i++)
        if (strstr(type, risky_types[i]))
            return true;
    return false;
}

/* A slide's label names the patient in letters and bars; nothing can be said of it that
 * would make it harmless (PS3.3 C.8.12.4, C.8.12.8). */
static bool is_slide_label(const struct vivo_header *h)
{
    char text[512];
    vivo_header_text(h, 0x00480010, text, sizeof text); /* SpecimenLabelInImage */
    if (!strcmp(text, "YES"))
        return true;
    vivo_header_text(h, VIVO_TAG_ImageType, text, sizeof text);
    char *rest = NULL;
    for (char *w = strtok_r(text, "\\", &rest); w; w = strtok_r(NULL, "\\", &rest))
        if (!strcmp(w, "LABEL"))
            return true;
    return false;
}

/* Any of several, should the attribute stand twice. */
static bool says_burned_in(const struct vivo_header *h)
{
    char text[32];
    for (uint32_t i = 0; i < h->n; i = h->nodes[i].end)
        if (h->nodes[i].tag == VIVO_TAG_BurnedInAnnotation &&
            vivo_nodes_text(h, i, i + 1, VIVO_TAG_BurnedInAnnotation, text,
                            sizeof text) &&
            !strcmp(text, "YES"))
            return true;
    return false;
}

/* A rule that blanks takes burned-in text away; one without rectangles says that there
 * is none in what only its kind makes suspect. */
enum vivo_refusal vivo_deid_refusal(const struct vivo_header *h,
                                    const struct vivo_pixel_plan *plan, bool *at_risk)
{
    char sop_class[VIVO_UID_MAX + 1], burned[32];
    const enum vivo_burned_in rule = h->d->burned_in;
    if (!vivo_header_text(h, VIVO_TAG_SOPClassUID, sop_class, sizeof sop_class))
        memcpy(sop_class, h->meta_class, sizeof sop_class);
    vivo_header_text(h, VIVO_TAG_BurnedInAnnotation, burned, sizeof burned);
    *at_risk = false;
    if (h->dicomdir || !strcmp(h->meta_class, "1.2.840.10008.1.3.10") ||
        !strcmp(sop_class, "1.2.840.10008.1.3.10"))
        return VIVO_REFUSAL_DICOMDIR;
    bool document = in_list(sop_class, documents, VIVO_ARRAY_LEN(documents)) ||
                    in_list(h->meta_class, documents, VIVO_ARRAY_LEN(documents)) ||
                    is_video(h->meta_syntax);
    bool yes = !plan->blanks && says_burned_in(h);
    bool label = !plan->blanks && is_slide_label(h);
    bool risk = !plan->ruled && strcmp(burned, "NO") && is_risky(h, sop_class);
    bool served = rule == VIVO_BURNED_IN_ALLOW;
    if (yes && !served)
        return VIVO_REFUSAL_BURNED_IN;
    if (document && !served)
        return VIVO_REFUSAL_DOCUMENT;
    if ((label && !served) || (risk && rule == VIVO_BURNED_IN_STRICT))
        return VIVO_REFUSAL_AT_RISK;
    *at_risk = yes || label || document || risk;
    return VIVO_REFUSAL_NONE;
}

const char *vivo_refusal_code(enum vivo_refusal r)
{
    switch (r) {
    case VIVO_REFUSAL_BURNED_IN:
        return "burned-in";
    case VIVO_REFUSAL_DOCUMENT:
        return "document";
    case VIVO_REFUSAL_AT_RISK:
        return "at-risk";
    case VIVO_REFUSAL_UNPARSABLE:
        return "unparsable";
    case VIVO_REFUSAL_DICOMDIR:
        return "dicomdir";
    case VIVO_REFUSAL_SCRIPT:
        return "script";
    case VIVO_REFUSAL_NONE:
        break;
    }
    return "";
}
