/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_archives.c -- `vivofs archives`: the presets, and what each needs before
 * it can be mounted. */
#include "cli.h"
#include "preset.h"

#include "vivofs/text.h"

#include <errno.h>
#include <string.h>

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

static void print_line(const char *key, const char *text)
{
    printf("    %-10s %s\n", key, text && *text ? text : "not said");
}

static void print_short(const struct preset *p)
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

static int show_one(const char *name)
{
    struct vivo_err err = {0};
    struct preset p;
    int rc = preset_load(name, &p, &err);
    if (rc && err.errnum)
        return cli_fail("%s", err.text);
    if (rc) {
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
    print_short(&p);
    print_line("source", p.source[0] ? p.source : "none");
    print_line("options", p.options && *p.options ? p.options : "none");
    if (p.note)
        print_line("note", p.note);
    print_line("file", p.path);
    print_command(&p);
    preset_free(&p);
    return 0;
}

/* A preset that cannot be read is told of and does not hide the others. */
static int show_all(void)
{
    struct vivo_err err = {0};
    char **names = NULL;
    size_t n = 0;
    int status = 0;
    if (preset_names(&names, &n, &err))
        return cli_fail("%s", err.text);
    for (size_t i = 0; i < n; i++) {
        struct preset p;
        if (preset_load(names[i], &p, &err)) {
            status = cli_fail("%s", err.errnum ? err.text : names[i]);
            vivo_err_clear(&err);
            continue;
        }
        if (i)
            putchar('\n');
        print_short(&p);
        preset_free(&p);
    }
    preset_names_free(names, n);
    return status;
}

int cmd_archives(int argc, char **argv)
{
    if (argc > 2)
        return cli_usage("archives: one name, or none");
    if (argc == 2 && strchr(argv[1], '/'))
        return cli_usage("archives: '%s' is no name of a preset", argv[1]);
    return argc == 2 ? show_one(argv[1]) : show_all();
}
