/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/token.h -- a token that stands for a login: begun by one thread while the
 * others wait, kept until it runs out or is refused. */
#ifndef VIVOFS_DRIVERS_TOKEN_H
#define VIVOFS_DRIVERS_TOKEN_H

#include "vivofs/op.h"

#include <pthread.h>
#include <stdbool.h>

#define VIVO_TOKEN_MAX 1024

struct vivo_token {
    pthread_mutex_t mutex;
    pthread_cond_t landed;
    char text[VIVO_TOKEN_MAX + 1]; /* guarded by mutex, and all below; "" = a guest's */
    bool have, busy;
    int64_t until_ms; /* of the monotonic clock; it is begun anew after that */
};

void vivo_token_init(struct vivo_token *t);
void vivo_token_fini(struct vivo_token *t); /* wipes it */

/* Logs in: writes the token ("" = as a guest) and until when it is good. */
typedef int vivo_token_begin_fn(void *ctx, char out[VIVO_TOKEN_MAX + 1],
                                int64_t *until_ms, struct vivo_op *op);
/* The token that there is, or a new one. Wipe `out` after use. */
int vivo_token_take(struct vivo_token *t, vivo_token_begin_fn *begin, void *ctx,
                    char out[VIVO_TOKEN_MAX + 1], struct vivo_op *op);
/* It was refused; unless another thread has begun a new one already. */
void vivo_token_forget(struct vivo_token *t, const char *text);

#endif
