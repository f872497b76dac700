/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/filter.c -- scripts of CTP's DicomFilter: which objects exist at all.
 *
 * Evaluated over the original values, private ones too. The answer is all that leaves:
 * an object is there or it is not. */
#include "ctp_expr.h"

#include "vivofs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_MAX (1u << 20)

struct vivo_filter {
    struct vivo_ctp_expr *expr;
    struct vivo_deid every; /* no profile: only what capture asks for */
    uint8_t digest[VIVO_DIGEST_LEN];
};

int vivo_filter_load(const char *path, struct vivo_filter **out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, SCRIPT_MAX);
    int rc = vivo_file_read(path, text.max, &text, err);
    if (!rc && vivo_buf_add(&text, "", 0))
        rc = vivo_fail(err, ENOMEM, "no memory for a filter");
    struct vivo_filter *f = rc ? NULL : calloc(1, sizeof *f);
    if (!f)
        return rc ? rc : vivo_fail(err, ENOMEM, "no memory for a filter");
    struct vivo_ctp_source source = {.file = path, .text = "", .len = text.len};
    if (text.data)
        source.text = (char *)text.data;
    rc = vivo_ctp_expr_parse(&source, 0, text.len, &f->expr, err);
    if (rc) {
        free(f);
        return rc;
    }
    vivo_sha256(source.text, text.len, f->digest);
    *out = f;
    return 0;
}

void vivo_filter_free(struct vivo_filter *f)
{
    if (f)
        vivo_ctp_expr_free(f->expr);
    free(f);
}

const uint8_t *vivo_filter_digest(const struct vivo_filter *f)
{
    return f->digest;
}

/* All of the header becomes nodes. A deflated source is walked again with a place to
 * inflate to. */
static int capture(struct vivo_header *h, const struct vivo_filter *f,
                   struct vivo_reader *r, int inflated, struct vivo_err *err)
{
    vivo_header_init(h, &f->every);
    h->collects = true;
    h->inflated = inflated;
    int rc = vivo_dcm_walk_reader(r, NULL, 0, inflated, vivo_header_event, h, err);
    return rc > 0 ? 0 : rc;
}

int vivo_filter_passes(const struct vivo_filter *f, int fd, uint64_t size,
                       struct vivo_err *err)
{
    struct vivo_fd_reader r;
    struct vivo_header h;
    VIVO_AUTO(vivo_close_p) int inflated = -1;
    vivo_fd_reader_init(&r, fd, size);
    int rc = capture(&h, f, &r.base, -1, err);
    if (!rc && h.want_inflate) {
        vivo_header_free(&h);
        inflated = vivo_file_nameless(NULL, err);
        if (inflated < 0)
            return inflated;
        rc = capture(&h, f, &r.base, inflated, err);
    }
    if (!rc) {
        vivo_header_order(&h);
        rc = vivo_ctp_expr_eval(f->expr, &h);
        if (rc < 0)
            rc = vivo_fail(err, ENOMEM, "no memory for a filter");
    }
    vivo_header_free(&h);
    return rc;
}
