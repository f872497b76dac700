/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/dimse_fault.h -- tests/servers/dimse_server.py for a group of tests, and
 * what it was asked for. How it behaves is in the AE title. For one translation unit a
 * test; include after cmocka.h. */
#ifndef VIVOFS_TESTS_DIMSE_FAULT_H
#define VIVOFS_TESTS_DIMSE_FAULT_H

#include "dimse_run.h"

#include <stdlib.h>
#include <unistd.h>

#define SERVER VIVO_TEST_SOURCE_DIR "/tests/servers/dimse_server.py"
#define LOG_MAX (1u << 20)

static struct child server;
static char server_log[] = "/tmp/vivo-dimse-log-XXXXXX";

static int start_server(void **state)
{
    int fd = mkstemp(server_log);
    const char *const argv[] = {SERVER, "--log", server_log, NULL};
    if (fd < 0 || start_tables(state) < 0)
        return -1;
    close(fd);
    return child_start(&server, argv);
}

static int stop_server(void **state)
{
    (void)state;
    child_stop(&server);
    unlink(server_log);
    return 0;
}

/* Of the server as `title`, which may have settings behind it. */
VIVO_UNUSED static struct vivo_archive *open_title(const char *title)
{
    char url[300];
    snprintf(url, sizeof url, "dimse://VIVOFS@%s/%s", server.line, title);
    /* Long enough for answers under the sanitizers; of who never answers it is spent.
     */
    return open_source(url, strncmp(title, "SILENT", 6) == 0 ? 300 : 1000);
}

/* How many lines of the server's log are this one. */
VIVO_UNUSED static unsigned requests(const char *line)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct vivo_err err = {0};
    unsigned n = 0;
    vivo_buf_init(&text, LOG_MAX);
    assert_true(vivo_file_read(server_log, LOG_MAX, &text, &err) >= 0);
    vivo_buf_add(&text, "", 1);
    for (const char *s = (const char *)text.data; (s = strstr(s, line)); s++)
        n++;
    return n;
}

#endif
