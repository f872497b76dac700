/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/multipart.h -- multipart/related replies, as they arrive.
 *
 * RFC 2046 section 5.1.1, RFC 2387. Parts are found by their boundary; a
 * Content-Length of a part is checked against it. A body without its closing
 * boundary is a cut one. */
#ifndef VIVOFS_DRIVERS_MULTIPART_H
#define VIVOFS_DRIVERS_MULTIPART_H

#include "vivofs/buf.h"

#include <stdbool.h>

#define VIVO_MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */

/* Gets the parts. Non-zero (negative errno, err set) ends the parsing with it. */
struct vivo_multipart_to {
    /* A part begins; type: its Content-Type or "". */
    int (*begin)(void *ctx, const char *type, struct vivo_err *err);
    int (*data)(void *ctx, const void *data, size_t len, struct vivo_err *err);
    int (*end)(void *ctx, struct vivo_err *err);
    void *ctx;
};

enum vivo_multipart_state {
    VIVO_MULTIPART_PREAMBLE,
    VIVO_MULTIPART_DELIMITED, /* just after a boundary */
    VIVO_MULTIPART_HEAD,
    VIVO_MULTIPART_BODY,
    VIVO_MULTIPART_EPILOGUE, /* after the closing boundary: nothing matters any more */
};

struct vivo_multipart {
    struct vivo_multipart_to to;
    enum vivo_multipart_state state;
    char delimiter[VIVO_MULTIPART_BOUNDARY_MAX + 5]; /* CR LF - - boundary */
    size_t dlen;
    struct vivo_buf pending; /* bytes that may be the beginning of something */
    uint64_t body;           /* bytes of this part so far */
    int64_t announced;       /* Content-Length of this part, -1 = none */
};

/* content_type: of the reply. -EIO: not multipart/related, or no usable boundary. */
int vivo_multipart_init(struct vivo_multipart *m, const char *content_type,
                        const struct vivo_multipart_to *to, struct vivo_err *err);
void vivo_multipart_free(struct vivo_multipart *m); /* zeroed is fine */
int vivo_multipart_push(struct vivo_multipart *m, const void *data, size_t len,
                        struct vivo_err *err);
/* The reply is over. -EIO unless the closing boundary was seen. */
int vivo_multipart_finish(const struct vivo_multipart *m, struct vivo_err *err);

/* Is a Content-Type of this media type, whatever its parameters? */
bool vivo_media_type_is(const char *content_type, const char *type);

#endif
