/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/list.c -- `in @NAME`: a file of values, read once and made ready once for
 * each class of attribute that it is asked of; any length is one binary search.
 *
 * What is in a list may name people: errors tell the number of a line, no text. */
#include "internal.h"
#include "vivofs/file.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64
#define DIGEST_SHOWN 12 /* hexadecimal digits */
#define SET_ARENA_MAX ((size_t)1 << 30)

struct vivo_query_list {
    char name[NAME_MAX_BYTES + 1];
    char shown[NAME_MAX_BYTES + DIGEST_SHOWN + 2]; /* NAME:digest */
    struct vivo_buf text;
    bool csv;
    pthread_mutex_t mutex;
    struct vivo_query_set *sets; /* guarded by mutex; never freed before the list */
};

/* ---- the file ----------------------------------------------------------------------
 */

static bool is_name(const char *s, size_t len)
{
    if (!len || len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static int read_list(struct vivo_query_list *l, const char *file, struct vivo_err *err)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* what Windows puts before UTF-8 */
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];
    vivo_buf_init(&l->text, VIVO_QUERY_LIST_MAX + 8);
    int rc = vivo_file_read(file, VIVO_QUERY_LIST_MAX, &l->text, err);
    if (rc)
        return rc;
    if (l->text.len >= 3 && !memcmp(l->text.data, mark, 3)) {
        memmove(l->text.data, l->text.data + 3, l->text.len - 3);
        l->text.len -= 3;
    }
    if (!l->text.len)
        return vivo_fail(err, EINVAL, "list %s: the file is empty", l->name);
    if (memchr(l->text.data, 0, l->text.len))
        return vivo_fail(err, EINVAL, "list %s: that is no text file", l->name);
    const uint8_t *end = memchr(l->text.data, '\n', l->text.len);
    size_t first = end ? (size_t)(end - l->text.data) : l->text.len;
    l->csv = memchr(l->text.data, ',', first) != NULL;
    vivo_sha256(l->text.data, l->text.len, digest);
    vivo_hex(digest, sizeof digest, hex);
    snprintf(l->shown, sizeof l->shown, "%s:%.*s", l->name, DIGEST_SHOWN, hex);
    return 0;
}

int vivo_query_list_load(const char *spec, struct vivo_query_list **out,
                         struct vivo_err *err)
{
    const char *colon = strchr(spec, ':');
    size_t len = colon ? (size_t)(colon - spec) : 0;
    if (!is_name(spec, len) || !colon[1])
        return vivo_fail(err, EINVAL,
                         "a list is NAME:FILE; names have letters, digits, - and _");
    struct vivo_query_list *l = calloc(1, sizeof *l);
    if (!l)
        return vivo_fail(err, ENOMEM, "out of memory");
    pthread_mutex_init(&l->mutex, NULL);
    memcpy(l->name, spec, len);
    int rc = read_list(l, colon + 1, err);
    if (rc)
        vivo_query_list_free(l);
    else
        *out = l;
    return rc;
}

static void free_set(struct vivo_query_set *set)
{
    free(set->texts);
    free(set->numbers);
    free(set->spans);
    free(set->values);
    vivo_arena_free(set->arena);
    free(set);
}

void vivo_query_list_free(struct vivo_query_list *l)
{
    while (l && l->sets) {
        struct vivo_query_set *set = l->sets;
        l->sets = set->next;
        free_set(set);
    }
    if (!l)
        return;
    vivo_buf_free(&l->text);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

const char *vivo_query_list_name(const struct vivo_query_list *l)
{
    return l->name;
}

/* ---- fields ------------------------------------------------------------------------
 */

struct reader {
    const char *s, *end;
    size_t line; /* of the field last read */
    size_t next_line;
    bool csv;
    bool last; /* the field last read ends its record */
};

static bool at_end_of_line(const struct reader *r, size_t i)
{
    return r->s + i == r->end || r->s[i] == '\n' ||
           (r->s[i] == '\r' && (r->s + i + 1 == r->end || r->s[i + 1] == '\n'));
}

static void end_field(struct reader *r, size_t len)
{
    r->s += len;
    r->last = r->s == r->end || *r->s != ',' || !r->csv;
    if (!r->last) {
        r->s++;
        return;
    }
    while (r->s < r->end && *r->s != '\n')
        r->s++;
    r->s += r->s < r->end;
    r->next_line++;
}

/* RFC 4180: "" in quotes is one quote. */
static int quoted_field(struct reader *r, struct vivo_buf *out)
{
    for (r->s++; r->s < r->end; r->s++) {
        if (*r->s == '"') {
            if (r->s + 1 == r->end || r->s[1] != '"')
                break;
            r->s++;
        }
        r->next_line += *r->s == '\n';
        if (vivo_buf_add(out, r->s, 1))
            return -ENOMEM;
    }
    if (r->s == r->end)
        return -EINVAL;
    r->s++;
    return 0;
}

/* 1 = a field is in `out`; 0 = no more; negative errno. */
static int next_field(struct reader *r, struct vivo_buf *out)
{
    size_t len = 0;
    vivo_buf_clear(out);
    if (r->s == r->end)
        return 0;
    r->line = r->next_line;
    if (r->csv && *r->s == '"') {
        int rc = quoted_field(r, out);
        if (rc)
            return rc;
    } else {
        while (!at_end_of_line(r, len) && !(r->csv && r->s[len] == ','))
            len++;
        if (len && vivo_buf_add(out, r->s, len))
            return -ENOMEM;
    }
    end_field(r, len);
    return vivo_buf_puts(out, "") ? -ENOMEM : 1;
}

static void trim(const struct vivo_buf *b, const char **s, size_t *len)
{
    *s = b->len ? (const char *)b->data : "";
    *len = b->len;
    while (*len && (*s)[*len - 1] == ' ')
        --*len;
    while (*len && **s == ' ') {
        ++*s;
        --*len;
    }
}

/* The number of the column headed so, from 0; -1. Leaves r behind the head. */
static int find_column(struct reader *r, const char *keyword, struct vivo_buf *field)
{
    int found = -1;
    for (int i = 0;; i++) {
        const char *s;
        size_t len;
        if (next_field(r, field) <= 0)
            return found;
        trim(field, &s, &len);
        if (found < 0 && len == strlen(keyword) && !strncasecmp(s, keyword, len))
            found = i;
        if (r->last)
            return found;
    }
}

/* ---- sets --------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
    const struct vivo_query_text *x = a;
    const struct vivo_query_text *y = b;
    int c = memcmp(x->s, y->s, VIVO_MIN(x->len, y->len));
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_start(const void *a, const void *b)
{
    return by_number(&((const struct vivo_query_span *)a)->lo,
                     &((const struct vivo_query_span *)b)->lo);
}

static bool index_texts(struct vivo_query_set *set)
{
    set->texts = calloc(set->n + 1, sizeof *set->texts);
    if (!set->texts)
        return false;
    for (size_t i = 0; i < set->n; i++) {
        const char *s = set->values[i].folded;
        set->texts[set->ntexts++] = (struct vivo_query_text){s, strlen(s)};
    }
    qsort(set->texts, set->ntexts, sizeof *set->texts, by_text);
    return true;
}

static bool index_numbers(struct vivo_query_set *set)
{
    set->numbers = calloc(set->n + 1, sizeof *set->numbers);
    if (!set->numbers)
        return false;
    for (size_t i = 0; i < set->n; i++)
        if (!isnan(set->values[i].lo))
            set->numbers[set->nnumbers++] = set->values[i].lo;
    qsort(set->numbers, set->nnumbers, sizeof *set->numbers, by_number);
    return true;
}

static bool index_spans(struct vivo_query_set *set)
{
    set->spans = calloc(set->n + 1, sizeof *set->spans);
    if (!set->spans)
        return false;
    set->nspans = set->n;
    for (size_t i = 0; i < set->n; i++) {
        set->spans[i].lo = set->values[i].lo;
        set->spans[i].hi = set->values[i].hi;
    }
    qsort(set->spans, set->nspans, sizeof *set->spans, by_start);
    for (size_t i = 1; i < set->nspans; i++)
        set->spans[i].hi = VIVO_MAX(set->spans[i].hi, set->spans[i - 1].hi);
    return true;
}

static bool index_set(struct vivo_query_set *set)
{
    switch (set->cls) {
    case VIVO_CLASS_NUMBER:
        return index_numbers(set);
    case VIVO_CLASS_DATE:
    case VIVO_CLASS_TIME:
    case VIVO_CLASS_DATETIME:
    case VIVO_CLASS_AGE:
        return index_spans(set);
    case VIVO_CLASS_UNKNOWN:
        return index_texts(set) && index_numbers(set);
    case VIVO_CLASS_TEXT:
    case VIVO_CLASS_NAME:
    case VIVO_CLASS_UID:
    case VIVO_CLASS_NONE:
        break;
    }
    return index_texts(set);
}

bool vivo_query_set_has_text(const struct vivo_query_set *set, const char *s,
                             size_t len)
{
    struct vivo_query_text key = {s, len};
    return bsearch(&key, set->texts, set->ntexts, sizeof key, by_text) != NULL;
}

bool vivo_query_set_has_number(const struct vivo_query_set *set, double number)
{
    return !isnan(number) && bsearch(&number, set->numbers, set->nnumbers,
                                     sizeof number, by_number) != NULL;
}

bool vivo_query_set_covers(const struct vivo_query_set *set, double lo, double hi)
{
    size_t from = 0;
    size_t to = set->nspans;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (set->spans[mid].lo <= lo)
            from = mid + 1;
        else
            to = mid;
    }
    return from && set->spans[from - 1].hi >= hi;
}

/* ---- making one --------------------------------------------------------------------
 */

struct maker {
    struct vivo_query_set *set;
    struct vivo_query_parser parser; /* of values, in the arena of the set */
    struct vivo_query query;
    struct vivo_query_error error;
    struct vivo_query_node node;
    size_t cap;
};

static int add_value(struct maker *m, const char *s, size_t len)
{
    struct vivo_query_set *set = m->set;
    struct vivo_query_value *more =
        vivo_array_grow(set->values, set->n, &m->cap, sizeof *more, VIVO_ARRAY_MAX);
    if (!more)
        return -ENOMEM;
    set->values = more;
    const char *raw = vivo_query_dup(&m->parser, s, len);
    if (!raw || !vivo_query_fit(&m->parser, &m->node, raw, 0, &set->values[set->n]))
        return m->parser.rc;
    set->n++;
    return 0;
}

/* The values of a column (0 of a plain file), by line; *line: where it failed. */
static int add_values(struct maker *m, struct reader *r, int column,
                      struct vivo_buf *field)
{
    int rc = 0;
    for (int i = 0; !rc; i = r->last ? 0 : i + 1) {
        const char *s;
        size_t len;
        rc = next_field(r, field);
        if (rc <= 0)
            return rc;
        rc = 0;
        trim(field, &s, &len);
        if (i == column && len)
            rc = add_value(m, s, len);
    }
    return rc;
}

static int make_set(struct vivo_query_list *l, const struct vivo_query_path *path,
                    struct vivo_query_set *set, size_t *line)
{
    static const uint16_t columns[1] = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf field = {0};
    struct maker m = {.set = set};
    struct reader r = {.s = (const char *)l->text.data,
                       .end = (const char *)l->text.data + l->text.len,
                       .next_line = 1,
                       .csv = l->csv};
    m.query.arena = set->arena;
    m.parser = (struct vivo_query_parser){
        .s = "", .columns = columns, .q = &m.query, .qe = &m.error};
    /* A range takes its values as they stand: no wildcards. */
    m.node = (struct vivo_query_node){.kind = VIVO_QUERY_RANGE, .path = *path};
    vivo_buf_init(&field, VIVO_QUERY_TEXT_MAX);
    int column = set->column ? find_column(&r, set->column, &field) : 0;
    if (column < 0)
        return -ENOENT;
    int rc = add_values(&m, &r, column, &field);
    *line = r.line;
    return rc ? rc : index_set(set) ? 0 : -ENOMEM;
}

static int new_set(struct vivo_query_list *l, const struct vivo_query_path *path,
                   const char *keyword, struct vivo_query_set **out, size_t *line)
{
    struct vivo_query_set *set = calloc(1, sizeof *set);
    if (!set)
        return -ENOMEM;
    set->cls = path->cls;
    memcpy(set->vr, path->vr, sizeof set->vr);
    set->arena = vivo_arena_new(SET_ARENA_MAX);
    if (set->arena && l->csv)
        set->column = vivo_arena_strndup(set->arena, keyword, strlen(keyword));
    int rc = set->arena && (!l->csv || set->column) ? 0 : -ENOMEM;
    rc = rc ? rc : make_set(l, path, set, line);
    if (rc) {
        free_set(set);
        return rc;
    }
    set->next = l->sets;
    l->sets = set;
    *out = set;
    return 0;
}

static int get_set(struct vivo_query_list *l, const struct vivo_query_path *path,
                   struct vivo_query_set **out, size_t *line)
{
    const char *keyword = path->steps[path->nsteps - 1].keyword;
    int rc = 0;
    pthread_mutex_lock(&l->mutex);
    struct vivo_query_set *set = l->sets;
    while (set && (memcmp(set->vr, path->vr, 2) != 0 ||
                   (set->column && strcmp(set->column, keyword) != 0)))
        set = set->next;
    if (!set)
        rc = new_set(l, path, keyword, &set, line);
    pthread_mutex_unlock(&l->mutex);
    *out = set;
    return rc;
}

/* ---- the parser's side --------------------------------------------------------------
 */

static struct vivo_query_list *find_list(struct vivo_query_parser *p, const char *s,
                                         size_t len)
{
    for (size_t i = 0; p->rules && i < p->rules->nlists; i++) {
        struct vivo_query_list *l = p->rules->lists[i];
        if (strlen(l->name) == len && !memcmp(l->name, s, len))
            return l;
    }
    return NULL;
}

static bool fail_set(struct vivo_query_parser *p, size_t at, const char *name,
                     const struct vivo_query_path *path, int rc, size_t line)
{
    const char *keyword = path->steps[path->nsteps - 1].keyword;
    if (rc == -ENOENT)
        vivo_query_fail(p, at, "the first line of a CSV file names its columns",
                        "list %s has no column %s", name, keyword);
    else if (rc == -EINVAL)
        vivo_query_fail(p, at, "a list has one value a line",
                        "list %s, line %zu: that is no value of %s (%s)", name, line,
                        keyword, path->vr);
    else
        vivo_query_fail_nomem(p);
    return false;
}

bool vivo_query_take_named_list(struct vivo_query_parser *p, struct vivo_query_node *n)
{
    size_t at = p->pos++;
    const char *word = p->s + p->pos;
    size_t len = vivo_query_word_len(p);
    size_t name = strcspn(word, ":");
    name = VIVO_MIN(name, len);
    struct vivo_query_list *l = find_list(p, word, name);
    if (!is_name(word, name)) {
        vivo_query_fail(p, at, "write PatientID in @NAME", "that is no name of a list");
        return false;
    }
    if (!l) {
        vivo_query_fail(p, at, "mount with -o list=NAME:FILE",
                        "there is no list named %.*s", (int)name, word);
        return false;
    }
    if (len > name && (strlen(l->shown) != len || memcmp(l->shown, word, len) != 0)) {
        vivo_query_fail(p, at, "", "list %s is not what it was then", l->name);
        return false;
    }
    struct vivo_query_set *set = NULL;
    size_t line = 0;
    int rc = get_set(l, &n->path, &set, &line);
    if (rc)
        return fail_set(p, at, l->name, &n->path, rc, line);
    p->pos += len;
    n->kind = VIVO_QUERY_IN;
    n->values = set->values;
    n->nvalues = set->n;
    n->set = set;
    n->list = l->shown;
    return true;
}
