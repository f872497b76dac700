/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_locator.c -- UIDs as a path, and what kind of object to expect. */
#include "dimse.h"

#include "drivers/locator.h"

#include <errno.h>
#include <string.h>

/* A SOP class UID, or a modality (CS: upper case, digits, '_'). */
bool vivo_dimse_kind_ok(const char *kind)
{
    size_t n = strspn(kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return (n > 0 && n <= 16 && kind[n] == '\0') || vivo_dicomweb_uid_ok(kind);
}

int vivo_dimse_place_read(const char *locator, enum vivo_level level,
                          struct dimse_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct dimse_place){0};
    bool ok = vivo_locator_part(&s, out->study, sizeof out->study) &&
              vivo_dicomweb_uid_ok(out->study);
    if (ok && level >= VIVO_LEVEL_SERIES)
        ok = vivo_locator_part(&s, out->series, sizeof out->series) &&
             vivo_dicomweb_uid_ok(out->series);
    if (ok && level >= VIVO_LEVEL_INSTANCE)
        ok = vivo_locator_part(&s, out->instance, sizeof out->instance) &&
             vivo_dicomweb_uid_ok(out->instance);
    if (ok && s && level >= VIVO_LEVEL_INSTANCE)
        ok = vivo_locator_part(&s, out->kind, sizeof out->kind) &&
             vivo_dimse_kind_ok(out->kind);
    if (!ok || s)
        return vivo_fail(err, ENOENT, "not a locator of a PACS's %s",
                         vivo_level_name(level));
    return 0;
}
