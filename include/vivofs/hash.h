/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/hash.h -- SHA-256, HMAC, AES-GCM, base-32, random; over
 * OpenSSL's libcrypto, whose only user is src/base/hash.c. */
#ifndef VIVOFS_HASH_H
#define VIVOFS_HASH_H

#include "vivofs/buf.h"

#define VIVO_DIGEST_LEN 32 /* bytes of SHA-256 */

/* FIPS 180-4. Never fails. */
void vivo_sha256(const void *data, size_t len, uint8_t out[VIVO_DIGEST_LEN]);

/* The same in pieces; free with vivo_sha256_end, which may take out = NULL. */
struct vivo_sha256;
struct vivo_sha256 *vivo_sha256_begin(void); /* NULL = ENOMEM */
void vivo_sha256_add(struct vivo_sha256 *s, const void *data, size_t len);
void vivo_sha256_end(struct vivo_sha256 *s, uint8_t out[VIVO_DIGEST_LEN]);

/* RFC 2104 with SHA-256. key_len in bytes. */
void vivo_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                      uint8_t out[VIVO_DIGEST_LEN]);

/* The same with a key that is used often: half of the work is done once. As secret
 * as the key; plain bytes, to be wiped by whoever holds them. */
struct vivo_hmac {
    uint64_t state[28];
};
void vivo_hmac_init(struct vivo_hmac *h, const void *key, size_t key_len);
void vivo_hmac(const struct vivo_hmac *h, const void *data, size_t len,
               uint8_t out[VIVO_DIGEST_LEN]);

/* RFC 4648 base-32, lower-case, no padding: the first `chars` characters of the
 * encoding of data, NUL-terminated; out holds chars + 1 bytes. */
void vivo_base32(const uint8_t *data, size_t len, char *out, size_t chars);

/* The short name of a text (DESIGN A1): base-32 of SHA-256(text), n characters. */
void vivo_short_name(const char *text, size_t len, char *out, size_t n);

/* Lower-case hexadecimal; out holds 2 * len + 1 bytes. */
void vivo_hex(const void *data, size_t len, char *out);

/* AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce:
 * out gets nonce || ciphertext || tag. 0 or -ENOMEM / -ENOSPC / -EIO. */
int vivo_seal(const uint8_t key[32], const void *data, size_t len,
              struct vivo_buf *out);
/* Inverse; -EBADMSG when the key is another or the bytes were changed. */
int vivo_unseal(const uint8_t key[32], const void *data, size_t len,
                struct vivo_buf *out);

/* Cryptographically strong bytes. 0 or -EIO. */
int vivo_random(void *out, size_t len);

/* Overwrites secrets so that the compiler cannot leave it out. */
void vivo_wipe(void *p, size_t len);

#endif
