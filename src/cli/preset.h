/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/preset.h -- presets: one file mountopts/NAME.conf for one archive.
 *
 * "key = value" lines; '#' begins a comment line. source and options are for mounting,
 * the rest for people. The search path: the user's config directory, /etc/vivofs, the
 * installed presets; of one name the first counts. */
#ifndef VIVOFS_CLI_PRESET_H
#define VIVOFS_CLI_PRESET_H

#include "vivofs/error.h"

#include <stddef.h>

struct preset { /* all owned; NULL where the file does not say */
    char *name, *path;
    char *source;    /* "" = nothing can be mounted as it stands; note says why */
    char *kind;      /* "yes": without a source; NAME=SOURCE takes its options */
    char *options;   /* as after -o */
    char *about;     /* what it is */
    char *account;   /* who may log in, and how it is given */
    char *agreement; /* what has to be agreed to before */
    char *protocol;  /* how it is asked; else what the source begins with */
    char *licence;   /* of what it holds */
    char *note;      /* what else has to be known */
    char *command;   /* how it is mounted, where NAME alone is not enough */
    /* A few words each, the row of `vivofs archives`. */
    char *content, *software, *login, *sharing, *terms, *grouping, *speaks;
    char *queries; /* what the archive itself can be asked; vivofs does the rest */
    char *does;    /* what vivofs can do with it */
};

/* 0; -ENOENT without an error text: no preset of that name; or an error. */
int preset_load(const char *name, struct preset *out, struct vivo_err *err);
/* The same of a file anywhere; its name without .conf is the preset's. */
int preset_load_file(const char *path, struct preset *out, struct vivo_err *err);
void preset_free(struct preset *p);

/* All names in alphabetical order; names_free gives them back. */
int preset_names(char ***names, size_t *n, struct vivo_err *err);
void preset_names_free(char **names, size_t n);

int cmd_archives(int argc, char **argv);

#endif
