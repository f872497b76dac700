/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/plan.h -- what of a query may be asked of the archive (plan.c).
 *
 * A query is answered by passes, one for each level(E) in it and one for the whole. For
 * each pass the plan has searches, of which every object that the pass selects meets
 * at least one: so what no search brings cannot match. A pass without such searches is
 * not covered, and is answered from listings. */
#ifndef VIVOFS_FLOW_PLAN_H
#define VIVOFS_FLOW_PLAN_H

#include "vivofs/buf.h"
#include "vivofs/driver.h"
#include "vivofs/query.h"

enum {
    PLAN_SEARCHES_MAX = 256,
    PLAN_VALUES_MAX = VIVO_MATCH_VALUES_MAX,
    PLAN_PASSES_MAX = 65
};

/* INSTANCE: what matches is itself what the search brings. PATIENT, STUDY, SERIES: it
 * is in the same patient, study or series as something that the search brings. */
struct plan_search {
    struct plan_search *next;
    enum vivo_level lift;
    int worth; /* how much it narrows, to choose by */
    size_t n;
    struct vivo_match matches[];
};

struct plan_pass {
    const struct vivo_query_node *of; /* the root, or a LEVEL node */
    bool covered;
    const struct plan_search *first;
    size_t n;
};

struct plan {
    struct vivo_arena *arena;
    size_t npasses;
    struct plan_pass passes[PLAN_PASSES_MAX]; /* the last is the whole query */
};

/* May a condition on the attribute be sent to the archive? */
typedef bool plan_may_fn(void *ctx, uint32_t tag);

/* collections: the archive is listed by collections, so that one that a search brought
 * something of can be listed for the rest of a patient. NULL: out of memory. */
struct plan *plan_new(const struct vivo_query_node *root, plan_may_fn *may, void *ctx,
                      bool collections);
void plan_free(struct plan *p);
/* Is there a covered pass at all? */
bool plan_covers(const struct plan *p);
/* One search as text, "Modality=CT and StudyDate=20190101..20191231": for .explain, and
 * its identity. -ENOSPC when it does not fit. */
int plan_search_text(const struct plan_search *s, struct vivo_buf *out);
/* Does the query name a virtual attribute that is counted from what is listed? */
bool plan_counts(const struct vivo_query_node *n);

#endif
