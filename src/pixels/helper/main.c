/* SPDX-License-Identifier: Apache-2.0 */
/* src/pixels/helper/main.c -- the program vivofs-pixels: frames in, blanked frames out.
 *
 * It reads a job from one descriptor and frames from another, locks itself up before it
 * looks at a frame, and writes what it made to a third. Nobody starts it by hand. */
#include "helper.h"

#include "vivofs/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define FRAME_MAX (1u << 30)
#define SIDE_MAX 65535

struct work {
    struct vivo_pixels_job job;
    struct vivo_pixels_rect *rects;
    struct vivo_pixels_piece *pieces;
    uint64_t frame; /* bytes of one, decoded */
    uint8_t *in, *out;
    size_t in_cap;
};

static int read_all(int fd, void *buf, size_t len, uint64_t off)
{
    uint8_t *p = buf;
    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool is_native(const struct vivo_pixels_job *j)
{
    return !strcmp(j->syntax, "1.2.840.10008.1.2.1");
}

static bool is_rle(const struct vivo_pixels_job *j)
{
    return !strcmp(j->syntax, "1.2.840.10008.1.2.5");
}

static bool is_sane(const struct vivo_pixels_job *j)
{
    if (j->magic != VIVO_PIXELS_MAGIC || !j->frames || !j->rows || !j->columns)
        return false;
    if (j->rows > SIDE_MAX || j->columns > SIDE_MAX ||
        (j->samples != 1 && j->samples != 3))
        return false;
    if ((j->allocated != 8 && j->allocated != 16) || !j->stored ||
        j->stored > j->allocated || j->is_signed > 1 || j->planar > 1)
        return false;
    return j->rects <= VIVO_PIXELS_RECTS_MAX && j->pieces &&
           j->pieces <= VIVO_PIXELS_PIECES_MAX && !j->syntax[sizeof j->syntax - 1];
}

static int read_job(struct work *w)
{
    struct vivo_pixels_job *j = &w->job;
    if (read_all(FD_JOB, j, sizeof *j, 0) || !is_sane(j))
        return HELPER_BAD_JOB;
    size_t rects = j->rects * sizeof *w->rects, pieces = j->pieces * sizeof *w->pieces;
    w->frame = (uint64_t)j->rows * j->columns * j->samples * (j->allocated / 8);
    w->rects = malloc(rects + 1);
    w->pieces = malloc(pieces);
    w->out = w->frame <= FRAME_MAX ? malloc((size_t)w->frame) : NULL;
    if (!w->rects || !w->pieces || !w->out)
        return HELPER_MEMORY;
    if (read_all(FD_JOB, w->rects, rects, sizeof *j) ||
        read_all(FD_JOB, w->pieces, pieces, sizeof *j + rects))
        return HELPER_BAD_JOB;
    for (uint32_t i = 0; i < j->rects; i++)
        if (w->rects[i].x1 > j->columns || w->rects[i].y1 > j->rows)
            return HELPER_BAD_JOB;
    return HELPER_OK;
}

/* Enough for what codecs keep beside a frame (32 bits a sample and more), and seconds
 * of the processor in proportion. */
static int confine(const struct work *w)
{
    const uint64_t mib = 1u << 20, total = w->frame * w->job.frames;
    uint64_t memory = 512 * mib + 40 * w->frame + w->job.pieces * sizeof *w->pieces;
    if (helper_limits(memory, 10 + total / (4 * mib), total) || helper_confine())
        return HELPER_BAD_JOB;
    return HELPER_OK;
}

/* Puts the pieces of a frame together; *next moves behind them. */
static int gather(struct work *w, uint32_t frame, uint32_t *next, size_t *len)
{
    uint64_t n = 0;
    uint32_t end = *next;
    for (; end < w->job.pieces && w->pieces[end].frame == frame; end++)
        n += w->pieces[end].len;
    if (!n || n > FRAME_MAX)
        return HELPER_BAD_FRAME;
    if (n > w->in_cap) {
        free(w->in);
        w->in = malloc((size_t)n);
        w->in_cap = w->in ? (size_t)n : 0;
        if (!w->in)
            return HELPER_MEMORY;
    }
    *len = 0;
    for (; *next < end; (*next)++) {
        const struct vivo_pixels_piece *p = &w->pieces[*next];
        if (read_all(FD_SOURCE, w->in + *len, p->len, p->off))
            return HELPER_IO;
        *len += p->len;
    }
    return HELPER_OK;
}

static void copy_native(struct work *w)
{
    const struct vivo_pixels_job *j = &w->job;
    size_t cell = j->allocated / 8, plane = (size_t)(w->frame / j->samples);
    if (!j->planar || j->samples == 1) {
        memcpy(w->out, w->in, (size_t)w->frame);
        return;
    }
    for (size_t s = 0; s < j->samples; s++)
        for (size_t i = 0; i < plane / cell; i++)
            memcpy(w->out + (i * j->samples + s) * cell, w->in + s * plane + i * cell,
                   cell);
}

static void mask(struct work *w)
{
    uint32_t keep = w->job.keep;
    if (keep == UINT32_MAX)
        return;
    if (w->job.allocated == 8) {
        for (uint64_t i = 0; i < w->frame; i++)
            w->out[i] &= (uint8_t)keep;
        return;
    }
    for (uint64_t i = 0; i + 2 <= w->frame; i += 2)
        vivo_put_le16(w->out + i, (uint16_t)(vivo_le16(w->out + i) & keep));
}

static void blank(struct work *w)
{
    const struct vivo_pixels_job *j = &w->job;
    size_t pixel = j->samples * (j->allocated / 8);
    for (uint32_t i = 0; i < j->rects; i++) {
        const struct vivo_pixels_rect *r = &w->rects[i];
        for (size_t y = r->y0; y < r->y1; y++)
            for (size_t x = r->x0; x < r->x1; x++)
                memcpy(w->out + (y * j->columns + x) * pixel, j->black, pixel);
    }
}

static int decode(struct work *w, size_t len)
{
    const struct vivo_pixels_job *j = &w->job;
    bool bad;
    memset(w->out, 0, (size_t)w->frame); /* what a codec leaves out is not chance */
    if (is_native(j))
        bad = len != w->frame;
    else if (is_rle(j))
        bad = helper_decode_rle(j, w->in, len, w->out);
    else
        bad = helper_check(j, w->in, len) ||
              helper_decode(j, w->in, len, w->out, (size_t)w->frame);
    if (!bad && is_native(j))
        copy_native(w);
    return bad ? HELPER_BAD_FRAME : HELPER_OK;
}

static int make_frame(struct work *w, uint32_t frame, uint32_t *next)
{
    size_t len = 0;
    int rc = gather(w, frame, next, &len);
    if (rc)
        return rc;
    rc = decode(w, len);
    if (rc)
        return rc;
    mask(w);
    blank(w);
    return write_all(FD_OUT, w->out, (size_t)w->frame) ? HELPER_IO : HELPER_OK;
}

/* For those who want to see the walls: does one thing that must not work. */
static int try_wall(const char *what)
{
    if (helper_limits(256u << 20, 2, 1u << 20) || helper_confine())
        return 1;
    if (!strcmp(what, "open"))
        return open("/dev/null", O_RDONLY) >= 0;
    if (!strcmp(what, "socket"))
        return socket(AF_INET, SOCK_STREAM, 0) >= 0;
    if (!strcmp(what, "fork"))
        return fork() == 0;
    if (!strcmp(what, "memory")) {
        void *volatile p = malloc(300u << 20);
        return p ? 0 : HELPER_MEMORY;
    }
    for (volatile unsigned i = 0;; i++) /* "time" */
        ;
}

int main(int argc, char **argv)
{
    struct work w = {0};
    uint32_t next = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (argc == 3 && !strcmp(argv[1], "--try"))
        return try_wall(argv[2]);
    if (argc != 1 || fcntl(FD_JOB, F_GETFD) < 0) {
        fputs("vivofs-pixels: started by vivofs, not by hand\n", stderr);
        return HELPER_BAD_JOB;
    }
    int rc = read_job(&w);
    if (!rc)
        rc = confine(&w);
    for (uint32_t i = 0; !rc && i < w.job.frames; i++)
        rc = make_frame(&w, i, &next);
    _exit(rc); /* nothing is left to be done, and atexit handlers are GDCM's */
}
