/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_series.c -- a UID a series: .tcia, bare UIDs, tables of series.
 *
 * A UID alone says nothing of collection, patient and study. Of the first series that
 * is not known yet the NBIA server is asked for its collection, whose series then come
 * in one reply: two requests a collection, not one a series. */
#include "drivers/dicomjson.h"
#include "drivers/manifest.h"
#include "drivers/nbia.h"
#include "vivofs/log.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define TCIA "nbia+https://services.cancerimagingarchive.net/nbia-api"
#define UIDS_MAX 4000000u
#define UIDS_BYTES ((size_t)512 << 20)
#define ROW_BYTES (16u << 20)

struct uid {
    const char *text;
    bool found;
};

struct uids {
    struct manifest *m;
    struct vivo_intake *in;
    struct vivo_op *op;
    struct vivo_arena *arena;
    struct uid *list; /* ascending, once it is complete */
    size_t n, cap;
    size_t bad, first_bad; /* lines that name no series */
    char source[MANIFEST_URL_MAX];
};

/* ---- what another archive lists
 * ---------------------------------------------------- */

struct passing {
    struct vivo_intake base;
    struct vivo_intake *to;
    const char *source;
    struct uids *only; /* NULL = everything */
};

static struct passing *passing_of(struct vivo_intake *in)
{
    return (struct passing *)(void *)in;
}

static bool locator_of(const struct passing *p, const char *locator, struct vivo_buf *b)
{
    vivo_buf_init(b, (size_t)1 << 16);
    return vivo_buf_printf(b, "N%s\t%s", p->source, locator) == 0;
}

static struct uid *find(const struct uids *u, const char *text)
{
    size_t lo = 0, hi = u->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(u->list[mid].text, text);
        if (c == 0)
            return &u->list[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool is_wanted(struct passing *p, const struct vivo_record *rec)
{
    char text[VIVO_UID_MAX + 1];
    struct uid *uid;

    if (!p->only)
        return true;
    vivo_attrs_text(rec->attrs, VIVO_TAG_SeriesInstanceUID, text, sizeof text);
    uid = find(p->only, text);
    if (uid)
        uid->found = true;
    return uid != NULL;
}

static int pass_record(struct vivo_intake *in, const struct vivo_record *rec,
                       struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    struct passing *p = passing_of(in);
    struct vivo_record copy = *rec;

    if (!is_wanted(p, rec))
        return 0;
    if (!locator_of(p, rec->locator, &locator))
        return vivo_fail(err, EIO, "a locator of another archive is too long");
    copy.locator = (const char *)locator.data;
    return p->to->record(p->to, &copy, err);
}

static bool pass_known(struct vivo_intake *in, const char *locator, const char *version)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf own = {0};
    struct passing *p = passing_of(in);

    return locator_of(p, locator, &own) &&
           p->to->known(p->to, (const char *)own.data, version);
}

static void pass_other(struct vivo_intake *in, const char *locator, const char *version)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf own = {0};
    struct passing *p = passing_of(in);

    if (!p->only && locator_of(p, locator, &own))
        p->to->other(p->to, (const char *)own.data, version);
}

static void pass_alive(struct vivo_intake *in)
{
    struct passing *p = passing_of(in);

    p->to->alive(p->to);
}

static int list_through(struct manifest *m, struct vivo_archive *sub,
                        enum vivo_level level, const char *parent, struct passing *p,
                        struct vivo_op *op)
{
    uint64_t before = atomic_load(&sub->requests);
    int rc;

    p->base = (struct vivo_intake){.record = pass_record,
                                   .known = p->only ? NULL : pass_known,
                                   .other = pass_other,
                                   .alive = pass_alive};
    rc = vivo_archive_list(sub, level, parent, &p->base, op);
    atomic_fetch_add(&m->base.requests, atomic_load(&sub->requests) - before);
    return rc;
}

static int pass_on(struct manifest *m, const char *source, enum vivo_level level,
                   const char *parent, struct uids *only, struct vivo_intake *in,
                   struct vivo_op *op)
{
    struct passing p = {.to = in, .source = source, .only = only};
    struct vivo_archive *sub;
    int rc = vivo_manifest_sub(m, source, &sub, &op->err);

    return rc < 0 ? rc : list_through(m, sub, level, parent, &p, op);
}

int vivo_manifest_pass_on(struct manifest *m, const char *source, const char *home,
                          struct vivo_intake *in, struct vivo_op *op)
{
    struct passing p = {.to = in, .source = home};
    struct vivo_archive *sub = NULL;
    int rc = vivo_manifest_open(m, source, &sub, &op->err);

    if (rc == 0)
        rc = list_through(m, sub, VIVO_LEVEL_NONE, NULL, &p, op);
    vivo_archive_close(sub);
    return rc;
}

int vivo_manifest_list_series(struct manifest *m, const char *locator,
                              struct vivo_intake *in, struct vivo_op *op)
{
    const char *tab = strchr(locator, '\t');
    char source[MANIFEST_URL_MAX];

    if (locator[0] != 'N' || !tab || tab - locator - 1 >= MANIFEST_URL_MAX)
        return vivo_fail(&op->err, ENOENT, "not a locator of a manifest's series");
    memcpy(source, locator + 1, (size_t)(tab - locator - 1));
    source[tab - locator - 1] = '\0';
    return pass_on(m, source, VIVO_LEVEL_SERIES, tab + 1, NULL, in, op);
}

/* ---- what nobody has
 * --------------------------------------------------------------- */

static int put(struct vivo_buf *b, uint32_t tag, const char *vr, const char *text)
{
    return *text ? vivo_attrs_put(b, tag, vr, text, strlen(text)) : 0;
}

int vivo_manifest_unknown(struct vivo_intake *in, const char *series, const char *word,
                          struct vivo_op *op)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    struct vivo_record rec = {.level = VIVO_LEVEL_INSTANCE, .headers = true};
    int rc;

    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&locator, MANIFEST_LOCATOR_MAX);
    /* Said to be all that there is: a query need not ask for more, which would fail. */
    rc = put(&attrs, VIVO_TAG_SpecificCharacterSet, "CS", "ISO_IR 192");
    if (rc == 0)
        rc = put(&attrs, VIVO_TAG_SeriesDescription, "LO", "NOT IN THE ARCHIVE");
    if (rc == 0)
        rc = put(&attrs, VIVO_TAG_SeriesInstanceUID, "UI", series);
    if (rc == 0)
        rc = vivo_buf_printf(&locator, "X%s", word);
    if (rc < 0)
        return vivo_fail(&op->err, ENOMEM, "no memory for a record");
    rec.locator = (const char *)locator.data;
    rec.key = rec.locator;
    rec.attrs = (struct vivo_attrs){attrs.data, attrs.len};
    return in->record(in, &rec, &op->err);
}

/* ---- reading the UIDs
 * -------------------------------------------------------------- */

static int add_uid(struct uids *u, const char *text)
{
    if (u->n == UIDS_MAX)
        return vivo_fail(&u->op->err, EBADMSG, "the manifest has more than %u series",
                         UIDS_MAX);
    struct uid *list =
        vivo_array_grow(u->list, u->n, &u->cap, sizeof *list, VIVO_ARRAY_MAX);
    if (!list)
        return vivo_fail(&u->op->err, ENOMEM, "no memory for a manifest");
    u->list = list;
    u->list[u->n] = (struct uid){vivo_arena_strndup(u->arena, text, strlen(text)), 0};
    if (!u->list[u->n].text)
        return vivo_fail(&u->op->err, ENOMEM, "no memory for a manifest");
    u->n++;
    return 0;
}

/* What is no UID is counted, and shown among the others: the rest stays usable. */
static int add_word(struct uids *u, const struct manifest_text *t, char *word)
{
    char locator[40];
    char *uid = vivo_manifest_bare(word);

    if (vivo_manifest_uid_ok(uid))
        return add_uid(u, uid);
    if (u->bad++ == 0)
        u->first_bad = t->number;
    snprintf(locator, sizeof locator, "?line %zu", t->number);
    u->in->other(u->in, locator, NULL);
    return 0;
}

/* "https://host/nbia-download/servlet/DownloadServlet" -> nbia+https://host/nbia-api,
 * as the Data Retriever's own command line does. What TCIA called "public" until 2021
 * is its server "nbia" today; the old name stands in most manifests that there are. */
static int take_server(struct uids *u, const char *url)
{
    static const char was[] = "://public.cancerimagingarchive.net/";
    static const char is[] = "://nbia.cancerimagingarchive.net/";
    const char *tail = strstr(url, "nbia-download");
    const char *old = strstr(url, was);
    int n = tail ? (int)(tail - url) : 0;

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return vivo_fail(&u->op->err, EBADMSG,
                         "the manifest: downloadServerUrl is no http URL");
    if (!tail || strchr(url, '@') || strpbrk(url, " ?#\t") || n > MANIFEST_URL_MAX / 2)
        return vivo_fail(&u->op->err, EBADMSG,
                         "the manifest: downloadServerUrl names no NBIA server");
    if (old && old < tail)
        snprintf(u->source, sizeof u->source, "nbia+%.*s%snbia-api", (int)(old - url),
                 url, is);
    else
        snprintf(u->source, sizeof u->source, "nbia+%.*snbia-api", n, url);
    return 0;
}

static int too_old(struct uids *u)
{
    return vivo_fail(&u->op->err, EBADMSG,
                     "a manifest of version 1 or 2 holds no series: its list was on "
                     "the server; ask for one of version 3");
}

static int take_line(struct uids *u, const struct manifest_text *t, char *s)
{
    const char *value = vivo_manifest_value(s, "downloadServerUrl");
    char *eq = strchr(s, '=');
    char *comma = strchr(s, ',');

    if (value)
        return take_server(u, value);
    if (vivo_manifest_value(s, "tempLoc"))
        return too_old(u);
    if (vivo_manifest_value(s, "ListOfSeriesToDownload"))
        s = vivo_manifest_bare(eq + 1); /* the first one may stand in the same line */
    else if (eq)
        return 0; /* keys that say nothing of what is there */
    if (!*s || *s == '#')
        return 0;
    if (comma)
        *comma = '\0';
    return add_word(u, t, s);
}

static int read_lines(struct uids *u, struct manifest_text *t)
{
    char *s;
    int rc;

    while ((rc = vivo_manifest_line(t, &s, &u->op->err)) == 1) {
        rc = take_line(u, t, s);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int read_table(struct uids *u, struct manifest_text *t)
{
    int at = vivo_manifest_read_head(t, "SeriesInstanceUID");
    char none[1] = "";
    int rc = 1;

    if (at < 0)
        return vivo_fail(&u->op->err, EBADMSG,
                         "the manifest has no column SeriesInstanceUID");
    while (rc == 1 && (rc = vivo_manifest_record(t, &u->op->err)) == 1) {
        if (vivo_manifest_is_empty(t)) /* as spreadsheets end */
            continue;
        rc =
            add_word(u, t, (size_t)at < t->nfields ? t->fields[at] : none) < 0 ? -1 : 1;
    }
    return rc < 0 ? -u->op->err.errnum : rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct uid *)a)->text, ((const struct uid *)b)->text);
}

static void sort_uids(struct uids *u)
{
    size_t n = 0;

    if (u->n)
        qsort(u->list, u->n, sizeof *u->list, compare);
    for (size_t i = 0; i < u->n; i++)
        if (n == 0 || strcmp(u->list[n - 1].text, u->list[i].text) != 0)
            u->list[n++] = u->list[i];
    u->n = n;
}

/* ---- asking
 * ------------------------------------------------------------------------ */

/* The collection of a series; "" = the archive does not know it. */
static int ask_collection(struct uids *u, struct nbia *n, const char *uid,
                          struct nbia_place *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf body = {0};
    struct vivo_dicomjson_rows rows;
    const char *object;
    char query[128];
    size_t len;
    int rc;

    *out = (struct nbia_place){0};
    vivo_buf_init(&body, ROW_BYTES);
    snprintf(query, sizeof query, "getSeries?SeriesInstanceUID=%s", uid);
    rc = vivo_nbia_ask(n, query, ROW_BYTES, &body, u->op);
    if (rc < 0 || vivo_nbia_is_empty(&body))
        return rc;
    vivo_dicomjson_rows_init(&rows, body.data, body.len);
    while ((rc = vivo_dicomjson_next(&rows, &object, &len, &u->op->err)) > 0) {
        rc = vivo_nbia_series(object, len, out, &u->op->err);
        if (rc < 0 || !strcmp(out->series, uid))
            return rc;
        out->collection[0] = '\0';
    }
    return rc;
}

static int settle_one(struct uids *u, struct nbia *n, struct uid *uid)
{
    char locator[NBIA_LOCATOR_MAX];
    struct nbia_place at;
    uint64_t before = atomic_load(&n->base.requests);
    int rc = ask_collection(u, n, uid->text, &at);

    atomic_fetch_add(&u->m->base.requests, atomic_load(&n->base.requests) - before);
    if (rc == 0 && at.collection[0]) {
        vivo_nbia_place_write(&at, VIVO_LEVEL_COLLECTION, locator);
        rc = pass_on(u->m, u->source, VIVO_LEVEL_COLLECTION, locator, u, u->in, u->op);
    }
    if (rc == 0 && !uid->found)
        rc = vivo_manifest_unknown(u->in, uid->text, uid->text, u->op);
    return rc;
}

static int settle(struct uids *u)
{
    struct vivo_archive *sub;
    size_t unknown = 0;
    int rc = vivo_manifest_sub(u->m, u->source, &sub, &u->op->err);

    if (rc == 0)
        rc = vivo_archive_probe(sub, u->op);
    for (size_t i = 0; rc == 0 && i < u->n; i++) {
        if (u->list[i].found)
            continue;
        rc = vivo_op_check(u->op);
        if (rc == 0)
            rc = settle_one(u, nbia_of(sub), &u->list[i]);
        unknown += rc == 0 && !u->list[i].found;
    }
    if (rc == 0 && unknown)
        vivo_log(VIVO_LOG_WARN, "drivers.manifest",
                 "%zu of %zu series of the manifest are unknown to the archive",
                 unknown, u->n);
    if (rc == 0 && u->bad)
        vivo_log(VIVO_LOG_WARN, "drivers.manifest",
                 "%zu lines name no series (no UID), the first is line %zu: left out",
                 u->bad, u->first_bad);
    return rc;
}

int vivo_manifest_list_uids(struct manifest *m, struct manifest_text *t,
                            struct vivo_intake *in, struct vivo_op *op)
{
    struct uids *u = calloc(1, sizeof *u);
    int rc;

    if (!u)
        return vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");
    *u = (struct uids){.m = m, .in = in, .op = op, .arena = vivo_arena_new(UIDS_BYTES)};
    snprintf(u->source, sizeof u->source, "%s", TCIA);
    rc = u->arena ? 0 : vivo_fail(&op->err, ENOMEM, "no memory to read a manifest");
    if (rc == 0)
        rc = m->kind == MANIFEST_TABLE ? read_table(u, t) : read_lines(u, t);
    if (m->endpoint &&
        snprintf(u->source, sizeof u->source, "nbia+%s", m->endpoint) < 0)
        rc = vivo_fail(&op->err, EINVAL, "the endpoint is too long");
    sort_uids(u);
    if (rc == 0 && u->n == 0 && m->kind == MANIFEST_TCIA && !u->bad)
        rc = too_old(u);
    if (rc == 0 && u->n == 0)
        rc = vivo_fail(&op->err, EBADMSG, "the manifest names no series");
    if (rc == 0)
        rc = settle(u);
    vivo_arena_free(u->arena);
    free(u->list);
    free(u);
    return rc;
}
