/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/url.c -- URLs: what may be said about them.
 *
 * Paths of archives hold UIDs and patient identifiers, queries hold values and
 * signatures, userinfo holds secrets: none of them gets into a message. */
#include "url.h"

#include "vivofs/net.h"

#include <ctype.h>
#include <string.h>

#define PART_MAX 24 /* bytes of a path part that may be shown */

/* Appends as much as fits, always terminated; never cuts inside "…". */
static void append(char *out, size_t cap, const char *s, size_t len)
{
    size_t used = strlen(out);
    if (used + len >= cap)
        return;
    memcpy(out + used, s, len);
    out[used + len] = '\0';
}

/* Is it a word of an API ("studies", "v3"), not something about a patient? */
static bool may_show(const char *s, size_t len)
{
    bool letter = false;
    if (len > PART_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!isalnum(c) && !strchr("._-", c))
            return false;
        letter |= isalpha(c) != 0;
    }
    return letter || len <= 1;
}

static void redact_path(const char *path, char *out, size_t cap)
{
    size_t end = strcspn(path, "?#");
    for (size_t at = 0; at < end;) {
        size_t len = strcspn(path + at + 1, "/?#");
        append(out, cap, "/", 1);
        if (may_show(path + at + 1, len))
            append(out, cap, path + at + 1, len);
        else
            append(out, cap, "…", strlen("…"));
        at += len + 1;
    }
}

/* The host inside, userinfo skipped; *path = what follows it. */
static size_t find_host(const char *url, const char **host, const char **path)
{
    const char *s = strstr(url, "://");
    s = s ? s + 3 : url;
    size_t len = strcspn(s, "/?#");
    *path = s + len;
    for (size_t i = len; i > 0; i--) {
        if (s[i - 1] == '@') {
            *host = s + i;
            return len - i;
        }
    }
    *host = s;
    return len;
}

void vivo_url_redact(const char *url, char *out, size_t cap)
{
    if (cap == 0)
        return;
    out[0] = '\0';
    const char *host;
    const char *path;
    const char *scheme = strstr(url, "://");
    size_t len = find_host(url, &host, &path);
    if (scheme)
        append(out, cap, url, (size_t)(scheme - url) + 3);
    append(out, cap, host, len);
    redact_path(path, out, cap);
}

void vivo_url_label(const char *method, const char *url, const char *what, char *out,
                    size_t cap)
{
    const char *host;
    const char *path;
    size_t len = find_host(url, &host, &path);
    out[0] = '\0';
    append(out, cap, host, len);
    append(out, cap, ": ", 2);
    append(out, cap, method, strlen(method));
    append(out, cap, " ", 1);
    if (what)
        append(out, cap, what, strlen(what));
    else
        redact_path(path[0] == '/' ? path : "/", out, cap);
}
