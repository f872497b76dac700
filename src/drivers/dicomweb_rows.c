/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_rows.c -- every row of a QIDO-RS query, page after page.
 *
 * PS3.18 section 10.6 promises little: the order is free and may change between two
 * pages, servers cap pages lower than asked (with a Warning, 206, or silently), say
 * "no more" with 204, [] or a short page, or ignore limit and offset. A listing here is
 * complete or an error all the same. */
#include "dicomjson.h"
#include "dicomweb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 2048
#define OFFSET_MAX 1000000u /* Google's, and enough */
#define PASSES_MAX 40
#define SAME_PASSES 9  /* two rows in free order look alike once in 4 passes */
#define REPEATS_MAX 20 /* one page so often is not a changing order but no offset */
#define SEEN_BYTES (256u << 20)

/* UIDs emitted so far: open addressing, texts in an arena. */
struct seen_uid {
    const char *uid; /* NULL = free */
    size_t page;     /* number of the page that had it last */
};
struct seen {
    struct seen_uid *slots;
    size_t size, n; /* size is a power of two */
    struct vivo_arena *texts;
};

static uint64_t hash_text(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return h;
}

static struct seen_uid *seen_slot(const struct seen *s, const char *uid)
{
    size_t i = hash_text(uid) & (s->size - 1);
    while (s->slots[i].uid && strcmp(s->slots[i].uid, uid) != 0)
        i = (i + 1) & (s->size - 1);
    return &s->slots[i];
}

static int seen_grow(struct seen *s)
{
    struct seen bigger = *s;
    bigger.size = s->size ? 2 * s->size : 1024;
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < s->size; i++)
        if (s->slots[i].uid)
            *seen_slot(&bigger, s->slots[i].uid) = s->slots[i];
    free(s->slots);
    *s = bigger;
    return 0;
}

enum sighting { SEEN_NEW, SEEN_BEFORE, SEEN_IN_THIS_PAGE };

/* enum sighting or -ENOMEM. */
static int seen_add(struct seen *s, const char *uid, size_t page)
{
    if (2 * s->n >= s->size && seen_grow(s))
        return -ENOMEM;
    struct seen_uid *slot = seen_slot(s, uid);
    if (slot->uid) {
        bool again = slot->page == page;
        slot->page = page;
        return again ? SEEN_IN_THIS_PAGE : SEEN_BEFORE;
    }
    slot->uid = vivo_arena_strndup(s->texts, uid, strlen(uid));
    if (!slot->uid)
        return -ENOMEM;
    slot->page = page;
    s->n++;
    return SEEN_NEW;
}

/* ---- one page --------------------------------------------------------------- */

struct paging {
    struct dicomweb *d;
    const struct dicomweb_query *q;
    struct vivo_op *op;
    struct seen seen;
    struct vivo_buf body, row;
    struct vivo_net_reply reply;
    size_t page;        /* its number, over all passes */
    size_t rows;        /* of this page */
    size_t different;   /* of them, with different UIDs */
    uint64_t page_hash; /* of its UIDs in their order */
    size_t pass_rows;   /* of this pass over all pages */
    size_t pass_different;
    uint64_t pass_hash;
};

static int make_path(const struct paging *p, unsigned limit, size_t offset,
                     char out[PATH_MAX_BYTES])
{
    const struct dicomweb_query *q = p->q;
    int n = snprintf(out, PATH_MAX_BYTES, "%s?%slimit=%u&offset=%zu", q->path,
                     q->filter, limit, offset);
    /* Hexadecimal and repeated is what every server reads; "all" is not. */
    bool fields = !atomic_load(&p->d->no_fields);
    for (const uint32_t *f = q->fields; fields && *f && n < PATH_MAX_BYTES; f++)
        n += snprintf(out + n, PATH_MAX_BYTES - (size_t)n, "&includefield=%08X", *f);
    if (n >= PATH_MAX_BYTES)
        return vivo_fail(&p->op->err, EINVAL, "dicomweb: query too long");
    return 0;
}

/* There is more, and no page that has it. */
static int cut(struct paging *p, const char *why)
{
    static const char before[] = "There are ";
    const char *number = strstr(p->reply.warning, before);
    if (p->q->cut)
        *p->q->cut = (struct dicomweb_cut){
            true, number ? strtoull(number + strlen(before), NULL, 10) : 0};
    vivo_err_clear(&p->op->err); /* of the request: this says why it matters */
    return vivo_fail(&p->op->err, EIO, "%s", why);
}

/* Refusals that another question can avoid: true = ask again. */
static bool adapt(struct paging *p)
{
    struct dicomweb *d = p->d;
    unsigned page = atomic_load(&d->page);
    if (p->reply.status == 413 && page / 2 >= DICOMWEB_PAGE_MIN) {
        atomic_store(&d->page, page / 2);
        return true;
    }
    if (p->reply.status == 400 && !p->q->status && !atomic_load(&d->no_fields)) {
        atomic_store(&d->no_fields, true);
        return true;
    }
    return false;
}

static int get_page(struct paging *p, size_t offset, unsigned *limit)
{
    char path[PATH_MAX_BYTES];
    for (;;) {
        *limit = atomic_load(&p->d->page);
        vivo_buf_clear(&p->body);
        int rc = make_path(p, p->q->one ? 1 : *limit, offset, path);
        const struct dicomweb_ask ask = {p->d->url, path, DICOMWEB_JSON, NULL,
                                         DICOMWEB_PAGE_BYTES};
        if (rc == 0)
            rc = vivo_dicomweb_ask(p->d, &ask, &p->body, &p->reply, p->op);
        if (rc == 0)
            return vivo_dicomweb_check_json(&p->reply, &p->op->err);
        if (!adapt(p))
            return p->reply.status == 413
                       ? cut(p, "the server answers 413 to the shortest page")
                       : rc;
        vivo_err_clear(&p->op->err);
    }
}

/* The UID of the row at its level into uid; false when it has none that is usable. */
static bool row_uid(struct vivo_attrs a, uint32_t tag, char uid[VIVO_UID_MAX + 2])
{
    return vivo_attrs_text(a, tag, uid, VIVO_UID_MAX + 2) && vivo_dicomweb_uid_ok(uid);
}

static int take_row(struct paging *p, const char *object, size_t len)
{
    char uid[VIVO_UID_MAX + 2];
    struct vivo_err *err = &p->op->err;
    vivo_buf_clear(&p->row);
    int rc = vivo_dicomjson_attrs(object, len, VIVO_DICOMJSON_ROW, &p->row, err);
    if (rc)
        return rc;
    struct vivo_attrs a = {p->row.data, p->row.len};
    bool usable = row_uid(a, p->q->uid_tag, uid);
    p->page_hash = (p->page_hash ^ hash_text(uid)) * UINT64_C(1099511628211);
    rc = seen_add(&p->seen, uid, p->page);
    if (rc < 0)
        return vivo_fail(err, ENOMEM, "dicomweb: out of memory");
    p->different += rc != SEEN_IN_THIS_PAGE;
    if (rc != SEEN_NEW)
        return 0;
    if (!usable) {
        p->q->bad(p->q->ctx, uid);
        return 0;
    }
    return p->q->fn(p->q->ctx, uid, a, err);
}

static int take_page(struct paging *p)
{
    struct vivo_dicomjson_rows rows;
    const char *object;
    size_t len;
    p->page++;
    p->rows = 0;
    p->different = 0;
    p->page_hash = 0;
    vivo_dicomjson_rows_init(&rows, p->body.data, p->body.len);
    for (;;) {
        int rc = vivo_op_check(p->op);
        if (rc == 0)
            rc = vivo_dicomjson_next(&rows, &object, &len, &p->op->err);
        if (rc <= 0)
            return rc;
        p->rows++;
        rc = take_row(p, object, len);
        if (rc)
            return rc;
    }
}

/* ---- all pages -------------------------------------------------------------- */

/* PS3.18 section 8.3.4.4: "There are N additional results that can be requested". The
 * same number warns of other things. */
static bool is_warned(const struct paging *p)
{
    return p->reply.status == 206 || strncmp(p->reply.warning, "299", 3) == 0;
}

/* Does the server say that there is more behind this page? */
static bool is_more_said(const struct paging *p, unsigned limit)
{
    return p->rows == limit || is_warned(p);
}

/* May there be more? A server may cap pages without a word; caps are round numbers, so
 * such a page is worth another question. */
static bool is_more(const struct paging *p, unsigned limit)
{
    if (p->rows == 0 || p->rows > limit) /* more than asked for: limit is ignored */
        return false;
    return is_more_said(p, limit) || p->rows % 10 == 0;
}

static int pass(struct paging *p, size_t *pages)
{
    uint64_t before = 0;
    unsigned limit = 0;
    unsigned repeats = 0;
    bool said = false;
    *pages = 0;
    p->pass_rows = 0;
    p->pass_different = 0;
    p->pass_hash = 0;
    for (;;) {
        int rc = get_page(p, p->pass_rows, &limit);
        if (rc == 0)
            rc = take_page(p);
        if (rc)
            return rc;
        bool same = *pages > 0 && p->rows > 0 && p->page_hash == before;
        if (same && !said)
            return 0; /* the last page once more: offset is ignored, and it was all */
        said = is_more_said(p, limit);
        repeats = same ? repeats + 1 : 0;
        if (repeats == REPEATS_MAX)
            atomic_store(&p->d->no_offset, true);
        if (same && atomic_load(&p->d->no_offset))
            return cut(p, "the server gives the same page again and again");
        before = p->page_hash;
        p->pass_rows += p->rows;
        p->pass_different += p->different;
        p->pass_hash = (p->pass_hash ^ p->page_hash) * UINT64_C(1099511628211);
        ++*pages;
        if (p->q->one || !is_more(p, limit))
            return 0;
        if (p->pass_rows > OFFSET_MAX)
            return vivo_fail(&p->op->err, EIO, "more than %u rows below one thing",
                             OFFSET_MAX);
    }
}

/* Pages cut from an order that changes overlap, and then something else was missed: as
 * many rows as were counted must have been different ones (one thing twice in the same
 * page is really listed twice). The same order again and again is one that does not
 * change, so then a thing in two pages is really listed twice as well. */
static int all_passes(struct paging *p)
{
    uint64_t before = 0;
    int same = 0;
    for (int i = 0; i < PASSES_MAX; i++) {
        size_t pages = 0;
        int rc = pass(p, &pages);
        if (rc)
            return rc;
        same = i > 0 && p->pass_hash == before ? same + 1 : 0;
        if (pages == 1 || p->seen.n >= p->pass_different || same == SAME_PASSES)
            return 0;
        before = p->pass_hash;
    }
    return vivo_fail(&p->op->err, EIO,
                     "the order of rows changes from page to page: the listing cannot "
                     "be completed");
}

int vivo_dicomweb_rows(struct dicomweb *d, const struct dicomweb_query *q,
                       struct vivo_op *op)
{
    struct paging p = {.d = d, .q = q, .op = op};
    vivo_buf_init(&p.body, DICOMWEB_PAGE_BYTES);
    vivo_buf_init(&p.row, VIVO_ATTRS_MAX);
    p.seen.texts = vivo_arena_new(SEEN_BYTES);
    int rc = p.seen.texts ? all_passes(&p)
                          : vivo_fail(&op->err, ENOMEM, "dicomweb: out of memory");
    if (q->status)
        *q->status = p.reply.status;
    free(p.seen.slots);
    vivo_arena_free(p.seen.texts);
    vivo_buf_free(&p.body);
    vivo_buf_free(&p.row);
    return rc;
}
