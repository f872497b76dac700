/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/media_records.c -- see media_records.h. PS3.3 annex F.3: directory
 * records name files by components of eight characters, parted as values (PS3.10
 * section 8.2). */
#include "drivers/media_records.h"

#include "drivers/beneath.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TAG_REFERENCED_FILE 0x00041500u
#define FILE_ID_MAX 256 /* 8 components of 8 characters, and more than that */

struct reading {
    int rootfd;
    vivo_media_missing_fn *fn;
    void *ctx;
    struct vivo_op *op;
    int verdict;
};

static bool is_there(int rootfd, const char *path)
{
    int fd = vivo_beneath_open(rootfd, path, O_PATH);
    if (fd < 0)
        return fd != -ENOENT && fd != -ENOTDIR;
    vivo_close_p(&fd);
    return true;
}

/* Some systems show the names of a CD in small letters. */
static bool is_there_in_small_letters(int rootfd, const char *path)
{
    char small[FILE_ID_MAX + 1];
    size_t n = strlen(path);
    for (size_t i = 0; i <= n; i++)
        small[i] = (char)tolower((unsigned char)path[i]);
    return is_there(rootfd, small);
}

/* "DICOM\PA000001\IM1 " */
static bool read_file_id(const struct vivo_dcm_elem *e, char path[FILE_ID_MAX + 1])
{
    size_t n = 0;
    if (!e->value || e->length == 0 || e->length > FILE_ID_MAX)
        return false;
    for (size_t i = 0; i < e->length; i++) {
        char c = (char)e->value[i];
        bool end = i + 1 == e->length || e->value[i + 1] == '\\';
        if (c != '\0' && (c != ' ' || !end))
            path[n++] = (char)(c == '\\' ? '/' : c);
    }
    path[n] = '\0';
    return n > 0;
}

static int on_element(void *ctx, enum vivo_dcm_event event,
                      const struct vivo_dcm_elem *e, struct vivo_err *err)
{
    struct reading *r = ctx;
    char path[FILE_ID_MAX + 1];
    (void)err;
    if (event != VIVO_DCM_ELEMENT || e->depth != 1 || e->tag != TAG_REFERENCED_FILE)
        return 0;
    r->verdict = vivo_op_check(r->op);
    if (r->verdict)
        return VIVO_DCM_STOP;
    if (read_file_id(e, path) && !is_there(r->rootfd, path) &&
        !is_there_in_small_letters(r->rootfd, path))
        r->fn(r->ctx, path);
    return 0;
}

int vivo_media_missing(int rootfd, vivo_media_missing_fn *fn, void *ctx, bool *broken,
                       struct vivo_op *op)
{
    struct reading r = {rootfd, fn, ctx, op, 0};
    struct vivo_fd_reader file;
    struct vivo_err flaw = {0};
    struct stat st;
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    VIVO_AUTO(vivo_close_p) int fd = vivo_beneath_open(rootfd, "DICOMDIR", flags);
    *broken = false;
    if (fd < 0)
        fd = vivo_beneath_open(rootfd, "dicomdir", flags);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    vivo_fd_reader_init(&file, fd, (uint64_t)st.st_size);
    *broken = vivo_dcm_walk_reader(&file.base, NULL, 0, -1, on_element, &r, &flaw) < 0;
    return r.verdict;
}
