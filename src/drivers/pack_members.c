/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/pack_members.c -- see pack_members.h.
 *
 * One thread at a time is the decoder: it owns the reader and the end of the spool,
 * without holding the mutex while it decodes. The others look at the table, which
 * grows by a member at a time, and wait. */
#include "drivers/pack_members.h"
#include "drivers/pack_reader.h"
#include "drivers/pack_table.h"
#include "vivofs/dcm.h"
#include "vivofs/file.h"
#include "vivofs/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define COPY_BYTES (1u << 20)
#define SMALL_BYTES (UINT64_C(64) << 20)
#define SPARE_BYTES (UINT64_C(64) << 20) /* left free where the spool is */
#define WAIT_MS 200
#define AGAIN_MAX 4

struct pack_members {
    atomic_uint refs;
    int fd;
    struct vivo_identity id;

    /* The decoder's. */
    struct pack_reader *reader;
    size_t cursor; /* members that the reader has passed */
    size_t again;  /* how often it began anew for a member that it had passed */
    int spool;     /* -1 until it is needed */
    uint64_t spool_end;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t moved;
    bool decoding, complete;
    struct pack_table table;
    size_t encrypted, bad;
};

/* ---- open and close ------------------------------------------------------------ */

static int open_file(const char *path, const char *shown, struct pack_members *m,
                     struct vivo_err *err)
{
    struct stat st;

    m->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (m->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return vivo_fail(err, ENOENT, "no such file: %s", shown);
    if (m->fd < 0 && errno == EACCES)
        return vivo_fail(err, EACCES, "%s: may not be read by this account", shown);
    if (m->fd < 0 || fstat(m->fd, &st) < 0)
        return vivo_fail(err, EIO, "%s: %s", shown, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return vivo_fail(err, EINVAL, "%s is no regular file", shown);
    return vivo_identity_of(m->fd, &m->id, err);
}

static struct pack_members *new_members(void)
{
    struct pack_members *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->fd = -1;
    m->spool = -1;
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->moved, NULL);
    return m;
}

/* Gives *out, or frees m. rc: whether its descriptor is there. */
static int finish_open(struct pack_members *m, int rc, const char *shown,
                       struct pack_members **out, struct vivo_err *err)
{
    if (rc == 0) {
        struct vivo_err why = {0};
        rc = pack_reader_new(m->fd, m->id.size, &m->reader, &why);
        if (rc < 0)
            vivo_fail(err, why.errnum, "%s %s", shown, why.text);
    }
    if (rc == 0 && pack_table_init(&m->table) < 0)
        rc = vivo_fail(err, EIO, "no random numbers");
    if (rc < 0) {
        pack_members_unref(m);
        return rc;
    }
    *out = m;
    return 0;
}

int pack_members_open(const char *path, const char *shown, struct pack_members **out,
                      struct vivo_err *err)
{
    struct pack_members *m = new_members();

    if (!m)
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    return finish_open(m, open_file(path, shown, m, err), shown, out, err);
}

int pack_members_open_fd(int fd, const char *shown, struct pack_members **out,
                         struct vivo_err *err)
{
    struct pack_members *m = new_members();

    if (!m) {
        close(fd);
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    }
    m->fd = fd;
    return finish_open(m, vivo_identity_of(fd, &m->id, err), shown, out, err);
}

struct pack_members *pack_members_ref(struct pack_members *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void pack_members_unref(struct pack_members *m)
{
    if (!m || atomic_fetch_sub(&m->refs, 1) > 1)
        return;
    pack_reader_free(m->reader);
    if (m->fd >= 0)
        close(m->fd);
    if (m->spool >= 0)
        close(m->spool);
    pack_table_free(&m->table);
    pthread_cond_destroy(&m->moved);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

const struct vivo_identity *pack_members_identity(const struct pack_members *m)
{
    return &m->id;
}

/* ---- the decoder ----------------------------------------------------------------- */

static void wait_moved(struct pack_members *m)
{
    vivo_wait_ms(&m->moved, &m->mutex, WAIT_MS);
}

static void stop_decoding(struct pack_members *m)
{
    pthread_mutex_lock(&m->mutex);
    m->decoding = false;
    pthread_cond_broadcast(&m->moved);
    pthread_mutex_unlock(&m->mutex);
}

static const char *temporary_folder(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && dir[0] == '/' ? dir : "/var/tmp";
}

/* Is there room for so many bytes more? Where no file system has a limit, the file is
 * in memory, because none could be made in the folder. */
static int check_room(int fd, uint64_t size, struct vivo_err *err)
{
    struct statvfs fs;
    uint64_t room = UINT64_MAX;

    if (fstatvfs(fd, &fs) == 0 && fs.f_blocks > 0)
        room = (uint64_t)fs.f_bavail * fs.f_frsize;
    else
        room = (uint64_t)VIVO_MAX(sysconf(_SC_AVPHYS_PAGES), 0L) *
               (uint64_t)VIVO_MAX(sysconf(_SC_PAGESIZE), 0L) / 2;
    if (size < room && room - size >= SPARE_BYTES)
        return 0;
    return vivo_fail(err, ENOSPC,
                     "no room to decode the archive; TMPDIR may name another place");
}

int pack_temporary(uint64_t len, struct vivo_err *err)
{
    bool small = len <= SMALL_BYTES;
    int fd = vivo_file_nameless(small ? NULL : temporary_folder(), err);

    if (fd < 0 || small)
        return fd;
    int rc = check_room(fd, len, err);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static int room_in_spool(struct pack_members *m, uint64_t size, struct vivo_err *err)
{
    if (m->spool < 0)
        m->spool = vivo_file_nameless(temporary_folder(), err);
    return m->spool < 0 ? m->spool : check_room(m->spool, size, err);
}

static int spool(struct pack_members *m, uint64_t declared, struct pack_row *to,
                 struct vivo_op *op)
{
    uint64_t len = 0;
    if (declared > PACK_MEMBER_MAX)
        return PACK_BAD_MEMBER;
    int rc = room_in_spool(m, declared, &op->err);

    if (rc == 0)
        rc = pack_reader_copy(m->reader, m->spool, m->spool_end, &len, op);
    if (rc != 0) {
        if (m->spool >= 0) /* the next one may have holes, which are zeros */
            (void)!ftruncate(m->spool, (off_t)m->spool_end);
        return rc;
    }
    to->where = PACK_IN_SPOOL;
    to->off = m->spool_end;
    to->size = len;
    m->spool_end += len;
    return 0;
}

struct wish { /* what is to be spooled on the way */
    pack_wanted_fn *fn;
    void *ctx;
    const char *locator; /* NULL = ask fn */
};

static bool is_wanted(const struct pack_members *m, const struct wish *w,
                      const char *locator, bool dicom)
{
    /* What is no object may be anything, and large: it is decoded when it is read. */
    if (!dicom && m->again <= AGAIN_MAX)
        return w->locator && strcmp(w->locator, locator) == 0;
    /* What a stream passes would have to be decoded from its beginning again, and a
     * zip that is read in no order must not be walked once for each member. */
    if (pack_reader_is_stream(m->reader) || m->again > AGAIN_MAX)
        return true;
    if (w->locator)
        return strcmp(w->locator, locator) == 0;
    return !w->fn || w->fn(w->ctx, locator);
}

/* Looks into a regular member, and spools it if that is wanted. */
static int look_into(struct pack_members *m, const struct pack_entry *e,
                     const char *locator, const struct wish *w, struct pack_row *to,
                     struct vivo_op *op)
{
    const uint8_t *head = NULL;
    size_t len = 0;
    int rc = pack_reader_head(m->reader, &head, &len, op);

    if (rc != 0)
        return rc;
    to->dicom = vivo_dcm_probe(head, len, VIVO_MAX(e->size, (uint64_t)len));
    to->size = e->size ? e->size : len;
    to->sized = e->size > 0 || len < PACK_HEAD_MAX;
    to->regular = true;
    if (pack_reader_range(m->reader, &to->off, &to->size))
        to->where = PACK_IN_FILE;
    else if (is_wanted(m, w, locator, to->dicom))
        rc = spool(m, e->size, to, op);
    return rc;
}

/* Another pass over what is in the table already. */
static int step_known(struct pack_members *m, const struct pack_entry *e,
                      const struct wish *w, struct vivo_op *op)
{
    pthread_mutex_lock(&m->mutex);
    struct pack_row was = m->table.rows[m->cursor];
    pthread_mutex_unlock(&m->mutex);
    int rc = 0;

    if (was.regular && was.where == PACK_NOWHERE &&
        is_wanted(m, w, was.locator, was.dicom))
        rc = look_into(m, e, was.locator, w, &was, op);
    if (rc < 0)
        return rc;
    if (rc == PACK_BAD_MEMBER)
        was.where = PACK_CANNOT;
    pthread_mutex_lock(&m->mutex);
    struct pack_row *now = &m->table.rows[m->cursor];
    now->where = was.where;
    now->off = was.off;
    now->size = was.size;
    pthread_mutex_unlock(&m->mutex);
    return 0;
}

static int step_new(struct pack_members *m, const struct pack_entry *e,
                    const struct wish *w, struct vivo_op *op)
{
    char unnamed[40];
    struct pack_row is = {.folder = e->folder};
    const char *path = e->path;
    int rc = 0;

    if (!path) {
        snprintf(unnamed, sizeof unnamed, "#%zu", m->cursor + 1);
        path = unnamed;
    }
    if (e->readable)
        rc = look_into(m, e, path, w, &is, op);
    if (rc < 0)
        return rc;
    bool bad = rc == PACK_BAD_MEMBER;
    is.dicom = is.dicom && !bad;
    is.regular = is.regular && !bad;
    pthread_mutex_lock(&m->mutex);
    rc = pack_table_add(&m->table, path, &is);
    m->encrypted += e->encrypted;
    m->bad += bad;
    pthread_mutex_unlock(&m->mutex);
    return rc < 0 ? vivo_fail(&op->err, ENOMEM, "too many members in one archive") : 0;
}

/* The next step begins a new pass. */
static void restart(struct pack_members *m)
{
    pack_reader_free(m->reader);
    m->reader = NULL;
    m->cursor = 0;
}

static int need_reader(struct pack_members *m, struct vivo_err *err)
{
    struct vivo_err why = {0};

    if (m->reader || pack_reader_new(m->fd, m->id.size, &m->reader, &why) == 0)
        return 0;
    /* It was one when it was opened. */
    return vivo_fail(err, why.errnum == EINVAL ? EBADMSG : why.errnum,
                     "the archive file %s", why.text);
}

static int step_once(struct pack_members *m, const struct wish *w, struct vivo_op *op)
{
    struct pack_entry e;
    int rc = need_reader(m, &op->err);

    if (rc == 0)
        rc = pack_reader_next(m->reader, &e, op);
    if (rc == -EINTR || rc == -ETIMEDOUT)
        return rc; /* between two members: the reader can go on */
    if (rc > 0) {
        pthread_mutex_lock(&m->mutex);
        bool known = m->cursor < m->table.n;
        pthread_mutex_unlock(&m->mutex);
        rc = known ? step_known(m, &e, w, op) : step_new(m, &e, w, op);
        if (rc == 0) {
            m->cursor++;
            return 1;
        }
    }
    restart(m);
    return rc;
}

/* 1 = one member further, 0 = the end. The caller is the decoder. */
static int step(struct pack_members *m, const struct wish *w, struct vivo_op *op)
{
    int rc = step_once(m, w, op);

    pthread_mutex_lock(&m->mutex);
    if (rc == 0)
        m->complete = true;
    pthread_cond_broadcast(&m->moved);
    pthread_mutex_unlock(&m->mutex);
    return rc;
}

/* ---- passing all, finding one ---------------------------------------------------- */

/* 1 = this thread is the decoder now, 0 = all members are in the table. */
static int begin_pass(struct pack_members *m, struct vivo_op *op)
{
    int rc = 0;

    pthread_mutex_lock(&m->mutex);
    while (rc == 0 && m->decoding && !m->complete) {
        wait_moved(m);
        rc = vivo_op_check(op);
    }
    if (rc == 0 && !m->complete) {
        m->decoding = true;
        rc = 1;
    }
    pthread_mutex_unlock(&m->mutex);
    return rc;
}

int pack_members_complete(struct pack_members *m, pack_wanted_fn *wanted, void *ctx,
                          struct vivo_op *op)
{
    struct wish w = {.fn = wanted, .ctx = ctx};
    int rc = begin_pass(m, op);

    if (rc <= 0)
        return rc;
    while (rc > 0)
        rc = step(m, &w, op);
    stop_decoding(m);
    return rc;
}

size_t pack_members_count(struct pack_members *m)
{
    pthread_mutex_lock(&m->mutex);
    size_t n = m->table.n;
    pthread_mutex_unlock(&m->mutex);
    return n;
}

void pack_members_get(struct pack_members *m, size_t i, struct pack_member *out)
{
    pthread_mutex_lock(&m->mutex);
    const struct pack_row *is = &m->table.rows[i];
    *out = (struct pack_member){
        .locator = is->locator,
        .size = is->size,
        .dicom = is->dicom,
        .regular = is->regular,
        .sized = is->sized,
        .folder = is->folder,
        .superseded = is->superseded,
    };
    pthread_mutex_unlock(&m->mutex);
}

size_t pack_members_encrypted(struct pack_members *m)
{
    pthread_mutex_lock(&m->mutex);
    size_t n = m->encrypted;
    pthread_mutex_unlock(&m->mutex);
    return n;
}

size_t pack_members_bad(struct pack_members *m)
{
    pthread_mutex_lock(&m->mutex);
    size_t n = m->bad;
    pthread_mutex_unlock(&m->mutex);
    return n;
}

struct pack_ask {
    const char *locator;
    bool extra;
};

/* What the table says: 1 = *out is set, 0 = decode further, or an error. *index: where
 * in the table it is. The mutex is held. */
static int look_up(struct pack_members *m, const struct pack_ask *ask,
                   struct pack_place *out, size_t *index, struct vivo_err *err)
{
    const struct pack_row *is = pack_table_find(&m->table, ask->locator);

    *index = is ? (size_t)(is - m->table.rows) : SIZE_MAX;
    if (!is && !m->complete)
        return 0;
    if (!is || !is->regular || (!is->dicom && !ask->extra))
        return vivo_fail(err, ENOENT, "the archive has no such member");
    if (is->where == PACK_CANNOT)
        return vivo_fail(err, EIO, "a member of the archive cannot be decoded");
    if (is->where == PACK_NOWHERE)
        return 0;
    *out = (struct pack_place){
        .fd = is->where == PACK_IN_FILE ? m->fd : m->spool,
        .off = is->off,
        .len = is->size,
        .index = *index,
    };
    return 1;
}

/* As look_up, or 2: this thread is the decoder now. */
static int look_up_or_decode(struct pack_members *m, const struct pack_ask *ask,
                             struct pack_place *out, size_t *index, struct vivo_op *op)
{
    pthread_mutex_lock(&m->mutex);
    int rc = look_up(m, ask, out, index, &op->err);
    while (rc == 0 && m->decoding) {
        wait_moved(m);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = look_up(m, ask, out, index, &op->err);
    }
    if (rc == 0) {
        m->decoding = true;
        rc = 2;
    }
    pthread_mutex_unlock(&m->mutex);
    return rc;
}

static void go_back(struct pack_members *m)
{
    m->again++;
    restart(m);
}

/* Decodes until the table knows where the member is, or that it is not. */
static int decode_to(struct pack_members *m, const struct pack_ask *ask,
                     struct pack_place *out, size_t index, struct vivo_op *op)
{
    struct wish w = {.locator = ask->locator};
    int rc = 0;

    if (index < m->cursor) /* it was passed without being spooled */
        go_back(m);
    while (rc == 0) {
        rc = step(m, &w, op);
        if (rc < 0)
            break;
        pthread_mutex_lock(&m->mutex);
        rc = look_up(m, ask, out, &index, &op->err);
        pthread_mutex_unlock(&m->mutex);
        if (rc == 0 && index < m->cursor)
            go_back(m);
    }
    return rc;
}

int pack_members_find(struct pack_members *m, const char *locator, bool extra,
                      struct pack_place *out, struct vivo_op *op)
{
    const struct pack_ask ask = {locator, extra};
    size_t index = SIZE_MAX;
    int rc = look_up_or_decode(m, &ask, out, &index, op);

    if (rc == 2) {
        rc = decode_to(m, &ask, out, index, op);
        stop_decoding(m);
    }
    return rc < 0 ? rc : 0;
}

int pack_place_send(const struct pack_place *at, struct vivo_sink *to,
                    struct vivo_op *op)
{
    VIVO_AUTO(vivo_free_p) uint8_t *block = malloc(COPY_BYTES);
    int rc = 0;

    if (!block)
        return vivo_fail(&op->err, ENOMEM, "no memory to read a member");
    for (uint64_t off = 0; rc == 0 && off < at->len;) {
        size_t n = (size_t)VIVO_MIN(at->len - off, (uint64_t)COPY_BYTES);
        rc = vivo_op_check(op);
        if (rc == 0)
            rc = vivo_pread_full(at->fd, block, n, at->off + off, &op->err);
        if (rc == 0)
            rc = to->write(to, block, n, &op->err);
        off += n;
    }
    return rc;
}
