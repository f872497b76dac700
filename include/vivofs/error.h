/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/error.h -- one failure: an errno and a sentence for a human.
 *
 * Functions return 0 (or a count, or a descriptor) on success and a negative
 * errno on failure, and fill a caller-owned struct vivo_err with the same errno
 * and one sentence. The vocabulary is closed, see src/README.md: ENOENT EACCES
 * EPERM EBADMSG EINVAL ENAMETOOLONG EROFS EEXIST ETIMEDOUT EINTR ENOSPC ENOMEM
 * EAGAIN (never to the user) and EIO for everything else. */
#ifndef VIVOFS_ERROR_H
#define VIVOFS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define VIVO_ERR_TEXT 480

/* Lives on the caller's stack; copied by assignment; never freed. A zeroed one
 * means "no error". */
struct vivo_err {
    int errnum;               /* positive errno; 0 means "no error" */
    char text[VIVO_ERR_TEXT]; /* never holds an attribute value or a UID */
};

/* Records the failure and returns -errnum, so that a failing path is one line:
 *     return vivo_fail(err, ENOENT, "row #%lld: not listed", row);
 * `err` may be NULL. Recording over an error that is already set is a bug. */
int vivo_fail(struct vivo_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of err->text on the way up and returns
 * -err->errnum. `err` may be NULL only if the caller ignores the result. */
int vivo_fail_in(struct vivo_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets a failure that the caller has dealt with. */
void vivo_err_clear(struct vivo_err *err);

#ifdef __cplusplus
}
#endif
#endif
