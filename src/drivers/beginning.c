/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/beginning.c -- see beginning.h.
 *
 * What has come so far is parsed as if it were the whole stream: a header that ends
 * in the pixel data is complete, one that ends earlier needs more. Parsing costs
 * microseconds, so trying at every step is cheaper than telling the walker where to
 * stop. */
#include "beginning.h"

#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <errno.h>
#include <string.h>

#define MEMORY_MAX (1u << 20) /* longer beginnings go to a nameless file */
#define PROBE_BYTES 4096u
#define BULK_KEPT 16 /* bytes of a pixel value in attrs form */

#define SOP_CLASS_DIRECTORY "1.2.840.10008.1.3.10"
#define TAG_DIRECTORY_RECORDS 0x00041220u

void vivo_beginning_init(struct vivo_beginning *b)
{
    *b = (struct vivo_beginning){.fd = -1, .next = VIVO_BEGINNING_FIRST};
    vivo_buf_init(&b->attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&b->memory, MEMORY_MAX);
}

void vivo_beginning_free(struct vivo_beginning *b)
{
    vivo_buf_free(&b->attrs);
    vivo_buf_free(&b->memory);
    vivo_close_p(&b->fd);
}

/* ---- keeping ------------------------------------------------------------------- */

static int to_file(struct vivo_beginning *b, struct vivo_err *err)
{
    b->fd = vivo_file_nameless(NULL, err);
    if (b->fd < 0)
        return b->fd;
    int rc = vivo_pwrite_full(b->fd, b->memory.data, b->memory.len, 0, err);
    vivo_buf_free(&b->memory);
    return rc;
}

int vivo_beginning_keep(struct vivo_beginning *b, const void *data, size_t len,
                        struct vivo_err *err)
{
    int rc = 0;
    if (b->fd < 0 && b->len + len > MEMORY_MAX)
        rc = to_file(b, err);
    if (rc == 0 && b->fd >= 0)
        rc = vivo_pwrite_full(b->fd, data, len, b->len, err);
    else if (rc == 0 && vivo_buf_add(&b->memory, data, len))
        rc = vivo_fail(err, ENOMEM, "header: out of memory");
    b->len += rc ? 0 : len;
    return rc;
}

void vivo_beginning_cut(struct vivo_beginning *b, uint64_t len)
{
    b->len = len;
    if (b->fd < 0)
        b->memory.len = (size_t)len;
}

/* ---- trying -------------------------------------------------------------------- */

static bool has_pixels(struct vivo_attrs a)
{
    static const uint32_t tags[] = {0x7FE00008, 0x7FE00009, 0x7FE00010};
    struct vivo_attr found;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(tags); i++)
        if (vivo_attrs_find(a, tags[i], &found) && found.len >= BULK_KEPT)
            return true;
    return false;
}

bool vivo_header_is_directory(struct vivo_attrs a)
{
    char uid[VIVO_UID_MAX + 1];
    struct vivo_attr record;
    vivo_attrs_text(a, VIVO_TAG_SOPClassUID, uid, sizeof uid);
    return strcmp(uid, SOP_CLASS_DIRECTORY) == 0 ||
           vivo_attrs_find(a, TAG_DIRECTORY_RECORDS, &record);
}

static int parse(struct vivo_beginning *b, struct vivo_err *err)
{
    struct vivo_fd_reader file;
    struct vivo_mem_reader memory;
    vivo_buf_clear(&b->attrs);
    if (b->fd >= 0) {
        vivo_fd_reader_init(&file, b->fd, b->len);
        return vivo_dcm_attrs(&file.base, NULL, 0, &b->attrs, err);
    }
    vivo_mem_reader_init(&memory, b->memory.data, b->memory.len);
    return vivo_dcm_attrs(&memory.base, NULL, 0, &b->attrs, err);
}

static bool may_be_dicom(const struct vivo_beginning *b)
{
    uint8_t head[PROBE_BYTES];
    size_t n = (size_t)VIVO_MIN(b->len, (uint64_t)PROBE_BYTES);
    if (b->fd < 0)
        return vivo_dcm_probe(b->memory.data, n, UINT64_MAX);
    return vivo_pread_full(b->fd, head, n, 0, NULL) == 0 &&
           vivo_dcm_probe(head, n, UINT64_MAX);
}

static int decide(struct vivo_beginning *b, enum vivo_beginning_is v, const char *why)
{
    b->is = v;
    if (v != VIVO_BEGINNING_OBJECT)
        vivo_buf_clear(&b->attrs);
    if (v == VIVO_BEGINNING_OTHER && !b->why.errnum)
        vivo_fail(&b->why, EBADMSG, "%s", why);
    return 0;
}

int vivo_beginning_try(struct vivo_beginning *b, bool whole, struct vivo_err *err)
{
    struct vivo_err flaw = {0};
    b->foreign = b->len == 0 || !may_be_dicom(b);
    if (b->foreign)
        return decide(b, VIVO_BEGINNING_OTHER, "not a DICOM object");
    int rc = parse(b, &flaw);
    struct vivo_attrs a = {b->attrs.data, b->attrs.len};
    if (rc < 0 && rc != -EBADMSG)
        return vivo_fail(err, -rc, "%s", flaw.text);
    if (rc < 0 && whole) {
        b->why = flaw;
        return decide(b, VIVO_BEGINNING_OTHER, "");
    }
    if (rc == 0 && (whole || has_pixels(a))) {
        if (a.len == 0 || vivo_header_is_directory(a))
            return decide(b, VIVO_BEGINNING_OTHER, "no instance");
        return decide(b, VIVO_BEGINNING_OBJECT, "");
    }
    if (b->len >= VIVO_BEGINNING_MAX)
        return decide(b, VIVO_BEGINNING_OTHER, "its header is too long");
    return decide(b, VIVO_BEGINNING_MORE, "");
}

int vivo_beginning_stream(struct vivo_beginning *b, const void *data, size_t len,
                          struct vivo_err *err)
{
    int rc = vivo_beginning_keep(b, data, len, err);
    if (rc || b->len < b->next)
        return rc;
    rc = vivo_beginning_try(b, false, err);
    if (rc || b->is != VIVO_BEGINNING_MORE)
        return rc ? rc : 1;
    b->next *= VIVO_BEGINNING_GROWTH;
    return 0;
}
