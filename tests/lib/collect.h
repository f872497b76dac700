/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/collect.h -- an intake and a delivery that keep what they get, and can be
 * told to refuse or to cancel; for tests of drivers and of what stands on them. */
#ifndef VIVOFS_TESTS_COLLECT_H
#define VIVOFS_TESTS_COLLECT_H

#include "vivofs/driver.h"

#include <pthread.h>

#define OBJECT_MAX (256u << 20)

struct object {
    char *locator, *version;
    char uid[VIVO_UID_MAX + 1];
    uint64_t size;
    bool bare; /* came without attributes */
};

struct extra { /* what is no object */
    char *locator, *name;
    uint64_t size; /* VIVO_SIZE_UNKNOWN: or not exactly */
};

struct container {
    enum vivo_level level;
    char *locator;
};

/* An intake that keeps copies of what it gets. */
struct gathering {
    struct vivo_intake base;
    unsigned containers_of; /* levels kept as containers, 1 << level */
    unsigned flaws;         /* guarded by mutex, and all below; said on stderr */
    pthread_mutex_t mutex;
    struct object *objects;
    size_t n_objects;
    struct container *containers;
    size_t n_containers;
    struct extra *extras; /* kept when base.extras is set; else they are others */
    size_t n_extras;
    size_t asked, others;
    bool everything_known;
    size_t cancel_after; /* records; 0 = never */
    int stop_with;       /* returned for the first record; 0 = go on */
    struct vivo_op *op;
};

struct receipt {
    struct vivo_delivery base;
    struct vivo_buf bytes;
    int fd;
    size_t cancel_at; /* first write that makes len exceed it; SIZE_MAX = never */
    int fail_with;
    struct vivo_op *op;
};

/* Containers are records of the levels in `lists` (a driver's). */
void gathering_init(struct gathering *g, unsigned lists);
void gathering_free(struct gathering *g);
void gathering_sort(struct gathering *g); /* objects by locator */
/* Makes it one of everything, level by level, sorted; the first error. A flaw fails the
 * test. */
int list_all(struct vivo_archive *a, struct gathering *g, struct vivo_op *op);

/* descriptors: whether one may be given away. op is cancelled by cancel_at. */
void receipt_init(struct receipt *r, bool descriptors, struct vivo_op *op);
void receipt_free(struct receipt *r);
/* Adds the bytes of a descriptor that was given away to r->bytes. */
void receipt_read(struct receipt *r);

#endif
