/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/coming.h -- an object on its way: its raw bytes in a file without a name,
 * and, before the last has come, a view for who opens it (DESIGN C4).
 *
 * What has come never changes: where a transfer is tried again, what comes twice is
 * compared. The end of an early view is not read before the driver has said that the
 * object is whole, so nobody takes for whole what is not. */
#ifndef VIVOFS_FLOW_COMING_H
#define VIVOFS_FLOW_COMING_H

#include "flow/internal.h"

/* Where the bytes are: in memory, on the disk beyond RAW_SMALL_MAX, and in memory again
 * where that has no room. */
enum raw_place { RAW_SMALL, RAW_ON_DISK, RAW_DISK_IS_FULL };

struct coming {
    struct vivo_delivery delivery; /* first: the sink is the first member of this */
    atomic_uint refs;              /* the flight's, and one of each early view */
    struct vivo_flow *flow;
    struct vivo_flight *flight; /* guarded by the parking mutex; NULL = it has ended */
    vivo_row row;
    uint64_t at; /* the deliverer's, as `large`: where the next bytes belong */
    bool large;  /* there may be early views */
    enum raw_place place;
    atomic_uint_least64_t high; /* bytes that are there */
    atomic_int state;           /* enum coming_state */
    struct vivo_err err;        /* why it failed; written before the state */

    pthread_mutex_t mutex;
    int fd;                 /* guarded by mutex, as all below; -1 = given away */
    uint64_t total;         /* as the archive said; 0 = it did not */
    uint64_t next;          /* an early view is tried with so many bytes; 0 = never */
    struct vivo_view *view; /* de-identified, for early views; NULL = none was made */
};

enum coming_state { COMING, COMING_WHOLE, COMING_FAILED };

/* extra: of what is no object, its name; there are no early views of it. */
int coming_new(struct vivo_flight *flight, const char *extra, struct coming **out,
               struct vivo_err *err);
void coming_unref(struct coming *c); /* NULL is fine */
/* The driver said that it is whole: is it of the size that early readers were told? */
int coming_whole(struct coming *c, struct vivo_err *err);
/* The flight ends; err->errnum 0 = well. Takes its reference. */
void coming_end(struct coming *c, const struct vivo_err *err);

/* flight.c: the object of this flight is coming; NULL = not any more. */
void flight_set_coming(struct vivo_flight *flight, struct coming *c);
/* That of an object's flight, with a reference; NULL = none. */
struct coming *flight_coming(struct vivo_flow *f, vivo_row row);
/* All has come: who leaves now does not keep it from being kept. */
void flight_keep(struct vivo_flight *flight);
/* Lands who waits for no more than that. */
void flight_wake(struct vivo_flight *flight, uint64_t there);
/* Parks the op until `wants` bytes are there: -EAGAIN; 0 = the flight has ended. */
int flight_await(struct coming *c, uint64_t wants, struct vivo_op *op);
/* An early view more, or less: the last one off cancels the flight. */
bool flight_ride(struct coming *c); /* false: it has ended */
void flight_leave(struct coming *c);

/* A view of it before it is whole. -ENOENT without an error: there is none; op->wants
 * says when there may be one. */
int coming_open(struct vivo_flow *f, vivo_row row, struct vivo_view **out,
                struct vivo_op *op);

#endif
