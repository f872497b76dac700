/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/assemble.c -- the pieces of the writer become a view.
 *
 * Ranges stay ranges of the source, with patches on top; where pixels are decoded all
 * of them go to a nameless file; a sketch has but their lengths. */
#include "pixels.h"

#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MEMORY_MAX (64u << 20) /* bytes of decoded frames that are kept in memory */
#define COPY_CHUNK 65536

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a view");
}

/* What the ranges are of: the source, or what it was inflated to. */
struct source {
    int fd;
    uint64_t size;
    struct vivo_reader *reader;
    struct vivo_fd_reader inflated;
};

static int open_source(const struct vivo_assembly *a, struct source *s,
                       struct vivo_err *err)
{
    s->fd = a->fd;
    s->size = a->reader->size;
    s->reader = a->reader;
    if (a->h->inflated < 0)
        return 0;
    off_t end = lseek(a->h->inflated, 0, SEEK_END);
    if (end < 0)
        return vivo_fail(err, EIO, "inflated object: %s", strerror(errno));
    s->fd = a->h->inflated;
    s->size = (uint64_t)end;
    vivo_fd_reader_init(&s->inflated, s->fd, s->size);
    s->reader = &s->inflated.base;
    return 0;
}

/* ---- where they lie
 * --------------------------------------------------------------------- */

/* A source cut inside its pixels gives a view that is cut at the same place. */
static int add_in_place(struct vivo_view *v, const struct vivo_dcm_piece *pieces,
                        size_t n, const struct source *s,
                        const struct vivo_patches *patches, struct vivo_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct vivo_dcm_piece *p = &pieces[i];
        int rc;
        if (p->data)
            rc = vivo_view_add_memory(v, p->data, (size_t)p->len);
        else if (p->off >= s->size)
            return 0;
        else
            rc = vivo_patches_view(patches, v, p->off,
                                   VIVO_MIN(p->len, s->size - p->off));
        if (rc)
            return no_memory(err);
        if (!p->data && p->len > s->size - p->off)
            return 0;
    }
    return 0;
}

/* The view of an inflated copy has a descriptor of its own. */
static int new_view(struct vivo_assembly *a, const struct source *s,
                    struct vivo_err *err)
{
    a->copied = a->h->inflated >= 0;
    if (!a->copied)
        return vivo_view_new(a->fd, a->id, &a->view, err);
    int copy = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return vivo_fail(err, EIO, "no descriptor: %s", strerror(errno));
    int rc = vivo_view_new(copy, NULL, &a->view, err);
    if (rc)
        close(copy);
    return rc;
}

static int in_place(struct vivo_assembly *a, const struct vivo_dcm_piece *pieces,
                    size_t n, const struct source *s, struct vivo_err *err)
{
    struct vivo_patches patches;
    vivo_patches_init(&patches);
    int rc = 0;
    if (a->plan->way == VIVO_PIXELS_PATCH)
        rc = vivo_pixels_patches(a->plan, a->h, s->reader, &patches, err);
    if (!rc)
        rc = new_view(a, s, err);
    if (!rc)
        rc = add_in_place(a->view, pieces, n, s, &patches, err);
    vivo_patches_free(&patches);
    /* The header must have come from the bytes that the ranges will come from. */
    return rc ? rc : vivo_view_check(a->view, err);
}

/* ---- decoded
 * ------------------------------------------------------------------------------- */

static bool is_pixels(const struct vivo_assembly *a, const struct vivo_dcm_piece *p)
{
    return !p->data && p->off == a->plan->at;
}

static int copy_range(const struct source *s, const struct vivo_dcm_piece *p, int out,
                      uint64_t to, struct vivo_err *err)
{
    uint8_t chunk[COPY_CHUNK];
    for (uint64_t done = 0; done < p->len;) {
        size_t n = (size_t)VIVO_MIN(p->len - done, (uint64_t)sizeof chunk);
        int rc = vivo_pread_full(s->fd, chunk, n, p->off + done, err);
        if (!rc)
            rc = vivo_pwrite_full(out, chunk, n, to + done, err);
        if (rc)
            return rc;
        done += n;
    }
    return 0;
}

static int add_decoded(struct vivo_assembly *a, const struct vivo_dcm_piece *pieces,
                       size_t n, const struct source *s, int out, struct vivo_err *err)
{
    uint64_t end = a->plan->size;
    for (size_t i = 0; i < n; i++) {
        const struct vivo_dcm_piece *p = &pieces[i];
        int rc = 0;
        if (p->data) {
            rc = vivo_view_add_memory(a->view, p->data, (size_t)p->len);
        } else if (is_pixels(a, p)) {
            rc = vivo_view_add_range(a->view, 0, p->len);
        } else {
            rc = copy_range(s, p, out, end, err);
            if (rc)
                return rc;
            rc = vivo_view_add_range(a->view, end, p->len);
            end += p->len;
        }
        if (rc)
            return no_memory(err);
    }
    return 0;
}

/* The source must be the same before and after. */
static int check_source(const struct vivo_assembly *a, struct vivo_err *err)
{
    struct vivo_identity now;
    if (!a->id)
        return 0;
    int rc = vivo_identity_of(a->fd, &now, err);
    if (!rc && !vivo_identity_equal(&now, a->id))
        rc = vivo_fail(err, EIO, "source: changed while it was decoded");
    return rc;
}

static int decoded(struct vivo_assembly *a, const struct vivo_dcm_piece *pieces,
                   size_t n, const struct source *s, struct vivo_err *err)
{
    const char *dir = a->plan->size > MEMORY_MAX ? "/var/tmp" : NULL;
    int out = vivo_file_nameless(dir, err);
    if (out < 0)
        return out;
    int rc = vivo_pixels_decode(a->plan, s->reader, s->fd, out, err);
    if (!rc)
        rc = check_source(a, err);
    if (!rc)
        rc = vivo_view_new(out, NULL, &a->view, err);
    if (rc) {
        close(out);
        return rc;
    }
    a->copied = true;
    return add_decoded(a, pieces, n, s, out, err);
}

static int sketch(struct vivo_assembly *a, const struct vivo_dcm_piece *pieces,
                  size_t n, struct vivo_err *err)
{
    int rc = vivo_view_new(-1, NULL, &a->view, err);
    a->sketched = true;
    for (size_t i = 0; !rc && i < n; i++) {
        const struct vivo_dcm_piece *p = &pieces[i];
        if (p->data ? vivo_view_add_memory(a->view, p->data, (size_t)p->len)
                    : vivo_view_add_repeat(a->view, "", 1, p->len))
            rc = no_memory(err);
    }
    return rc ? rc : check_source(a, err);
}

int vivo_assemble(struct vivo_assembly *a, struct vivo_err *err)
{
    struct source s;
    size_t n = 0;
    const struct vivo_dcm_piece *pieces = vivo_dcm_writer_pieces(a->w, &n);
    if (!pieces)
        return vivo_fail(err, EIO, "the header was not finished");
    int rc = open_source(a, &s, err);
    if (rc)
        return rc;
    if (a->plan->way != VIVO_PIXELS_DECODE)
        return in_place(a, pieces, n, &s, err);
    return a->sketch ? sketch(a, pieces, n, err) : decoded(a, pieces, n, &s, err);
}
