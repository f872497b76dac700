/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/token.c -- see token.h. */
#include "token.h"

#include "vivofs/hash.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <string.h>

#define WATCH_MS 100 /* how soon a cancelled wait is noticed */

void vivo_token_init(struct vivo_token *t)
{
    *t = (struct vivo_token){0};
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->landed, NULL);
}

void vivo_token_fini(struct vivo_token *t)
{
    vivo_wipe(t->text, sizeof t->text);
    pthread_cond_destroy(&t->landed);
    pthread_mutex_destroy(&t->mutex);
}

static bool is_good_locked(const struct vivo_token *t)
{
    return t->have && vivo_now_ms() < t->until_ms;
}

/* Takes the token that is there, or the turn to begin one (1). */
static int take_turn(struct vivo_token *t, char out[VIVO_TOKEN_MAX + 1],
                     struct vivo_op *op)
{
    int rc = vivo_op_check(op);
    pthread_mutex_lock(&t->mutex);
    while (rc == 0 && !is_good_locked(t) && t->busy) {
        vivo_wait_ms(&t->landed, &t->mutex, WATCH_MS);
        rc = vivo_op_check(op);
    }
    if (rc == 0 && is_good_locked(t)) {
        memcpy(out, t->text, sizeof t->text);
    } else if (rc == 0) {
        t->busy = true;
        rc = 1;
    }
    pthread_mutex_unlock(&t->mutex);
    return rc;
}

int vivo_token_take(struct vivo_token *t, vivo_token_begin_fn *begin, void *ctx,
                    char out[VIVO_TOKEN_MAX + 1], struct vivo_op *op)
{
    int64_t until = 0;
    memset(out, 0, VIVO_TOKEN_MAX + 1);
    int rc = take_turn(t, out, op);
    if (rc <= 0)
        return rc;
    rc = begin(ctx, out, &until, op);
    pthread_mutex_lock(&t->mutex);
    t->busy = false;
    if (rc == 0) {
        memcpy(t->text, out, sizeof t->text);
        t->have = true;
        t->until_ms = until;
    }
    pthread_cond_broadcast(&t->landed);
    pthread_mutex_unlock(&t->mutex);
    return rc;
}

void vivo_token_forget(struct vivo_token *t, const char *text)
{
    pthread_mutex_lock(&t->mutex);
    if (t->have && strcmp(t->text, text) == 0)
        t->have = false;
    pthread_mutex_unlock(&t->mutex);
}
