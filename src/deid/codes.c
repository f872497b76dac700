/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/codes.c -- coding schemes that everybody may know.
 *
 * A code of a public scheme means the same everywhere and tells nothing of a site.
 * Private schemes (PS3.16 section 8: "99…", "L") can hold any text a site wrote,
 * names included. Designators of PS3.16 Table 8-1. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const schemes[] = {
    "ACR",         "ASTM-sigpurpose",
    "BARI",        "BI",
    "C4",          "C5",
    "CD2",         "CDCREC",
    "CPT",         "CTV3",
    "CVX",         "DCM",
    "DCMUID",      "DC",
    "FDATC",       "FMA",
    "HCPCS",       "HP",
    "HPC",         "I10",
    "I10C",        "I10P",
    "I11",         "I9",
    "I9C",         "I9CP",
    "IBSI",        "ICD10",
    "ICD-10",      "ICD10CM",
    "ICDO3",       "ICDO",
    "IEC11073",    "ISO3166_1",
    "ISO639_1",    "ISO639_2",
    "ISO_OID",     "ITIS_TSN",
    "JC8",         "LN",
    "MA",          "MAYOASRG",
    "MDC",         "MGI",
    "MSH",         "NCDR",
    "NCIt",        "NDC",
    "NDFRT",       "NEU",
    "NEMA",        "NICIP",
    "NYUMCCG",     "PATHLEX",
    "PUBCHEM_CID", "RADELEMENT",
    "RADLEX",      "RFC3066",
    "RFC5646",     "RXNORM",
    "SBSI",        "SCT",
    "SNM3",        "SNOMED-CT",
    "SRT",         "UBERON",
    "UCUM",        "UMLS",
    "UNS",         "UPC",
    "VANDF",
};

bool vivo_code_scheme_public(const char *designator)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(schemes); i++)
        if (!strcmp(schemes[i], designator))
            return true;
    return false;
}

/* The root's character set; where text does not fit it, it is read as Latin letters. */
static void text_charset(const struct vivo_header *h, char *out, size_t cap)
{
    vivo_header_text(h, VIVO_TAG_SpecificCharacterSet, out, cap);
    if (h->utf8)
        snprintf(out, cap, "ISO_IR 192");
}

static int add_names(struct vivo_known *k, const struct vivo_header *h,
                     const char *charset)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < h->n; i = h->nodes[i].end) {
        const struct vivo_node *n = &h->nodes[i];
        bool names = n->tag == VIVO_TAG_PatientName || n->tag == VIVO_TAG_PatientID;
        if (names && n->kind == VIVO_NODE_ELEMENT)
            rc = vivo_known_add(k, charset, n->vr, h->values.data + n->at,
                                (size_t)n->length);
    }
    return rc;
}

bool vivo_code_names_patient(struct vivo_rewrite *r, const struct vivo_node *node)
{
    char charset[512];
    struct vivo_letters t;
    const uint8_t *v = r->h->values.data + node->at;
    text_charset(r->h, charset, sizeof charset);
    if (!r->names) {
        r->names = vivo_known_empty();
        if (!r->names || add_names(r->names, r->h, charset))
            return true;
    }
    int rc = vivo_letters_new(&t, charset, node->vr, v, (size_t)node->length);
    if (rc == -EILSEQ)
        rc = vivo_letters_new(&t, "ISO_IR 100", node->vr, v, (size_t)node->length);
    if (rc)
        return true;
    vivo_known_cut(r->names, &t);
    bool found = vivo_letters_any_cut(&t);
    vivo_letters_free(&t);
    return found;
}
