/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dicomweb_run.h -- the DICOMweb test server, for the tests of that driver.
 * For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_DICOMWEB_RUN_H
#define VIVOFS_TESTS_DICOMWEB_RUN_H

#include "archive_run.h"

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/dicomweb_server.py"
#ifndef SHAPE
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#endif
#define STUDIES 4
#define SERIES 8
#define OBJECTS 24

VIVO_UNUSED static const char *const bad_locators[] = {
    "1.2/3.4/5.6/..",
    "1.2/3.4/5.6/../../system",
    "1.2/3.4",
    "1.2/3.4/5.6/7.8",
    "1.2/3.4/5.6?x=1",
    "1.2/3.4/5.6 HTTP/1.1",
    "1..2/3.4/5.6",
    "12345678901234567890123456789012345678901234567890123456789012345/1/1",
    NULL};

static int start_all(void **state)
{
    (void)state;
    return archive_run_start(&(struct archive_run){
        .program = SERVER, .shape = SHAPE, .prefix = "dicomweb+", .silence_ms = 1000});
}

#endif
