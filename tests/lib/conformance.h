/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/conformance.h -- what every driver owes, run against one source.
 *
 *     const struct vivo_conformance c = {.source = folder, .expect = read_file};
 *     return vivo_conformance(&c) != 0;
 *
 * The checks are listed in src/drivers/README.md; each failed one prints a line. */
#ifndef VIVOFS_TESTS_CONFORMANCE_H
#define VIVOFS_TESTS_CONFORMANCE_H

#include "vivofs/driver.h"

struct vivo_conformance {
    const char *source;
    struct vivo_net *net; /* NULL for local drivers */
    const char *bearer;
    int64_t timeout_ms; /* of one request; 0 = 10 s */

    /* A source of the same driver that is not there, or NULL; open (or, for a network
     * driver, open or the first listing) fails with this errno. */
    const char *missing;
    int missing_errno;

    size_t objects; /* how many the source holds; at least 2 */
    size_t alone;   /* how many of them no bundle brings; all: none is asked */
    /* The bytes that the object has at its source: 0, or -ENOENT for "there is no such
     * object", which fails the check. uid: SOP Instance UID of the listing, "" when it
     * carries none. Called by several threads. */
    int (*expect)(void *ctx, const char *locator, const char *uid,
                  struct vivo_buf *out);
    /* How often content (not listings) was asked of the source so far; NULL = cannot
     * tell. */
    uint64_t (*content_requests)(void *ctx);
    void *ctx;

    const char *unknown;        /* a locator of the right form that names nothing */
    const char *const *escapes; /* more locators that must be refused, NULL-ended */
};

/* The number of checks that failed. */
unsigned vivo_conformance(const struct vivo_conformance *c);

#endif
