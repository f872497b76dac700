/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_archives.c -- `vivofs archives`: the archives that there are presets of,
 * as a table; or one of them, with what it needs before it can be mounted. */
#include "cli.h"
#include "preset.h"

#include "vivofs/text.h"

#include <errno.h>
#include <string.h>

enum format { TABLE, CSV, JSON };

static const struct column {
    const char *key, *head;
    int width; /* in the table; 0 = not in it. With a blank each they make 100. */
    size_t offset;
} columns[] = {
    {"name", "ARCHIVE", 12, offsetof(struct preset, name)},
    {"content", "CONTENT", 13, offsetof(struct preset, content)},
    {"software", "SOFTWARE", 8, offsetof(struct preset, software)},
    {"login", "ACCOUNT", 8, offsetof(struct preset, login)},
    {"sharing", "SHARING", 9, offsetof(struct preset, sharing)},
    {"terms", "LICENCE", 8, offsetof(struct preset, terms)},
    {"grouping", "GROUPED", 10, offsetof(struct preset, grouping)},
    {"speaks", "PROTOCOL", 8, offsetof(struct preset, speaks)},
    {"queries", "QUERIES", 8, offsetof(struct preset, queries)},
    {"does", "VIVOFS", 7, offsetof(struct preset, does)},
    {"about", NULL, 0, offsetof(struct preset, about)},
    {"source", NULL, 0, offsetof(struct preset, source)},
    {"options", NULL, 0, offsetof(struct preset, options)},
    {"account", NULL, 0, offsetof(struct preset, account)},
    {"agreement", NULL, 0, offsetof(struct preset, agreement)},
    {"licence", NULL, 0, offsetof(struct preset, licence)},
    {"note", NULL, 0, offsetof(struct preset, note)},
};

static const char *cell_of(const struct preset *p, const struct column *c)
{
    const char *text = *(char *const *)(const void *)((const char *)p + c->offset);
    return text ? text : "";
}

/* "nbia+https" of a URL; a path is files. */
static void protocol_of(const struct preset *p, char *out, size_t cap)
{
    const char *colon = strstr(p->source, "://");
    if (p->protocol)
        snprintf(out, cap, "%s", p->protocol);
    else if (colon)
        snprintf(out, cap, "%.*s", (int)(colon - p->source), p->source);
    else
        snprintf(out, cap, "%s", p->source[0] ? "files" : "none");
}

/* ---- one --------------------------------------------------------------------------
 */

static void print_line(const char *key, const char *text)
{
    printf("    %-10s %s\n", key, text && *text ? text : "not said");
}

static void print_needs(const struct preset *p)
{
    char protocol[64];
    protocol_of(p, protocol, sizeof protocol);
    printf("%s: %s\n", p->name, p->about ? p->about : "");
    print_line("account", p->account);
    print_line("agreement", p->agreement);
    print_line("protocol", protocol);
    print_line("licence", p->licence);
}

static void print_command(const struct preset *p)
{
    if (p->command)
        printf("\n  %s\n", p->command);
    else if (p->source[0])
        printf("\n  mkdir -p ~/%s && vivofs mount %s ~/%s\n", p->name, p->name,
               p->name);
    else
        puts("\nThere is nothing to mount.");
}

static int no_such(const char *name)
{
    struct vivo_err err = {0};
    char **names = NULL;
    size_t n = 0;
    if (preset_names(&names, &n, &err))
        return cli_fail("%s", err.text);
    const char *near = vivo_text_nearest(name, (const char *const *)names, n);
    cli_fail("no preset '%s'%s%s%s", name, near ? ": did you mean '" : "",
             near ? near : "", near ? "'?" : "");
    preset_names_free(names, n);
    return 1;
}

static int show_one(const char *name)
{
    struct vivo_err err = {0};
    struct preset p;
    int rc = preset_load(name, &p, &err);
    if (rc)
        return err.errnum ? cli_fail("%s", err.text) : no_such(name);
    print_needs(&p);
    print_line("source", p.source[0] ? p.source : "none");
    print_line("options", p.options && *p.options ? p.options : "none");
    for (size_t i = 1; i < VIVO_ARRAY_LEN(columns); i++)
        if (columns[i].width && *cell_of(&p, &columns[i]) &&
            strcmp(columns[i].key, "login") != 0 &&
            strcmp(columns[i].key, "terms") != 0 &&
            strcmp(columns[i].key, "speaks") != 0)
            print_line(strcmp(columns[i].key, "does") == 0 ? "vivofs" : columns[i].key,
                       cell_of(&p, &columns[i]));
    if (p.note)
        print_line("note", p.note);
    print_line("file", p.path);
    print_command(&p);
    preset_free(&p);
    return 0;
}

/* ---- all --------------------------------------------------------------------------
 */

/* How much of the text fits into a line of the column; what is left begins at the next
 * word. */
static size_t part_of(const char *text, size_t width)
{
    size_t cut = strnlen(text, width + 1);
    if (cut <= width)
        return cut;
    size_t at = width;
    while (at > 0 && text[at] != ' ' && text[at - 1] != '-')
        at--;
    return at ? at : width;
}

static void print_row(const char *cells[], size_t n)
{
    bool more = true;
    while (more) {
        size_t blanks = 0; /* only in front of something */
        more = false;
        for (size_t i = 0; i < n; i++) {
            size_t cut = part_of(cells[i], (size_t)columns[i].width);
            if (cut)
                printf("%*s%.*s", (int)blanks, "", (int)cut, cells[i]);
            blanks = (cut ? 0 : blanks) + (size_t)columns[i].width - cut + 1;
            cells[i] += cut;
            cells[i] += strspn(cells[i], " ");
            more = more || *cells[i];
        }
        putchar('\n');
    }
}

static size_t table_columns(void)
{
    size_t n = 0;
    while (columns[n].width)
        n++;
    return n;
}

static void print_table_row(const struct preset *p)
{
    const char *cells[VIVO_ARRAY_LEN(columns)];
    size_t n = table_columns();
    for (size_t i = 0; i < n; i++) {
        cells[i] = p ? cell_of(p, &columns[i]) : columns[i].head;
        /* One of yours need not say all of that. */
        if (!*cells[i])
            cells[i] = i == 1 && p->about ? p->about : "?";
    }
    if (p)
        putchar('\n');
    print_row(cells, n);
}

static int print_csv_row(const struct preset *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    int rc = 0;
    vivo_buf_init(&row, 1u << 20);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(columns) && !rc; i++) {
        const char *text = p ? cell_of(p, &columns[i]) : columns[i].key;
        rc = i ? vivo_buf_puts(&row, ",") : 0;
        if (!rc)
            rc = vivo_buf_csv(&row, text, strlen(text));
    }
    if (!rc)
        rc = vivo_buf_puts(&row, "\r\n");
    if (!rc)
        fwrite(row.data, 1, row.len, stdout);
    return rc;
}

static int print_json_row(const struct preset *p, bool first)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    vivo_buf_init(&row, 1u << 20);
    int rc = vivo_buf_puts(&row, first ? "[\n{" : ",\n{");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(columns) && !rc; i++) {
        const char *text = cell_of(p, &columns[i]);
        rc = vivo_buf_printf(&row, "%s\"%s\":", i ? "," : "", columns[i].key);
        if (!rc)
            rc = vivo_buf_json(&row, text, strlen(text));
    }
    if (!rc)
        rc = vivo_buf_puts(&row, "}");
    if (!rc)
        fwrite(row.data, 1, row.len, stdout);
    return rc;
}

static int print_preset(enum format format, const struct preset *p, bool first)
{
    if (format == JSON)
        return print_json_row(p, first);
    if (format == CSV)
        return print_csv_row(p);
    print_table_row(p);
    return 0;
}

/* A preset that cannot be read is told of and does not hide the others. */
static int show_all(enum format format)
{
    struct vivo_err err = {0};
    char **names = NULL;
    size_t n = 0, shown = 0;
    int status = 0;
    if (preset_names(&names, &n, &err))
        return cli_fail("%s", err.text);
    if (format == CSV)
        print_csv_row(NULL);
    else if (format == TABLE)
        print_table_row(NULL);
    for (size_t i = 0; i < n; i++) {
        struct preset p;
        if (preset_load(names[i], &p, &err)) {
            status = cli_fail("%s", err.errnum ? err.text : names[i]);
            vivo_err_clear(&err);
            continue;
        }
        if (print_preset(format, &p, shown++ == 0))
            status = cli_fail("%s: too long", names[i]);
        preset_free(&p);
    }
    if (format == JSON)
        puts(shown ? "\n]" : "[]");
    preset_names_free(names, n);
    return status;
}

int cmd_archives(int argc, char **argv)
{
    static const char *const words[] = {
        [TABLE] = "table", [CSV] = "csv", [JSON] = "json"};
    enum format format = TABLE;
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--format") == 0) {
            size_t f = 0;
            while (i + 1 < argc && f < VIVO_ARRAY_LEN(words) &&
                   strcmp(argv[i + 1], words[f]) != 0)
                f++;
            if (i + 1 >= argc || f == VIVO_ARRAY_LEN(words))
                return cli_usage("archives: --format is one of table, csv, json");
            format = (enum format)f;
            i++;
        } else if (argv[i][0] == '-' || name) {
            return cli_usage("archives: one name, or none");
        } else {
            name = argv[i];
        }
    }
    if (name && strchr(name, '/'))
        return cli_usage("archives: '%s' is no name of a preset", name);
    return name ? show_one(name) : show_all(format);
}
