/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/flow.h -- the two journeys of the house, scan and fetch, for one
 * archive of the mount.
 *
 *   scan:   driver.list -> header -> deid -> catalog
 *   fetch:  catalog -> store hit? -> driver.fetch -> deid -> store -> view
 *
 * Functions that take an op answer at once from catalog or store; otherwise they join
 * the flight that learns what is missing (one per listing or object), see op.h. */
#ifndef VIVOFS_FLOW_H
#define VIVOFS_FLOW_H

#include "vivofs/catalog.h"
#include "vivofs/deid.h"
#include "vivofs/driver.h"
#include "vivofs/op.h"
#include "vivofs/store.h"
#include "vivofs/view.h"

struct vivo_flow; /* thread-safe */

struct vivo_flow_config {
    const char *name;                 /* of the archive directory, safe */
    struct vivo_archive *archive;     /* ownership passes on success */
    const struct vivo_deid *deid;     /* borrowed */
    const struct vivo_filter *filter; /* borrowed; NULL = all; local archives only */
    struct vivo_store *store;         /* borrowed; NULL = none (local, or no cache) */
    const char *catalog_path;         /* NULL = temporary */
    unsigned jobs;                    /* job threads; 0 = 32 */
    int64_t timeout_ms;    /* of a flight while the archive is silent; 0 = 30 s */
    int64_t refresh_s;     /* re-list remote levels older than this; 0 = 3600 */
    uint64_t headers_max;  /* objects whose headers one query may have read one by one,
                              where an archive gives them so; 0 = 20000 */
    bool offline;          /* answer from catalog and store only */
    enum vivo_names names; /* of directories and files */
    bool no_search;        /* queries are answered from listings alone */
    bool lazy;             /* remote: nothing is listed before it is wanted */
    bool closed;           /* browse=no: studies by narrow queries only, else -EPERM */
    /* Called, from a job thread, after what is shown has changed. */
    void (*changed)(void *ctx);
    void *ctx;
};
int vivo_flow_open(const struct vivo_flow_config *cfg, struct vivo_flow **out,
                   struct vivo_err *err);
/* Starts the background check (and watching) of a catalog that was listed before,
 * and the first listing otherwise. After the fork. */
int vivo_flow_start(struct vivo_flow *f, struct vivo_err *err);
/* Cancels flights, waits for jobs, closes archive and catalog. */
void vivo_flow_close(struct vivo_flow *f);

const char *vivo_flow_name(const struct vivo_flow *f);
bool vivo_flow_closed(const struct vivo_flow *f); /* as in the configuration */
enum vivo_names vivo_flow_names(const struct vivo_flow *f);
struct vivo_catalog *vivo_flow_catalog(struct vivo_flow *f);
const struct vivo_deid *vivo_flow_deid(const struct vivo_flow *f);
const struct vivo_driver *vivo_flow_driver(const struct vivo_flow *f);
/* The source as typed. */
const char *vivo_flow_source(const struct vivo_flow *f);
/* Appends where an instance is at its source, and the source's version of it; sha256 of
 * its bytes: as the source has told it, or of what it sent, if that is kept here, or
 * "". Originals. -ENOENT: nowhere. Asks nobody. */
int vivo_flow_url(struct vivo_flow *f, vivo_row instance, struct vivo_buf *url,
                  struct vivo_buf *version, char sha256[65], struct vivo_err *err);

/* Was the archive's top listed, or was it searched, in this session or another, as
 * lately as refresh= wants? Never of a local one. */
bool vivo_flow_recent(struct vivo_flow *f);

/* The children of (level, row) are in the catalog, complete as of the last check. */
int vivo_flow_list(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                   struct vivo_op *op);

/* What is selected below (level, row), complete: what the catalog does not know yet is
 * asked of the archive. Caller unrefs. */
int vivo_flow_select(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                     struct vivo_query *q, struct vivo_selection **out,
                     struct vivo_op *op);

/* The same, and the instances of all that is selected are listed, so that they can be
 * counted and written down without asking more. */
int vivo_flow_select_members(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                             struct vivo_query *q, struct vivo_selection **out,
                             struct vivo_op *op);
/* May a selection made at `since_ms` (vivo_now_ms) still be shown? False when it is
 * older than a refresh and rests on what an archive was asked. What was listed longer
 * ago is listed again in the background. Never waits. */
bool vivo_flow_current(struct vivo_flow *f, int64_t since_ms);
/* How the query would be answered now, line by line, and what it came to when it was
 * last asked. Asks nothing of the archive. sum: NULL, or what it adds to. */
struct vivo_flow_cost {
    uint64_t requests, bytes; /* at least, as estimated now */
    uint64_t asked, brought;  /* when last asked, where it was */
    bool known;               /* it was, somewhere */
};
int vivo_flow_explain(struct vivo_flow *f, enum vivo_level level, vivo_row row,
                      struct vivo_query *q, struct vivo_buf *out,
                      struct vivo_flow_cost *sum, struct vivo_err *err);
/* The last lines about several archives. -ENOSPC when they do not fit. */
int vivo_flow_cost_text(const struct vivo_flow_cost *sum, struct vivo_buf *out);

/* Bytes of an object that was opened lately; 0 = it was not. For sizes that the
 * catalog could not keep, its disk being full. */
uint64_t vivo_flow_size_now(struct vivo_flow *f, vivo_row instance);

/* The whole object, de-identified. Its size is exact and in the catalog afterwards.
 * -EPERM policy; -EBADMSG; -ENOENT gone; -EIO …. Caller unrefs. An op that is `early`
 * gets, of a remote object whose header has come and whose size is certain, a view of
 * what is still coming. */
int vivo_flow_object(struct vivo_flow *f, vivo_row instance, struct vivo_view **out,
                     struct vivo_op *op);
/* Where reading such a view said -EAGAIN: -EAGAIN once more, the op being parked, or 0
 * when it may be read by now. Interrupted and timed out as any wait. */
int vivo_flow_await(const struct vivo_view *view, uint64_t off, size_t len,
                    struct vivo_op *op);
/* Were bytes of it given out early that did not prove to be right? Then what a reader
 * has kept of it is not to be used again. */
bool vivo_flow_spoiled(struct vivo_flow *f, vivo_row instance);

/* The whole of a file that is no object (extras.h), as it is. -EPERM under any profile
 * that de-identifies; else as vivo_flow_object. */
int vivo_flow_extra(struct vivo_flow *f, vivo_row extra, struct vivo_view **out,
                    struct vivo_op *op);

/* Asks for the whole headers of a series, where the archive gives any and they are not
 * known: 0 also when it gives none; vivo_entry.headers tells. */
int vivo_flow_headers(struct vivo_flow *f, vivo_row series, struct vivo_op *op);

/* What de-identification does to an object (vivo_deid_audit), asking its source, even
 * when the object is kept: for job threads. */
int vivo_flow_audit(struct vivo_flow *f, vivo_row instance, struct vivo_buf *out,
                    struct vivo_op *op);

/* Runs fn on a job thread, once for all who ask with the same id at the time: what
 * takes long without waiting for the archive. drop(ctx) comes at the end, or at once.
 */
typedef int vivo_work_fn(void *ctx, struct vivo_err *err);
int vivo_flow_work(struct vivo_flow *f, uint64_t id, vivo_work_fn *fn,
                   void (*drop)(void *ctx), void *ctx, struct vivo_op *op);

/* Where an object is, as its user sees it. Never waits for the network. */
enum vivo_kept { VIVO_KEPT_REMOTE, VIVO_KEPT_CACHED, VIVO_KEPT_PINNED };
int vivo_flow_kept(struct vivo_flow *f, vivo_row instance, enum vivo_kept *out,
                   struct vivo_err *err);
/* Another number whenever that may be another answer for some object: what FetchState
 * was told from. Other mounts may share the cache, so it holds for a second at most. */
uint64_t vivo_flow_kept_changes(struct vivo_flow *f);
/* Keeps an object from being evicted, fetching it in the background when it is not
 * here; or no longer. Local objects are as they are. */
int vivo_flow_pin(struct vivo_flow *f, vivo_row instance, bool pinned,
                  struct vivo_err *err);
/* Drops what is kept of an object; whoever has it open reads on. */
int vivo_flow_forget(struct vivo_flow *f, vivo_row instance, struct vivo_err *err);

/* Takes a parked op off its flight: its landed() is then called with EINTR (unless it
 * was landing already). A flight that nobody waits for is cancelled. */
void vivo_flow_interrupt(struct vivo_op *op);

/* Lists again from the top, in the background. */
void vivo_flow_refresh(struct vivo_flow *f);

enum vivo_health {
    VIVO_HEALTH_NONE,
    VIVO_HEALTH_OK,
    VIVO_HEALTH_SCANNING,
    VIVO_HEALTH_FAILING
};
struct vivo_flow_status {
    enum vivo_health health;
    char last_error[VIVO_ERR_TEXT];
    int64_t last_error_time, last_check;   /* Unix seconds; 0 = never */
    uint64_t scan_seen, scan_read;         /* objects of the listing under way */
    uint64_t requests, bytes;              /* to and from the archive */
    uint64_t store_hits, fetches, flights; /* flights = in the air now */
    struct vivo_counts counts;
};
/* Never waits. */
void vivo_flow_status(struct vivo_flow *f, struct vivo_flow_status *out);
/* Objects being fetched or listed now, as JSON objects, comma-separated. */
int vivo_flow_flights_json(struct vivo_flow *f, struct vivo_buf *out);

#endif
