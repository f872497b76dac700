/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/xnat_bundle.c -- all objects of a scan by one request: the zip of its
 * DICOM resource, split while it comes.
 *
 * Its members are called SESSION/scans/SCAN-TYPE/resources/RESOURCE/files/PATH. The
 * path tells which file of the scan one is, where no other file of the scan has the
 * same; what cannot be told so is left to be fetched by itself. */
#include "parcel.h"
#include "xnat.h"
#include "zip_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILES_MAX 1000000u

struct member {
    char *path, *locator;
    bool dicom, twice; /* twice: another file of the scan is called so */
    bool done;
};

struct arrival {
    struct vivo_sink sink; /* first: what net writes to */
    struct xnat *x;
    struct xnat_place scan;
    char resource[XNAT_ID_MAX + 1]; /* of all that is DICOM */
    struct member *members;         /* in order of path */
    size_t n, cap, named;           /* named: members of the zip that were known */
    struct member *current, *waiting;
    struct vivo_zip_stream *zip;
    struct vivo_parcel parcel;
    struct vivo_bundle *to;
};

/* ---- which file is which ------------------------------------------------------- */

static int add_file(void *ctx, const struct xnat_file *f, struct vivo_op *op)
{
    struct arrival *a = ctx;
    char locator[XNAT_LOCATOR_MAX];
    struct member *members =
        vivo_array_grow(a->members, a->n, &a->cap, sizeof *members, FILES_MAX);
    if (!members)
        return vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    a->members = members;
    vivo_xnat_place_write(&f->place, VIVO_LEVEL_INSTANCE, locator);
    struct member *m = &members[a->n++];
    *m = (struct member){strdup(f->place.file), strdup(locator), .dicom = f->dicom};
    if (!m->path || !m->locator)
        return vivo_fail(&op->err, ENOMEM, "xnat: out of memory");
    if (!f->dicom)
        return 0;
    if (a->resource[0] && strcmp(a->resource, f->place.resource) != 0)
        return vivo_fail(&op->err, EIO,
                         "a scan whose objects are in several resources");
    memcpy(a->resource, f->place.resource, sizeof a->resource);
    return 0;
}

static int compare(const void *x, const void *y)
{
    const struct member *a = x, *b = y;
    return strcmp(a->path, b->path);
}

static void sort_members(struct arrival *a)
{
    if (a->n)
        qsort(a->members, a->n, sizeof *a->members, compare);
    for (size_t i = 1; i < a->n; i++)
        if (compare(&a->members[i], &a->members[i - 1]) == 0)
            a->members[i].twice = a->members[i - 1].twice = true;
}

/* The folder of the scan must be this one's: a scan asked for by its id brings others
 * of a type that is called so. */
static struct member *find(const struct arrival *a, const char *name)
{
    size_t len = strlen(a->scan.scan);
    const char *scan = strstr(name, "/scans/");
    const char *path = scan ? strstr(scan, "/files/") : NULL;
    if (!path || a->n == 0 || strncmp(scan + 7, a->scan.scan, len) != 0 ||
        (scan[7 + len] != '-' && scan[7 + len] != '/'))
        return NULL;
    struct member key = {.path = strdup(path + 7)};
    struct member *m =
        key.path ? bsearch(&key, a->members, a->n, sizeof key, compare) : NULL;
    free(key.path);
    return m && m->dicom && !m->twice && !m->done ? m : NULL;
}

/* ---- as it comes --------------------------------------------------------------- */

static int begin_member(void *ctx, const char *name, struct vivo_err *err)
{
    struct arrival *a = ctx;
    a->current = find(a, name);
    a->named += a->current != NULL;
    return a->current ? vivo_parcel_begin(&a->parcel, err) : 0;
}

static int member_bytes(void *ctx, const void *data, size_t len, struct vivo_err *err)
{
    struct arrival *a = ctx;
    return a->current ? vivo_parcel_push(&a->parcel, data, len, err) : 0;
}

static int end_member(void *ctx, struct vivo_err *err)
{
    struct arrival *a = ctx;
    int rc = a->current ? vivo_parcel_end(&a->parcel, err) : 0;
    if (a->current && a->parcel.waiting[0])
        a->waiting = a->current;
    return rc;
}

/* The one that waited is handed on before anything else comes. */
static int hand_on(void *ctx, const char *uid, struct vivo_err *err)
{
    struct arrival *a = ctx;
    struct member *m = a->waiting ? a->waiting : a->current;
    (void)uid;
    a->waiting = NULL;
    m->done = true;
    return a->to->whole(a->to, m->locator, err);
}

static int write_arrival(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct arrival *a = (struct arrival *)self; /* first member */
    a->to->alive(a->to, len);
    return vivo_zip_stream_push(a->zip, data, len, err);
}

static int ask_zip(void *ctx, const struct vivo_net_request *rq,
                   struct vivo_net_reply *reply, struct vivo_op *op)
{
    struct arrival *a = ctx;
    const struct vivo_zip_to to = {begin_member, member_bytes, end_member, a};
    struct vivo_net_request full = *rq;
    vivo_zip_stream_free(a->zip);
    a->zip = NULL;
    a->parcel.waiting[0] = '\0';
    a->waiting = NULL;
    full.max_bytes = XNAT_OBJECT_BYTES;
    full.close_ends = true; /* a zip has its directory at its end */
    full.on_caller = true;
    int rc = a->to->sink.restart(&a->to->sink, &op->err);
    if (rc == 0)
        rc = vivo_zip_stream_new(&to, XNAT_OBJECT_BYTES, &a->zip, &op->err);
    if (rc)
        return rc;
    atomic_fetch_add(&a->x->base.requests, 1);
    rc = vivo_net_fetch(a->x->base.net, &full, &a->sink, reply, op);
    atomic_fetch_add(&a->x->base.bytes, reply->received);
    return rc ? rc : vivo_zip_stream_finish(a->zip, &op->err);
}

/* ---- one scan -------------------------------------------------------------------- */

static int get_zip(struct arrival *a, struct vivo_op *op)
{
    struct vivo_net_reply reply = {0};
    char session[3 * XNAT_ID_MAX + 1], scan[12 * XNAT_ID_MAX + 1];
    char resource[3 * XNAT_ID_MAX + 1], path[XNAT_URL_MAX];
    vivo_xnat_encode(a->scan.session, false, session, sizeof session);
    vivo_xnat_encode_scan(a->scan.scan, scan, sizeof scan);
    vivo_xnat_encode(a->resource, false, resource, sizeof resource);
    snprintf(path, sizeof path,
             "/data/experiments/%s/scans/%s/resources/%s/files?format=zip", session,
             scan, resource);
    int rc = vivo_xnat_ask(a->x, path, ask_zip, a, &reply, op);
    if (rc == 0)
        rc = vivo_parcel_finish(&a->parcel, &op->err);
    /* Called otherwise than here, or refused: so it will be for the next scan. */
    if (a->named == 0 && rc != -EINTR && rc != -ETIMEDOUT && reply.status &&
        reply.status < 500)
        atomic_store(&a->x->no_bundle, true);
    return rc;
}

int vivo_xnat_bundle(struct vivo_archive *self, const char *series,
                     struct vivo_bundle *to, struct vivo_op *op)
{
    struct xnat *x = xnat_of(self);
    struct arrival a = {.sink.write = write_arrival, .x = x, .to = to};
    a.parcel =
        (struct vivo_parcel){.to = &to->sink, .done = hand_on, .ctx = &a, .wary = true};
    if (atomic_load(&x->no_bundle))
        return vivo_fail(&op->err, EIO, "the server gives files one by one");
    int rc = vivo_xnat_place_read(series, VIVO_LEVEL_SERIES, &a.scan, &op->err);
    if (rc == 0)
        rc = vivo_xnat_files(x, &a.scan, "", add_file, &a, NULL, op);
    if (rc == 0 && !a.resource[0])
        rc = vivo_fail(&op->err, EIO, "a scan without a resource of objects");
    sort_members(&a);
    if (rc == 0)
        rc = get_zip(&a, op);
    vivo_zip_stream_free(a.zip);
    vivo_parcel_free(&a.parcel);
    for (size_t i = 0; i < a.n; i++) {
        free(a.members[i].path);
        free(a.members[i].locator);
    }
    free(a.members);
    return rc ? vivo_fail_in(&op->err, "the zip of a scan") : 0;
}
