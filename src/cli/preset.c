/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/preset.c -- see preset.h. */
#include "preset.h"

#include "vivofs/buf.h"
#include "vivofs/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS = 4, PRESET_BYTES = 64 * 1024 };

static const struct {
    const char *key;
    size_t offset;
} fields[] = {
    {"source", offsetof(struct preset, source)},
    {"kind", offsetof(struct preset, kind)},
    {"options", offsetof(struct preset, options)},
    {"about", offsetof(struct preset, about)},
    {"account", offsetof(struct preset, account)},
    {"agreement", offsetof(struct preset, agreement)},
    {"protocol", offsetof(struct preset, protocol)},
    {"licence", offsetof(struct preset, licence)},
    {"note", offsetof(struct preset, note)},
    {"command", offsetof(struct preset, command)},
    {"content", offsetof(struct preset, content)},
    {"software", offsetof(struct preset, software)},
    {"login", offsetof(struct preset, login)},
    {"sharing", offsetof(struct preset, sharing)},
    {"terms", offsetof(struct preset, terms)},
    {"grouping", offsetof(struct preset, grouping)},
    {"speaks", offsetof(struct preset, speaks)},
    {"queries", offsetof(struct preset, queries)},
    {"does", offsetof(struct preset, does)},
};

static char **field_of(struct preset *p, size_t i)
{
    return (char **)(void *)((char *)p + fields[i].offset);
}

void preset_free(struct preset *p)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(fields); i++)
        free(*field_of(p, i));
    free(p->name);
    free(p->path);
    *p = (struct preset){0};
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

static int set_field(struct preset *p, const char *key, const char *value,
                     struct vivo_err *err)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(fields); i++) {
        char **to = field_of(p, i);
        if (strcmp(key, fields[i].key) != 0)
            continue;
        free(*to);
        *to = strdup(value);
        return *to ? 0 : vivo_fail(err, ENOMEM, "out of memory");
    }
    return 0;
}

static int parse(char *text, struct preset *out, struct vivo_err *err)
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
            return vivo_fail(err, EINVAL, "%s, line %d: no '='", out->path, line);
        *eq = '\0';
        int rc = set_field(out, trim(s), trim(eq + 1), err);
        if (rc)
            return rc;
    }
    if (!out->source)
        return vivo_fail(err, EINVAL, "%s: says no source", out->path);
    return 0;
}

/* ---- the search path ---------------------------------------------------------------
 */

static void preset_folders(char *out[FOLDERS])
{
    out[0] = vivo_user_dir(VIVO_DIR_CONFIG, NULL);
    out[1] = strdup("/etc/vivofs");
    out[2] = strdup(VIVOFS_PRESETS);
    out[3] = strdup(VIVOFS_SOURCE_PRESETS);
}

static void free_folders(char *folders[FOLDERS])
{
    for (size_t i = 0; i < FOLDERS; i++)
        free(folders[i]);
}

/* 0 and *out, or -ENOENT without an error text. */
static int find_file(const char *name, char **out)
{
    char *folders[FOLDERS];
    int rc = -ENOENT;
    preset_folders(folders);
    for (size_t i = 0; i < FOLDERS && rc; i++) {
        struct stat st;
        VIVO_AUTO(vivo_free_p) char *path = NULL;
        if (!folders[i] || asprintf(&path, "%s/%s.conf", folders[i], name) < 0) {
            path = NULL;
            continue;
        }
        if (stat(path, &st))
            continue;
        *out = VIVO_STEAL(path);
        rc = 0;
    }
    free_folders(folders);
    return rc;
}

/* Of out->path, out->name. */
static int read_preset(struct preset *out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    char empty[1] = "";
    int rc;
    vivo_buf_init(&text, PRESET_BYTES);
    if (!out->name || !out->path)
        rc = vivo_fail(err, ENOMEM, "out of memory");
    else
        rc = vivo_file_read(out->path, text.max, &text, err);
    if (!rc)
        rc = parse(text.data ? (char *)text.data : empty, out, err);
    if (rc)
        preset_free(out);
    return rc;
}

int preset_load(const char *name, struct preset *out, struct vivo_err *err)
{
    *out = (struct preset){0};
    int rc = find_file(name, &out->path);
    if (rc)
        return rc;
    out->name = strdup(name);
    return read_preset(out, err);
}

int preset_load_file(const char *path, struct preset *out, struct vivo_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".conf") == 0)
        n -= 5;
    *out = (struct preset){.path = strdup(path), .name = strndup(base, n)};
    return read_preset(out, err);
}

/* ---- all of them -------------------------------------------------------------------
 */

struct names {
    char **items;
    size_t n;
};

static int add_name(struct names *to, const char *file)
{
    size_t len = strlen(file);
    if (len <= 5 || strcmp(file + len - 5, ".conf") != 0 || file[0] == '.')
        return 0;
    char **items = realloc(to->items, (to->n + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    to->items = items;
    to->items[to->n] = strndup(file, len - 5);
    return to->items[to->n++] ? 0 : -ENOMEM;
}

static int read_folder(struct names *to, const char *folder)
{
    DIR *d = folder ? opendir(folder) : NULL;
    const struct dirent *e;
    int rc = 0;
    if (!d)
        return 0;
    while (rc == 0 && (e = readdir(d)))
        rc = add_name(to, e->d_name);
    closedir(d);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static void sort_names(struct names *to)
{
    size_t n = 0;
    if (to->n)
        qsort(to->items, to->n, sizeof *to->items, compare_names);
    for (size_t i = 0; i < to->n; i++) {
        if (n && strcmp(to->items[i], to->items[n - 1]) == 0)
            free(to->items[i]);
        else
            to->items[n++] = to->items[i];
    }
    to->n = n;
}

int preset_names(char ***names, size_t *n, struct vivo_err *err)
{
    char *folders[FOLDERS];
    struct names all = {NULL, 0};
    int rc = 0;
    preset_folders(folders);
    for (size_t i = 0; i < FOLDERS && rc == 0; i++)
        rc = read_folder(&all, folders[i]);
    free_folders(folders);
    if (rc) {
        preset_names_free(all.items, all.n);
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    sort_names(&all);
    *names = all.items;
    *n = all.n;
    return 0;
}

void preset_names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}
