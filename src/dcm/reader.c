/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/reader.c -- sources that can be read at an offset, walking them whole,
 * and telling DICOM from other files. */
#include "vivofs/file.h"
#include "walk.h"

#include <errno.h>
#include <string.h>

static int fd_read(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                   struct vivo_err *err)
{
    struct vivo_fd_reader *r = (struct vivo_fd_reader *)self;

    return vivo_pread_full(r->fd, buf, len, off, err);
}

void vivo_fd_reader_init(struct vivo_fd_reader *r, int fd, uint64_t size)
{
    *r = (struct vivo_fd_reader){.base = {.read = fd_read, .size = size}, .fd = fd};
}

static int mem_read(struct vivo_reader *self, void *buf, size_t len, uint64_t off,
                    struct vivo_err *err)
{
    struct vivo_mem_reader *r = (struct vivo_mem_reader *)self;

    if (off > self->size || len > self->size - off)
        return vivo_fail(err, EIO, "read beyond the end of %" PRIu64 " bytes",
                         self->size);
    if (len)
        memcpy(buf, r->data + off, len);
    return 0;
}

void vivo_mem_reader_init(struct vivo_mem_reader *r, const void *data, size_t len)
{
    *r =
        (struct vivo_mem_reader){.base = {.read = mem_read, .size = len}, .data = data};
}

/* A header of the usual size costs one read; after a value that was skipped little
 * is read, because a fragment or the end may be all there is. */
enum { FIRST_READ = 16 << 10, AFTER_SKIP = 4 << 10, MAX_READ = 256 << 10 };

/* Memory needs no copies: all of it is pushed, and skipping is free. */
static int walk_memory(struct vivo_mem_reader *r, struct vivo_dcm_walk *w,
                       struct vivo_err *err)
{
    return vivo_dcm_walk_push(w, 0, r->data, (size_t)r->base.size, err);
}

/* Grows *buf to what a long read needs; most sources never get there. */
static int make_room(uint8_t **buf, size_t *room, size_t len, struct vivo_err *err)
{
    if (len <= *room)
        return 0;
    free(*buf);
    *room = 0;
    *buf = malloc(len);
    if (!*buf)
        return vivo_fail(err, ENOMEM, "reading a source: out of memory");
    *room = len;
    return 0;
}

static int walk_reads(struct vivo_reader *r, struct vivo_dcm_walk *w,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) uint8_t *buf = NULL;
    size_t room = 0, chunk = FIRST_READ;
    uint64_t next = 0;
    int rc = 0;

    while (rc == 0) {
        uint64_t off = vivo_dcm_walk_wants(w);
        size_t len;
        if (off >= r->size)
            break;
        if (off != next)
            chunk = AFTER_SKIP;
        len = (size_t)VIVO_MIN((uint64_t)chunk, r->size - off);
        rc = make_room(&buf, &room, len, err);
        if (rc == 0)
            rc = r->read(r, buf, len, off, err);
        if (rc == 0)
            rc = vivo_dcm_walk_push(w, off, buf, len, err);
        next = off + len;
        chunk = VIVO_MIN(chunk * 2, (size_t)MAX_READ);
    }
    return rc;
}

int vivo_dcm_walk_reader(struct vivo_reader *r, const struct vivo_syntax *syntax,
                         unsigned flags, int inflated, vivo_dcm_event_fn *fn, void *ctx,
                         struct vivo_err *err)
{
    struct vivo_dcm_walk *w = NULL;
    int rc = vivo_dcm_walk_new(syntax, flags, 0, inflated, fn, ctx, &w, err);

    if (rc)
        return rc;
    if (r->read == mem_read)
        rc = walk_memory((struct vivo_mem_reader *)r, w, err);
    else
        rc = walk_reads(r, w, err);
    if (rc == 0)
        rc = vivo_dcm_walk_finish(w, r->size, err);
    vivo_dcm_walk_free(w);
    return rc == VIVO_DCM_STOP ? 0 : rc;
}

/* Does an element of group 0002 begin at p? */
static bool is_meta_element(const uint8_t *p, size_t n)
{
    return n >= 8 && vivo_le16(p) == 0x0002 &&
           vivo_dcm_vr_form((const char[]){(char)p[4], (char)p[5]}) >= VR_SHORT;
}

/* Is it a first element of a data set in group 0002 … 0010, and within the file? */
static bool is_first_element(const uint8_t *p, size_t n, uint64_t size)
{
    const struct vivo_syntax *s;
    uint64_t length;
    unsigned group;

    if (n < 8 || !(s = vivo_dcm_settle(NULL, p, n)))
        return false;
    group = s->big_endian ? vivo_be16(p) : vivo_le16(p);
    if (group != 0x0004 && group != 0x0008 && group != 0x0010)
        return false;
    if (s->implicit)
        length = vivo_le32(p + 4);
    else if (vivo_dcm_vr_form((const char[]){(char)p[4], (char)p[5]}) == VR_LONG)
        return true;
    else
        length = s->big_endian ? vivo_be16(p + 6) : vivo_le16(p + 6);
    return length == VIVO_DCM_UNDEFINED || 8 + length <= size;
}

bool vivo_dcm_probe(const void *data, size_t len, uint64_t size)
{
    const uint8_t *p = data;

    if (len >= 132 + 8 && memcmp(p + 128, "DICM", 4) == 0) {
        p += 132;
        len -= 132;
        /* Whoever wrote the magic meant it: any element will do. */
        return vivo_le16(p) == 0x0002 || vivo_dcm_settle(NULL, p, len) != NULL;
    }
    return is_meta_element(p, len) || is_first_element(p, len, size);
}
