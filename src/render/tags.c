/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/tags.c -- data sets as DICOM JSON (PS3.18 Annex F) and as a dump. */
#include "vivofs/render.h"

#include <errno.h>
#include <string.h>

enum { DEPTH_MAX = VIVO_DCM_DEPTH_MAX, VALUE_CAP = VIVO_ATTRS_VALUE_MAX + 1 };

static bool is_vr(const struct vivo_attr *a, const char *vr)
{
    return memcmp(a->vr, vr, 2) == 0;
}

/* ---- JSON --------------------------------------------------------------------- */

static int json_set(struct vivo_attrs a, unsigned depth, char *text,
                    struct vivo_buf *out);

/* PS3.18 Table F.2.3-1: those whose values are JSON numbers. */
static bool is_number(const struct vivo_attr *a)
{
    static const char *const vrs[] = {"DS", "FL", "FD", "IS", "SL",
                                      "SS", "SV", "UL", "US", "UV"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(vrs); i++)
        if (is_vr(a, vrs[i]))
            return true;
    return false;
}

static const char *digits(const char *s)
{
    return s + strspn(s, "0123456789");
}

/* RFC 8259 section 6: DS allows more (+1, .5, 007) than a JSON number may be. */
static bool is_json_number(const char *s)
{
    s += *s == '-';
    const char *end = digits(s);
    if (end == s || (*s == '0' && end > s + 1))
        return false;
    if (*end == '.') {
        const char *fraction = end + 1;
        end = digits(fraction);
        if (end == fraction)
            return false;
    }
    if (*end == 'e' || *end == 'E') {
        const char *power = end + 1 + (end[1] == '+' || end[1] == '-');
        end = digits(power);
        if (end == power)
            return false;
    }
    return *end == '\0';
}

/* PS3.18 F.2.2: component groups of a person's name by their kinds. */
static int json_person(const char *text, struct vivo_buf *out)
{
    static const char *const kinds[] = {"Alphabetic", "Ideographic", "Phonetic"};
    const char *comma = "";
    int rc = vivo_buf_puts(out, "{");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(kinds) && text && !rc; i++) {
        const char *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : strlen(text);
        if (len) {
            rc = vivo_buf_printf(out, "%s\"%s\":", comma, kinds[i]);
            if (!rc)
                rc = vivo_buf_json(out, text, len);
            comma = ",";
        }
        text = equals ? equals + 1 : NULL;
    }
    return rc ? rc : vivo_buf_puts(out, "}");
}

static int json_value(const struct vivo_attr *a, const char *text, struct vivo_buf *out)
{
    if (is_number(a) && is_json_number(text))
        return vivo_buf_puts(out, text);
    /* An empty value among others, and what IEEE 754 has beyond numbers. */
    bool text_ok = !is_number(a) || is_vr(a, "DS") || is_vr(a, "IS");
    if (!*text || !text_ok)
        return vivo_buf_puts(out, "null");
    return is_vr(a, "PN") ? json_person(text, out)
                          : vivo_buf_json(out, text, strlen(text));
}

static int json_values(const struct vivo_attr *a, char *text, struct vivo_buf *out)
{
    struct vivo_values it;
    const char *comma = ",\"Value\":[";
    int rc = 0;
    vivo_values_of(a, &it);
    if (is_vr(a, "UN"))
        return 0;
    bool any = false;
    while (!rc && vivo_values_next(&it, text, VALUE_CAP)) {
        if (!any && it.over && !*text)
            return 0; /* nothing but padding */
        rc = vivo_buf_puts(out, comma);
        if (!rc)
            rc = json_value(a, text, out);
        comma = ",";
        any = true;
    }
    return rc || !any ? rc : vivo_buf_puts(out, "]");
}

static int json_items(const struct vivo_attr *a, unsigned depth, char *text,
                      struct vivo_buf *out)
{
    struct vivo_attrs it = {a->value, a->len}, item;
    const char *comma = "";
    int rc = vivo_buf_puts(out, ",\"Value\":[");
    while (!rc && vivo_attrs_next_item(&it, &item)) {
        rc = vivo_buf_puts(out, comma);
        if (!rc)
            rc = json_set(item, depth + 1, text, out);
        comma = ",";
    }
    return rc ? rc : vivo_buf_puts(out, "]");
}

static int json_set(struct vivo_attrs a, unsigned depth, char *text,
                    struct vivo_buf *out)
{
    struct vivo_attr e;
    const char *comma = "";
    int rc = vivo_buf_puts(out, "{");
    while (!rc && vivo_attrs_next(&a, &e)) {
        if (e.tag >> 16 == 2 || is_vr(&e, "--"))
            continue;
        rc = vivo_buf_printf(out, "%s\"%08X\":{\"vr\":\"%.2s\"", comma, (unsigned)e.tag,
                             e.vr);
        comma = ",";
        if (!rc && is_vr(&e, "SQ") && depth < DEPTH_MAX)
            rc = e.len ? json_items(&e, depth, text, out) : 0;
        else if (!rc)
            rc = json_values(&e, text, out);
        if (!rc)
            rc = vivo_buf_puts(out, "}");
    }
    return rc ? rc : vivo_buf_puts(out, "}");
}

int vivo_render_json(struct vivo_attrs a, struct vivo_buf *out)
{
    VIVO_AUTO(vivo_free_p) char *text = malloc(VALUE_CAP);
    return text ? json_set(a, 0, text, out) : -ENOMEM;
}

/* ---- dump --------------------------------------------------------------------- */

static int dump_set(struct vivo_attrs a, unsigned depth, char *text,
                    struct vivo_buf *out);

/* Line feeds and their kind would break the line. */
static int put_clean(char *text, struct vivo_buf *out)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return vivo_buf_puts(out, text);
}

static int dump_values(const struct vivo_attr *a, char *text, struct vivo_buf *out)
{
    struct vivo_values it;
    const char *between = " = ";
    int rc = 0;
    vivo_values_of(a, &it);
    if (is_vr(a, "UN") || (it.over && a->len))
        return vivo_buf_puts(out, " = (not shown)\n");
    while (!rc && vivo_values_next(&it, text, VALUE_CAP)) {
        rc = vivo_buf_puts(out, between);
        if (!rc)
            rc = put_clean(text, out);
        between = "\\";
    }
    return rc ? rc : vivo_buf_puts(out, "\n");
}

static int dump_items(const struct vivo_attr *a, unsigned depth, char *text,
                      struct vivo_buf *out)
{
    struct vivo_attrs it = {a->value, a->len}, item;
    unsigned n = 0;
    int rc = vivo_buf_puts(out, "\n");
    while (!rc && vivo_attrs_next_item(&it, &item)) {
        rc = vivo_buf_printf(out, "%*sitem %u\n", (int)(2 * depth + 2), "", ++n);
        if (!rc)
            rc = dump_set(item, depth + 2, text, out);
    }
    return rc;
}

static int dump_set(struct vivo_attrs a, unsigned depth, char *text,
                    struct vivo_buf *out)
{
    struct vivo_attr e;
    int rc = 0;
    while (!rc && vivo_attrs_next(&a, &e)) {
        if (is_vr(&e, "--"))
            continue;
        const struct vivo_dict *d = vivo_dcm_dict(e.tag);
        rc = vivo_buf_printf(out, "%*s(%04x,%04x) %.2s %s", (int)(2 * depth), "",
                             (unsigned)(e.tag >> 16), (unsigned)(e.tag & 0xFFFF), e.vr,
                             d ? d->keyword : "?");
        if (!rc && is_vr(&e, "SQ") && depth < 2 * DEPTH_MAX)
            rc = dump_items(&e, depth, text, out);
        else if (!rc)
            rc = dump_values(&e, text, out);
    }
    return rc;
}

int vivo_render_dump(struct vivo_attrs a, struct vivo_buf *out)
{
    VIVO_AUTO(vivo_free_p) char *text = malloc(VALUE_CAP);
    return text ? dump_set(a, 0, text, out) : -ENOMEM;
}
