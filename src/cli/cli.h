/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cli.h -- what the commands share: options, sources, the assembled house.
 *
 * A command is a function in a table (main.c); it prints its own errors, one line,
 * "vivofs: …", and returns the exit status: 0 well, 1 failed, 2 wrong usage. */
#ifndef VIVOFS_CLI_H
#define VIVOFS_CLI_H

#include "vivofs/buf.h"
#include "vivofs/fuse.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    const char *usage;                 /* one or more lines */
    const char *about;                 /* one line */
};

int cmd_mount(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_deid(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_pseudonym(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_bugreport(int argc, char **argv);

/* Calls fn for each mount of vivofs that the kernel knows; the sum of what it returns.
 * (cmd_status.c) */
typedef int cli_mount_fn(void *ctx, const char *mountpoint);
int cli_each_mount(cli_mount_fn *fn, void *ctx);

/* Prints "vivofs: " and the text on stderr; returns 1. */
int cli_fail(const char *fmt, ...) VIVO_PRINTF(1, 2);
/* The same and a hint to --help; returns 2. */
int cli_usage(const char *fmt, ...) VIVO_PRINTF(1, 2);

/* ---- progress (progress.c) ------------------------------------------------------- */

struct progress {
    bool terminal; /* stderr is one: a bar is drawn */
};
void progress_init(struct progress *p);
void progress_clear(const struct progress *p);
/* walking: more may be found, and a '+' says so. */
void progress_show(const struct progress *p, size_t over, size_t seen, bool walking,
                   uint64_t bytes);
/* cli_fail of "path: why" from any thread, the bar out of its way. */
void progress_fail(const struct progress *p, const char *path, const char *why);
/* The number of -j, 1 to 64; 2 with a message when it is none. */
int cli_jobs(const char *command, const char *text, size_t *out);

/* ---- options (options.c) --------------------------------------------------------- */

enum option_kind {
    KIND_FLAG,
    KIND_TEXT,
    KIND_LIST,
    KIND_SIZE,
    KIND_NUMBER,
    KIND_SECONDS
};

struct options { /* one field per row of mountopts/options.def; strings are owned */
#define FIELD_FLAG(name) bool name;
#define FIELD_TEXT(name) char *name;
#define FIELD_LIST(name) char *name; /* parted by line feeds */
#define FIELD_SIZE(name) uint64_t name;
#define FIELD_NUMBER(name) uint64_t name;
#define FIELD_SECONDS(name) uint64_t name;
#define VIVO_OPTION(name, kind, def, argument, help) FIELD_##kind(name)
#include "options.def"
#undef VIVO_OPTION
#undef FIELD_FLAG
#undef FIELD_TEXT
#undef FIELD_LIST
#undef FIELD_SIZE
#undef FIELD_NUMBER
#undef FIELD_SECONDS
    char *fuse[16]; /* options for libfuse, NULL-terminated */
    size_t nfuse;
};
int options_init(struct options *o, struct vivo_err *err); /* the defaults */
void options_free(struct options *o);
/* "a,b=c": -EINVAL names the option and the nearest one there is. */
int options_parse(struct options *o, const char *text, struct vivo_err *err);
/* Values that are words or have bounds, when all texts are parsed. */
int options_check(const struct options *o, struct vivo_err *err);
void options_help(FILE *to);
/* "name=value" lines; secrets are paths, never contents. */
int options_print(const struct options *o, struct vivo_buf *out);

/* ---- sources (source.c) ------------------------------------------------------------
 */

struct source {
    char name[VIVO_NAME_MAX + 1]; /* archive directory */
    char *location;               /* absolute path or URL */
    char *preset;                 /* its name, or NULL */
    struct options options;       /* defaults, preset, command line */
};
/* "[NAME=]SOURCE". -ENOENT: no such folder or preset. */
int source_parse(const char *text, const char *const *option_texts, size_t noptions,
                 struct source *out, struct vivo_err *err);
/* The archive of a configuration file, which has the form of a preset. */
int source_from_file(const char *path, const char *const *option_texts, size_t noptions,
                     struct source *out, struct vivo_err *err);
void source_free(struct source *s);

/* ---- the house (house.c)
 * -------------------------------------------------------------- */

/* Archives, de-identifiers, net, store and flows of one command. */
struct house;
struct house_hooks {
    void (*changed)(void *ctx);
    void *ctx;
    bool lazy;   /* remote archives are listed when that is wanted */
    bool probe;  /* ask remote archives whether they are what their URL says, but for
                   those listed lately */
    bool insist; /* those, too */
};
int house_build(const struct source *sources, size_t n, const struct house_hooks *hooks,
                struct house **out, struct vivo_err *err);
void house_free(struct house *h);
struct vivo_flow **house_flows(struct house *h, size_t *n);
struct vivo_store *house_store(struct house *h); /* NULL = none */
/* -o list=, of the first source. */
struct vivo_query_list *const *house_lists(const struct house *h, size_t *n);
bool house_network(const struct house *h);
/* Texts for .vivofs: effective configuration, conformance, profile, key id. */
int house_config_text(struct house *h, struct vivo_buf *out);
int house_conformance(struct house *h, struct vivo_buf *out);
const char *house_profile(struct house *h);
const char *house_key_id(struct house *h); /* NULL = nothing is de-identified */

/* The key of a command: key=FILE, or the user's own (made and told of once). */
int cli_key(const char *path, struct vivo_key **out, struct vivo_err *err);
int cli_burned_in(const char *word, enum vivo_burned_in *out, struct vivo_err *err);

/* ---- a DICOMDIR over written files (media.c) ----------------------------------- */

struct media;
struct media *media_new(void); /* NULL = ENOMEM */
void media_free(struct media *m);
int media_add(struct media *m, struct vivo_attrs a, const char *path);
/* OUT/DICOM/PA…/ST…/SE…/IM… as hard links, and OUT/DICOMDIR. */
int media_write(struct media *m, const char *out, size_t *left_out,
                struct vivo_err *err);

#endif
