/* SPDX-License-Identifier: Apache-2.0 */
/* src/store/object.c -- see object.h. Numbers in the footer are little-endian:
 * magic 8, size 8, block 4, blocks 4, key 32, SHA-256 of sums and all before 32. A
 * digest of the whole counts as one of the sums. */
#include "store/object.h"
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK (1u << 20)
#define SUM_LEN 16u
#define FOOTER_LEN 88u
#define SIGNED_LEN 56u /* of the footer */
#define MAGIC "VIVOOBJ1"
#define MAGIC_DIGEST "VIVOOBJ2" /* with a digest of the whole */
#define OBJECT_SIZE_MAX (1ull << 40)

static uint64_t block_count(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK;
}

static size_t sums_length(uint64_t size, bool digest)
{
    return (size_t)(block_count(size) * SUM_LEN) + (digest ? VIVO_DIGEST_LEN : 0);
}

uint64_t vivo_store_object_length(uint64_t size, bool digest)
{
    return size + sums_length(size, digest) + FOOTER_LEN;
}

static void put_le64(uint8_t *p, uint64_t v)
{
    vivo_put_le32(p, (uint32_t)v);
    vivo_put_le32(p + 4, (uint32_t)(v >> 32));
}

static uint64_t le64(const uint8_t *p)
{
    return vivo_le32(p) | (uint64_t)vivo_le32(p + 4) << 32;
}

/* whole: the digest of the block, too. */
static void sum_block(const uint8_t *data, size_t len, uint8_t out[SUM_LEN],
                      uint8_t whole[VIVO_DIGEST_LEN])
{
    vivo_sha256(data, len, whole);
    memcpy(out, whole, SUM_LEN);
}

/* No room is one thing, whoever sets the limit: disk, quota or file size. */
static int write_all(int fd, const uint8_t *data, size_t len, uint64_t off,
                     struct vivo_err *err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
            return vivo_fail(err, ENOSPC, "store: no room for an object");
        if (n <= 0)
            return vivo_fail(err, EIO, "store: writing: errno %d", errno);
        data += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* `sums` has the room for the footer behind it. */
static void make_footer(uint8_t *sums, size_t sums_len,
                        const struct vivo_store_key *key, uint64_t size, bool digest)
{
    uint8_t *f = sums + sums_len;

    memcpy(f, digest ? MAGIC_DIGEST : MAGIC, 8);
    put_le64(f + 8, size);
    vivo_put_le32(f + 16, BLOCK);
    vivo_put_le32(f + 20, (uint32_t)block_count(size));
    memcpy(f + 24, key->digest, VIVO_DIGEST_LEN);
    vivo_sha256(sums, sums_len + SIGNED_LEN, f + SIGNED_LEN);
}

/* sha: NULL, or what it all goes through. whole: the digest of the last block. */
static int copy_blocks(int fd, const struct vivo_view *view, uint8_t *block,
                       uint8_t *sums, struct vivo_sha256 *sha,
                       uint8_t whole[VIVO_DIGEST_LEN], struct vivo_err *err)
{
    uint64_t size = vivo_view_size(view);

    for (uint64_t off = 0; off < size; off += BLOCK, sums += SUM_LEN) {
        size_t n = (size_t)VIVO_MIN(size - off, (uint64_t)BLOCK);
        ssize_t got = vivo_view_pread(view, block, n, off, err);
        if (got < 0)
            return (int)got;
        if ((size_t)got != n)
            return vivo_fail(err, EIO, "store: an object ended before its size");
        sum_block(block, n, sums, whole);
        if (sha)
            vivo_sha256_add(sha, block, n);
        int rc = write_all(fd, block, n, off, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Sums, and the digest of the whole behind them. That of an object of one block is the
 * block's, and costs nothing. */
static int copy_digested(int fd, const struct vivo_view *view, uint8_t *block,
                         uint8_t *sums, struct vivo_err *err)
{
    uint64_t size = vivo_view_size(view);
    uint8_t *whole = sums + sums_length(size, false);
    uint8_t last[VIVO_DIGEST_LEN];
    struct vivo_sha256 *sha;

    if (block_count(size) == 1)
        return copy_blocks(fd, view, block, sums, NULL, whole, err);
    sha = vivo_sha256_begin();
    if (!sha)
        return vivo_fail(err, ENOMEM, "store: no memory for a digest");
    int rc = copy_blocks(fd, view, block, sums, sha, last, err);
    vivo_sha256_end(sha, whole);
    return rc;
}

int vivo_store_object_write(int fd, const struct vivo_store_key *key,
                            const struct vivo_view *view, bool digest,
                            struct vivo_err *err)
{
    uint64_t size = vivo_view_size(view);
    uint8_t last[VIVO_DIGEST_LEN];

    if (size > OBJECT_SIZE_MAX)
        return vivo_fail(err, ENOSPC, "store: an object is larger than 1 TiB");
    size_t sums_len = sums_length(size, digest);
    VIVO_AUTO(vivo_free_p)
    uint8_t *block = malloc((size_t)VIVO_MIN(size, (uint64_t)BLOCK) + 1);
    VIVO_AUTO(vivo_free_p) uint8_t *sums = malloc(sums_len + FOOTER_LEN);
    if (!block || !sums)
        return vivo_fail(err, ENOMEM, "store: no memory to write an object");
    /* Room first: a full disk is known before the work, and blocks lie together. */
    off_t length = (off_t)vivo_store_object_length(size, digest);
    if (fallocate(fd, 0, 0, length) < 0 && (errno == ENOSPC || errno == EDQUOT))
        return vivo_fail(err, ENOSPC, "store: no room for an object");
    int rc = digest ? copy_digested(fd, view, block, sums, err)
                    : copy_blocks(fd, view, block, sums, NULL, last, err);
    if (rc < 0)
        return rc;
    make_footer(sums, sums_len, key, size, digest);
    rc = write_all(fd, sums, sums_len + FOOTER_LEN, size, err);
    if (rc < 0)
        return rc;
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size != length)
        return vivo_fail(err, EIO, "store: a written object has another length");
    return 0;
}

static int bad(struct vivo_err *err, const char *what)
{
    return vivo_fail(err, EBADMSG, "store: a stored object %s", what);
}

/* Sums and footer of the file; malloc'd. *size from a footer that is consistent with
 * the file's length; of a digest, *sums_len counts it. */
static int read_sums(int fd, uint8_t **out, size_t *sums_len, uint64_t *size,
                     struct vivo_err *err)
{
    uint8_t f[FOOTER_LEN];
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)FOOTER_LEN)
        return bad(err, "is cut short");
    uint64_t length = (uint64_t)st.st_size;
    if (vivo_pread_full(fd, f, sizeof f, length - FOOTER_LEN, NULL) < 0)
        return bad(err, "cannot be read");
    *size = le64(f + 8);
    bool digest = memcmp(f, MAGIC_DIGEST, 8) == 0;
    if ((!digest && memcmp(f, MAGIC, 8) != 0) || *size > OBJECT_SIZE_MAX ||
        length != vivo_store_object_length(*size, digest) ||
        vivo_le32(f + 16) != BLOCK || vivo_le32(f + 20) != block_count(*size))
        return bad(err, "has no valid footer");
    *sums_len = (size_t)(length - *size - FOOTER_LEN);
    VIVO_AUTO(vivo_free_p) uint8_t *sums = malloc(*sums_len + FOOTER_LEN);
    uint8_t sum[VIVO_DIGEST_LEN];
    if (!sums)
        return vivo_fail(err, ENOMEM, "store: no memory to check an object");
    if (vivo_pread_full(fd, sums, *sums_len + FOOTER_LEN, *size, NULL) < 0)
        return bad(err, "cannot be read");
    vivo_sha256(sums, *sums_len + SIGNED_LEN, sum);
    if (memcmp(sum, sums + *sums_len + SIGNED_LEN, sizeof sum) != 0)
        return bad(err, "has a footer that was changed");
    *out = VIVO_STEAL(sums);
    return 0;
}

/* read_sums() of the object that the file's name says. */
static int read_own_sums(int fd, const struct vivo_store_key *key, uint8_t **sums,
                         size_t *sums_len, uint64_t *size, struct vivo_err *err)
{
    int rc = read_sums(fd, sums, sums_len, size, err);

    if (rc < 0)
        return rc;
    if (memcmp(*sums + *sums_len + 24, key->digest, VIVO_DIGEST_LEN) != 0)
        return bad(err, "is another one than its name says");
    return 0;
}

int vivo_store_object_size(int fd, const struct vivo_store_key *key, uint64_t *size,
                           struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) uint8_t *sums = NULL;
    size_t sums_len;

    return read_own_sums(fd, key, &sums, &sums_len, size, err);
}

int vivo_store_object_digest(int fd, const struct vivo_store_key *key,
                             uint8_t out[VIVO_DIGEST_LEN])
{
    VIVO_AUTO(vivo_free_p) uint8_t *sums = NULL;
    size_t sums_len;
    uint64_t size;
    int rc = read_own_sums(fd, key, &sums, &sums_len, &size, NULL);

    if (rc < 0)
        return rc;
    if (sums_len == sums_length(size, false))
        return -ENOENT;
    memcpy(out, sums + sums_len - VIVO_DIGEST_LEN, VIVO_DIGEST_LEN);
    return 0;
}

int vivo_store_object_verify(int fd, uint64_t size, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) uint8_t *sums = NULL;
    VIVO_AUTO(vivo_free_p)
    uint8_t *block = malloc((size_t)VIVO_MIN(size, (uint64_t)BLOCK) + 1);
    size_t sums_len;
    uint64_t found;

    if (!block)
        return vivo_fail(err, ENOMEM, "store: no memory to check an object");
    int rc = read_sums(fd, &sums, &sums_len, &found, err);
    if (rc < 0)
        return rc;
    if (found != size)
        return bad(err, "changed while it was checked");
    const uint8_t *sum = sums;
    for (uint64_t off = 0; off < size; off += BLOCK, sum += SUM_LEN) {
        size_t n = (size_t)VIVO_MIN(size - off, (uint64_t)BLOCK);
        uint8_t now[SUM_LEN], all[VIVO_DIGEST_LEN];
        if (vivo_pread_full(fd, block, n, off, NULL) < 0)
            return bad(err, "cannot be read");
        sum_block(block, n, now, all);
        if (memcmp(now, sum, SUM_LEN) != 0)
            return bad(err, "does not match its sums");
    }
    return 0;
}
