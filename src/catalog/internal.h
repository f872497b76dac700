/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/internal.h -- the catalog object, its readers and its one writer.
 *
 * Readers: at most VIVO_CATALOG_READERS connections, lent to one thread at a time and
 * never held during a caller's callback. Writer: one connection under a mutex; batches
 * of a listing stay open in it for at most a second. */
#ifndef VIVOFS_CATALOG_INTERNAL_H
#define VIVOFS_CATALOG_INTERNAL_H

#include "catalog/db.h"
#include "vivofs/catalog.h"
#include "vivofs/hash.h"

#include <pthread.h>
#include <stdatomic.h>

#define VIVO_CATALOG_READERS 8
#define VIVO_CATALOG_CHUNK 512  /* entries read at a time */
#define VIVO_CATALOG_SLOTS 1024 /* series and studies remembered by the writer */
#define VIVO_CATALOG_REMEMBERED (16u << 20) /* bytes of their attributes */
#define VIVO_CATALOG_BATCH 5000             /* puts in one transaction */
#define VIVO_CATALOG_HOT_MAX 64             /* attributes in a series' hot set */
#define VIVO_CATALOG_KEY_LEN 16             /* bytes of a lookup or a stamp */
#define VIVO_CATALOG_LOCATOR_MAX (64u << 10)
#define VIVO_CATALOG_MTIME 946684800 /* 2000-01-01, DESIGN A2 */

/* meta.id */
enum { META_GENERATION = 1, META_NEXT_ID = 2, META_LISTED = 3 };

/* Where a series' base comes from (series.origin). */
enum {
    ORIGIN_NONE,
    ORIGIN_RECORD,   /* the archive's record of the series: what an instance lacks is
                        unknown, and may be as in the series */
    ORIGIN_INSTANCE, /* the first instance's record, no whole header */
    ORIGIN_HEADER,   /* a whole header */
};

/* What the writer remembers of a series between puts; flushed at each commit. */
struct vivo_sstate {
    vivo_row id, study; /* id 0 = empty slot */
    struct vivo_buf base;
    uint32_t *varying; /* ascending */
    size_t nvarying, cap_varying;
    int origin;
    bool kept, dirty, dirty_base;
    bool altered; /* more than sizes: its columns are void */
    char namer[VIVO_UID_MAX + 1];
    int64_t members, known, open, bytes, risk;
};

struct vivo_pstate { /* the series of a record with these ancestors' keys, see nodes.c
                      */
    char *path;
    vivo_row series;
};

struct vivo_tstate { /* what it remembers of a study */
    vivo_row id;
    bool kept;
    char namer[VIVO_UID_MAX + 1];
};

struct vivo_code_table;

struct vivo_writer {
    pthread_mutex_t mutex; /* guards all of it */
    struct vivo_catdb db;
    bool in_txn, dirty; /* dirty: what is shown has changed */
    bool emptied;       /* something was removed: parents may be empty */
    unsigned puts;
    int64_t began_ms;
    uint64_t rollbacks; /* listings with puts in a lost batch fail */
    bool plain_names;   /* as vivo_catalog_config says; never changes */
    enum vivo_names names;
    int64_t next_id;
    int64_t data_version;
    struct vivo_sstate series[VIVO_CATALOG_SLOTS];
    struct vivo_tstate studies[VIVO_CATALOG_SLOTS];
    struct vivo_pstate paths[VIVO_CATALOG_SLOTS];
    size_t remembered; /* bytes of bases in `series` */
    struct vivo_buf scratch, scratch2;
    struct vivo_code_table *codes; /* codes.c; while columns are made, else NULL */
    pthread_t ticker;              /* commits a batch that nobody goes on with */
    pthread_cond_t tick;
    bool ticking, closing;
};

struct vivo_catalog {
    char *path;
    char *temporary; /* directory to remove, or NULL */
    bool sealed;
    uint8_t seal_key[32];
    struct vivo_hmac lookup_key;
    atomic_uint_least64_t generation;
    atomic_int_least64_t generation_checked_ms;
    atomic_uint_least64_t commits; /* of this process, whatever they changed */
    struct vivo_lately *lately;

    pthread_mutex_t pool_mutex;
    pthread_cond_t pool_free;
    struct vivo_catdb readers[VIVO_CATALOG_READERS];
    bool lent[VIVO_CATALOG_READERS];

    struct vivo_writer w;
};

/* ---- info.c: vivo_catalog_locator with a reader that one has ----------------------
 */

int vivo_catalog_locator_in(const struct vivo_catalog *c, struct vivo_catdb *d,
                            enum vivo_level level, vivo_row row,
                            struct vivo_buf *locator, struct vivo_buf *version,
                            struct vivo_err *err);

/* ---- rows.c --------------------------------------------------------------------- */

struct vivo_rowset { /* ascending after vivo_catalog_rowset_sort */
    vivo_row *rows;
    size_t n, cap;
};
int vivo_catalog_rowset_add(struct vivo_rowset *s, vivo_row row);
void vivo_catalog_rowset_sort(struct vivo_rowset *s); /* and without repeats */
bool vivo_catalog_rowset_has(const struct vivo_rowset *s, vivo_row row);

/* ---- catalog.c ------------------------------------------------------------------ */

/* Waits until one of the readers is free. NULL: err is set. */
struct vivo_catdb *vivo_catalog_reader(struct vivo_catalog *c, struct vivo_err *err);
void vivo_catalog_reader_done(struct vivo_catalog *c, struct vivo_catdb *d);
int64_t vivo_catalog_now_ms(void);

/* Locks the writer and opens a transaction if none is open. On failure unlocked. */
int vivo_catalog_write_begin(struct vivo_catalog *c, struct vivo_err *err);
/* Ends one step. rc < 0 rolls the whole batch back; `now` commits it, otherwise it is
 * committed when it is large or a second old. Unlocks. Returns rc or the failure. */
int vivo_catalog_write_end(struct vivo_catalog *c, int rc, bool now,
                           struct vivo_err *err);

/* Starts the thread that commits forgotten batches, once; before the first put and not
 * when opening, which may be before a fork. */
int vivo_catalog_start_ticker(struct vivo_catalog *c, struct vivo_err *err);

/* ---- lately.c ------------------------------------------------------------------- */

/* What was read holds as long as the mark that was taken before is the same. */
struct vivo_catalog_mark {
    uint64_t generation, commits;
};
struct vivo_catalog_mark vivo_lately_mark(struct vivo_catalog *c);
struct vivo_lately *vivo_lately_new(void); /* thread-safe; NULL = ENOMEM */
void vivo_lately_free(struct vivo_lately *l);
/* Of an instance; false: it has to be read. */
bool vivo_lately_entry(struct vivo_lately *l, vivo_row row,
                       const struct vivo_catalog_mark *mark, struct vivo_entry *e,
                       char name[VIVO_NAME_MAX + 1]);
bool vivo_lately_locator(struct vivo_lately *l, vivo_row row,
                         const struct vivo_catalog_mark *mark, struct vivo_buf *locator,
                         struct vivo_buf *version); /* version may be NULL */
void vivo_lately_keep(struct vivo_lately *l, const struct vivo_catalog_mark *mark,
                      const struct vivo_entry *e, const char *name);
/* Of an instance whose entry is kept. */
void vivo_lately_keep_locator(struct vivo_lately *l, vivo_row row,
                              const struct vivo_catalog_mark *mark,
                              const struct vivo_buf *locator,
                              const struct vivo_buf *version);

/* ---- seal.c --------------------------------------------------------------------- */

struct vivo_digests {
    uint8_t plain[VIVO_CATALOG_KEY_LEN];  /* of the locator; in names */
    uint8_t lookup[VIVO_CATALOG_KEY_LEN]; /* the same, in the order of folders */
    uint8_t stamp[VIVO_CATALOG_KEY_LEN];  /* of locator and version */
};
void vivo_catalog_digests(const struct vivo_catalog *c, const char *locator,
                          const char *version, struct vivo_digests *out);
/* Replaces out by locator and version, sealed when there is a key. */
int vivo_catalog_seal(const struct vivo_catalog *c, const char *locator,
                      const char *version, struct vivo_buf *out, struct vivo_err *err);
int vivo_catalog_unseal(const struct vivo_catalog *c, struct vivo_attrs sealed,
                        struct vivo_buf *locator, struct vivo_buf *version,
                        struct vivo_err *err);
/* The locator as shown: itself, or hexadecimal of its HMAC; for duplicate names. */
int vivo_catalog_shown(const struct vivo_catalog *c, const char *locator,
                       struct vivo_buf *out);

/* ---- hot.c ---------------------------------------------------------------------- */

/* Number of a hot attribute, or -1; the tag of a number (0 beyond the last). */
int vivo_catalog_hot(uint32_t tag);
uint32_t vivo_catalog_hot_tag(unsigned n);
/* Levels of the attributes that model's table knows, else VIVO_LEVEL_NONE. */
enum vivo_level vivo_catalog_tag_level(uint32_t tag);
/* Replaces out by the hot attributes of a; the bits of varying tags. Bit 63: functional
 * groups are there, so that the hot set does not tell what the root lacks. */
#define VIVO_CATALOG_HOT_GROUPS ((uint64_t)1 << 63)
int vivo_catalog_hot_make(struct vivo_attrs a, const uint32_t *varying, size_t n,
                          struct vivo_buf *out, uint64_t *mask);
bool vivo_catalog_tags_have(const uint32_t *tags, size_t n, uint32_t tag);

/* ---- nodes.c (writer locked, in a transaction) ------------------------------------
 */

int64_t vivo_catalog_next_id(struct vivo_writer *w);
/* First 6 characters of what stands where names have their u, or "". */
void vivo_catalog_name_u(const char *name, char out[7]);
/* The series that an instance record belongs to, made with its ancestors as needed.
 * Valid until the next call of it. */
int vivo_catalog_series_for(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                            const struct vivo_put *put, struct vivo_sstate **out,
                            struct vivo_err *err);
/* The collection of this label, made if need be; of an archive listed from its top. */
int vivo_catalog_collection_for(struct vivo_catalog *c, const char *collection,
                                vivo_row *out, struct vivo_err *err);
/* A record of a collection, patient, study or series. */
int vivo_catalog_put_node(struct vivo_catalog *c, enum vivo_level level, vivo_row row,
                          const struct vivo_put *put, vivo_row *out,
                          struct vivo_err *err);
/* The base of a series that has no instance's attributes yet: study and series. */
int vivo_catalog_base_from_record(struct vivo_writer *w, vivo_row id, vivo_row study,
                                  struct vivo_attrs attrs, struct vivo_err *err);
/* Series and study are named after the smallest SOP Instance UID until kept. */
int vivo_catalog_rename_for(struct vivo_catalog *c, struct vivo_sstate *ss,
                            const char *uid, struct vivo_attrs a, struct vivo_err *err);

/* ---- series.c (writer locked) -----------------------------------------------------
 */

/* The state of a series, loaded if need be; valid until the next call of it. */
int vivo_catalog_series_get(struct vivo_writer *w, vivo_row id,
                            struct vivo_sstate **out, struct vivo_err *err);
int vivo_catalog_flush(struct vivo_writer *w, struct vivo_err *err);
/* Forgets all that is remembered (flush first). */
void vivo_catalog_forget(struct vivo_writer *w);
/* The difference of a new or changed member, into w->scratch; base and varying tags
 * are brought up to date. */
int vivo_catalog_series_diff(struct vivo_writer *w, struct vivo_sstate *ss,
                             struct vivo_attrs a, bool headers, struct vivo_err *err);

int vivo_catalog_write_diff(struct vivo_writer *w, vivo_row instance,
                            struct vivo_attrs diff, struct vivo_err *err);

/* ---- put.c, copy.c, remove.c (writer locked)
 * ------------------------------------------------ */

struct vivo_source_ids {
    int64_t source; /* the source row that now stands for the locator */
    int64_t instance;
};
int vivo_catalog_put_instance(struct vivo_catalog *c, enum vivo_level level,
                              vivo_row row, const struct vivo_put *put,
                              struct vivo_source_ids *out, struct vivo_err *err);
/* Its SOP Instance UID, or what stands for it; never empty. */
/* The name that a frozen object brings for its study, series or itself; false: none. */
bool vivo_catalog_frozen_name(const struct vivo_put *put, enum vivo_level level,
                              char out[VIVO_NAME_MAX + 1]);
/* Is it the name of one with this UID, and not of another that has it, too? */
bool vivo_catalog_named_after(const char *name, const char *uid);
/* Is it by the issuer and ID of `a` that a patient is told from others? */
bool vivo_catalog_is_patient_key(struct vivo_attrs a, const char *key);
void vivo_catalog_put_uid(const struct vivo_catalog *c, const struct vivo_put *put,
                          char *out, size_t cap);
/* One new row of `source`; was_free: its locator was. */
struct vivo_new_source {
    int64_t id, instance;
    enum vivo_level via;
    vivo_row owner;
    const char *locator, *version;
    const struct vivo_digests *digests;
    int64_t folder; /* vivo_catalog_folder; 0 = none */
};
int vivo_catalog_insert_source(struct vivo_catalog *c, const struct vivo_new_source *n,
                               bool *was_free, struct vivo_err *err);
/* update.c: the stamp of the source that was read, so that the next listing knows it.
 */
int vivo_catalog_restamp(struct vivo_catalog *c, const char *locator,
                         const char *version, struct vivo_err *err);
/* One new row, as prepared. `free` tells whether name and u were free. */
struct vivo_new_instance {
    vivo_row id;
    const char *name, *u, *uid;
    const struct vivo_put *put;
    uint64_t size;
};
int vivo_catalog_insert_instance(struct vivo_writer *w, struct vivo_sstate *ss,
                                 const struct vivo_new_instance *n, bool *was_free,
                                 struct vivo_err *err);
/* name or u of a new instance is taken: decides by put->copy. 0: n was inserted, or
 * (VIVO_COPY_SAME) *row is the instance that it is a copy of; -EEXIST and *row. */
int vivo_catalog_copy(struct vivo_catalog *c, struct vivo_sstate *ss,
                      struct vivo_new_instance *n, vivo_row *row, struct vivo_err *err);
/* New contents of an instance that stays where it is. */
int vivo_catalog_update_instance(struct vivo_catalog *c, struct vivo_sstate *ss,
                                 vivo_row instance, const struct vivo_put *put,
                                 bool changed, struct vivo_err *err);
/* The source goes, and its instance when it was the last. Flush before, forget after:
 * counts of series change behind what is remembered of them. */
int vivo_catalog_remove_source(struct vivo_catalog *c, int64_t source, int64_t instance,
                               struct vivo_err *err);
/* copy.c: the plain name of a UID passes to the first that is left of it, if any. */
int vivo_catalog_inherit(struct vivo_catalog *c, vivo_row parent, const char *uid,
                         const char *u, const char *name, struct vivo_err *err);
int vivo_catalog_remove_node(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                             struct vivo_err *err);
/* Appends the rows of the children of a collection, patient or study (NONE: 0). */
int vivo_catalog_child_rows(struct vivo_catdb *d, enum vivo_level child,
                            vivo_row parent, struct vivo_rowset *out,
                            struct vivo_err *err);
/* Series, studies, patients and collections without members or record go. */
int vivo_catalog_prune(struct vivo_writer *w, struct vivo_err *err);

/* ---- words.c (writer locked) ----------------------------------------------------- */

/* Licence and citation of a collection or series. */
int vivo_catalog_write_words(struct vivo_writer *w, const struct vivo_put *put,
                             enum vivo_level level, vivo_row id, struct vivo_err *err);

/* ---- number.c (writer locked, flushed) ------------------------------------------- */

/* names=tcia: the files of all series below (level, row) that have changed are named
 * anew, by the whole of each. */
int vivo_catalog_number(struct vivo_writer *w, enum vivo_level level, vivo_row row,
                        struct vivo_err *err);

/* ---- read.c --------------------------------------------------------------------- */

/* Rows of the ancestors of a node, itself included, by level; 0 above. -ENOENT. */
struct vivo_lineage {
    vivo_row rows[VIVO_LEVEL_INSTANCE + 1];
};
int vivo_catalog_lineage(struct vivo_catdb *d, enum vivo_level level, vivo_row row,
                         struct vivo_lineage *out, struct vivo_err *err);
/* Statement over the series below (level, ?1); see read.c for its columns. */
enum {
    COL_ID,
    COL_STUDY,
    COL_PATIENT,
    COL_COLLECTION,
    COL_MEMBERS,
    COL_KNOWN,
    COL_OPEN,
    COL_BYTES,
    COL_RISK,
    COL_LISTED,
    COL_VARIES,
    COL_HOT,
    COL_DIRECT,
    COL_PACKED
};
sqlite3_stmt *vivo_catalog_series_below(struct vivo_catdb *d, enum vivo_level level,
                                        vivo_row row, struct vivo_err *err);

struct vivo_facts;

/* ---- select.c, selection.c ----------------------------------------------------------
 */

struct vivo_found {
    /* Rows with a match, per level; whole: everything below matches. */
    struct vivo_rowset some[VIVO_LEVEL_INSTANCE], whole[VIVO_LEVEL_INSTANCE];
    struct vivo_pending *pending;
    size_t npending, cap_pending;
};
void vivo_catalog_found_free(struct vivo_found *f);

/* A level(E) of the query, answered beforehand. */
struct vivo_inner {
    const struct vivo_query_node *node;
    struct vivo_found found;
    vivo_row *pending_at; /* row at node->level that each pending belongs to, or 0 */
    struct vivo_rowset maybe;  /* those rows, ascending */
    bool all_maybe;            /* the archive itself is not listed */
    struct vivo_rowset wanted; /* rows whose answer was needed and unknown */
};

/* ---- select_names.c ---- */

#define VIVO_CATALOG_INNER 64 /* level(E) in one query */
/* The level(E) of a query, inner ones first. -EINVAL: too many. */
int vivo_catalog_levels(const struct vivo_query_node *n,
                        const struct vivo_query_node **out, size_t *count);

struct vivo_selection {
    atomic_uint refs;
    uint64_t generation;
    struct vivo_query *query;
    bool all;      /* the query is NULL */
    bool unlisted; /* something that is selected is not listed */
    struct vivo_found f;
    struct vivo_inner *inner;
    size_t ninner;
    struct vivo_facts *facts; /* NULL = the query needs none */
    struct vivo_whereabouts here;
    bool asks_here; /* the query names FetchState */
    const struct vivo_catalog *catalog;
};

#define VIVO_CATALOG_WANTS 16
/* Where an object stands, for level(). */
struct vivo_place {
    const struct vivo_selection *sel;
    vivo_row rows[VIVO_LEVEL_INSTANCE + 1];
    struct { /* answers that were unknown */
        size_t inner;
        vivo_row row;
    } wants[VIVO_CATALOG_WANTS];
    size_t nwants;
    struct { /* nodes to be listed before a virtual attribute can be told;
                VIVO_NEED_SERIES_OF a study: those of its series that are not */
        enum vivo_level level;
        vivo_row row;
    } needs[VIVO_CATALOG_WANTS];
    size_t nneeds;
    struct vivo_catdb *d; /* where rows[INSTANCE] is set */
    int failed;           /* what is needed for an answer could not be read */
};
/* ---- facts.c: virtual attributes --------------------------------------------------
 */

/* *out = NULL when the query asks for none. In a read transaction. */
int vivo_catalog_facts_make(struct vivo_catdb *d, const struct vivo_query_node *root,
                            struct vivo_facts **out, struct vivo_err *err);
void vivo_catalog_facts_free(struct vivo_facts *f);
#define VIVO_NEED_SERIES_OF VIVO_LEVEL_NONE
/* Appends the series of these studies whose members are not known. -ENOMEM. */
int vivo_catalog_facts_unlisted(const struct vivo_facts *f,
                                const struct vivo_rowset *studies,
                                struct vivo_rowset *out);
/* For vivo_query_source; ctx: the place. */
enum vivo_truth vivo_catalog_computed(void *ctx, enum vivo_query_virtual which,
                                      char out[VIVO_QUERY_COMPUTED_MAX]);

/* ctx: the place. */
enum vivo_truth vivo_catalog_level_truth(void *ctx, const struct vivo_query_node *node);
/* Does an instance match? base: of its series. */
enum vivo_truth vivo_catalog_eval_instance(const struct vivo_query_node *n,
                                           struct vivo_attrs base,
                                           struct vivo_attrs diff, bool headers,
                                           struct vivo_place *place,
                                           struct vivo_buf *scratch);
/* What place.failed is told as: -EIO. */
int vivo_catalog_nowhere(struct vivo_err *err);
/* Is everything below this node selected (true), or must members be looked at? */
bool vivo_selection_whole(const struct vivo_selection *s, const struct vivo_lineage *l);

/* The members of a series that match: used where entries are shown and counted. */
struct vivo_matcher {
    const struct vivo_selection *sel; /* NULL = everything matches */
    bool whole;
    struct vivo_place place;
    struct vivo_buf base, scratch;
};
int vivo_catalog_matcher_init(struct vivo_matcher *m, struct vivo_catdb *d,
                              const struct vivo_selection *sel, vivo_row series,
                              struct vivo_err *err);
/* 1 = it matches, 0, or negative: it could not be told. */
int vivo_catalog_matcher_test(struct vivo_matcher *m, vivo_row instance,
                              struct vivo_attrs diff, bool headers,
                              struct vivo_err *err);
void vivo_catalog_matcher_free(struct vivo_matcher *m);

#endif
