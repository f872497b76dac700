/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/catalog.h -- what exists, as shown; the user of SQLite.
 *
 * One catalog per (source, profile digest, key id), WAL, 0600. DESIGN C6. Values are
 * as shown; locators (originals) are sealed and looked up by HMAC. A series keeps
 * the attributes of its first member, the sorted tags that vary among its members,
 * and each instance its difference; so a query decides most series without
 * looking at one instance. Row numbers are never used again. */
#ifndef VIVOFS_CATALOG_H
#define VIVOFS_CATALOG_H

#include "vivofs/model.h"
#include "vivofs/query.h"

#include <stdbool.h>
#include <stdint.h>

struct vivo_catalog; /* thread-safe: a small pool of reader connections, one writer */
typedef int64_t vivo_row; /* 0 = no row; with VIVO_LEVEL_NONE the archive itself */

struct vivo_catalog_config {
    const char *path;          /* NULL = a private temporary one */
    const uint8_t *seal_key;   /* 32 bytes: locators are AES-256-GCM sealed; NULL =
                                  kept plain (nothing is de-identified) */
    const uint8_t *lookup_key; /* 32 bytes, NULL with seal_key */
    bool plain_names;          /* descriptions are no part of names */
    enum vivo_names names;     /* the layout; another one is another catalog */
};
/* -EIO: cannot be opened. A damaged or older-schema database is moved aside (".bad")
 * and begun anew, with a warning in the log. */
int vivo_catalog_open(const struct vivo_catalog_config *cfg, struct vivo_catalog **out,
                      struct vivo_err *err);
void vivo_catalog_close(struct vivo_catalog *c);

/* Grows with every commit that changes what is shown; not for a size that was learned
 * at open. */
uint64_t vivo_catalog_generation(struct vivo_catalog *c);

/* ---- reading --------------------------------------------------------------------- */

struct vivo_entry { /* borrowed for the callback unless copied; no pointers but name */
    vivo_row row, parent;
    enum vivo_level level;
    const char *name; /* unique in its parent */
    uint64_t size;    /* INSTANCE: bytes; an estimate (never 0) unless size_exact */
    bool size_exact;
    uint32_t version;  /* INSTANCE: counts changes of its bytes */
    int refusal;       /* INSTANCE: enum vivo_refusal, 0 = released */
    int64_t mtime;     /* Unix seconds: the study's date as shown, else 2000-01-01 */
    bool listed;       /* its children are known */
    int64_t listed_ms; /* when, Unix time; 1 = with something above; 0 = not */
    bool headers;      /* SERIES, INSTANCE: whole headers are known */
};
/* Non-zero ends the iteration and is returned. */
typedef int vivo_entry_fn(void *ctx, const struct vivo_entry *e);

struct vivo_selection;

/* The child of (level, parent) named so (exact, else the one with the same _<u>):
 * 0 and fn called once; -ENOENT. With `sel`, only if it is selected. */
int vivo_catalog_find(struct vivo_catalog *c, enum vivo_level level, vivo_row parent,
                      const struct vivo_selection *sel, const char *name,
                      vivo_entry_fn *fn, void *ctx, struct vivo_err *err);
/* The children of (level, parent) in order of name. */
int vivo_catalog_children(struct vivo_catalog *c, enum vivo_level level,
                          vivo_row parent, const struct vivo_selection *sel,
                          vivo_entry_fn *fn, void *ctx, struct vivo_err *err);
/* One thing by row: -ENOENT when gone. level NONE: only `listed` is set. */
int vivo_catalog_get(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                     vivo_entry_fn *fn, void *ctx, struct vivo_err *err);
/* Its locator (unsealed) or, for an instance with copies, the first; NUL-terminated.
 * version: NULL or gets the source's version stamp. -ENOENT when it has none. */
int vivo_catalog_locator(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                         struct vivo_buf *locator, struct vivo_buf *version,
                         struct vivo_err *err);
/* Its attributes as shown (instance: merged with its series'). */
int vivo_catalog_attrs(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       struct vivo_buf *out, struct vivo_err *err);

struct vivo_counts {
    uint64_t collections, patients, studies, series, instances, bytes, refused, at_risk,
        others, extras; /* extras: of the archive as a whole only */
};
/* Below (level, row), of what is selected; only what opens (refused ones are in
 * .refused only). */
int vivo_catalog_count(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       const struct vivo_selection *sel, struct vivo_counts *out,
                       struct vivo_err *err);
/* What the archive says of the licence and how to cite, of a collection or, where it
 * tells each series its own, of all series of it that are known: appended, may stay
 * empty. */
int vivo_catalog_words(struct vivo_catalog *c, vivo_row collection,
                       struct vivo_buf *license, struct vivo_buf *citation,
                       struct vivo_err *err);
/* What the archive says of an instance with the attributes `a`, to be told again
 * elsewhere; each is appended and may stay empty. patient: what stands for its ID. */
struct vivo_told {
    struct vivo_buf collection, patient, license, citation;
};
int vivo_catalog_told(struct vivo_catalog *c, vivo_row instance, struct vivo_attrs a,
                      struct vivo_told *out, struct vivo_err *err);
/* Path of names from the collection down, '/'-separated, for messages and exports. */
int vivo_catalog_path(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                      struct vivo_buf *out, struct vivo_err *err);
/* Refused instances below (level, row). */
int vivo_catalog_refused(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                         vivo_entry_fn *fn, void *ctx, struct vivo_err *err);

/* ---- queries ---- */

/* What has to be learned before the selection is complete. */
struct vivo_pending {
    enum vivo_level level;
    vivo_row row;
    bool headers; /* true: headers of this series; false: children of this node */
};

/* What the archive was asked about one part of a query, the whole of it or the E of a
 * level(E): whatever can match is below one of `rows`, or below one that is not among
 * `seen` and came after `upto`. */
struct vivo_cover {
    const struct vivo_query_node *of; /* the query's root (whole), or a LEVEL node, */
    bool whole;                       /* which may be the root as well */
    const vivo_row *rows, *seen;      /* ascending, of any level */
    size_t n, nseen;
    vivo_row upto;
};
/* Where objects are at this moment, for FetchState: one word. */
struct vivo_whereabouts {
    const char *all; /* NULL, or the same for every object */
    /* Of one, by what it is found with; *word is a constant. NULL = cannot be told. */
    int (*of)(void *ctx, const char *locator, const struct vivo_buf *version,
              const char **word, struct vivo_err *err);
    void *ctx; /* outlives the selection */
};
struct vivo_scope {
    struct vivo_whereabouts here;
    const struct vivo_cover *covers;
    size_t ncovers;
    /* Levels, as 1 << VIVO_LEVEL_…: nodes of these that are selected and not listed
     * are pending too, so that in the end instances can be counted. */
    unsigned members;
};
/* Evaluates a query over everything below (level, row): SQL on the typed columns
 * narrows, vivo_query_eval decides what is left. The result is a compact object,
 * immutable, reference-counted, of this catalog's generation. 0 even when something
 * is pending: look at vivo_selection_pending. scope: NULL, or what is known besides
 * (nodes that were never listed and are covered are not pending); borrowed for the
 * call, its nodes are those of q. */
int vivo_catalog_select(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                        const struct vivo_query *q, const struct vivo_scope *scope,
                        struct vivo_selection **out, struct vivo_err *err);
/* Is everything below the node selected, so that it has to be listed to be shown? */
int vivo_catalog_whole(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                       const struct vivo_selection *sel, bool *whole,
                       struct vivo_err *err);
struct vivo_selection *vivo_selection_ref(struct vivo_selection *s);
void vivo_selection_unref(struct vivo_selection *s);
const struct vivo_pending *vivo_selection_pending(const struct vivo_selection *s,
                                                  size_t *n);
uint64_t vivo_selection_generation(const struct vivo_selection *s);
/* Is all that is selected listed, as with vivo_scope.members at all levels? */
bool vivo_selection_listed(const struct vivo_selection *s);
/* Distinct values, as shown, of an attribute below (level, row), in order of UTF-8
 * bytes; for facets. value NULL = missing. */
typedef int vivo_value_fn(void *ctx, const char *value, uint64_t instances);
int vivo_catalog_values(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                        const struct vivo_selection *sel, uint32_t tag,
                        vivo_value_fn *fn, void *ctx, struct vivo_err *err);
/* The same of a virtual attribute of nodes, which sel's query names; instances 0. */
int vivo_catalog_computed_values(struct vivo_catalog *c, enum vivo_level level,
                                 vivo_row row, const struct vivo_selection *sel,
                                 enum vivo_query_virtual which, vivo_value_fn *fn,
                                 void *ctx, struct vivo_err *err);

/* ---- writing ---- */

/* A listing being taken in: of the children of (level, row). Puts go through it; one
 * thread at a time. What of this parent was neither put nor known by the end is
 * gone, and empty ancestors with it. Committed in batches, but shown (listed) only at
 * the end; after a crash the half-listed parent is simply not listed. */
struct vivo_listing;
int vivo_catalog_list_begin(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                            struct vivo_listing **out, struct vivo_err *err);
/* True, and it stays, when an object (or other file) with this locator and version is
 * known. May be called from several threads. */
bool vivo_listing_known(struct vivo_listing *l, const char *locator,
                        const char *version);

enum vivo_copy { VIVO_COPY_ASK, VIVO_COPY_SAME, VIVO_COPY_DIFFERENT };

struct vivo_put { /* a record as shown */
    enum vivo_level level;
    const char *locator;            /* original; sealed */
    const char *where;              /* INSTANCE: as vivo_record; NULL under a profile */
    const char *collection;         /* as shown; NULL = "all" */
    const char *patient;            /* as shown; NULL = PatientID of attrs */
    const char *key;                /* as shown; NULL = the UID of attrs */
    const char *license, *citation; /* COLLECTION, SERIES: or NULL */
    const char *label, *path;       /* vivo_record; NULL under de-identification */
    const char *version;
    uint64_t size;
    bool size_exact;
    struct vivo_attrs attrs;
    bool headers;
    int refusal;
    bool at_risk;
    const char *uid;     /* INSTANCE without SOPInstanceUID: a digest of its content */
    enum vivo_copy copy; /* what to do when another object has its SOP Instance UID:
                            ASK = put nothing, return -EEXIST and the other's row */
    vivo_row same_as;    /* SAME: the object that it is a copy of; 0 = the other */
    /* 0, or of a search, which skips levels: those that the driver lists (vivo_driver),
     * so that the listing that will bring it again knows it for its own. */
    unsigned lists;
    /* INSTANCE: the archive does not list InstanceNumber, so that a header that is here
     * before the listing has no say in the name (DESIGN A1). */
    bool unnumbered;
};
/* 0 and *row; -EEXIST as above; -ENOENT: the parent has been removed meanwhile. The
 * same locator again replaces what it was. */
int vivo_listing_put(struct vivo_listing *l, const struct vivo_put *put, vivo_row *row,
                     struct vivo_err *err);
/* The objects that have the SOP Instance UID of `row`, itself included, each with a
 * locator of its own; after -EEXIST. Non-zero ends it and is returned. */
typedef int vivo_rival_fn(void *ctx, vivo_row row, const char *locator);
int vivo_catalog_rivals(struct vivo_catalog *c, vivo_row row, vivo_rival_fn *fn,
                        void *ctx, struct vivo_err *err);
/* A file that is no object (other = counted only). */
int vivo_listing_other(struct vivo_listing *l, const char *locator, const char *version,
                       struct vivo_err *err);
/* complete: the parent is listed as of now and what was not seen is removed;
 * otherwise everything seen stays and nothing is removed. Frees l. */
int vivo_listing_end(struct vivo_listing *l, bool complete, struct vivo_err *err);
/* Makes columns of what was listed since. Queries are only faster with them. */
int vivo_catalog_pack(struct vivo_catalog *c, struct vivo_err *err);

/* Attributes of series as shown, learned later from a table of the archive: they go on
 * top of the series' record, until it is listed again. Series that are gone are left
 * out. */
struct vivo_described {
    vivo_row series;
    struct vivo_attrs attrs;
};
int vivo_catalog_describe(struct vivo_catalog *c, const struct vivo_described *d,
                          size_t n, struct vivo_err *err);

/* The size learned at open. */
int vivo_catalog_set_size(struct vivo_catalog *c, vivo_row instance, uint64_t size,
                          struct vivo_err *err);
/* The object's bytes are not what they were: new version, header, size. */
int vivo_catalog_replace(struct vivo_catalog *c, vivo_row instance,
                         const struct vivo_put *put, struct vivo_err *err);
int vivo_catalog_set_refusal(struct vivo_catalog *c, vivo_row instance, int refusal,
                             struct vivo_err *err);

#endif
