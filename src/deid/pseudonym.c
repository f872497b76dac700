/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/pseudonym.c -- keyed, domain-separated replacements.
 *
 * HMAC-SHA-256 under a sub-key per domain: the same original gives the same
 * pseudonym in every file, on every machine, in any order, and nothing without the
 * key. A plain hash of an MRN or a UID falls to enumeration. */
#include "engine.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PATIENT_CHARS 20 /* 100 bits */
#define CODE_CHARS 15
#define TEXT_MAX 1024

static void upper_base32(const uint8_t *mac, char *out, size_t chars)
{
    vivo_base32(mac, VIVO_DIGEST_LEN, out, chars);
    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
}

static void put_patient(const uint8_t *mac, char out[22])
{
    out[0] = 'P';
    upper_base32(mac, out + 1, PATIENT_CHARS);
}

/* issuer and id trimmed, UTF-8. The length of the issuer stands in front, so that no
 * two pairs give the same text. */
void vivo_pseudo_patient(const struct vivo_key *k, const char *issuer, const char *id,
                         char out[22])
{
    char text[2 * TEXT_MAX];
    uint8_t mac[VIVO_DIGEST_LEN];
    int n = snprintf(text, sizeof text, "%zu:%.*s%.*s", strlen(issuer), TEXT_MAX / 2,
                     issuer, TEXT_MAX, id);
    vivo_key_mac(k, VIVO_DOMAIN_PATIENT, text, (size_t)n, mac);
    vivo_wipe(text, sizeof text);
    put_patient(mac, out);
}

void vivo_pseudo_patient_of_uid(const struct vivo_key *k, const char *uid, char out[22])
{
    uint8_t mac[VIVO_DIGEST_LEN];
    vivo_key_mac(k, VIVO_DOMAIN_STUDY_PATIENT, uid, strlen(uid), mac);
    put_patient(mac, out);
}

static void trim(const uint8_t **v, size_t *len)
{
    while (*len && ((*v)[*len - 1] == ' ' || (*v)[*len - 1] == 0))
        (*len)--;
    while (*len && (**v == ' ' || **v == 0))
        (*v)++, (*len)--;
}

/* 16 bytes, big-endian, as decimal digits; returns how many. Nine digits a division:
 * this runs for each UID of each file. */
size_t vivo_pseudo_decimal(const uint8_t *bytes, char *out)
{
    uint32_t limb[4];
    char digits[45];
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        limb[i] = vivo_be32(bytes + 4 * i);
    while (limb[0] | limb[1] | limb[2] | limb[3]) {
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        uint32_t nine = (uint32_t)rest;
        for (int i = 0; i < 9; i++, nine /= 10)
            digits[n++] = (char)('0' + nine % 10);
    }
    while (n && digits[n - 1] == '0')
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* The UIDs of study, series and frame of reference come again in file after file, and
 * an instance's comes twice. A thread remembers some of the last ones: the same key
 * makes the same of them, so that nothing depends on what was remembered. */
#define REMEMBERED 16 /* a power of two */

struct remembered {
    char key[17]; /* the id of the key; "" = empty */
    uint8_t len;
    char uid[VIVO_UID_MAX], made[VIVO_UID_MAX + 1];
};

static _Thread_local struct remembered remembered[REMEMBERED];

static struct remembered *place_of(const uint8_t *v, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ v[i]) * 16777619u;
    return &remembered[(hash >> 16) % REMEMBERED];
}

static bool is_remembered(const struct remembered *m, const struct vivo_key *k,
                          const uint8_t *v, size_t len)
{
    return m->len == len && !memcmp(m->uid, v, len) && !strcmp(m->key, vivo_key_id(k));
}

static void remember(struct remembered *m, const struct vivo_key *k, const uint8_t *v,
                     size_t len, const char *made)
{
    memcpy(m->key, vivo_key_id(k), sizeof m->key);
    m->len = (uint8_t)len;
    memcpy(m->uid, v, len);
    memcpy(m->made, made, strlen(made) + 1);
}

static void make_uid(const struct vivo_key *k, const uint8_t *v, size_t len,
                     char out[VIVO_UID_MAX + 1]);

void vivo_pseudo_uid(const struct vivo_key *k, const void *uid, size_t len,
                     char out[VIVO_UID_MAX + 1])
{
    const uint8_t *v = uid;
    trim(&v, &len);
    if (!len || len > VIVO_UID_MAX) {
        make_uid(k, v, len, out);
        return;
    }
    struct remembered *m = place_of(v, len);
    if (is_remembered(m, k, v, len)) {
        memcpy(out, m->made, sizeof m->made);
        return;
    }
    make_uid(k, v, len, out);
    remember(m, k, v, len, out);
}

/* PS3.5 Annex B.2: the decimal of a UUID below 2.25; RFC 9562 version 8, whose 122
 * free bits come from the MAC. */
static void make_uid(const struct vivo_key *k, const uint8_t *v, size_t len,
                     char out[VIVO_UID_MAX + 1])
{
    uint8_t mac[VIVO_DIGEST_LEN];
    vivo_key_mac(k, VIVO_DOMAIN_UID, v, len, mac);
    mac[6] = (uint8_t)((mac[6] & 0x0F) | 0x80);
    mac[8] = (uint8_t)((mac[8] & 0x3F) | 0x80);
    mac[0] |= 0x10; /* never a leading zero, all of the same order of length */
    memcpy(out, "2.25.", 5);
    out[5 + vivo_pseudo_decimal(mac, out + 5)] = '\0';
}

static const char *const roots[] = {"1.2.840.10008.", "2.16.840.1.113883."};

/* Below the roots of DICOM and HL7 the dictionary takes all for registered. What is
 * really registered there has short components; a medical record number has not. */
static bool has_short_components(const char *uid, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0; i < len; i++) {
        digits = uid[i] == '.' ? 0 : digits + 1;
        if (digits > 4 || (uid[i] == '.' && i + 1 == len))
            return false;
    }
    return len > 0 && len <= 24;
}

static size_t root_length(const char *uid, size_t len)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(roots); i++)
        if (len > strlen(roots[i]) && !memcmp(uid, roots[i], strlen(roots[i])))
            return strlen(roots[i]);
    return 0;
}

bool vivo_uid_is_known(const char *uid, size_t len)
{
    if (!len || len > VIVO_UID_MAX || strspn(uid, "0123456789.") < len)
        return false;
    size_t root = root_length(uid, len);
    if (root && !has_short_components(uid + root, len - root))
        return false;
    return vivo_dcm_uid_registered(uid, len);
}

/* DICOM's own root and that of HL7's coding schemes (PS3.16 Table 8-1): for the
 * classes and schemes that are newer than the dictionary. */
bool vivo_uid_is_registry(const char *uid, size_t len)
{
    if (vivo_uid_is_known(uid, len))
        return true;
    size_t root = root_length(uid, len);
    return root && len <= VIVO_UID_MAX && strspn(uid, "0123456789.") >= len &&
           has_short_components(uid + root, len - root);
}

static int put_uid(const struct vivo_key *k, const uint8_t *v, size_t len,
                   bool registry, struct vivo_buf *out)
{
    char text[VIVO_UID_MAX + 1];
    trim(&v, &len);
    if (!len)
        return 0;
    if (len <= VIVO_UID_MAX) {
        memcpy(text, v, len);
        text[len] = '\0';
        if (registry ? vivo_uid_is_registry(text, len) : vivo_uid_is_known(text, len))
            return vivo_buf_add(out, text, len);
    }
    vivo_pseudo_uid(k, v, len, text);
    return vivo_buf_puts(out, text);
}

int vivo_pseudo_uids(const struct vivo_key *k, const void *value, size_t len,
                     bool registry, struct vivo_buf *out)
{
    const uint8_t *v = value;
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && v[i] != '\\')
            continue;
        int rc = start ? vivo_buf_add(out, "\\", 1) : 0;
        if (!rc)
            rc = put_uid(k, v + start, i - start, registry, out);
        if (rc)
            return rc;
        start = i + 1;
    }
    return 0;
}

void vivo_pseudo_person(const struct vivo_key *k, const void *name, size_t len,
                        char out[22])
{
    uint8_t mac[VIVO_DIGEST_LEN];
    vivo_key_mac(k, VIVO_DOMAIN_PERSON, name, len, mac);
    out[0] = 'N';
    upper_base32(mac, out + 1, PATIENT_CHARS);
}

void vivo_pseudo_code(const struct vivo_key *k, const char *scheme, const void *value,
                      size_t len, char out[17])
{
    char text[TEXT_MAX];
    uint8_t mac[VIVO_DIGEST_LEN];
    const uint8_t *v = value;
    trim(&v, &len);
    int n = snprintf(text, sizeof text, "%zu:%.200s%.*s", strlen(scheme), scheme,
                     (int)VIVO_MIN(len, 700), (const char *)v);
    vivo_key_mac(k, VIVO_DOMAIN_CODE, text, (size_t)n, mac);
    vivo_wipe(text, sizeof text);
    out[0] = 'V';
    upper_base32(mac, out + 1, CODE_CHARS);
}

/* Domains of names come from outside and must not meet those of the engine. */
void vivo_deid_name(const struct vivo_deid *d, const char *domain, const char *original,
                    char out[65])
{
    if (d->none) {
        size_t n = VIVO_MIN(strlen(original), (size_t)64);
        /* Not in the middle of a UTF-8 character. */
        while (n && n < strlen(original) && ((uint8_t)original[n] & 0xC0) == 0x80)
            n--;
        memcpy(out, original, n);
        out[n] = '\0';
        return;
    }
    char full[64];
    uint8_t mac[VIVO_DIGEST_LEN];
    snprintf(full, sizeof full, "name:%.50s", domain);
    vivo_key_derive(d->key, full, original, strlen(original), mac);
    vivo_base32(mac, sizeof mac, out, PATIENT_CHARS);
}
