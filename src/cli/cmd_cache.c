/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_cache.c -- `vivofs cache`: the store of fetched objects, apart from any
 * mount and beside those that use it. */
#include "cli.h"

#include "vivofs/file.h"
#include "vivofs/store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct care {
    const char *dir, *keep, *verb;
    struct options options; /* for what BYTES means */
    struct vivo_store *store;
};

static int show(const struct care *c)
{
    struct vivo_store_verdict v;
    vivo_store_check(c->store, false, &v);
    printf("directory %s\nobjects   %" PRIu64 "\nbytes     %" PRIu64 "\n", c->dir,
           v.objects, v.bytes);
    return 0;
}

static int verify(const struct care *c)
{
    struct vivo_store_verdict v;
    vivo_store_check(c->store, true, &v);
    printf("%" PRIu64 " objects, %" PRIu64 " bytes, %" PRIu64 " damaged, %" PRIu64
           " unreadable\n",
           v.objects, v.bytes, v.damaged, v.unreadable);
    if (v.damaged)
        puts("What was damaged is dropped and is fetched again when it is read.");
    return v.damaged || v.unreadable ? 1 : 0;
}

static int trim(const struct care *c)
{
    struct vivo_err err = {0};
    if (vivo_store_trim(c->store, c->options.cache_size, &err))
        return cli_fail("%s", err.text);
    return show(c);
}

static int clear(const struct care *c)
{
    struct vivo_err err = {0};
    if (vivo_store_clear(c->store, &err))
        return cli_fail("%s", err.text);
    return show(c);
}

static const struct verb {
    const char *word;
    int (*run)(const struct care *c);
} verbs[] = {{"status", show}, {"verify", verify}, {"trim", trim}, {"clear", clear}};

static int parse_args(struct care *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--cache") == 0 && value)
            c->dir = argv[++i];
        else if (strcmp(argv[i], "--keep") == 0 && value)
            c->keep = argv[++i];
        else if (argv[i][0] == '-' || c->verb)
            return cli_usage("cache: unknown argument '%s'", argv[i]);
        else
            c->verb = argv[i];
    }
    if (!c->verb)
        c->verb = "status";
    if (c->keep && strcmp(c->verb, "trim") != 0)
        return cli_usage("cache: --keep is for trim");
    return 0;
}

/* BYTES as cache_size=BYTES is read. */
static int read_keep(struct care *c, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *text = NULL;
    int rc = options_init(&c->options, err);
    if (rc || !c->keep)
        return rc;
    if (asprintf(&text, "cache_size=%s", c->keep) < 0)
        return vivo_fail(err, ENOMEM, "out of memory");
    return options_parse(&c->options, text, err);
}

static int run(struct care *c, const struct verb *verb)
{
    struct vivo_err err = {0};
    struct stat st;
    /* Looking must not make what is not there. */
    if (stat(c->dir, &st))
        return cli_fail("cache directory %s: %s", c->dir, strerror(errno));
    struct vivo_store_config cfg = {.dir = c->dir};
    int rc = read_keep(c, &err);
    if (!rc)
        rc = vivo_store_open(&cfg, &c->store, &err);
    rc = rc ? cli_fail("%s", err.text) : verb->run(c);
    vivo_store_close(c->store);
    options_free(&c->options);
    return rc;
}

int cmd_cache(int argc, char **argv)
{
    struct care c = {0};
    VIVO_AUTO(vivo_free_p) char *usual = vivo_user_dir(VIVO_DIR_CACHE, NULL);
    int rc = parse_args(&c, argc, argv);
    if (rc)
        return rc;
    if (!c.dir)
        c.dir = usual;
    if (!c.dir)
        return cli_fail("no cache directory: set HOME or give --cache DIR");
    for (size_t i = 0; i < VIVO_ARRAY_LEN(verbs); i++)
        if (strcmp(c.verb, verbs[i].word) == 0)
            return run(&c, &verbs[i]);
    return cli_usage("cache: status, verify, trim or clear, not '%s'", c.verb);
}
