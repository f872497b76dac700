/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/header_range.c -- see header_range.h.
 *
 * What has come so far is parsed as if it were the whole stream: a header that ends
 * in the pixel data is complete, one that ends earlier needs more. Parsing costs
 * microseconds, so trying at every step is cheaper than telling the walker where to
 * stop. */
#include "header_range.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

#define FIRST_BYTES (16u << 10)
#define GROWTH 4u /* each step has so many times the bytes of the one before */
#define HEADER_MAX (UINT64_C(256) << 20)
#define MEMORY_MAX (1u << 20) /* longer beginnings go to a nameless file */
#define BODY_MAX (UINT64_C(1) << 40)
#define PROBE_BYTES 4096u
#define BULK_KEPT 16 /* bytes of a pixel value in attrs form */

#define SOP_CLASS_DIRECTORY "1.2.840.10008.1.3.10"
#define TAG_DIRECTORY_RECORDS 0x00041220u

enum verdict { MORE, OBJECT, OTHER };

struct beginning {
    struct vivo_sink sink; /* first member */
    struct vivo_ranged_header *out;
    struct vivo_net_reply reply;
    struct vivo_buf memory;
    int fd;         /* -1 = all in memory */
    uint64_t len;   /* bytes so far */
    uint64_t start; /* of what the request under way brings */
    uint64_t asked; /* it may bring; UINT64_MAX: everything */
    uint64_t next;  /* when everything comes: the length of the next try */
    bool taking;    /* the reply under way has been looked at */
    bool ended;     /* we ended it ourselves */
    enum verdict verdict;
};

static struct beginning *beginning_of(struct vivo_sink *s)
{
    return (struct beginning *)s; /* first member */
}

/* ---- keeping ------------------------------------------------------------------- */

static int to_file(struct beginning *b, struct vivo_err *err)
{
    b->fd = vivo_file_nameless(NULL, err);
    if (b->fd < 0)
        return b->fd;
    int rc = vivo_pwrite_full(b->fd, b->memory.data, b->memory.len, 0, err);
    vivo_buf_free(&b->memory);
    return rc;
}

static int keep(struct beginning *b, const void *data, size_t len, struct vivo_err *err)
{
    int rc = 0;
    if (b->fd < 0 && b->len + len > MEMORY_MAX)
        rc = to_file(b, err);
    if (rc == 0 && b->fd >= 0)
        rc = vivo_pwrite_full(b->fd, data, len, b->len, err);
    else if (rc == 0 && vivo_buf_add(&b->memory, data, len))
        rc = vivo_fail(err, ENOMEM, "header: out of memory");
    b->len += rc ? 0 : len;
    return rc;
}

static void cut_to(struct beginning *b, uint64_t len)
{
    b->len = len;
    if (b->fd < 0)
        b->memory.len = (size_t)len;
}

/* ---- trying -------------------------------------------------------------------- */

static bool has_pixels(struct vivo_attrs a)
{
    static const uint32_t tags[] = {0x7FE00008, 0x7FE00009, 0x7FE00010};
    struct vivo_attr found;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++)
        if (vivo_attrs_find(a, tags[i], &found) && found.len >= BULK_KEPT)
            return true;
    return false;
}

bool vivo_header_is_directory(struct vivo_attrs a)
{
    char uid[VIVO_UID_MAX + 1];
    struct vivo_attr record;
    vivo_attrs_text(a, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    return strcmp(uid, SOP_CLASS_DIRECTORY) == 0 ||
           vivo_attrs_find(a, TAG_DIRECTORY_RECORDS, &record);
}

static int parse(struct beginning *b, struct vivo_err *err)
{
    struct vivo_fd_reader file;
    struct vivo_mem_reader memory;
    vivo_buf_clear(&b->out->attrs);
    if (b->fd >= 0) {
        vivo_fd_reader_init(&file, b->fd, b->len);
        return vivo_dcm_attrs(&file.base, NULL, 0, &b->out->attrs, err);
    }
    vivo_mem_reader_init(&memory, b->memory.data, b->memory.len);
    return vivo_dcm_attrs(&memory.base, NULL, 0, &b->out->attrs, err);
}

static bool may_be_dicom(const struct beginning *b)
{
    uint8_t head[PROBE_BYTES];
    size_t n = (size_t)VIVO_MIN(b->len, (uint64_t)PROBE_BYTES);
    if (b->fd < 0)
        return vivo_dcm_probe(b->memory.data, n, UINT64_MAX);
    return vivo_pread_full(b->fd, head, n, 0, NULL) == 0 &&
           vivo_dcm_probe(head, n, UINT64_MAX);
}

static int decide(struct beginning *b, enum verdict v, const char *why)
{
    b->verdict = v;
    if (v != OBJECT)
        vivo_buf_clear(&b->out->attrs);
    if (v == OTHER && !b->out->why.errnum)
        vivo_fail(&b->out->why, EBADMSG, "%s", why);
    return 0;
}

/* Settles b->verdict. whole: no more bytes will come. */
static int try_header(struct beginning *b, bool whole, struct vivo_err *err)
{
    struct vivo_err flaw = {0};
    b->out->foreign = b->len == 0 || !may_be_dicom(b);
    if (b->out->foreign)
        return decide(b, OTHER, "not a DICOM object");
    int rc = parse(b, &flaw);
    struct vivo_attrs a = {b->out->attrs.data, b->out->attrs.len};
    if (rc < 0 && rc != -EBADMSG)
        return vivo_fail(err, -rc, "%s", flaw.text);
    if (rc < 0 && whole) {
        b->out->why = flaw;
        return decide(b, OTHER, "");
    }
    if (rc == 0 && (whole || has_pixels(a))) {
        if (a.len == 0 || vivo_header_is_directory(a))
            return decide(b, OTHER, "no instance");
        return decide(b, OBJECT, "");
    }
    if (b->len >= HEADER_MAX)
        return decide(b, OTHER, "its header is too long");
    return decide(b, MORE, "");
}

/* ---- receiving ----------------------------------------------------------------- */

/* Before the first byte of a reply is taken. */
static int look_at_reply(struct beginning *b, struct vivo_err *err)
{
    const struct vivo_net_reply *first = &b->out->reply;
    b->taking = true;
    if (b->reply.encoded)
        return vivo_fail(err, EIO, "the server sends it compressed, unasked");
    if (b->start > 0 && (strcmp(first->etag, b->reply.etag) != 0 ||
                         strcmp(first->modified, b->reply.modified) != 0 ||
                         first->total != b->reply.total))
        return vivo_fail(err, EIO, "the object changed while its header was read");
    if (b->reply.status == 206)
        return 0;
    b->start = 0;
    b->asked = UINT64_MAX;
    b->next = VIVO_MAX((uint64_t)FIRST_BYTES, b->len * GROWTH);
    cut_to(b, 0);
    return 0;
}

static int take(struct vivo_sink *self, const void *data, size_t len,
                struct vivo_err *err)
{
    struct beginning *b = beginning_of(self);
    int rc = b->taking ? 0 : look_at_reply(b, err);
    if (rc)
        return rc;
    if (b->len - b->start + len > b->asked)
        return vivo_fail(err, EIO, "the server sent more than the range asked for");
    rc = keep(b, data, len, err);
    if (rc || b->asked != UINT64_MAX || b->len < b->next)
        return rc;
    rc = try_header(b, false, err);
    if (rc || b->verdict == MORE) {
        b->next *= GROWTH;
        return rc;
    }
    b->ended = true;
    return vivo_fail(err, EINTR, "the rest is not wanted");
}

static int restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct beginning *b = beginning_of(self);
    (void)err;
    cut_to(b, b->start);
    b->taking = false;
    return 0;
}

/* ---- asking -------------------------------------------------------------------- */

/* One range; *whole: the object ends with what there is now. */
static int ask(struct vivo_archive *a, struct beginning *b,
               const struct vivo_net_request *rq, uint64_t upto, bool *whole,
               struct vivo_op *op)
{
    struct vivo_net_request ranged = *rq;
    b->start = b->len;
    b->asked = upto - b->len;
    b->taking = b->ended = false;
    ranged.range_first = b->start;
    ranged.range_len = b->asked;
    ranged.max_bytes = BODY_MAX;
    atomic_fetch_add(&a->requests, 1);
    int rc = vivo_net_fetch(a->net, &ranged, &b->sink, &b->reply, op);
    atomic_fetch_add(&a->bytes, b->reply.received);
    if (b->start == 0)
        b->out->reply = b->reply;
    *whole = true;
    if (rc && b->ended) {
        vivo_err_clear(&op->err);
        return 0;
    }
    /* Nothing satisfies a range of an empty file. */
    if (rc && b->reply.status == 416 && b->start == 0) {
        vivo_err_clear(&op->err);
        return 0;
    }
    if (rc || b->asked == UINT64_MAX)
        return rc;
    *whole = b->reply.total >= 0 ? b->len >= (uint64_t)b->reply.total : b->len < upto;
    if (!*whole && b->len == b->start)
        return vivo_fail(&op->err, EIO, "an empty range of an object");
    return 0;
}

static int read_beginning(struct vivo_archive *a, struct beginning *b,
                          const struct vivo_net_request *rq, struct vivo_op *op)
{
    uint64_t upto = FIRST_BYTES;
    while (b->verdict == MORE) {
        bool whole = false;
        int rc = ask(a, b, rq, upto, &whole, op);
        if (rc == 0 && !b->ended)
            rc = try_header(b, whole, &op->err);
        if (rc)
            return rc;
        upto = VIVO_MIN(VIVO_MAX(upto, b->len) * GROWTH, HEADER_MAX);
    }
    return 0;
}

int vivo_header_range(struct vivo_archive *a, const struct vivo_net_request *rq,
                      struct vivo_ranged_header *out, struct vivo_op *op)
{
    struct beginning b = {
        .sink = {.write = take, .restart = restart}, .out = out, .fd = -1};
    *out = (struct vivo_ranged_header){0};
    vivo_buf_init(&out->attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&b.memory, MEMORY_MAX);
    int rc = read_beginning(a, &b, rq, op);
    out->object = rc == 0 && b.verdict == OBJECT;
    out->foreign = rc == 0 && out->foreign;
    if (rc == 0 && out->reply.total > 0)
        out->size = (uint64_t)out->reply.total;
    vivo_buf_free(&b.memory);
    vivo_close_p(&b.fd);
    return rc;
}

void vivo_ranged_header_free(struct vivo_ranged_header *h)
{
    vivo_buf_free(&h->attrs);
}
