/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/idc_run.h -- the IDC test server, its API and its buckets, for the tests of
 * idc and s3. For one translation unit a test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_IDC_RUN_H
#define VIVOFS_TESTS_IDC_RUN_H

#include "archive_run.h"

#include <stdlib.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/idc_server.py"
#define SHAPE "2,2,2,3" /* patients, studies, series, instances of each */
#define OBJECTS 24

/* prefix, after: beginning and end of the source, around the URL. */
static int start_with(const char *prefix, const char *after)
{
    /* Keys of whoever runs the tests are nobody's business here. */
    static const char *const names[] = {"AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",  "AWS_REGION",
                                        "AWS_DEFAULT_REGION", "AWS_PROFILE"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    return archive_run_start(&(struct archive_run){.program = SERVER,
                                                   .shape = SHAPE,
                                                   .prefix = prefix,
                                                   .after = after,
                                                   .silence_ms = 1000});
}

#endif
