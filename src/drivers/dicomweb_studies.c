/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_studies.c -- all studies of a server that gives the beginning of
 * an answer, says that there is more, and has no page with it: in parts by StudyDate.
 */
#include "dicomweb.h"
#include "studies.h"

#include <errno.h>
#include <stdio.h>

struct studies {
    struct dicomweb *d;
    const struct dicomweb_query *q; /* of all of them */
    vivo_study_fn *fn;              /* of the question being asked, and its context */
    void *ctx;
    size_t rows;
    uint64_t emitted,
        expected; /* expected: as the server counted them, 0 = it did not */
};

static int take_row(void *ctx, const char *uid, struct vivo_attrs row,
                    struct vivo_err *err)
{
    struct studies *s = ctx;
    VIVO_UNUSED const char *unused = uid;
    s->rows++;
    return s->fn(s->ctx, row, err);
}

static void bad_row(void *ctx, const char *uid)
{
    struct studies *s = ctx;
    s->q->bad(s->q->ctx, uid);
}

static int ask(void *asker, const char *date, const char *time, vivo_study_fn *fn,
               void *ctx, struct vivo_studies_answer *out, struct vivo_op *op)
{
    struct studies *s = asker;
    struct dicomweb_query q = *s->q;
    struct dicomweb_cut cut = {.is = false};
    char filter[128] = "";
    if (*date)
        snprintf(filter, sizeof filter, "StudyDate=%s&%s%s%s", date,
                 *time ? "StudyTime=" : "", time, *time ? "&" : "");
    s->fn = fn;
    s->ctx = ctx;
    s->rows = 0;
    q.filter = filter;
    q.cut = &cut;
    q.fn = take_row;
    q.bad = bad_row;
    q.ctx = s;
    int rc = vivo_dicomweb_rows(s->d, &q, op);
    out->rows = s->rows;
    if (rc == 0 || !cut.is)
        return rc;
    if (!*date && cut.more)
        s->expected = s->rows + cut.more;
    vivo_err_clear(&op->err);
    out->status = 1;
    return 0;
}

static int fail(void *asker, unsigned status, struct vivo_err *err)
{
    VIVO_UNUSED void *unused = asker;
    VIVO_UNUSED unsigned only = status;
    return vivo_fail(
        err, EIO,
        "the server gives a part of its studies and no page with the rest, "
        "nor fewer at a time by StudyDate");
}

static int emit(void *ctx, struct vivo_attrs row, struct vivo_err *err)
{
    struct studies *s = ctx;
    char uid[VIVO_UID_MAX + 2];
    s->emitted++;
    vivo_attrs_text(row, VIVO_TAG_StudyInstanceUID, uid, sizeof uid);
    return s->q->fn(s->q->ctx, uid, row, err);
}

int vivo_dicomweb_studies(struct dicomweb *d, const struct dicomweb_query *q,
                          struct vivo_op *op)
{
    struct studies s = {.d = d, .q = q};
    const struct vivo_studies all = {.ask = ask,
                                     .fail = fail,
                                     .asker = &s,
                                     .module = "dicomweb",
                                     .fn = emit,
                                     .ctx = &s};
    int rc = vivo_studies_all(&all, op);
    if (rc == 0 && s.emitted < s.expected)
        rc = vivo_fail(&op->err, EIO,
                       "the server counts %llu studies, and by StudyDate gives %llu: "
                       "some have no date",
                       (unsigned long long)s.expected, (unsigned long long)s.emitted);
    return rc;
}
