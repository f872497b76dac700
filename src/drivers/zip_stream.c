/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/zip_stream.c -- see zip_stream.h.
 *
 * A zip is a row of records, each told by its signature. What is short is gathered in
 * `held`; bytes of members go straight through. Where a member's sizes stand behind it
 * (bit 3 of its flags), deflate tells its own end; one that is only stored ends at a
 * descriptor that has the CRC and the size of exactly what came before it. */
#include "zip_stream.h"

#include "vivofs/buf.h"
#include "vivofs/inflate.h"

#include <errno.h>
#include <string.h>

#define HELD_MAX (256u << 10)
/* Deflate makes at most 1032 of 1. */
#define BOMB_FROM (UINT64_C(16) << 20)
#define BOMB_RATIO 1000

enum signature {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR64 = 0x07064b50,
    DESCRIPTOR = 0x08074b50,
};
enum {
    LOCAL_LEN = 30,
    CENTRAL_LEN = 46,
    END_LEN = 22,
    END64_LEN = 56,
    LOCATOR64_LEN = 20
};
enum { FLAG_ENCRYPTED = 1 << 0, FLAG_BEHIND = 1 << 3, FLAG_STRONG = 1 << 6 };
enum { STORED = 0, DEFLATED = 8 };

enum state {
    AT_RECORD, /* a signature, and what follows it */
    IN_STORED, /* of known length */
    IN_OPEN,   /* stored, its end to be found */
    IN_DEFLATED,
    AT_DESCRIPTOR, /* CRC and sizes of what came */
    AT_SKIPPED,    /* of no interest, `left` bytes */
    OVER,
};

struct vivo_zip_stream {
    struct vivo_zip_to to;
    enum state state;
    struct vivo_buf held;
    struct vivo_inflate *inflate;
    struct vivo_err *err; /* of the call under way */
    uint64_t max, all;    /* bytes of members: allowed, so far */
    uint64_t members, listed;
    uint64_t left; /* of a stored member, or of what is skipped */

    /* The member under way. */
    bool behind; /* its CRC and sizes come after it */
    uint32_t crc, want_crc;
    uint64_t packed, size; /* bytes so far, as they came and as they are */
    uint64_t want_packed, want_size;
};

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static int damaged(struct vivo_zip_stream *z, const char *how)
{
    return vivo_fail(z->err, EIO, "zip: member %llu %s", (unsigned long long)z->members,
                     how);
}

/* Moves input to `held` until there are n bytes. */
static bool gather(struct vivo_zip_stream *z, const uint8_t **p, size_t *len, size_t n)
{
    size_t take = z->held.len < n ? VIVO_MIN(n - z->held.len, *len) : 0;
    if (vivo_buf_add(&z->held, *p, take))
        return false; /* the maximum is above what any record asks for */
    *p += take;
    *len -= take;
    return z->held.len >= n;
}

/* ---- bytes of a member -------------------------------------------------------- */

static int give(void *ctx, const void *data, size_t len)
{
    struct vivo_zip_stream *z = ctx;
    if (len == 0)
        return 0;
    z->crc = vivo_crc32(z->crc, data, len);
    z->size += len;
    z->all += len;
    if (z->all > z->max)
        return vivo_fail(z->err, EIO, "the zip holds more than %llu bytes",
                         (unsigned long long)z->max);
    return z->to.data(z->to.ctx, data, len, z->err);
}

static int end_member(struct vivo_zip_stream *z)
{
    vivo_inflate_free(z->inflate);
    z->inflate = NULL;
    vivo_buf_clear(&z->held);
    z->state = AT_RECORD;
    return z->to.end(z->to.ctx, z->err);
}

/* All bytes came; are they right? */
static int close_member(struct vivo_zip_stream *z)
{
    if (z->behind) {
        z->state = AT_DESCRIPTOR;
        return 0;
    }
    if (z->crc != z->want_crc || z->size != z->want_size || z->packed != z->want_packed)
        return damaged(z, "is damaged");
    return end_member(z);
}

static int take_stored(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    size_t n = (size_t)VIVO_MIN(z->left, (uint64_t)*len);
    int rc = give(z, *p, n);
    *p += n;
    *len -= n;
    z->left -= n;
    z->packed += n;
    return rc || z->left ? rc : close_member(z);
}

static bool is_bomb(const struct vivo_zip_stream *z, uint64_t packed)
{
    return z->size > BOMB_FROM && z->size / BOMB_RATIO > packed;
}

static int take_deflated(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    bool end = false;
    uint64_t before = vivo_inflate_used(z->inflate);
    int rc = vivo_inflate_push(z->inflate, *p, *len, give, z, &end);
    if (rc)
        return z->err->errnum ? rc : damaged(z, "cannot be inflated");
    size_t used = (size_t)(vivo_inflate_used(z->inflate) - before);
    *p += used;
    *len -= used;
    z->packed += used;
    if (is_bomb(z, z->packed))
        return damaged(z, "inflates to more than 1000 times its size: refused");
    return end ? close_member(z) : 0;
}

/* Does a descriptor with sizes of this width say what came? */
static bool describes(const struct vivo_zip_stream *z, const uint8_t *p, bool wide)
{
    uint64_t packed = wide ? u64(p + 4) : u32(p + 4);
    uint64_t size = wide ? u64(p + 12) : u32(p + 8);
    uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
    return u32(p) == z->crc && packed == (z->packed & mask) && size == (z->size & mask);
}

/* The signature is often there, and need not be; sizes are of 8 bytes when a writer
 * foresaw, or found, a large member. */
static int take_descriptor(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    if (!gather(z, p, len, 4))
        return 0;
    size_t at = u32(z->held.data) == DESCRIPTOR ? 4 : 0;
    if (!gather(z, p, len, at + 12))
        return 0;
    if (describes(z, z->held.data + at, false))
        return end_member(z);
    if (!gather(z, p, len, at + 20))
        return 0;
    return describes(z, z->held.data + at, true) ? end_member(z)
                                                 : damaged(z, "is damaged");
}

static void drop_held(struct vivo_zip_stream *z, size_t n)
{
    memmove(z->held.data, z->held.data + n, z->held.len - n);
    z->held.len -= n;
}

static int give_held(struct vivo_zip_stream *z, size_t n)
{
    int rc = give(z, z->held.data, n);
    z->packed += n;
    drop_held(z, n);
    return rc;
}

/* A signature is in front: 1 = the member ends here, 0 = more bytes are needed, or it
 * was none and a byte of it was given. */
static int try_end(struct vivo_zip_stream *z, bool *moved)
{
    const uint8_t *d = z->held.data;
    *moved = false;
    if (z->held.len < 16)
        return 0;
    if (describes(z, d + 4, false)) {
        drop_held(z, 16);
        return 1;
    }
    if (z->held.len < 24)
        return 0;
    if (describes(z, d + 4, true)) {
        drop_held(z, 24);
        return 1;
    }
    *moved = true;
    return give_held(z, 1);
}

static int take_open(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    static const uint8_t mark[] = {'P', 'K', 7, 8};
    size_t n = VIVO_MIN(*len, (size_t)HELD_MAX / 2);
    bool moved = true;
    if (!gather(z, p, len, z->held.len + n))
        return vivo_fail(z->err, ENOMEM, "zip: out of memory");
    while (moved && z->held.len >= 4) {
        uint8_t *d = z->held.data;
        const uint8_t *at = memmem(d, z->held.len, mark, 4);
        int rc = give_held(z, at ? (size_t)(at - d) : z->held.len - 3);
        if (rc || !at)
            return rc;
        rc = try_end(z, &moved);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        *p -= z->held.len; /* what is left came with this input: 24 bytes at most */
        *len += z->held.len;
        return end_member(z);
    }
    return 0;
}

/* ---- records ------------------------------------------------------------------ */

/* Sizes that do not fit stand in the extra field 1 (4.5.3). */
static void read_extra(struct vivo_zip_stream *z, const uint8_t *p, size_t len)
{
    while (len >= 4) {
        size_t n = u16(p + 2);
        if (n > len - 4)
            return;
        if (u16(p) == 1 && n >= 8 && z->want_size == UINT32_MAX)
            z->want_size = u64(p + 4);
        if (u16(p) == 1 && n >= 16 && z->want_packed == UINT32_MAX)
            z->want_packed = u64(p + 12);
        p += 4 + n;
        len -= 4 + n;
    }
}

static int begin_data(struct vivo_zip_stream *z, unsigned method)
{
    z->left = z->want_packed;
    if (method == DEFLATED) {
        z->state = IN_DEFLATED;
        return vivo_inflate_new(&z->inflate)
                   ? vivo_fail(z->err, ENOMEM, "zip: out of memory")
                   : 0;
    }
    z->state = z->behind && z->want_packed == 0 ? IN_OPEN : IN_STORED;
    return z->state == IN_STORED && z->left == 0 ? close_member(z) : 0;
}

static int read_local(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    if (!gather(z, p, len, LOCAL_LEN))
        return 0;
    size_t name = u16(z->held.data + 26), extra = u16(z->held.data + 28);
    if (!gather(z, p, len, LOCAL_LEN + name + extra))
        return 0;
    const uint8_t *d = z->held.data;
    unsigned flags = u16(d + 6), method = u16(d + 8);
    z->members++;
    z->behind = flags & FLAG_BEHIND;
    z->crc = 0;
    z->packed = z->size = 0;
    z->want_crc = u32(d + 14);
    z->want_packed = u32(d + 18);
    z->want_size = u32(d + 22);
    read_extra(z, d + LOCAL_LEN + name, extra);
    if (flags & (FLAG_ENCRYPTED | FLAG_STRONG))
        return damaged(z, "is encrypted");
    if (method != STORED && method != DEFLATED)
        return damaged(z, "is compressed in another way than by deflate");
    z->held.data[LOCAL_LEN + name] = '\0';
    const char *text = (const char *)z->held.data + LOCAL_LEN;
    if (memchr(text, '\0', name))
        return damaged(z, "has no name that can be");
    int rc = z->to.begin(z->to.ctx, text, z->err);
    vivo_buf_clear(&z->held);
    return rc ? rc : begin_data(z, method);
}

static int skip(struct vivo_zip_stream *z, uint64_t n)
{
    vivo_buf_clear(&z->held);
    z->left = n;
    z->state = AT_SKIPPED;
    return 0;
}

static int read_end(struct vivo_zip_stream *z)
{
    unsigned total = u16(z->held.data + 10);
    if (z->listed != z->members ||
        (total != UINT16_MAX && total != (z->members & UINT16_MAX)))
        return vivo_fail(z->err, EIO, "zip: %llu members, and others in its directory",
                         (unsigned long long)z->members);
    z->state = OVER;
    return 0;
}

/* Of the directory, which comes last: it only has to be there. */
static int read_directory(struct vivo_zip_stream *z, uint32_t signature,
                          const uint8_t **p, size_t *len)
{
    const uint8_t *d;
    switch (signature) {
    case CENTRAL:
        if (!gather(z, p, len, CENTRAL_LEN))
            return 0;
        d = z->held.data;
        z->listed++;
        return skip(z, (uint64_t)u16(d + 28) + u16(d + 30) + u16(d + 32));
    case END64:
        if (!gather(z, p, len, END64_LEN))
            return 0;
        d = z->held.data;
        if (u64(d + 4) < END64_LEN - 12 || u64(d + 4) > HELD_MAX)
            return damaged(z, "is followed by a damaged directory");
        return skip(z, u64(d + 4) - (END64_LEN - 12));
    case LOCATOR64:
        return gather(z, p, len, LOCATOR64_LEN) ? skip(z, 0) : 0;
    default:
        return gather(z, p, len, END_LEN) ? read_end(z) : 0;
    }
}

static int read_record(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    if (!gather(z, p, len, 4))
        return 0;
    uint32_t signature = u32(z->held.data);
    if (signature == LOCAL && z->listed == 0)
        return read_local(z, p, len);
    if (signature == CENTRAL || signature == END64 || signature == LOCATOR64 ||
        signature == END)
        return read_directory(z, signature, p, len);
    return z->members ? damaged(z, "is not followed by another, nor by a directory")
                      : vivo_fail(z->err, EIO, "what came is no zip");
}

static int step(struct vivo_zip_stream *z, const uint8_t **p, size_t *len)
{
    switch (z->state) {
    case AT_RECORD:
        return read_record(z, p, len);
    case IN_STORED:
        return take_stored(z, p, len);
    case IN_OPEN:
        return take_open(z, p, len);
    case IN_DEFLATED:
        return take_deflated(z, p, len);
    case AT_DESCRIPTOR:
        return take_descriptor(z, p, len);
    case AT_SKIPPED: {
        size_t n = (size_t)VIVO_MIN(z->left, (uint64_t)*len);
        *p += n;
        *len -= n;
        z->left -= n;
        z->state = z->left ? AT_SKIPPED : AT_RECORD;
        return 0;
    }
    case OVER: /* a comment, at most */
        *len = 0;
        return 0;
    }
    return 0;
}

/* ---- for callers -------------------------------------------------------------- */

int vivo_zip_stream_new(const struct vivo_zip_to *to, uint64_t max_bytes,
                        struct vivo_zip_stream **out, struct vivo_err *err)
{
    struct vivo_zip_stream *z = calloc(1, sizeof *z);
    if (!z)
        return vivo_fail(err, ENOMEM, "zip: out of memory");
    z->to = *to;
    z->max = max_bytes;
    vivo_buf_init(&z->held, HELD_MAX);
    *out = z;
    return 0;
}

int vivo_zip_stream_push(struct vivo_zip_stream *z, const void *data, size_t len,
                         struct vivo_err *err)
{
    const uint8_t *p = data;
    int rc = 0;
    z->err = err;
    while (rc == 0 && len > 0)
        rc = step(z, &p, &len);
    return rc;
}

int vivo_zip_stream_finish(const struct vivo_zip_stream *z, struct vivo_err *err)
{
    if (z->state == OVER)
        return 0;
    return vivo_fail(err, EIO, "the zip is cut after %llu members",
                     (unsigned long long)z->members);
}

void vivo_zip_stream_free(struct vivo_zip_stream *z)
{
    if (!z)
        return;
    vivo_inflate_free(z->inflate);
    vivo_buf_free(&z->held);
    free(z);
}
