/* SPDX-License-Identifier: Apache-2.0 */
/* src/catalog/facts.c -- what a query may ask of nodes that no object holds: counts,
 * a study's place among its patient's, modalities of a study (DESIGN A5).
 *
 * Made once for a selection whose query names one of them, in its read transaction, so
 * that members are decided later without the database. Only what opens is counted, as
 * `.count` does. What cannot be told yet says which node has to be listed first. */
#include "catalog/facts.h"

#include <stdio.h>

void vivo_catalog_facts_free(struct vivo_facts *f)
{
    if (!f)
        return;
    vivo_arena_free(f->arena);
    free(f->collections);
    free(f->patients);
    free(f->studies);
    free(f->series);
    free(f);
}

/* Every kind begins with its row and is in order of it. */
void *vivo_catalog_fact_find(const void *array, size_t n, size_t size, vivo_row row)
{
    size_t lo = 0;
    size_t hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const char *at = (const char *)array + mid * size;
        vivo_row id = *(const vivo_row *)(const void *)at;
        if (id == row)
            return (void *)(uintptr_t)at;
        if (id < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
/* ---- asked
 * ----------------------------------------------------------------------------- */

static enum vivo_truth need(struct vivo_place *p, enum vivo_level level, vivo_row row)
{
    if (p->nneeds < VIVO_ARRAY_LEN(p->needs)) {
        p->needs[p->nneeds].level = level;
        p->needs[p->nneeds++].row = row;
    }
    return VIVO_UNKNOWN;
}

static enum vivo_truth tell(char out[VIVO_QUERY_COMPUTED_MAX], int64_t v)
{
    snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%lld", (long long)v);
    return VIVO_TRUE;
}

static enum vivo_truth tell_text(char out[VIVO_QUERY_COMPUTED_MAX], const char *s)
{
    if (!s || !*s)
        return VIVO_FALSE;
    snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%s", s);
    return VIVO_TRUE;
}

static enum vivo_truth of_series(const struct vivo_facts *f, struct vivo_place *p,
                                 enum vivo_query_virtual which, char *out)
{
    const struct series_fact *s = FIND(f, series, p->rows[VIVO_LEVEL_SERIES]);

    if (!p->rows[VIVO_LEVEL_SERIES])
        return VIVO_UNKNOWN;
    if (!s) /* of which nothing opens */
        return which == VIVO_VIRTUAL_LICENSE ? VIVO_FALSE : tell(out, 0);
    if (which == VIVO_VIRTUAL_LICENSE)
        return tell_text(out, s->license);
    if (which == VIVO_VIRTUAL_FRAME_COUNT)
        return s->frames < 0 ? VIVO_UNKNOWN : tell(out, s->frames);
    if (which == VIVO_VIRTUAL_SERIES_BYTES)
        return s->listed ? tell(out, s->bytes) : need(p, VIVO_LEVEL_SERIES, s->id);
    return s->count < 0 ? need(p, VIVO_LEVEL_SERIES, s->id) : tell(out, s->count);
}

int vivo_catalog_facts_unlisted(const struct vivo_facts *f,
                                const struct vivo_rowset *studies,
                                struct vivo_rowset *out)
{
    int rc = 0;

    for (size_t i = 0; f && studies->n && rc == 0 && i < f->nseries; i++)
        if (f->series[i].count < 0 &&
            vivo_catalog_rowset_has(studies, f->series[i].study))
            rc = vivo_catalog_rowset_add(out, f->series[i].id);
    return rc;
}

/* Are all studies of the patient known? */
static bool patient_is_whole(const struct vivo_facts *f, struct vivo_place *p,
                             const struct node_fact *patient)
{
    const struct node_fact *c = FIND(f, collections, patient->parent);

    if (!patient->listed)
        need(p, VIVO_LEVEL_PATIENT, patient->id);
    else if (c && !c->listed)
        need(p, VIVO_LEVEL_COLLECTION, c->id);
    return patient->listed && (!c || c->listed);
}

static enum vivo_truth of_study(const struct vivo_facts *f, struct vivo_place *p,
                                enum vivo_query_virtual which, char *out)
{
    const struct study_fact *s = FIND(f, studies, p->rows[VIVO_LEVEL_STUDY]);
    const struct node_fact *patient = FIND(f, patients, p->rows[VIVO_LEVEL_PATIENT]);

    if (!patient || (!s && which != VIVO_VIRTUAL_PATIENT_STUDIES))
        return VIVO_UNKNOWN;
    if (which == VIVO_VIRTUAL_MODALITIES_IN_STUDY && (s->listed || s->told))
        return tell_text(out, s->modalities);
    if (which == VIVO_VIRTUAL_MODALITIES_IN_STUDY ||
        (which == VIVO_VIRTUAL_STUDY_SERIES && !s->listed) ||
        (which == VIVO_VIRTUAL_STUDY_INSTANCES && !s->listed))
        return need(p, VIVO_LEVEL_STUDY, s->id);
    if (which == VIVO_VIRTUAL_STUDY_SERIES)
        return tell(out, VIVO_MAX(s->series, 0));
    if (which == VIVO_VIRTUAL_STUDY_INSTANCES)
        return s->unlisted_series ? need(p, VIVO_NEED_SERIES_OF, s->id)
                                  : tell(out, VIVO_MAX(s->instances, 0));
    if (!patient_is_whole(f, p, patient))
        return VIVO_UNKNOWN;
    if (which == VIVO_VIRTUAL_PATIENT_STUDIES)
        return tell(out, patient->children);
    if (!s->rank)
        return VIVO_FALSE;
    if (which == VIVO_VIRTUAL_STUDY_DAY)
        return tell(out, s->day);
    snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%lld\\-%lld", (long long)s->rank,
             (long long)(s->of - s->rank + 1));
    return VIVO_TRUE;
}

/* Of one object, at this moment; a series as a whole has no answer, unless all objects
 * have the same. */
static enum vivo_truth where_is(struct vivo_place *p, char *out)
{
    const struct vivo_whereabouts *here = &p->sel->here;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf locator = {0};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf version = {0};
    const char *word = NULL;
    int rc;

    if (here->all)
        return tell_text(out, here->all);
    if (!here->of || !p->d || !p->rows[VIVO_LEVEL_INSTANCE])
        return VIVO_UNKNOWN;
    vivo_buf_init(&locator, VIVO_CATALOG_LOCATOR_MAX);
    vivo_buf_init(&version, VIVO_CATALOG_LOCATOR_MAX);
    rc =
        vivo_catalog_locator_in(p->sel->catalog, p->d, VIVO_LEVEL_INSTANCE,
                                p->rows[VIVO_LEVEL_INSTANCE], &locator, &version, NULL);
    if (rc == 0)
        rc = here->of(here->ctx, (const char *)locator.data, &version, &word, NULL);
    if (rc == 0)
        return tell_text(out, word);
    p->failed = rc;
    return VIVO_UNKNOWN;
}

static bool is_of_series(enum vivo_query_virtual which)
{
    return which == VIVO_VIRTUAL_LICENSE || which == VIVO_VIRTUAL_INSTANCE_COUNT ||
           which == VIVO_VIRTUAL_FRAME_COUNT || which == VIVO_VIRTUAL_SERIES_BYTES ||
           which == VIVO_VIRTUAL_SERIES_INSTANCES;
}

enum vivo_truth vivo_catalog_computed(void *ctx, enum vivo_query_virtual which,
                                      char out[VIVO_QUERY_COMPUTED_MAX])
{
    struct vivo_place *p = ctx;
    const struct vivo_facts *f = p->sel->facts;
    const struct node_fact *c;

    if (which == VIVO_VIRTUAL_FETCH_STATE)
        return where_is(p, out);
    if (!f)
        return VIVO_UNKNOWN;
    if (which == VIVO_VIRTUAL_COLLECTION) {
        c = FIND(f, collections, p->rows[VIVO_LEVEL_COLLECTION]);
        return c ? tell_text(out, c->name) : VIVO_UNKNOWN;
    }
    return is_of_series(which) ? of_series(f, p, which, out)
                               : of_study(f, p, which, out);
}
