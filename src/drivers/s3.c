/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/s3.c -- archive = the DICOM objects of a bucket, or of a part of one.
 *
 * URL:      s3://BUCKET[/FOLDER[/]], s3+http(s)://HOST[:PORT]/BUCKET[/FOLDER]; FOLDER*
 * is a prefix that need not end at a '/'
 * Lists:    top = every object with its header: a listing of keys has no attributes, so
 * the first 16 KiB of each one that is not known are read
 * Locator:  "SIZE/TAG/KEY" as listed: what is fetched is what was listed, or an error
 * Source:   Amazon S3 API Reference, 2006-03-01: ListObjectsV2, GetObject. Quirks:
 * s3.md. */
#include "drivers/s3.h"
#include "drivers/crawl.h"
#include "drivers/crew.h"

#include "vivofs/hash.h"
#include "vivofs/log.h"
#include "vivofs/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOCATOR_BYTES (VIVO_S3_KEY_MAX + VIVO_S3_TAG_MAX + 32)
#define THREADS 16 /* headers at once */
#define PAGE_KEYS 1000
#define PAGE_NAMES (4u << 20)
#define TASKS_BYTES (16u << 20)

struct s3 {
    struct vivo_archive base;
    struct vivo_s3 *store;
    char bucket[VIVO_S3_BUCKET_MAX + 1];
    char prefix[VIVO_S3_KEY_MAX + 2];
};

static struct s3 *s3_of(struct vivo_archive *a)
{
    return (struct s3 *)a;
}

/* ---- locators ------------------------------------------------------------------- */

struct place {
    uint64_t size;
    char tag[VIVO_S3_TAG_MAX + 1];
    const char *key; /* in the locator */
};

static void write_locator(const struct vivo_s3_entry *e, char out[LOCATOR_BYTES])
{
    snprintf(out, LOCATOR_BYTES, "%" PRIu64 "/%s/%s", e->size, e->tag, e->key);
}

static int read_locator(const struct s3 *s, const char *locator, struct place *out,
                        struct vivo_err *err)
{
    size_t digits = strspn(locator, "0123456789");
    const char *tag = locator + digits + 1;
    size_t n = locator[digits] == '/' ? strcspn(tag, "/") : SIZE_MAX;
    if (digits == 0 || digits > 15 || n > VIVO_S3_TAG_MAX || tag[n] != '/')
        return vivo_fail(err, ENOENT, "not a locator of an object of a bucket");
    out->size = strtoull(locator, NULL, 10);
    memcpy(out->tag, tag, n);
    out->tag[n] = '\0';
    out->key = tag + n + 1;
    if (out->size == 0 || !vivo_s3_key_ok(out->key) ||
        strncmp(out->key, s->prefix, strlen(s->prefix)) != 0)
        return vivo_fail(err, ENOENT, "not a locator of an object of this source");
    return 0;
}

/* ---- making --------------------------------------------------------------------- */

static void close_s3(struct vivo_archive *self)
{
    struct s3 *s = s3_of(self);
    vivo_s3_free(s->store);
    free(s);
}

/* "BUCKET/FOLDER": of a folder only what is in it, so that study1 is not study10. */
static int read_place(struct s3 *s, const char *text, struct vivo_err *err)
{
    size_t n = strcspn(text, "/");
    if (!vivo_s3_bucket_ok(text, n))
        return vivo_fail(err, EINVAL,
                         "expected s3://BUCKET/FOLDER or s3+https://HOST/BUCKET/FOLDER "
                         "(a bucket's name has letters, digits, '.', '-' and '_')");
    memcpy(s->bucket, text, n);
    const char *prefix = text + n + strspn(text + n, "/");
    size_t len = strlen(prefix);
    bool open_end = len && prefix[len - 1] == '*';
    len -= open_end;
    if (len > VIVO_S3_KEY_MAX)
        return vivo_fail(err, EINVAL, "the prefix is longer than %d bytes",
                         VIVO_S3_KEY_MAX);
    memcpy(s->prefix, prefix, len);
    if (len && !open_end && prefix[len - 1] != '/')
        s->prefix[len] = '/';
    return 0;
}

static int read_source(struct s3 *s, const struct vivo_archive_config *cfg,
                       struct vivo_err *err)
{
    struct vivo_s3_config store = {.endpoint = cfg->endpoint, .sign = true};
    const char *source = cfg->source;
    char endpoint[512];
    int rc;
    if (strncmp(source, "s3+", 3) == 0) {
        const char *url = source + 3;
        const char *host = strstr(url, "://") + 3;
        size_t n = (size_t)(host - url) + strcspn(host, "/");
        if (cfg->endpoint || n >= sizeof endpoint)
            return vivo_fail(err, EINVAL,
                             "s3: the endpoint is given twice, or too long");
        memcpy(endpoint, url, n);
        endpoint[n] = '\0';
        store.endpoint = endpoint;
        rc = read_place(s, url + n + strspn(url + n, "/"), err);
    } else {
        rc = read_place(s, source + strlen("s3://"), err);
    }
    return rc ? rc : vivo_s3_new(&store, &s->base, &s->store, err);
}

static int open_s3(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                   struct vivo_err *err)
{
    if (!cfg->net)
        return vivo_fail(err, EINVAL, "s3: needs the network");
    if (strncmp(cfg->source, "s3://", 5) != 0 &&
        strncmp(cfg->source, "s3+http://", 10) != 0 &&
        strncmp(cfg->source, "s3+https://", 11) != 0)
        return vivo_fail(err, EINVAL, "expected s3://BUCKET/FOLDER");
    struct s3 *s = calloc(1, sizeof *s);
    if (!s)
        return vivo_fail(err, ENOMEM, "s3: out of memory");
    s->base.net = cfg->net;
    int rc = read_source(s, cfg, err);
    if (rc) {
        close_s3(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

/* ---- list ----------------------------------------------------------------------- */

/* Tasks of the crew: 'P' = the next page of keys, 'H' and a locator = a header. A page
 * puts the one after it below its own keys, so that no more than one page of them is
 * ever waiting. */
struct listing {
    struct s3 *s;
    struct vivo_intake *in;
    struct vivo_s3_pages pages; /* of the one page task that there is */
    atomic_uint_least64_t locked, readable;
};

struct taking { /* one page */
    struct listing *l;
    struct vivo_arena *names;
    char **tasks;
    size_t n;
};

/* Where it lies below the source. */
static const char *path_of(const struct s3 *s, const char *key)
{
    const char *slash = strrchr(s->prefix, '/');
    return key + (slash ? slash + 1 - s->prefix : 0);
}

static int put_extra(struct listing *l, const char *locator, const char *key,
                     const char *tag, uint64_t size, struct vivo_err *err)
{
    const struct vivo_extra x = {.locator = locator,
                                 .path = path_of(l->s, key),
                                 .version = tag[0] ? tag : NULL,
                                 .size = size};
    return l->in->extra(l->in, &x, err);
}

/* A digest stands for what cannot be asked for. */
static void tell_bad(struct listing *l, const struct vivo_s3_entry *e)
{
    char locator[32] = "?";
    vivo_short_name(e->key, strlen(e->key), locator + 1, 12);
    l->in->other(l->in, locator, e->tag);
}

static int take_key(void *ctx, const struct vivo_s3_entry *e, struct vivo_err *err)
{
    struct taking *t = ctx;
    struct listing *l = t->l;
    char task[1 + LOCATOR_BYTES] = "H";
    size_t len = strlen(e->key);
    if (e->size == 0 && len && e->key[len - 1] == '/')
        return 0; /* what consoles make to show a folder */
    if (!vivo_s3_key_ok(e->key)) {
        tell_bad(l, e);
        return 0;
    }
    write_locator(e, task + 1);
    if (e->tag[0] && l->in->known(l->in, task + 1, e->tag)) {
        atomic_fetch_add(&l->readable, 1);
        return 0;
    }
    if (e->size == 0 || vivo_crawl_is_surely_other(e->key))
        return put_extra(l, task + 1, e->key, e->tag, e->size, err);
    if (t->n == PAGE_KEYS)
        return vivo_fail(err, EIO, "the store lists more keys than were asked for");
    t->tasks[t->n] = vivo_arena_strndup(t->names, task, strlen(task));
    if (!t->tasks[t->n])
        return vivo_fail(err, ENOMEM, "s3: out of memory");
    t->n++;
    return 0;
}

static int take_page(struct vivo_crew *crew, struct listing *l, struct vivo_op *op)
{
    struct taking t = {.l = l, .names = vivo_arena_new(PAGE_NAMES)};
    t.tasks = calloc(PAGE_KEYS, sizeof *t.tasks);
    int rc = t.tasks && t.names ? 0 : vivo_fail(&op->err, ENOMEM, "s3: out of memory");
    if (rc == 0)
        rc = vivo_s3_next_page(l->s->store, &l->pages, take_key, &t, op);
    if (rc == 0 && l->in->alive)
        l->in->alive(l->in);
    if (rc == 0 && !l->pages.over)
        rc = vivo_crew_add(crew, "P", &op->err);
    for (size_t i = t.n; i > 0 && rc == 0; i--)
        rc = vivo_crew_add(crew, t.tasks[i - 1], &op->err);
    vivo_arena_free(t.names);
    free(t.tasks);
    return rc;
}

/* An object of another owner, or one in an archive of the store: the others are not
 * worse for it. It has no version, so that every listing tries again. */
static int note_locked(struct listing *l, const char *locator, struct vivo_op *op)
{
    if (atomic_fetch_add(&l->locked, 1) == 0)
        vivo_log(VIVO_LOG_WARN, "drivers.s3", "an object: %s", op->err.text);
    vivo_err_clear(&op->err);
    l->in->other(l->in, locator, NULL);
    return 0;
}

/* Where nothing may be read it is the account that is wrong. */
static int tell_locked(struct listing *l, struct vivo_err *err)
{
    uint64_t locked = atomic_load(&l->locked);
    if (!locked)
        return 0;
    if (atomic_load(&l->readable) == 0)
        return vivo_fail(err, EACCES,
                         "the store lists the bucket, but lets none of its objects be "
                         "read without other keys (AWS_ACCESS_KEY_ID)");
    vivo_log(VIVO_LOG_WARN, "drivers.s3",
             "%" PRIu64 " objects that this account may not read are left out", locked);
    return 0;
}

static int take_header(struct vivo_crew *crew, struct listing *l, const char *locator,
                       struct vivo_op *op)
{
    struct place p;
    struct vivo_ranged_header h;
    int rc = read_locator(l->s, locator, &p, &op->err);
    if (rc)
        return rc;
    const struct vivo_s3_object object = {l->s->bucket, p.key, p.tag, p.size};
    const char *version = p.tag[0] ? p.tag : NULL;
    rc = vivo_s3_header(l->s->store, &object, &h, op);
    atomic_fetch_add(&l->readable, rc == 0 && (h.object || h.foreign));
    if (rc == 0 && h.object) {
        const struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE,
                                        .locator = locator,
                                        .where = path_of(l->s, p.key),
                                        .version = version,
                                        .size = p.size,
                                        .attrs = {h.attrs.data, h.attrs.len},
                                        .headers = true};
        rc = vivo_crew_record(crew, l->in, &rec, &op->err);
    } else if (rc == 0 && h.foreign) {
        rc = put_extra(l, locator, p.key, p.tag, p.size, &op->err);
    } else if (rc == 0) {
        l->in->other(l->in, locator, version);
    } else if (rc == -ENOENT) {
        vivo_err_clear(&op->err); /* deleted since its page was made */
        rc = 0;
    } else if (rc == -EACCES && h.reply.status == 403) {
        rc = note_locked(l, locator, op);
    }
    vivo_ranged_header_free(&h);
    return rc;
}

static int do_task(struct vivo_crew *crew, void *ctx, const char *task,
                   struct vivo_op *op)
{
    struct listing *l = ctx;
    return task[0] == 'P' ? take_page(crew, l, op) : take_header(crew, l, task + 1, op);
}

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    struct s3 *s = s3_of(self);
    VIVO_AUTO(vivo_free_p) struct listing *l = calloc(1, sizeof *l);
    (void)level;
    (void)parent;
    if (!l)
        return vivo_fail(&op->err, ENOMEM, "s3: out of memory");
    l->s = s;
    l->in = in;
    l->pages.bucket = s->bucket;
    l->pages.prefix = s->prefix;
    int rc = vivo_crew_run(THREADS, TASKS_BYTES, do_task, l, "P", op);
    if (rc == 0 && !l->pages.any && s->prefix[0])
        return vivo_fail(&op->err, ENOENT, "the bucket has no such folder");
    return rc ? rc : tell_locked(l, &op->err);
}

static int stop_at_once(void *ctx, const struct vivo_s3_entry *e, struct vivo_err *err)
{
    (void)ctx;
    (void)e;
    (void)err;
    return 1;
}

static int probe(struct vivo_archive *self, struct vivo_op *op)
{
    struct s3 *s = s3_of(self);
    int rc = vivo_s3_list(s->store, s->bucket, s->prefix, stop_at_once, NULL, op);
    if (rc == 0 && s->prefix[0])
        return vivo_fail(&op->err, ENOENT, "the bucket has no such folder");
    return rc < 0 ? rc : 0;
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    struct s3 *s = s3_of(self);
    struct place p;
    int rc = read_locator(s, locator, &p, &op->err);
    if (rc)
        return rc;
    const struct vivo_s3_object object = {s->bucket, p.key, p.tag, p.size};
    return vivo_s3_get(s->store, &object, to, op);
}

/* Of Amazon's own buckets: "s3://BUCKET/KEY", if the key can stand in one. */
static int url(struct vivo_archive *self, const char *locator, struct vivo_buf *out)
{
    struct s3 *s = s3_of(self);
    struct vivo_err err = {0};
    struct place p;
    if (strncmp(self->source, "s3://", 5) != 0 || read_locator(s, locator, &p, &err) ||
        strpbrk(p.key, " \t\r\n#*?'"))
        return -EOPNOTSUPP;
    return vivo_buf_printf(out, "s3://%s/%s", s->bucket, p.key);
}

extern const struct vivo_driver vivo_driver_s3;
const struct vivo_driver vivo_driver_s3 = {
    .name = "s3",
    .summary = "DICOM objects of a bucket (Amazon S3 and stores like it)",
    .schemes = "s3 s3+http s3+https",
    .caps = VIVO_CAP_SAME_BYTES,
    .lists = 1u << VIVO_LEVEL_NONE,
    .open = open_s3,
    .close = close_s3,
    .probe = probe,
    .list = list,
    .fetch = fetch,
    .url = url,
};
