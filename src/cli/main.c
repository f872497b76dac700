/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/main.c -- the command table and a thin main. */
#include "cli.h"
#include "preset.h"

#include "vivofs/driver.h"
#include "vivofs/log.h"
#include "vivofs/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

static int cmd_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return cli_usage("version: takes no argument");
    puts("vivofs " VIVOFS_VERSION " (PS3.15 Annex E, edition 2026d)");
    return 0;
}

static const struct command commands[] = {
    {"mount", cmd_mount,
     "vivofs mount [-f] [-c FILE] [-o OPT[,OPT...]] [NAME=]SOURCE... MOUNTPOINT\n"
     "            (-f: in the foreground; -c: the archive of a file in a preset's "
     "form)",
     "show archives as a directory tree"},
    {"umount", cmd_umount, "vivofs umount MOUNTPOINT", "take the tree away again"},
    {"query", cmd_query,
     "vivofs query [-o OPT,...] [--explain] [--format paths|csv|json|tree|count] EXPR "
     "[NAME=]SOURCE...",
     "find scans without a mount"},
    {"deid", cmd_deid,
     "vivofs deid [--profile P] [--key FILE] [--burned-in WHAT] [--pixels SCRIPT] "
     "[--filter FILE] [--audit FILE] [--media] [-j N] IN OUT\n"
     "            vivofs deid --list",
     "de-identify a file or a folder, by the same engine as the mount"},
    {"pseudonym", cmd_pseudonym,
     "vivofs pseudonym --key FILE [--kind patient|uid|offset] [--issuer ISSUER]",
     "for the key's custodian: originals on stdin, CSV with what is shown on stdout"},
    {"fetch", cmd_fetch, "vivofs fetch [-j N] PATH...",
     "read everything below a mounted path into the cache"},
    {"cache", cmd_cache,
     "vivofs cache [--cache DIR] [--keep BYTES] [status|verify|trim|clear]",
     "what is kept on disk: how much, whether it is whole; make room; drop it all"},
    {"status", cmd_status, "vivofs status [MOUNTPOINT]",
     "what is mounted, and how it is"},
    {"archives", cmd_archives, "vivofs archives [--format table|csv|json] [NAME]",
     "the presets: a table of the archives; with NAME what it asks for, and a command"},
    {"login", cmd_login, "vivofs login NAME",
     "keep a user and a password for the server of a preset or URL"},
    {"doctor", cmd_doctor, "vivofs doctor [[NAME=]SOURCE...]",
     "whether this machine, and these sources, are fit for a mount"},
    {"bugreport", cmd_bugreport, "vivofs bugreport",
     "what a maintainer asks first, without a secret or a patient's value"},
    {"version", cmd_version, "vivofs version", "the version of this program"},
};

int cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("vivofs: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

int cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("vivofs: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("; see `vivofs --help`\n", stderr);
    va_end(ap);
    return 2;
}

/* What every driver says of itself: a path, or a URL of its schemes. */
static void help_sources(FILE *to)
{
    size_t n;
    const struct vivo_driver *const *drivers = vivo_driver_table(&n);
    fputs("\nSOURCE is a preset (`vivofs archives`), or\n", to);
    for (int urls = 0; urls < 2; urls++)
        for (size_t i = 0; i < n; i++)
            if ((drivers[i]->schemes[0] != '\0') == urls)
                fprintf(to, "  %-28s %s\n",
                        urls                               ? drivers[i]->schemes
                        : drivers[i]->caps & VIVO_CAP_FILE ? "a file"
                                                           : "a folder",
                        drivers[i]->summary);
    fputs("What stands behind a scheme is in README.md; NAME=SOURCE names the "
          "directory.\n",
          to);
    fputs("\nOptions of -o:\n", to);
    options_help(to);
}

static void help(FILE *to)
{
    fputs("vivofs shows medical-image archives as a directory tree.\n\n", to);
    for (size_t i = 0; i < VIVO_ARRAY_LEN(commands); i++)
        fprintf(to, "  %-9s %s\n            %s\n", commands[i].name, commands[i].about,
                commands[i].usage);
    help_sources(to);
}

static void help_command(const struct command *c, FILE *to)
{
    fprintf(to, "%s -- %s\n\n       %s\n", c->name, c->about, c->usage);
    if (strstr(c->usage, "SOURCE"))
        help_sources(to);
}

/* Descriptors 0-2 are open before anything else is, so that nothing we open can be
 * mistaken for them. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[VIVO_ARRAY_LEN(commands)];
    for (size_t i = 0; i < VIVO_ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    const char *near = vivo_text_nearest(name, names, VIVO_ARRAY_LEN(commands));
    if (near)
        return cli_usage("no command '%s': did you mean '%s'?", name, near);
    return cli_usage("no command '%s'", name);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* What could not be written was not done: a full disk behind `>`. */
static int told(int rc)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    return cli_fail("standard output: cannot be written%s",
                    errno == ENOSPC ? ": no space left" : "");
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    /* A file size limit is a full disk to us, not a reason to die. */
    signal(SIGXFSZ, SIG_IGN);
    struct vivo_err err = {0};
    if (vivo_dcm_global_init(&err))
        return cli_fail("%s", err.text);
    vivo_log_setup(VIVO_LOG_TO_STDERR, VIVO_LOG_WARN);
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *self = slash ? slash + 1 : argc ? argv[0] : "vivofs";
    /* mount(8), autofs and systemd call `mount.vivofs SOURCE MOUNTPOINT -o …`. */
    if (strcmp(self, "mount.vivofs") == 0 || strcmp(self, "mount.fuse.vivofs") == 0)
        return cmd_mount(argc, argv);
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        return told(cmd_version(argc - 1, argv + 1));
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return 0;
    }
    const struct command *c = find_command(argv[1]);
    if (c && wants_help(argc - 1, argv + 1)) {
        help_command(c, stdout);
        return 0;
    }
    return c ? told(c->run(argc - 1, argv + 1)) : unknown_command(argv[1]);
}
