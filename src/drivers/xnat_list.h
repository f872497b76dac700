/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_list.h -- a listing of the XNAT driver: rows of sessions or scans,
 * each once and in order, on their way to the intake. */
#ifndef VIVOFS_DRIVERS_XNAT_LIST_H
#define VIVOFS_DRIVERS_XNAT_LIST_H

#include "xnat.h"

struct xnat_row { /* a session or a scan; all in the arena */
    const char *id, *label, *subject, *uid, *date, *modality, *text;
    const char *subject_id;
    unsigned has;     /* of a session: XNAT_HAS_… */
    bool subject_has; /* resources of its subject, or it is not told */
    bool twice;       /* a sibling has this UID too */
    bool shared;      /* a session of another project */
};

struct xnat_listing {
    struct xnat *x;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct xnat_place parent;
    struct vivo_arena *arena;
    struct xnat_row *rows;
    size_t count, cap, nameless;
    size_t closed;                    /* whose files are not told */
    const char *subject_id, *subject; /* whose sessions are being listed, or NULL */
    struct vivo_buf attrs;
};

/* A copy in the arena; NULL = no memory. */
const char *vivo_xnat_keep(struct xnat_listing *l, const char *text);
/* The first of these columns that has a value, "" = none; NULL = no memory. */
const char *vivo_xnat_take(struct xnat_listing *l, const json_t *row,
                           const char *columns);
int vivo_xnat_add_row(struct xnat_listing *l, const struct xnat_row *r,
                      struct vivo_err *err);
bool vivo_xnat_id_ok(const char *id);
bool vivo_xnat_uid_ok(const char *uid);
/* By id, each once; whose UID is whose. */
void vivo_xnat_sort(struct xnat_listing *l);
typedef int xnat_emit_fn(struct xnat_listing *l, const struct xnat_row *r);
/* Each row once, in order. */
int vivo_xnat_emit_all(struct xnat_listing *l, xnat_emit_fn *emit);
/* How many were left out, in the log. */
void vivo_xnat_tell_nameless(const struct xnat_listing *l, const char *what);
/* Statuses of a server that is there and does not know the question. */
bool vivo_xnat_is_refusal(int rc, int status);
/* What was listed a moment ago is not gone: the server, or the right, is. */
int vivo_xnat_not_gone(int rc, struct vivo_op *op);

/* ---- scans (xnat_scans.c) --------------------------------------------------------
 */

#define XNAT_CELL_MAX 1024
enum xnat_cell {
    XNAT_SCAN_ID,
    XNAT_SCAN_TYPE,
    XNAT_SCAN_UID,
    XNAT_SCAN_MODALITY,
    XNAT_SCAN_TEXT,
    XNAT_CELLS
};
int vivo_xnat_add_scan(struct xnat_listing *l, const char *const cells[XNAT_CELLS],
                       struct vivo_err *err);
/* Adds those of one session, by its own table. */
int vivo_xnat_ask_scans(struct xnat_listing *l, const char *session);
int vivo_xnat_list_scans(struct xnat_listing *l);

/* ---- what is of no scan (xnat_resources.c) ------------------------------------------
 */

/* Columns of sessions, and what a row says by them. */
#define XNAT_RESOURCE_COLUMNS                                                          \
    ",xnat:imageSessionData/resources/resource/label"                                  \
    ",xnat:subjectData/resources/resource/label"
void vivo_xnat_take_resources(const json_t *row, struct xnat_row *r);
/* Which sessions of the project have assessors: one request. */
int vivo_xnat_mark_assessors(struct xnat_listing *l);
/* The files of the project itself and of its subjects, these where there are any. */
int vivo_xnat_list_above(struct xnat_listing *l);
/* The files of the session itself and of its assessors, where there are any. */
int vivo_xnat_list_beside(struct xnat_listing *l);

/* ---- scans of many sessions (xnat_joined.c) --------------------------------------
 */

#define XNAT_OF_SCAN "xnat:imageScanData/"
#define XNAT_IDS_BYTES 4000 /* servers refuse heads of requests of more than 8 KiB */
/* One more session of a request; false: it has to be asked for by itself, or later. */
bool vivo_xnat_add_id(struct vivo_buf *ids, const char *id);
/* The table of these sessions, a row for each scan: "ID", XNAT_OF_SCAN "ID" and the
 * columns `wanted`. -ENOENT: the server does not answer such questions. */
int vivo_xnat_ask_joined(struct xnat *x, const struct vivo_buf *ids, const char *wanted,
                         xnat_row_fn *fn, void *ctx, struct vivo_op *op);
/* Adds the scans of a session that was prepared, once; -ENOENT: it was not. */
int vivo_xnat_prepared(struct xnat_listing *l, const char *session);

#endif
