/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/house.c -- putting archives, de-identifiers, net, store and flows together
 * for one command. Starts threads, so a command that forks calls it in the child. */
#include "cli.h"
#include "helper.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PROBE_MS = 10000, LISTS_MAX = 64 };

struct wing { /* one archive */
    const struct source *source;
    struct vivo_key *key; /* NULL with deid=none */
    struct vivo_deid *deid;
    struct vivo_filter *filter; /* NULL = every object */
    char *bearer;
    int netrc_fd;         /* what a helper gave, or -1 */
    struct vivo_net *net; /* with its own credentials and proxy; NULL when local */
    char *catalog_path;   /* NULL = temporary */
    bool closed;          /* browse=no */
    enum vivo_names names;
    struct vivo_archive *archive; /* until a flow owns it */
    struct vivo_err down; /* why it was not there when nothing was known of it */
};

struct house {
    struct vivo_store *store;
    struct wing *wings;
    struct vivo_flow **flows;
    size_t n, started, down; /* down: those not there */
    bool network;
    struct vivo_query_list *lists[LISTS_MAX];
    size_t nlists;
    char profile[256];
};

/* ---- key and policy ----------------------------------------------------------------
 */

int cli_key(const char *path, struct vivo_key **out, struct vivo_err *err)
{
    if (path && *path)
        return vivo_key_load(path, out, err);
    bool made = false;
    VIVO_AUTO(vivo_free_p) char *where = NULL;
    int rc = vivo_key_default(out, &made, &where, err);
    if (!rc && made)
        fprintf(stderr,
                "vivofs: made a key for your pseudonyms: %s (key id %s).\n"
                "        Back it up: without it the same scans get other names.\n",
                where, vivo_key_id(*out));
    return rc;
}

int cli_burned_in(const char *word, enum vivo_burned_in *out, struct vivo_err *err)
{
    if (strcmp(word, "refuse") == 0)
        *out = VIVO_BURNED_IN_REFUSE;
    else if (strcmp(word, "strict") == 0)
        *out = VIVO_BURNED_IN_STRICT;
    else if (strcmp(word, "allow") == 0)
        *out = VIVO_BURNED_IN_ALLOW;
    else
        return vivo_fail(err, EINVAL,
                         "option burned_in: '%s' is none of refuse, strict, allow",
                         word);
    return 0;
}

static int make_deid(struct wing *w, struct vivo_err *err)
{
    const struct options *o = &w->source->options;
    enum vivo_burned_in burned_in;
    int rc = cli_burned_in(o->burned_in, &burned_in, err);
    if (!rc)
        rc = vivo_deid_check(o->deid, err);
    if (!rc && o->filter[0])
        rc = vivo_filter_load(o->filter, &w->filter, err);
    /* After all that may be mistyped: the first use makes a key. */
    if (!rc && strcmp(o->deid, "none") != 0)
        rc = cli_key(o->key, &w->key, err);
    if (!rc)
        rc = vivo_deid_new(o->deid, burned_in, w->key, &w->deid, err);
    if (!rc && o->pixels[0])
        rc = vivo_deid_set_pixels(w->deid, o->pixels, err);
    return rc;
}

/* ---- where things are kept
 * ------------------------------------------------------------- */

static bool in_memory(const struct options *o)
{
    return strcmp(o->cache, "memory") == 0;
}

static char *cache_folder(const struct options *o)
{
    return o->cache[0] ? strdup(o->cache) : vivo_user_dir(VIVO_DIR_CACHE, NULL);
}

/* One catalog per source, profile and key: its name is a digest of the three. */
static int place_catalog(struct wing *w, struct vivo_err *err)
{
    const struct options *o = &w->source->options;
    if (in_memory(o))
        return 0;
    VIVO_AUTO(vivo_free_p) char *folder = cache_folder(o);
    if (!folder)
        return vivo_fail(err, ENOENT, "no cache directory: set HOME or give cache=DIR");
    struct vivo_sha256 *sha = vivo_sha256_begin();
    if (!sha)
        return vivo_fail(err, ENOMEM, "out of memory");
    uint8_t digest[VIVO_DIGEST_LEN];
    char hex[2 * VIVO_DIGEST_LEN + 1];
    vivo_sha256_add(sha, w->source->location, strlen(w->source->location) + 1);
    vivo_sha256_add(sha, vivo_deid_digest(w->deid), VIVO_DIGEST_LEN);
    /* Names are kept in the catalog. */
    if (w->names != VIVO_NAMES_OWN)
        vivo_sha256_add(sha, o->names, strlen(o->names) + 1);
    if (w->filter)
        vivo_sha256_add(sha, vivo_filter_digest(w->filter), VIVO_DIGEST_LEN);
    vivo_sha256_end(sha, digest);
    /* The digest of a path that holds a name could be guessed: keyed, it cannot. */
    if (w->key)
        vivo_key_derive(w->key, "catalog-name", digest, sizeof digest, digest);
    vivo_hex(digest, 16, hex);
    VIVO_AUTO(vivo_free_p) char *dir = NULL;
    if (asprintf(&dir, "%s/catalog", folder) < 0 ||
        asprintf(&w->catalog_path, "%s/%s.db", dir, hex) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    return vivo_mkdirs(dir, 0700, err);
}

static int open_store(struct house *h, const struct options *o, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *folder = cache_folder(o);
    struct vivo_store_config cfg = {
        .dir = in_memory(o) ? NULL : folder,
        .max_bytes =
            in_memory(o) ? VIVO_MIN(o->cache_size, UINT64_C(1) << 30) : o->cache_size,
        .min_free = o->min_free,
    };
    if (!in_memory(o) && !folder)
        return vivo_fail(err, ENOENT, "no cache directory: set HOME or give cache=DIR");
    return vivo_store_open(&cfg, &h->store, err);
}

/* ---- archives
 * ------------------------------------------------------------------------------ */

/* A secret in a file that others can read is refused, as a key file is. */
static int read_bearer(struct wing *w, struct vivo_err *err)
{
    const char *path = w->source->options.bearer;
    struct stat st;
    if (!path[0])
        return 0;
    if (!stat(path, &st) && (st.st_mode & 077))
        return vivo_fail(err, EPERM, "%s: readable by others; chmod 600 it", path);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 16384);
    int rc = vivo_file_read(path, text.max, &text, err);
    if (rc)
        return rc;
    size_t n = text.data ? strcspn((char *)text.data, "\r\n") : 0;
    w->bearer = strndup(n ? (char *)text.data : "", n);
    vivo_wipe(text.data, text.len);
    return w->bearer ? 0 : vivo_fail(err, ENOMEM, "out of memory");
}

/* What `vivofs login` has kept; NULL when nothing was. */
static char *login_file(void)
{
    char *path = vivo_user_dir(VIVO_DIR_CONFIG, "netrc");
    if (path && access(path, F_OK)) {
        free(path);
        path = NULL;
    }
    return path;
}

static int ask_helper(struct wing *w, struct vivo_err *err)
{
    const struct options *o = &w->source->options;
    struct helper given;
    if (o->netrc[0] || o->bearer[0])
        return vivo_fail(err, EINVAL, "option helper: not beside netrc and bearer");
    int rc = helper_run(o->helper, (unsigned)o->timeout, &given, err);
    if (rc)
        return rc;
    w->bearer = given.bearer;
    w->netrc_fd = given.fd;
    return 0;
}

static int open_net(struct wing *w, struct vivo_err *err)
{
    const struct options *o = &w->source->options;
    char helped[48];
    snprintf(helped, sizeof helped, "/proc/self/fd/%d", w->netrc_fd);
    VIVO_AUTO(vivo_free_p) char *kept = o->netrc[0] ? NULL : login_file();
    struct vivo_net_config cfg = {
        .timeout_ms = (int64_t)o->timeout * 1000,
        .retries = (unsigned)o->retries,
        .rate = (unsigned)VIVO_MIN(o->rate, (uint64_t)100000),
        .proxy = o->proxy[0] ? o->proxy : NULL,
        .cafile = o->cafile[0] ? o->cafile : NULL,
        .netrc = w->netrc_fd >= 0 ? helped
                 : o->netrc[0]    ? o->netrc
                                  : kept,
    };
    return vivo_net_new(&cfg, &w->net, err);
}

static int open_wing(struct house *h, struct wing *w, struct vivo_err *err)
{
    const struct options *o = &w->source->options;
    bool remote = vivo_driver_needs_net(w->source->location);
    w->closed = strcmp(o->browse, "no") == 0;
    if (!vivo_names_of(o->names, &w->names))
        return vivo_fail(err, EINVAL,
                         "option names: '%s' is none of own, uid, tcia, idc, xnat",
                         o->names);
    int rc = make_deid(w, err);
    if (!rc)
        rc = read_bearer(w, err);
    if (!rc && remote && o->helper[0])
        rc = ask_helper(w, err);
    if (!rc && remote)
        rc = open_net(w, err);
    if (rc)
        return rc;
    struct vivo_archive_config cfg = {
        .source = w->source->location,
        .net = w->net,
        .bearer = w->bearer,
        .endpoint = *w->source->options.endpoint ? w->source->options.endpoint : NULL,
        .timeout_ms = (int64_t)o->timeout * 1000,
        .jobs = (unsigned)o->jobs,
        .cafile = *o->cafile ? o->cafile : NULL,
        .rate = (unsigned)VIVO_MIN(o->rate, (uint64_t)1000),
    };
    rc = vivo_archive_open(&cfg, &w->archive, err);
    if (rc)
        return rc;
    if (!(w->archive->driver->caps & VIVO_CAP_LOCAL)) {
        if (w->filter)
            return vivo_fail(err, EINVAL,
                             "%s: filter= needs headers while listing: a folder or a "
                             "pack",
                             w->source->name);
        h->network = true;
        if (!h->store)
            rc = open_store(h, o, err);
    }
    return rc ? rc : place_catalog(w, err);
}

static int note_listed(void *ctx, const struct vivo_entry *e)
{
    *(bool *)ctx = e->listed;
    return 0;
}

/* A wrong URL is told at once; an archive that is down is not in the way of what is
 * kept of it, nor of the others, if there is one that is not. */
static int probe(struct house *h, struct wing *w, struct vivo_archive *a,
                 struct vivo_flow *f, struct vivo_err *err)
{
    struct vivo_op op;
    vivo_op_init(&op, PROBE_MS);
    if (!vivo_archive_probe(a, &op))
        return 0;
    bool listed = false;
    vivo_catalog_get(vivo_flow_catalog(f), VIVO_LEVEL_NONE, 0, note_listed, &listed,
                     NULL);
    bool down = op.err.errnum == EIO || op.err.errnum == ETIMEDOUT;
    const char *name = w->source->name;
    if (!listed && (!down || ++h->down == h->n))
        return vivo_fail(err, op.err.errnum, "%s: %s", name, op.err.text);
    if (!listed)
        w->down = op.err;
    else
        vivo_log(VIVO_LOG_WARN, "mount", "%s: %s; showing what is known", name,
                 op.err.text);
    return 0;
}

static void tell_down(const struct house *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->wings[i].down.errnum)
            fprintf(stderr, "vivofs: %s is down, the others are mounted: %s\n",
                    h->wings[i].source->name, h->wings[i].down.text);
}

static int start_flow(struct house *h, size_t i, const struct house_hooks *hooks,
                      struct vivo_err *err)
{
    struct wing *w = &h->wings[i];
    const struct options *o = &w->source->options;
    struct vivo_archive *a = w->archive;
    /* For tests and for comparing: answers are the same without. */
    const char *pushdown = getenv("VIVOFS_PUSHDOWN");
    struct vivo_flow_config cfg = {
        .name = w->source->name,
        .archive = a,
        .deid = w->deid,
        .filter = w->filter,
        .store = a->driver->caps & VIVO_CAP_LOCAL ? NULL : h->store,
        .catalog_path = w->catalog_path,
        .jobs = (unsigned)o->jobs,
        .timeout_ms = (int64_t)o->timeout * 1000,
        .refresh_s = (int64_t)o->refresh,
        .headers_max = o->headers_max,
        .offline = o->offline,
        .no_search = pushdown && !strcmp(pushdown, "0"),
        .lazy = hooks->lazy,
        .closed = w->closed,
        .names = w->names,
        .changed = hooks->changed,
        .ctx = hooks->ctx,
    };
    int rc = vivo_flow_open(&cfg, &h->flows[i], err);
    if (rc)
        return rc;
    w->archive = NULL;
    h->started++;
    if (hooks->probe && !o->offline &&
        (hooks->insist || !vivo_flow_recent(h->flows[i])))
        rc = probe(h, w, a, h->flows[i], err);
    return rc ? rc : vivo_flow_start(h->flows[i], err);
}

static int check_names(const struct source *sources, size_t n, struct vivo_err *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(sources[i].name, sources[j].name) == 0)
                return vivo_fail(err, EINVAL,
                                 "two sources are named '%s': give one NAME=SOURCE",
                                 sources[i].name);
    return 0;
}

/* "NAME:FILE" lines; what the command line says is the same for all sources. */
static int load_lists(struct house *h, const struct options *o, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *copy = strdup(o->list);
    char *rest = copy;
    if (!copy)
        return vivo_fail(err, ENOMEM, "out of memory");
    for (char *spec = strsep(&rest, "\n"); spec; spec = strsep(&rest, "\n")) {
        if (!*spec)
            continue;
        if (h->nlists == LISTS_MAX)
            return vivo_fail(err, EINVAL, "more than %d lists", LISTS_MAX);
        int rc = vivo_query_list_load(spec, &h->lists[h->nlists], err);
        if (rc)
            return rc;
        h->nlists++;
        for (size_t i = 0; i + 1 < h->nlists; i++)
            if (!strcmp(vivo_query_list_name(h->lists[i]),
                        vivo_query_list_name(h->lists[h->nlists - 1])))
                return vivo_fail(err, EINVAL, "two lists are named %s",
                                 vivo_query_list_name(h->lists[i]));
    }
    return 0;
}

int house_build(const struct source *sources, size_t n, const struct house_hooks *hooks,
                struct house **out, struct vivo_err *err)
{
    struct house *h = calloc(1, sizeof *h);
    if (!h)
        return vivo_fail(err, ENOMEM, "out of memory");
    vivo_file_make_room(); /* threads begin below */
    h->wings = calloc(n, sizeof *h->wings);
    for (size_t i = 0; h->wings && i < n; i++)
        h->wings[i].netrc_fd = -1;
    h->flows = calloc(n, sizeof(struct vivo_flow *));
    h->n = n;
    int rc = h->wings && h->flows ? 0 : vivo_fail(err, ENOMEM, "out of memory");
    if (!rc)
        rc = check_names(sources, n, err);
    if (!rc && n)
        rc = load_lists(h, &sources[0].options, err);
    for (size_t i = 0; i < n && !rc; i++) {
        h->wings[i].source = &sources[i];
        rc = open_wing(h, &h->wings[i], err);
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = start_flow(h, i, hooks, err);
    if (rc) {
        house_free(h);
        return rc;
    }
    tell_down(h);
    *out = h;
    return 0;
}

void house_free(struct house *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->started; i++)
        vivo_flow_close(h->flows[i]);
    for (size_t i = 0; h->wings && i < h->n; i++) {
        struct wing *w = &h->wings[i];
        if (w->archive)
            vivo_archive_close(w->archive);
        vivo_net_free(w->net);
        vivo_deid_free(w->deid);
        vivo_filter_free(w->filter);
        vivo_key_free(w->key);
        if (w->bearer)
            vivo_wipe(w->bearer, strlen(w->bearer));
        free(w->bearer);
        if (w->netrc_fd >= 0)
            close(w->netrc_fd);
        free(w->catalog_path);
    }
    vivo_store_close(h->store);
    for (size_t i = 0; i < h->nlists; i++)
        vivo_query_list_free(h->lists[i]);
    free(h->wings);
    free(h->flows);
    free(h);
}

/* ---- telling
 * -----------------------------------------------------------------------------------
 */

struct vivo_flow **house_flows(struct house *h, size_t *n)
{
    *n = h->n;
    return h->flows;
}

struct vivo_store *house_store(struct house *h)
{
    return h->store;
}

struct vivo_query_list *const *house_lists(const struct house *h, size_t *n)
{
    *n = h->nlists;
    return h->lists;
}

bool house_network(const struct house *h)
{
    return h->network;
}

int house_config_text(struct house *h, struct vivo_buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < h->n && !rc; i++) {
        const struct source *s = h->wings[i].source;
        char shown[512];
        bool url = strstr(s->location, "://") != NULL;
        if (url)
            vivo_url_redact(s->location, shown, sizeof shown);
        rc = vivo_buf_printf(out, "[%s]\n  source=%s\n", s->name,
                             url ? shown : s->location);
        if (!rc)
            rc = options_print(&s->options, out);
    }
    return rc;
}

int house_conformance(struct house *h, struct vivo_buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < h->n && !rc; i++) {
        const struct wing *w = &h->wings[i];
        char note[VIVO_NAME_MAX + 32];
        snprintf(note, sizeof note, "as published by %s", w->source->name);
        rc = vivo_buf_printf(out, "%sArchive %s\n\n", i ? "\n\n" : "", w->source->name);
        if (!rc)
            rc = vivo_deid_conformance(w->deid,
                                       vivo_deid_is_none(w->deid) ? note : NULL, out);
    }
    return rc;
}

const char *house_profile(struct house *h)
{
    const char *first = vivo_deid_profile(h->wings[0].deid);
    bool same = true;
    for (size_t i = 1; i < h->n; i++)
        same = same && strcmp(first, vivo_deid_profile(h->wings[i].deid)) == 0;
    snprintf(h->profile, sizeof h->profile, "%s", same ? first : "by archive");
    return h->profile;
}

const char *house_key_id(struct house *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->wings[i].key)
            return vivo_key_id(h->wings[i].key);
    return NULL;
}
