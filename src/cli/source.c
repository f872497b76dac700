/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/source.c -- "[NAME=]SOURCE": a folder, a zip, tar or DICOMDIR, a URL or the
 * name of a preset. */
#include "cli.h"

#include "vivofs/file.h"
#include "vivofs/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct preset {
    char *source, *options;
};

static void free_preset(struct preset *p)
{
    free(p->source);
    free(p->options);
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

/* "key = value" lines; '#' begins a comment line. Unknown keys are for people. */
static int parse_preset(const char *path, char *text, struct preset *out,
                        struct vivo_err *err)
{
    int line = 0;
    for (char *next; text; text = next) {
        line++;
        next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        char *s = trim(text);
        if (!*s || *s == '#')
            continue;
        char *eq = strchr(s, '=');
        if (!eq)
            return vivo_fail(err, EINVAL, "%s, line %d: no '='", path, line);
        *eq = '\0';
        const char *key = trim(s);
        char **to = strcmp(key, "source") == 0    ? &out->source
                    : strcmp(key, "options") == 0 ? &out->options
                                                  : NULL;
        if (!to)
            continue;
        free(*to);
        *to = strdup(trim(eq + 1));
        if (!*to)
            return vivo_fail(err, ENOMEM, "out of memory");
    }
    if (!out->source)
        return vivo_fail(err, EINVAL, "%s: says no source", path);
    return 0;
}

static size_t preset_folders(char *out[4])
{
    size_t n = 0;
    char *user = vivo_user_dir(VIVO_DIR_CONFIG, NULL);
    if (user)
        out[n++] = user;
    out[n++] = strdup("/etc/vivofs");
    out[n++] = strdup(VIVOFS_PRESETS);
    out[n++] = strdup(VIVOFS_SOURCE_PRESETS);
    return n;
}

/* 0, -ENOENT without an error text, or an error. */
static int load_preset(const char *name, struct preset *out, struct vivo_err *err)
{
    char *folders[4];
    size_t n = preset_folders(folders);
    int rc = -ENOENT;
    for (size_t i = 0; i < n; i++) {
        VIVO_AUTO(vivo_free_p) char *path = NULL;
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
        vivo_buf_init(&text, 64 * 1024);
        struct stat st;
        if (rc == -ENOENT && folders[i] &&
            asprintf(&path, "%s/%s.conf", folders[i], name) > 0 && !stat(path, &st)) {
            char empty[1] = "";
            rc = vivo_file_read(path, text.max, &text, err);
            if (!rc)
                rc =
                    parse_preset(path, text.data ? (char *)text.data : empty, out, err);
        }
        free(folders[i]);
    }
    return rc;
}

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
    static const char *const endings[] = {".gz",  ".bz2",  ".xz",  ".zst",
                                          ".lz4", ".tgz",  ".tbz", ".tbz2",
                                          ".txz", ".tzst", ".tar", ".zip"};
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
        size_t n = strcspn(host, ":/?#");
        if (n && n < sizeof word) {
            memcpy(word, host, n);
            word[n] = '\0';
        }
    } else {
        const char *slash = strrchr(location, '/');
        const char *base = slash ? slash + 1 : location;
        if (*base && strlen(base) < sizeof word)
            memcpy(word, base, strlen(base) + 1);
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

static int locate(const char *text, struct source *s, struct vivo_err *err)
{
    if (is_url(text)) {
        s->location = strdup(text);
        return s->location ? 0 : vivo_fail(err, ENOMEM, "out of memory");
    }
    s->location = realpath(text, NULL);
    if (s->location) {
        dicomdir_to_folder(s->location);
        return 0;
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return vivo_fail(err, EACCES, "%s: %s", text, strerror(errno));
    return vivo_fail(err, ENOENT, "no such folder or file: %s%s", text,
                     is_preset_name(text) ? " (and no preset of that name)" : "");
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
    return rc;
}

int source_parse(const char *text, const char *const *option_texts, size_t noptions,
                 struct source *out, struct vivo_err *err)
{
    struct preset p = {0};
    *out = (struct source){0};
    const char *where = split_name(text, out->name);
    int rc = is_preset_name(where) ? load_preset(where, &p, err) : -ENOENT;
    if (!rc) {
        out->preset = strdup(where);
        if (!out->name[0])
            vivo_name_archive(where, out->name);
        where = p.source;
    } else if (rc == -ENOENT && !err->errnum) {
        rc = 0;
    }
    if (!rc)
        rc = locate(where, out, err);
    if (!rc && !out->name[0])
        default_name(out->location, out->name);
    if (!rc)
        rc = apply_options(out, &p, option_texts, noptions, err);
    free_preset(&p);
    if (rc)
        source_free(out);
    return rc;
}

void source_free(struct source *s)
{
    free(s->location);
    free(s->preset);
    options_free(&s->options);
    *s = (struct source){0};
}
