/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/registry.c -- the table of drivers, expanded from drivers.def, and the
 * choice of one by the scheme of a source. It knows no archive by name. */
#include "drivers/registry.h"

#include "vivofs/buf.h"
#include "vivofs/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMES_MAX 64
#define SCHEMES_BYTES 2048

#define VIVO_DRIVER(id) extern const struct vivo_driver vivo_driver_##id;
#include "drivers.def"
#undef VIVO_DRIVER

static const struct vivo_driver *const table[] = {
#define VIVO_DRIVER(id) &vivo_driver_##id,
#include "drivers.def"
#undef VIVO_DRIVER
};

const struct vivo_driver *const *vivo_driver_table(size_t *count)
{
    *count = VIVO_ARRAY_LEN(table);
    return table;
}

/* Length of the scheme that the source begins with, without the colon; 0 = none.
 * RFC 3986 section 3.1; upper case is not taken, a scheme of ours has none. */
static size_t scheme_length(const char *source)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char more[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";

    if (strspn(source, letters) == 0)
        return 0;
    size_t len = strspn(source, more);
    return source[len] == ':' ? len : 0;
}

bool vivo_driver_has_scheme(const char *schemes, const char *scheme, size_t len)
{
    for (const char *p = schemes; *p;) {
        size_t n = strcspn(p, " ");
        if (n > 0 && n == len && memcmp(p, scheme, n) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* Of the drivers without a scheme the one whose kind of file is there. */
static const struct vivo_driver *path_driver(const char *source)
{
    struct stat st;
    bool file = stat(source, &st) == 0 && S_ISREG(st.st_mode);

    for (size_t i = 0; file && i < VIVO_ARRAY_LEN(table); i++)
        if (table[i]->takes && table[i]->takes(source))
            return table[i];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(table); i++)
        if (table[i]->schemes[0] == '\0' && !table[i]->takes &&
            !(table[i]->caps & VIVO_CAP_FILE) == !file)
            return table[i];
    return NULL;
}

/* The message holds the schemes only: the rest of an unknown URL may be anything, a
 * password too. */
static void fail_unknown(const char *source, size_t len, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf known = {0}, words = {0};
    const char *list[SCHEMES_MAX], *near = NULL;
    char typed[33];
    size_t n = 0;

    vivo_buf_init(&known, VIVO_ERR_TEXT);
    vivo_buf_init(&words, SCHEMES_BYTES);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(table); i++)
        if (table[i]->schemes[0] != '\0') {
            (void)vivo_buf_printf(&known, " %s", table[i]->schemes);
            (void)vivo_buf_printf(&words, "%s ", table[i]->schemes);
        }
    snprintf(typed, sizeof typed, "%.*s", (int)VIVO_MIN(len, sizeof typed - 1), source);
    if (words.len > 0 && vivo_buf_add(&words, "", 1) == 0) {
        char *rest = (char *)words.data;
        for (char *w; n < SCHEMES_MAX && (w = strtok_r(rest, " ", &rest)); n++)
            list[n] = w;
        near = vivo_text_nearest(typed, list, n);
    }
    vivo_fail(
        err, EINVAL,
        "no driver for '%s:'%s%s%s; a source is a folder, zip, tar or manifest, or "
        "one of:%s",
        typed, near ? " (did you mean '" : "", near ? near : "", near ? ":'?)" : "",
        known.len > 0 ? (const char *)known.data : " (none)");
}

const struct vivo_driver *vivo_driver_for(const char *source, struct vivo_err *err)
{
    size_t len = scheme_length(source);

    if (source[0] == '\0') {
        vivo_fail(err, EINVAL, "the source is empty");
        return NULL;
    }
    if (len > 0) {
        for (size_t i = 0; i < VIVO_ARRAY_LEN(table); i++)
            if (vivo_driver_has_scheme(table[i]->schemes, source, len))
                return table[i];
        if (strncmp(source + len, "://", 3) == 0) {
            fail_unknown(source, len, err);
            return NULL;
        }
    }
    const struct vivo_driver *d = path_driver(source);
    if (!d)
        vivo_fail(err, EINVAL, "this vivofs has no driver for paths");
    return d;
}

bool vivo_driver_needs_net(const char *source)
{
    const struct vivo_driver *d = vivo_driver_for(source, NULL);

    return d && !(d->caps & VIVO_CAP_LOCAL);
}
