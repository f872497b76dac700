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

#include "vivofs/base.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
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

/* The states after the first block, which is the key, inside and outside. */
struct hmac_states {
    SHA256_CTX inner, outer;
};
_Static_assert(sizeof(struct hmac_states) <= sizeof(struct vivo_hmac), "hash.h");

void vivo_hmac_init(struct vivo_hmac *h, const void *key, size_t key_len)
{
    uint8_t block[BLOCK] = {0};
    struct hmac_states s;
    if (key_len > BLOCK)
        vivo_sha256(key, key_len, block);
    else if (key_len)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36; /* RFC 2104: ipad */
    SHA256_Init(&s.inner);
    SHA256_Update(&s.inner, block, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5C; /* opad */
    SHA256_Init(&s.outer);
    SHA256_Update(&s.outer, block, BLOCK);
    memset(h, 0, sizeof *h);
    memcpy(h, &s, sizeof s);
    vivo_wipe(block, sizeof block);
    vivo_wipe(&s, sizeof s);
}

void vivo_hmac(const struct vivo_hmac *h, const void *data, size_t len,
               uint8_t out[VIVO_DIGEST_LEN])
{
    struct hmac_states s;
    memcpy(&s, h, sizeof s);
    SHA256_Update(&s.inner, data, len);
    SHA256_Final(out, &s.inner);
    SHA256_Update(&s.outer, out, VIVO_DIGEST_LEN);
    SHA256_Final(out, &s.outer);
    vivo_wipe(&s, sizeof s);
}

void vivo_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                      uint8_t out[VIVO_DIGEST_LEN])
{
    struct vivo_hmac h;
    vivo_hmac_init(&h, key, key_len);
    vivo_hmac(&h, data, len, out);
    vivo_wipe(&h, sizeof h);
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

/* ---- sealing --------------------------------------------------------------------- */

/* What a thread seals with. Every nonce is 96 bits of its own from the generator, as
 * SP 800-38D section 8.2.2 has it; only that several are drawn at a time, each given
 * out once and by one thread. A child of fork, which has a copy of them, draws anew. */
struct sealing {
    EVP_CIPHER_CTX *ctx; /* keeps the last key, as its owner does, till it is freed */
    size_t left;         /* nonces not given out yet, at the beginning */
    unsigned forks;      /* of the process when they were drawn */
    uint8_t nonces[32][NONCE];
};

static EVP_CIPHER *gcm; /* written once under `once`; lives to the end */
static pthread_key_t per_thread;
static bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint forks;

static void free_sealing(void *p)
{
    struct sealing *s = p;
    EVP_CIPHER_CTX_free(s->ctx); /* wipes its key */
    vivo_wipe(s, sizeof *s);
    free(s);
}

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void prepare_sealing(void)
{
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    has_key = !pthread_atfork(NULL, NULL, count_fork) &&
              !pthread_key_create(&per_thread, free_sealing);
}

static const EVP_CIPHER *aes_gcm(void)
{
    return gcm ? gcm : EVP_aes_256_gcm();
}

/* This thread's, or NULL without memory. */
static struct sealing *sealing_of_thread(void)
{
    pthread_once(&once, prepare_sealing);
    if (!has_key)
        return NULL;
    struct sealing *s = pthread_getspecific(per_thread);
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ctx = EVP_CIPHER_CTX_new();
    if (!s->ctx || pthread_setspecific(per_thread, s)) {
        free_sealing(s);
        return NULL;
    }
    return s;
}

static int take_nonce(struct sealing *s, uint8_t out[NONCE])
{
    unsigned now = atomic_load(&forks);
    if (!s->left || s->forks != now) {
        s->left = 0;
        if (RAND_bytes(s->nonces[0], sizeof s->nonces) != 1)
            return -EIO;
        s->forks = now;
        s->left = VIVO_ARRAY_LEN(s->nonces);
    }
    memcpy(out, s->nonces[--s->left], NONCE);
    return 0;
}

static int seal_into(struct sealing *s, const uint8_t key[32], const void *data,
                     size_t len, uint8_t *to)
{
    int n = 0;
    if (take_nonce(s, to) || !EVP_EncryptInit_ex(s->ctx, aes_gcm(), NULL, key, to) ||
        !EVP_EncryptUpdate(s->ctx, to + NONCE, &n, data, (int)len) ||
        !EVP_EncryptFinal_ex(s->ctx, to + NONCE + n, &n) ||
        !EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_GCM_GET_TAG, GCM_TAG, to + NONCE + len))
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
    struct sealing *s = sealing_of_thread();
    int rc = s ? seal_into(s, key, data, len, to) : -ENOMEM;
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
    struct sealing *s = sealing_of_thread();
    int rc = s ? unseal_into(s->ctx, key, data, plain, to) : -ENOMEM;
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
