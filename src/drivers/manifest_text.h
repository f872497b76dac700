/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_text.h -- the text of a manifest: what kind it is, its lines and
 * fields. Read as a stream: a file of any length costs the memory of one record. */
#ifndef VIVOFS_DRIVERS_MANIFEST_TEXT_H
#define VIVOFS_DRIVERS_MANIFEST_TEXT_H

#include "vivofs/buf.h"
#include "vivofs/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum manifest_kind {
    MANIFEST_NONE,
    MANIFEST_ROWS,  /* CSV, TSV: a row an object, with a Url */
    MANIFEST_TABLE, /* CSV, TSV: a row a series */
    MANIFEST_TCIA,  /* NBIA Data Retriever's */
    MANIFEST_UIDS,  /* bare Series Instance UIDs */
    MANIFEST_S5CMD, /* s5cmd run, or a script of copies */
    MANIFEST_URLS,  /* URLs, also aria2's input form */
    MANIFEST_LINKS, /* CSV, TSV: a row a URL */
    MANIFEST_BOOK,  /* a spreadsheet's own format, which is refused with a word on it */
};

#define MANIFEST_COLUMNS_MAX 256
#define MANIFEST_RECORD_MAX (1u << 20) /* bytes of one record */

struct manifest_text {
    FILE *file;
    char *line; /* getline's */
    size_t cap;
    struct vivo_buf record;
    size_t number; /* of the line last read, from 1 */
    off_t start;   /* of the record last read */
    off_t offset;  /* behind the line last read */
    char separator;
    char *fields[MANIFEST_COLUMNS_MAX]; /* of the record last read */
    size_t nfields;
};

/* manifest_utf16.c: text in UTF-16 behind its mark becomes UTF-8; *file is exchanged
 * then. */
int vivo_manifest_decode(FILE **file, struct vivo_err *err);

int vivo_manifest_text_open(const char *path, struct manifest_text *t,
                            struct vivo_err *err);
void vivo_manifest_text_close(struct manifest_text *t);
/* A line without its end and surrounding blanks, valid until the next: 1; 0 = no more;
 * negative errno. */
int vivo_manifest_line(struct manifest_text *t, char **out, struct vivo_err *err);
/* From a record that begins at `offset`; from the beginning with 0. */
int vivo_manifest_seek(struct manifest_text *t, off_t offset, struct vivo_err *err);
/* A record of t->separator-separated fields (RFC 4180), into t->fields: 1, 0, or
 * negative errno. Empty lines are skipped. */
int vivo_manifest_record(struct manifest_text *t, struct vivo_err *err);

/* What stands in the file, by its beginning; NONE = no manifest. */
enum manifest_kind vivo_manifest_kind(const char *path);

/* The value of "key = value", whatever the blanks; NULL: it is another line. */
const char *vivo_manifest_value(const char *line, const char *key);

/* The first URL in a line that begins like this ("" = any that can be fetched), with or
 * without quotes around it: where it begins, and its length; NULL: there is none. */
const char *vivo_manifest_find_url(const char *line, const char *begin, size_t *len);

/* Reads the first record with the separator that gives a column of this name (as
 * vivo_manifest_column calls it), which is kept in t->separator: the column, or -1 =
 * there is none, or it cannot be read. */
int vivo_manifest_read_head(struct manifest_text *t, const char *name);

/* Has the record read last nothing but separators? */
bool vivo_manifest_is_empty(const struct manifest_text *t);

/* Without blanks and quotes around it; in place. */
char *vivo_manifest_bare(char *field);

/* What a column is called, in this driver's words: "SeriesInstanceUID" for "Series
 * UID", "Url" for "URL" …; itself when it is no other's name. */
const char *vivo_manifest_column(const char *head);

#endif
