/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse_members.c -- which objects a series has, by the locators that
 * list() gives: their last part, the kind, is known from the listing only. */
#include "dimse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERIES_MAX 100000u

struct collecting {
    struct vivo_intake base;
    struct vivo_intake *in;
    struct dimse_members *out;
};

static int add_member(struct vivo_intake *self, const struct vivo_record *rec,
                      struct vivo_err *err)
{
    struct collecting *c = (struct collecting *)self; /* first member */
    c->out->n++;
    return vivo_buf_add(&c->out->locators, rec->locator, strlen(rec->locator) + 1)
               ? vivo_fail(err, EIO, "more than %u objects in a series", SERIES_MAX)
               : 0;
}

static void pass_other(struct vivo_intake *self, const char *locator,
                       const char *version)
{
    struct collecting *c = (struct collecting *)self; /* first member */
    if (c->in->other)
        c->in->other(c->in, locator, version);
}

static void pass_alive(struct vivo_intake *self)
{
    struct collecting *c = (struct collecting *)self; /* first member */
    if (c->in->alive)
        c->in->alive(c->in);
}

static int by_uid(const void *a, const void *b)
{
    const struct dimse_member *x = a;
    const struct dimse_member *y = b;
    return strcmp(x->uid, y->uid);
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = words; (s = strstr(s, word)); s += n)
        if ((s == words || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\0'))
            return true;
    return false;
}

/* SOP classes, if the server tells them; else the modality. What the name has no room
 * for does not come with the others. */
static void add_kind(struct dimse_kind *kind, const char *name)
{
    bool classes = strchr(kind->name, '.') != NULL;
    size_t used = strlen(kind->name);
    if (strchr(name, '.') && !classes)
        snprintf(kind->name, sizeof kind->name, "%s", name);
    else if (!kind->name[0])
        snprintf(kind->name, sizeof kind->name, "%s", name);
    else if (strchr(name, '.') && !has_word(kind->name, name) &&
             used + 1 + strlen(name) < sizeof kind->name)
        snprintf(kind->name + used, sizeof kind->name - used, " %s", name);
}

static int index_members(struct dimse_members *m, struct vivo_err *err)
{
    const char *locator = (const char *)m->locators.data;
    m->all = calloc(m->n + 1, sizeof *m->all);
    if (!m->all)
        return vivo_fail(err, ENOMEM, "dimse: out of memory");
    for (size_t i = 0; i < m->n; i++) {
        struct dimse_place p;
        int rc = vivo_dimse_place_read(locator, VIVO_LEVEL_INSTANCE, &p, err);
        if (rc)
            return rc;
        m->all[i].locator = locator;
        memcpy(m->all[i].uid, p.instance, sizeof p.instance);
        add_kind(&m->kind, p.kind);
        locator += strlen(locator) + 1;
    }
    qsort(m->all, m->n, sizeof *m->all, by_uid);
    return 0;
}

int vivo_dimse_members(struct vivo_archive *self, const char *series,
                       struct vivo_intake *in, struct dimse_members *out,
                       struct vivo_op *op)
{
    struct collecting c = {
        .base = {.record = add_member, .other = pass_other, .alive = pass_alive},
        .in = in,
        .out = out};
    vivo_buf_init(&out->locators, (size_t)SERIES_MAX * DIMSE_LOCATOR_MAX);
    int rc = vivo_dimse_list(self, VIVO_LEVEL_SERIES, series, &c.base, op);
    return rc ? rc : index_members(out, &op->err);
}

struct dimse_member *vivo_dimse_member(const struct dimse_members *m, const char *uid)
{
    struct dimse_member key = {.came = false};
    snprintf(key.uid, sizeof key.uid, "%s", uid);
    return bsearch(&key, m->all, m->n, sizeof key, by_uid);
}

void vivo_dimse_members_free(struct dimse_members *m)
{
    free(m->all);
    vivo_buf_free(&m->locators);
}
