/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_status.c -- `vivofs status`: what is mounted, from the kernel's table,
 * and each mount's own .vivofs/status.json. */
#include "cli.h"

#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

/* /proc/self/mountinfo writes space, tab, newline and backslash as \ooo (proc(5)). */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static int show(const char *mountpoint)
{
    struct vivo_err err = {0};
    VIVO_AUTO(vivo_free_p) char *path = NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 16 << 20);
    if (asprintf(&path, "%s/.vivofs/status.json", mountpoint) < 0) {
        path = NULL;
        return cli_fail("out of memory");
    }
    if (vivo_file_read(path, text.max, &text, &err))
        return cli_fail("%s: no vivofs mount answers there (%s)", mountpoint, err.text);
    /* The file is padded, so that its size stays while its numbers change. */
    while (text.len && strchr(" \n", text.data[text.len - 1]))
        text.len--;
    fwrite(text.data, 1, text.len, stdout);
    putchar('\n');
    return 0;
}

/* The mount point of a line of mountinfo whose type is fuse.vivofs, else NULL. */
static char *vivofs_mountpoint(char *line)
{
    if (!strstr(line, " - fuse.vivofs "))
        return NULL;
    char *field = line;
    for (int i = 0; i < 4 && field; i++) {
        field = strchr(field, ' ');
        if (field)
            field++;
    }
    if (!field)
        return NULL;
    field[strcspn(field, " ")] = '\0';
    unescape(field);
    return field;
}

int cli_each_mount(cli_mount_fn *fn, void *ctx)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return cli_fail("/proc/self/mountinfo: %s", strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    while (getline(&line, &cap, f) > 0) {
        const char *at = vivofs_mountpoint(line);
        if (at)
            rc += fn(ctx, at);
    }
    free(line);
    fclose(f);
    return rc;
}

static int show_named(void *ctx, const char *mountpoint)
{
    ++*(size_t *)ctx;
    printf("%s\n", mountpoint);
    fflush(stdout);
    return show(mountpoint);
}

int cmd_status(int argc, char **argv)
{
    size_t n = 0;
    if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
        return cli_usage("status: one mount point, or none");
    if (argc == 2)
        return show(argv[1]);
    int rc = cli_each_mount(show_named, &n);
    if (!n && !rc)
        puts("nothing is mounted");
    return rc ? 1 : 0;
}
