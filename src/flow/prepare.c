/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/prepare.c -- listings that an archive can be asked for many at once.
 *
 * A query that needs the children of many studies has the driver told of them before
 * each is listed: what it asks for in one request the listings then take from it. They
 * are ordinary listings, and what was not to be had so they ask for themselves. */
#include "flow/internal.h"

#include <errno.h>
#include <string.h>

struct job { /* ctx of a flight */
    enum vivo_level level;
    size_t n;
    char *locators[VIVO_PREPARE_MAX];
    vivo_row rows[VIVO_PREPARE_MAX];
};

bool prepare_helps(const struct vivo_flow *f, enum vivo_level level)
{
    const struct vivo_driver *d = f->archive->driver;
    /* VIVOFS_PUSHDOWN=0: answers come from listings alone. */
    return f->searches && d->prepare && level != VIVO_LEVEL_NONE &&
           level == d->prepares;
}

static int find_locators(struct vivo_flow *f, struct job *j, struct vivo_err *err)
{
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; i < j->n && rc >= 0; i++) {
        rc = locator_of(f, j->level, j->rows[i], &j->locators[n], err);
        n += rc == 0;
    }
    j->n = n;
    return rc < 0 ? rc : 0;
}

static int run_prepare(struct vivo_flight *flight)
{
    struct vivo_flow *f = flight->flow;
    struct job *j = flight->ctx;
    struct vivo_op *op = &flight->op;
    int rc = find_locators(f, j, &op->err);
    if (rc || !j->n)
        return rc;
    rc = vivo_archive_prepare(f->archive, (const char *const *)j->locators, j->n, op);
    if (rc == -ENOENT) { /* each listing asks for itself */
        vivo_err_clear(&op->err);
        return 0;
    }
    return flow_told(flight, rc);
}

static void free_job(struct job *j)
{
    for (size_t i = 0; i < VIVO_PREPARE_MAX; i++)
        free(j->locators[i]);
    free(j);
}

static void drop_job(struct vivo_flight *flight)
{
    free_job(flight->ctx);
}

int prepare_listings(struct vivo_flow *f, enum vivo_level level, const vivo_row *rows,
                     size_t n, struct vivo_op *op)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return vivo_fail(&op->err, ENOMEM, "out of memory");
    j->level = level;
    j->n = VIVO_MIN(n, (size_t)VIVO_PREPARE_MAX);
    memcpy(j->rows, rows, j->n * sizeof *rows);
    vivo_sha256(rows, j->n * sizeof *rows, digest);
    struct flight_plan plan = {
        .key = {.kind = FLIGHT_PREPARE, .level = level},
        .run = run_prepare,
        .ctx = j,
        .drop = drop_job,
    };
    memcpy(&plan.key.extra, digest, sizeof plan.key.extra);
    return flight_join(f, &plan, op);
}
