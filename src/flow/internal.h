/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/internal.h -- what the files of src/flow share: the flow itself, and
 * flights (flight.c): one for each listing or object being fetched, run by the job
 * pool of its archive, waited for by any number of parked ops. */
#ifndef VIVOFS_FLOW_INTERNAL_H
#define VIVOFS_FLOW_INTERNAL_H

#include "vivofs/extras.h"
#include "vivofs/flow.h"
#include "vivofs/pool.h"

#include <pthread.h>

enum flight_kind {
    FLIGHT_NONE,
    FLIGHT_LIST,     /* children of (level, row) */
    FLIGHT_HEADERS,  /* headers of a series */
    FLIGHT_OBJECT,   /* bytes of an instance */
    FLIGHT_SEARCH,   /* what meets some conditions; extra = digest of them */
    FLIGHT_DESCRIBE, /* columns of series, in a table; extra = digest of which */
    FLIGHT_PREPARE,  /* what listings will need; extra = digest of which */
    FLIGHT_BUNDLE,   /* bytes of a whole series */
    FLIGHT_WORK,     /* something that needs no archive; extra = what */
    FLIGHT_SELECT,   /* whatever a query needs to know; extra = digest of it */
};

struct flight_key {
    enum flight_kind kind;
    enum vivo_level level;
    vivo_row row;
    uint64_t extra;
};

struct vivo_flight {
    struct vivo_flight *next; /* guarded by the parking mutex, as all but progress */
    struct vivo_flow *flow;
    struct flight_key key;
    struct vivo_op op;       /* of the job; cancelled when nobody waits any more */
    struct vivo_op *waiters; /* parked ops */
    unsigned refs;
    bool keep;                    /* runs on without waiters (background) */
    bool begun, urgent;           /* a job runs it, or did; goes before others */
    atomic_bool pin;              /* what it brings shall stay in the store */
    struct coming *coming;        /* an object that is; NULL = nothing is yet */
    unsigned riders;              /* early views of it that are open */
    atomic_uint_least64_t wanted; /* the least that a waiter wants */
    atomic_bool rides;            /* it waits for what a bundle brings */
    atomic_bool ours; /* it waits for our own work alone: no archive is silent */
    int64_t began_ms;
    atomic_int_least64_t progress_ms; /* last sign of life of the archive */
    atomic_bool heard;                /* there was one for this flight */
    /* Progress, for status.json: `seen` things of a listing, `things` of them read. */
    atomic_uint_least64_t bytes, seen, things;
    /* 0, a negative errno with op.err set, or FLIGHT_ALOFT: flight_land comes later. */
    int (*run)(struct vivo_flight *);
    void (*cancel)(struct vivo_flight *); /* NULL, or called once after cancelling */
    void (*drop)(struct vivo_flight *);   /* NULL, or frees ctx at the end */
    void *ctx;
};

enum { FLIGHT_ALOFT = 1 };

/* coming.c: raw bytes are kept in memory until they are more than that. */
#define RAW_SMALL_MAX (UINT64_C(1) << 20)
/* Another nameless file with the first `size` bytes: in `dir`, NULL = in memory. *fd is
 * the same as before if it fails. */
int raw_move(int *fd, const char *dir, uint64_t size, struct vivo_err *err);

struct flight_plan {
    struct flight_key key;
    int (*run)(struct vivo_flight *);
    bool keep, pin;
    bool urgent; /* somebody waits for it, though not on it */
    void *ctx;   /* ownership passes to a flight that is made; else `drop` frees it */
    void (*cancel)(struct vivo_flight *);
    void (*drop)(struct vivo_flight *);
};

/* Joins the flight of this key, or starts it. op NULL: nobody waits. Returns -EAGAIN
 * with op parked; or, when op->landed is NULL, waits and returns the verdict. */
int flight_join(struct vivo_flow *f, const struct flight_plan *plan,
                struct vivo_op *op);
/* Ends a flight that is aloft. err->errnum 0 = well. */
void flight_land(struct vivo_flight *flight, const struct vivo_err *err);
/* A flight that is aloft runs again. */
void flight_again(struct vivo_flight *flight);
/* The archive gave a sign of life. */
void flight_progress(struct vivo_flight *flight, uint64_t bytes);
/* Times out waiters whose archive has been silent; called by the flow's ticker. */
void flight_tick(struct vivo_flow *f);
/* Fills in how many flights are in the air and how far the listing is. */
void flight_status(struct vivo_flow *f, struct vivo_flow_status *out);
/* Cancels every flight of the flow. */
void flight_cancel_all(struct vivo_flow *f);

enum { RECENT_VIEWS = 64 };

struct recent_view { /* strong references to what was opened last */
    vivo_row row;
    struct vivo_view *view;
    uint64_t used;
};

enum { COSTS = 64 };
struct query_cost { /* of a query, when it was last learned for */
    uint64_t digest, requests, bytes;
    int64_t ms;
    bool known;
};

struct vivo_flow {
    char name[VIVO_NAME_MAX + 1];
    struct vivo_archive *archive;
    const struct vivo_filter *filter; /* NULL = all objects */
    const struct vivo_deid *deid;
    struct vivo_store *store;
    struct vivo_catalog *catalog;
    struct vivo_pool *pool;
    bool local, offline, lazy, closed;
    atomic_int_least64_t heard_ms; /* last sign of life of the archive to any flight */
    enum vivo_names names;
    int64_t timeout_ms, refresh_s;
    int64_t forced_ms;    /* guarded by mutex: listed before is old; Unix time */
    uint64_t headers_max; /* objects whose headers one query may read one by one */
    void (*changed)(void *ctx);
    void *changed_ctx;

    struct vivo_flight *flights; /* guarded by the parking mutex of flight.c */
    struct searches *searches;   /* found.c; NULL when there is no pushdown */
    struct bundles *bundles;     /* NULL: the archive has none, or nothing is kept */
    struct ahead *ahead;         /* NULL when nothing is kept, or local and as it is */
    atomic_bool packing;         /* a job that has not begun will make columns */
    atomic_bool stale; /* the source changed since the listing under way began */

    pthread_mutex_t mutex;
    pthread_cond_t tick;
    bool ending;                             /* guarded by mutex */
    struct recent_view recent[RECENT_VIEWS]; /* guarded by mutex */
    uint64_t clock;                          /* guarded by mutex */
    struct vivo_flow_status status;          /* guarded by mutex */
    struct checked_node *checked;            /* guarded by mutex: listed this session */
    size_t nchecked, checked_cap;            /* guarded by mutex */
    struct query_cost costs[COSTS];          /* guarded by mutex; by digest */
    uint64_t asked, brought; /* guarded by mutex: requests and bytes of all queries */
    vivo_row *spoiled;       /* guarded by mutex: read early, and failed then */
    size_t nspoiled, spoiled_cap;
    bool all_spoiled;
    pthread_t ticker, watcher;
    bool ticking, watching;
    struct vivo_op watch_op; /* cancelled when the flow closes */
};

/* scan.c: the jobs of FLIGHT_LIST and FLIGHT_HEADERS. */
int scan_run_list(struct vivo_flight *flight);
int scan_run_headers(struct vivo_flight *flight);
/* What a search brought, in the order of it. */
struct search_rows {
    struct row_list {
        vivo_row *rows;
        size_t n, cap;
    } series, studies;
};
/* The job of FLIGHT_SEARCH, up to the catalog. -ENOENT: the archive cannot tell. */
int scan_run_search(struct vivo_flight *flight, const struct vivo_match *matches,
                    size_t n, struct search_rows *found);
/* scan_object.c: the header of one object, from its bytes to a record as shown. */
struct object_put {
    struct vivo_put put;
    struct vivo_buf attrs;
    char uid[2 * VIVO_DIGEST_LEN + 1];
    struct vivo_view *view; /* NULL when refused, or only described */
    uint64_t size;          /* of the file */
    bool foreign;           /* -EBADMSG, because it is another kind of file */
    bool filtered;          /* -EBADMSG, because it does not pass the filter */
};
/* Takes fd over. -EBADMSG: no DICOM object. Refused objects are 0 with put.refusal. */
int object_read(struct vivo_flow *f, int fd, const char *locator, const char *version,
                struct object_put *out, struct vivo_err *err);
/* The same without a view. */
int object_describe(struct vivo_flow *f, int fd, const char *locator,
                    const char *version, struct object_put *out, struct vivo_err *err);
void object_put_free(struct object_put *o);
/* Asks a local driver for a descriptor: of an object, or of the extra of that name. */
int object_descriptor(struct vivo_flow *f, const char *locator, struct vivo_op *op);
int flow_descriptor(struct vivo_flow *f, const char *locator, const char *extra,
                    struct vivo_op *op);

/* extra.c: files that are no objects; their entries with their names. */
struct extra_entry {
    struct vivo_extra_entry e;
    char name[VIVO_NAME_MAX + 1];
};
int extra_copy_entry(void *ctx, const struct vivo_extra_entry *e);
int extra_open_local(struct vivo_flow *f, vivo_row row, const char *name,
                     struct vivo_view **out, struct vivo_op *op);
/* As fetch_keep, but what came stays as it is; *out: the view of it. */
int extra_keep(struct vivo_flow *f, const struct vivo_extra_entry *e, int *fd,
               uint64_t size, const struct vivo_store_key *key, bool pin,
               struct vivo_view **out, struct vivo_err *err);
/* fetch.c: from what was opened lately, the store or the archive. */
int flow_open_extra(struct vivo_flow *f, const struct vivo_extra_entry *e,
                    struct vivo_view **out, struct vivo_op *op);

/* copies.c: fills in put->copy, of an object whose UID `other` has. */
void copies_compare(struct vivo_flow *f, struct vivo_put *put, vivo_row other);

/* label.c: the archive's own names of things, as shown. */
/* Does it list InstanceNumber, or need headers for all it lists? */
bool flow_lists_numbers(const struct vivo_driver *d);
enum { LABEL_MAX = 64 }; /* bytes */
void label_collection(const struct vivo_flow *f, const char *name,
                      char out[LABEL_MAX + 1]);
/* Of a subject: the PatientID that its label would be shown as. */
int label_patient(const struct vivo_flow *f, const char *label, char out[LABEL_MAX + 1],
                  struct vivo_err *err);
/* Of a thing without a UID. */
void label_key(const struct vivo_flow *f, const char *key, char out[LABEL_MAX + 1]);

/* describe.c: columns that the archive has of many series at once. */
/* Would they help a query? */
bool describe_helps(const struct vivo_flow *f, const struct vivo_query *q);
bool describe_has(const struct vivo_flow *f, uint32_t tag);
/* Asks for those of n series, VIVO_DESCRIBE_MAX at most, as vivo_flow_list lists. */
int describe_series(struct vivo_flow *f, const vivo_row *series, size_t n,
                    struct vivo_op *op);

/* The locator of a record, to be freed. 1: it has gone meanwhile, or there is none of
 * its own. */
int locator_of(struct vivo_flow *f, enum vivo_level level, vivo_row row, char **out,
               struct vivo_err *err);

/* prepare.c: listings that an archive can be asked for many at once. */
/* Can those of this level? */
enum { PREPARE_WORTH = 3 }; /* fewer are as cheap one by one */
bool prepare_helps(const struct vivo_flow *f, enum vivo_level level);
/* Asks for what is below n of them, VIVO_PREPARE_MAX at most; they are listed next. */
int prepare_listings(struct vivo_flow *f, enum vivo_level level, const vivo_row *rows,
                     size_t n, struct vivo_op *op);

/* cost.c: of the headers that are pending. */
struct headers_cost {
    size_t series;
    uint64_t objects; /* at least */
};
/* True: more than headers_max allows. Zeros where headers cost little. */
bool headers_are_dear(const struct vivo_flow *f);
bool headers_cost(struct vivo_flow *f, const struct vivo_selection *sel,
                  struct headers_cost *out);
/* -EIO, and why. */
int check_headers_cost(struct vivo_flow *f, const struct vivo_selection *sel,
                       struct vivo_err *err);

/* learn.c: what tells queries apart. */
uint64_t query_digest(const struct vivo_query *q);

/* flow.c */
/* A vivo_entry_fn that copies the entry, without its name, to ctx. */
/* The locator of a node, to ask the archive for it. member: what has none, having come
 * with something above, is known by its first child's. */
int flow_locator(struct vivo_flow *f, enum vivo_level level, vivo_row row, bool member,
                 struct vivo_buf *out, struct vivo_err *err);
int flow_copy_entry(void *ctx, const struct vivo_entry *e);
void flow_failed(struct vivo_flow *f, const struct vivo_err *err);
/* Whoever reads it may have many archives: the text begins with this one's name. */
void flow_name_error(const struct vivo_flow *f, struct vivo_err *err);
void flow_recovered(struct vivo_flow *f);
/* Of what was asked of the archive: rc, with its health noted. */
int flow_told(struct vivo_flight *flight, int rc);
void flow_changed(struct vivo_flow *f);
int64_t flow_wall_ms(void); /* Unix */
/* Was something learned (flow_wall_ms), in this session or another one, as lately as
 * refresh= wants? */
bool flow_is_recent(struct vivo_flow *f, int64_t at_ms);
/* Something was listed or described: its columns are made by another job. */
void flow_pack(struct vivo_flow *f);
/* coming.c: bytes of it were given out that did not prove right. */
void flow_spoil(struct vivo_flow *f, vivo_row row);
/* ahead.c */
struct ahead *ahead_new(void); /* NULL = ENOMEM */
void ahead_free(struct ahead *a);
enum { AHEAD_WINDOW = 64 };
struct ahead_rows {
    size_t n;
    vivo_row rows[AHEAD_WINDOW];
};
/* An object is about to be opened: what a reader in order will want next goes to `out`,
 * to be fetched once the flight of the first is on its way. */
void ahead_opening(struct vivo_flow *f, vivo_row series, vivo_row row,
                   struct ahead_rows *out);
void ahead_fetch(struct vivo_flow *f, const struct ahead_rows *next);
/* What was to come in one go does not. */
void ahead_again(struct vivo_flow *f, vivo_row series);
/* A local object was read that was not prepared: prepares what will be next. */
void ahead_read(struct vivo_flow *f, vivo_row series, vivo_row row);
/* bundle.c */
struct bundles *bundles_new(void); /* NULL = ENOMEM */
void bundles_free(struct bundles *b);
/* Is the series on its way in one go, perhaps from now on? */
bool bundle_begin(struct vivo_flow *f, vivo_row series);
/* At the start of an object's flight: true = it is aloft, a bundle lands it. */
bool bundle_ride(struct vivo_flow *f, struct vivo_flight *flight);
/* fetch.c: de-identifies what came and keeps it. *fd: the raw bytes; -1 once they are a
 * view's. */
int fetch_keep(struct vivo_flow *f, vivo_row row, int *fd, uint64_t size,
               const struct vivo_store_key *key, bool pin, struct vivo_err *err);
/* fetch.c: makes the view of a local object, for whoever opens it soon. */
void prepare_local(struct vivo_flow *f, vivo_row row);
/* flight.c: what is on its way is not pinned when it lands. */
void flight_unpin(struct vivo_flow *f, vivo_row row);
/* fetch.c: fetches an object into the store though nobody waits for it; pin: to stay.
 */
void fetch_in_background(struct vivo_flow *f, vivo_row row, bool pin);
enum { FLOW_LOCATOR_MAX = 64 * 1024 };
/* fetch.c: under which name the store keeps an object; its locator is found on the way.
 */
/* Is the SHA-256 of what is kept that of a file in the archive? */
bool flow_digests(const struct vivo_flow *f);
int flow_store_key(struct vivo_flow *f, vivo_row row, struct vivo_store_key *key,
                   struct vivo_buf *locator, struct vivo_err *err);
int flow_store_key_of(const struct vivo_flow *f, const char *locator,
                      const struct vivo_buf *version, struct vivo_store_key *key,
                      struct vivo_err *err);
/* keep.c: for FetchState. */
struct vivo_whereabouts flow_whereabouts(struct vivo_flow *f);
/* fetch.c: the next to open it asks the store again. */
void flow_drop_view(struct vivo_flow *f, vivo_row row);

/* Starts a listing that nobody waits for. */
void flow_list_in_background(struct vivo_flow *f, enum vivo_level level, vivo_row row);

#endif
