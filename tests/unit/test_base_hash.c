/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_base_hash.c -- HMAC against RFC 4231; sealing: what was sealed opens,
 * nothing else does, and no nonce comes twice: not in a batch, not in the next one,
 * not on another thread, not in a child of fork. */
#include "vivofs/hash.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NONCE 12
#define EACH 150 /* more than four batches */
#define MAKERS 4

static const uint8_t key[32] = "thirty-two bytes, as a key has.";

static void expect_mac(const void *k, size_t kn, const char *data, size_t n,
                       const char *hex)
{
    struct vivo_hmac h;
    uint8_t mac[VIVO_DIGEST_LEN];
    char text[2 * VIVO_DIGEST_LEN + 1];
    vivo_hmac_sha256(k, kn, data, n, mac);
    vivo_hex(mac, sizeof mac, text);
    assert_string_equal(text, hex);
    vivo_hmac_init(&h, k, kn);
    for (int twice = 0; twice < 2; twice++) {
        vivo_hmac(&h, data, n, mac);
        vivo_hex(mac, sizeof mac, text);
        assert_string_equal(text, hex);
    }
}

static void test_hmac_is_that_of_rfc_4231(void **state)
{
    (void)state;
    uint8_t k1[20], k6[131];
    memset(k1, 0x0b, sizeof k1);
    memset(k6, 0xaa, sizeof k6);
    expect_mac(k1, sizeof k1, "Hi There", 8,
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect_mac("Jefe", 4, "what do ya want for nothing?", 28,
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const char *t6 = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect_mac(k6, sizeof k6, t6, strlen(t6),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_sealed_bytes_open_with_their_key_alone(void **state)
{
    (void)state;
    struct vivo_buf sealed, plain;
    uint8_t other[32];
    vivo_buf_init(&sealed, 4096);
    vivo_buf_init(&plain, 4096);
    memcpy(other, key, sizeof other);
    other[31] ^= 1;
    for (size_t n = 0; n < 100; n += 9) {
        char text[100];
        memset(text, (int)('a' + n % 26), sizeof text);
        vivo_buf_clear(&sealed);
        vivo_buf_clear(&plain);
        assert_int_equal(vivo_seal(key, text, n, &sealed), 0);
        assert_int_equal(sealed.len, n + 28);
        assert_int_equal(vivo_unseal(other, sealed.data, sealed.len, &plain), -EBADMSG);
        for (size_t i = 0; i < sealed.len; i += 5) {
            sealed.data[i] ^= 0x40;
            assert_int_equal(vivo_unseal(key, sealed.data, sealed.len, &plain),
                             -EBADMSG);
            sealed.data[i] ^= 0x40;
        }
        assert_int_equal(plain.len, 0);
        assert_int_equal(vivo_unseal(key, sealed.data, sealed.len, &plain), 0);
        assert_int_equal(plain.len, n);
        assert_memory_equal(plain.data, text, n);
    }
    vivo_buf_free(&sealed);
    vivo_buf_free(&plain);
}

static uint8_t nonces[MAKERS + 1][EACH][NONCE];

static void *seal_each(void *arg)
{
    uint8_t(*to)[NONCE] = arg;
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    for (size_t i = 0; i < EACH; i++) {
        vivo_buf_clear(&b);
        if (vivo_seal(key, "x", 1, &b))
            break; /* zeros stay, twice: found below */
        memcpy(to[i], b.data, NONCE);
    }
    vivo_buf_free(&b);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, NONCE);
}

static void test_no_nonce_comes_twice(void **state)
{
    (void)state;
    pthread_t threads[MAKERS - 1];
    int ends[2], status = -1;
    struct vivo_buf b;
    vivo_buf_init(&b, 4096);
    assert_int_equal(vivo_seal(key, "x", 1, &b), 0); /* a batch is begun */
    vivo_buf_free(&b);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        seal_each(nonces[MAKERS]);
        ssize_t n = write(ends[1], nonces[MAKERS], sizeof nonces[MAKERS]);
        _exit(n == (ssize_t)sizeof nonces[MAKERS] ? 0 : 1);
    }
    assert_true(child > 0);
    seal_each(nonces[0]);
    for (size_t i = 0; i < MAKERS - 1; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_each, nonces[i + 1]),
                         0);
    for (size_t i = 0; i < MAKERS - 1; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(read(ends[0], nonces[MAKERS], sizeof nonces[MAKERS]),
                     sizeof nonces[MAKERS]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
    uint8_t(*all)[NONCE] = nonces[0];
    qsort(all, (MAKERS + 1) * EACH, NONCE, compare);
    for (size_t i = 1; i < (MAKERS + 1) * EACH; i++)
        assert_memory_not_equal(all[i - 1], all[i], NONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_is_that_of_rfc_4231),
        cmocka_unit_test(test_sealed_bytes_open_with_their_key_alone),
        cmocka_unit_test(test_no_nonce_comes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
