/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/options.c -- `-o`: one table, many readers. */
#include "cli.h"

#include "vivofs/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct row {
    const char *name;
    enum option_kind kind;
    const char *fallback, *argument, *help;
    size_t offset;
};

static const struct row rows[] = {
#define VIVO_OPTION(name, kind, def, argument, help)                                   \
    {#name, KIND_##kind, def, argument, help, offsetof(struct options, name)},
#include "options.def"
#undef VIVO_OPTION
};

/* What libfuse and mount(8) understand; the second kind is for fstab lines only. */
static const char *const fuse_words[] = {"allow_root",
                                         "auto_unmount",
                                         "nodev",
                                         "nosuid",
                                         "noexec",
                                         "noatime",
                                         "sync",
                                         "async",
                                         "dirsync",
                                         "debug",
                                         "default_permissions",
                                         "fsname",
                                         "max_read",
                                         "max_threads",
                                         "max_idle_threads",
                                         "clone_fd",
                                         "context",
                                         "fscontext",
                                         "defcontext",
                                         "rootcontext"};
static const char *const ignored_words[] = {
    "ro",       "rw",     "defaults",   "auto",     "noauto",     "user", "nouser",
    "users",    "nofail", "_netdev",    "dev",      "suid",       "exec", "subtype",
    "nonempty", "atime",  "nodiratime", "relatime", "strictatime"};

static bool one_of(const char *const *words, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], s) == 0)
            return true;
    return strncmp(s, "x-", 2) == 0;
}

static bool is_text(const struct row *r)
{
    return r->kind == KIND_TEXT || r->kind == KIND_LIST;
}

static char **text_at(struct options *o, const struct row *r)
{
    return (char **)((char *)o + r->offset);
}

static uint64_t *number_at(struct options *o, const struct row *r)
{
    return (uint64_t *)((char *)o + r->offset);
}

static int parse_number(const struct row *r, const char *value, uint64_t *out,
                        struct vivo_err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (errno || end == value || value[0] == '-')
        return vivo_fail(err, EINVAL, "option %s: '%s' is no number", r->name, value);
    static const char units[] = "kMGT";
    const char *unit = r->kind == KIND_SIZE && *end ? strchr(units, *end) : NULL;
    if (unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (n > (UINT64_MAX >> shift))
            return vivo_fail(err, EINVAL, "option %s: '%s' is too much", r->name,
                             value);
        n <<= shift;
        end++;
    }
    if (*end)
        return vivo_fail(err, EINVAL, "option %s: '%s' is no number%s", r->name, value,
                         r->kind == KIND_SIZE ? " of bytes (k, M, G, T)" : "");
    *out = n;
    return 0;
}

/* A mount in the background works in "/": what it opens later is named from there. The
 * words are no paths. */
static bool is_relative_path(const char *option, const char *value)
{
    static const struct {
        const char *option, *word;
    } paths[] = {{"cache", "memory"},
                 {"cafile", ""},
                 {"netrc", ""},
                 {"audit", "syslog"},
                 {"bearer", ""}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(paths); i++)
        if (strcmp(option, paths[i].option) == 0)
            return *value && *value != '/' && strcmp(value, paths[i].word) != 0;
    return false;
}

static int set_text(char **to, const char *before, const char *value,
                    struct vivo_err *err)
{
    char *copy = NULL;
    if (asprintf(&copy, "%s%s%s", before, *before ? "\n" : "", value) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    free(*to);
    *to = copy;
    return 0;
}

static int set_path(char **to, const char *value, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *here = getcwd(NULL, 0);
    char *copy = NULL;
    if (!here)
        return set_text(to, "", value, err);
    if (asprintf(&copy, "%s/%s", strcmp(here, "/") != 0 ? here : "", value) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    free(*to);
    *to = copy;
    return 0;
}

static int set(struct options *o, const struct row *r, const char *value,
               struct vivo_err *err)
{
    if (r->kind == KIND_FLAG) {
        if (value)
            return vivo_fail(err, EINVAL, "option %s takes no value", r->name);
        *(bool *)((char *)o + r->offset) = true;
        return 0;
    }
    if (!value)
        return vivo_fail(err, EINVAL, "option %s needs a value: %s=%s", r->name,
                         r->name, r->argument);
    if (!is_text(r))
        return parse_number(r, value, number_at(o, r), err);
    if (is_relative_path(r->name, value))
        return set_path(text_at(o, r), value, err);
    const char *had = r->kind == KIND_LIST ? *text_at(o, r) : NULL;
    return set_text(text_at(o, r), had ? had : "", value, err);
}

int options_init(struct options *o, struct vivo_err *err)
{
    *o = (struct options){0};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        if (rows[i].kind == KIND_FLAG)
            continue;
        int rc = set(o, &rows[i], rows[i].fallback, err);
        if (rc) {
            options_free(o);
            return rc;
        }
    }
    return 0;
}

void options_free(struct options *o)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        if (is_text(&rows[i]))
            free(*text_at(o, &rows[i]));
    for (size_t i = 0; i < o->nfuse; i++)
        free(o->fuse[i]);
    *o = (struct options){0};
}

static int unknown(const char *name, struct vivo_err *err)
{
    const char *names[VIVO_ARRAY_LEN(rows)];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        names[i] = rows[i].name;
    const char *near = vivo_text_nearest(name, names, VIVO_ARRAY_LEN(rows));
    if (near)
        return vivo_fail(err, EINVAL, "unknown option '%s': did you mean '%s'?", name,
                         near);
    return vivo_fail(err, EINVAL, "unknown option '%s'", name);
}

static int pass_to_fuse(struct options *o, const char *whole, struct vivo_err *err)
{
    if (o->nfuse + 1 >= VIVO_ARRAY_LEN(o->fuse))
        return vivo_fail(err, EINVAL, "too many options for FUSE");
    o->fuse[o->nfuse] = strdup(whole);
    if (!o->fuse[o->nfuse])
        return vivo_fail(err, ENOMEM, "out of memory");
    o->nfuse++;
    return 0;
}

static int parse_one(struct options *o, char *word, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *whole = strdup(word);
    char *eq = strchr(word, '=');
    const char *value = eq ? eq + 1 : NULL;
    if (eq)
        *eq = '\0';
    if (!*word)
        return eq ? vivo_fail(err, EINVAL, "an option without a name: '%s'", whole) : 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, word) != 0)
            continue;
        int rc = set(o, &rows[i], value, err);
        /* Readers are others: whoever names them has allowed them. */
        bool allows = strcmp(word, "readers") == 0;
        if (!rc && (allows || strcmp(word, "allow_other") == 0))
            rc = pass_to_fuse(o, allows ? "allow_other" : whole, err);
        return rc;
    }
    if (one_of(fuse_words, VIVO_ARRAY_LEN(fuse_words), word) && strncmp(word, "x-", 2))
        return pass_to_fuse(o, whole, err);
    if (one_of(ignored_words, VIVO_ARRAY_LEN(ignored_words), word))
        return 0;
    return unknown(word, err);
}

int options_parse(struct options *o, const char *text, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *copy = strdup(text);
    if (!copy)
        return vivo_fail(err, ENOMEM, "out of memory");
    /* "\," is a comma of the value, as with mount(8). */
    for (char *word = copy, *from = copy, *to = copy;; from++) {
        if (from[0] == '\\' && from[1] == ',') {
            *to++ = *++from;
            continue;
        }
        char c = *from;
        if (c && c != ',') {
            *to++ = c;
            continue;
        }
        *to = '\0';
        int rc = parse_one(o, word, err);
        if (rc || !c)
            return rc;
        word = to = from + 1;
    }
}

static int one_word(const char *name, const char *value, const char *a, const char *b,
                    struct vivo_err *err)
{
    if (strcmp(value, a) == 0 || strcmp(value, b) == 0)
        return 0;
    return vivo_fail(err, EINVAL, "option %s: '%s' is neither %s nor %s", name, value,
                     a, b);
}

int options_check(const struct options *o, struct vivo_err *err)
{
    enum { JOBS_MOST = 1024, TIMEOUT_MOST = 86400 };
    int rc = one_word("size", o->size, "lazy", "exact", err);
    if (!rc)
        rc = one_word("refused", o->refused, "list", "hide", err);
    if (!rc)
        rc = one_word("browse", o->browse, "yes", "no", err);
    if (!rc && (o->jobs < 1 || o->jobs > JOBS_MOST))
        rc = vivo_fail(err, EINVAL, "option jobs: a number from 1 to %d is needed",
                       JOBS_MOST);
    if (!rc && o->headers_max < 1)
        rc = vivo_fail(err, EINVAL, "option headers_max: a number from 1 is needed");
    if (!rc && (o->timeout < 1 || o->timeout > TIMEOUT_MOST))
        rc = vivo_fail(err, EINVAL, "option timeout: 1 to %d seconds are possible",
                       TIMEOUT_MOST);
    return rc;
}

void options_help(FILE *to)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        char head[48];
        snprintf(head, sizeof head, "%s%s%s", r->name, r->argument[0] ? "=" : "",
                 r->argument);
        fprintf(to, "  %-22s %s", head, r->help);
        if (r->fallback[0])
            fprintf(to, " [%s]", r->fallback);
        fputc('\n', to);
    }
    fputs(
        "  and what mount(8) and FUSE know: auto_unmount, max_read, noexec, fsname …\n",
        to);
}

static int print_row(const struct options *o, const struct row *r, struct vivo_buf *out)
{
    const char *at = (const char *)o + r->offset;
    if (r->kind == KIND_FLAG)
        return *(const bool *)at ? vivo_buf_printf(out, "  %s\n", r->name) : 0;
    if (!is_text(r))
        return vivo_buf_printf(out, "  %s=%" PRIu64 "\n", r->name,
                               *(const uint64_t *)(const void *)at);
    const char *text = *(char *const *)(const void *)at;
    int rc = 0;
    while (*text && !rc) {
        size_t n = strcspn(text, r->kind == KIND_LIST ? "\n" : "");
        rc = vivo_buf_printf(out, "  %s=%.*s\n", r->name, (int)n, text);
        text += n + (text[n] != '\0');
    }
    return rc;
}

int options_print(const struct options *o, struct vivo_buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows) && !rc; i++)
        rc = print_row(o, &rows[i], out);
    return rc;
}
