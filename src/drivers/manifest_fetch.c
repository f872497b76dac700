/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_fetch.c -- the bytes of an object, by its URL: http(s), s3 (over
 * HTTPS, unsigned), file, or "SOURCE#LOCATOR" of another driver, as .freeze.csv writes
 * what has no URL of its own. Checked for the SOP Instance UID, size and SHA-256 that
 * the manifest gives. */
#include "drivers/header_range.h"
#include "drivers/http_object.h"
#include "drivers/manifest.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"
#include "vivofs/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define BLOCK (1u << 20)
#define OBJECT_MAX (UINT64_C(64) << 30)

struct wanted { /* a locator, taken apart */
    char url[MANIFEST_URL_MAX];
    char uid[65], sha256[65];
    uint64_t size; /* 0 = not said */
};

/* ---- locators
 * ------------------------------------------------------------------ */

static bool is_clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool is_sha256(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64;
}

int vivo_manifest_locator(const char *url, const char *uid, const char *size,
                          const char *sha256, const char *group,
                          char out[MANIFEST_LOCATOR_MAX], struct vivo_err *err)
{
    if (!*url || strlen(url) >= MANIFEST_URL_MAX || !is_clean(url) ||
        (*sha256 && !is_sha256(sha256)))
        return vivo_fail(err, EINVAL, "a URL or digest of the manifest cannot be used");
    snprintf(out, MANIFEST_LOCATOR_MAX, "U%s\t%s\t%s\t%s\t%s", url, uid, size, sha256,
             group);
    return 0;
}

const char *vivo_manifest_group_of(const char *locator)
{
    const char *tab = strrchr(locator, '\t');

    return locator[0] == 'U' && tab ? tab + 1 : "";
}

/* The part up to a tab or the end; NULL: too long. */
static const char *take(const char *s, char *out, size_t cap)
{
    size_t n = s ? strcspn(s, "\t") : cap;

    if (n >= cap)
        return NULL;
    memcpy(out, s, n);
    out[n] = '\0';
    return s[n] ? s + n + 1 : s + n;
}

static int read_locator(const char *locator, struct wanted *w, struct vivo_err *err)
{
    char size[24] = "", group[MANIFEST_GROUP_MAX];
    const char *s = locator[0] == 'U' ? locator + 1 : NULL;

    *w = (struct wanted){0};
    s = take(s, w->url, sizeof w->url);
    s = take(s, w->uid, sizeof w->uid);
    s = take(s, size, sizeof size);
    s = take(s, w->sha256, sizeof w->sha256);
    s = take(s, group, sizeof group);
    if (!s || *s || !is_clean(w->url) || !w->url[0] || !vivo_manifest_uid_ok(w->uid) ||
        strspn(size, "0123456789") != strlen(size) ||
        (w->sha256[0] && !is_sha256(w->sha256)))
        return vivo_fail(err, ENOENT, "not a locator of a manifest's object");
    w->size = strtoull(size, NULL, 10);
    return 0;
}

bool vivo_manifest_sha256(const char *locator, char hex[65])
{
    VIVO_AUTO(vivo_free_p) struct wanted *w = malloc(sizeof *w);

    if (!w || read_locator(locator, w, NULL) < 0 || !w->sha256[0])
        return false;
    memcpy(hex, w->sha256, sizeof w->sha256);
    return true;
}

/* ---- what comes is counted and digested
 * ------------------------------------------- */

struct checked {
    struct vivo_delivery base; /* its sink is the first member */
    struct vivo_delivery *to;
    const struct wanted *w;
    struct vivo_sha256 *sha; /* NULL = nothing to compare with */
    uint64_t bytes;
};

static struct checked *checked_of(struct vivo_sink *s)
{
    return (struct checked *)(void *)s;
}

static int checked_write(struct vivo_sink *self, const void *data, size_t len,
                         struct vivo_err *err)
{
    struct checked *c = checked_of(self);

    c->bytes += len;
    if (c->w->size && c->bytes > c->w->size)
        return vivo_fail(err, EIO, "the object is longer than the manifest says");
    if (c->sha)
        vivo_sha256_add(c->sha, data, len);
    return c->to->sink.write(&c->to->sink, data, len, err);
}

static int checked_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct checked *c = checked_of(self);

    c->bytes = 0;
    if (c->sha) {
        vivo_sha256_end(c->sha, NULL);
        c->sha = vivo_sha256_begin();
        if (!c->sha)
            return vivo_fail(err, ENOMEM, "no memory for a digest");
    }
    return c->to->sink.restart(&c->to->sink, err);
}

static int checked_begin(struct checked *c, const struct wanted *w,
                         struct vivo_delivery *to, struct vivo_err *err)
{
    *c = (struct checked){.to = to, .w = w};
    c->base.sink.write = checked_write;
    c->base.sink.restart = to->sink.restart ? checked_restart : NULL;
    if (w->sha256[0]) {
        c->sha = vivo_sha256_begin();
        if (!c->sha)
            return vivo_fail(err, ENOMEM, "no memory for a digest");
    }
    return 0;
}

/* rc: of the transfer. */
static int checked_end(struct checked *c, int rc, struct vivo_err *err)
{
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];

    if (c->sha)
        vivo_sha256_end(c->sha, rc == 0 ? digest : NULL);
    if (rc != 0)
        return rc;
    if (c->w->size && c->bytes != c->w->size)
        return vivo_fail(err, EIO, "the object is shorter than the manifest says");
    if (!c->sha)
        return 0;
    vivo_hex(digest, sizeof digest, hex);
    if (strcasecmp(hex, c->w->sha256) != 0)
        return vivo_fail(err, EBADMSG,
                         "the object is not the one that was listed: another SHA-256");
    return 0;
}

/* ---- over HTTP
 * ------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/%", c));
}

/* s3://bucket/key: the bucket's own host, or below an endpoint (path style). */
static bool s3_url(const struct manifest *m, const char *url, char *out, size_t cap)
{
    size_t bucket = strcspn(url + 5, "/");
    const char *key = url + 5 + bucket;
    int n;

    if (bucket < 3 || bucket > 63 || !key[0] || !key[1] ||
        strspn(url + 5, "abcdefghijklmnopqrstuvwxyz0123456789.-") < bucket)
        return false;
    if (m->endpoint)
        n = snprintf(out, cap, "%s/%.*s", m->endpoint, (int)bucket, url + 5);
    else if (memchr(url + 5, '.', bucket))
        n = snprintf(out, cap, "https://s3.amazonaws.com/%.*s", (int)bucket, url + 5);
    else
        n = snprintf(out, cap, "https://%.*s.s3.amazonaws.com", (int)bucket, url + 5);
    for (; *key && n >= 0 && (size_t)n + 4 < cap; key++) {
        if (is_plain(*key) && *key != '%')
            n += snprintf(out + n, cap - (size_t)n, "%c", *key);
        else
            n += snprintf(out + n, cap - (size_t)n, "%%%02X", (unsigned char)*key);
    }
    return *key == '\0';
}

bool vivo_manifest_http_url(const struct manifest *m, const char *url,
                            char out[MANIFEST_URL_MAX])
{
    if (!strncmp(url, "s3://", 5))
        return s3_url(m, url, out, MANIFEST_URL_MAX);
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return false;
    return snprintf(out, MANIFEST_URL_MAX, "%s", url) < MANIFEST_URL_MAX;
}

static int fetch_http(struct manifest *m, const char *url, const struct wanted *w,
                      struct vivo_delivery *to, struct vivo_op *op)
{
    const struct vivo_net_request rq = {
        .url = url, .what = "an object", .max_bytes = OBJECT_MAX};
    struct vivo_http_object o;
    int rc;

    if (!m->base.net)
        return vivo_fail(&op->err, EIO, "no network for a manifest's URL");
    rc = vivo_http_object_begin(&o, w->uid, to, &op->err);
    if (rc == 0) {
        atomic_fetch_add(&m->base.requests, 1);
        rc = vivo_net_fetch(m->base.net, &rq, &o.sink, &o.reply, op);
        atomic_fetch_add(&m->base.bytes, o.reply.received);
    }
    if (rc == 0)
        rc = vivo_http_object_finish(&o, &op->err);
    vivo_http_object_free(&o);
    return rc;
}

/* ---- files and other archives
 * ------------------------------------------------------- */

/* Bytes through a gate that lets only the right object pass. */
struct gated {
    struct vivo_delivery base;
    struct vivo_gate gate;
};

static int gated_write(struct vivo_sink *self, const void *data, size_t len,
                       struct vivo_err *err)
{
    struct gated *g = (struct gated *)(void *)self;

    return vivo_gate_push(&g->gate, data, len, err);
}

static int gated_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct gated *g = (struct gated *)(void *)self;
    struct vivo_delivery *to = g->gate.to;
    bool gave = g->gate.right;
    int rc = vivo_gate_begin(&g->gate, g->gate.uid, to, err);

    return rc == 0 && gave ? to->sink.restart(&to->sink, err) : rc;
}

static int send_file(int fd, struct vivo_sink *to, struct vivo_op *op)
{
    VIVO_AUTO(vivo_free_p) uint8_t *block = malloc(BLOCK);
    struct stat st;
    int rc = 0;

    if (!block)
        return vivo_fail(&op->err, ENOMEM, "no memory to read a file");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return vivo_fail(&op->err, EIO, "what the manifest names is no file");
    for (uint64_t off = 0; rc == 0 && off < (uint64_t)st.st_size;) {
        size_t n = (size_t)VIVO_MIN((uint64_t)st.st_size - off, (uint64_t)BLOCK);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = vivo_pread_full(fd, block, n, off, &op->err);
        if (rc == 0)
            rc = to->write(to, block, n, &op->err);
        off += n;
    }
    return rc;
}

static int from_hex(char c)
{
    const char *digits = "0123456789ABCDEF", *at;

    if (c >= 'a' && c <= 'f')
        c = (char)(c - 'a' + 'A');
    at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 3986 section 2.1; in place. False: an escape that is none, or a NUL. */
static bool decode(char *s)
{
    char *to = s;

    for (; *s; s++) {
        int hi, lo;
        if (*s != '%') {
            *to++ = *s;
            continue;
        }
        hi = from_hex(s[1]);
        lo = hi < 0 ? -1 : from_hex(s[2]);
        if (lo < 0 || hi * 16 + lo == 0)
            return false;
        *to++ = (char)(hi * 16 + lo);
        s += 2;
    }
    *to = '\0';
    return true;
}

static int fetch_file(char *path, struct vivo_sink *to, struct vivo_op *op)
{
    VIVO_AUTO(vivo_close_p) int fd = -1;

    if (!decode(path) || path[0] != '/')
        return vivo_fail(&op->err, ENOENT, "a file URL that is no absolute path");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return vivo_fail(&op->err,
                         errno == ENOENT   ? ENOENT
                         : errno == EACCES ? EACCES
                                           : EIO,
                         "a file that the manifest names: %s", strerror(errno));
    return send_file(fd, to, op);
}

static int fetch_sub(struct manifest *m, char *source, char *locator,
                     struct vivo_delivery *to, struct vivo_op *op)
{
    struct vivo_archive *sub;
    bool file = !strncmp(source, "file://", 7);
    int rc;

    if (!decode(locator) || (file && !decode(source)))
        return vivo_fail(&op->err, ENOENT, "not a locator of a manifest's object");
    rc = vivo_manifest_sub(m, file ? source + 7 : source, &sub, &op->err);
    if (rc < 0)
        return rc;
    atomic_fetch_add(&m->base.requests, 1);
    return vivo_archive_fetch(sub, locator, to, op);
}

static int fetch_other(struct manifest *m, struct wanted *w, struct vivo_delivery *to,
                       struct vivo_op *op)
{
    struct gated g = {.base = {.sink = {.write = gated_write}}};
    char *hash = strrchr(w->url, '#'); /* locators are encoded, sources may have one */
    int rc = vivo_gate_begin(&g.gate, w->uid, to, &op->err);

    g.base.sink.restart = to->sink.restart ? gated_restart : NULL;
    if (rc == 0 && hash) {
        *hash = '\0';
        rc = fetch_sub(m, w->url, hash + 1, &g.base, op);
    } else if (rc == 0 && !strncmp(w->url, "file://", 7)) {
        rc = fetch_file(w->url + 7, &g.base.sink, op);
    } else if (rc == 0) {
        rc = vivo_fail(&op->err, ENOENT, "the manifest names a URL of no known kind");
    }
    if (rc == 0 && !g.gate.right)
        rc =
            vivo_fail(&op->err, EBADMSG, "the object ends before its SOP Instance UID");
    vivo_gate_free(&g.gate);
    return rc;
}

static int fetch_object(struct manifest *m, struct wanted *w, struct vivo_delivery *to,
                        struct vivo_op *op)
{
    char url[MANIFEST_URL_MAX];
    struct checked c;
    int rc = checked_begin(&c, w, to, &op->err);

    if (rc < 0)
        return rc;
    if (!strchr(w->url, '#') && vivo_manifest_http_url(m, w->url, url))
        rc = fetch_http(m, url, w, &c.base, op);
    else
        rc = fetch_other(m, w, &c.base, op);
    return checked_end(&c, rc, &op->err);
}

/* Of a series that the archive lists: "N<source>\t<its locator>". */
static int fetch_listed(struct manifest *m, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op)
{
    char source[MANIFEST_URL_MAX];
    const char *rest = take(locator + 1, source, sizeof source);
    struct vivo_archive *sub;
    int rc;

    if (!rest || !*rest || !is_clean(source))
        return vivo_fail(&op->err, ENOENT, "not a locator of a manifest's object");
    rc = vivo_manifest_sub(m, source, &sub, &op->err);
    if (rc < 0)
        return rc;
    atomic_fetch_add(&m->base.requests, 1);
    return vivo_archive_fetch(sub, rest, to, op);
}

int vivo_manifest_fetch(struct vivo_archive *self, const char *locator,
                        struct vivo_delivery *to, struct vivo_op *op)
{
    struct manifest *m = manifest_of(self);
    struct wanted *w;
    int rc;

    if (locator[0] == 'X')
        return vivo_fail(&op->err, EIO,
                         "a series of the manifest is unknown to the archive");
    if (locator[0] == 'N')
        return fetch_listed(m, locator, to, op);
    w = malloc(sizeof *w);
    if (!w)
        return vivo_fail(&op->err, ENOMEM, "no memory to fetch an object");
    rc = read_locator(locator, w, &op->err);
    if (rc == 0)
        rc = fetch_object(m, w, to, op);
    free(w);
    return rc;
}

/* ---- headers
 * ----------------------------------------------------------------------- */

/* A nameless file that takes an object in. */
struct taking {
    struct vivo_delivery base;
    int fd;
    uint64_t len;
};

static int taking_write(struct vivo_sink *self, const void *data, size_t len,
                        struct vivo_err *err)
{
    struct taking *t = (struct taking *)(void *)self;
    int rc = vivo_pwrite_full(t->fd, data, len, t->len, err);

    t->len += len;
    return rc;
}

static int taking_restart(struct vivo_sink *self, struct vivo_err *err)
{
    struct taking *t = (struct taking *)(void *)self;

    (void)err;
    t->len = 0;
    return 0;
}

static int header_by_fetch(struct manifest *m, const char *locator,
                           struct vivo_buf *out, struct vivo_op *op)
{
    VIVO_AUTO(vivo_close_p) int fd = vivo_file_nameless(NULL, &op->err);
    struct taking t = {
        .base = {.sink = {.write = taking_write, .restart = taking_restart}}, .fd = fd};
    struct vivo_fd_reader reader;
    int rc = fd < 0 ? fd : vivo_manifest_fetch(&m->base, locator, &t.base, op);

    if (rc < 0)
        return rc;
    vivo_fd_reader_init(&reader, fd, t.len);
    return vivo_dcm_attrs(&reader.base, NULL, 0, out, &op->err);
}

static int header_by_range(struct manifest *m, const struct wanted *w, const char *url,
                           struct vivo_buf *out, struct vivo_op *op)
{
    const struct vivo_net_request rq = {.url = url, .what = "an object"};
    char uid[VIVO_UID_MAX + 1] = "";
    struct vivo_ranged_header h;
    int rc = vivo_header_range(&m->base, &rq, &h, op);

    if (rc == 0)
        vivo_attrs_text((struct vivo_attrs){h.attrs.data, h.attrs.len},
                        VIVO_TAG_SOPInstanceUID, uid, sizeof uid);
    if (rc == 0 && strcmp(uid, w->uid) != 0)
        rc = vivo_fail(&op->err, EIO, "the URL has another object than was listed");
    if (rc == 0 && vivo_buf_add(out, h.attrs.data, h.attrs.len) < 0)
        rc = vivo_fail(&op->err, ENOMEM, "no memory for a header");
    vivo_ranged_header_free(&h);
    return rc;
}

int vivo_manifest_header(struct manifest *m, const char *locator, struct vivo_buf *out,
                         struct vivo_op *op)
{
    VIVO_AUTO(vivo_free_p) struct wanted *w = malloc(sizeof *w);
    char url[MANIFEST_URL_MAX];
    int rc = w ? read_locator(locator, w, &op->err)
               : vivo_fail(&op->err, ENOMEM, "no memory for a header");

    if (rc < 0)
        return rc;
    if (m->base.net && !strchr(w->url, '#') && vivo_manifest_http_url(m, w->url, url))
        return header_by_range(m, w, url, out, op);
    return header_by_fetch(m, locator, out, op);
}
