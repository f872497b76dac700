/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/crew.h -- a few threads for the length of one listing.
 *
 * For archives that tell what they hold one thing at a time: a folder or a header a
 * request. It is the only place where drivers start threads. */
#ifndef VIVOFS_DRIVERS_CREW_H
#define VIVOFS_DRIVERS_CREW_H

#include "vivofs/driver.h"

struct vivo_crew; /* thread-safe */

/* Does one task, a text of its own making. Non-zero ends all of it, and is the result;
 * op is the thread's own: late and cancelled when the listing's is. */
typedef int vivo_crew_fn(struct vivo_crew *crew, void *ctx, const char *task,
                         struct vivo_op *op);

/* Runs `first` and what is added meanwhile until nothing is left: 0, or the first
 * non-zero result with its error in op->err. Later tasks come first, so that of a deep
 * tree little is waiting. Tasks may take max_bytes in all. */
int vivo_crew_run(unsigned threads, size_t max_bytes, vivo_crew_fn *fn, void *ctx,
                  const char *first, struct vivo_op *op);
/* From within a task. */
int vivo_crew_add(struct vivo_crew *crew, const char *task, struct vivo_err *err);
/* in->record, one at a time and none after one that did not return 0. */
int vivo_crew_record(struct vivo_crew *crew, struct vivo_intake *in,
                     const struct vivo_record *rec, struct vivo_err *err);

/* An intake that makes a task of the locator of each record: for a series that is
 * listed for what is in it. What is no record was told when it was listed for itself.
 */
struct vivo_crew_members {
    struct vivo_intake base;
    struct vivo_crew *crew;
};
void vivo_crew_members_init(struct vivo_crew_members *m, struct vivo_crew *crew);

#endif
