/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/multipart.c -- see multipart.h.
 *
 * Bytes wait in `pending` until it is certain that they are not part of a boundary;
 * the stream is taken to begin with a line break, so that a boundary at its very
 * beginning is one like any other. */
#include "multipart.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 16384   /* bytes of the headers of one part */
#define PIECE_MAX 65536  /* taken in at once */
#define PADDING_MAX 1024 /* spaces after a boundary */

bool vivo_media_type_is(const char *content_type, const char *type)
{
    size_t n = strlen(type);
    return strncasecmp(content_type, type, n) == 0 &&
           (content_type[n] == '\0' || content_type[n] == ';' ||
            isspace((unsigned char)content_type[n]));
}

/* ---- the boundary ----------------------------------------------------------- */

/* The value of `name` among the parameters of a Content-Type (RFC 9110 section
 * 5.6.6), quoted or not. False: not there, or longer than cap - 1. */
static bool find_parameter(const char *s, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    while ((s = strchr(s, ';'))) {
        s += 1 + strspn(s + 1, " \t");
        bool mine = strncasecmp(s, name, n) == 0 && s[n] == '=';
        s += strcspn(s, "=;");
        if (*s != '=')
            continue;
        bool quoted = *++s == '"';
        size_t len = 0;
        s += quoted;
        while (*s && (quoted ? *s != '"' : !strchr("; \t", *s))) {
            if (quoted && *s == '\\' && s[1])
                s++;
            if (mine && len + 1 >= cap)
                return false;
            if (mine)
                out[len++] = *s;
            s++;
        }
        if (mine) {
            out[len] = '\0';
            return len > 0;
        }
    }
    return false;
}

int vivo_multipart_init(struct vivo_multipart *m, const char *content_type,
                        const struct vivo_multipart_to *to, struct vivo_err *err)
{
    char boundary[VIVO_MULTIPART_BOUNDARY_MAX + 1];
    *m = (struct vivo_multipart){.to = *to, .announced = -1};
    if (!vivo_media_type_is(content_type, "multipart/related"))
        return vivo_fail(err, EIO, "reply is not multipart/related");
    if (!find_parameter(content_type, "boundary", boundary, sizeof boundary))
        return vivo_fail(err, EIO, "multipart reply without a usable boundary");
    int n = snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%s", boundary);
    m->dlen = (size_t)n;
    vivo_buf_init(&m->pending, PIECE_MAX + HEAD_MAX + sizeof m->delimiter);
    if (vivo_buf_add(&m->pending, "\r\n", 2))
        return vivo_fail(err, ENOMEM, "multipart: out of memory");
    return 0;
}

void vivo_multipart_free(struct vivo_multipart *m)
{
    vivo_buf_free(&m->pending);
}

/* ---- states ----------------------------------------------------------------- */

static void drop(struct vivo_multipart *m, size_t n)
{
    memmove(m->pending.data, m->pending.data + n, m->pending.len - n);
    m->pending.len -= n;
}

static int give(struct vivo_multipart *m, size_t n, struct vivo_err *err)
{
    if (m->state != VIVO_MULTIPART_BODY || n == 0)
        return 0;
    m->body += n;
    return m->to.data(m->to.ctx, m->pending.data, n, err);
}

static int end_part(struct vivo_multipart *m, struct vivo_err *err)
{
    if (m->state != VIVO_MULTIPART_BODY)
        return 0;
    if (m->announced >= 0 && m->body != (uint64_t)m->announced)
        return vivo_fail(err, EIO, "multipart: part of %llu bytes announced as %lld",
                         (unsigned long long)m->body, (long long)m->announced);
    return m->to.end(m->to.ctx, err);
}

/* PREAMBLE, BODY: everything up to the next boundary. 1 = boundary found, 0 = more
 * bytes are needed. */
static int scan(struct vivo_multipart *m, struct vivo_err *err)
{
    struct vivo_buf *p = &m->pending;
    const uint8_t *at = memmem(p->data, p->len, m->delimiter, m->dlen);
    size_t n = at ? (size_t)(at - p->data) : p->len - VIVO_MIN(p->len, m->dlen - 1);
    int rc = give(m, n, err);
    if (rc == 0 && at)
        rc = end_part(m, err);
    if (rc)
        return rc;
    drop(m, at ? n + m->dlen : n);
    if (at)
        m->state = VIVO_MULTIPART_DELIMITED;
    return at != NULL;
}

/* DELIMITED: "--" closes, spaces and a line break begin a part. */
static int after_delimiter(struct vivo_multipart *m, struct vivo_err *err)
{
    struct vivo_buf *p = &m->pending;
    if (p->len < 2)
        return 0;
    if (memcmp(p->data, "--", 2) == 0) {
        m->state = VIVO_MULTIPART_EPILOGUE;
        return 1;
    }
    size_t i = 0;
    while (i < p->len && (p->data[i] == ' ' || p->data[i] == '\t'))
        i++;
    if (i > PADDING_MAX)
        return vivo_fail(err, EIO, "multipart: malformed boundary line");
    if (p->len < i + 2)
        return 0;
    if (memcmp(p->data + i, "\r\n", 2) != 0)
        return vivo_fail(err, EIO, "multipart: malformed boundary line");
    /* The line break stays: without headers it is half of the empty line. */
    drop(m, i);
    m->state = VIVO_MULTIPART_HEAD;
    return 1;
}

static int read_head(struct vivo_multipart *m, char *head, struct vivo_err *err)
{
    char type[256] = "";
    m->announced = -1;
    m->body = 0;
    for (char *line = head, *next; *line; line = next) {
        size_t n = strcspn(line, "\r\n");
        next = line + n + strspn(line + n, "\r\n");
        line[n] = '\0';
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        if (strcasecmp(line, "Content-Type") == 0)
            snprintf(type, sizeof type, "%s", value);
        if (strcasecmp(line, "Content-Length") == 0) {
            char *end;
            errno = 0;
            m->announced = strtoll(value, &end, 10);
            if (errno || end == value || m->announced < 0 ||
                *(end + strspn(end, " \t")))
                return vivo_fail(err, EIO, "multipart: malformed Content-Length");
        }
    }
    return m->to.begin(m->to.ctx, type, err);
}

/* HEAD: "\r\n" is in front; the headers end with an empty line. */
static int head(struct vivo_multipart *m, struct vivo_err *err)
{
    struct vivo_buf *p = &m->pending;
    const uint8_t *at = memmem(p->data, p->len, "\r\n\r\n", 4);
    size_t n = at ? (size_t)(at - p->data) : p->len;
    if (n > HEAD_MAX)
        return vivo_fail(err, EIO, "multipart: headers of a part are too long");
    if (!at)
        return 0;
    p->data[n] = '\0';
    int rc = memchr(p->data, '\0', n)
                 ? vivo_fail(err, EIO, "multipart: malformed headers of a part")
                 : read_head(m, (char *)p->data, err);
    if (rc)
        return rc;
    drop(m, n + 4);
    m->state = VIVO_MULTIPART_BODY;
    return 1;
}

static int step(struct vivo_multipart *m, struct vivo_err *err)
{
    switch (m->state) {
    case VIVO_MULTIPART_PREAMBLE:
    case VIVO_MULTIPART_BODY:
        return scan(m, err);
    case VIVO_MULTIPART_DELIMITED:
        return after_delimiter(m, err);
    case VIVO_MULTIPART_HEAD:
        return head(m, err);
    case VIVO_MULTIPART_EPILOGUE:
        vivo_buf_clear(&m->pending);
        return 0;
    }
    return 0;
}

int vivo_multipart_push(struct vivo_multipart *m, const void *data, size_t len,
                        struct vivo_err *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        size_t n = VIVO_MIN(len, (size_t)PIECE_MAX);
        if (vivo_buf_add(&m->pending, p, n))
            return vivo_fail(err, ENOMEM, "multipart: out of memory");
        p += n;
        len -= n;
        int rc;
        do
            rc = step(m, err);
        while (rc > 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int vivo_multipart_finish(const struct vivo_multipart *m, struct vivo_err *err)
{
    if (m->state == VIVO_MULTIPART_EPILOGUE)
        return 0;
    return vivo_fail(err, EIO, "multipart reply cut before its closing boundary");
}
