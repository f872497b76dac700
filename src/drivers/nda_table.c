/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda_table.c -- what a package holds: its list of files, joined with the
 * image03 structures in it, which tell whose the images are.
 *
 * Only what may be DICOM is kept, in the order of studies and series, until the package
 * is listed anew: the listing of a study or a series then asks nothing. */
#include "nda.h"

#include "crawl.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"
#include "vivofs/pool.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ARENA_BYTES (512u << 20)
#define FILES_MAX (4u << 20)
#define ALIAS_MAX 4096
#define IMAGES_BYTES (256u << 20)
#define IMAGES_MAX 64 /* image03 structures in one package */
#define WATCH_MS 100

/* ---- rows -------------------------------------------------------------------------
 */

struct reading {
    struct nda_table *table;
    struct vivo_intake *in;
    char images[IMAGES_MAX][NDA_ID_MAX + 1]; /* files called image03.txt */
    size_t n_images, odd;
};

static const char *name_of(const char *alias)
{
    const char *slash = strrchr(alias, '/');
    return slash ? slash + 1 : alias;
}

static bool ends_in(const char *name, const char *const *endings, size_t n)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < n; i++) {
        size_t e = strlen(endings[i]);
        if (len > e && strcasecmp(name + len - e, endings[i]) == 0)
            return true;
    }
    return false;
}

static bool is_pack(const char *name)
{
    static const char *const endings[] = {".zip",     ".tar",  ".tar.gz", ".tgz",
                                          ".tar.bz2", ".tbz2", ".tar.xz", ".txz"};
    return ends_in(name, endings, VIVO_ARRAY_LEN(endings));
}

/* By name: files without an ending and those that end in a number are called like
 * slices of scanners. */
static bool may_be_dicom(const char *name)
{
    static const char *const endings[] = {".dcm", ".dicom", ".ima", ".acr"};
    const char *dot = strrchr(name, '.');
    if (vivo_crawl_is_surely_other(name))
        return false;
    return ends_in(name, endings, VIVO_ARRAY_LEN(endings)) || !dot || !dot[1] ||
           strspn(dot + 1, "0123456789") == strlen(dot + 1);
}

/* A copy without control characters; "" = none, or too long. NULL = no memory. */
static const char *copy(struct nda_table *t, const char *s, size_t max)
{
    char *out = s && strlen(s) <= max ? vivo_arena_strndup(t->arena, s, strlen(s))
                                      : vivo_arena_strndup(t->arena, "", 0);
    for (char *c = out; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = ' ';
    return out;
}

int vivo_nda_table_add(struct nda_table *t, const struct nda_file *f,
                       struct vivo_err *err)
{
    struct nda_file *files =
        vivo_array_grow(t->files, t->n, &t->cap, sizeof *files, FILES_MAX);
    if (!files)
        return vivo_fail(err, t->n >= FILES_MAX ? EIO : ENOMEM,
                         "too many files in one package");
    t->files = files;
    t->files[t->n++] = *f;
    return 0;
}

static int keep_row(struct reading *r, const char *id, const char *alias,
                    const char *s3, uint64_t size, struct vivo_err *err)
{
    struct nda_table *t = r->table;
    const struct nda_file f = {.id = copy(t, id, NDA_ID_MAX),
                               .alias = copy(t, alias, ALIAS_MAX),
                               .s3 = copy(t, s3, ALIAS_MAX),
                               .subject = "",
                               .visit = "",
                               .date = "",
                               .modality = "",
                               .text = "",
                               .size = size,
                               .pack = is_pack(name_of(alias))};
    if (!f.id || !f.alias || !f.s3)
        return vivo_fail(err, EIO, "too many names in one package");
    return vivo_nda_table_add(t, &f, err);
}

static const char *text_of(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(row, name);
    const char *s = json_string_value(v);
    return s && strlen(s) == json_string_length(v) ? s : "";
}

static uint64_t number_of(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(row, name);
    const char *s = text_of(row, name);
    if (json_is_integer(v) && json_integer_value(v) > 0)
        return (uint64_t)json_integer_value(v);
    size_t n = strlen(s);
    return n > 0 && n <= NDA_ID_MAX && strspn(s, "0123456789") == n
               ? strtoull(s, NULL, 10)
               : 0;
}

static int take_row(void *ctx, const json_t *row, struct vivo_err *err)
{
    struct reading *r = ctx;
    char id[24], locator[64], version[24];
    const char *alias = text_of(row, "download_alias");
    const char *name = name_of(alias);
    uint64_t size = number_of(row, "file_size");
    snprintf(id, sizeof id, "%" PRIu64, number_of(row, "package_file_id"));
    if (!vivo_nda_id_ok(id, strlen(id)) || !*alias || strlen(alias) > ALIAS_MAX) {
        r->odd++;
        return 0;
    }
    if (strcasecmp(name, "image03.txt") == 0 && r->n_images < IMAGES_MAX)
        snprintf(r->images[r->n_images++], NDA_ID_MAX + 1, "%s", id);
    if (size > 0 && (is_pack(name) || may_be_dicom(name)))
        return keep_row(r, id, alias, text_of(row, "nda_s3_url"), size, err);
    snprintf(locator, sizeof locator, "f/%s/%" PRIu64, id, size);
    snprintf(version, sizeof version, "%" PRIu64, size);
    if (!r->in || r->in->known(r->in, locator, version))
        return 0;
    const struct vivo_extra x = {
        .locator = locator, .path = alias, .version = version, .size = size};
    return r->in->extra(r->in, &x, err);
}

/* ---- studies and series ------------------------------------------------------- */

static void digest(char out[NDA_DIGEST_LEN + 1], const char *a, const char *b,
                   const char *c)
{
    char *all = NULL;
    int n = asprintf(&all, "%s\n%s\n%s", a, b, c);
    vivo_short_name(n < 0 ? "" : all, n < 0 ? 0 : (size_t)n, out, NDA_DIGEST_LEN);
    if (n >= 0)
        free(all);
}

/* A zip is a series; files that lie in one folder are one. */
static int place(struct nda_table *t, struct nda_file *f)
{
    char guid[NDA_TEXT_MAX + 1];
    if (!*f->subject && vivo_nda_guid(f->alias, guid)) {
        f->subject = vivo_arena_strndup(t->arena, guid, strlen(guid));
        if (!f->subject)
            return -ENOMEM;
    }
    size_t folder = (size_t)(name_of(f->alias) - f->alias);
    char *dir = strndup(f->alias, folder);
    if (!dir)
        return -ENOMEM;
    digest(f->study, f->subject, f->visit, f->date);
    digest(f->series, f->study, f->pack ? f->id : "", f->pack ? "" : dir);
    free(dir);
    return 0;
}

static int by_alias(const void *a, const void *b)
{
    const struct nda_file *x = a;
    const struct nda_file *y = b;
    int c = strcmp(x->alias, y->alias);
    if (c == 0)
        c = (x->size > y->size) - (x->size < y->size);
    if (c == 0)
        c = (strlen(x->id) > strlen(y->id)) - (strlen(x->id) < strlen(y->id));
    return c ? c : strcmp(x->id, y->id);
}

static int by_place(const void *a, const void *b)
{
    const struct nda_file *x = a;
    const struct nda_file *y = b;
    int c = strcmp(x->study, y->study);
    if (c == 0)
        c = strcmp(x->series, y->series);
    return c ? c : by_alias(a, b);
}

/* The same object may be in a package twice, through two studies of the archive. */
static int order(struct nda_table *t, struct vivo_err *err)
{
    size_t n = 0;
    if (t->n == 0)
        return 0;
    qsort(t->files, t->n, sizeof *t->files, by_alias);
    for (size_t i = 0; i < t->n; i++)
        if (n == 0 || strcmp(t->files[n - 1].alias, t->files[i].alias) != 0 ||
            t->files[n - 1].size != t->files[i].size)
            t->files[n++] = t->files[i];
    t->n = n;
    for (size_t i = 0; i < n; i++)
        if (place(t, &t->files[i]))
            return vivo_fail(err, ENOMEM, "nda: out of memory");
    qsort(t->files, n, sizeof *t->files, by_place);
    return 0;
}

/* ---- reading ------------------------------------------------------------------ */

struct into_memory {
    struct nda *n;
    struct vivo_buf text;
};

static int ask_text(void *ctx, const struct vivo_net_request *rq,
                    struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct into_memory *m = ctx;
    struct vivo_net_request full = *rq;
    struct vivo_buf_sink sink;
    vivo_buf_clear(&m->text);
    vivo_buf_sink_init(&sink, &m->text);
    full.max_bytes = IMAGES_BYTES;
    atomic_fetch_add(&m->n->base.requests, 1);
    int rc = vivo_net_fetch(m->n->base.net, &full, &sink.base, reply, op);
    atomic_fetch_add(&m->n->base.bytes, reply->received);
    return rc;
}

static int read_images(struct nda *n, struct reading *r, struct vivo_op *op)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->n_images && r->table->n > 0; i++) {
        struct into_memory m = {.n = n};
        vivo_buf_init(&m.text, IMAGES_BYTES);
        rc = vivo_nda_ask(n, r->images[i], ask_text, &m, op);
        if (rc == 0 && m.text.len)
            rc = vivo_nda_images(r->table, (char *)m.text.data, m.text.len, &op->err);
        vivo_buf_free(&m.text);
        if (rc)
            vivo_fail_in(&op->err, "image03");
    }
    return rc;
}

static int read_table(struct nda *n, bool fresh, struct vivo_intake *in,
                      struct nda_table **out, struct vivo_op *op)
{
    struct reading *r = calloc(1, sizeof *r);
    struct nda_table *t = calloc(1, sizeof *t);
    int rc = r && t && (t->arena = vivo_arena_new(ARENA_BYTES))
                 ? 0
                 : vivo_fail(&op->err, ENOMEM, "nda: out of memory");
    if (t)
        atomic_init(&t->refs, 1);
    if (rc == 0) {
        r->table = t;
        r->in = fresh ? in : NULL;
        rc = vivo_nda_files(n, take_row, r, in, op);
    }
    if (rc == 0)
        rc = read_images(n, r, op);
    if (rc == -ENOENT) { /* the package was there a moment ago */
        op->err.errnum = EIO;
        rc = -EIO;
    }
    if (rc == 0)
        rc = order(t, &op->err);
    if (rc == 0 && r->odd)
        vivo_log(VIVO_LOG_WARN, "drivers.nda",
                 "%zu files without an id or a name: left out", r->odd);
    free(r);
    if (rc)
        vivo_nda_table_unref(t);
    else
        *out = t;
    return rc;
}

void vivo_nda_table_unref(struct nda_table *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    free(t->files);
    vivo_arena_free(t->arena);
    free(t);
}

/* The table that is there, or the turn to read one (1). */
static int take_turn(struct nda *n, bool fresh, struct vivo_intake *in,
                     struct nda_table **out, struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    pthread_mutex_lock(&n->mutex);
    while (rc == 0 && n->loading) {
        vivo_wait_ms(&n->landed, &n->mutex, WATCH_MS);
        in->alive(in);
        rc = vivo_op_check(op);
    }
    if (rc == 0 && n->table && !fresh) {
        *out = n->table;
        atomic_fetch_add(&n->table->refs, 1);
    } else if (rc == 0) {
        n->loading = true;
        rc = 1;
    }
    pthread_mutex_unlock(&n->mutex);
    return rc;
}

int vivo_nda_table(struct nda *n, bool fresh, struct vivo_intake *in,
                   struct nda_table **out, struct vivo_op *op)
{
    struct nda_table *old = NULL;
    int rc = take_turn(n, fresh, in, out, op);
    if (rc <= 0)
        return rc;
    rc = read_table(n, fresh, in, out, op);
    pthread_mutex_lock(&n->mutex);
    n->loading = false;
    if (rc == 0) {
        old = n->table;
        n->table = *out;
        atomic_fetch_add(&n->table->refs, 1);
    }
    pthread_cond_broadcast(&n->landed);
    pthread_mutex_unlock(&n->mutex);
    vivo_nda_table_unref(old);
    return rc;
}
