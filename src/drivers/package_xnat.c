/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_xnat.c -- what XNAT gives away, and what it keeps on its disk.
 *
 *     PROJECT/SUBJECT/SESSION/scans/SCAN/resources/DICOM/files/…   downloads
 *     PROJECT/SUBJECT/SESSION/SCANS/SCAN/DICOM/…                   desktop client
 *     PROJECT/arc001/SESSION/SCANS/SCAN/DICOM/…                    its own archive
 *
 * Told by paths alone, below any other folders. With one folder less it is not certain
 * whether project or subject is missing (both are options of a download), so nothing is
 * said; the archive's own folders do not name the subject, so its headers do. */
#include "package.h"

#include "vivofs/base.h"

#include <ctype.h>
#include <strings.h>

#define PARTS_MAX 64

struct part {
    const char *s;
    size_t len;
};

static bool is(const struct part *p, const char *word)
{
    return p->len == strlen(word) && strncasecmp(p->s, word, p->len) == 0;
}

/* The folders of a path, without the file. */
static size_t split(const char *path, struct part out[PARTS_MAX])
{
    size_t n = 0;
    for (const char *end; (end = strchr(path, '/')); path = end + 1) {
        if (n == PARTS_MAX)
            return 0;
        out[n++] = (struct part){path, (size_t)(end - path)};
    }
    return n;
}

/* Is part[at] the folder of the scans? */
static bool are_scans(const struct part *part, size_t n, size_t at)
{
    if (!is(&part[at], "scans") || n - at < 3)
        return false;
    if (n - at >= 5 && is(&part[at + 2], "resources") && is(&part[at + 4], "files"))
        return true;
    return is(&part[at + 2], "DICOM") || is(&part[at + 2], "secondary");
}

/* "arc001", as XNAT parts the sessions of a project on its disk. */
static bool is_arc(const struct part *p)
{
    return p->len == 6 && strncmp(p->s, "arc", 3) == 0 &&
           isdigit((unsigned char)p->s[3]) && isdigit((unsigned char)p->s[4]) &&
           isdigit((unsigned char)p->s[5]);
}

static void copy(const struct part *p, char out[VIVO_PACKAGE_TEXT_MAX + 1])
{
    size_t n = p->len > VIVO_PACKAGE_TEXT_MAX ? 0 : p->len;
    memcpy(out, p->s, n);
    out[n] = '\0';
}

static bool place(const void *known, const char *path, struct vivo_package_place *out)
{
    struct part part[PARTS_MAX];
    size_t n = split(path, part);
    (void)known;
    for (size_t at = n; at-- > 3;) {
        if (!are_scans(part, n, at))
            continue;
        copy(&part[at - 3], out->collection);
        if (!is_arc(&part[at - 2]))
            copy(&part[at - 2], out->patient);
        return true;
    }
    return false;
}

const struct vivo_packager vivo_package_xnat = {
    .name = "XNAT",
    .place = place,
};
