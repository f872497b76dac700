/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/conformance.c -- the statement that PS3.15 E.1 asks for, and the list of
 * profiles.
 *
 * Written from the same tables that the engine acts on. */
#include "engine.h"

#include <string.h>

static const char *burned_in_text(enum vivo_burned_in rule)
{
    switch (rule) {
    case VIVO_BURNED_IN_STRICT:
        return "strict: objects with BurnedInAnnotation YES, documents and video are "
               "refused, and secondary\n  captures, ultrasound, angiography, visible "
               "light and screen saves that do not say NO";
    case VIVO_BURNED_IN_ALLOW:
        return "allow: objects with burned-in text are served; their pixels may "
               "identify";
    case VIVO_BURNED_IN_REFUSE:
        break;
    }
    return "refuse: objects with BurnedInAnnotation YES, documents and video are "
           "refused";
}

static int put_none(const char *note, struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "De-identification: none. Objects are served as the "
                                "source has them.\n");
    if (!rc && note)
        rc = vivo_buf_printf(out, "Source: %s.\n", note);
    return rc;
}

static int put_options(const struct vivo_deid *d, struct vivo_buf *out)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    int rc = vivo_buf_puts(out, "Method codes (0012,0064), PS3.16 CID 7050:\n  113100 "
                                "Basic Application Confidentiality Profile\n");
    for (size_t i = 0; !rc && i < n; i++)
        if (d->options & (unsigned)words[i].option)
            rc = vivo_buf_printf(out, "  %s %s\n", words[i].code, words[i].meaning);
    return rc;
}

static const char rules[] =
    "What is done\n"
    "- Every attribute of the table is treated at every nesting depth. Compound codes "
    "follow the type of the\n"
    "  attribute in the object's SOP class at the top level (3 removed, 2 empty, 1 "
    "dummy); where class or place\n"
    "  is unknown, their last letter.\n"
    "- Allow-list: attributes that PS3.6 does not know, attributes of VRs that can "
    "hold an identity and that\n"
    "  nobody decided to keep, and values that are not what their VR says are "
    "removed.\n"
    "- Removed as a whole: private attributes, curves (50xx), overlays (60xx), group "
    "lengths, groups 0000 to\n"
    "  0006, trailing padding, digital signatures, the preamble, and the whole file "
    "meta, which is written anew.\n"
    "- PatientID becomes a pseudonym of issuer and ID, PatientName the same text; "
    "without a PatientID it is\n"
    "  derived from the StudyInstanceUID. Pseudonyms are HMAC-SHA-256 under the key, "
    "a sub-key per domain.\n"
    "- UIDs that PS3.6 does not register become 2.25.<UUID>, the same in every object "
    "under the same key:\n"
    "  references between objects of all sources of the key hold.\n"
    "- Codes keep CodeMeaning in public coding schemes; codes of private schemes "
    "become pseudonyms.\n"
    "- Dummies: text " VIVO_DUMMY_TEXT ", date " VIVO_DUMMY_DATE
    ", time " VIVO_DUMMY_TIME ", numbers 0, age 000Y, URI about:blank; a sequence\n"
    "  has one item of dummies.\n"
    "What is not done\n"
    "- Pixels are not changed: burned-in text, faces, and metadata inside compressed "
    "frames (JPEG COM and APP\n"
    "  segments, JPEG 2000 boxes) stay in objects that are served. (0028,0301) and "
    "(0028,0302) are never set to NO.\n"
    "- Encrypted Attributes Sequence (0400,0500) is not made.\n"
    "- Whoever holds the key and the originals can link them. Where the reader is "
    "also the account that mounts,\n"
    "  de-identification is a convenience and not a barrier.\n";

int vivo_deid_conformance(const struct vivo_deid *d, const char *source_note,
                          struct vivo_buf *out)
{
    if (d->none)
        return put_none(source_note, out);
    size_t rows = 0, gaps = 0;
    vivo_deid_rows(&rows);
    vivo_deid_gaps(&gaps);
    int rc = vivo_buf_printf(
        out,
        "De-identification statement (PS3.15 E.1)\n"
        "Profile: %s\nTable E.1-1: edition %s, %zu rows, SHA-256 %s\n"
        "Attributes beyond the table: %zu decided, SHA-256 %s\nKey id: %s\n"
        "Burned-in text: %s\n",
        d->words, vivo_deid_edition, rows, vivo_deid_table_sha256, gaps,
        vivo_deid_gaps_sha256, vivo_key_id(d->key), burned_in_text(d->burned_in));
    if (!rc && source_note)
        rc = vivo_buf_printf(out, "Source: %s\n", source_note);
    if (!rc)
        rc = put_options(d, out);
    if (!rc && d->options & VIVO_DEID_RETAIN_FULL_DATES)
        rc = vivo_buf_puts(out, "Dates and times of the table are kept as they are.\n");
    if (!rc && d->options & VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS)
        rc = vivo_buf_puts(out, "Ages above 89 years are shown as 090Y.\n");
    return rc ? rc : vivo_buf_puts(out, rules);
}

int vivo_deid_list_profiles(struct vivo_buf *out)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    int rc = vivo_buf_printf(out,
                             "none      as the source has it\n"
                             "basic     PS3.15 Table E.1-1, edition %s (the default)\n"
                             "strict    basic with burned_in=strict\n"
                             "Options, joined to basic or strict by '+':\n",
                             vivo_deid_edition);
    for (size_t i = 0; !rc && i < n; i++)
        if (words[i].offered)
            rc = vivo_buf_printf(out, "  %-31s %s %s\n", words[i].word, words[i].code,
                                 words[i].meaning);
    return rc;
}
