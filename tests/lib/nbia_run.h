/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/nbia_run.h -- the NBIA test server, for the tests of that driver. For one
 * translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_NBIA_RUN_H
#define VIVOFS_TESTS_NBIA_RUN_H

#include "archive_run.h"

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/nbia_server.py"
#ifndef SHAPE
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#endif
#define COLLECTIONS 2
#define SERIES 8
#define OBJECTS 24

VIVO_UNUSED static const char *const bad_locators[] = {
    "A/P/1.2/3.4/5.6/..",  "A/P/1.2/3.4/..",     "A/P/1.2/3.4",
    "A/P/1.2/3.4/5.6/7.8", "A/P/1.2/3.4/5.6&x",  "A/P/1.2/3.4/5.6 HTTP/1.1",
    "A/P/1..2/3.4/5.6",    "A/P/1.2//5.6",       "/P/1.2/3.4/5.6",
    "%41/P/1.2/3.4/5.6",   "A/%/1.2/3.4/5.6",    "A/%0/1.2/3.4/5.6",
    "A/%00/1.2/3.4/5.6",   "A/%2f/1.2/3.4/5.6",  "A.B/P/1.2/3.4/5.6",
    "A/P/1.2/3.4?x=1/5.6", "A/P/1.2/3.4/5.6%20", NULL};

static int start_all(void **state)
{
    (void)state;
    return archive_run_start(&(struct archive_run){
        .program = SERVER, .shape = SHAPE, .prefix = "nbia+", .silence_ms = 1000});
}

#endif
