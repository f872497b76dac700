/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/view.h -- a file is a list of segments: bytes in memory, or a
 * range of one source descriptor. De-identifying leaves the pixels where they
 * are; a view puts the new header in front of them without copying. */
#ifndef VIVOFS_VIEW_H
#define VIVOFS_VIEW_H

#include "vivofs/base.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which bytes a descriptor held. A source rewritten in place has another one. */
struct vivo_identity {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};
/* From fstat. 0 or -EIO. */
int vivo_identity_of(int fd, struct vivo_identity *out, struct vivo_err *err);
#define VIVO_STAMP_MAX 96
/* The identity as text: the version stamp of local objects. Opaque but for equality. */
void vivo_identity_stamp(const struct vivo_identity *id, char out[VIVO_STAMP_MAX]);
bool vivo_identity_equal(const struct vivo_identity *a, const struct vivo_identity *b);

struct vivo_view; /* reference-counted; thread-safe once it is built */

/* Takes ownership of fd on success (-1: a view of memory only). `id` is the
 * identity taken before the header was read; it is compared after every pread,
 * before bytes are given out. NULL = the descriptor is ours alone, no check. */
int vivo_view_new(int fd, const struct vivo_identity *id, struct vivo_view **out,
                  struct vivo_err *err);
/* Building, single-threaded; bytes are copied. Adjacent ranges are joined. */
int vivo_view_add_memory(struct vivo_view *v, const void *data, size_t len);
int vivo_view_add_range(struct vivo_view *v, uint64_t off, uint64_t len);
/* len bytes of a pattern again and again, which takes the memory of one. */
#define VIVO_VIEW_PERIOD_MAX 64
int vivo_view_add_repeat(struct vivo_view *v, const void *pattern, size_t period,
                         uint64_t len);

/* Building: takes the descriptor out again, so that freeing the view leaves it open;
 * for who gives up and must not close what is the caller's. */
void vivo_view_disown(struct vivo_view *v);

/* A view whose header is made when its bytes are first wanted: what is opened again
 * while the kernel has all of its pages is never read. size: what it will be, known
 * from an earlier pass over the same identity; a view of another size is -EIO to its
 * readers. make: called on a reader's thread, by one at a time, until it succeeds;
 * takes ownership of fd then. ctx: malloc'd, freed with the view. Takes ownership of
 * fd and ctx on success. */
typedef int vivo_view_make_fn(void *ctx, int fd, const struct vivo_identity *id,
                              struct vivo_view **out, struct vivo_err *err);
int vivo_view_new_later(int fd, const struct vivo_identity *id, uint64_t size,
                        vivo_view_make_fn *make, void *ctx, struct vivo_view **out,
                        struct vivo_err *err);
/* A view of bytes that are still coming into its descriptor, in order. */
#define VIVO_VIEW_ALL UINT64_MAX
struct vivo_view_gate {
    /* 0: so many bytes of the descriptor are there (VIVO_VIEW_ALL: all of them, and
     * they are right); -EAGAIN without err: not yet; or why they never will be. */
    int (*open)(void *ctx, uint64_t there, struct vivo_err *err);
    void (*drop)(void *ctx); /* the view is gone */
};
/* Its end is not read before all is there. Takes a reference to `over`, which must not
 * be made later, and on success ownership of ctx. */
int vivo_view_new_gated(struct vivo_view *over, const struct vivo_view_gate *gate,
                        void *ctx, struct vivo_view **out, struct vivo_err *err);
void *vivo_view_gate_ctx(const struct vivo_view *v, const struct vivo_view_gate *gate);
/* How much of the descriptor a read of these bytes needs. */
uint64_t vivo_view_needs(const struct vivo_view *v, uint64_t off, size_t len);

/* Makes it now, if it is one of those. */
int vivo_view_prepare(const struct vivo_view *v, struct vivo_err *err);

struct vivo_view *vivo_view_ref(struct vivo_view *v);
void vivo_view_unref(struct vivo_view *v); /* NULL is fine */

uint64_t vivo_view_size(const struct vivo_view *v); /* bytes, exact */
size_t vivo_view_memory(const struct vivo_view *v); /* bytes held in memory */
/* True when the whole view is one range starting at 0 of its descriptor and the
 * descriptor may be read directly. */
bool vivo_view_is_plain(const struct vivo_view *v, int *fd);

/* All of [off, off+len) that lies inside the view, or an error: the count, 0 at
 * and after the end; -EIO when the source was changed or cut; -EAGAIN without an error
 * text: behind a gate, and not there yet. */
ssize_t vivo_view_pread(const struct vivo_view *v, void *buf, size_t len, uint64_t off,
                        struct vivo_err *err);
/* The same for who has the first nlead bytes of the descriptor in memory already, read
 * since the view's identity was taken: they are not read again. The identity is
 * compared all the same. */
ssize_t vivo_view_pread_led(const struct vivo_view *v, const uint8_t *lead,
                            size_t nlead, void *buf, size_t len, uint64_t off,
                            struct vivo_err *err);
/* The whole view into a file, from its beginning, the kernel copying the ranges where
 * it can. stop: NULL, or ends it with -EINTR when it is not 0. -ENOSPC is kept; the
 * source is compared at the end, so that nothing may be used of a copy that failed. */
int vivo_view_copy(const struct vivo_view *v, int fd, const volatile sig_atomic_t *stop,
                   struct vivo_err *err);
/* -EIO when the source is no longer the one the view was made from. */
int vivo_view_check(const struct vivo_view *v, struct vivo_err *err);

static inline void vivo_view_unref_p(struct vivo_view **v)
{
    vivo_view_unref(*v);
}

#endif
