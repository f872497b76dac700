/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/keys.c -- what tells a node from its siblings: labels, issuer and ID,
 * UIDs as shown, without shortening; where an archive has none of them its own ids, and
 * of what was frozen the names that these had made. */
#include "catalog/keys.h"

#include <stdio.h>
#include <string.h>

/* The whole value, not only what a name would show of it. */
static void key_text(const void *value, size_t len, char out[VIVO_CATALOG_KEY_MAX + 1])
{
    const uint8_t *p = value;
    uint8_t digest[VIVO_DIGEST_LEN];

    while (len && (p[len - 1] == ' ' || p[len - 1] == 0))
        len--;
    while (len && *p == ' ') {
        p++;
        len--;
    }
    if (len <= VIVO_CATALOG_KEY_MAX && (len == 0 || !memchr(p, 0, len))) {
        if (len)
            memcpy(out, p, len);
        out[len] = 0;
        return;
    }
    vivo_sha256(p, len, digest);
    out[0] = '#';
    vivo_hex(digest, sizeof digest, out + 1);
}

void vivo_catalog_key_attr(struct vivo_attrs a, uint32_t tag,
                           char out[VIVO_CATALOG_KEY_MAX + 1])
{
    struct vivo_attr e;

    out[0] = 0;
    if (vivo_attrs_find(a, tag, &e))
        key_text(e.value, e.len, out);
}

/* The name that a frozen object brings for its study, series or itself. */
bool vivo_catalog_frozen_name(const struct vivo_put *put, enum vivo_level level,
                              char out[VIVO_NAME_MAX + 1])
{
    const char *p = level >= VIVO_LEVEL_STUDY ? put->path : NULL;

    for (int l = VIVO_LEVEL_STUDY; p && l < (int)level; l++) {
        p = strchr(p, '/');
        p = p ? p + 1 : NULL;
    }
    if (p)
        snprintf(out, VIVO_NAME_MAX + 1, "%.*s", (int)strcspn(p, "/"), p);
    return p != NULL;
}

bool vivo_catalog_named_after(const char *name, const char *uid)
{
    char u[7], of_uid[7];

    vivo_catalog_name_u(name, u);
    vivo_short_name(uid, strlen(uid), of_uid, 6);
    return uid[0] && !strchr(name, '+') && strcmp(u, of_uid) == 0;
}

/* What an archive told apart by keys of its own is told apart by its names. */
static void frozen_key(const struct vivo_put *put, enum vivo_level level,
                       struct vivo_keys *k)
{
    char name[VIVO_NAME_MAX + 1];

    if (vivo_catalog_frozen_name(put, level, name) &&
        !vivo_catalog_named_after(name, k->of[level]))
        snprintf(k->of[level], sizeof k->of[0], "\x1f/%s", name);
}

static void patient_key(struct vivo_attrs a, const char *label,
                        char out[VIVO_CATALOG_KEY_CAP])
{
    char id[VIVO_CATALOG_KEY_MAX + 1], issuer[VIVO_CATALOG_KEY_MAX + 1];

    vivo_catalog_key_attr(a, VIVO_TAG_PatientID, id);
    vivo_catalog_key_attr(a, VIVO_TAG_IssuerOfPatientID, issuer);
    if (label) {
        key_text(label, strlen(label), id);
        issuer[0] = 0;
    }
    /* Without an ID nobody is told apart: all of them are "unknown". */
    snprintf(out, VIVO_CATALOG_KEY_CAP, "%s%s%s", id[0] ? issuer : "",
             id[0] && issuer[0] ? "\x1f" : "", id);
}

bool vivo_catalog_is_patient_key(struct vivo_attrs a, const char *key)
{
    char of_id[VIVO_CATALOG_KEY_CAP];

    patient_key(a, NULL, of_id);
    return strcmp(of_id, key) == 0;
}

void vivo_catalog_keys_make(const struct vivo_put *put, struct vivo_keys *k)
{
    key_text(put->collection, put->collection ? strlen(put->collection) : 0,
             k->of[VIVO_LEVEL_COLLECTION]);
    patient_key(put->attrs, put->patient, k->of[VIVO_LEVEL_PATIENT]);
    vivo_catalog_key_attr(put->attrs, VIVO_TAG_StudyInstanceUID,
                          k->of[VIVO_LEVEL_STUDY]);
    vivo_catalog_key_attr(put->attrs, VIVO_TAG_SeriesInstanceUID,
                          k->of[VIVO_LEVEL_SERIES]);
    /* Marked, so that no UID is taken for a key. */
    if (put->key && put->level <= VIVO_LEVEL_SERIES)
        snprintf(k->of[put->level], sizeof k->of[0], "\x1f%.*s", VIVO_CATALOG_KEY_MAX,
                 put->key);
    frozen_key(put, VIVO_LEVEL_STUDY, k);
    frozen_key(put, VIVO_LEVEL_SERIES, k);
}
