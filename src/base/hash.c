/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/hash.c -- libcrypto behind a few functions; see include/vivofs/hash.h.
 *
 * Indexing asks for some twenty digests a file, of a block or two each. OpenSSL's
 * one-call forms (EVP_Q_mac, EVP_Q_digest, SHA256) look the algorithm up at its
 * provider every time, which costs 13,000 instructions for an HMAC of one UID; the
 * SHA256_* functions, deprecated for that very reason, cost the hash alone. What is
 * looked up here is looked up once. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "vivofs/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

enum { NONCE = 12, GCM_TAG = 16, BLOCK = 64 };

struct vivo_sha256 {
    EVP_MD_CTX *ctx;
};

void vivo_sha256(const void *data, size_t len, uint8_t out[VIVO_DIGEST_LEN])
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, data, len);
    SHA256_Final(out, &ctx);
}

struct vivo_sha256 *vivo_sha256_begin(void)
{
    struct vivo_sha256 *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx || !EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(s->ctx);
        free(s);
        return NULL;
    }
    return s;
}

void vivo_sha256_add(struct vivo_sha256 *s, const void *data, size_t len)
{
    EVP_DigestUpdate(s->ctx, data, len);
}

void vivo_sha256_end(struct vivo_sha256 *s, uint8_t out[VIVO_DIGEST_LEN])
{
    if (!s)
        return;
    if (out)
        EVP_DigestFinal_ex(s->ctx, out, NULL);
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void vivo_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                      uint8_t out[VIVO_DIGEST_LEN])
{
    uint8_t block[BLOCK] = {0};
    SHA256_CTX ctx;
    if (key_len > BLOCK)
        vivo_sha256(key, key_len, block);
    else if (key_len)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36; /* RFC 2104: ipad */
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, block, BLOCK);
    SHA256_Update(&ctx, data, len);
    SHA256_Final(out, &ctx);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5C; /* opad */
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, block, BLOCK);
    SHA256_Update(&ctx, out, VIVO_DIGEST_LEN);
    SHA256_Final(out, &ctx);
    vivo_wipe(block, sizeof block);
    vivo_wipe(&ctx, sizeof ctx);
}

void vivo_base32(const uint8_t *data, size_t len, char *out, size_t chars)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (size_t i = 0; i < chars; i++) {
        size_t bit = i * 5;
        size_t byte = bit / 8;
        unsigned two = 0;
        if (byte < len)
            two = (unsigned)data[byte] << 8;
        if (byte + 1 < len)
            two |= data[byte + 1];
        out[i] = alphabet[two >> (11 - bit % 8) & 31];
    }
    out[chars] = '\0';
}

void vivo_short_name(const char *text, size_t len, char *out, size_t n)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    vivo_sha256(text, len, digest);
    vivo_base32(digest, sizeof digest, out, n);
}

void vivo_hex(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * len] = '\0';
}

static EVP_CIPHER *gcm; /* written once under `fetching`; lives to the end */
static pthread_once_t fetching = PTHREAD_ONCE_INIT;

static void fetch_gcm(void)
{
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static const EVP_CIPHER *aes_gcm(void)
{
    pthread_once(&fetching, fetch_gcm);
    return gcm ? gcm : EVP_aes_256_gcm();
}

static int seal_into(EVP_CIPHER_CTX *ctx, const uint8_t key[32], const void *data,
                     size_t len, uint8_t *to)
{
    int n = 0;
    if (RAND_bytes(to, NONCE) != 1 ||
        !EVP_EncryptInit_ex(ctx, aes_gcm(), NULL, key, to) ||
        !EVP_EncryptUpdate(ctx, to + NONCE, &n, data, (int)len) ||
        !EVP_EncryptFinal_ex(ctx, to + NONCE + n, &n) ||
        !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, GCM_TAG, to + NONCE + len))
        return -EIO;
    return 0;
}

int vivo_seal(const uint8_t key[32], const void *data, size_t len, struct vivo_buf *out)
{
    if (len > INT32_MAX)
        return -ENOSPC;
    uint8_t *to = vivo_buf_reserve(out, len + NONCE + GCM_TAG);
    if (!to)
        return -ENOSPC;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int rc = ctx ? seal_into(ctx, key, data, len, to) : -ENOMEM;
    EVP_CIPHER_CTX_free(ctx);
    if (!rc)
        out->len += len + NONCE + GCM_TAG;
    out->data[out->len] = 0;
    return rc;
}

static int unseal_into(EVP_CIPHER_CTX *ctx, const uint8_t key[32], const uint8_t *in,
                       size_t len, uint8_t *to)
{
    int n = 0;
    uint8_t tag[GCM_TAG];
    memcpy(tag, in + NONCE + len, GCM_TAG);
    if (!EVP_DecryptInit_ex(ctx, aes_gcm(), NULL, key, in) ||
        !EVP_DecryptUpdate(ctx, to, &n, in + NONCE, (int)len) ||
        !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, GCM_TAG, tag) ||
        EVP_DecryptFinal_ex(ctx, to + n, &n) <= 0)
        return -EBADMSG;
    return 0;
}

int vivo_unseal(const uint8_t key[32], const void *data, size_t len,
                struct vivo_buf *out)
{
    if (len < NONCE + GCM_TAG || len > INT32_MAX)
        return -EBADMSG;
    size_t plain = len - NONCE - GCM_TAG;
    uint8_t *to = vivo_buf_reserve(out, plain);
    if (!to)
        return -ENOSPC;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int rc = ctx ? unseal_into(ctx, key, data, plain, to) : -ENOMEM;
    EVP_CIPHER_CTX_free(ctx);
    if (rc)
        vivo_wipe(to, plain);
    else
        out->len += plain;
    out->data[out->len] = 0;
    return rc;
}

int vivo_random(void *out, size_t len)
{
    return RAND_bytes(out, (int)len) == 1 ? 0 : -EIO;
}

void vivo_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}
