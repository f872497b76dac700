/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/known.c -- what identifies in an object, by its own account.
 *
 * PS3.15 E.3.5 asks for text without identifying information. What the object says in
 * attributes that are removed or replaced is looked for in the text that stays: whole
 * values and their parts, without case and accents. Only hashes are kept. */
#include "options.h"

#include <errno.h>
#include <string.h>

#define PART_MIN 3   /* letters of a part; 2 where a letter is a word */
#define INSIDE_MIN 4 /* shorter parts count as whole words alone */
#define PART_MAX 32
#define WHOLE_MAX 64
#define TABLE_MAX (16u << 20)
#define TEXT_MAX 512

enum kind { EXACT = 1, INSIDE, WHOLE };

struct vivo_known {
    uint64_t *table; /* open addressing; 0 = free */
    size_t cap, n;
    uint64_t lengths; /* of parts that count inside words, one bit each */
};

static uint64_t begin(enum kind kind)
{
    return UINT64_C(0xcbf29ce484222325) ^ ((uint64_t)kind << 56);
}

static uint64_t roll(uint64_t h, uint32_t c)
{
    return (h ^ c) * UINT64_C(0x100000001b3);
}

static uint64_t end_hash(uint64_t h, uint32_t n)
{
    h ^= n;
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    return h ? h : 1;
}

static bool contains(const struct vivo_known *k, uint64_t h)
{
    if (!k->n)
        return false;
    for (size_t i = h & (k->cap - 1); k->table[i]; i = (i + 1) & (k->cap - 1))
        if (k->table[i] == h)
            return true;
    return false;
}

static void place(struct vivo_known *k, uint64_t h)
{
    size_t i = h & (k->cap - 1);
    while (k->table[i] && k->table[i] != h)
        i = (i + 1) & (k->cap - 1);
    k->n += !k->table[i];
    k->table[i] = h;
}

static int insert(struct vivo_known *k, uint64_t h)
{
    if (k->cap < 2 * (k->n + 1)) {
        size_t cap = k->cap ? 2 * k->cap : 256;
        if (cap > TABLE_MAX)
            return -ENOSPC;
        uint64_t *table = calloc(cap, sizeof *table);
        if (!table)
            return -ENOMEM;
        struct vivo_known old = *k;
        k->table = table;
        k->cap = cap;
        k->n = 0;
        for (size_t i = 0; i < old.cap; i++)
            if (old.table[i])
                place(k, old.table[i]);
        free(old.table);
    }
    place(k, h);
    return 0;
}

/* Words that every institution's name has, and placeholders. */
static bool says_nothing(const struct vivo_letters *t, const struct vivo_word *w)
{
    static const char *const words[] = {"the",     "and",  "for",     "with",
                                        "without", "none", "unknown", "und",
                                        "mit",     "ohne", "von",     "not"};
    return vivo_letters_among(t, w->from, w->to, words, VIVO_ARRAY_LEN(words));
}

static int add_part(struct vivo_known *k, const struct vivo_letters *t,
                    const struct vivo_word *w)
{
    uint64_t exact = begin(EXACT), inside = begin(INSIDE);
    uint32_t n = 0;
    bool wide = false;
    for (uint32_t i = w->from; i < w->to && n < PART_MAX; i++) {
        if (t->l[i].cls == VIVO_LETTER_MARK)
            continue;
        exact = roll(exact, t->l[i].c);
        inside = roll(inside, t->l[i].c);
        wide = wide || vivo_letter_is_wide(&t->l[i]);
        n++;
    }
    if (n < (wide ? 2 : PART_MIN) || says_nothing(t, w))
        return 0;
    int rc = insert(k, end_hash(exact, n));
    if (!rc && w->alphas && (wide || n >= INSIDE_MIN)) {
        k->lengths |= UINT64_C(1) << n;
        rc = insert(k, end_hash(inside, n));
    }
    return rc;
}

/* All letters of one value without what is between them. */
static int add_whole(struct vivo_known *k, const struct vivo_letters *t, uint32_t from,
                     uint32_t to)
{
    uint64_t h = begin(WHOLE);
    uint32_t n = 0;
    bool wide = false;
    for (uint32_t i = from; i < to; i++) {
        if (t->l[i].cls < VIVO_LETTER_DIGIT || t->l[i].cls == VIVO_LETTER_MARK)
            continue;
        h = roll(h, t->l[i].c);
        wide = wide || vivo_letter_is_wide(&t->l[i]);
        n++;
    }
    if (n < (wide ? 2 : PART_MIN) || n > WHOLE_MAX)
        return 0;
    return insert(k, end_hash(h, n));
}

static int add_letters(struct vivo_known *k, const struct vivo_letters *t)
{
    int rc = 0;
    uint32_t from = 0;
    for (uint32_t i = 0; !rc && i < t->n_words; i++)
        rc = add_part(k, t, &t->w[i]);
    for (uint32_t i = 0; !rc && i <= t->n; i++) {
        if (i < t->n && t->l[i].c != '\\' && t->l[i].c != '=')
            continue;
        if (t->n_words != 1 || !says_nothing(t, &t->w[0]))
            rc = add_whole(k, t, from, i);
        from = i + 1;
    }
    return rc;
}

int vivo_known_add(struct vivo_known *k, const char *charset, const char *vr,
                   const void *value, size_t len)
{
    const uint8_t *v = value;
    struct vivo_letters t;
    while (len && (v[len - 1] == ' ' || v[len - 1] == 0))
        len--;
    int rc = vivo_letters_new(&t, charset, vr, v, len);
    /* What of it is ASCII is known nevertheless. */
    if (rc == -EILSEQ)
        rc = vivo_letters_new(&t, "ISO_IR 100", vr, v, len);
    if (rc)
        return rc == -EILSEQ ? 0 : rc;
    rc = add_letters(k, &t);
    vivo_letters_free(&t);
    return rc;
}

struct vivo_known *vivo_known_empty(void)
{
    return calloc(1, sizeof(struct vivo_known));
}

void vivo_known_free(struct vivo_known *k)
{
    if (!k)
        return;
    free(k->table);
    free(k);
}

/* ---- the object ---------------------------------------------------------------- */

static bool is_one_of(const char *vr, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!memcmp(vr, list[i], 2))
            return true;
    return false;
}

/* Codes that name people and places (PS3.3 Table 10-1, C.7.5.1). */
static bool names_somebody(uint32_t sequence)
{
    return sequence == 0x00401101 || sequence == 0x00080082 || sequence == 0x00081041;
}

static bool goes(const struct vivo_node *node, uint32_t owner)
{
    switch ((enum vivo_act)node->act) {
    case VIVO_ACT_K:
    case VIVO_ACT_KEEP:
    case VIVO_ACT_CLEAN:
    case VIVO_ACT_SHIFT:
        return false;
    case VIVO_ACT_CODE:
        return names_somebody(owner);
    case VIVO_ACT_NONE:
    case VIVO_ACT_X:
    case VIVO_ACT_Z:
    case VIVO_ACT_D:
    case VIVO_ACT_U:
    case VIVO_ACT_XZ:
    case VIVO_ACT_XD:
    case VIVO_ACT_ZD:
    case VIVO_ACT_XZD:
    case VIVO_ACT_XZU:
    case VIVO_ACT_AWAY:
    case VIVO_ACT_PSEUDO:
    case VIVO_ACT_PRIVATE:
    case VIVO_ACT_PERSON:
        break;
    }
    return true;
}

/* Descriptions are full of words that belong into other descriptions: a row that
 * could be cleaned is none of those that identify, nor is long text that is removed
 * because nobody decided to keep it. */
static bool identifies(const struct vivo_node *node, uint32_t owner)
{
    static const char *const listed[] = {"PN", "LO", "SH", "AE", "ST",
                                         "LT", "UT", "UC", "UR"};
    static const char *const other[] = {"PN", "LO", "SH", "AE", "UC"};
    const struct vivo_deid_row *row = vivo_deid_row_find(node->tag);
    if (node->kind != VIVO_NODE_ELEMENT || !node->length || !goes(node, owner))
        return false;
    if (node->tag >> 16 & 1)
        return !memcmp(node->vr, "PN", 2);
    if (names_somebody(owner))
        return is_one_of(node->vr, other, VIVO_ARRAY_LEN(other));
    if (row)
        return row->option[7] != 'C' &&
               is_one_of(node->vr, listed, VIVO_ARRAY_LEN(listed));
    const struct vivo_dict *dict = vivo_dcm_dict(node->tag);
    const char *word = dict ? dict->keyword : "";
    if (strstr(word, "Description") || strstr(word, "Protocol") ||
        strstr(word, "Comment") || strstr(word, "Meaning"))
        return false;
    return is_one_of(node->vr, other, VIVO_ARRAY_LEN(other));
}

static int add_set(struct vivo_known *k, const struct vivo_header *h, uint32_t first,
                   uint32_t end, uint32_t owner, const char *outer);

static int add_items(struct vivo_known *k, const struct vivo_header *h, uint32_t at,
                     const char *charset)
{
    int rc = 0;
    for (uint32_t i = at + 1; !rc && i < h->nodes[at].end; i = h->nodes[i].end)
        rc = add_set(k, h, i + 1, h->nodes[i].end, h->nodes[at].tag, charset);
    return rc;
}

static int add_set(struct vivo_known *k, const struct vivo_header *h, uint32_t first,
                   uint32_t end, uint32_t owner, const char *outer)
{
    char buf[TEXT_MAX];
    const char *charset = vivo_options_charset(h, first, end, outer, buf, sizeof buf);
    int rc = 0;
    for (uint32_t i = first; !rc && i < end; i = h->nodes[i].end) {
        const struct vivo_node *node = &h->nodes[i];
        if (node->end > i + 1)
            rc = add_items(k, h, i, charset);
        else if (identifies(node, owner))
            rc = vivo_known_add(k, charset, node->vr, h->values.data + node->at,
                                (size_t)node->length);
    }
    return rc;
}

int vivo_known_new(const struct vivo_header *h, struct vivo_known **out,
                   struct vivo_err *err)
{
    struct vivo_known *k = vivo_known_empty();
    int rc = k ? add_set(k, h, 0, h->n, 0, "") : -ENOMEM;
    if (rc) {
        vivo_known_free(k);
        return vivo_fail(err, rc == -ENOMEM ? ENOMEM : EBADMSG,
                         "the header is too large to be cleaned");
    }
    *out = k;
    return 0;
}

/* ---- looking for it ---------------------------------------------------------------
 */

/* A name in a script without spaces goes alone, another with its whole word. */
static void cut_part(struct vivo_letters *t, uint32_t from, uint32_t to)
{
    if (vivo_letter_is_wide(&t->l[from]))
        vivo_letters_cut(t, from, to);
    else
        vivo_letters_cut_words(t, from, to);
}

static bool is_known(const struct vivo_known *k, const struct vivo_letters *t,
                     uint32_t from, uint32_t to)
{
    uint64_t h = begin(EXACT);
    uint32_t n = 0;
    for (uint32_t i = from; i < to && n < PART_MAX; i++)
        if (t->l[i].cls != VIVO_LETTER_MARK) {
            h = roll(h, t->l[i].c);
            n++;
        }
    return contains(k, end_hash(h, n));
}

/* The word, and the runs of letters and of digits in it. */
static void cut_exact(const struct vivo_known *k, struct vivo_letters *t,
                      const struct vivo_word *w)
{
    if (is_known(k, t, w->from, w->to))
        vivo_letters_cut(t, w->from, w->to);
    for (uint32_t i = w->from, j; i < w->to; i = j) {
        bool digit = t->l[i].cls == VIVO_LETTER_DIGIT;
        bool wide = vivo_letter_is_wide(&t->l[i]);
        for (j = i; j < w->to && (t->l[j].cls == VIVO_LETTER_DIGIT) == digit &&
                    vivo_letter_is_wide(&t->l[j]) == wide;)
            j++;
        if (is_known(k, t, i, j))
            cut_part(t, i, j);
    }
}

static void cut_inside(const struct vivo_known *k, struct vivo_letters *t,
                       const struct vivo_word *w)
{
    for (uint32_t i = w->from; i < w->to; i++) {
        uint64_t h = begin(INSIDE);
        uint32_t n = 0;
        if (t->l[i].cut)
            continue;
        for (uint32_t j = i; j < w->to && n < PART_MAX; j++) {
            if (t->l[j].cls == VIVO_LETTER_MARK)
                continue;
            h = roll(h, t->l[j].c);
            n++;
            if (!(k->lengths >> n & 1) || !contains(k, end_hash(h, n)))
                continue;
            bool all = i == w->from && j + 1 == w->to;
            if (!all && vivo_word_is_plain(t, w))
                return;
            cut_part(t, i, j + 1);
        }
    }
}

static void cut_whole(const struct vivo_known *k, struct vivo_letters *t, uint32_t word)
{
    uint64_t h = begin(WHOLE);
    uint32_t n = 0;
    for (uint32_t i = word; i < t->n_words; i++) {
        const struct vivo_word *w = &t->w[i];
        for (uint32_t j = w->from; j < w->to; j++) {
            if (t->l[j].cls == VIVO_LETTER_MARK)
                continue;
            h = roll(h, t->l[j].c);
            if (++n > WHOLE_MAX)
                return;
        }
        if (contains(k, end_hash(h, n)))
            vivo_letters_cut(t, t->w[word].from, w->to);
    }
}

void vivo_known_cut(const struct vivo_known *k, struct vivo_letters *t)
{
    if (!k->n)
        return;
    for (uint32_t i = 0; i < t->n_words; i++) {
        cut_exact(k, t, &t->w[i]);
        cut_inside(k, t, &t->w[i]);
        cut_whole(k, t, i);
    }
}
