/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_query.c -- `vivofs query`: the query directories without a mount. */
#include "cli.h"

#include "vivofs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum format {
    FORMAT_NONE,
    FORMAT_PATHS,
    FORMAT_CSV,
    FORMAT_JSON,
    FORMAT_TREE,
    FORMAT_COUNT
};

enum { SOURCES_MAX = 64, TEXTS_MAX = 32 };

struct asked {
    enum format format;
    bool explain;                       /* instead of answering */
    const char *words[SOURCES_MAX + 1]; /* the expression, then sources */
    size_t nwords;
    const char *texts[TEXTS_MAX];
    size_t ntexts;
};

struct printer { /* one archive being printed */
    const struct asked *asked;
    struct vivo_catalog *catalog;
    const char *archive;
    struct vivo_selection *sel;
    struct vivo_buf path; /* of the directory being walked, from the archive on */
    bool first;           /* nothing printed yet (JSON) */
    int failed;
};

static enum format format_of(const char *word)
{
    static const char *const words[] = {"", "paths", "csv", "json", "tree", "count"};
    for (int i = FORMAT_PATHS; i <= FORMAT_COUNT; i++)
        if (strcmp(words[i], word) == 0)
            return (enum format)i;
    return FORMAT_NONE;
}

static int parse_args(struct asked *a, int argc, char **argv)
{
    a->format = FORMAT_PATHS;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--format") == 0 && value) {
            a->format = format_of(value);
            if (!a->format)
                return cli_usage("query: no format '%s'", value);
            i++;
        } else if (strcmp(argv[i], "--explain") == 0) {
            a->explain = true;
        } else if (strcmp(argv[i], "-o") == 0 && value) {
            if (a->ntexts == TEXTS_MAX)
                return cli_usage("too many -o");
            a->texts[a->ntexts++] = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1] && !a->nwords) {
            return cli_usage("query: unknown argument '%s'", argv[i]);
        } else if (a->nwords == VIVO_ARRAY_LEN(a->words)) {
            return cli_usage("more than %d sources", SOURCES_MAX);
        } else {
            a->words[a->nwords++] = argv[i];
        }
    }
    if (a->nwords < 2)
        return cli_usage("query: an expression and a source are needed");
    return 0;
}

/* ---- printing
 * ------------------------------------------------------------------------ */

static void print_csv(struct printer *p, struct vivo_attrs a, const char *path,
                      const struct vivo_counts *counts)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf line = {.max = 64 * 1024};
    const char *slash = strchr(path, '/'); /* behind the archive's name */
    char prefix[VIVO_NAME_MAX + 2];
    snprintf(prefix, sizeof prefix, "%s/", p->archive);
    if (!vivo_tree_series_row(p->archive, prefix, slash ? slash + 1 : "", a, counts,
                              &line))
        fputs((char *)line.data, stdout);
}

static void print_csv_head(void)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf head = {.max = 1024};
    if (!vivo_tree_series_head(&head))
        fputs((char *)head.data, stdout);
}

static void print_json(struct printer *p, struct vivo_attrs a, const char *path,
                       const struct vivo_counts *counts)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf line = {0};
    char text[1024];
    vivo_buf_init(&line, 64 * 1024);
    vivo_buf_printf(&line, "%s  {\"Path\": ", p->first ? "" : ",\n");
    vivo_buf_json(&line, path, strlen(path));
    size_t archive = strcspn(path, "/");
    const char *collection = path + archive + (path[archive] != '\0');
    vivo_buf_puts(&line, ", \"Archive\": ");
    vivo_buf_json(&line, path, archive);
    vivo_buf_puts(&line, ", \"Collection\": ");
    vivo_buf_json(&line, collection, strcspn(collection, "/"));
    size_t n;
    const uint32_t *columns = vivo_tree_series_columns(&n);
    for (size_t i = 0; i < n; i++) {
        if (!vivo_attrs_text(a, columns[i], text, sizeof text))
            continue;
        vivo_buf_printf(&line, ", \"%s\": ", vivo_dcm_dict(columns[i])->keyword);
        vivo_buf_json(&line, text, strlen(text));
    }
    vivo_buf_printf(&line,
                    ", \"InstanceCount\": %" PRIu64 ", \"SeriesBytes\": %" PRIu64 "}",
                    counts->instances, counts->bytes);
    fputs((char *)line.data, stdout);
    p->first = false;
}

static int print_series(struct printer *p, const struct vivo_entry *e)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf attrs = {0};
    struct vivo_err err = {0};
    struct vivo_counts counts = {0};
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    int rc = vivo_catalog_attrs(p->catalog, VIVO_LEVEL_SERIES, e->row, &attrs, &err);
    if (!rc)
        rc = vivo_catalog_count(p->catalog, VIVO_LEVEL_SERIES, e->row, p->sel, &counts,
                                &err);
    if (rc)
        return cli_fail("%s", err.text);
    struct vivo_attrs a = {attrs.data, attrs.len};
    if (p->asked->format == FORMAT_CSV)
        print_csv(p, a, (char *)p->path.data, &counts);
    else
        print_json(p, a, (char *)p->path.data, &counts);
    return 0;
}

static int walk(struct printer *p, enum vivo_level level, vivo_row row);

static void print_branch(const struct vivo_entry *e)
{
    printf("%*s%s\n", 2 * (int)e->level, "", e->name);
}

static int visit(void *ctx, const struct vivo_entry *e)
{
    struct printer *p = ctx;
    size_t before = p->path.len;
    int rc = vivo_buf_printf(&p->path, "/%s", e->name);
    bool by_series = p->asked->format == FORMAT_CSV || p->asked->format == FORMAT_JSON;
    if (rc)
        return rc;
    if (p->asked->format == FORMAT_TREE)
        print_branch(e);
    if (e->level == VIVO_LEVEL_INSTANCE) {
        if (p->asked->format == FORMAT_PATHS)
            puts((char *)p->path.data);
    } else if (by_series && e->level == VIVO_LEVEL_SERIES) {
        rc = print_series(p, e);
    } else {
        rc = walk(p, e->level, e->row);
    }
    p->path.len = before;
    p->path.data[before] = 0;
    return rc;
}

static int walk(struct printer *p, enum vivo_level level, vivo_row row)
{
    struct vivo_err err = {0};
    int rc = vivo_catalog_children(p->catalog, level, row, p->sel, visit, p, &err);
    if (err.errnum)
        cli_fail("%s", err.text);
    return rc;
}

static int print_archive(struct printer *p)
{
    if (p->asked->format == FORMAT_TREE)
        puts(p->archive);
    vivo_buf_init(&p->path, 64 * 1024);
    int rc = vivo_buf_puts(&p->path, p->archive);
    if (!rc)
        rc = walk(p, VIVO_LEVEL_NONE, 0);
    vivo_buf_free(&p->path);
    return rc;
}

/* ---- asking
 * ------------------------------------------------------------------------------ */

static const char *hides(void *ctx, uint32_t tag, const char *creator)
{
    return vivo_deid_hides(vivo_flow_deid(ctx), tag, creator);
}

/* *hidden: by this archive's profile; others may show it. */
static int parse_for(struct house *h, struct vivo_flow *f, const char *text,
                     struct vivo_query **out, bool *hidden)
{
    struct vivo_query_rules rules = {
        .hides = hides, .ctx = f, .archive = vivo_flow_name(f)};
    rules.lists = house_lists(h, &rules.nlists);
    struct vivo_query_error qe = {0};
    int rc = vivo_query_parse(text, &rules, out, &qe);
    *hidden = rc == -EINVAL && qe.hidden;
    if (rc == -ENOENT)
        return cli_fail("'%s' is no expression: try Modality=CT", text);
    if (!rc)
        return 0;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf message = {0};
    vivo_buf_init(&message, 8192);
    vivo_query_error_text(text, &qe, &message);
    size_t n;
    house_flows(h, &n);
    if (*hidden && n > 1)
        fprintf(stderr, "%s: ", vivo_flow_name(f));
    fputs((char *)message.data, stderr);
    return 1;
}

static void add_counts(struct vivo_counts *to, const struct vivo_counts *c)
{
    to->patients += c->patients;
    to->studies += c->studies;
    to->series += c->series;
    to->instances += c->instances;
    to->bytes += c->bytes;
}

/* What it would take, and nothing asked of the archive. */
static int explain(struct vivo_flow *f, struct vivo_query *q, bool head, bool several,
                   struct vivo_flow_cost *sum, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    vivo_buf_init(&text, 256 * 1024);
    int rc = head ? vivo_buf_printf(&text, "query: %s\n", vivo_query_text(q)) : 0;
    if (!rc && head)
        rc = vivo_query_warn(q, &text);
    if (!rc && several)
        rc = vivo_buf_printf(&text, "in %s:\n", vivo_flow_name(f));
    if (!rc)
        rc = vivo_flow_explain(f, VIVO_LEVEL_NONE, 0, q, &text, sum, err);
    if (!rc)
        fputs((char *)text.data, stdout);
    return rc;
}

/* One archive: asked by a thread of its own, so that none waits for another. */
struct part {
    struct vivo_flow *flow;
    struct vivo_query *q;
    struct vivo_selection *sel;
    struct vivo_op op;
    pthread_t thread;
    bool started;
    bool hidden; /* its profile hides what is asked: told already */
    int rc;
};

static void *select_part(void *arg)
{
    struct part *p = arg;
    p->rc =
        vivo_flow_select_members(p->flow, VIVO_LEVEL_NONE, 0, p->q, &p->sel, &p->op);
    return NULL;
}

static void begin(struct part *p)
{
    vivo_op_init(&p->op, 0);
    p->started = !pthread_create(&p->thread, NULL, select_part, p);
    if (!p->started)
        select_part(p);
}

static int answer(struct part *part, const struct asked *a, struct vivo_counts *total,
                  bool *first)
{
    struct vivo_flow *f = part->flow;
    struct printer p = {
        .asked = a,
        .catalog = vivo_flow_catalog(f),
        .archive = vivo_flow_name(f),
        .sel = part->sel,
        .first = *first,
    };
    int rc = part->rc;
    if (!rc && a->format == FORMAT_COUNT) {
        struct vivo_counts c = {0};
        rc =
            vivo_catalog_count(p.catalog, VIVO_LEVEL_NONE, 0, p.sel, &c, &part->op.err);
        add_counts(total, &c);
    } else if (!rc) {
        rc = print_archive(&p);
    }
    *first = p.first;
    if (!rc)
        return 0;
    const char *why = part->op.err.text;
    return strncmp(why, p.archive, strlen(p.archive)) == 0
               ? cli_fail("%s", why)
               : cli_fail("%s: %s", p.archive, why);
}

/* Every text is read before anything is asked; answers come in order. An archive that
 * cannot answer is named and does not keep the others' answers back. */
static int ask_parts(struct house *h, struct part *parts, size_t n,
                     const struct asked *a, struct vivo_counts *total, bool *first,
                     size_t *answered)
{
    int wrong = 0;
    int failed = 0;
    for (size_t i = 0; i < n && !wrong; i++) {
        int rc =
            parse_for(h, parts[i].flow, a->words[0], &parts[i].q, &parts[i].hidden);
        wrong = parts[i].hidden ? 0 : rc;
        failed |= rc;
    }
    for (size_t i = 0; i < n && !wrong; i++)
        if (!parts[i].hidden)
            begin(&parts[i]);
    for (size_t i = 0; i < n; i++) {
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
        if (!wrong && !parts[i].hidden && !answer(&parts[i], a, total, first))
            ++*answered;
        else
            failed = 1;
        vivo_selection_unref(parts[i].sel);
        vivo_query_unref(parts[i].q);
    }
    return failed;
}

static int explain_all(struct house *h, const struct asked *a)
{
    size_t n;
    struct vivo_flow **flows = house_flows(h, &n);
    struct vivo_flow_cost sum = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {.max = 4096};
    int failed = 0;
    bool go_on = true, head = true;
    for (size_t i = 0; i < n && go_on; i++) {
        struct vivo_query *q = NULL;
        struct vivo_err err = {0};
        bool hidden = false;
        int rc = parse_for(h, flows[i], a->words[0], &q, &hidden);
        go_on = !rc || hidden;
        if (!rc && explain(flows[i], q, head, n > 1, &sum, &err))
            rc = cli_fail("%s: %s", vivo_flow_name(flows[i]), err.text);
        head = head && !q;
        failed |= rc;
        vivo_query_unref(q);
    }
    if (go_on && n > 1 && !vivo_flow_cost_text(&sum, &text))
        fputs((char *)text.data, stdout);
    return failed;
}

static int ask_all(struct house *h, const struct asked *a)
{
    size_t n;
    struct vivo_flow **flows = house_flows(h, &n);
    struct vivo_counts total = {0};
    struct part parts[SOURCES_MAX] = {0};
    bool first = true;
    size_t answered = 0;
    int rc;
    for (size_t i = 0; i < n; i++)
        parts[i].flow = flows[i];
    if (a->explain)
        return explain_all(h, a);
    if (a->format == FORMAT_CSV)
        print_csv_head();
    if (a->format == FORMAT_JSON)
        puts("[");
    rc = ask_parts(h, parts, n, a, &total, &first, &answered);
    if (a->format == FORMAT_JSON)
        puts(first ? "]" : "\n]");
    if (a->format == FORMAT_COUNT && answered)
        printf("patients %" PRIu64 "\nstudies %" PRIu64 "\nseries %" PRIu64
               "\ninstances %" PRIu64 "\nbytes %" PRIu64 "\n",
               total.patients, total.studies, total.series, total.instances,
               total.bytes);
    return rc ? 1 : 0;
}

int cmd_query(int argc, char **argv)
{
    struct asked a = {0};
    int rc = parse_args(&a, argc, argv);
    if (rc)
        return rc;
    struct source sources[SOURCES_MAX];
    size_t n = 0;
    struct vivo_err err = {0};
    for (; n < a.nwords - 1 && !rc; n++)
        rc = source_parse(a.words[n + 1], a.texts, a.ntexts, &sources[n], &err);
    if (rc)
        n--;
    struct house *h = NULL;
    /* Of several one may be down: it is named when its turn comes. */
    struct house_hooks hooks = {.probe = n == 1, .lazy = true};
    if (!rc)
        rc = house_build(sources, n, &hooks, &h, &err);
    rc = rc ? cli_fail("%s", err.text) : ask_all(h, &a);
    house_free(h);
    for (size_t i = 0; i < n; i++)
        source_free(&sources[i]);
    return rc;
}
