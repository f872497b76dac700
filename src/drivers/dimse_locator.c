/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_locator.c -- UIDs as a path, and what kind of object to expect. */
#include "dimse.h"

#include "drivers/locator.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <string.h>

/* A SOP class UID, or a modality (CS: upper case, digits, '_'). */
bool vivo_dimse_kind_ok(const char *kind)
{
    size_t n = strspn(kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return (n > 0 && n <= 16 && kind[n] == '\0') || vivo_dicomweb_uid_ok(kind);
}

/* Lower-case digits only, so that a place has one locator. */
static bool read_patient(const char *hex, struct dimse_place *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(hex) / 2;
    out->of_patient = true;
    if (hex[2 * n] || n > DIMSE_PATIENT_MAX || strspn(hex, digits) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        long high = strchr(digits, hex[2 * i]) - digits;
        long low = strchr(digits, hex[2 * i + 1]) - digits;
        out->patient[i] = (char)(high << 4 | low);
    }
    return strlen(out->patient) == n;
}

void vivo_dimse_place_head(const struct dimse_place *p, char out[DIMSE_HEAD_MAX])
{
    size_t n = strlen(p->patient);
    out[0] = '\0';
    if (!p->of_patient)
        return;
    out[0] = '~';
    vivo_hex(p->patient, n, out + 1);
    out[2 * n + 1] = '/';
    out[2 * n + 2] = '\0';
}

int vivo_dimse_place_read(const char *locator, enum vivo_level level,
                          struct dimse_place *out, struct vivo_err *err)
{
    const char *s = locator;
    *out = (struct dimse_place){0};
    char head[DIMSE_HEAD_MAX];
    bool ok = true;
    if (*s == '~')
        ok = vivo_locator_part(&s, head, sizeof head) && read_patient(head + 1, out);
    ok = ok && vivo_locator_part(&s, out->study, sizeof out->study) &&
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
