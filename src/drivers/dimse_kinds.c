/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_kinds.c -- presentation contexts for the objects of a C-GET.
 *
 * The requestor must name the kinds of objects that may come before it knows them, 128
 * contexts at most (PS3.8 section 9.3.2.2). A known SOP class is offered once for each
 * transfer syntax, so that an object can come as it is stored. Without one, the classes
 * that go with the modality are offered so; then all others, many at a time. */
#include "dimse.h"

#include <stdio.h>
#include <string.h>

/* PS3.5 section 10: what can be passed on as it comes. The first four are for images of
 * any kind; the last are video. */
static const char *const syntaxes[] = {
    "1.2.840.10008.1.2.1",     "1.2.840.10008.1.2",       "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",  "1.2.840.10008.1.2.4.90",  "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.80",  "1.2.840.10008.1.2.4.81",  "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.51",  "1.2.840.10008.1.2.4.57",  "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",     "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108",
};
#define SYNTAXES VIVO_ARRAY_LEN(syntaxes)
#define PLAIN 2  /* the first of them are not compressed */
#define RANGE 62 /* classes of one association, with two contexts each */

/* Storage SOP classes (PS3.4 annex B.5), with the modality that they come with most. */
static const struct {
    const char *uid, *modality;
} classes[] = {
#define ST "1.2.840.10008.5.1.4.1.1."
    {ST "2", "CT"},           {ST "4", "MR"},
    {ST "7", "OT"},           {ST "1", "CR"},
    {ST "1.1", "DX"},         {ST "1.2", "MG"},
    {ST "128", "PT"},         {ST "20", "NM"},
    {ST "6.1", "US"},         {ST "3.1", "US"},
    {ST "12.1", "XA"},        {ST "12.2", "RF"},
    {ST "2.1", "CT"},         {ST "4.1", "MR"},
    {ST "88.11", "SR"},       {ST "88.22", "SR"},
    {ST "88.33", "SR"},       {ST "88.67", "SR"},
    {ST "11.1", "PR"},        {ST "66.4", "SEG"},
    {ST "481.3", "RTSTRUCT"}, {ST "481.5", "RTPLAN"},
    {ST "481.2", "RTDOSE"},   {ST "481.1", "RTIMAGE"},
    {ST "88.59", "KO"},       {ST "104.1", "DOC"},
    {ST "130", "PT"},         {ST "13.1.3", "MG"},
    {ST "1.1.1", "DX"},       {ST "1.2.1", "MG"},
    {ST "1.3", "IO"},         {ST "1.3.1", "IO"},
    {ST "4.2", "MR"},         {ST "4.3", "MR"},
    {ST "4.4", "MR"},         {ST "2.2", "CT"},
    {ST "7.1", "OT"},         {ST "7.2", "OT"},
    {ST "7.3", "OT"},         {ST "7.4", "OT"},
    {ST "6.2", "US"},         {ST "12.1.1", "XA"},
    {ST "12.2.1", "RF"},      {ST "13.1.1", "XA"},
    {ST "13.1.2", "DX"},      {ST "13.1.4", "MG"},
    {ST "13.1.5", "MG"},      {ST "14.1", "IVOCT"},
    {ST "14.2", "IVOCT"},     {ST "30", "RESP"},
    {ST "66", "REG"},         {ST "66.1", "REG"},
    {ST "66.2", "FID"},       {ST "66.3", "REG"},
    {ST "66.5", "SEG"},       {ST "66.6", "TRACTO"},
    {ST "67", "RWV"},         {ST "68.1", "SURF"},
    {ST "77.1.1", "ES"},      {ST "77.1.1.1", "ES"},
    {ST "77.1.2", "GM"},      {ST "77.1.2.1", "GM"},
    {ST "77.1.3", "SM"},      {ST "77.1.4", "XC"},
    {ST "77.1.4.1", "XC"},    {ST "77.1.5.1", "OP"},
    {ST "77.1.5.2", "OP"},    {ST "77.1.5.3", "SR"},
    {ST "77.1.5.4", "OPT"},   {ST "77.1.5.5", "OP"},
    {ST "77.1.5.6", "OP"},    {ST "77.1.6", "SM"},
    {ST "78.1", "LEN"},       {ST "78.2", "AR"},
    {ST "78.3", "KER"},       {ST "78.6", "VA"},
    {ST "79.1", "OPM"},       {ST "80.1", "OPV"},
    {ST "81.1", "OPM"},       {ST "88.34", "SR"},
    {ST "88.35", "SR"},       {ST "88.40", "SR"},
    {ST "88.50", "SR"},       {ST "88.65", "SR"},
    {ST "88.68", "SR"},       {ST "88.69", "SR"},
    {ST "88.70", "SR"},       {ST "88.71", "SR"},
    {ST "88.72", "SR"},       {ST "88.73", "SR"},
    {ST "88.74", "SR"},       {ST "88.75", "SR"},
    {ST "9.1.1", "ECG"},      {ST "9.1.2", "ECG"},
    {ST "9.1.3", "ECG"},      {ST "9.2.1", "HD"},
    {ST "9.3.1", "EPS"},      {ST "9.4.1", "AU"},
    {ST "9.4.2", "AU"},       {ST "9.5.1", "HD"},
    {ST "9.6.1", "RESP"},     {ST "90.1", "STAIN"},
    {ST "104.2", "DOC"},      {ST "104.3", "M3D"},
    {ST "11.2", "PR"},        {ST "11.3", "PR"},
    {ST "11.4", "PR"},        {ST "11.5", "PR"},
    {ST "11.6", "PR"},        {ST "128.1", "PT"},
    {ST "131", "BMD"},        {ST "200.2", "CTPROTOCOL"},
    {ST "481.4", "RTRECORD"}, {ST "481.6", "RTRECORD"},
    {ST "481.7", "RTRECORD"}, {ST "481.8", "RTPLAN"},
    {ST "481.9", "RTRECORD"}, {ST "6", "US"},
    {ST "3", "US"},           {ST "5", "NM"},
    {ST "12.3", "XA"},        {ST "77.1", "OT"},
    {ST "77.2", "OT"},
#undef ST
};

static void add(struct dimse_offers *o, const char *uid, const char *const *of,
                size_t n)
{
    if (o->n < VIVO_DIMSE_CONTEXTS_MAX)
        o->offer[o->n++] = (struct vivo_dimse_offer){uid, of, (unsigned)n, true};
}

/* One class, every syntax by itself. */
static void offer_each(const char *uid, struct dimse_offers *o)
{
    for (size_t i = 0; i < SYNTAXES; i++)
        add(o, uid, &syntaxes[i], 1);
}

static void offer_classes(const char *names, struct dimse_offers *o)
{
    for (size_t i = 0; *names && i < DIMSE_CLASSES_MAX; i++) {
        size_t n = strcspn(names, " ");
        snprintf(o->uids[i], sizeof o->uids[i], "%.*s", (int)n, names);
        offer_each(o->uids[i], o);
        names += n + (names[n] == ' ');
    }
}

static bool goes_with(size_t i, const char *modality)
{
    /* Screen shots and structured reports come with any. */
    return strcmp(classes[i].modality, modality) == 0 ||
           strcmp(classes[i].uid, "1.2.840.10008.5.1.4.1.1.7") == 0;
}

static void offer_modality(const char *modality, struct dimse_offers *o)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(classes); i++)
        if (goes_with(i, modality) && o->n + SYNTAXES <= VIVO_DIMSE_CONTEXTS_MAX)
            offer_each(classes[i].uid, o);
}

/* Two contexts each: as it is, or compressed as the server likes. */
static void offer_range(size_t first, struct dimse_offers *o)
{
    for (size_t i = first; i < VIVO_ARRAY_LEN(classes) && i < first + RANGE; i++) {
        add(o, classes[i].uid, syntaxes, PLAIN);
        add(o, classes[i].uid, syntaxes + PLAIN, SYNTAXES - PLAIN);
    }
}

/* Of those that are not of a known class: how often all classes were gone through. */
static size_t range_of(const struct dimse_kind *kind)
{
    return (kind->part - (kind->name[0] ? 1 : 0)) * RANGE;
}

void vivo_dimse_kinds_offer(const struct dimse_kind *kind, struct dimse_offers *o)
{
    if (strchr(kind->name, '.')) /* SOP classes */
        offer_classes(kind->name, o);
    else if (kind->name[0] && kind->part == 0)
        offer_modality(kind->name, o);
    else
        offer_range(range_of(kind), o);
}

bool vivo_dimse_kinds_has(const struct dimse_kind *kind)
{
    if (kind->part == 0)
        return true;
    return !strchr(kind->name, '.') && range_of(kind) < VIVO_ARRAY_LEN(classes);
}
