/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/shelf.h -- archives that keep files in folders and items, by ids.
 *
 * What is below a folder is asked for thing by thing, several at once, and of each file
 * that is not known its header is read: what Girder and MIDAS have in common. Ids are
 * the archive's own and checked by the driver. */
#ifndef VIVOFS_DRIVERS_SHELF_H
#define VIVOFS_DRIVERS_SHELF_H

#include "header_range.h"

#include "vivofs/driver.h"

#define VIVO_SHELF_ID_MAX 64
#define VIVO_SHELF_LOCATOR_MAX 128
#define VIVO_SHELF_VERSION_MAX 192
#define VIVO_SHELF_NAME_MAX 4096

struct vivo_shelf_node; /* a folder or an item that is being read */

struct vivo_shelf {
    struct vivo_archive *archive;
    const char *name; /* of the driver, in the log */
    unsigned threads; /* 0 = 8 */
    /* Reads what a folder or an item (kind: a letter of the driver's) holds and adds
     * it. */
    int (*node)(struct vivo_shelf *self, char kind, const char *id,
                struct vivo_shelf_node *into, struct vivo_op *op);
    /* Reads the header of a file. */
    int (*header)(struct vivo_shelf *self, const char *locator,
                  struct vivo_ranged_header *out, struct vivo_op *op);
};

/* A folder or an item in this one, of that name. One that was there before, anywhere
 * below the collection, is passed over: an archive that leads in a circle has an end.
 */
int vivo_shelf_child(struct vivo_shelf_node *into, char kind, const char *id,
                     const char *name, struct vivo_err *err);
/* A file. name: tells what is surely no DICOM; may hold anything. In an item (kind 'i')
 * of the same name it stands for the item. version: one line, ""
 * = none. size: UINT64_MAX = not told. */
int vivo_shelf_file(struct vivo_shelf_node *into, const char *locator, const char *name,
                    const char *version, uint64_t size, struct vivo_err *err);
/* Are files that are no objects shown? */
bool vivo_shelf_extras(const struct vivo_shelf_node *into);
/* Something that cannot be asked for. */
void vivo_shelf_odd(struct vivo_shelf_node *into);

/* All that is below the node. */
int vivo_shelf_run(struct vivo_shelf *s, char kind, const char *id,
                   struct vivo_intake *in, struct vivo_op *op);

/* Collections, gathered and then emitted in the order of their names, each once, with
 * the locator "KIND/ID". name: at most VIVO_SHELF_NAME_MAX bytes. */
struct vivo_shelf_top;
struct vivo_shelf_tops {
    struct vivo_arena *arena;
    struct vivo_shelf_top *rows;
    size_t n, cap;
};
int vivo_shelf_tops_add(struct vivo_shelf_tops *t, const char *id, const char *name,
                        struct vivo_err *err);
int vivo_shelf_tops_emit(struct vivo_shelf_tops *t, char kind, struct vivo_intake *in,
                         struct vivo_op *op);
void vivo_shelf_tops_free(struct vivo_shelf_tops *t); /* zeroed ones are fine */

/* Delivers what rq asks for, if it has `size` bytes (0 = not known). */
int vivo_shelf_fetch(struct vivo_archive *a, const struct vivo_net_request *rq,
                     uint64_t size, struct vivo_delivery *to,
                     struct vivo_net_reply *reply, struct vivo_op *op);

#endif
