/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/ino.c -- numbers of inodes.
 *
 * There are three kinds. Directories of the plain tree and all objects have computed
 * numbers: kind, archive, level, version and catalog row side by side, so nothing is
 * kept for them, one object is one inode in every view, and a new version of its
 * bytes is another inode (its pages cannot mix with the old ones). Everything else
 * (q/, queries, what is below them, generated files) counts up from 16 while it is
 * looked up, and *shows* a hash of where it is. Two numbers because the kernel wants
 * one inode per directory and parent, while users want st_ino to stay. */
#include "tree/internal.h"

#include <string.h>

/* 4 bits kind, 8 archive, 4 level, 8 version, 40 row */
enum { TAG_NONE, TAG_LEVEL, TAG_OBJECT, TAG_FOLDER, TAG_EXTRA, TAGS };

static const struct room *const rooms[TAGS] = {
    [TAG_LEVEL] = &room_level,
    [TAG_OBJECT] = &room_object,
    [TAG_FOLDER] = &room_folder,
    [TAG_EXTRA] = &room_extra,
};

vivo_ino ino_of(const struct room *room, uint32_t archive, enum vivo_level level,
                uint32_t version, vivo_row row)
{
    uint64_t tag = TAG_LEVEL;

    for (uint64_t i = TAG_LEVEL; i < TAGS; i++)
        tag = rooms[i] == room ? i : tag;
    return tag << 60 | (uint64_t)(archive & 0xff) << 52 | (uint64_t)level << 48 |
           (uint64_t)(version & 0xff) << 40 | ((uint64_t)row & 0xffffffffff);
}

bool ino_decode(vivo_ino ino, struct node *out)
{
    unsigned tag = (unsigned)(ino >> 60);

    if (tag < TAG_LEVEL || tag >= TAGS)
        return false;
    *out = (struct node){
        .room = rooms[tag],
        .ino = ino,
        .number = ino,
        .archive = (uint32_t)(ino >> 52 & 0xff),
        .level = (enum vivo_level)(ino >> 48 & 0xf),
        .version = (uint8_t)(ino >> 40 & 0xff),
        .row = (vivo_row)(ino & 0xffffffffff),
        .mtime = NO_DATE,
    };
    return out->level <= VIVO_LEVEL_INSTANCE;
}

vivo_ino ino_hash(vivo_ino parent, const char *name)
{
    /* FNV-1a over the parent's number and the name. Only shown, never looked up, so
     * a collision does no more than two equal st_ino would. */
    uint64_t h = UINT64_C(14695981039346656037);

    for (unsigned i = 0; i < 8; i++)
        h = (h ^ (parent >> (8 * i) & 0xff)) * UINT64_C(1099511628211);
    for (const char *s = name; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    h ^= h >> 32;
    h &= (UINT64_C(1) << 60) - 1;
    return h < 16 ? h + 16 : h;
}
