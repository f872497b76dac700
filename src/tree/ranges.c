/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/ranges.c -- many values of a number, an age, a date or a time, as few names.
 *
 * The rule (README.md, "Facets"): up to 32 values stand for themselves. More numbers
 * and ages are put into steps of 1, 2 or 5 times a power of ten (ages: ten years), and
 * a step is named after the first and the last value that exist in it, so that each
 * value is in exactly one and K/a..b is q/K=a..b. More dates are their years, of one
 * year its months; times their hours. */
#include "tree/internal.h"

#include <stdio.h>
#include <string.h>

#define PLAIN_MAX 32
#define STEPS 20.0
#define DECADE 3652.5

struct item {
    const char *text;
    double number; /* of numbers and ages */
};

struct ranges {
    enum range_kind kind;
    struct vivo_arena *arena;
    struct item *items;
    size_t n, cap;
};

enum range_kind ranges_kind(const char *vr)
{
    if (strstr("DS IS US SS UL SL FL FD UV SV", vr))
        return RANGE_NUMBERS;
    if (!strcmp(vr, "AS"))
        return RANGE_AGES;
    if (!strcmp(vr, "DA") || !strcmp(vr, "DT"))
        return RANGE_DATES;
    return strcmp(vr, "TM") ? RANGE_NONE : RANGE_TIMES;
}

int ranges_new(enum range_kind kind, struct ranges **out)
{
    struct ranges *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->kind = kind;
    r->arena = vivo_arena_new(64u << 20);
    if (!r->arena) {
        free(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void ranges_free(struct ranges *r)
{
    if (!r)
        return;
    vivo_arena_free(r->arena);
    free(r->items);
    free(r);
}

/* PS3.5 section 6.2: nnnD, nnnW, nnnM, nnnY; in days. */
static bool age_of(const char *text, double *out)
{
    static const struct {
        char unit;
        double days;
    } units[] = {{'D', 1}, {'W', 7}, {'M', 30.4375}, {'Y', 365.25}};
    char *end;
    double n = strtod(text, &end);

    for (size_t i = 0; end != text && i < VIVO_ARRAY_LEN(units); i++)
        if (*end == units[i].unit && end[1] == '\0') {
            *out = n * units[i].days;
            return true;
        }
    return false;
}

static bool number_of(const char *text, double *out)
{
    char *end;

    if (strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out - *out == 0;
}

/* Letters of the text that make a year and so on; 0 = it is no date or time. */
static bool is_stamp(const struct ranges *r, const char *text)
{
    return strspn(text, "0123456789") >= (r->kind == RANGE_DATES ? 8u : 2u);
}

int ranges_add(struct ranges *r, const char *text)
{
    struct item it = {.number = 0};
    bool fits = r->kind == RANGE_NUMBERS ? number_of(text, &it.number)
                : r->kind == RANGE_AGES  ? age_of(text, &it.number)
                                         : is_stamp(r, text);

    if (!fits)
        return 0;
    struct item *items =
        vivo_array_grow(r->items, r->n, &r->cap, sizeof *items, VIVO_ARRAY_MAX);
    if (!items)
        return -ENOMEM;
    r->items = items;
    it.text = vivo_arena_strndup(r->arena, text, strlen(text));
    if (!it.text)
        return -ENOMEM;
    r->items[r->n++] = it;
    return 1;
}

static int by_number(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;

    if (x->number < y->number || x->number > y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->text, y->text);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->text, ((const struct item *)b)->text);
}

/* The smallest of 1, 2, 5 times a power of ten that makes at most STEPS of `span`. */
static double step_of(double span)
{
    static const double nice[] = {1, 2, 5};
    double power = 1;

    if (!(span < 1e300)) /* beyond what the loops below can count with */
        return span / STEPS;
    while (power * STEPS < span)
        power *= 10;
    while (power * STEPS / 10 >= span)
        power /= 10;
    power /= 10;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(nice); i++)
        if (nice[i] * power * STEPS >= span)
            return nice[i] * power;
    return 10 * power;
}

/* Which step a number is in; by counting, so that no rounding puts it into two. */
static double ceiling_of(double number, double step)
{
    double n = number / step;
    double down;

    if (!(n > -9e15 && n < 9e15)) /* no whole steps that far: each for itself */
        return number;
    down = (double)(long long)n;
    if (down > n)
        down -= 1;
    return (down + 1) * step;
}

static int emit_steps(struct ranges *r, range_fn *fn, void *ctx)
{
    double span = r->items[r->n - 1].number - r->items[0].number;
    double step =
        r->kind == RANGE_AGES && span > DECADE ? DECADE : step_of(span > 0 ? span : 1);
    int rc = 0;

    for (size_t from = 0, to; from < r->n && !rc; from = to) {
        double end = ceiling_of(r->items[from].number, step);
        char name[160];
        for (to = from + 1; to < r->n && r->items[to].number < end;)
            to++;
        /* "1" and "1.0" have one value and need no range. */
        if (!(r->items[from].number < r->items[to - 1].number))
            snprintf(name, sizeof name, "%.64s", r->items[from].text);
        else
            snprintf(name, sizeof name, "%.64s..%.64s", r->items[from].text,
                     r->items[to - 1].text);
        rc = fn(ctx, name);
    }
    return rc;
}

static int emit_prefixes(struct ranges *r, size_t len, range_fn *fn, void *ctx)
{
    int rc = 0;

    for (size_t from = 0, to; from < r->n && !rc; from = to) {
        char name[16];
        for (to = from + 1;
             to < r->n && !strncmp(r->items[from].text, r->items[to].text, len);)
            to++;
        snprintf(name, sizeof name, "%.*s", (int)len, r->items[from].text);
        rc = fn(ctx, name);
    }
    return rc;
}

static int emit_plain(struct ranges *r, range_fn *fn, void *ctx)
{
    int rc = 0;

    for (size_t i = 0; i < r->n && !rc; i++)
        rc = fn(ctx, r->items[i].text);
    return rc;
}

int ranges_emit(struct ranges *r, range_fn *fn, void *ctx)
{
    bool numbers = r->kind == RANGE_NUMBERS || r->kind == RANGE_AGES;
    size_t len = r->kind == RANGE_TIMES ? 2 : 4;

    if (r->n == 0)
        return 0;
    qsort(r->items, r->n, sizeof *r->items, numbers ? by_number : by_text);
    if (r->n <= PLAIN_MAX)
        return emit_plain(r, fn, ctx);
    if (numbers)
        return emit_steps(r, fn, ctx);
    /* Within one year the months, within one month (one hour) all there are. */
    if (!strncmp(r->items[0].text, r->items[r->n - 1].text, len))
        len += 2;
    if (!strncmp(r->items[0].text, r->items[r->n - 1].text, len))
        return emit_plain(r, fn, ctx);
    return emit_prefixes(r, len, fn, ctx);
}

bool ranges_is_name(const char *name)
{
    const char *dots = strstr(name, "..");

    return dots && dots != name && dots[2] &&
           strspn(name, "0123456789+-.eEDWMY") == strlen(name);
}
