/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/internal.h -- what the files of src/tree share: nodes, rooms, and what a
 * look-up found. README.md beside this file has the table of rooms. */
#ifndef VIVOFS_TREE_INTERNAL_H
#define VIVOFS_TREE_INTERNAL_H

#include "vivofs/dcm.h"
#include "vivofs/extras.h"
#include "vivofs/tree.h"

#include <errno.h>
#include <pthread.h>

#define ARCHIVES_MAX 256u          /* 8 bits of a computed number */
#define NO_ARCHIVE UINT32_MAX      /* the mount itself */
#define LONG_TIMEOUT 3600.0        /* of the plain tree, ended by a notification */
#define SHORT_TIMEOUT 1.0          /* below q/ and by/ */
#define NODE_NAME_MAX 1024u        /* bytes of one name, queries included (DESIGN A5) */
#define NO_DATE INT64_C(946684800) /* 2000-01-01T00:00:00Z (DESIGN A2) */
#define TEXT_MAX (4u << 20) /* of a generated file that is put together in memory */

enum node_flag {
    NODE_CONTROL = 1 << 0, /* in .vivofs: the mounting user's only */
    NODE_BRIEF = 1 << 1,   /* below q/ or by/: short timeouts */
    NODE_NOW = 1 << 2,     /* a query that names FetchState: none at all */
};

/* One inode. Computed ones live on the caller's stack; the others in the table, where
 * everything but the counts is constant once they are visible. */
struct node {
    const struct room *room;
    vivo_ino ino, number;
    unsigned flags;
    uint32_t archive; /* index, or NO_ARCHIVE */
    enum vivo_level level;
    vivo_row row;
    uint8_t version;            /* of an object, low bits */
    struct vivo_query *query;   /* what is selected; NULL = everything */
    enum vivo_level base_level; /* where the query begins: it is evaluated once for */
    vivo_row base_row;          /* everything below, however deep one is */
    char *text;                 /* link target, keyword, or the words of an error */
    struct vivo_view *view;     /* a generated file as it was when looked up */
    uint64_t generation;        /* of the catalog it was made from; 0 = never again */
    struct made *made;          /* made when opened; in `.media`: what is where … */
    size_t at;                  /* … the first of the items that are in here */
    unsigned depth;             /* … and how deep this is: 1 = DICOM */
    int64_t mtime;
    /* The table's; guarded by its mutex. */
    vivo_ino parent;
    char *name;
    uint64_t nlookup;
    unsigned pins;
    bool named; /* findable by (parent, name) */
    struct node *next_ino, *next_name;
};

/* What a look-up found. `st` is filled for computed nodes only (spec.ino != 0). */
struct found {
    struct node spec; /* owns query, text, view */
    struct vivo_node_stat st;
    bool fresh;      /* another node at every look-up: its content changes */
    double negative; /* with -ENOENT: seconds it holds */
};

/* Where the entries of a listing go. */
struct lister {
    struct vivo_tree *tree;
    const struct node *dir;
    vivo_dirent_fn *emit;
    void *ctx;
};

/* A kind of node. Members that are NULL do what the comment says. */
struct room {
    const char *name;
    enum vivo_node_kind kind;
    mode_t mode;
    /* 0 with *f filled, -ENOENT (f->negative), or another error. */
    int (*lookup)(struct vivo_tree *t, const struct node *dir, const char *name,
                  struct found *f, struct vivo_op *op);
    int (*list)(struct lister *l, struct vivo_op *op);
    /* NULL: what the node itself holds. */
    int (*stat)(struct vivo_tree *t, const struct node *n, struct vivo_node_stat *out,
                struct vivo_op *op);
    /* NULL: the node's view. */
    int (*open)(struct vivo_tree *t, const struct node *n, struct vivo_view **out,
                struct vivo_node_stat *st, struct vivo_op *op);
    /* NULL: not writable. */
    int (*write)(struct vivo_tree *t, const struct node *n, const char *text,
                 size_t len, struct vivo_err *err);
};
extern const struct room room_root, room_level, room_object; /* the plain tree */
extern const struct room room_folder, room_extra;            /* in it */
extern const struct room room_q, room_link, room_everywhere; /* q/ */
extern const struct room room_error, room_text;
extern const struct room room_by, room_by_values;
extern const struct room room_media, room_index; /* .media and its DICOMDIR */
extern const struct room room_preview, room_sidecar_audit;
extern const struct room room_control, room_refresh, room_pin, room_unpin, room_forget;
/* Bytes of an absolute path up to the mount point's end; 0 = it is not below. */
size_t below_mount(const struct vivo_tree *t, const char *path, size_t len);

struct table; /* table.c */
struct select_cache;
struct saved;
struct audit;
struct made_recent;

struct vivo_tree {
    struct vivo_tree_config cfg; /* strings are copies */
    struct vivo_flow **flows;
    struct table *table;
    struct select_cache *select;
    struct saved *saved;
    struct audit *audit;
    struct made_recent *made;
    int64_t started; /* Unix seconds */
};

/* ---- ino.c: computed numbers ---- */

vivo_ino ino_of(const struct room *room, uint32_t archive, enum vivo_level level,
                uint32_t version, vivo_row row);
/* False when the number is not a computed one. */
bool ino_decode(vivo_ino ino, struct node *out);
/* The number shown of a node that is not computed. */
vivo_ino ino_hash(vivo_ino parent, const char *name);

/* ---- table.c: nodes made at look-up ---- */

int table_new(struct table **out, struct vivo_err *err);
void table_free(struct table *tab);
/* The node, pinned, or the computed one in *space; NULL = no such node. */
const struct node *node_get(struct vivo_tree *t, vivo_ino ino, struct node *space);
void node_put(struct vivo_tree *t, const struct node *n);
/* Enters what was found under (dir, name), or finds it there; counts a look-up. Takes
 * over what spec owns. */
int table_enter(struct table *tab, const struct node *dir, const char *name,
                struct found *f, struct vivo_node_stat *out, struct vivo_err *err);
/* A generated file already there and still true: counts a look-up and fills *out. */
bool table_reuse(struct table *tab, const struct node *dir, const char *name,
                 uint64_t generation, struct vivo_node_stat *out);
void table_forget(struct table *tab, vivo_ino ino, uint64_t nlookup);
void node_wipe(struct node *n); /* drops what it owns */
/* The stat of a node that holds everything itself. */
void node_stat(const struct vivo_tree *t, const struct node *n,
               struct vivo_node_stat *out);

/* ---- found.c: filling in what was found ---- */

/* A directory (or link) of the same scope as dir. */
void found_room(struct found *f, const struct node *dir, const struct room *room);
/* A generated file with the text in `s`, which it takes over. */
int found_spool(struct found *f, const struct node *dir, struct vivo_tree_spool *s,
                struct vivo_err *err);
int found_text(struct found *f, const struct node *dir, const void *text, size_t len,
               struct vivo_err *err);
/* The thing of the catalog in dir, by its entry: a computed node when dir is plain
 * and it was asked by its own name, else one of the table. */
int found_entry(struct found *f, const struct vivo_tree *t, const struct node *dir,
                const char *name, const struct vivo_entry *e, struct vivo_err *err);
void stat_entry(const struct vivo_tree *t, uint32_t archive, const struct vivo_entry *e,
                struct vivo_node_stat *out);
/* Seconds that the name of something in such a directory holds. */
double entry_timeout(unsigned flags);
/* Emits a fixed entry of l->dir. */
int list_fixed(struct lister *l, const char *name, const struct room *room);
/* Emits an entry of the catalog. */
int list_entry(struct lister *l, const struct vivo_entry *e);
int not_there(struct found *f, double seconds, struct vivo_op *op);

/* ---- room_extra.c: files that are no objects, in a directory of the plain tree ----
 */

int extra_lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                 struct found *f, struct vivo_op *op);
int extra_list(struct lister *l, struct vivo_op *op);

/* ---- select.c: evaluated queries ---- */

int select_cache_new(struct select_cache **out, struct vivo_err *err);
void select_cache_free(struct select_cache *c);
/* The selection of the node's query, evaluated or from the cache. *out = NULL for a
 * node without a query. Caller unrefs. May park. */
int select_get(struct vivo_tree *t, const struct node *n, struct vivo_selection **out,
               struct vivo_op *op);
/* The same with all instances of it listed. */
int select_members(struct vivo_tree *t, const struct node *n,
                   struct vivo_selection **out, struct vivo_op *op);
/* Remembers why a query could not be evaluated; what `.error` tells. */
void select_failed(struct vivo_tree *t, const struct node *n,
                   const struct vivo_err *err);
/* A generated file of the query's directory failed, or (err NULL) is there. */
void select_file(struct vivo_tree *t, const struct node *n, const char *name,
                 const struct vivo_err *err);
bool select_error(struct vivo_tree *t, const struct node *n, struct vivo_buf *out);

static inline void selection_unref_p(struct vivo_selection **s)
{
    if (*s)
        vivo_selection_unref(*s);
}
static inline void query_unref_p(struct vivo_query **q)
{
    if (*q)
        vivo_query_unref(*q);
}

/* ---- walk.c: everything below a directory, for exports ---- */

struct walk_item {
    struct vivo_entry e; /* e.name is owned by the walk */
    const char *path;    /* from the collection down */
};
typedef int walk_fn(void *ctx, const struct walk_item *item);
/* Calls fn for each thing of `level` below the node's scope, of what is selected, in
 * order of path. Nothing is fetched. */
int walk_level(struct vivo_tree *t, const struct node *n,
               const struct vivo_selection *sel, enum vivo_level level, walk_fn *fn,
               void *ctx, struct vivo_err *err);
/* Lists the series selected below the node that have not been listed yet; parks. */
int learn_series(struct vivo_tree *t, const struct node *n,
                 const struct vivo_selection *sel, struct vivo_op *op);
/* "archive/" in front of a path relative to the mount point; "" with flat. */
const char *walk_prefix(const struct vivo_tree *t, uint32_t archive, char out[130]);

/* ---- sidecar_audit.c: NAME.dcm.audit.json ---- */

bool sidecar_audit_named(const char *name);
/* Bytes of the name of the object it is of. */
size_t sidecar_audit_object(const char *name);
int sidecar_audit_found(struct vivo_tree *t, const struct node *dir,
                        const struct vivo_entry *e, struct found *f,
                        struct vivo_op *op);

/* ---- the files that are generated ---- */

typedef int render_fn(struct vivo_tree *t, const struct node *dir,
                      struct vivo_tree_spool *out, struct vivo_op *op);
/* `.query`, `.count` … of a query directory, or of q/EXPR of the whole mount. -ENOENT
 * when there is no such file. */
int exports_lookup(struct vivo_tree *t, const struct node *dir, const char *name,
                   struct found *f, struct vivo_op *op);
/* One part of what a directory shows: the whole of it, or one archive of q/EXPR; what
 * is to be listed for it is listed. */
typedef int part_fn(struct vivo_tree *t, const struct node *part,
                    const struct vivo_selection *sel, void *ctx, struct vivo_op *op);
int exports_each_part(struct vivo_tree *t, const struct node *dir, part_fn *fn,
                      void *ctx, struct vivo_op *op);
/* Of what a generated file in dir is made; never 0. */
uint64_t exports_generation(const struct vivo_tree *t, const struct node *dir);
/* Lists by name what a directory answers, with -o sidecars. */
int exports_list(struct lister *l, const struct vivo_selection *sel,
                 struct vivo_op *op);
render_fn render_tags_json, render_tags_txt; /* sidecar.c */
/* papers.c: files beside the patients of a collection. -ENOENT: the archive does not
 * say. */
render_fn render_license, render_citation, render_metadata;
bool papers_answer(const struct vivo_tree *t, const struct node *dir, const char *name);
int papers_list(struct lister *l, struct vivo_op *op);
int render_refused(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op);
int render_explain(struct vivo_tree *t, const struct node *dir,
                   struct vivo_tree_spool *out, struct vivo_op *op);
int render_freeze(struct vivo_tree *t, const struct node *dir,
                  struct vivo_tree_spool *out, struct vivo_op *op);
int render_s5cmd(struct vivo_tree *t, const struct node *dir,
                 struct vivo_tree_spool *out, struct vivo_op *op);
int render_tcia(struct vivo_tree *t, const struct node *dir,
                struct vivo_tree_spool *out, struct vivo_op *op);
int render_series(struct vivo_tree *t, const struct node *dir,
                  struct vivo_tree_spool *out, struct vivo_op *op);
int render_readme(struct vivo_tree *t, struct vivo_buf *out);
int render_status(struct vivo_tree *t, struct vivo_buf *out);

/* ---- made.c: files that are made when opened ---- */

struct made {
    atomic_uint refs;
    void (*drop)(struct made *); /* frees what embeds it */
    char digest[65];             /* of what it is made of; set by its owner */
    uint64_t estimate;           /* of its size, never 0 */
    pthread_mutex_t mutex;
    struct vivo_view *view;     /* guarded by mutex; NULL = not made yet */
    atomic_uint_least64_t size; /* 0 = not made yet */
};
void made_init(struct made *m, void (*drop)(struct made *));
struct made *made_ref(struct made *m);
void made_unref(struct made *m); /* NULL is fine */
/* What was made first is everybody's. Takes `view` over; NULL only asks. */
struct vivo_view *made_share(struct made *m, struct vivo_view *view);
void made_stat(const struct made *m, struct vivo_node_stat *out);
int made_recent_new(struct made_recent **out, struct vivo_err *err);
void made_recent_free(struct made_recent *r);
/* The one of the same digest that was there last, or `m`, which it takes over. */
struct made *made_recall(struct vivo_tree *t, struct made *m);
/* The node that is there already, if it is of this generation. */
bool made_reuse(struct vivo_tree *t, const struct node *dir, const char *name,
                const struct room *room, uint64_t generation, struct found *f);
/* Another node; takes `m` over. */
int made_found(struct found *f, const struct node *dir, const struct room *room,
               struct made *m, uint64_t generation, struct vivo_err *err);
int made_list(struct lister *l, const char *name, const struct room *room,
              struct made *m);
/* Begins to fetch an object that will be asked for next. */
void object_aside(struct vivo_flow *f, vivo_row row);
struct view_reader {
    struct vivo_reader base;
    const struct vivo_view *view;
};
void view_reader_init(struct view_reader *r, const struct vivo_view *view);

/* ---- `.media`: room_media.c, media_index.c; `.preview.png`: preview.c ---- */

#define MEDIA_DIR ".media"
#define PREVIEW_FILE ".preview.png"
bool media_answers(const struct node *dir);
int media_lookup(struct vivo_tree *t, const struct node *dir, struct found *f,
                 struct vivo_op *op);
int preview_lookup(struct vivo_tree *t, const struct node *dir, struct found *f,
                   struct vivo_op *op);
int preview_list(struct lister *l, const struct vivo_selection *sel,
                 struct vivo_op *op);

/* ---- room_query.c ---- */

/* Parses a name as a query of the node's archive (or of the mount). 0, -EINVAL with
 * *qe, -ENOENT. */
int query_parse(struct vivo_tree *t, const struct node *n, const char *name,
                struct vivo_query **out, struct vivo_query_error *qe);
/* The same query under the rules of another archive: 0, -EINVAL with *qe (what is asked
 * is hidden there), or another failure. */
int query_again(struct vivo_tree *t, const struct node *n, const struct vivo_query *q,
                struct vivo_query **out, struct vivo_query_error *qe);
/* The directory that shows `q` (taken over) in dir's scope, within dir's own query;
 * or the error room. */
int found_query(struct vivo_tree *t, struct found *f, const struct node *dir,
                struct vivo_query *q, struct vivo_op *op);
int found_query_error(struct found *f, const struct node *dir, const char *name,
                      const struct vivo_query_error *qe, struct vivo_op *op);

/* ---- ranges.c: many values as few names ---- */

enum range_kind { RANGE_NONE, RANGE_NUMBERS, RANGE_AGES, RANGE_DATES, RANGE_TIMES };
struct ranges;
typedef int range_fn(void *ctx, const char *name);
enum range_kind ranges_kind(const char *vr);
int ranges_new(enum range_kind kind, struct ranges **out);
void ranges_free(struct ranges *r);
/* 1 = it will be among them; 0 = it is no value of this kind; -ENOMEM. */
int ranges_add(struct ranges *r, const char *text);
/* Calls fn with each name, in order of the values. */
int ranges_emit(struct ranges *r, range_fn *fn, void *ctx);
/* "a..b" of numbers or ages. */
bool ranges_is_name(const char *name);

/* ---- saved.c: saved queries ---- */

int saved_new(const char *dir, struct saved **out, struct vivo_err *err);
void saved_free(struct saved *s);
/* 0 and the target appended, or -ENOENT. */
int saved_find(struct vivo_tree *t, const struct node *q, const char *name,
               struct vivo_buf *target, struct vivo_err *err);
int saved_list(struct lister *l, struct vivo_err *err);
int saved_put(struct vivo_tree *t, const struct node *q, const char *name,
              const char *target, struct vivo_err *err);
int saved_remove(struct vivo_tree *t, const struct node *q, const char *name,
                 struct vivo_err *err);
int saved_rename(struct vivo_tree *t, const struct node *q, const char *from,
                 const char *to, struct vivo_err *err);

/* ---- audit.c: who opened what ---- */

/* to: a file, "syslog", or nothing (NULL or ""). */
int audit_new(const char *to, struct audit **out, struct vivo_err *err);
void audit_free(struct audit *a);
/* -EIO: it could not be written where it must be, so the open fails. */
int audit_open(struct vivo_tree *t, uid_t uid, pid_t pid, uint32_t archive,
               vivo_row row, uint64_t bytes, struct vivo_err *err);
int audit_text(struct vivo_tree *t, struct vivo_buf *out, struct vivo_err *err);

/* What a node shows, without what belongs to it; the query is borrowed. A node of the
 * table must not be copied whole: its counts change under the table's mutex. */
static inline struct node node_scope(const struct node *n)
{
    return (struct node){
        .room = n->room,
        .flags = n->flags,
        .archive = n->archive,
        .level = n->level,
        .row = n->row,
        .query = n->query,
        .base_level = n->base_level,
        .base_row = n->base_row,
        .mtime = n->mtime,
    };
}

/* Of a file whose size is estimated: is that all that stat wants? *st gets what has
 * come of it by now. */
bool size_will_do(struct vivo_tree *t, const struct node *n, struct vivo_node_stat *st);

static inline struct vivo_flow *node_flow(const struct vivo_tree *t,
                                          const struct node *n)
{
    return n->archive < t->cfg.nflows ? t->flows[n->archive] : NULL;
}
static inline struct vivo_catalog *node_catalog(const struct vivo_tree *t,
                                                const struct node *n)
{
    return vivo_flow_catalog(node_flow(t, n));
}

#endif
