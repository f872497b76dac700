/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_studies.c -- studies by C-FIND, in parts where the server cuts. */
#include "dimse.h"
#include "studies.h"

static int ask(void *asker, const char *date, const char *time, vivo_study_fn *fn,
               void *ctx, struct vivo_studies_answer *out, struct vivo_op *op)
{
    const struct dimse_studies *s = asker;
    struct dimse_keys keys = *s->keys;
    struct dimse_answer got = {0};

    vivo_dimse_keys_add(&keys, VIVO_TAG_StudyDate, date);
    if (*time)
        vivo_dimse_keys_add(&keys, VIVO_TAG_StudyTime, time);
    int rc = vivo_dimse_ask(s->d, &keys, fn, ctx, &got, op);
    out->rows = got.rows;
    out->status = got.status;
    return rc;
}

static int fail(void *asker, unsigned status, struct vivo_err *err)
{
    VIVO_UNUSED void *unused = asker;
    return vivo_dimse_status_fail(status, "C-FIND of studies", err);
}

int vivo_dimse_studies_asked(const struct dimse_studies *s, struct vivo_op *op)
{
    struct dimse_studies own = *s; /* the asker is not const */
    const struct vivo_studies all = {.ask = ask,
                                     .fail = fail,
                                     .asker = &own,
                                     .module = "dimse",
                                     .cap = &s->d->cap,
                                     .from = s->from,
                                     .to = s->to,
                                     .fn = s->fn,
                                     .ctx = s->ctx};

    return vivo_studies_all(&all, op);
}

int vivo_dimse_studies(const struct dimse_studies *s, struct vivo_op *op)
{
    enum dimse_root root;
    int rc = vivo_dimse_root(s->d, &root, op);
    if (rc)
        return rc;
    return root == DIMSE_ROOT_PATIENT ? vivo_dimse_studies_by_patient(s, op)
                                      : vivo_dimse_studies_asked(s, op);
}
