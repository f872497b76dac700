/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_drivers_index.c -- index pages of web folders and lines of FTP
 * listings: what comes out are names within the text, never a path. */
#include "drivers/ftp_list.h"
#include "drivers/http_index.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int entry(void *ctx, const char *name, size_t len, bool folder,
                 const char *stamp, struct vivo_err *err)
{
    (void)ctx;
    (void)name;
    (void)folder;
    (void)err;
    if (len == 0 || strnlen(stamp, 4096) > 200)
        __builtin_trap();
    return 0;
}

static void check(const char *line, size_t len, bool good,
                  const struct vivo_ftp_entry *e)
{
    if (good && !e->skip &&
        (e->len == 0 || e->name < line || e->name + e->len > line + len))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vivo_err err = {0};
    struct vivo_ftp_entry e;
    const struct vivo_http_index x = {.origin = "http://h",
                                      .folder = "/a b/",
                                      .path = "/a%20b/",
                                      .page = size % 2 ? "index.html" : "",
                                      .entry = entry};
    /* A copy of its own size, so that reading beyond it is seen. */
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0'; /* as buffers of the house end */
    (void)vivo_http_index_read(&x, text, size, size % 3 != 0, &err);
    check(text, size, vivo_ftp_mlsd(text, size, &e), &e);
    check(text, size, vivo_ftp_list(text, size, &e), &e);
    free(text);
    return 0;
}
