/* SPDX-License-Identifier: Apache-2.0 */
/* src/model/layout.c -- the names of directories and files in the layouts of other
 * tools, so that scripts that were written for what those tools download run on a mount
 * as well (DESIGN A1, names=).
 *
 * uid:  StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm
 * tcia: "Descriptive" of the NBIA Data Retriever, as its server cleans the texts:
 *       MM-DD-YYYY-StudyID-Description-LAST5/N.000000-Description-LAST5/A-I.dcm; what A
 *       and I are is decided by the whole series (struct vivo_numbering).
 * idc:  the default of idc-index: StudyInstanceUID/Modality_SeriesInstanceUID/FILE
 * xnat: session/scan/FILE
 *
 * Where an attribute that a layout needs is missing, the name is our own. */
#include "vivofs/hash.h"
#include "vivofs/model.h"

#include "name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TCIA_TEXT 53 /* letters of a description that the Data Retriever keeps */
#define TCIA_ID 32   /* of a StudyID; PS3.5 has 16 */
#define LAST 5       /* letters of a UID */

static const char *const words[] = {
    [VIVO_NAMES_OWN] = "own", [VIVO_NAMES_UID] = "uid",   [VIVO_NAMES_TCIA] = "tcia",
    [VIVO_NAMES_IDC] = "idc", [VIVO_NAMES_XNAT] = "xnat",
};

bool vivo_names_of(const char *word, enum vivo_names *out)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum vivo_names)i;
            return true;
        }
    return false;
}

/* A UID as PS3.5 section 9.1 has it: any other text makes no name. */
static bool uid_of(struct vivo_attrs a, uint32_t tag, char out[VIVO_UID_MAX + 2])
{
    return vivo_attrs_text(a, tag, out, VIVO_UID_MAX + 2) &&
           strlen(out) <= VIVO_UID_MAX && isdigit((unsigned char)out[0]) &&
           out[strspn(out, "0123456789.")] == '\0';
}

/* ---- tcia ------------------------------------------------------------------------ */

void vivo_names_tcia_text(struct vivo_attrs a, uint32_t tag, bool hidden, size_t max,
                          char *out)
{
    char text[512];
    size_t n = 0;
    if (hidden || !vivo_attrs_text(a, tag, text, sizeof text))
        text[0] = '\0';
    for (const char *p = text; *p && n < max; p++)
        if (isascii((unsigned char)*p) &&
            (isalnum((unsigned char)*p) || strchr(" .-", *p)) && (n || *p != ' '))
            out[n++] = *p;
    out[n] = '\0';
    if (strspn(out, " ") == n)
        memcpy(out, "NA", sizeof "NA");
}

static const char *last_of(const char *uid)
{
    size_t n = strlen(uid);
    return n > LAST ? uid + n - LAST : uid;
}

static bool tcia_study(struct vivo_attrs a, bool plain, char out[VIVO_NAME_MAX + 1])
{
    char uid[VIVO_UID_MAX + 2], date[9], when[16] = "";
    char id[TCIA_ID + 3], text[TCIA_TEXT + 3];
    if (!uid_of(a, VIVO_TAG_StudyInstanceUID, uid))
        return false;
    if (vivo_name_date(a, date))
        snprintf(when, sizeof when, "%.2s-%.2s-%.4s-", date + 4, date + 6, date);
    vivo_names_tcia_text(a, VIVO_TAG_StudyID, false, TCIA_ID, id);
    vivo_names_tcia_text(a, VIVO_TAG_StudyDescription, plain, TCIA_TEXT, text);
    /* Without a date the StudyID begins the name, which may not be hidden. */
    const char *from = when[0] ? id : id + strspn(id, ".-");
    snprintf(out, VIVO_NAME_MAX + 1, "%s%.32s-%.53s-%.5s", when, *from ? from : "NA",
             text, last_of(uid));
    return true;
}

static bool tcia_series(struct vivo_attrs a, bool plain, char out[VIVO_NAME_MAX + 1])
{
    char uid[VIVO_UID_MAX + 2], number[24] = "", text[TCIA_TEXT + 3];
    unsigned long n;
    if (!uid_of(a, VIVO_TAG_SeriesInstanceUID, uid))
        return false;
    if (vivo_name_number(a, VIVO_TAG_SeriesNumber, &n))
        snprintf(number, sizeof number, "%lu.000000-", n);
    vivo_names_tcia_text(a, VIVO_TAG_SeriesDescription, plain, TCIA_TEXT, text);
    const char *from = number[0] ? text : text + strspn(text, ".-");
    snprintf(out, VIVO_NAME_MAX + 1, "%s%.53s-%.5s", number, *from ? from : "NA",
             last_of(uid));
    return true;
}

/* The Data Retriever writes collections and patients as they are, with their spaces. */
static bool tcia_label(const char *label, char out[VIVO_NAME_MAX + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._+=@- ";
    size_t n = label ? strlen(label) : 0;
    if (!n || n > VIVO_NAME_MAX || strspn(label, letters) != n ||
        strchr(".- ", label[0]) || label[n - 1] == ' ' || vivo_name_reserved(label))
        return false;
    memcpy(out, label, n + 1);
    /* What the Data Retriever itself puts there. */
    if (strcmp(label, "metadata.csv") == 0 || strcmp(label, "LICENSE") == 0) {
        out[n++] = '_';
        vivo_short_name(label, strlen(label), out + n, 6);
    }
    return true;
}

static bool tcia_patient(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    char id[256], issuer[8];
    return !vivo_attrs_text(a, VIVO_TAG_IssuerOfPatientID, issuer, sizeof issuer) &&
           vivo_attrs_text(a, VIVO_TAG_PatientID, id, sizeof id) && tcia_label(id, out);
}

void vivo_numbering_width(struct vivo_numbering *n, const long *acquisition,
                          const long *instance)
{
    if (!n->counted++) {
        n->a = acquisition ? *acquisition : 0;
        n->i = instance ? *instance : 0;
        n->acquisitions = n->instances = 1;
        return;
    }
    if (acquisition && *acquisition != n->a) {
        n->a = *acquisition;
        n->acquisitions++;
    }
    if (instance && *instance != n->i) {
        n->i = *instance;
        n->instances++;
    }
}

static int digits(unsigned n)
{
    return snprintf(NULL, 0, "%u", n);
}

void vivo_numbering_name(struct vivo_numbering *n, const long *acquisition,
                         char out[VIVO_NAME_MAX + 1])
{
    long a = acquisition ? *acquisition : 0;
    if (!n->named++) {
        n->a = a;
        n->lost = false;
        n->at_acquisition = 1;
        n->at_instance = 0;
    }
    /* Behind a number, each image without one begins anew: so does NBIA. */
    if (n->lost || a != n->a) {
        n->lost = !acquisition;
        n->a = a;
        n->at_acquisition++;
        n->at_instance = 0;
    }
    snprintf(out, VIVO_NAME_MAX + 1, "%0*u-%0*u.dcm", digits(n->acquisitions),
             n->at_acquisition, digits(n->instances), ++n->at_instance);
}

/* ---- the others -------------------------------------------------------------------
 */

static bool uid_name(struct vivo_attrs a, uint32_t tag, const char *ending,
                     char out[VIVO_NAME_MAX + 1])
{
    char uid[VIVO_UID_MAX + 2];
    if (!uid_of(a, tag, uid))
        return false;
    snprintf(out, VIVO_NAME_MAX + 1, "%s%s", uid, ending);
    return true;
}

static bool idc_series(struct vivo_attrs a, char out[VIVO_NAME_MAX + 1])
{
    char uid[VIVO_UID_MAX + 2], modality[24];
    if (!uid_of(a, VIVO_TAG_SeriesInstanceUID, uid))
        return false;
    if (!vivo_attrs_text(a, VIVO_TAG_Modality, modality, sizeof modality) ||
        modality[strspn(modality, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
        memcpy(modality, "None", sizeof "None");
    snprintf(out, VIVO_NAME_MAX + 1, "%s_%s", modality, uid);
    return true;
}

static bool xnat_session(struct vivo_attrs a, const char *label,
                         char out[VIVO_NAME_MAX + 1])
{
    char text[256];
    if (!label && vivo_attrs_text(a, VIVO_TAG_AccessionNumber, text, sizeof text))
        label = text;
    if (!label)
        return uid_name(a, VIVO_TAG_StudyInstanceUID, "", out);
    vivo_name_text(label, out);
    return true;
}

static bool xnat_scan(struct vivo_attrs a, const char *label,
                      char out[VIVO_NAME_MAX + 1])
{
    unsigned long n;
    if (label) {
        vivo_name_text(label, out);
        return true;
    }
    if (!vivo_name_number(a, VIVO_TAG_SeriesNumber, &n))
        return uid_name(a, VIVO_TAG_SeriesInstanceUID, "", out);
    snprintf(out, VIVO_NAME_MAX + 1, "%lu", n);
    return true;
}

/* A file by the archive's own name of it. */
static bool file_name(struct vivo_attrs a, const char *label,
                      char out[VIVO_NAME_MAX + 1])
{
    if (!label)
        return uid_name(a, VIVO_TAG_SOPInstanceUID, ".dcm", out);
    vivo_name_text(label, out);
    return true;
}

static bool study_name(enum vivo_names names, struct vivo_attrs a, bool plain,
                       const char *label, char out[VIVO_NAME_MAX + 1])
{
    if (names == VIVO_NAMES_TCIA)
        return tcia_study(a, plain, out);
    if (names == VIVO_NAMES_XNAT)
        return xnat_session(a, label, out);
    return uid_name(a, VIVO_TAG_StudyInstanceUID, "", out);
}

static bool series_name(enum vivo_names names, struct vivo_attrs a, bool plain,
                        const char *label, char out[VIVO_NAME_MAX + 1])
{
    if (names == VIVO_NAMES_TCIA)
        return tcia_series(a, plain, out);
    if (names == VIVO_NAMES_IDC)
        return idc_series(a, out);
    if (names == VIVO_NAMES_XNAT)
        return xnat_scan(a, label, out);
    return uid_name(a, VIVO_TAG_SeriesInstanceUID, "", out);
}

bool vivo_name_layout(enum vivo_names names, enum vivo_level level, struct vivo_attrs a,
                      bool plain, const char *label, char out[VIVO_NAME_MAX + 1])
{
    if (names == VIVO_NAMES_OWN)
        return false;
    switch (level) {
    case VIVO_LEVEL_COLLECTION:
        return names == VIVO_NAMES_TCIA && tcia_label(label, out);
    case VIVO_LEVEL_PATIENT:
        return names == VIVO_NAMES_TCIA && tcia_patient(a, out);
    case VIVO_LEVEL_STUDY:
        return study_name(names, a, plain, label, out);
    case VIVO_LEVEL_SERIES:
        return series_name(names, a, plain, label, out);
    case VIVO_LEVEL_INSTANCE:
        if (names == VIVO_NAMES_TCIA) /* until the series is complete */
            return false;
        return file_name(a, names == VIVO_NAMES_UID ? NULL : label, out);
    case VIVO_LEVEL_NONE:
        break;
    }
    return false;
}
