/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/dimse.h -- associations with a PACS: C-ECHO, C-FIND, C-GET, C-MOVE.
 *
 * DCMTK's dcmnet lies behind it and never shows. Identifiers go out and come in as the
 * bytes of a data set; objects come as the bytes that were sent. Every wait obeys the
 * op and ends with -ETIMEDOUT after cfg->timeout_ms of silence. PS3.4 annex C, PS3.7,
 * PS3.8. Readable by C++. */
#ifndef VIVOFS_DIMSE_H
#define VIVOFS_DIMSE_H

#include "vivofs/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vivo_op;
struct vivo_dimse; /* one association; one thread at a time */

#define VIVO_DIMSE_CONTEXTS_MAX 128   /* PS3.8 section 9.3.2.2: odd, 1 to 255 */
#define VIVO_DIMSE_ROW_MAX (1u << 20) /* bytes of one answer to C-FIND */
#define VIVO_DIMSE_STATUS_PENDING 0xFF00u
#define VIVO_DIMSE_STATUS_PENDING_WARNING 0xFF01u

/* One presentation context to propose. */
struct vivo_dimse_offer {
    const char *abstract;        /* SOP class UID */
    const char *const *syntaxes; /* transfer syntaxes, the preferred first */
    unsigned n;                  /* of them */
    bool store; /* we are the one who receives (SCP role, PS3.7 D.3.3.4) */
};

struct vivo_dimse_config {
    const char *host;
    unsigned port;
    const char *calling, *called; /* AE titles, 1 to 16 characters */
    bool tls;
    const char *cafile;   /* PEM; with tls the peer must show a certificate of these;
                             NULL = of those that this machine trusts */
    const char *certname; /* with tls: whom it must be for; NULL = anybody */
    int64_t timeout_ms;   /* of silence; connecting: 10 s at most */
};

/* Requests an association. -EACCES: rejected because of an AE title; -EIO: refused
 * otherwise, or no connection; the sentence says which. */
int vivo_dimse_open(const struct vivo_dimse_config *cfg,
                    const struct vivo_dimse_offer *offers, size_t n,
                    struct vivo_dimse **out, struct vivo_op *op);
/* Releases it, or aborts it when something had failed. Waits 2 s at most. */
void vivo_dimse_close(struct vivo_dimse *d);
/* Is there an accepted context for this SOP class? */
bool vivo_dimse_accepts(const struct vivo_dimse *d, const char *abstract);
/* False: an error or the other side ended it; only close is left. */
bool vivo_dimse_alive(struct vivo_dimse *d);

/* How an operation ended; counters are of C-GET and C-MOVE. */
struct vivo_dimse_result {
    unsigned status; /* PS3.7 annex C; 0 = success */
    unsigned completed, failed, warning;
    uint64_t bytes; /* of data sets received */
};

/* Receives answers. Non-zero ends the operation (C-CANCEL, abort) and is returned.
 * Pointers are borrowed for the call. Members that an operation does not use may be
 * NULL. */
struct vivo_dimse_taker {
    /* C-FIND: one match, a bare data set in `syntax`. */
    int (*row)(struct vivo_dimse_taker *self, const void *data, size_t len,
               const char *syntax, struct vivo_err *err);
    /* C-GET, C-MOVE: an object begins, its bare data set follows in pieces, it ended.
     */
    int (*begin)(struct vivo_dimse_taker *self, const char *sop_class,
                 const char *sop_instance, const char *syntax, struct vivo_err *err);
    int (*bytes)(struct vivo_dimse_taker *self, const void *data, size_t len,
                 struct vivo_err *err);
    int (*end)(struct vivo_dimse_taker *self, struct vivo_err *err);
};

/* 0 = the answer came; its status is in out->status. Identifiers are bare data sets
 * in explicit VR little endian. */
int vivo_dimse_echo(struct vivo_dimse *d, struct vivo_dimse_result *out,
                    struct vivo_op *op);
int vivo_dimse_find(struct vivo_dimse *d, const char *sop_class, const void *identifier,
                    size_t len, struct vivo_dimse_taker *to,
                    struct vivo_dimse_result *out, struct vivo_op *op);
int vivo_dimse_get(struct vivo_dimse *d, const char *sop_class, const void *identifier,
                   size_t len, struct vivo_dimse_taker *to,
                   struct vivo_dimse_result *out, struct vivo_op *op);

/* C-MOVE to ourselves: the server connects to `port` of this machine, calling it
 * `destination`. -EIO when the port cannot be had. One at a time for each port. */
struct vivo_dimse_door {
    unsigned port;
    const char *destination;
};
int vivo_dimse_move(struct vivo_dimse *d, const struct vivo_dimse_door *door,
                    const char *sop_class, const void *identifier, size_t len,
                    struct vivo_dimse_taker *to, struct vivo_dimse_result *out,
                    struct vivo_op *op);

#ifdef __cplusplus
}
#endif
#endif
