/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/content.c -- clean-structured-content: content items by their concepts.
 *
 * PS3.15 Table E.3.4-1 decides by concept name and value type; what it does not list
 * is decided by value type alone. Content items are PS3.3 section C.17.3. */
#include "options.h"

#include <string.h>

#define TAG_VALUE_TYPE 0x0040A040u
#define TAG_CONCEPT_NAME 0x0040A043u
#define TAG_CONTENT 0x0040A730u
#define TAG_REFERENCED_ITEM 0x0040DB73u
#define TEXT_MAX 128

struct row {
    const char *code, *scheme, *type;
    enum vivo_act basic;
    char option[6]; /* in the order of `columns` */
};

static const struct row rows[] = {
#define VIVO_CONTENT(code, scheme, type, basic, options)                               \
    {code, scheme, type, VIVO_ACT_##basic, options},
#include "table_sr_content.def"
#undef VIVO_CONTENT
};

#define VIVO_CONTENT(code, scheme, type, basic, options)
#define VIVO_CONTENT_SOURCE(digest, n)                                                 \
    const char *const vivo_content_sha256 = digest;                                    \
    _Static_assert(VIVO_ARRAY_LEN(rows) == (n), "rows of Table E.3.4-1");
#include "table_sr_content.def"
#undef VIVO_CONTENT
#undef VIVO_CONTENT_SOURCE

static const unsigned columns[] = {
    VIVO_DEID_RETAIN_UIDS,
    VIVO_DEID_RETAIN_DEVICE,
    VIVO_DEID_RETAIN_PATIENT_CHARACTERISTICS,
    VIVO_DEID_RETAIN_MODIFIED_DATES,
    VIVO_DEID_CLEAN_DESCRIPTORS,
};

/* Where the value of a content item is. Those without `identifies` are governed by
 * the rules of what is nested in them. */
static const struct value {
    const char *type;
    uint32_t tag;
    bool identifies;
} values[] = {
    {"TEXT", 0x0040A160, true},      {"PNAME", 0x0040A123, true},
    {"DATE", 0x0040A121, true},      {"TIME", 0x0040A122, true},
    {"DATETIME", 0x0040A120, true},  {"UIDREF", 0x0040A124, true},
    {"CODE", 0x0040A168, false},     {"NUM", 0x0040A300, false},
    {"NUMERIC", 0x0040A30A, false},  {"CONTAINER", TAG_CONTENT, false},
    {"IMAGE", 0x00081199, false},    {"COMPOSITE", 0x00081199, false},
    {"WAVEFORM", 0x00081199, false},
};

static const struct value *find_value(const char *type)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(values); i++)
        if (!strcmp(values[i].type, type))
            return &values[i];
    return NULL;
}

static const struct row *find_row(const char *scheme, const char *code,
                                  const char *type)
{
    size_t low = 0, high = VIVO_ARRAY_LEN(rows);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct row *r = &rows[middle];
        int c = strcmp(code, r->code);
        c = c ? c : strcmp(scheme, r->scheme);
        c = c ? c : strcmp(type, r->type);
        if (!c)
            return r;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool is_moment(const char *type)
{
    return !strcmp(type, "DATE") || !strcmp(type, "TIME") || !strcmp(type, "DATETIME");
}

/* 'K', 'C' or '.': K of any option goes first, as in policy.c. The table's source does
 * not have the column of full dates: it says K where that of modified dates says C. */
static char letter_of(const struct row *r, unsigned options)
{
    char letter = '.';
    for (size_t i = 0; i < VIVO_ARRAY_LEN(columns); i++) {
        if (!(options & columns[i]) || r->option[i] == '.')
            continue;
        if (r->option[i] == 'K')
            return 'K';
        letter = 'C';
    }
    if (r->option[3] == 'C' && options & VIVO_DEID_RETAIN_FULL_DATES)
        return 'K';
    return letter;
}

/* What happens to an item that the table does not list. */
static enum vivo_act unlisted(const char *type, unsigned options)
{
    if (!strcmp(type, "PNAME"))
        return VIVO_ACT_PERSON;
    if (!strcmp(type, "UIDREF"))
        return options & VIVO_DEID_RETAIN_UIDS ? VIVO_ACT_K : VIVO_ACT_U;
    if (!strcmp(type, "TEXT"))
        return options & VIVO_DEID_CLEAN_DESCRIPTORS ? VIVO_ACT_CLEAN : VIVO_ACT_X;
    if (is_moment(type) && options & VIVO_DEID_RETAIN_FULL_DATES)
        return VIVO_ACT_K;
    if (is_moment(type) && options & VIVO_DEID_RETAIN_MODIFIED_DATES)
        return VIVO_ACT_SHIFT;
    return VIVO_ACT_X;
}

/* The dummy of a person is a pseudonym, that of a UID its replacement. */
static enum vivo_act dummy(const char *type)
{
    if (!strcmp(type, "PNAME"))
        return VIVO_ACT_PERSON;
    return strcmp(type, "UIDREF") ? VIVO_ACT_D : VIVO_ACT_U;
}

static enum vivo_act decide(const struct row *r, const struct value *v,
                            unsigned options)
{
    if (!r)
        return v->identifies ? unlisted(v->type, options) : VIVO_ACT_KEEP;
    char letter = letter_of(r, options);
    if (letter == 'K')
        return v->identifies ? VIVO_ACT_K : VIVO_ACT_KEEP;
    if (letter == 'C' && is_moment(v->type))
        return VIVO_ACT_SHIFT;
    if (letter == 'C' && !strcmp(v->type, "TEXT"))
        return VIVO_ACT_CLEAN;
    if (r->basic == VIVO_ACT_X)
        return VIVO_ACT_X;
    return v->identifies ? dummy(v->type) : VIVO_ACT_KEEP;
}

/* An item that cannot be taken out, since others are counted by their places, loses
 * its value alone. */
static enum vivo_act hollow(const struct value *v)
{
    if (v->identifies)
        return dummy(v->type);
    return VIVO_ACT_Z;
}

static void apply(struct vivo_header *h, uint32_t item, const struct value *v,
                  enum vivo_act act)
{
    for (uint32_t i = item + 1; i < h->nodes[item].end; i = h->nodes[i].end) {
        struct vivo_node *node = &h->nodes[i];
        if (node->tag != v->tag)
            continue;
        node->basic = VIVO_ACT_D;
        /* What is nested is not touched by KEEP, and by Z all goes. */
        if (act != VIVO_ACT_KEEP)
            node->act = (uint8_t)act;
    }
}

static void find_concept(const struct vivo_header *h, uint32_t item,
                         char scheme[TEXT_MAX], char code[TEXT_MAX])
{
    scheme[0] = code[0] = '\0';
    for (uint32_t i = item + 1; i < h->nodes[item].end; i = h->nodes[i].end) {
        const struct vivo_node *node = &h->nodes[i];
        if (node->tag != TAG_CONCEPT_NAME || node->end < i + 2)
            continue;
        vivo_nodes_text(h, i + 2, h->nodes[i + 1].end, 0x00080102, scheme, TEXT_MAX);
        vivo_nodes_text(h, i + 2, h->nodes[i + 1].end, 0x00080100, code, TEXT_MAX);
    }
}

static void settle_item(struct vivo_header *h, uint32_t item, bool counted)
{
    char type[TEXT_MAX], scheme[TEXT_MAX], code[TEXT_MAX];
    if (!vivo_nodes_text(h, item + 1, h->nodes[item].end, TAG_VALUE_TYPE, type,
                         sizeof type))
        return;
    const struct value *v = find_value(type);
    if (!v)
        return;
    find_concept(h, item, scheme, code);
    enum vivo_act act = decide(find_row(scheme, code, type), v, h->d->options);
    if (act == VIVO_ACT_X && counted)
        act = hollow(v);
    if (act == VIVO_ACT_X)
        h->nodes[item].act = VIVO_ACT_X;
    apply(h, item, v, act);
}

void vivo_content_settle(struct vivo_header *h)
{
    bool counted = false;
    if (!(h->d->options & VIVO_DEID_CLEAN_STRUCTURED_CONTENT))
        return;
    for (uint32_t i = 0; i < h->n && !counted; i++)
        counted = h->nodes[i].tag == TAG_REFERENCED_ITEM;
    for (uint32_t i = 0; i < h->n; i++)
        if (h->nodes[i].kind == VIVO_NODE_ITEM)
            settle_item(h, i, counted);
}
