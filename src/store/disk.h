/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/disk.h -- the store in a directory; what its files share.
 *
 *     objects/ab/<key>   one object, see object.h
 *     tmp/<random>/      objects being written; flocked while its process lives
 *     quarantine/<key>   what failed its sums
 *     index.db           see index.h
 *     lock               flock: opening, and which process looks after the rest
 *
 *   disk.c  open, get, put      room.c  quota, free space, eviction
 *   keeper.c  the thread that writes notes, syncs files and finds strays */
#ifndef VIVOFS_STORE_DISK_H
#define VIVOFS_STORE_DISK_H

#include "store/index.h"
#include "store/seen.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#define STORE_NAME_MAX 160 /* bytes of any name relative to the directory */

struct vivo_store_disk {
    uint64_t max_bytes; /* UINT64_MAX = no quota */
    uint64_t min_free;
    int dirfd, tmpfd, lockfd;
    char tmp_name[STORE_NAME_MAX];
    struct vivo_store_index *index;
    atomic_uint_least64_t evicted, quarantined, serial;

    pthread_t keeper;
    bool keeper_runs;      /* set before the thread, cleared after it */
    pthread_cond_t wake;   /* for the keeper */
    pthread_mutex_t mutex; /* never held across I/O */
    bool stop;             /* guarded by mutex, and all below */
    struct vivo_store_seen seen;
    struct vivo_store_note *notes; /* to be written to the index */
    size_t n_notes, cap_notes;
    uint64_t reserved; /* bytes of puts that the totals do not hold yet */
    struct vivo_store_totals totals;
    struct vivo_store_key *unsynced;
    size_t n_unsynced, cap_unsynced;
    bool sync_all; /* there were too many to remember */
};

/* ---- disk.c ---------------------------------------------------------------------- */

int vivo_store_disk_open(const struct vivo_store_config *cfg,
                         struct vivo_store_disk **out, struct vivo_err *err);
void vivo_store_disk_close(struct vivo_store_disk *d);
int vivo_store_disk_get(struct vivo_store_disk *d, const struct vivo_store_key *key,
                        struct vivo_view **out, struct vivo_err *err);
/* The disk behind a store that is no memory. */
struct vivo_store_disk *vivo_store_disk_of(struct vivo_store *s);
/* Looks at the form of an entry, and with `blocks` at every block. 0 and the size;
 * -EBADMSG: damaged, and in quarantine now; -ENOENT; -EIO. It counts as no use. */
int vivo_store_disk_check(struct vivo_store_disk *d, const struct vivo_store_key *key,
                          bool blocks, uint64_t *size);
bool vivo_store_disk_has(struct vivo_store_disk *d, const struct vivo_store_key *key);
int vivo_store_disk_put(struct vivo_store_disk *d, const struct vivo_store_key *key,
                        const struct vivo_view *view, bool digest,
                        struct vivo_view **out, struct vivo_err *err);
int vivo_store_disk_digest(struct vivo_store_disk *d, const struct vivo_store_key *key,
                           uint8_t out[VIVO_DIGEST_LEN]);
int vivo_store_disk_forget(struct vivo_store_disk *d, const struct vivo_store_key *key);
/* "objects/ab/<key>" */
void vivo_store_disk_name(const struct vivo_store_key *key, char out[STORE_NAME_MAX]);
/* The directory of the keys that begin with this byte; NULL = not there, or errno. */
DIR *vivo_store_disk_opendir(const struct vivo_store_disk *d, uint8_t prefix);
/* The key whose file has this name. */
bool vivo_store_disk_parse(const char *hex, struct vivo_store_key *out);

/* ---- room.c ---------------------------------------------------------------------- */

/* Reserves length bytes, evicting what is oldest. 0; -ENOSPC with nothing reserved. */
int vivo_store_room_make(struct vivo_store_disk *d, uint64_t length,
                         struct vivo_err *err);
/* Evicts this much whatever quota and statvfs say: the disk said no. */
void vivo_store_room_free(struct vivo_store_disk *d, uint64_t bytes);
/* Gives a reservation back (the put failed). */
void vivo_store_room_return(struct vivo_store_disk *d, uint64_t length);
/* Evicts until at most `keep` bytes are left; what is pinned stays. */
int vivo_store_room_keep(struct vivo_store_disk *d, uint64_t keep,
                         struct vivo_err *err);
/* Evicts what is above the quota, other processes' entries too. */
void vivo_store_room_trim(struct vivo_store_disk *d);

/* ---- keeper.c -------------------------------------------------------------------- */

int vivo_store_keeper_start(struct vivo_store_disk *d, bool fresh_index,
                            struct vivo_err *err);
/* Writes what is noted, then ends the thread. */
void vivo_store_keeper_stop(struct vivo_store_disk *d);
/* Remembers a use (or used_ms = 0, the end) of an entry for the index. reserved: the
 * bytes reserved for a put, which becomes unsynced. */
void vivo_store_keeper_note(struct vivo_store_disk *d, const struct vivo_store_key *key,
                            int64_t used_ms, uint64_t length, uint64_t reserved);
/* Writes all notes to the index now and refreshes the totals. */
int vivo_store_keeper_flush(struct vivo_store_disk *d, struct vivo_err *err);

/* Removes quarantined files older than max_age_s. */
void vivo_store_quarantine_clean(struct vivo_store_disk *d, int64_t max_age_s);

#endif
