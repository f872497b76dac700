/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/deid.h -- what the files of `vivofs deid` share.
 *
 * deid_object.c makes one object beside its place, deid_folder.c runs it over a folder
 * on many threads and gives the names in the order of the folder, so that what is
 * written does not depend on who was faster. */
#ifndef VIVO_CLI_DEID_H
#define VIVO_CLI_DEID_H

#include "cli.h"

#include "vivofs/deid.h"

#include <signal.h>

struct deid_run { /* one command; what threads touch is read-only */
    const char *profile, *key, *pixels, *filter_file, *audit_file, *in, *out;
    size_t jobs;
    enum vivo_burned_in burned_in;
    const struct vivo_deid *deid;
    const struct vivo_filter *filter; /* NULL = every object */
    FILE *audit;                      /* NULL = none */
    struct media *media;
    bool wants_media; /* --media, or the source had a DICOMDIR */
    size_t written, refused, others, copies;
};

/* Set by SIGINT and SIGTERM: nothing new begins, what is half done goes. */
extern volatile sig_atomic_t deid_stop;

/* An object that is made and has no name yet. */
struct deid_made {
    int rc;              /* 0, or why there is none */
    bool other, records; /* no DICOM, or filtered out; a DICOMDIR */
    bool full;           /* there is no room for it where it goes */
    struct vivo_err err;
    enum vivo_refusal refusal;
    char *tmp, *dir;       /* owned; NULL = none. tmp lies in dir */
    struct vivo_buf attrs; /* as shown */
    struct vivo_buf audit; /* of --audit: a JSON array */
    char input[2 * VIVO_DIGEST_LEN + 1];
    uint64_t size;
};
void deid_made_free(struct deid_made *m); /* removes tmp */
/* to: where a single file goes, NULL = below run->out by its attributes. */
void deid_make(const struct deid_run *run, const char *path, const char *to,
               struct deid_made *m);
/* Its place: out is malloc'd. copy: NULL, or the digest of another one's bytes. */
int deid_place(const struct deid_run *run, const struct deid_made *m, const char *copy,
               char **out, struct vivo_err *err);
/* One line of --audit. shown: path below OUT, NULL = it was refused. */
int deid_audit_line(const struct deid_run *run, const struct deid_made *m,
                    const char *shown);
int deid_digest_file(const char *path, char out[2 * VIVO_DIGEST_LEN + 1],
                     struct vivo_err *err);

/* A whole folder; the exit status. */
int deid_folder(struct deid_run *run);

#endif
