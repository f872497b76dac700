/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/codes.c -- coding schemes that everybody may know.
 *
 * A code of a public scheme means the same everywhere and tells nothing of a site.
 * Private schemes (PS3.16 section 8: "99…", "L") can hold any text a site wrote,
 * names included. Designators of PS3.16 Table 8-1. */
#include "engine.h"

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
