/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_locator.c -- UIDs and ids that may stand in a URL, and no
 * others: they come from an archive, or from a catalog on disk. */
#include "dicomweb.h"

#include "drivers/locator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool vivo_dicomweb_uid_ok(const char *uid)
{
    size_t n = strspn(uid, "0123456789.");
    return n > 0 && n <= VIVO_UID_MAX && uid[n] == '\0' && uid[0] != '.' &&
           uid[n - 1] != '.' && !strstr(uid, "..");
}

/* Five groups of eight hexadecimal digits, joined by '-': a SHA-1. */
bool vivo_dicomweb_orthanc_id_ok(const char *id)
{
    for (size_t i = 0; i < ORTHANC_ID_LEN; i++) {
        bool dash = i % 9 == 8;
        if (dash ? id[i] != '-' : !id[i] || !strchr("0123456789abcdef", id[i]))
            return false;
    }
    return id[ORTHANC_ID_LEN] == '\0';
}

static bool take_uid(const char **s, char out[VIVO_UID_MAX + 1])
{
    return vivo_locator_part(s, out, VIVO_UID_MAX + 1) && vivo_dicomweb_uid_ok(out);
}

int vivo_dicomweb_place_read(const char *locator, enum vivo_level level,
                             struct dicomweb_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct dicomweb_place){0};
    bool ok = take_uid(&s, out->study);
    if (level >= VIVO_LEVEL_SERIES)
        ok = ok && take_uid(&s, out->series);
    if (level >= VIVO_LEVEL_INSTANCE) {
        ok = ok && take_uid(&s, out->instance);
        if (ok && s)
            ok = vivo_locator_part(&s, out->orthanc, sizeof out->orthanc) &&
                 vivo_dicomweb_orthanc_id_ok(out->orthanc);
    }
    if (!ok || s)
        return vivo_fail(err, ENOENT, "not a locator of a DICOMweb %s",
                         vivo_level_name(level));
    return 0;
}

void vivo_dicomweb_place_write(const struct dicomweb_place *p,
                               char out[DICOMWEB_LOCATOR_MAX])
{
    const char *const parts[] = {p->study, p->series, p->instance, p->orthanc};
    size_t at = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(parts) && parts[i][0]; i++)
        at += (size_t)snprintf(out + at, DICOMWEB_LOCATOR_MAX - at, "%s%s",
                               i ? "/" : "", parts[i]);
}
