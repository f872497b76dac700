/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_utf16.c -- manifests as Excel's "Unicode text" and PowerShell's
 * `>` write them, in UTF-16 behind its mark (RFC 2781): into a nameless file in UTF-8,
 * from which lines are read like those of any other. */
#include "drivers/manifest_text.h"
#include "vivofs/file.h"
#include "vivofs/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (256u << 20)

struct converting {
    FILE *from, *to;
    bool big;
    uint32_t high; /* the first half of a pair, or 0 */
    uint64_t bytes;
};

/* RFC 2781 section 2.2. Converters of glibc are not used: it loads them while other
 * threads are converting. */
static int put_unit(struct converting *c, uint32_t unit, struct vivo_err *err)
{
    char utf8[4];
    bool low = unit >= 0xDC00 && unit < 0xE000;
    if (low != (c->high != 0))
        return vivo_fail(err, EBADMSG, "the manifest: text that is no UTF-16");
    if (unit >= 0xD800 && unit < 0xDC00) {
        c->high = unit;
        return 0;
    }
    if (low)
        unit = 0x10000 + ((c->high - 0xD800) << 10) + (unit - 0xDC00);
    c->high = 0;
    size_t n = vivo_text_utf8(unit, utf8);
    return fwrite(utf8, 1, n, c->to) == n
               ? 0
               : vivo_fail(err, ENOSPC, "the manifest: no room to convert it");
}

static int convert(struct converting *c, struct vivo_err *err)
{
    unsigned char in[2];
    size_t n;
    int rc = 0;
    while (rc == 0 && (n = fread(in, 1, sizeof in, c->from)) == sizeof in) {
        rc = put_unit(c, (uint32_t)in[!c->big] << 8 | in[c->big], err);
        c->bytes += n;
        if (rc == 0 && c->bytes > TEXT_MAX)
            rc = vivo_fail(err, EINVAL,
                           "the manifest: longer than %u MiB in UTF-16: save it as "
                           "UTF-8",
                           TEXT_MAX >> 20);
    }
    if (rc)
        return rc;
    if (ferror(c->from))
        return vivo_fail(err, EIO, "the manifest: %s", strerror(errno));
    if (n || c->high)
        return vivo_fail(err, EBADMSG, "the manifest: ends within a character");
    return 0;
}

static int to_utf8(FILE *from, bool big, FILE **out, struct vivo_err *err)
{
    struct converting c = {.from = from, .big = big};
    int fd = vivo_file_nameless(NULL, err);
    if (fd < 0)
        return fd;
    c.to = fdopen(fd, "w+");
    if (!c.to) {
        close(fd);
        return vivo_fail(err, ENOMEM, "no memory for a manifest");
    }
    int rc = convert(&c, err);
    if (rc == 0 && fseeko(c.to, 0, SEEK_SET) != 0)
        rc = vivo_fail(err, ENOSPC, "the manifest: no room to convert it");
    if (rc)
        fclose(c.to);
    else
        *out = c.to;
    return rc;
}

int vivo_manifest_decode(FILE **file, struct vivo_err *err)
{
    unsigned char mark[2];
    FILE *text = NULL;
    size_t n = fread(mark, 1, sizeof mark, *file);
    bool little = n == 2 && mark[0] == 0xFF && mark[1] == 0xFE;
    bool big = n == 2 && mark[0] == 0xFE && mark[1] == 0xFF;
    if (!little && !big)
        return fseeko(*file, 0, SEEK_SET) == 0
                   ? 0
                   : vivo_fail(err, EIO, "the manifest: %s", strerror(errno));
    int rc = to_utf8(*file, big, &text, err);
    if (rc)
        return rc;
    fclose(*file);
    *file = text;
    return 0;
}
