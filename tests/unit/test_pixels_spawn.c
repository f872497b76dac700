/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_pixels_spawn.c -- the program vivofs-pixels: what it decodes, its
 * walls, and what its end means to the caller. */
#include "pixels/spawn.h"

#include "vivofs/base.h"
#include "vivofs/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static int file_of(const void *p, size_t n)
{
    int fd = vivo_file_nameless(NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(vivo_pwrite_full(fd, p, n, 0, NULL), 0);
    return fd;
}

static struct vivo_pixels_job a_job(uint32_t rows, uint32_t columns, const char *syntax)
{
    struct vivo_pixels_job j = {.magic = VIVO_PIXELS_MAGIC,
                                .frames = 1,
                                .rows = rows,
                                .columns = columns,
                                .samples = 1,
                                .allocated = 8,
                                .stored = 8,
                                .photometric = VIVO_PHOTOMETRIC_MONOCHROME2,
                                .target = VIVO_PHOTOMETRIC_MONOCHROME2,
                                .keep = UINT32_MAX,
                                .pieces = 1};
    snprintf(j.syntax, sizeof j.syntax, "%s", syntax);
    return j;
}

static int run(struct vivo_pixels_job *j, const struct vivo_pixels_rect *rects,
               const void *bytes, size_t n, uint8_t *out, size_t out_len,
               struct vivo_err *err)
{
    struct vivo_pixels_piece piece = {0, (uint32_t)n, 0};
    int in = file_of(bytes, n), to = vivo_file_nameless(NULL, NULL);
    memset(err, 0, sizeof *err);
    int rc = vivo_pixels_run(j, rects, &piece, in, to, err);
    if (!rc)
        rc = vivo_pread_full(to, out, out_len, 0, err);
    close(in);
    close(to);
    return rc;
}

#define ELE "1.2.840.10008.1.2.1"
#define RLE "1.2.840.10008.1.2.5"
#define JPEG "1.2.840.10008.1.2.4.50"
#define J2K "1.2.840.10008.1.2.4.90"

static void test_a_native_frame_is_masked_and_blanked(void **state)
{
    (void)state;
    struct vivo_pixels_job j = a_job(2, 3, ELE);
    struct vivo_pixels_rect rect = {1, 0, 3, 1};
    struct vivo_err err;
    const uint8_t in[6] = {0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6};
    const uint8_t want[6] = {0x01, 0x07, 0x07, 0x04, 0x05, 0x06};
    uint8_t out[6];
    j.keep = 0x0F;
    j.black[0] = 7;
    j.rects = 1;
    assert_int_equal(run(&j, &rect, in, sizeof in, out, sizeof out, &err), 0);
    assert_memory_equal(out, want, sizeof want);
}

static void test_an_rle_frame_has_its_highest_bytes_first(void **state)
{
    (void)state;
    uint8_t in[64 + 8] = {2, 0, 0, 0, 64, 0, 0, 0, 68, 0, 0, 0};
    const uint8_t packed[8] = {1, 0x11, 0x22, 0x80, 0xFF, 0x33, 0x80, 0};
    const uint8_t want[4] = {0x33, 0x11, 0x33, 0x22};
    uint8_t out[4];
    struct vivo_err err;
    struct vivo_pixels_job j = a_job(1, 2, RLE);
    memcpy(in + 64, packed, sizeof packed);
    j.allocated = j.stored = 16;
    assert_int_equal(run(&j, NULL, in, sizeof in, out, sizeof out, &err), 0);
    assert_memory_equal(out, want, sizeof want);
}

/* Whatever is in a frame: an error of that frame, never a crash or a wait. */
static void test_corrupt_frames_are_errors(void **state)
{
    static const char *const syntaxes[] = {RLE, JPEG, J2K, "1.2.840.10008.1.2.4.80",
                                           "1.2.840.10008.1.2.4.70"};
    static const uint8_t heads[][4] = {
        {2, 0, 0, 0}, {0xFF, 0xD8, 0xFF, 0xC0}, {0xFF, 0x4F, 0xFF, 0x51}, {0}};
    (void)state;
    for (size_t s = 0; s < VIVO_ARRAY_LEN(syntaxes); s++)
        for (size_t h = 0; h < VIVO_ARRAY_LEN(heads); h++) {
            struct vivo_pixels_job j = a_job(16, 16, syntaxes[s]);
            struct vivo_err err;
            uint8_t in[512], out[256];
            for (size_t i = 0; i < sizeof in; i++)
                in[i] = (uint8_t)(i * 37 + 255 * (i % 3));
            memcpy(in, heads[h], 4);
            int rc = run(&j, NULL, in, sizeof in, out, sizeof out, &err);
            assert_int_equal(rc, -EBADMSG);
            assert_non_null(strstr(err.text, "pixels: "));
        }
}

/* A picture of 16 million by 16 million in a header of 16 by 16. */
static void test_an_allocation_bomb_is_an_error(void **state)
{
    static const uint8_t siz[] = {
        0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0,    0xFF, 0xFF,
        0xFF, 0,    0,    0,    0, 0,  0, 0, 0, 0,    0xFF, 0xFF, 0xFF, 0,    0xFF,
        0xFF, 0xFF, 0,    0,    0, 0,  0, 0, 0, 0,    0,    1,    7,    1,    1};
    (void)state;
    struct vivo_pixels_job j = a_job(16, 16, J2K);
    struct vivo_err err;
    uint8_t out[256];
    assert_int_equal(run(&j, NULL, siz, sizeof siz, out, sizeof out, &err), -EBADMSG);
}

static void test_a_job_that_lies_is_refused(void **state)
{
    (void)state;
    struct vivo_err err;
    uint8_t bytes[4] = {0}, out[4];
    struct vivo_pixels_rect outside = {0, 0, 3, 1};
    struct vivo_pixels_job j = a_job(2, 2, ELE);
    j.rects = 1;
    assert_int_equal(run(&j, &outside, bytes, 4, out, 4, &err), -EIO);
    j = a_job(2, 2, ELE);
    j.allocated = 12;
    assert_int_equal(run(&j, NULL, bytes, 4, out, 4, &err), -EIO);
    j = a_job(2, 3, ELE); /* six bytes wanted, four there */
    assert_int_equal(run(&j, NULL, bytes, 4, out, 4, &err), -EBADMSG);
    j = a_job(2, 2, ELE); /* the piece lies behind the source's end */
    struct vivo_pixels_piece piece = {2, 4, 0};
    int in = file_of(bytes, 4), to = vivo_file_nameless(NULL, NULL);
    memset(&err, 0, sizeof err);
    assert_int_equal(vivo_pixels_run(&j, NULL, &piece, in, to, &err), -EIO);
    close(in);
    close(to);
}

static int spawn(const char *program, int deadline_ms, struct vivo_err *err)
{
    int fd = file_of("x", 1);
    const int fds[3] = {fd, fd, fd};
    memset(err, 0, sizeof *err);
    int rc = vivo_pixels_spawn(program, fds, deadline_ms, err);
    close(fd);
    return rc;
}

static void test_a_helper_that_hangs_is_killed(void **state)
{
    (void)state;
    struct vivo_err err;
    /* `yes` writes for ever. */
    assert_int_equal(spawn("/usr/bin/yes", 50, &err), -EBADMSG);
    assert_string_equal(err.text, "pixels: decoding took too long");
    assert_int_equal(spawn("/nonexistent", 50, &err), -EIO);
    assert_int_equal(spawn("/usr/bin/true", 5000, &err), 0);
    assert_int_equal(spawn("/usr/bin/false", 5000, &err), -EBADMSG);
    /* None is left behind. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static const struct {
    const char *what;
    int signal; /* 0 = ends by itself */
} walls[] = {
    {"open", SIGSYS}, {"socket", SIGSYS}, {"fork", SIGSYS},
    {"memory", 0},    {"time", SIGKILL},
};

/* The helper does what it must not do, and is killed for it. */
static void test_walls_stand(void **state)
{
    char program[512] = {0};
    (void)state;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 64);
    assert_true(n > 0);
    snprintf(strrchr(program, '/') + 1, 60, "../vivofs-pixels");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(walls); i++) {
        int status = 0;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
            execl(program, "vivofs-pixels", "--try", walls[i].what, (char *)NULL);
            _exit(99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (walls[i].signal) {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), walls[i].signal);
        } else {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 13);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_native_frame_is_masked_and_blanked),
        cmocka_unit_test(test_an_rle_frame_has_its_highest_bytes_first),
        cmocka_unit_test(test_corrupt_frames_are_errors),
        cmocka_unit_test(test_an_allocation_bomb_is_an_error),
        cmocka_unit_test(test_a_job_that_lies_is_refused),
        cmocka_unit_test(test_a_helper_that_hangs_is_killed),
        cmocka_unit_test(test_walls_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
