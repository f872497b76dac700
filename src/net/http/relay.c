/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/relay.c -- bodies that the calling thread takes in.
 *
 * What splits a long reply into objects, cleans them and puts them on a disk would hold
 * up every other transfer of the net thread. Such a body goes through a buffer of a
 * fixed size; when that is full libcurl is told to wait, and with it the server. */
#include "transfer.h"

#define RELAY_BYTES (1u << 20)
#define PIECE_BYTES (256u << 10) /* more than libcurl gives at once */

bool vivo_relay_has_room(struct transfer *t)
{
    pthread_mutex_lock(t->relay.mutex);
    bool room = t->relay.came.len < RELAY_BYTES;
    t->relay.paused = !room;
    pthread_mutex_unlock(t->relay.mutex);
    return room;
}

int vivo_relay_put(struct transfer *t, const void *data, size_t len)
{
    pthread_mutex_lock(t->relay.mutex);
    if (!t->relay.came.max)
        vivo_buf_init(&t->relay.came, RELAY_BYTES + PIECE_BYTES);
    int rc = vivo_buf_add(&t->relay.came, data, len);
    pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(t->relay.mutex);
    return rc;
}

bool vivo_relay_resume_locked(struct transfer *t)
{
    bool resume = t->relay.paused && t->relay.came.len <= RELAY_BYTES / 2;
    if (resume)
        t->relay.paused = false;
    return resume;
}

int vivo_relay_take_locked(struct transfer *t, bool *resume, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf taken = t->relay.came;
    t->relay.came = (struct vivo_buf){0};
    *resume = t->relay.paused;
    pthread_mutex_unlock(t->relay.mutex);
    int rc = t->sink ? t->sink->write(t->sink, taken.data, taken.len, err) : 0;
    pthread_mutex_lock(t->relay.mutex);
    *resume = *resume || t->relay.paused;
    return rc;
}
