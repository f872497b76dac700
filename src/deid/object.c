/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/object.c -- the header pass: a source becomes a view.
 *
 * Walk and capture, refuse or rewrite, then put the writer's pieces together. Every
 * way out but the last gives nothing: de-identification fails closed. */
#include "alike.h"
#include "audit.h"
#include "ctp.h"
#include "options.h"
#include "pixels.h"

#include "vivofs/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define HEADER_MAX (512u << 20) /* bytes the writer may hold */

/* The source, or the view of the result. Nearly all headers lie within the first
 * bytes, which are read once and looked at several times. */
struct lead_reader {
    struct vivo_reader base;
    int fd; /* the source; -1 = the view is read */
    const struct vivo_view *view;
    const struct lead_reader *source; /* of the view: what is read already, or NULL */
    size_t len;                       /* bytes in `lead`; 0 = not read yet */
    uint64_t here;                    /* bytes of the source that have come */
    uint64_t beyond;                  /* a read wanted so many; 0 = none did */
    uint8_t lead[VIVO_DEID_LEAD];
};

static int read_past_lead(struct lead_reader *r, void *buf, size_t len, uint64_t off,
                          struct vivo_err *err)
{
    if (off > r->here || len > r->here - off) {
        r->beyond = VIVO_MAX(r->beyond, off + len);
        return vivo_fail(err, EIO, "read past what has come");
    }
    if (r->fd >= 0)
        return vivo_pread_full(r->fd, buf, len, off, err);
    const struct lead_reader *s = r->source;
    ssize_t n = vivo_view_pread_led(r->view, s ? s->lead : NULL, s ? s->len : 0, buf,
                                    len, off, err);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : vivo_fail(err, EIO, "read past the end");
}

static int read_lead(struct lead_reader *r, struct vivo_err *err)
{
    size_t n = (size_t)VIVO_MIN(r->base.size, (uint64_t)VIVO_DEID_LEAD);
    int rc = n && !r->len ? read_past_lead(r, r->lead, n, 0, err) : 0;
    if (!rc)
        r->len = n;
    return rc;
}

static int read_through_lead(struct vivo_reader *self, void *buf, size_t len,
                             uint64_t off, struct vivo_err *err)
{
    struct lead_reader *r = (struct lead_reader *)self; /* first member */
    if (off >= VIVO_DEID_LEAD || len > VIVO_DEID_LEAD - off)
        return read_past_lead(r, buf, len, off, err);
    int rc = read_lead(r, err);
    if (rc)
        return rc;
    if (len > r->len - VIVO_MIN((size_t)off, r->len))
        return vivo_fail(err, EIO, "read past the end");
    memcpy(buf, r->lead + off, len);
    return 0;
}

/* To the beginning of another source or view. */
static void init_reader(struct lead_reader *r, int fd, const struct vivo_view *v,
                        uint64_t size)
{
    r->base.read = read_through_lead;
    r->base.size = size;
    r->fd = fd;
    r->view = v;
    r->source = NULL;
    r->len = 0;
    r->here = size;
    r->beyond = 0;
}

static int probe(struct lead_reader *r, bool *foreign, struct vivo_err *err)
{
    int rc = read_lead(r, err);
    if (rc)
        return rc;
    *foreign = !vivo_dcm_probe(r->lead, r->len, r->base.size);
    return *foreign ? vivo_fail(err, EBADMSG, "not a DICOM object") : 0;
}

/* Whom the walk speaks to. */
struct listener {
    struct vivo_header *h;
    struct vivo_model *model; /* NULL = none is made */
};

static int hear(void *ctx, enum vivo_dcm_event event, const struct vivo_dcm_elem *e,
                struct vivo_err *err)
{
    struct listener *l = ctx;
    vivo_alike_event(l->model, event, e);
    return vivo_header_event(l->h, event, e, err);
}

static int walk(struct vivo_header *h, struct lead_reader *r, struct vivo_model *model,
                struct vivo_err *err)
{
    struct listener l = {h, model};
    int rc = vivo_dcm_walk_reader(&r->base, NULL, 0, h->inflated,
                                  model ? hear : vivo_header_event,
                                  model ? (void *)&l : h, err);
    return rc > 0 ? 0 : rc;
}

/* What one call works on. */
struct job {
    const struct vivo_identity *id;
    struct lead_reader reader;
    bool now;                 /* decode pixels now, not when they are read */
    bool early;               /* not all of the source is here: decode nothing */
    struct vivo_audit *audit; /* NULL = nobody asks */
    struct vivo_model *model; /* to be made of it; NULL = none */
    struct vivo_view *view;
    bool copied;   /* the view has another descriptor than the source's */
    bool deferred; /* the view is a sketch: pixels are to be decoded */
};

/* Fills h. A deflated source is walked again with a place to inflate to. */
static int capture(struct vivo_header *h, const struct vivo_deid *d, struct job *job,
                   struct vivo_err *err)
{
    const bool all = job->audit;
    vivo_header_init(h, d);
    h->collects = h->collects || all;
    int rc = walk(h, &job->reader, job->model, err);
    if (rc || !h->want_inflate)
        return rc;
    int inflated = vivo_file_nameless(NULL, err);
    if (inflated < 0)
        return inflated;
    vivo_header_free(h);
    vivo_header_init(h, d);
    h->collects = h->collects || all;
    h->inflated = inflated;
    return walk(h, &job->reader, NULL, err);
}

/* PatientID's pseudonym, or one of the study, or of the object (never one constant
 * that would merge people). */
static int choose_patient(struct vivo_rewrite *r, struct vivo_err *err)
{
    char uid[128];
    int rc = vivo_rewrite_patient(r, 0, r->h->n, r->patient, err);
    if (rc || r->patient[0])
        return rc;
    if (vivo_header_text(r->h, VIVO_TAG_StudyInstanceUID, uid, sizeof uid) ||
        vivo_header_text(r->h, VIVO_TAG_SOPInstanceUID, uid, sizeof uid))
        vivo_pseudo_patient_of_uid(r->d->key, uid, r->patient);
    else if (r->h->meta_instance[0])
        vivo_pseudo_patient_of_uid(r->d->key, r->h->meta_instance, r->patient);
    return 0;
}

/* What the script makes of the PatientID, if it has a say. */
static int choose_identifier(struct vivo_rewrite *r, struct vivo_err *err)
{
    int rc = vivo_rewrite_identifier(r, 0, r->h->n, r->patient_id, err);
    if (!rc && !r->patient_id[0])
        memcpy(r->patient_id, r->patient, sizeof r->patient);
    return rc;
}

/* The class as it will stand in the data set: one that is no class is replaced. */
static void shown_class(const struct vivo_rewrite *r, char out[VIVO_UID_MAX + 1])
{
    size_t n = strlen(r->sop_class);
    if (!n || vivo_uid_is_registry(r->sop_class, n))
        memcpy(out, r->sop_class, n + 1);
    else
        vivo_pseudo_uid(r->d->key, r->sop_class, n, out);
}

/* What the output is written in: the syntax that the source declares, or an explicit
 * one in its byte order where it was deflated or is in another byte order than it
 * says. Pixel data that are encapsulated stay in the declared one. */
static int output_syntax(const struct vivo_header *h, bool decoded,
                         const struct vivo_syntax **syntax, const char **uid,
                         struct vivo_err *err)
{
    const char *big = "1.2.840.10008.1.2.2", *little = "1.2.840.10008.1.2.1";
    const struct vivo_syntax *in = &h->syntax;
    if (!in->uid)
        return vivo_fail(err, EBADMSG, "no data set");
    *uid = h->meta_syntax[0] ? h->meta_syntax : in->uid;
    *syntax = vivo_dcm_syntax(*uid, strlen(*uid));
    if (!*syntax || !vivo_uid_is_registry(*uid, strlen(*uid)))
        return vivo_fail(err, EBADMSG, "its transfer syntax is not a registered one");
    if (!decoded && !in->deflated && (*syntax)->big_endian == in->big_endian)
        return 0;
    if ((*syntax)->encapsulated && !decoded)
        return vivo_fail(err, EBADMSG, "encapsulated in another byte order");
    *uid = in->big_endian ? big : little;
    *syntax = vivo_dcm_syntax(*uid, strlen(*uid));
    return *syntax ? 0 : vivo_fail(err, EIO, "no such transfer syntax");
}

static int write_header(struct vivo_rewrite *r, struct vivo_model *model,
                        struct vivo_err *err)
{
    const struct vivo_syntax *syntax = NULL;
    const char *uid = NULL;
    char instance[VIVO_UID_MAX + 1], sop_class[VIVO_UID_MAX + 1];
    bool decoded = r->plan->way == VIVO_PIXELS_DECODE;
    int rc = output_syntax(r->h, decoded, &syntax, &uid, err);
    if (!rc)
        rc = choose_patient(r, err);
    if (!rc)
        rc = choose_identifier(r, err);
    if (!rc)
        rc = vivo_dcm_writer_new(syntax, HEADER_MAX, &r->w, err);
    if (rc)
        return rc;
    if (!vivo_header_text(r->h, VIVO_TAG_SOPClassUID, r->sop_class,
                          sizeof r->sop_class))
        memcpy(r->sop_class, r->h->meta_class, sizeof r->sop_class);
    vivo_rewrite_instance(r, instance);
    shown_class(r, sop_class);
    if (model)
        vivo_alike_clean(model, r, syntax);
    rc = vivo_dcm_write_meta(r->w, sop_class, instance, uid, err);
    return rc ? rc : vivo_rewrite_set(r, err);
}

static int build_view(const struct vivo_header *h, struct vivo_dcm_writer *w,
                      const struct vivo_pixel_plan *plan, struct job *job,
                      struct vivo_err *err)
{
    struct vivo_assembly a = {
        .h = h,
        .w = w,
        .plan = plan,
        .reader = &job->reader.base,
        .fd = job->reader.fd,
        .id = job->id,
        .sketch = job->early || (job->id && !job->now),
    };
    int rc = vivo_assemble(&a, err);
    job->view = a.view;
    job->copied = a.copied;
    job->deferred = a.sketched;
    return rc;
}

static int refuse(enum vivo_refusal why, struct vivo_err *err)
{
    switch (why) {
    case VIVO_REFUSAL_BURNED_IN:
        return vivo_fail(err, EPERM, "refused: BurnedInAnnotation is YES");
    case VIVO_REFUSAL_DOCUMENT:
        return vivo_fail(err, EPERM, "refused: a document or video, not cleanable");
    case VIVO_REFUSAL_AT_RISK:
        return vivo_fail(err, EPERM,
                         "refused: its pixels may identify: no pixel rule fits, and "
                         "BurnedInAnnotation does not say NO or it shows a label");
    case VIVO_REFUSAL_DICOMDIR:
        return vivo_fail(err, EPERM, "refused: a DICOMDIR");
    case VIVO_REFUSAL_UNPARSABLE:
        return vivo_fail(err, EBADMSG, "not valid DICOM");
    case VIVO_REFUSAL_SCRIPT:
    case VIVO_REFUSAL_NONE:
        break;
    }
    return 0;
}

static int clean(const struct vivo_deid *d, struct job *job,
                 struct vivo_deid_report *report, struct vivo_err *err)
{
    struct vivo_header h;
    struct vivo_pixel_plan plan = {0};
    struct vivo_rewrite r = {
        .d = d, .h = &h, .method = true, .plan = &plan, .audit = job->audit};
    vivo_buf_init(&r.scratch, HEADER_MAX);
    int rc = capture(&h, d, job, err);
    if (!rc) {
        vivo_header_order(&h);
        rc = vivo_pixels_plan(&h, &plan, err);
    }
    if (!rc) {
        report->refusal = vivo_deid_refusal(&h, &plan, &report->at_risk);
        r.uncleaned = report->at_risk;
        rc = refuse(report->refusal, err);
    }
    if (!rc)
        rc = vivo_header_settle(&h, err);
    if (!rc)
        rc = write_header(&r, job->model, err);
    if (rc == -EPERM && report->refusal == VIVO_REFUSAL_NONE)
        report->refusal = VIVO_REFUSAL_SCRIPT;
    if (!rc)
        rc = build_view(&h, r.w, &plan, job, err);
    vivo_pixels_plan_free(&plan);
    vivo_dcm_writer_free(r.w);
    vivo_known_free(r.known);
    vivo_known_free(r.names);
    vivo_buf_free(&r.scratch);
    vivo_header_free(&h);
    if (h.inflated >= 0)
        close(h.inflated);
    return rc;
}

static int pass_through(struct job *job, struct vivo_err *err)
{
    int rc = vivo_view_new(job->reader.fd, job->id, &job->view, err);
    if (!rc && vivo_view_add_range(job->view, 0, job->reader.base.size))
        rc = vivo_fail(err, ENOMEM, "no memory for a view");
    return rc;
}

/* The attributes of what a reader will see, by reading it. The ranges of most views are
 * of the source, whose beginning was read after its identity was taken. */
static int attrs_of_view(const struct job *job, struct vivo_buf *out,
                         struct vivo_err *err)
{
    struct lead_reader r; /* its bytes are not cleared: they are read first */
    init_reader(&r, -1, job->view, vivo_view_size(job->view));
    if (job->id && !job->copied && !job->deferred)
        r.source = &job->reader;
    return vivo_dcm_attrs(&r.base, NULL, 0, out, err);
}

static int run(const struct vivo_deid *d, struct job *job, struct vivo_buf *attrs,
               struct vivo_deid_report *report, struct vivo_err *err)
{
    int rc = probe(&job->reader, &report->foreign, err);
    if (!rc)
        rc = d->none ? pass_through(job, err) : clean(d, job, report, err);
    if (!rc && attrs)
        rc = attrs_of_view(job, attrs, err);
    if (rc == -EBADMSG)
        report->refusal = VIVO_REFUSAL_UNPARSABLE;
    return rc;
}

/* The caller's descriptor stays his on failure. */
static void give_up(struct job *job)
{
    if (job->view && !job->copied)
        vivo_view_disown(job->view);
    vivo_view_unref(job->view);
    job->view = NULL;
}

/* The bytes of its reader are not cleared: they are read first. */
static void init_job(struct job *job, int fd, const struct vivo_identity *id,
                     uint64_t size)
{
    job->id = id;
    job->now = false;
    job->early = false;
    job->audit = NULL;
    job->model = NULL;
    job->view = NULL;
    job->copied = false;
    job->deferred = false;
    init_reader(&job->reader, fd, NULL, size);
}

static int run_job(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                   uint64_t size, bool now, struct vivo_view **out,
                   struct vivo_buf *attrs, struct vivo_deid_report *report,
                   struct vivo_err *err);

/* What a view whose pixels are decoded later is made from. */
struct decode_later {
    const struct vivo_deid *d;
    uint64_t size;
};

static int make_later(void *ctx, int fd, const struct vivo_identity *id,
                      struct vivo_view **out, struct vivo_err *err)
{
    const struct decode_later *l = ctx;
    struct vivo_deid_report report = {0};
    return run_job(l->d, fd, id, l->size, true, out, NULL, &report, err);
}

/* The sketch tells the size; decoding waits until somebody reads. */
static int defer(const struct vivo_deid *d, struct job *job, int fd, uint64_t size,
                 struct vivo_err *err)
{
    struct decode_later *l = malloc(sizeof *l);
    struct vivo_view *later = NULL;
    if (!l)
        return vivo_fail(err, ENOMEM, "no memory for a view");
    *l = (struct decode_later){d, size};
    int rc = vivo_view_new_later(fd, job->id, vivo_view_size(job->view), make_later, l,
                                 &later, err);
    if (rc) {
        free(l);
        return rc;
    }
    vivo_view_unref(job->view);
    job->view = later;
    return 0;
}

static int run_job(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                   uint64_t size, bool now, struct vivo_view **out,
                   struct vivo_buf *attrs, struct vivo_deid_report *report,
                   struct vivo_err *err)
{
    struct job job;
    init_job(&job, fd, id, size);
    job.now = now;
    int rc = run(d, &job, attrs, report, err);
    if (!rc && job.deferred)
        rc = defer(d, &job, fd, size, err);
    if (rc) {
        give_up(&job);
        return rc;
    }
    report->size = vivo_view_size(job.view);
    if (job.copied)
        close(fd);
    *out = job.view;
    return 0;
}

int vivo_deid_object(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                     uint64_t size, struct vivo_view **out, struct vivo_buf *attrs,
                     struct vivo_deid_report *report, struct vivo_err *err)
{
    struct vivo_deid_report ignored;
    if (!report)
        report = &ignored;
    memset(report, 0, sizeof *report);
    return run_job(d, fd, id, size, false, out, attrs, report, err);
}

/* ---- what would be shown -------------------------------------------------------- */

/* The lead was read after the identity was taken. */
static int check_identity(const struct job *job, struct vivo_err *err)
{
    struct vivo_identity now;
    if (!job->id)
        return 0;
    int rc = vivo_identity_of(job->reader.fd, &now, err);
    if (!rc && !vivo_identity_equal(&now, job->id))
        rc = vivo_fail(err, EIO, "source: changed while it was read");
    return rc;
}

/* By cleaning it, as for somebody who reads it. */
static int describe_whole(const struct vivo_deid *d, struct job *job,
                          struct vivo_buf *attrs, struct vivo_deid_report *report,
                          struct vivo_err *err)
{
    const size_t before = attrs->len;
    int rc = run(d, job, attrs, report, err);
    if (!rc)
        report->size = vivo_view_size(job->view);
    if (!rc && job->model)
        vivo_alike_shown(
            job->model, job->reader.lead, job->reader.len, job->reader.base.size,
            (struct vivo_attrs){attrs->data + before, attrs->len - before}, report);
    give_up(job);
    return rc;
}

#ifndef NDEBUG
/* Builds with assertions make everything both ways. */
static bool is_so(const struct vivo_deid *d, struct job *job, const uint8_t *attrs,
                  size_t len, const struct vivo_deid_report *report)
{
    struct vivo_deid_report whole = {0};
    struct vivo_err err = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf b = {0};
    vivo_buf_init(&b, VIVO_ATTRS_MAX);
    if (describe_whole(d, job, &b, &whole, &err) == -EIO)
        return true; /* it changes just now */
    return b.len == len && !memcmp(b.data, attrs, len) && whole.size == report->size &&
           whole.refusal == report->refusal && whole.at_risk == report->at_risk &&
           whole.foreign == report->foreign;
}
#endif

int vivo_deid_describe(const struct vivo_deid *d, int fd,
                       const struct vivo_identity *id, uint64_t size,
                       struct vivo_buf *attrs, struct vivo_deid_report *report,
                       struct vivo_err *err)
{
    struct job job;
    const size_t before = attrs->len;
    memset(report, 0, sizeof *report);
    init_job(&job, fd, id, size);
    int rc = read_lead(&job.reader, err);
    if (rc)
        return rc;
    if (vivo_alike_describe(d, job.reader.lead, job.reader.len, size, attrs, report)) {
        rc = check_identity(&job, err);
        assert(rc || is_so(d, &job, attrs->data + before, attrs->len - before, report));
    } else {
        job.model = vivo_alike_begin(d);
        rc = describe_whole(d, &job, attrs, report, err);
    }
    if (rc)
        attrs->len = before;
    return rc;
}

int vivo_deid_early(const struct vivo_deid *d, int fd, uint64_t size, uint64_t here,
                    struct vivo_view **out, uint64_t *need, struct vivo_err *err)
{
    struct vivo_deid_report report = {0};
    struct job job;
    init_job(&job, fd, NULL, size);
    job.early = true;
    job.reader.here = here;
    int rc = run(d, &job, NULL, &report, err);
    if (job.reader.beyond) { /* whatever was made without these bytes */
        vivo_err_clear(err);
        *need = job.reader.beyond;
        rc = -EAGAIN;
    } else if (!rc && (job.copied || job.deferred)) {
        rc = vivo_fail(err, EOPNOTSUPP, "its pixels are needed");
    }
    if (rc) {
        give_up(&job);
        return rc;
    }
    *out = job.view;
    return 0;
}

int vivo_deid_audit(const struct vivo_deid *d, int fd, const struct vivo_identity *id,
                    uint64_t size, struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_deid_report report = {0};
    struct job job;
    init_job(&job, fd, id, size);
    job.audit = vivo_audit_new();
    int rc = job.audit ? run(d, &job, NULL, &report, err)
                       : vivo_fail(err, ENOMEM, "no memory for an audit");
    give_up(&job);
    if (!rc && vivo_audit_print(job.audit, out))
        rc = vivo_fail(err, ENOMEM, "no memory for an audit");
    vivo_audit_free(job.audit);
    return rc;
}
