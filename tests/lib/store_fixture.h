/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/store_fixture.h -- small things that every test of the store needs. */
#ifndef VIVOFS_TESTS_STORE_FIXTURE_H
#define VIVOFS_TESTS_STORE_FIXTURE_H

#include "vivofs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static inline char *temp_dir(void)
{
    char *dir = strdup("/tmp/vivofs-store-XXXXXX");

    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline int remove_path(const char *path, const struct stat *st, int kind,
                              struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void remove_dir(char *dir)
{
    nftw(dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

static inline struct vivo_store_key key_of(unsigned n)
{
    struct vivo_store_key key;

    vivo_sha256(&n, sizeof n, key.digest);
    return key;
}

/* DIR/objects/ab/<key> */
static inline void object_path(const char *dir, unsigned n, char out[256])
{
    struct vivo_store_key key = key_of(n);
    char hex[2 * VIVO_DIGEST_LEN + 1];

    vivo_hex(key.digest, sizeof key.digest, hex);
    snprintf(out, 256, "%s/objects/%.2s/%s", dir, hex, hex);
}

/* Bytes that differ from object to object and from block to block. */
static inline uint8_t *content_of(unsigned n, size_t size)
{
    uint8_t *p = malloc(size + 1);
    uint32_t v = n * 2654435761u + 1;

    assert_non_null(p);
    for (size_t i = 0; i < size; i++) {
        v = v * 1664525u + 1013904223u;
        p[i] = (uint8_t)(v >> 24);
    }
    return p;
}

static inline struct vivo_store *open_store(const char *dir, uint64_t max_bytes)
{
    struct vivo_store_config cfg = {.dir = dir, .max_bytes = max_bytes};
    struct vivo_store *s = NULL;
    struct vivo_err err = {0};

    if (vivo_store_open(&cfg, &s, &err) != 0)
        print_message("open: %s\n", err.text);
    assert_non_null(s);
    return s;
}

static inline struct vivo_view *memory_view(unsigned n, size_t size)
{
    struct vivo_view *v = NULL;
    uint8_t *bytes = content_of(n, size);

    assert_int_equal(vivo_view_new(-1, NULL, &v, NULL), 0);
    assert_int_equal(vivo_view_add_memory(v, bytes, size), 0);
    free(bytes);
    return v;
}

static inline int put_object(struct vivo_store *s, unsigned n, size_t size)
{
    struct vivo_store_key key = key_of(n);
    struct vivo_view *in = memory_view(n, size), *out = NULL;
    struct vivo_err err = {0};
    int rc = vivo_store_put(s, &key, in, false, &out, &err);

    assert_int_equal(rc, -err.errnum);
    if (rc == 0)
        assert_int_equal(vivo_view_size(out), size);
    else
        assert_null(out);
    vivo_view_unref(in);
    vivo_view_unref(out);
    return rc;
}

static inline void assert_content(const struct vivo_view *v, unsigned n, size_t size)
{
    uint8_t *want = content_of(n, size), *got = malloc(size + 1);

    assert_non_null(got);
    assert_int_equal(vivo_view_size(v), size);
    assert_int_equal(vivo_view_pread(v, got, size + 1, 0, NULL), (ssize_t)size);
    assert_memory_equal(got, want, size);
    free(want);
    free(got);
}

/* 0 when the store has object n and its bytes are right; -ENOENT. */
static inline int get_object(struct vivo_store *s, unsigned n, size_t size)
{
    struct vivo_store_key key = key_of(n);
    struct vivo_view *v = NULL;
    struct vivo_err err = {0};
    int rc = vivo_store_get(s, &key, &v, &err);

    assert_int_equal(rc, -err.errnum);
    if (rc == 0)
        assert_content(v, n, size);
    vivo_view_unref(v);
    return rc;
}

static inline struct vivo_store_stats stats_of(struct vivo_store *s)
{
    struct vivo_store_stats st;

    vivo_store_stats(s, &st);
    return st;
}

#endif
