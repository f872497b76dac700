/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/crawl.c -- see crawl.h. */
#include "crawl.h"

#include "crew.h"
#include "file_object.h"
#include "header_range.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define THREADS 8u
#define DEPTH_MAX 32 /* deeper is a loop of links */
#define FOLDERS_MAX 1000000u
#define FOLDER_BYTES (64u << 20) /* of the names of one folder */
#define TASK_BYTES (256u << 20)  /* of all that wait */
#define VERSION_MAX 320
#define DIGEST_LEN 12

struct crawl_run {
    struct vivo_crawl *crawl;
    struct vivo_intake *in;
    atomic_uint_least64_t folders, unread, pages, deep, loops, odd, dead;
    atomic_uint_least64_t locked, readable; /* files */
};

struct vivo_crawl_folder {
    struct crawl_run *run;
    const char *path;
    const char *above; /* what the folders above hold, a word of `self` for each */
    size_t above_len;
    char self[1 + DIGEST_LEN + 1];
    struct vivo_buf entries; /* 'd' or 'f', name, NUL, size:stamp, NUL */
    size_t count, files, stamped;
};

/* ---- paths ---------------------------------------------------------------------- */

/* May it be the name of a file or folder? */
static bool is_name(const char *s, size_t len)
{
    if (len == 0 || len > 255)
        return false;
    if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7F || s[i] == '/')
            return false;
    return true;
}

/* -ENOENT: it is not a locator of this kind, or leads out of the source. */
static int check_locator(const char *locator, struct vivo_err *err)
{
    size_t len = strlen(locator);
    bool good = len > 0 && len <= VIVO_CRAWL_PATH_MAX;
    for (const char *s = locator; good; s++) {
        size_t n = strcspn(s, "/");
        good = is_name(s, n);
        s += n;
        if (*s == '\0')
            break;
    }
    return good ? 0 : vivo_fail(err, ENOENT, "not a file below the source");
}

int vivo_crawl_url(const char *base, const char *path, const char *tail,
                   char url[VIVO_CRAWL_URL_MAX], struct vivo_err *err)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = strlen(base);
    size_t t = strlen(tail);
    if (n + 3 * strlen(path) + t >= VIVO_CRAWL_URL_MAX)
        return vivo_fail(err, EINVAL, "a URL is too long");
    memcpy(url, base, n);
    for (const char *s = path; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (isalnum(c) || strchr("-._~/", c)) {
            url[n++] = (char)c;
            continue;
        }
        url[n++] = '%';
        url[n++] = hex[c >> 4];
        url[n++] = hex[c & 15];
    }
    memcpy(url + n, tail, t + 1);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static long decode(const char *s, size_t len, bool loose, char *out)
{
    long n = 0;
    for (size_t i = 0; i < len; i++) {
        int high = s[i] == '%' && i + 2 < len ? hex_digit(s[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s[i + 2]) : -1;
        if (s[i] == '%' && low < 0 && !loose)
            return -1;
        out[n++] = low < 0 ? s[i] : (char)(high << 4 | low);
        i += low < 0 ? 0 : 2;
    }
    return n;
}

long vivo_crawl_decode(const char *s, size_t len, char *out)
{
    return decode(s, len, false, out);
}

long vivo_crawl_decode_link(const char *s, size_t len, char *out)
{
    return decode(s, len, true, out);
}

/* RFC 3986 section 5.2.4, in place. */
static void remove_dots(char *path)
{
    char *to = path;
    for (const char *s = path; *s == '/';) {
        size_t n = 1 + strcspn(s + 1, "/");
        bool last = s[n] == '\0';
        bool up = n == 3 && memcmp(s, "/..", 3) == 0;
        if (up || (n == 2 && s[1] == '.')) {
            while (up && to > path && *--to != '/')
                ;
            if (last)
                *to++ = '/';
        } else {
            memmove(to, s, n);
            to += n;
        }
        s += n;
    }
    *to = '\0';
}

bool vivo_crawl_resolve(const char *base, const char *link, char *out, size_t cap)
{
    const char *slash = strrchr(base, '/');
    size_t keep = *link == '/' || !slash ? 0 : (size_t)(slash - base) + 1;
    if (!*link)
        keep = strlen(base);
    if (snprintf(out, cap, "%.*s%s", (int)keep, base, link) >= (int)cap)
        return false;
    remove_dots(out);
    return true;
}

/* ---- files ---------------------------------------------------------------------- */

/* Pictures, tables and pages lie beside scans by the hundred thousand; none of their
 * endings is one of a DICOM file, so that asking for each would be bad manners. */
bool vivo_crawl_is_surely_other(const char *path)
{
    static const char *const endings[] = {
        ".html", ".htm", ".txt",  ".csv", ".tsv", ".json", ".xml", ".pdf", ".jpg",
        ".jpeg", ".png", ".gif",  ".tif", ".bmp", ".tiff", ".zip", ".gz",  ".tar",
        ".tgz",  ".bz2", ".xz",   ".7z",  ".md5", ".css",  ".js",  ".mp4", ".sha256",
        ".nh2",  ".md",  ".xlsx", ".doc", ".svg", ".docx", ".xls", ".nii"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < VIVO_ARRAY_LEN(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* A stamp out of the head of the reply, where the listing gave none. */
static const char *version_of(const struct vivo_net_reply *r, char out[VERSION_MAX])
{
    if (!r->etag[0] && !r->modified[0])
        return NULL;
    snprintf(out, VERSION_MAX, "%s %s %lld", r->etag, r->modified, (long long)r->total);
    return out;
}

/* An index tells "1.2M" or "123"; UNKNOWN where it tells none. */
static uint64_t size_in(const struct vivo_crawl *c, const char *stamp)
{
    static const char units[] = "KMGT";
    const char *last = strrchr(stamp, ' ');
    char *end;
    double size = c->sized && last ? strtod(last + 1, &end) : 0;
    if (size <= 0 || size > 1e15)
        return VIVO_SIZE_UNKNOWN;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        size *= 1024;
    return (*end && !unit) || size < 1 || size > 1e15 ? VIVO_SIZE_UNKNOWN
                                                      : (uint64_t)size;
}

static int put_extra(struct crawl_run *run, const char *path, const char *version,
                     uint64_t size, bool about, struct vivo_err *err)
{
    const struct vivo_extra x = {.locator = path,
                                 .path = path,
                                 .version = version,
                                 .size = size,
                                 .size_about = about};
    return run->in->extra(run->in, &x, err);
}

static int put_header(struct vivo_crew *crew, struct crawl_run *run, const char *path,
                      const char *version, const struct vivo_ranged_header *h,
                      struct vivo_err *err)
{
    struct vivo_record rec = {
        .level = VIVO_LEVEL_INSTANCE,
        .locator = path,
        .where = path,
        .version = version,
        .size = h->size,
        .attrs = {h->attrs.data, h->attrs.len},
        .headers = true,
    };
    if (h->object)
        return vivo_crew_record(crew, run->in, &rec, err);
    if (h->foreign)
        return put_extra(run, path, version,
                         h->reply.total >= 0 ? (uint64_t)h->reply.total
                                             : VIVO_SIZE_UNKNOWN,
                         false, err);
    run->in->other(run->in, path, version ? version : "");
    return 0;
}

/* What a failure to read one file means: a link that leads nowhere and a file that
 * this account may not read count as others, all else fails the listing. */
static int file_failed(struct crawl_run *run, const char *path, const char *version,
                       int rc, const struct vivo_net_reply *reply, struct vivo_op *op)
{
    if (rc != -ENOENT && !(rc == -EACCES && reply->status == 403))
        return rc;
    vivo_err_clear(&op->err);
    atomic_fetch_add(&run->dead, 1);
    atomic_fetch_add(&run->locked, rc == -EACCES);
    /* Without a version it is asked for again: another time it may be open, and a
     * listing of nothing but locked files must fail again. */
    run->in->other(run->in, path, rc == -EACCES ? "" : version);
    return 0;
}

static int do_file(struct vivo_crew *crew, struct crawl_run *run, const char *path,
                   const char *stamp, uint64_t size, struct vivo_op *op)
{
    struct vivo_crawl *c = run->crawl;
    char made[VERSION_MAX];
    const char *version = stamp[0] ? stamp : NULL;
    struct vivo_net_request rq = {0};
    struct vivo_ranged_header header;
    if (version && run->in->known(run->in, path, version)) {
        atomic_fetch_add(&run->readable, 1);
        return 0;
    }
    if (vivo_crawl_is_surely_other(path)) {
        if (!version && run->in->known(run->in, path, ""))
            return 0;
        bool about = size == VIVO_SIZE_UNKNOWN;
        return put_extra(run, path, version, about ? size_in(c, stamp) : size, about,
                         &op->err);
    }
    VIVO_AUTO(vivo_free_p) char *url = malloc(VIVO_CRAWL_URL_MAX);
    if (!url)
        return vivo_fail(&op->err, ENOMEM, "listing: out of memory");
    int rc = c->request(c, path, url, &rq, &op->err);
    if (rc)
        return rc;
    rc = vivo_header_range(c->archive, &rq, &header, op);
    atomic_fetch_add(&run->readable, rc == 0);
    if (header.size == 0 && size != VIVO_SIZE_UNKNOWN)
        header.size = size;
    if (rc == 0 && !version)
        version = version_of(&header.reply, made);
    if (rc)
        rc = file_failed(run, path, stamp, rc, &header.reply, op);
    else if (stamp[0] || !version || !run->in->known(run->in, path, version))
        rc = put_header(crew, run, path, version, &header, &op->err);
    vivo_ranged_header_free(&header);
    return rc;
}

/* ---- folders -------------------------------------------------------------------- */

int vivo_crawl_entry(struct vivo_crawl_folder *into, const char *name, size_t len,
                     bool folder, const char *stamp, uint64_t size,
                     struct vivo_err *err)
{
    struct vivo_buf *b = &into->entries;
    char safe[VIVO_CRAWL_STAMP_MAX + 1];
    char bytes[24] = "";
    if (!is_name(name, len)) {
        atomic_fetch_add(&into->run->odd, 1);
        return 0;
    }
    if (strlen(into->path) + len + 1 > VIVO_CRAWL_PATH_MAX) {
        atomic_fetch_add(&into->run->deep, 1);
        return 0;
    }
    snprintf(safe, sizeof safe, "%s", folder ? "" : stamp);
    if (!folder && size != VIVO_SIZE_UNKNOWN)
        snprintf(bytes, sizeof bytes, "%" PRIu64, size);
    int rc = vivo_buf_add(b, folder ? "d" : "f", 1);
    if (rc == 0)
        rc = vivo_buf_add(b, name, len);
    if (rc == 0)
        rc = vivo_buf_add(b, "", 1);
    if (rc == 0)
        rc = vivo_buf_printf(b, "%s:%s", bytes, safe);
    if (rc == 0)
        rc = vivo_buf_add(b, "", 1);
    into->count += rc == 0;
    into->files += !folder;
    into->stamped += safe[0] != '\0';
    if (rc == -ENOSPC)
        return vivo_fail(err, EIO, "a folder holds more than %u MiB of names",
                         FOLDER_BYTES >> 20);
    return rc ? vivo_fail(err, ENOMEM, "listing: out of memory") : 0;
}

/* By name, folders first, then what tells the time: an index may name one thing twice
 * (icon and text). */
static int compare_entries(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    int order = strcmp(*x + 1, *y + 1);
    size_t stamp = strlen(*x) + 1; /* the same in both when that is needed */
    if (order == 0)
        order = (*x)[0] - (*y)[0];
    return order ? order : strcmp(*y + stamp, *x + stamp);
}

static int add_task(struct vivo_crew *crew, struct vivo_crawl_folder *f,
                    const char *entry, struct vivo_buf *task, struct vivo_err *err)
{
    const char *name = entry + 1;
    const char *stamp = name + strlen(name) + 1; /* behind its size */
    vivo_buf_clear(task);
    int rc = entry[0] == 'd'
                 ? vivo_buf_printf(task, "d%.*s%s\n%s%s/", (int)f->above_len, f->above,
                                   f->self, f->path, name)
                 : vivo_buf_printf(task, "f%s\n%s%s", stamp, f->path, name);
    if (rc)
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    return vivo_crew_add(crew, (const char *)task->data, err);
}

static int add_tasks(struct vivo_crew *crew, struct vivo_crawl_folder *f,
                     struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf task = {0};
    VIVO_AUTO(vivo_free_p)
    const char **entries = calloc(f->count + 1, sizeof *entries);
    const char *p = (const char *)f->entries.data;
    const char *last = NULL;
    int rc = 0;
    if (!entries)
        return vivo_fail(err, ENOMEM, "listing: out of memory");
    vivo_buf_init(&task, VIVO_CRAWL_PATH_MAX + 1024);
    for (size_t i = 0; i < f->count; i++) {
        entries[i] = p;
        p += strlen(p) + 1;
        p += strlen(p) + 1;
    }
    qsort(entries, f->count, sizeof *entries, compare_entries);
    for (size_t i = 0; rc == 0 && i < f->count; i++) {
        if (!last || strcmp(last, entries[i] + 1) != 0)
            rc = add_task(crew, f, entries[i], &task, err);
        last = entries[i] + 1;
    }
    return rc;
}

static unsigned depth_of(const char *path)
{
    unsigned n = 0;
    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* A folder below the top that is not there, not for us, or a page for people. */
static int folder_failed(struct crawl_run *run, const char *path, int rc,
                         enum vivo_crawl_flaw flaw, struct vivo_op *op)
{
    if (!path[0] || flaw == VIVO_CRAWL_FAILED)
        return rc;
    vivo_err_clear(&op->err);
    atomic_fetch_add(flaw == VIVO_CRAWL_PAGE ? &run->pages : &run->unread, 1);
    if (!run->in->known(run->in, path, "unreadable folder"))
        run->in->other(run->in, path, "unreadable folder");
    return 0;
}

/* A link to a folder above shows the same folder for ever. It holds the same things,
 * told with the same times and sizes; where the index tells none of these, twice in a
 * row. A folder without files may well look like the one that it lies in. */
static bool is_loop(struct vivo_crawl_folder *f)
{
    unsigned seen = 0;
    if (f->files == 0)
        return false;
    f->self[0] = f->stamped == f->files ? 't' : 'n';
    vivo_short_name((const char *)f->entries.data, f->entries.len, f->self + 1,
                    DIGEST_LEN);
    for (size_t at = 0; at + DIGEST_LEN < f->above_len; at += 1 + DIGEST_LEN)
        seen += memcmp(f->above + at, f->self, 1 + DIGEST_LEN) == 0;
    return seen >= (f->self[0] == 't' ? 1 : 2);
}

/* above: `len` bytes */
static int do_folder(struct vivo_crew *crew, struct crawl_run *run, const char *path,
                     const char *above, size_t len, struct vivo_op *op)
{
    struct vivo_crawl_folder f = {
        .run = run, .path = path, .above = above, .above_len = len};
    enum vivo_crawl_flaw flaw = VIVO_CRAWL_FAILED;
    if (depth_of(path) > DEPTH_MAX) {
        atomic_fetch_add(&run->deep, 1);
        return 0;
    }
    if (atomic_fetch_add(&run->folders, 1) >= FOLDERS_MAX)
        return vivo_fail(&op->err, EIO, "more than %u folders: a loop?", FOLDERS_MAX);
    run->in->alive(run->in);
    vivo_buf_init(&f.entries, FOLDER_BYTES);
    int rc = run->crawl->folder(run->crawl, path, &flaw, &f, op);
    if (rc)
        rc = folder_failed(run, path, rc, flaw, op);
    else if (is_loop(&f))
        atomic_fetch_add(&run->loops, 1);
    else
        rc = add_tasks(crew, &f, &op->err);
    vivo_buf_free(&f.entries);
    return rc;
}

/* "dABOVE\nPATH/" or "fSIZE:STAMP\nPATH" */
static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    char stamp[VIVO_CRAWL_STAMP_MAX + 1];
    const char *path = strchr(task, '\n') + 1;
    if (task[0] == 'd')
        return do_folder(crew, ctx, path, task + 1, (size_t)(path - task - 2), op);
    const char *colon = strchr(task, ':');
    uint64_t size = colon > task + 1 ? strtoull(task + 1, NULL, 10) : VIVO_SIZE_UNKNOWN;
    snprintf(stamp, sizeof stamp, "%.*s", (int)(path - colon - 2), colon + 1);
    return do_file(crew, ctx, path, stamp, size, op);
}

static void log_left_out(struct crawl_run *run)
{
    uint64_t unread = atomic_load(&run->unread), pages = atomic_load(&run->pages);
    uint64_t deep = atomic_load(&run->deep), odd = atomic_load(&run->odd);
    uint64_t dead = atomic_load(&run->dead), loops = atomic_load(&run->loops);
    if (unread + pages + deep + odd + dead + loops == 0)
        return;
    vivo_log(VIVO_LOG_WARN, "drivers.crawl",
             "%s: left out: %" PRIu64 " folders that cannot be read, %" PRIu64
             " that are pages for people, %" PRIu64
             " files that cannot be read, %" PRIu64
             " paths too deep or too long, %" PRIu64 " links to folders above, %" PRIu64
             " names that cannot be",
             run->crawl->name, unread, pages, dead, deep, loops, odd);
}

int vivo_crawl_run(struct vivo_crawl *c, struct vivo_intake *in, struct vivo_op *op)
{
    struct crawl_run run = {.crawl = c, .in = in};
    int rc = vivo_crew_run(c->threads ? c->threads : THREADS, TASK_BYTES, do_task, &run,
                           "d\n", op);
    if (rc)
        return rc;
    /* Where nothing may be read it is the account that is wrong. */
    if (atomic_load(&run.locked) && atomic_load(&run.readable) == 0)
        return vivo_fail(&op->err, EACCES,
                         "the server lists files, but lets none of them be read");
    log_left_out(&run);
    return 0;
}

int vivo_crawl_fetch(struct vivo_crawl *c, const char *locator,
                     struct vivo_delivery *to, struct vivo_op *op)
{
    struct vivo_net_request rq;
    int rc = check_locator(locator, &op->err);
    if (rc)
        return rc;
    VIVO_AUTO(vivo_free_p) char *url = malloc(VIVO_CRAWL_URL_MAX);
    if (!url)
        return vivo_fail(&op->err, ENOMEM, "fetch: out of memory");
    rc = c->request(c, locator, url, &rq, &op->err);
    return rc ? rc : vivo_file_object(c->archive, &rq, to, NULL, op);
}
