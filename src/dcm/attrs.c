/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/attrs.c -- vivo_dcm_attrs(): the header of any object in attrs form.
 *
 * One walk writes straight into the result; only what a file has out of order is
 * sorted, when its item or data set ends (attrs_sort.c). Values: attrs_value.c.
 *
 * What is too much is left out, never an error: within VIVO_ATTRS_SOFT of the limit
 * sequences get no further items (of a multi-frame object the per-frame groups, of
 * a structure set the contours), after which there is room for everything else that
 * real objects have; an element that does not fit at all is dropped. */
#include "attrs.h"

#include "charset.h"

#include "vivofs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VIVO_ATTRS_SOFT (1u << 20)
#define SLACK 64 /* bytes kept for (0008,0005) */

#define TAG_TRANSFER_SYNTAX 0x00020010u
#define TAG_CHARSET 0x00080005u
#define TAG_PIXEL_REPRESENTATION 0x00280103u
#define TAG_PADDING 0xFFFCFFFCu

#define ITEM_TAG 0xE000FFFEu /* as the four bytes are read */
#define ITEM_HEAD 8
#define INNER_MAX 8 /* UN within UN; each has a walker of its own */

/* ---- room ---------------------------------------------------------------------- */

static bool has_room(const struct vivo_attrs_build *b, size_t need)
{
    return need <= b->limit - SLACK && b->out->len <= b->limit - SLACK - need;
}

static bool is_nearly_full(const struct vivo_attrs_build *b)
{
    return b->out->len - b->start > VIVO_ATTRS_MAX - VIVO_ATTRS_SOFT;
}

int vivo_attrs_build_put(struct vivo_attrs_build *b, uint32_t tag, const char *vr,
                         const void *value, size_t len)
{
    if (!has_room(b, VIVO_MIN(len, (size_t)VIVO_ATTRS_VALUE_MAX) + 16))
        return 0;
    return vivo_attrs_put(b->out, tag, vr, value, len);
}

/* ---- levels -------------------------------------------------------------------- */

static struct vivo_attrs_level *top_of(struct vivo_attrs_build *b)
{
    return &b->levels[b->depth];
}

/* Notes that `tag` comes next; false for what the attrs form leaves out. */
static bool take(struct vivo_attrs_build *b, uint32_t tag)
{
    uint32_t group = tag >> 16;
    if ((tag & 0xFFFF) == 0 || group == 0 || group == 2 || tag == TAG_PADDING)
        return false;
    struct vivo_attrs_level *level = top_of(b);
    if (tag <= level->last)
        level->unsorted = true;
    level->last = tag;
    return true;
}

/* Sequences and items are written with a length of zero, set when they end. */
static int open_sequence(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e)
{
    if (!take(b, e->tag) || !has_room(b, 12))
        return VIVO_DCM_SKIP;
    top_of(b)->sequence = b->out->len;
    return vivo_attrs_put(b->out, e->tag, "SQ", NULL, 0);
}

static void close_sequence(struct vivo_attrs_build *b)
{
    size_t at = top_of(b)->sequence;
    vivo_put_le32(b->out->data + at + 8, (uint32_t)(b->out->len - at - 12));
}

static int open_item(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e)
{
    static const uint8_t head[8] = {0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0};
    bool stop = b->depth == VIVO_DCM_DEPTH_MAX || (e->item > 0 && is_nearly_full(b));
    if (stop || !has_room(b, sizeof head))
        return VIVO_DCM_SKIP;
    int rc = vivo_buf_add(b->out, head, sizeof head);
    if (rc < 0)
        return rc;
    const char *charset = top_of(b)->charset;
    struct vivo_attrs_level *level = &b->levels[++b->depth];
    level->at = b->out->len;
    level->last = 0;
    level->unsorted = false;
    level->charset = charset; /* PS3.3 C.12.1.1.2: an item inherits it */
    return 0;
}

static int close_item(struct vivo_attrs_build *b)
{
    struct vivo_attrs_level *level = top_of(b);
    if (level->unsorted) {
        int rc = vivo_attrs_build_sort(b, level->at);
        if (rc < 0)
            return rc;
    }
    vivo_put_le32(b->out->data + level->at - 4, (uint32_t)(b->out->len - level->at));
    b->depth--;
    return 0;
}

/* ---- elements ------------------------------------------------------------------ */

static int put_charset(struct vivo_attrs_build *b)
{
    b->charset_put = true;
    return vivo_attrs_put(b->out, TAG_CHARSET, "CS", "ISO_IR 192", 10);
}

/* All text becomes UTF-8; the data set says so once, at its top. */
static int set_charset(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e)
{
    struct vivo_attrs_level *level = top_of(b);
    size_t n = VIVO_MIN((size_t)e->length, sizeof level->own - 1);
    memcpy(level->own, e->value, n);
    while (n > 0 && (level->own[n - 1] == ' ' || level->own[n - 1] == '\0'))
        n--;
    level->own[n] = '\0';
    level->charset = level->own;
    if (n == 0 || b->depth > 0 || b->charset_put || !take(b, e->tag))
        return 0;
    return put_charset(b);
}

/* ---- sequences that came as UN (PS3.5 section 6.2.2, note 2) ----------------------
 */

static vivo_dcm_event_fn on_event;

/* An event of the walk over the bytes of one UN value. */
static int on_inner_event(void *ctx, enum vivo_dcm_event event,
                          const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    bool own = event == VIVO_DCM_META || event == VIVO_DCM_DATASET ||
               event == VIVO_DCM_END; /* of no data set of its own */
    return own ? 0 : on_event(ctx, event, e, err);
}

static bool may_hold_items(const struct vivo_dcm_elem *e)
{
    return memcmp(e->vr, "UN", 2) == 0 && e->value && e->length >= 8 &&
           vivo_le32(e->value) == ITEM_TAG &&
           memcmp(vivo_dcm_vr_of(e->tag), "SQ", 2) == 0;
}

/* Implicit little endian, with a header for the walker to begin at. False when it is
 * no valid sequence; then nothing was added. */
static bool put_un_sequence(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e)
{
    static const char implicit[] = "1.2.840.10008.1.2";
    const size_t len = b->out->len;
    const unsigned depth = b->depth;
    const struct vivo_attrs_level level = *top_of(b);
    struct vivo_reader *const bulk = b->bulk;
    uint8_t *bytes =
        b->inner < INNER_MAX ? malloc((size_t)e->length + ITEM_HEAD) : NULL;
    struct vivo_err ignored = {0};
    struct vivo_mem_reader r;
    if (!bytes)
        return false;
    vivo_put_le16(bytes, (uint16_t)(e->tag >> 16));
    vivo_put_le16(bytes + 2, (uint16_t)e->tag);
    vivo_put_le32(bytes + 4, (uint32_t)e->length);
    memcpy(bytes + ITEM_HEAD, e->value, (size_t)e->length);
    vivo_mem_reader_init(&r, bytes, (size_t)e->length + ITEM_HEAD);
    b->bulk = &r.base;
    b->inner++;
    int rc =
        vivo_dcm_walk_reader(&r.base, vivo_dcm_syntax(implicit, sizeof implicit - 1),
                             VIVO_DCM_WALK_BARE, -1, on_inner_event, b, &ignored);
    b->inner--;
    b->bulk = bulk;
    free(bytes);
    if (rc >= 0)
        return true;
    b->out->len = len;
    b->depth = depth;
    *top_of(b) = level;
    return false;
}

static int put_element(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e,
                       struct vivo_err *err)
{
    if (e->tag == TAG_CHARSET)
        return e->value ? set_charset(b, e) : 0;
    if (may_hold_items(e) && put_un_sequence(b, e))
        return 0;
    if (!take(b, e->tag))
        return 0;
    if (e->tag == TAG_PIXEL_REPRESENTATION && e->value && e->length >= 2)
        b->is_signed = e->value[e->syntax && e->syntax->big_endian ? 1 : 0] == 1;
    return vivo_attrs_build_value(b, e, top_of(b)->charset, err);
}

static int put_meta(struct vivo_attrs_build *b, const struct vivo_dcm_elem *e)
{
    if (e->tag != TAG_TRANSFER_SYNTAX || top_of(b)->last >= e->tag)
        return 0;
    size_t n = (size_t)e->length;
    while (n > 0 && (e->value[n - 1] == '\0' || e->value[n - 1] == ' '))
        n--;
    top_of(b)->last = e->tag;
    bool good = n > 0 && vivo_charset_is_plain(e->value, n);
    return good ? vivo_attrs_build_put(b, e->tag, "UI", e->value, n) : 0;
}

static int finish(struct vivo_attrs_build *b)
{
    struct vivo_attrs_level *level = top_of(b);
    if (b->foreign && !b->charset_put) {
        int rc = put_charset(b);
        if (rc < 0)
            return rc;
        level->unsorted = true;
    }
    return level->unsorted ? vivo_attrs_build_sort(b, level->at) : 0;
}

static int on_event(void *ctx, enum vivo_dcm_event event, const struct vivo_dcm_elem *e,
                    struct vivo_err *err)
{
    struct vivo_attrs_build *b = ctx;
    int rc = 0;
    switch (event) {
    case VIVO_DCM_META:
        rc = put_meta(b, e);
        break;
    case VIVO_DCM_DATASET:
        b->deflated = e->syntax && e->syntax->deflated;
        return b->deflated && !b->bulk ? VIVO_DCM_STOP : 0;
    case VIVO_DCM_ELEMENT:
    case VIVO_DCM_BULK:
    case VIVO_DCM_FRAGMENTS:
        return put_element(b, e, err);
    case VIVO_DCM_SEQUENCE:
        rc = open_sequence(b, e);
        break;
    case VIVO_DCM_ITEM:
        rc = open_item(b, e);
        break;
    case VIVO_DCM_ITEM_END:
        rc = close_item(b);
        break;
    case VIVO_DCM_SEQUENCE_END:
        close_sequence(b);
        break;
    case VIVO_DCM_END:
        rc = finish(b);
        break;
    case VIVO_DCM_NONE:
        break;
    }
    return rc < 0 ? vivo_fail(err, -rc, "header: no room for (%04x,%04x)",
                              (unsigned)(e->tag >> 16), (unsigned)(e->tag & 0xFFFF))
                  : rc;
}

/* ---- the whole ----------------------------------------------------------------- */

static void begin(struct vivo_attrs_build *b, struct vivo_buf *out)
{
    b->out = out;
    b->start = out->len;
    b->limit = VIVO_MIN(out->max, out->len + VIVO_ATTRS_MAX);
    b->depth = 0;
    b->inner = 0;
    b->deflated = b->charset_put = b->foreign = b->is_signed = false;
    b->levels[0].at = out->len;
    b->levels[0].last = 0;
    b->levels[0].unsorted = false;
    b->levels[0].charset = "";
    vivo_buf_init(&b->text, 4 * VIVO_DCM_VALUE_MAX);
}

static int ignore_event(void *ctx, enum vivo_dcm_event event,
                        const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    (void)ctx;
    (void)event;
    (void)e;
    (void)err;
    return 0;
}

/* Offsets in a deflated object are those of what comes out of it: that is written to
 * a nameless file first, from which the bulk values' first bytes are read. */
static int walk_deflated(struct vivo_attrs_build *b, struct vivo_reader *r,
                         const struct vivo_syntax *syntax, unsigned flags,
                         struct vivo_err *err)
{
    const char *dir = getenv("TMPDIR");
    VIVO_AUTO(vivo_close_p)
    int fd = vivo_file_nameless(dir && *dir ? dir : "/var/tmp", err);
    if (fd < 0)
        return fd;
    int rc = vivo_dcm_walk_reader(r, syntax, flags, fd, ignore_event, NULL, err);
    off_t size = rc < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (rc < 0)
        return rc;
    if (size < 0)
        return vivo_fail(err, EIO, "inflated copy: cannot be read");
    struct vivo_fd_reader inflated;
    vivo_fd_reader_init(&inflated, fd, (uint64_t)size);
    b->bulk = &inflated.base;
    rc = vivo_dcm_walk_reader(r, syntax, flags, -1, on_event, b, err);
    b->bulk = NULL;
    return rc;
}

int vivo_dcm_attrs(struct vivo_reader *r, const struct vivo_syntax *syntax,
                   unsigned flags, struct vivo_buf *out, struct vivo_err *err)
{
    struct vivo_attrs_build b;
    size_t start = out->len;
    begin(&b, out);
    if (b.limit < start + SLACK)
        return vivo_fail(err, ENOSPC, "header: no room for it");
    b.reader = r;
    b.bulk = NULL;
    int rc = vivo_dcm_walk_reader(r, syntax, flags, -1, on_event, &b, err);
    if (rc >= 0 && b.deflated) {
        out->len = start;
        begin(&b, out);
        rc = walk_deflated(&b, r, syntax, flags, err);
    }
    vivo_buf_free(&b.text);
    if (rc < 0)
        out->len = start; /* nothing half made */
    return rc < 0 ? rc : 0;
}
