/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/dict.c -- the dictionary of PS3.6: sorted rows and two hash tables.
 *
 * Made once from GDCM's dictionary and dict_supplement.def (what PS3.6 has got or
 * corrected since GDCM's edition); read-only afterwards, so lookups need no lock. */
#include "vivofs/dcm.h"

#include "vivofs/text.h"

#include "gdcm.h"
#include "tables.h"

#include <errno.h>
#include <string.h>

#define ROWS_MAX 16384 /* PS3.6 has 5,300 */
#define SLOTS 32768    /* of a hash table; a power of two, at least twice the rows */
#define POOL_MAX (1u << 20)

static struct {
    struct vivo_dict *rows; /* ascending by tag */
    size_t n;
    bool *word;                 /* rows[i] may be OW: see vivo_dcm_vr_of */
    const char **keywords;      /* of rows, in their order */
    uint16_t by_tag[SLOTS];     /* row + 1; 0 = empty */
    uint16_t by_keyword[SLOTS]; /* likewise */
    struct vivo_arena *pool;
} dict;

struct building {
    struct vivo_dict *rows;
    bool *word;
    size_t n;
};

/* ---- repeating groups ---------------------------------------------------------- */

/* Curves and overlays repeat in the even groups 50xx and 60xx (PS3.5 section 7.6);
 * the retired (7Fxx,eeee), (1010,xxxx) and (0020,31xx) repeat too. */
static uint32_t fold(uint32_t tag)
{
    uint32_t group = tag >> 16;
    uint32_t element = tag & 0xFFFF;
    if ((group & 0xFF01) == 0x5000 || (group & 0xFF01) == 0x6000)
        return tag & 0xFF00FFFFu;
    if ((group & 0xFF01) == 0x7F00 && (group != 0x7FE0 || element == 0x0011))
        return tag & 0xFF00FFFFu;
    if (group == 0x1010 && element > 0)
        return 0x10100001u;
    if (group == 0x0020 && (element & 0xFF00) == 0x3100)
        return 0x00203100u;
    return tag;
}

/* ---- building ------------------------------------------------------------------ */

static int add_row(void *ctx, uint32_t tag, const char *vr, const char *vm,
                   const char *keyword, bool retired)
{
    struct building *b = ctx;
    bool known_vr = vr[0] >= 'A' && vr[0] <= 'Z' && strcmp(vr, "INVALID") != 0;
    if ((tag & 0xFFFF) == 0 || tag >> 16 == 0xFFFE || !keyword[0] || fold(tag) != tag)
        return 0;
    if (b->n == ROWS_MAX)
        return -ENOSPC;
    struct vivo_dict *row = &b->rows[b->n];
    row->tag = tag;
    memcpy(row->vr, known_vr ? vr : "UN", 2);
    row->vr[2] = '\0';
    row->either = strstr(vr, " or ") != NULL;
    row->retired = retired;
    row->keyword = vivo_arena_strndup(dict.pool, keyword, strlen(keyword));
    row->vm = vivo_arena_strndup(dict.pool, vm, strlen(vm));
    b->word[b->n] = row->either && strstr(vr, "OW") != NULL;
    b->n++;
    return row->keyword && row->vm ? 0 : -ENOMEM;
}

static int add_supplement(struct building *b)
{
    static const struct {
        uint32_t tag;
        const char *vr, *vm, *keyword;
        bool retired;
    } rows[] = {
#define VIVO_DICT(tag, vr, vm, keyword, retired) {tag, vr, vm, keyword, retired},
#include "dict_supplement.def"
#undef VIVO_DICT
    };
    int rc = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows) && rc == 0; i++)
        rc = add_row(b, rows[i].tag, rows[i].vr, rows[i].vm, rows[i].keyword,
                     rows[i].retired);
    return rc;
}

/* Order of a row: its tag, then the place where it came from: the supplement first. */
struct order {
    uint32_t tag;
    uint32_t at;
};

static int compare_order(const void *x, const void *y)
{
    const struct order *a = x;
    const struct order *b = y;
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    return a->at < b->at ? -1 : 1;
}

static int sort_rows(const struct building *b)
{
    VIVO_AUTO(vivo_free_p) struct order *order = calloc(b->n, sizeof *order);
    dict.rows = calloc(b->n, sizeof *dict.rows);
    dict.word = calloc(b->n, sizeof *dict.word);
    dict.keywords = calloc(b->n, sizeof *dict.keywords);
    if (!order || !dict.rows || !dict.word || !dict.keywords)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->n; i++)
        order[i] = (struct order){b->rows[i].tag, i};
    qsort(order, b->n, sizeof *order, compare_order);
    for (size_t i = 0; i < b->n; i++) {
        if (dict.n > 0 && dict.rows[dict.n - 1].tag == order[i].tag)
            continue;
        dict.rows[dict.n] = b->rows[order[i].at];
        dict.word[dict.n] = b->word[order[i].at];
        dict.keywords[dict.n] = dict.rows[dict.n].keyword;
        dict.n++;
    }
    return 0;
}

static uint32_t hash_tag(uint32_t tag)
{
    return (tag * 2654435761u) >> 17 & (SLOTS - 1);
}

static void index_rows(void)
{
    for (size_t i = 0; i < dict.n; i++) {
        const struct vivo_dict *row = &dict.rows[i];
        uint32_t at = hash_tag(row->tag);
        while (dict.by_tag[at])
            at = (at + 1) & (SLOTS - 1);
        dict.by_tag[at] = (uint16_t)(i + 1);
        at = vivo_dcm_hash_word(row->keyword, strlen(row->keyword)) & (SLOTS - 1);
        while (dict.by_keyword[at])
            at = (at + 1) & (SLOTS - 1);
        dict.by_keyword[at] = (uint16_t)(i + 1);
    }
}

int vivo_dcm_dict_build(struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p)
    struct vivo_dict *rows = calloc(ROWS_MAX, sizeof *rows);
    VIVO_AUTO(vivo_free_p) bool *word = calloc(ROWS_MAX, sizeof *word);
    struct building b = {rows, word, 0};
    dict.pool = vivo_arena_new(POOL_MAX);
    if (!rows || !word || !dict.pool)
        return vivo_fail(err, ENOMEM, "dictionary: out of memory");
    int rc = add_supplement(&b);
    if (rc == 0)
        rc = vivo_gdcm_dict(add_row, &b);
    if (rc == 0)
        rc = b.n > 0 ? sort_rows(&b) : -ENOENT;
    if (rc < 0)
        return vivo_fail(err, rc == -ENOMEM ? ENOMEM : EIO,
                         "dictionary: GDCM's tables could not be copied");
    index_rows();
    return 0;
}

/* ---- looking up ---------------------------------------------------------------- */

uint32_t vivo_dcm_hash_word(const char *s, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a over lower-case letters */
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)s[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        h = (h ^ c) * 16777619u;
    }
    return h ^ h >> 15;
}

const struct vivo_dict *vivo_dcm_dict(uint32_t tag)
{
    tag = fold(tag);
    for (uint32_t at = hash_tag(tag); dict.by_tag[at]; at = (at + 1) & (SLOTS - 1)) {
        const struct vivo_dict *row = &dict.rows[dict.by_tag[at] - 1];
        if (row->tag == tag)
            return row;
    }
    return NULL;
}

const struct vivo_dict *vivo_dcm_dict_keyword(const char *s, size_t len)
{
    uint32_t at = vivo_dcm_hash_word(s, len) & (SLOTS - 1);
    for (; dict.by_keyword[at]; at = (at + 1) & (SLOTS - 1)) {
        const struct vivo_dict *row = &dict.rows[dict.by_keyword[at] - 1];
        if (strncasecmp(row->keyword, s, len) == 0 && row->keyword[len] == '\0')
            return row;
    }
    return NULL;
}

const char *vivo_dcm_dict_nearest(const char *s)
{
    return vivo_text_nearest(s, dict.keywords, dict.n);
}

const struct vivo_dict *vivo_dcm_dict_all(size_t *n)
{
    *n = dict.n;
    return dict.rows;
}

const char *vivo_dcm_vr_of(uint32_t tag)
{
    uint32_t group = tag >> 16;
    uint32_t element = tag & 0xFFFF;
    if (element == 0)
        return "UL";
    if (group & 1) /* PS3.5 section 7.8.1 */
        return element >= 0x10 && element <= 0xFF ? "LO" : "UN";
    const struct vivo_dict *row = vivo_dcm_dict(tag);
    if (!row)
        return "UN";
    /* PS3.5 section A.1: pixel, overlay and LUT data are OW in implicit VR. */
    return dict.word[row - dict.rows] ? "OW" : row->vr;
}
