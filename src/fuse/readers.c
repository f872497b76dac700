/* SPDX-License-Identifier: Apache-2.0 */
/* src/fuse/readers.c -- who may ask: with readers=GROUP the mounting user, root and the
 * members of one group.
 *
 * The kernel keeps what one caller has looked up and shows it to the next without
 * asking us, so it is told the same: such a mount has default_permissions, and modes
 * without a bit for others (see stat_fill). What does reach us is checked here again.
 */
#include "fuse/internal.h"

#include <stdlib.h>

#define GROUPS_FIRST 256 /* hardly anybody is in more */

static bool has(const gid_t *list, int n, gid_t wanted)
{
    for (int i = 0; i < n; i++)
        if (list[i] == wanted)
            return true;
    return false;
}

/* The supplementary groups of the caller, from /proc. A caller that cannot be seen
 * there (another PID namespace) is a member of nothing. */
static bool is_member(fuse_req_t req, gid_t wanted)
{
    gid_t first[GROUPS_FIRST];
    int n = fuse_req_getgroups(req, GROUPS_FIRST, first);

    if (n <= GROUPS_FIRST)
        return has(first, n, wanted);
    gid_t *all = calloc((size_t)n, sizeof *all);
    int got = all ? fuse_req_getgroups(req, n, all) : 0;
    bool found = has(all, got < n ? got : n, wanted);
    free(all);
    return found;
}

bool session_admits(fuse_req_t req)
{
    const struct vivo_session *s = session_of(req);
    const struct fuse_ctx *c = fuse_req_ctx(req);

    if (!s->restricted || c->uid == 0 || c->uid == s->uid || c->gid == s->gid)
        return true;
    return is_member(req, s->gid);
}
