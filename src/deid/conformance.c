/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/conformance.c -- the statement that PS3.15 E.1 asks for, and the list of
 * profiles.
 *
 * Written from the same tables that the engine acts on. */
#include "ctp.h"
#include "options.h"

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
        if (d->options & (unsigned)words[i].option ||
            (d->moves_dates && words[i].option == VIVO_DEID_RETAIN_MODIFIED_DATES))
            rc = vivo_buf_printf(out, "  %s %s\n", words[i].code, words[i].meaning);
    return rc;
}

/* What each option does and does not, in the order of the table's columns. */
static const struct {
    enum vivo_deid_option option;
    const char *text;
} manners[] = {
    {VIVO_DEID_RETAIN_SAFE_PRIVATE,
     "retain-safe-private: elements of PS3.15 Table E.3.10-1 stay with their creators "
     "where exactly one creator\n"
     "  reserves the block, the value is what the table says and names nothing that is "
     "removed elsewhere.\n"
     "  Sequences are walked, text is cleaned, UIDs are replaced, bulk stays when it "
     "is "
     "binary.\n"},
    {VIVO_DEID_RETAIN_UIDS,
     "retain-uids: UIDs stay; they lead to the originals wherever these are known.\n"},
    {VIVO_DEID_RETAIN_DEVICE,
     "retain-device: serial numbers, station names and calibration dates stay.\n"},
    {VIVO_DEID_RETAIN_INSTITUTION,
     "retain-institution: names and addresses of institutions stay.\n"},
    {VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS,
     "retain-patient-characteristics: sex, age, size, weight and the like stay. Ages "
     "above 89 years are shown as\n"
     "  090Y. Allergies, patient state and such are cleaned text.\n"},
    {VIVO_DEID_RETAIN_FULL_DATES,
     "retain-full-dates: dates and times of the table are kept as they are.\n"},
    {VIVO_DEID_RETAIN_MODIFIED_DATES,
     "retain-modified-dates: all dates of a patient move by one number of whole weeks, "
     "53 to 521 back, from the\n"
     "  pseudonym under the key: intervals and days of the week hold in all studies "
     "and "
     "archives. Times of day stay,\n"
     "  those of VR TM to the millisecond. What cannot be moved is treated as without "
     "the "
     "option. The birth date is\n"
     "  removed.\n"},
    {VIVO_DEID_CLEAN_DESCRIPTORS,
     "clean-descriptors: descriptions and comments stay without values (3 characters "
     "and "
     "more) of the same object that\n"
     "  are removed or replaced, dates, times, telephone numbers, numbers of 5 digits, "
     "UIDs, mail, URLs, and names\n"
     "  behind titles. A name that the object has nowhere else and that has no title "
     "is "
     "not found. Text that cannot\n"
     "  be decoded is emptied. Cleaned text enters no name of a directory, and no "
     "listing before the object is read.\n"},
    {VIVO_DEID_CLEAN_STRUCTURED_CONTENT,
     "clean-structured-content: content items by PS3.15 Table E.3.4-1. Those it does "
     "not "
     "list: text is removed\n"
     "  (cleaned with clean-descriptors), names of persons become pseudonyms, dates "
     "follow the date option, UIDs are\n"
     "  replaced, codes, numbers, references and coordinates stay.\n"},
    {VIVO_DEID_CLEAN_GRAPHICS,
     "clean-graphics: annotations stay, their text is a dummy (cleaned with "
     "clean-descriptors). Overlay planes of type R\n"
     "  (regions of interest) stay without labels and comments; those of type G "
     "(graphics, where names are written) go.\n"},
    {VIVO_DEID_CLEAN_PIXEL_DATA,
     "clean-pixel-data: objects that fit a signature of the pixel script are blanked "
     "in "
     "its rectangles, in every frame,\n"
     "  and say so in (0028,0301). Compressed ones are decoded and served as Explicit "
     "VR "
     "Little Endian; other pixels\n"
     "  are those of the decoder. What fits no signature is treated as without the "
     "option.\n"},
};

static int put_manners(const struct vivo_deid *d, struct vivo_buf *out)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < VIVO_ARRAY_LEN(manners); i++)
        if (d->options & (unsigned)manners[i].option)
            rc = vivo_buf_printf(out, "- %s", manners[i].text);
    if (!rc && d->options & VIVO_DEID_RETAIN_SAFE_PRIVATE)
        rc = vivo_buf_printf(out, "Table E.3.10-1: SHA-256 %s\n", vivo_safe_sha256);
    if (!rc && d->options & VIVO_DEID_CLEAN_STRUCTURED_CONTENT)
        rc = vivo_buf_printf(out, "Table E.3.4-1: SHA-256 %s\n", vivo_content_sha256);
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
    "- Removed as a whole, where no option says otherwise: private attributes, curves "
    "(50xx), overlays (60xx),\n"
    "  group lengths, groups 0000 to 0006, trailing padding, digital signatures, the "
    "preamble, and the whole file\n"
    "  meta, which is written anew.\n"
    "- PatientID becomes a pseudonym of issuer and ID, PatientName the same text; "
    "without a PatientID it is\n"
    "  derived from the StudyInstanceUID. Pseudonyms are HMAC-SHA-256 under the key, "
    "a sub-key per domain.\n"
    "- UIDs that PS3.6 does not register become 2.25.<UUID>, the same in every object "
    "under the same key:\n"
    "  references between objects of all sources of the key hold.\n"
    "- Inside compressed frames JPEG comments and application segments, JPEG 2000 "
    "comments, boxes of text, colour\n"
    "  profiles and what follows the end are zeros; the picture stays byte for byte. "
    "Overlay planes in unused bits\n"
    "  of pixel cells are zeros.\n"
    "- Codes keep CodeMeaning in public coding schemes; codes of private schemes "
    "become pseudonyms.\n"
    "- Dummies: text " VIVO_DUMMY_TEXT ", date " VIVO_DUMMY_DATE
    ", time " VIVO_DUMMY_TIME ", numbers 0, age 000Y, URI about:blank; a sequence\n"
    "  has one item of dummies.\n"
    "What is not done\n"
    "- Pixels are not changed but by a pixel script: burned-in text without a rule and "
    "faces stay in objects that\n"
    "  are served. (0028,0302) is never set to NO.\n"
    "- User data inside video, where it is served, stays.\n"
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
    if (!rc && d->ctp)
        rc = vivo_ctp_conformance(d, out);
    if (!rc && !(d->ctp && d->ctp->alone))
        rc = put_options(d, out);
    if (!rc)
        rc = put_manners(d, out);
    return rc ? rc : vivo_buf_puts(out, rules);
}

static const char named[] =
    "none      the objects as the source has them\n"
    "basic     PS3.15 Table E.1-1 (113100; the default)\n"
    "          lost: names, numbers, dates, UIDs (replaced), institutions, devices, "
    "descriptions, private data\n"
    "          kept: pixels, geometry, acquisition parameters, codes of public "
    "schemes\n"
    "strict    basic with burned_in=strict\n"
    "          lost: also screen saves, ultrasound and the like that do not say that "
    "nothing is burned in\n"
    "research  basic+retain-safe-private+retain-device+retain-patient-characteristics\n"
    "          +retain-modified-dates+clean-descriptors+clean-structured-content"
    "+clean-graphics\n"
    "          lost: identities, true dates, institutions\n"
    "          kept: intervals, age, sex, weight, scanners, cleaned descriptions and "
    "reports, b-values and other\n"
    "          safe private data\n"
    "limited   research with retain-full-dates for retain-modified-dates\n"
    "          lost: identities, institutions\n"
    "          kept: as research, and true dates: a limited data set needs an "
    "agreement "
    "on its use\n"
    "ctp:FILE  a DicomAnonymizer script of RSNA's CTP, in union with basic: what "
    "either "
    "removes is removed\n"
    "          ctp:FILE+alone applies the script without basic\n"
    "Options, joined to one of these but none by '+':\n";

/* What an option keeps, in a line. */
static const char *const gains[] = {
    "vendors' private data that are known to be safe",
    "UIDs: whoever knows the originals finds them",
    "serial numbers, station names, calibration dates",
    "names and addresses of institutions",
    "sex, age (up to 89), size, weight, pregnancy, allergies",
    "dates and times as they are",
    "dates moved back by whole weeks, one number for a patient",
    "descriptions and comments without what identifies",
    "reports, item by item",
    "annotations without their text, overlays that are regions of interest",
    "objects with burned-in text, blanked where a pixel script says",
};

int vivo_deid_list_profiles(struct vivo_buf *out)
{
    size_t n = 0;
    const struct vivo_option_word *words = vivo_option_words(&n);
    int rc = vivo_buf_printf(out, "Profiles of PS3.15 Annex E, edition %s\n%s",
                             vivo_deid_edition, named);
    for (size_t i = 0; !rc && i < n && i < VIVO_ARRAY_LEN(gains); i++)
        if (words[i].offered)
            rc = vivo_buf_printf(out, "  %-31s %s %s\n%34skeeps %s\n", words[i].word,
                                 words[i].code, words[i].meaning, "", gains[i]);
    return rc;
}
