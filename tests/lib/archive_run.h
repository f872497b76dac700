/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/archive_run.h -- a server of tests/servers with its knobs, and archives
 * opened on it: what the tests of all HTTP drivers have in common. One server a test
 * program. What fails here fails the test. */
#ifndef VIVOFS_TESTS_ARCHIVE_RUN_H
#define VIVOFS_TESTS_ARCHIVE_RUN_H

#include "child.h"
#include "collect.h"
#include "conformance.h"

#include "vivofs/dcm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern struct child server; /* its line is its URL */
extern struct vivo_net *net;
extern char source[300]; /* of an archive on it */

struct archive_run {
    const char *program;        /* path of the server */
    const char *shape;          /* patients, studies, series, instances of each */
    const char *prefix, *after; /* make a source of its URL; or NULL */
    int64_t silence_ms;         /* that are borne of it when it stalls on purpose */
};

/* For setup and teardown of a group. */
int archive_run_start(const struct archive_run *r);
int stop_all(void **state);

/* ---- talking to the server ---- */

/* Bytes of the URL up to its path. */
int root_length(const char *url);
/* GET of a path of the server itself, whole. */
int ask(const char *path, struct vivo_buf *out);
void control(const char *path);
void set(const char *knobs);
void set_only(const char *knobs); /* and all others as they were at first */
/* How often the log of requests has this text. */
size_t count_asked(const char *what);
/* Of a conformance test: how often content was asked for; the file of a UID. */
uint64_t count_retrieved(void *ctx);
int expect_file(void *ctx, const char *locator, const char *uid, struct vivo_buf *out);

/* ---- archives ---- */

struct vivo_archive *open_source(const char *url, const char *bearer);
/* The same for what is asked with these knobs. A server that stalls is not waited for;
 * any other may take its time, on a busy machine and under sanitizers. */
struct vivo_archive *open_for(const char *knobs, const char *url, const char *bearer);
/* list_all() of the source with nothing but these knobs. */
int list_with(const char *knobs, struct gathering *g, struct vivo_op *op);
/* Fetches the first object of the source, which was listed before the knobs were set;
 * its bytes are right when it succeeds. The knobs stay. */
int fetch_with(const char *knobs, struct vivo_op *op);

#endif
