/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/listing.c -- a directory as it was when it was opened: records of stat and
 * name in one view, of which readdir serves slices. The offset of an entry is that of
 * the byte after it, plus one, so that 0 is the beginning. */
#include "fuse/internal.h"

#include <stdlib.h>
#include <string.h>

struct record {   /* then the name with its NUL, padded to 8 bytes */
    uint32_t len; /* bytes, all of it */
    uint16_t mode;
    uint8_t kind, exact;
    vivo_ino ino, number, plain;
    uint64_t size;
    int64_t mtime;
    float entry_timeout, attr_timeout;
};

#define RECORD_MAX (sizeof(struct record) + 4096 + 8)

struct making {
    struct vivo_tree_spool spool;
    struct vivo_err *err;
};

static int add(struct making *m, const char *name, const struct vivo_node_stat *st)
{
    static const char zeros[8] = "";
    size_t name_len = strlen(name) + 1;
    size_t pad = -(sizeof(struct record) + name_len) & 7;
    struct record rec = {
        .len = (uint32_t)(sizeof rec + name_len + pad),
        .mode = (uint16_t)st->mode,
        .kind = (uint8_t)st->kind,
        .exact = st->size_exact,
        .ino = st->ino,
        .number = st->number,
        .plain = st->plain,
        .size = st->size,
        .mtime = st->mtime,
        .entry_timeout = (float)st->entry_timeout,
        .attr_timeout = (float)st->attr_timeout,
    };
    int rc;

    if (rec.len > RECORD_MAX)
        return 0; /* longer than any name the kernel takes */
    rc = vivo_tree_spool_add(&m->spool, &rec, sizeof rec, m->err);
    if (!rc)
        rc = vivo_tree_spool_add(&m->spool, name, name_len, m->err);
    return rc ? rc : vivo_tree_spool_add(&m->spool, zeros, pad, m->err);
}

static int emit(void *ctx, const char *name, const struct vivo_node_stat *st)
{
    return add(ctx, name, st);
}

static int add_dots(struct making *m, vivo_ino dir)
{
    struct vivo_node_stat st = {
        .number = dir, .kind = VIVO_NODE_DIR, .mode = 0555, .size_exact = true};
    int rc = add(m, ".", &st);

    return rc ? rc : add(m, "..", &st);
}

int listing_make(struct request *r, struct vivo_view **out)
{
    struct making m = {.err = &r->op.err};
    int rc;

    vivo_tree_spool_init(&m.spool);
    rc = add_dots(&m, r->ino);
    if (!rc)
        rc = vivo_tree_list(r->s->tree, r->ino, emit, &m, &r->op);
    if (!rc)
        rc = vivo_tree_spool_view(&m.spool, out, &r->op.err);
    vivo_tree_spool_free(&m.spool);
    return rc;
}

static void stat_of(const struct record *rec, struct vivo_node_stat *st)
{
    *st = (struct vivo_node_stat){
        .ino = rec->ino,
        .number = rec->number,
        .plain = rec->plain,
        .kind = (enum vivo_node_kind)rec->kind,
        .mode = rec->mode,
        .size = rec->size,
        .size_exact = rec->exact,
        .mtime = rec->mtime,
        .entry_timeout = (double)rec->entry_timeout,
        .attr_timeout = (double)rec->attr_timeout,
    };
}

struct slice {
    struct vivo_session *s;
    fuse_req_t req;
    vivo_ino dir;
    bool plus;
};

/* The bytes that the entry takes in the reply; more than `room` = it does not fit. */
static size_t put(const struct slice *sl, const struct record *rec, const char *name,
                  char *to, size_t room, uint64_t next)
{
    struct fuse_entry_param e;
    struct vivo_node_stat st;
    bool dots = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));

    stat_of(rec, &st);
    entry_fill(sl->s, &st, &e);
    if (!sl->plus)
        return fuse_add_direntry(sl->req, to, room, name, &e.attr, (off_t)next);
    /* Counted as looked up only once it is sure to fit. */
    if (!dots && fuse_add_direntry_plus(sl->req, NULL, 0, name, NULL, 0) <= room) {
        if (vivo_tree_remember(sl->s->tree, sl->dir, name, &st))
            st.ino = 0;
        entry_fill(sl->s, &st, &e);
    }
    return fuse_add_direntry_plus(sl->req, to, room, name, &e, (off_t)next);
}

/* Entries of the records in [from, from + len) that are there whole. */
static ssize_t render(const struct slice *sl, const uint8_t *from, size_t len,
                      uint64_t off, char *buf, size_t size)
{
    size_t at = 0;
    size_t used = 0;

    while (len - at >= sizeof(struct record)) {
        struct record rec;
        size_t took;

        memcpy(&rec, from + at, sizeof rec);
        if (rec.len < sizeof rec || rec.len > RECORD_MAX)
            return -EIO;
        if (rec.len > len - at)
            break;
        took = put(sl, &rec, (const char *)from + at + sizeof rec, buf + used,
                   size - used, off + at + rec.len + 1);
        if (took > size - used)
            break;
        used += took;
        at += rec.len;
    }
    return (ssize_t)used;
}

ssize_t listing_render(struct vivo_session *s, fuse_req_t req, vivo_ino dir,
                       const struct vivo_view *listing, char *buf, size_t size,
                       uint64_t off, bool plus, struct vivo_err *err)
{
    struct slice sl = {.s = s, .req = req, .dir = dir, .plus = plus};
    /* A record is never longer than twice the entry made of it. */
    size_t want = VIVO_MAX(2 * size, RECORD_MAX);
    uint64_t at = off ? off - 1 : 0;
    uint8_t *records = malloc(want);
    ssize_t n;

    if (!records)
        return vivo_fail(err, ENOMEM, "no memory for a listing");
    n = vivo_view_pread(listing, records, want, at, err);
    if (n > 0)
        n = render(&sl, records, (size_t)n, at, buf, size);
    free(records);
    if (n < 0 && !err->errnum)
        return vivo_fail(err, EIO, "a listing is damaged");
    return n;
}
