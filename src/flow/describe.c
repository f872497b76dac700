/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/describe.c -- what an archive has in a table beyond what it lists.
 *
 * Of series that a query cannot decide, such columns are asked for before any header
 * is: one request for a thousand of them. What comes is kept as part of the series'
 * records; what no row tells stays unknown, and is read from headers. */
#include "flow/internal.h"

#include <errno.h>
#include <string.h>

struct one {
    char *locator;
    vivo_row row;
    struct vivo_buf attrs; /* as shown, of the tags that are gained */
};

struct job {                   /* ctx of a flight */
    struct vivo_intake intake; /* first: record() gets back here */
    struct vivo_flight *flight;
    pthread_mutex_t mutex; /* around what comes: several threads may bring it */
    struct one *all;       /* by locator, once they are known */
    size_t n;
};

/* ---- which attributes --------------------------------------------------------- */

bool describe_has(const struct vivo_flow *f, uint32_t tag)
{
    const struct vivo_driver *d = f->archive->driver;
    const uint32_t *t = d->describe ? d->describes : NULL;
    while (t && *t && *t != tag)
        t++;
    return t && *t && tag;
}

static bool any_is_one(const struct vivo_flow *f)
{
    for (size_t i = 0; i < VIVO_QUERY_ANY_N; i++)
        if (describe_has(f, vivo_query_any_tags[i]))
            return true;
    return false;
}

static bool names_one(const struct vivo_flow *f, const struct vivo_query_node *n)
{
    return (n->a && names_one(f, n->a)) || (n->b && names_one(f, n->b)) ||
           (n->path.nsteps == 1 && describe_has(f, n->path.steps[0].tag)) ||
           (n->kind == VIVO_QUERY_ANY && any_is_one(f));
}

bool describe_helps(const struct vivo_flow *f, const struct vivo_query *q)
{
    return f->archive->driver->describe && names_one(f, vivo_query_root(q));
}

/* ---- what comes ---------------------------------------------------------------- */

static int compare_locators(const void *a, const void *b)
{
    const struct one *x = a;
    const struct one *y = b;
    return strcmp(x->locator, y->locator);
}

/* Of a record as shown, what is gained; who it is was known before. */
static int keep_gained(const struct vivo_flow *f, struct vivo_attrs shown,
                       struct vivo_buf *out)
{
    struct vivo_attr a;
    int rc = 0;
    vivo_buf_clear(out);
    while (!rc && vivo_attrs_next(&shown, &a))
        if (describe_has(f, a.tag))
            rc = vivo_attrs_put(out, a.tag, a.vr, a.value, a.len);
    return rc;
}

static int take_record(struct vivo_intake *self, const struct vivo_record *rec,
                       struct vivo_err *err)
{
    struct job *j = (struct job *)self; /* first member */
    struct vivo_flow *f = j->flight->flow;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf shown = {0};
    const struct one key = {.locator = (char *)(uintptr_t)rec->locator};
    struct one *one = bsearch(&key, j->all, j->n, sizeof key, compare_locators);
    flight_progress(j->flight, 0);
    if (!one || rec->level != VIVO_LEVEL_SERIES)
        return vivo_fail(err, EIO, "%s: columns of a series that was not asked for",
                         f->name);
    vivo_buf_init(&shown, VIVO_ATTRS_MAX);
    int rc =
        vivo_deid_attrs(f->deid, rec->attrs, (struct vivo_attrs){NULL, 0}, &shown, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&j->mutex);
    rc = keep_gained(f, (struct vivo_attrs){shown.data, shown.len}, &one->attrs);
    pthread_mutex_unlock(&j->mutex);
    return rc ? vivo_fail(err, ENOMEM, "out of memory") : 0;
}

static void take_alive(struct vivo_intake *self)
{
    flight_progress(((struct job *)self)->flight, 0);
}

/* ---- the job -------------------------------------------------------------------- */

int locator_of(struct vivo_flow *f, enum vivo_level level, vivo_row row, char **out,
               struct vivo_err *err)
{
    struct vivo_buf locator = {0};
    vivo_buf_init(&locator, FLOW_LOCATOR_MAX);
    int rc = vivo_catalog_locator(f->catalog, level, row, &locator, NULL, err);
    if (!rc) {
        *out = (char *)locator.data;
        return 0;
    }
    vivo_buf_free(&locator);
    if (rc != -ENOENT)
        return rc;
    vivo_err_clear(err);
    return 1;
}

static int find_locators(struct vivo_flow *f, struct job *j, struct vivo_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++) {
        struct one one = {.row = j->all[i].row};
        int rc = locator_of(f, VIVO_LEVEL_SERIES, one.row, &one.locator, err);
        if (rc < 0)
            return rc;
        if (!rc)
            j->all[n++] = one;
    }
    j->n = n;
    if (n)
        qsort(j->all, n, sizeof *j->all, compare_locators);
    return 0;
}

static int keep_all(struct vivo_flow *f, struct job *j, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) struct vivo_described *d = calloc(j->n, sizeof *d);
    size_t n = 0;
    if (!d)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < j->n; i++)
        if (j->all[i].attrs.len)
            d[n++] = (struct vivo_described){
                j->all[i].row, {j->all[i].attrs.data, j->all[i].attrs.len}};
    uint64_t before = vivo_catalog_generation(f->catalog);
    int rc = vivo_catalog_describe(f->catalog, d, n, err);
    if (!rc)
        flow_pack(f);
    if (vivo_catalog_generation(f->catalog) != before)
        flow_changed(f);
    return rc;
}

static int ask_archive(struct vivo_flow *f, struct job *j, struct vivo_op *op)
{
    VIVO_AUTO(vivo_free_p) const char **locators = calloc(j->n, sizeof *locators);
    if (!locators)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < j->n; i++) {
        locators[i] = j->all[i].locator;
        vivo_buf_init(&j->all[i].attrs, VIVO_ATTRS_MAX);
    }
    return vivo_archive_describe(f->archive, locators, j->n, &j->intake, op);
}

static int run_describe(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct job *j = flight->ctx;
    struct vivo_op *op = &flight->op;
    j->flight = flight;
    int rc = find_locators(f, j, &op->err);
    if (rc || !j->n)
        return rc;
    rc = ask_archive(f, j, op);
    if (rc == -ENOENT) { /* headers tell */
        vivo_err_clear(&op->err);
        return 0;
    }
    if (!rc)
        rc = keep_all(f, j, &op->err);
    return flow_told(flight, rc);
}

static void free_job(struct job *j)
{
    for (size_t i = 0; j->all && i < j->n; i++) {
        free(j->all[i].locator);
        vivo_buf_free(&j->all[i].attrs);
    }
    free(j->all);
    pthread_mutex_destroy(&j->mutex);
    free(j);
}

static void drop_job(struct vivo_flight *flight)
{
    free_job(flight->ctx);
}

int describe_series(struct vivo_flow *f, const vivo_row *series, size_t n,
                    struct vivo_op *op)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    pthread_mutex_init(&j->mutex, NULL);
    j->intake = (struct vivo_intake){.record = take_record, .alive = take_alive};
    j->all = calloc(n + 1, sizeof *j->all);
    if (!j->all) {
        free_job(j);
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    }
    for (j->n = 0; j->n < n; j->n++)
        j->all[j->n].row = series[j->n];
    vivo_sha256(series, n * sizeof *series, digest);
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_DESCRIBE},
        .run = run_describe,
        .ctx = j,
        .drop = drop_job,
    };
    memcpy(&plan.key.extra, digest, sizeof plan.key.extra);
    return flight_join(f, &plan, op);
}
