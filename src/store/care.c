/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/care.c -- what a person asks of a whole store: verify, trim, clear. Works
 * beside mounts that use the same directory. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef int key_fn(struct vivo_store_disk *d, const struct vivo_store_key *key,
                   void *ctx);

/* Of one of the 256 directories. The index of a mount that runs is a second late, so
 * the names are what counts. */
static int each_in(struct vivo_store_disk *d, unsigned prefix, key_fn *fn, void *ctx)
{
    DIR *dp = vivo_store_disk_opendir(d, (uint8_t)prefix);
    int rc = 0;

    if (!dp)
        return 0;
    for (const struct dirent *e; !rc && (e = readdir(dp)) != NULL;) {
        struct vivo_store_key key;
        if (vivo_store_disk_parse(e->d_name, &key))
            rc = fn(d, &key, ctx);
    }
    closedir(dp);
    return rc;
}

static int each_key(struct vivo_store_disk *d, key_fn *fn, void *ctx)
{
    int rc = 0;

    for (unsigned prefix = 0; prefix < 256 && !rc; prefix++)
        rc = each_in(d, prefix, fn, ctx);
    return rc;
}

struct check {
    struct vivo_store_verdict *verdict;
    bool blocks;
};

static int check_one(struct vivo_store_disk *d, const struct vivo_store_key *key,
                     void *ctx)
{
    const struct check *c = ctx;
    struct vivo_store_verdict *v = c->verdict;
    uint64_t size = 0;
    int rc = vivo_store_disk_check(d, key, c->blocks, &size);

    if (rc == -ENOENT)
        return 0; /* evicted meanwhile */
    v->objects++;
    v->bytes += rc ? 0 : size;
    v->damaged += rc == -EBADMSG;
    v->unreadable += rc && rc != -EBADMSG;
    return 0;
}

void vivo_store_check(struct vivo_store *s, bool blocks, struct vivo_store_verdict *out)
{
    struct check c = {.verdict = out, .blocks = blocks};

    *out = (struct vivo_store_verdict){0};
    each_key(vivo_store_disk_of(s), check_one, &c);
}

int vivo_store_trim(struct vivo_store *s, uint64_t keep, struct vivo_err *err)
{
    return vivo_store_room_keep(vivo_store_disk_of(s), keep, err);
}

static int forget_one(struct vivo_store_disk *d, const struct vivo_store_key *key,
                      void *ctx)
{
    (void)ctx;
    int rc = vivo_store_disk_forget(d, key);
    return rc == -ENOENT ? 0 : rc;
}

int vivo_store_clear(struct vivo_store *s, struct vivo_err *err)
{
    struct vivo_store_disk *d = vivo_store_disk_of(s);

    if (each_key(d, forget_one, NULL))
        return vivo_fail(err, EIO, "store: an entry cannot be removed");
    vivo_store_quarantine_clean(d, 0);
    return vivo_store_keeper_flush(d, err);
}
