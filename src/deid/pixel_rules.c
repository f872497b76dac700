/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/pixel_rules.c -- RSNA CTP's pixel scripts: signatures and rectangles.
 *
 * Free text in which { expression } begins a signature; up to the next brace it may
 * hold rectangles (x,y,w,h); the rest is commentary. The first signature that fits an
 * object decides; one without rectangles says that nothing is burned in. */
#include "pixels.h"

#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

#define SCRIPT_MAX (1u << 20)
#define RULES_MAX 4096

static const char default_text[] =
#include "pixel_rules_default.def"
    ;

void vivo_pixel_rules_free(struct vivo_pixel_rules *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        vivo_ctp_expr_free(r->rules[i].when);
        free(r->rules[i].areas);
    }
    free(r->rules);
    free(r);
}

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a script");
}

/* A number and what comes behind it, spaces aside. */
static bool number(const char **p, char then, int32_t *out)
{
    const char *s = *p;
    int64_t v = 0;
    while (*s == ' ' || *s == '\t')
        s++;
    bool minus = *s == '-';
    s += minus;
    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        v = VIVO_MIN(v * 10 + (*s - '0'), (int64_t)1000000);
    while (*s == ' ' || *s == '\t')
        s++;
    if (*s != then)
        return false;
    *p = s + 1;
    *out = (int32_t)(minus ? -v : v);
    return true;
}

/* 1 = a rectangle at "(", 0 = commentary; what looks like one and is none is -EINVAL,
 * or text would stay in the pixels for want of a comma. */
static int read_area(const struct vivo_ctp_source *s, size_t *at,
                     struct vivo_pixel_area *out, struct vivo_err *err)
{
    const char *p = s->text + *at + 1;
    if (number(&p, ',', &out->x) && number(&p, ',', &out->y) &&
        number(&p, ',', &out->w) && number(&p, ')', &out->h)) {
        if (out->w <= 0 || out->h <= 0)
            return vivo_ctp_fail(s, *at, err, "a rectangle without a width or height");
        *at = (size_t)(p - s->text);
        return 1;
    }
    p = s->text + *at + 1;
    size_t n = strspn(p, "0123456789-, \t");
    if (n && p[n] == ')' && memchr(p, ',', n))
        return vivo_ctp_fail(s, *at, err, "a rectangle is (x,y,width,height)");
    (*at)++;
    return 0;
}

static int add_area(struct vivo_pixel_rule *rule, const struct vivo_pixel_area *area,
                    const struct vivo_ctp_source *s, size_t at, struct vivo_err *err)
{
    if (rule->n == VIVO_PIXELS_RECTS_MAX)
        return vivo_ctp_fail(s, at, err, "more than %d rectangles",
                             VIVO_PIXELS_RECTS_MAX);
    struct vivo_pixel_area *grown = realloc(rule->areas, (rule->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(err);
    rule->areas = grown;
    grown[rule->n++] = *area;
    return 0;
}

static int read_areas(const struct vivo_ctp_source *s, size_t *at,
                      struct vivo_pixel_rule *rule, struct vivo_err *err)
{
    while (*at < s->len && s->text[*at] != '{') {
        struct vivo_pixel_area area;
        size_t from = *at;
        if (s->text[*at] != '(') {
            (*at)++;
            continue;
        }
        int rc = read_area(s, at, &area, err);
        if (rc > 0)
            rc = add_area(rule, &area, s, from, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_rule(struct vivo_pixel_rules *r, const struct vivo_ctp_source *s,
                    size_t *at, struct vivo_err *err)
{
    const char *open = s->text + *at;
    const char *close = memchr(open, '}', s->len - *at);
    if (!close)
        return vivo_ctp_fail(s, *at, err, "a signature without '}'");
    if (r->n == RULES_MAX)
        return vivo_ctp_fail(s, *at, err, "more than %d signatures", RULES_MAX);
    struct vivo_pixel_rule *grown = realloc(r->rules, (r->n + 1) * sizeof *grown);
    if (!grown)
        return no_memory(err);
    r->rules = grown;
    struct vivo_pixel_rule *rule = &grown[r->n++];
    memset(rule, 0, sizeof *rule);
    int rc =
        vivo_ctp_expr_parse(s, *at + 1, (size_t)(close - s->text), &rule->when, err);
    *at = (size_t)(close - s->text) + 1;
    return rc ? rc : read_areas(s, at, rule, err);
}

int vivo_pixel_rules_parse(const struct vivo_ctp_source *s,
                           struct vivo_pixel_rules **out, struct vivo_err *err)
{
    struct vivo_pixel_rules *r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(err);
    int rc = 0;
    if (strlen(s->text) != s->len)
        rc = vivo_ctp_fail(s, strlen(s->text), err, "a zero byte in a script");
    for (size_t at = 0; !rc && at < s->len;) {
        if (s->text[at] == '{')
            rc = add_rule(r, s, &at, err);
        else
            at++;
    }
    if (!rc && !r->n)
        rc = vivo_ctp_fail(s, 0, err, "a pixel script without a signature");
    if (rc) {
        vivo_pixel_rules_free(r);
        return rc;
    }
    vivo_sha256(s->text, s->len, r->digest);
    *out = r;
    return 0;
}

int vivo_pixel_rules_load(const char *file, struct vivo_pixel_rules **out,
                          struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, SCRIPT_MAX + 1);
    int rc = vivo_file_read(file, SCRIPT_MAX, &text, err);
    if (!rc && vivo_buf_add(&text, "", 1))
        rc = no_memory(err);
    if (rc)
        return rc;
    struct vivo_ctp_source s = {file, (const char *)text.data, text.len - 1};
    return vivo_pixel_rules_parse(&s, out, err);
}

int vivo_pixel_rules_default(struct vivo_pixel_rules **out, struct vivo_err *err)
{
    struct vivo_ctp_source s = {"built-in", default_text, sizeof default_text - 1};
    return vivo_pixel_rules_parse(&s, out, err);
}

int vivo_pixel_rules_match(const struct vivo_pixel_rules *r,
                           const struct vivo_header *h,
                           const struct vivo_pixel_rule **out, struct vivo_err *err)
{
    *out = NULL;
    for (uint32_t i = 0; r && i < r->n; i++) {
        int rc = vivo_ctp_expr_eval(r->rules[i].when, h);
        if (rc < 0)
            return vivo_fail(err, ENOMEM, "no memory for a signature");
        if (rc) {
            *out = &r->rules[i];
            return 0;
        }
    }
    return 0;
}
