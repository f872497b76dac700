/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_joined.c -- columns of the scans of many sessions in one request:
 * /data/experiments?ID=E1,E2,… with columns of xnat:imageScanData, a row for each scan.
 *
 * The server joins sessions and scans, and leaves out columns that it does not know. So
 * it is believed only after the scans of a session were once the same in its own table,
 * and a session that has no row is left to that table. */
#include "xnat_list.h"

#include "dicomjson_value.h"

#include "vivofs/log.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEPT_MS 60000
#define KEPT_BYTES (64u << 20)
#define CELLS_BYTES (16u << 20) /* of one session */
#define ARENA_BYTES (256u << 20)

static const char *const columns[XNAT_CELLS] = {
    [XNAT_SCAN_ID] = XNAT_OF_SCAN "ID",
    [XNAT_SCAN_TYPE] = XNAT_OF_SCAN "extension_item/element_name",
    [XNAT_SCAN_UID] = XNAT_OF_SCAN "UID",
    [XNAT_SCAN_MODALITY] = XNAT_OF_SCAN "modality",
    [XNAT_SCAN_TEXT] = XNAT_OF_SCAN "series_description",
};

struct xnat_joined { /* the scans of a session, for list() to take */
    struct xnat_joined *next;
    int64_t until_ms;
    size_t uses; /* of one that is shared with another project more than one */
    char session[XNAT_ID_MAX + 1];
    struct vivo_buf cells; /* texts, each with its NUL */
};

struct joining {
    struct xnat *x;
    struct xnat_joined *all[VIVO_PREPARE_MAX]; /* by session */
    size_t n, rows, foreign;
    bool has[XNAT_CELLS]; /* columns that some row has */
};

/* ---- asking ----------------------------------------------------------------------
 */

/* Ids that mean themselves only, in a list of values. */
static bool may_list(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                          "0123456789_-.");
    return n > 0 && !id[n];
}

bool vivo_xnat_add_id(struct vivo_buf *ids, const char *id)
{
    return may_list(id) && ids->len + strlen(id) + 2 < XNAT_IDS_BYTES &&
           vivo_buf_printf(ids, "%s%s", ids->len ? "," : "", id) == 0;
}

int vivo_xnat_ask_joined(struct xnat *x, const struct vivo_buf *ids, const char *wanted,
                         xnat_row_fn *fn, void *ctx, struct vivo_op *op)
{
    char path[XNAT_URL_MAX];
    int status = 0;
    snprintf(path, sizeof path,
             "/data/experiments?format=json&xsiType=xnat:imageSessionData&ID=%s"
             "&columns=ID," XNAT_OF_SCAN "ID,%s",
             (const char *)ids->data, wanted);
    int rc =
        vivo_xnat_table(x, "scans of several sessions", path, fn, ctx, &status, op);
    /* Whatever it makes of it, each session's own table will tell. */
    if (vivo_xnat_is_refusal(rc, status) || rc == -EACCES || rc == -EBADMSG) {
        vivo_err_clear(&op->err);
        return vivo_fail(&op->err, ENOENT, "xnat: one session at a time");
    }
    return rc;
}

/* ---- what is kept until it is listed ----------------------------------------------
 */

static void free_joined(struct xnat_joined *j)
{
    if (j)
        vivo_buf_free(&j->cells);
    free(j);
}

/* Those that nobody came for, and the first ones when there are too many. */
static void drop_old_locked(struct xnat *x)
{
    int64_t now = vivo_now_ms();
    while (x->joined && (x->joined->until_ms <= now || x->joined_bytes > KEPT_BYTES)) {
        struct xnat_joined *j = x->joined;
        x->joined = j->next;
        x->joined_bytes -= j->cells.len;
        free_joined(j);
    }
}

void vivo_xnat_joined_free(struct xnat *x)
{
    while (x->joined) {
        struct xnat_joined *j = x->joined;
        x->joined = j->next;
        free_joined(j);
    }
}

static void keep_all(struct joining *j)
{
    struct xnat *x = j->x;
    pthread_mutex_lock(&x->mutex);
    drop_old_locked(x);
    struct xnat_joined **end = &x->joined;
    while (*end)
        end = &(*end)->next;
    for (size_t i = 0; i < j->n; i++) {
        if (!j->all[i]->cells.len)
            continue;
        j->all[i]->until_ms = vivo_now_ms() + KEPT_MS;
        x->joined_bytes += j->all[i]->cells.len;
        *end = j->all[i];
        end = &j->all[i]->next;
        j->all[i] = NULL;
    }
    drop_old_locked(x);
    pthread_mutex_unlock(&x->mutex);
}

/* What is left of it stays. */
static struct xnat_joined *take_use_locked(struct xnat *x, struct xnat_joined **at)
{
    struct xnat_joined *found = *at;
    if (found->uses > 1) {
        struct xnat_joined *copy = calloc(1, sizeof *copy);
        if (!copy)
            return NULL;
        vivo_buf_init(&copy->cells, CELLS_BYTES);
        if (vivo_buf_add(&copy->cells, found->cells.data, found->cells.len)) {
            free(copy);
            return NULL;
        }
        found->uses--;
        return copy;
    }
    *at = found->next;
    x->joined_bytes -= found->cells.len;
    return found;
}

static struct xnat_joined *take_kept(struct xnat *x, const char *session)
{
    struct xnat_joined *found = NULL;
    pthread_mutex_lock(&x->mutex);
    drop_old_locked(x);
    struct xnat_joined **p = &x->joined;
    while (*p && strcmp((*p)->session, session) != 0)
        p = &(*p)->next;
    if (*p)
        found = take_use_locked(x, p);
    pthread_mutex_unlock(&x->mutex);
    return found;
}

static int add_scans(struct xnat_listing *l, const struct xnat_joined *j)
{
    const char *p = (const char *)j->cells.data;
    const char *end = p + j->cells.len;
    int rc = 0;
    while (rc == 0 && p < end) {
        const char *cells[XNAT_CELLS];
        for (int i = 0; i < XNAT_CELLS; i++, p += strlen(p) + 1)
            cells[i] = p;
        rc = vivo_xnat_add_scan(l, cells, &l->op->err);
    }
    return rc;
}

int vivo_xnat_prepared(struct xnat_listing *l, const char *session)
{
    struct xnat_joined *j = take_kept(l->x, session);
    if (!j)
        return -ENOENT;
    int rc = add_scans(l, j);
    free_joined(j);
    return rc;
}

/* ---- is the server to be believed? ------------------------------------------------
 */

static void listing_init(struct xnat_listing *l, struct xnat *x, struct vivo_op *op)
{
    *l = (struct xnat_listing){.x = x, .op = op, .arena = vivo_arena_new(ARENA_BYTES)};
}

static void listing_free(struct xnat_listing *l)
{
    vivo_arena_free(l->arena);
    free(l->rows);
}

static bool same_row(const struct xnat_row *a, const struct xnat_row *b)
{
    return !strcmp(a->id, b->id) && !strcmp(a->uid, b->uid) &&
           !strcmp(a->modality, b->modality) && !strcmp(a->text, b->text);
}

/* 1: the session's own table says what the joined one says of it, 0: it does not. */
static int is_same(struct xnat *x, const struct xnat_joined *j, struct vivo_op *op)
{
    struct xnat_listing own, told;
    listing_init(&own, x, op);
    listing_init(&told, x, op);
    int rc = own.arena && told.arena
                 ? vivo_xnat_ask_scans(&own, j->session)
                 : vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    if (rc == 0)
        rc = add_scans(&told, j);
    if (rc == 0) {
        vivo_xnat_sort(&own);
        vivo_xnat_sort(&told);
        rc = own.count == told.count;
        for (size_t i = 0; rc == 1 && i < own.count; i++)
            rc = same_row(&own.rows[i], &told.rows[i]);
    }
    listing_free(&own);
    listing_free(&told);
    return rc;
}

/* Waits for whoever finds out, or finds out; 1 = believed, 0 = not. */
static int settle(struct joining *j, struct vivo_op *op)
{
    struct xnat *x = j->x;
    const struct xnat_joined *example = NULL;
    int rc = 0;
    for (size_t i = 0; i < j->n && !example; i++)
        if (j->all[i]->cells.len)
            example = j->all[i];
    if (!example)
        return 1; /* nor is there anything to believe */
    pthread_mutex_lock(&x->mutex);
    while (rc == 0 && x->joins == XNAT_JOINS_ASKING) {
        vivo_wait_ms(&x->landed, &x->mutex, 200);
        rc = vivo_op_check(op);
    }
    bool mine = rc == 0 && x->joins == XNAT_JOINS_UNKNOWN;
    if (mine)
        x->joins = XNAT_JOINS_ASKING;
    else if (rc == 0)
        rc = x->joins == XNAT_JOINS_WELL;
    pthread_mutex_unlock(&x->mutex);
    if (!mine)
        return rc;
    rc = is_same(x, example, op);
    pthread_mutex_lock(&x->mutex);
    x->joins = rc < 0 ? XNAT_JOINS_UNKNOWN : rc == 0 ? XNAT_JOINS_NOT : XNAT_JOINS_WELL;
    pthread_cond_broadcast(&x->landed);
    pthread_mutex_unlock(&x->mutex);
    return rc;
}

static bool is_refused(struct xnat *x)
{
    pthread_mutex_lock(&x->mutex);
    bool refused = x->joins == XNAT_JOINS_NOT;
    pthread_mutex_unlock(&x->mutex);
    return refused;
}

static int refuse(struct xnat *x, struct vivo_op *op)
{
    pthread_mutex_lock(&x->mutex);
    bool news = x->joins != XNAT_JOINS_NOT;
    x->joins = XNAT_JOINS_NOT;
    pthread_mutex_unlock(&x->mutex);
    if (news)
        vivo_log(VIVO_LOG_INFO, "drivers.xnat",
                 "the server does not tell the scans of several sessions at once, or "
                 "not as it tells them of each: sessions are asked for one by one");
    vivo_err_clear(&op->err);
    return vivo_fail(&op->err, ENOENT, "xnat: one session at a time");
}

/* ---- prepare ---------------------------------------------------------------------
 */

static int compare_joined(const void *a, const void *b)
{
    const struct xnat_joined *const *x = a;
    const struct xnat_joined *const *y = b;
    return strcmp((*x)->session, (*y)->session);
}

static int take_row(void *ctx, json_t *row, struct vivo_err *err)
{
    struct joining *j = ctx;
    struct xnat_joined key, *want = &key, **found;
    char texts[XNAT_CELLS][XNAT_CELL_MAX];
    vivo_xnat_text(row, "ID", key.session, sizeof key.session);
    for (int i = 0; i < XNAT_CELLS; i++) {
        vivo_xnat_text(row, columns[i], texts[i], sizeof texts[i]);
        j->has[i] = j->has[i] || vivo_xnat_has(row, columns[i]);
    }
    found = bsearch(&want, j->all, j->n, sizeof *found, compare_joined);
    j->foreign += !found;
    j->rows++;
    if (!found || !texts[XNAT_SCAN_ID][0])
        return 0;
    for (int i = 0; i < XNAT_CELLS; i++)
        if (vivo_buf_add(&(*found)->cells, texts[i], strlen(texts[i]) + 1))
            return vivo_fail(err, ENOMEM, "xnat: too many scans in one session");
    return 0;
}

static int add_session(struct joining *j, const char *locator, struct vivo_buf *ids,
                       struct vivo_err *err)
{
    struct xnat_place p;
    if (vivo_xnat_place_read(locator, VIVO_LEVEL_STUDY, &p, err)) {
        vivo_err_clear(err);
        return 0;
    }
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->all[i]->session, p.session) == 0) {
            j->all[i]->uses++;
            return 0;
        }
    if (!vivo_xnat_add_id(ids, p.session))
        return 0; /* it is asked for by itself */
    struct xnat_joined *one = calloc(1, sizeof *one);
    if (!one)
        return vivo_fail(err, ENOMEM, "xnat: out of memory");
    vivo_buf_init(&one->cells, CELLS_BYTES);
    one->uses = 1;
    snprintf(one->session, sizeof one->session, "%s", p.session);
    j->all[j->n++] = one;
    return 0;
}

static int prepare_some(struct joining *j, const struct vivo_buf *ids,
                        struct vivo_op *op)
{
    char wanted[512];
    qsort(j->all, j->n, sizeof j->all[0], compare_joined);
    snprintf(wanted, sizeof wanted, "%s,%s,%s,%s", columns[XNAT_SCAN_TYPE],
             columns[XNAT_SCAN_UID], columns[XNAT_SCAN_MODALITY],
             columns[XNAT_SCAN_TEXT]);
    int rc = vivo_xnat_ask_joined(j->x, ids, wanted, take_row, j, op);
    for (int i = 0; rc == 0 && i < XNAT_CELLS; i++)
        if (j->rows && !j->has[i])
            rc = -ENOENT; /* it does not know that column */
    if (rc == 0 && j->foreign)
        rc = -ENOENT; /* it does not know what it was asked, and tells all */
    if (rc == 0)
        rc = settle(j, op);
    if (rc == 0 || rc == -ENOENT)
        return refuse(j->x, op);
    if (rc > 0)
        keep_all(j);
    return rc < 0 ? rc : 0;
}

int vivo_xnat_prepare(struct vivo_archive *self, const char *const *nodes, size_t n,
                      struct vivo_op *op)
{
    struct joining j = {.x = xnat_of(self)};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf ids = {0};
    int rc = 0;
    if (is_refused(j.x))
        return refuse(j.x, op);
    vivo_buf_init(&ids, XNAT_IDS_BYTES);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_session(&j, nodes[i], &ids, &op->err);
    if (rc == 0 && j.n)
        rc = prepare_some(&j, &ids, op);
    for (size_t i = 0; i < j.n; i++)
        free_joined(j.all[i]);
    return rc;
}
