/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_reader.c -- see pack_reader.h.
 *
 * Formats: zip by its central directory (APPNOTE 4.3; a zip without one is truncated),
 * tar (ustar, pax, GNU) plain or behind gzip, bzip2, xz, zstd or lz4. What decodes to
 * more than a thousand times its size is a bomb. No text here quotes libarchive, whose
 * messages may hold names. */
#include "drivers/pack_reader.h"
#include "vivofs/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_BYTES (64u << 10)
#define PATH_BYTES_MAX 16384
/* Deflate makes at most 1032 of 1. */
#define BOMB_FROM (UINT64_C(16) << 20)
#define BOMB_RATIO 1000
#define TAR_BLOCK 512

struct pack_reader {
    struct archive *a;
    struct archive_entry *entry; /* of libarchive; the present member */
    locale_t utf8;
    struct {
        int fd;
        uint64_t pos, size;
        bool failed; /* the file could not be read: EIO, and not damaged */
        uint8_t block[BLOCK_BYTES];
    } file;
    uint64_t number;  /* of the present member, from 1 */
    uint64_t decoded; /* bytes of all members so far */
    bool first;       /* the first header has been read already */
    bool stream;

    /* The present member. */
    uint64_t start;  /* of its bytes in the archive, when that is not compressed */
    uint64_t packed; /* bytes of the archive read before it */
    uint64_t done;   /* bytes of it decoded */
    bool over;       /* all of it was decoded */
    uint8_t head[PACK_HEAD_MAX];
    size_t head_len;
    const uint8_t *rest; /* of the block that the head was taken from */
    size_t rest_len;
    uint64_t rest_off;
};

/* ---- the archive file ---------------------------------------------------------- */

static la_ssize_t read_block(struct archive *a, void *ctx, const void **out)
{
    struct pack_reader *r = ctx;
    uint64_t left = r->file.size - r->file.pos;
    size_t n = (size_t)VIVO_MIN(left, (uint64_t)BLOCK_BYTES);

    (void)a;
    *out = r->file.block;
    if (vivo_pread_full(r->file.fd, r->file.block, n, r->file.pos, NULL) < 0) {
        r->file.failed = true;
        return ARCHIVE_FATAL;
    }
    r->file.pos += n;
    return (la_ssize_t)n;
}

/* Never beyond the end: a member that ends there must be seen as truncated. */
static la_int64_t skip_bytes(struct archive *a, void *ctx, la_int64_t request)
{
    struct pack_reader *r = ctx;
    uint64_t left = r->file.size - r->file.pos;
    uint64_t n = request > 0 ? VIVO_MIN((uint64_t)request, left) : 0;

    (void)a;
    r->file.pos += n;
    return (la_int64_t)n;
}

static la_int64_t seek_to(struct archive *a, void *ctx, la_int64_t off, int whence)
{
    struct pack_reader *r = ctx;
    int64_t base = whence == SEEK_CUR   ? (int64_t)r->file.pos
                   : whence == SEEK_END ? (int64_t)r->file.size
                                        : 0;

    (void)a;
    if (off < -base || off > (int64_t)r->file.size - base)
        return ARCHIVE_FATAL;
    r->file.pos = (uint64_t)(base + off);
    return base + off;
}

/* ---- open and close ------------------------------------------------------------ */

/* Names are bytes: in an UTF-8 locale libarchive hands those of zip and pax through. */
static int next_header(struct pack_reader *r)
{
    locale_t before = r->utf8 ? uselocale(r->utf8) : (locale_t)0;
    int rc;

    do
        rc = archive_read_next_header(r->a, &r->entry);
    while (rc == ARCHIVE_RETRY);
    if (r->utf8)
        uselocale(before);
    return rc;
}

static int support(struct archive *a)
{
    int rc = archive_read_support_format_tar(a);

    rc |= archive_read_support_format_zip_seekable(a);
    rc |= archive_read_support_filter_gzip(a);
    rc |= archive_read_support_filter_bzip2(a);
    rc |= archive_read_support_filter_xz(a);
    rc |= archive_read_support_filter_zstd(a);
    rc |= archive_read_support_filter_lz4(a);
    rc |= archive_read_set_read_callback(a, read_block);
    rc |= archive_read_set_skip_callback(a, skip_bytes);
    rc |= archive_read_set_seek_callback(a, seek_to);
    return rc;
}

static bool begins_with(const struct pack_reader *r, const char *magic, size_t len)
{
    uint8_t head[8];

    return r->file.size >= len &&
           vivo_pread_full(r->file.fd, head, len, 0, NULL) == 0 &&
           memcmp(head, magic, len) == 0;
}

static bool begins_like_one(const struct pack_reader *r)
{
    static const struct {
        const char *magic;
        size_t len;
    } known[] = {{"PK\3\4", 4},
                 {"\x1f\x8b", 2},
                 {"BZh", 3},
                 {"\xfd"
                  "7zXZ",
                  5},
                 {"\x28\xb5\x2f\xfd", 4},
                 {"\x04\x22\x4d\x18", 4}};
    uint8_t tar[5] = {0};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++)
        if (begins_with(r, known[i].magic, known[i].len))
            return true;
    return vivo_pread_full(r->file.fd, tar, sizeof tar, 257, NULL) == 0 &&
           memcmp(tar, "ustar", 5) == 0;
}

static int recognise(struct pack_reader *r, struct vivo_err *err)
{
    int rc = archive_read_open1(r->a);

    if (rc == ARCHIVE_OK)
        rc = next_header(r);
    if (r->file.failed)
        return vivo_fail(err, EIO, "cannot be read");
    if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN || rc == ARCHIVE_EOF) {
        r->first = rc != ARCHIVE_EOF;
        r->over = rc == ARCHIVE_EOF;
        r->stream = archive_filter_count(r->a) > 1;
        return 0;
    }
    unsigned long long size = (unsigned long long)r->file.size;
    if (begins_with(r, "PK\3\4", 4))
        return vivo_fail(
            err, EBADMSG,
            "is a damaged or truncated zip: the list of its members, which "
            "stands at the end, is not there at byte %llu",
            size);
    if (begins_like_one(r))
        return vivo_fail(err, EBADMSG,
                         "is a damaged or truncated zip or tar, or holds neither: no "
                         "member could be read of its %llu bytes",
                         size);
    return vivo_fail(err, EINVAL,
                     "is a file that is no zip or tar, and no "
                     "manifest (.tcia, s5cmd, URLs, or a table with a column "
                     "SeriesInstanceUID, or SOPInstanceUID and Url)");
}

int pack_reader_new(int fd, uint64_t size, struct pack_reader **out,
                    struct vivo_err *err)
{
    struct pack_reader *r = calloc(1, sizeof *r);

    if (!r)
        return vivo_fail(err, ENOMEM, "no memory to read an archive");
    r->file.fd = fd;
    r->file.size = size;
    r->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    r->a = archive_read_new();
    int rc;
    if (!r->a || support(r->a) != ARCHIVE_OK ||
        archive_read_set_callback_data(r->a, r) != ARCHIVE_OK)
        rc = vivo_fail(err, ENOMEM, "no memory to read an archive");
    else
        rc = recognise(r, err);
    if (rc < 0) {
        pack_reader_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void pack_reader_free(struct pack_reader *r)
{
    if (!r)
        return;
    if (r->a)
        archive_read_free(r->a);
    if (r->utf8)
        freelocale(r->utf8);
    free(r);
}

bool pack_reader_is_stream(const struct pack_reader *r)
{
    return r->stream;
}

/* ---- bytes of a member --------------------------------------------------------- */

static bool is_tar(const struct pack_reader *r)
{
    return (archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

/* Who made the archive wants to know how far it came. whole: members before that. */
static int damaged(const struct pack_reader *r, uint64_t whole, struct vivo_err *err)
{
    unsigned long long size = (unsigned long long)r->file.size;
    unsigned long long at = (unsigned long long)archive_filter_bytes(r->a, -1);

    if (r->file.failed)
        return vivo_fail(err, EIO, "the archive file cannot be read");
    if (!is_tar(r)) /* whose list of members is whole */
        return vivo_fail(err, EBADMSG, "the archive is damaged at member %llu",
                         (unsigned long long)r->number);
    if (r->file.pos >= r->file.size)
        return vivo_fail(err, EBADMSG,
                         "the archive is truncated: it ends at byte %llu, with %llu "
                         "whole members",
                         size, (unsigned long long)whole);
    return vivo_fail(err, EBADMSG,
                     "the archive is damaged near byte %llu of %llu, behind %llu whole "
                     "members",
                     at, size, (unsigned long long)whole);
}

/* Members up to the present one, which was passed; of a plain tar without looking at
 * its bytes, which may lie behind the end. */
static uint64_t passed(const struct pack_reader *r)
{
    bool cut = !r->stream && is_tar(r) && r->start > r->file.size;
    return r->number - (cut && r->number > 0);
}

static int check_bomb(const struct pack_reader *r, uint64_t to, struct vivo_err *err)
{
    uint64_t all = r->decoded + (to - r->done);
    uint64_t now = (uint64_t)archive_filter_bytes(r->a, -1);
    uint64_t read = (now > r->packed ? now - r->packed : 0) + BLOCK_BYTES;

    if ((all > BOMB_FROM && all / BOMB_RATIO > r->file.size) ||
        (to > BOMB_FROM && to / BOMB_RATIO > read))
        return vivo_fail(err, EBADMSG,
                         "member %llu decodes to more than %d times its size: refused",
                         (unsigned long long)r->number, BOMB_RATIO);
    return 0;
}

/* The next block: 0 with r->over set at the end. */
static int next_block(struct pack_reader *r, const uint8_t **data, size_t *len,
                      uint64_t *off, struct vivo_op *op)
{
    const void *p = NULL;
    la_int64_t at = 0;
    int rc = vivo_op_check(op);

    *len = 0;
    if (rc < 0)
        return rc;
    do
        rc = archive_read_data_block(r->a, &p, len, &at);
    while (rc == ARCHIVE_RETRY);
    if (rc == ARCHIVE_EOF) {
        r->over = true;
        *len = 0;
        return 0;
    }
    if (rc == ARCHIVE_FATAL)
        return damaged(r, r->number - 1, &op->err);
    uint64_t to = (uint64_t)at + *len;
    if (rc != ARCHIVE_OK || at < 0 || (uint64_t)at < r->done || to > PACK_MEMBER_MAX)
        return PACK_BAD_MEMBER;
    rc = check_bomb(r, to, &op->err);
    if (rc < 0)
        return rc;
    r->decoded += to - r->done;
    r->done = to;
    *data = p;
    *off = (uint64_t)at;
    return 0;
}

/* What is left of a member in a stream has to be decoded; here it is counted, too. */
static int pass_rest(struct pack_reader *r, struct vivo_op *op)
{
    const uint8_t *data;
    size_t len;
    uint64_t off;
    int rc = 0;

    while (rc == 0 && !r->over)
        rc = next_block(r, &data, &len, &off, op);
    return rc == PACK_BAD_MEMBER ? 0 : rc;
}

int pack_reader_head(struct pack_reader *r, const uint8_t **data, size_t *len,
                     struct vivo_op *op)
{
    while (!r->over && r->head_len < PACK_HEAD_MAX && r->rest_len == 0) {
        const uint8_t *p = NULL;
        uint64_t off = 0;
        size_t n = 0;
        int rc = next_block(r, &p, &n, &off, op);
        if (rc != 0)
            return rc;
        if (n == 0)
            continue;
        if (off > r->head_len) { /* a hole; the head was zeroed */
            off = VIVO_MIN(off, (uint64_t)PACK_HEAD_MAX);
            r->head_len = (size_t)off;
        }
        size_t take = VIVO_MIN(n, PACK_HEAD_MAX - r->head_len);
        memcpy(r->head + r->head_len, p, take);
        r->head_len += take;
        r->rest = p + take;
        r->rest_len = n - take;
        r->rest_off = r->done - r->rest_len;
    }
    *data = r->head;
    *len = r->head_len;
    return 0;
}

bool pack_reader_range(struct pack_reader *r, uint64_t *off, uint64_t *len)
{
    uint8_t there[PACK_HEAD_MAX];
    int format = archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK;
    const char *how = archive_format_name(r->a);
    uint64_t size = (uint64_t)archive_entry_size(r->entry);

    if (r->stream || archive_entry_sparse_count(r->entry) > 0 || size < r->head_len ||
        r->start > r->file.size || size > r->file.size - r->start)
        return false;
    /* libarchive tells the method of a zip's member in the name of the format. */
    if (format == ARCHIVE_FORMAT_ZIP && !(how && strstr(how, "(uncompressed)")))
        return false;
    if (vivo_pread_full(r->file.fd, there, r->head_len, r->start, NULL) < 0 ||
        memcmp(there, r->head, r->head_len) != 0)
        return false;
    *off = r->start;
    *len = size;
    return true;
}

int pack_reader_copy(struct pack_reader *r, int fd, uint64_t off, uint64_t *len,
                     struct vivo_op *op)
{
    int rc = vivo_pwrite_full(fd, r->head, r->head_len, off, &op->err);

    if (rc == 0 && r->rest_len > 0)
        rc = vivo_pwrite_full(fd, r->rest, r->rest_len, off + r->rest_off, &op->err);
    r->rest_len = 0;
    while (rc == 0 && !r->over) {
        const uint8_t *data = NULL;
        size_t n = 0;
        uint64_t at = 0;
        rc = next_block(r, &data, &n, &at, op);
        if (rc == 0 && n > 0)
            rc = vivo_pwrite_full(fd, data, n, off + at, &op->err);
    }
    if (rc != 0)
        return rc;
    uint64_t size = (uint64_t)archive_entry_size(r->entry);
    bool holes = archive_entry_sparse_count(r->entry) > 0;
    if (archive_entry_size_is_set(r->entry) && r->done != size && !holes)
        return PACK_BAD_MEMBER;
    *len = holes ? VIVO_MAX(size, r->done) : r->done;
    /* A hole at the end has to be there as well. */
    struct stat st;
    if (fstat(fd, &st) < 0 ||
        ((uint64_t)st.st_size < off + *len && ftruncate(fd, (off_t)(off + *len)) < 0))
        return vivo_fail(&op->err, EIO, "a temporary file: %s", strerror(errno));
    return *len > PACK_MEMBER_MAX ? PACK_BAD_MEMBER : 0;
}

/* ---- the next member ----------------------------------------------------------- */

/* A tar ends with blocks of zeros. One that stops after a member was cut there, and
 * what is missing would look deleted. */
static int check_tar_end(const struct pack_reader *r, struct vivo_err *err)
{
    uint64_t pos = (uint64_t)archive_filter_bytes(r->a, 0);

    if (!is_tar(r) || r->number == 0 || pos >= r->start + TAR_BLOCK)
        return 0;
    return damaged(r, passed(r), err);
}

static void begin_member(struct pack_reader *r)
{
    r->number++;
    r->start = (uint64_t)archive_filter_bytes(r->a, 0);
    r->packed = (uint64_t)archive_filter_bytes(r->a, -1);
    r->done = 0;
    r->over = false;
    memset(r->head, 0, sizeof r->head);
    r->head_len = 0;
    r->rest_len = 0;
}

/* A hard link of a tar has the type of a file and no bytes. */
static bool is_regular(const struct pack_reader *r)
{
    return archive_entry_filetype(r->entry) == AE_IFREG &&
           !archive_entry_hardlink(r->entry);
}

static void describe(struct pack_reader *r, struct pack_entry *e)
{
    bool regular = is_regular(r);
    const char *path = archive_entry_pathname(r->entry);

    if (!path)
        path = archive_entry_pathname_utf8(r->entry);
    *e = (struct pack_entry){
        .path = path && *path && strlen(path) <= PATH_BYTES_MAX ? path : NULL,
        .folder = archive_entry_filetype(r->entry) == AE_IFDIR,
        .encrypted = regular && archive_entry_is_encrypted(r->entry),
    };
    e->readable = regular && !e->encrypted;
    if (archive_entry_size_is_set(r->entry) && archive_entry_size(r->entry) > 0)
        e->size = (uint64_t)archive_entry_size(r->entry);
}

int pack_reader_next(struct pack_reader *r, struct pack_entry *e, struct vivo_op *op)
{
    int rc = vivo_op_check(op);

    if (rc == 0 && r->stream && r->number > 0)
        rc = pass_rest(r, op);
    if (rc < 0)
        return rc;
    if (r->number > 0 && is_regular(r) && archive_entry_sparse_count(r->entry) == 0) {
        uint64_t size = (uint64_t)archive_entry_size(r->entry);
        r->start += (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK; /* its end */
    }
    rc = ARCHIVE_OK;
    if (r->first)
        r->first = false;
    else if (r->number > 0)
        rc = next_header(r);
    else
        rc = ARCHIVE_EOF;
    if (rc == ARCHIVE_EOF) {
        rc = check_tar_end(r, &op->err);
        r->number = 0;
        return rc;
    }
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        return damaged(r, passed(r), &op->err);
    begin_member(r);
    describe(r, e);
    return 1;
}
