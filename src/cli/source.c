/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/source.c -- "[NAME=]SOURCE": a folder, a zip, tar, DICOMDIR or manifest, a
 * URL or the name of a preset. */
#include "cli.h"
#include "preset.h"

#include "vivofs/file.h"
#include "vivofs/text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool is_preset_name(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
    return *s != '\0';
}

static bool is_url(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (n && strchr("+-.", s[n]) && s[n]))
        n++;
    return n > 1 && s[n] == ':';
}

/* NAME= before a source: letters that are safe in a path, before the first '='. */
static const char *split_name(const char *text, char name[VIVO_NAME_MAX + 1])
{
    const char *eq = strchr(text, '=');
    size_t n = eq ? (size_t)(eq - text) : 0;
    name[0] = '\0';
    if (!n || n > 64 || memchr(text, '/', n) || memchr(text, ':', n))
        return text;
    char given[65];
    memcpy(given, text, n);
    given[n] = '\0';
    vivo_name_archive(given, name);
    return eq + 1;
}

static bool is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* "scans.tar.gz" -> "scans". A word that is nothing but an ending stays. */
static void cut_ending(char *word)
{
    static const char *const endings[] = {
        ".gz",   ".bz2", ".xz",  ".zst", ".lz4", ".tgz",  ".tbz",   ".tbz2", ".txz",
        ".tzst", ".tar", ".zip", ".csv", ".tsv", ".tcia", ".s5cmd", ".txt"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(endings); i++) {
        size_t n = strlen(word);
        size_t e = strlen(endings[i]);
        if (n > e && strcasecmp(word + n - e, endings[i]) == 0)
            word[n - e] = '\0';
    }
}

/* "scans" of /data/scans and /data/scans.zip; "pacs.example" of a URL. */
static void default_name(const char *location, char name[VIVO_NAME_MAX + 1])
{
    const char *host = strstr(location, "://");
    char word[VIVO_NAME_MAX + 1] = "archive";
    if (host) {
        host += 3;
        size_t user = strcspn(host, "/?#");
        const char *at = memchr(host, '@', user); /* an AE title of ours, say */
        host = at ? at + 1 : host;
        bool six = *host == '['; /* an address of IPv6, in brackets */
        host += six;
        size_t n = strcspn(host, six ? "]/?#" : ":/?#");
        if (n && n < sizeof word) {
            memcpy(word, host, n);
            word[n] = '\0';
        }
    } else {
        const char *slash = strrchr(location, '/');
        const char *base = slash ? slash + 1 : location;
        if (*base && strlen(base) < sizeof word)
            memcpy(word, base, strlen(base) + 1);
        if (!slash && strchr(word, ':')) /* "idc:" */
            *strchr(word, ':') = '\0';
        if (is_file(location))
            cut_ending(word);
    }
    vivo_name_archive(word, name);
}

/* A DICOMDIR (PS3.10 section 8.6) stands for the medium that it lies on: the folder. */
static void dicomdir_to_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || strcasecmp(slash + 1, "DICOMDIR") != 0 || !is_file(path))
        return;
    slash[slash == path] = '\0';
}

/* RFC 3986 section 3.1: a scheme is the same in capitals; drivers know small letters.
 */
static int take_url(const char *text, struct source *s, struct vivo_err *err)
{
    s->location = strdup(text);
    if (!s->location)
        return vivo_fail(err, ENOMEM, "out of memory");
    if (strstr(text, "://"))
        for (char *c = s->location; *c != ':'; c++)
            *c = (char)tolower((unsigned char)*c);
    return 0;
}

static int no_such_source(const char *text, struct vivo_err *err)
{
    char **names = NULL;
    size_t n = 0;
    if (!*text)
        return vivo_fail(err, EINVAL, "the source is empty");
    if (!is_preset_name(text))
        return vivo_fail(err, ENOENT, "no such folder or file: %s", text);
    if (preset_names(&names, &n, err))
        return -err->errnum;
    const char *near = vivo_text_nearest(text, (const char *const *)names, n);
    int rc = vivo_fail(
        err, ENOENT, "no such folder or file: %s (and no preset of that name%s%s%s)",
        text, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    preset_names_free(names, n);
    return rc;
}

static int locate(const char *text, struct source *s, struct vivo_err *err)
{
    if (is_url(text))
        return take_url(text, s, err);
    s->location = realpath(text, NULL);
    if (s->location) {
        dicomdir_to_folder(s->location);
        return 0;
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return vivo_fail(err, EACCES, "%s: %s", text, strerror(errno));
    return no_such_source(text, err);
}

static int apply_options(struct source *s, const struct preset *p,
                         const char *const *texts, size_t n, struct vivo_err *err)
{
    int rc = options_init(&s->options, err);
    if (!rc && p->options) {
        rc = options_parse(&s->options, p->options, err);
        if (rc)
            return vivo_fail_in(err, "preset %s", s->preset);
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = options_parse(&s->options, texts[i], err);
    return rc ? rc : options_check(&s->options, err);
}

/* "pacs=dimse://…": a preset of a kind of archive, whose sources are one's own, is
 * named in front of the source. It is of one protocol; another archive may well bear
 * its name. */
static int load_kind(struct source *s, const char *where, struct preset *p,
                     struct vivo_err *err)
{
    int rc = s->name[0] ? preset_load(s->name, p, err) : -ENOENT;
    if (rc == -ENOENT && !err->errnum)
        return 0;
    const char *protocol = p->protocol ? p->protocol : "";
    if (!rc &&
        (p->source[0] || !p->kind || strncmp(where, protocol, strlen(protocol)) != 0)) {
        preset_free(p);
        return 0;
    }
    if (!rc)
        s->preset = strdup(s->name);
    return rc;
}

/* The source is called like it, unless it has a name already. A preset may only tell
 * why there is nothing to mount. */
static int take_preset(const struct preset *p, struct source *s, struct vivo_err *err)
{
    s->preset = strdup(p->name);
    if (!s->name[0])
        vivo_name_archive(p->name, s->name);
    if (p->source[0])
        return 0;
    return vivo_fail(err, EINVAL, "%s: nothing to mount: %s", p->name,
                     p->note ? p->note : "its preset names no source");
}

/* rc: of what came before. Frees the preset, and on failure the source. */
static int finish(int rc, const char *where, struct preset *p,
                  const char *const *option_texts, size_t noptions, struct source *s,
                  struct vivo_err *err)
{
    if (!rc)
        rc = locate(where, s, err);
    if (!rc && !s->name[0])
        default_name(s->location, s->name);
    if (!rc)
        rc = apply_options(s, p, option_texts, noptions, err);
    preset_free(p);
    if (rc)
        source_free(s);
    return rc;
}

int source_parse(const char *text, const char *const *option_texts, size_t noptions,
                 struct source *out, struct vivo_err *err)
{
    struct preset p = {0};
    *out = (struct source){0};
    const char *where = split_name(text, out->name);
    int rc = is_preset_name(where) ? preset_load(where, &p, err) : -ENOENT;
    if (!rc) {
        where = p.source;
        rc = take_preset(&p, out, err);
    } else if (rc == -ENOENT && !err->errnum) {
        rc = is_url(where) ? load_kind(out, where, &p, err) : 0;
    }
    return finish(rc, where, &p, option_texts, noptions, out, err);
}

int source_from_file(const char *path, const char *const *option_texts, size_t noptions,
                     struct source *out, struct vivo_err *err)
{
    struct preset p = {0};
    *out = (struct source){0};
    int rc = preset_load_file(path, &p, err);
    if (rc)
        return rc;
    rc = take_preset(&p, out, err);
    return finish(rc, p.source, &p, option_texts, noptions, out, err);
}

void source_free(struct source *s)
{
    free(s->location);
    free(s->preset);
    options_free(&s->options);
    *s = (struct source){0};
}
