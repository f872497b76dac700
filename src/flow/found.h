/* SPDX-License-Identifier: Apache-2.0 */
/* src/flow/found.h -- what searches of the archive brought, remembered for as long as a
 * listing would be, and across mounts (found.c). */
#ifndef VIVOFS_FLOW_FOUND_H
#define VIVOFS_FLOW_FOUND_H

#include "flow/internal.h"
#include "flow/plan.h"
#include "vivofs/search.h"

struct searches *searches_new(void); /* NULL = ENOMEM */
void searches_free(struct searches *s);
/* They are asked again: after a refresh. */
void searches_forget(struct searches *s);

/* What the archive is asked by a search, the same at every mount, whatever is made of
 * the answer: searches that differ in `lift` alone are one question. */
int found_key(const struct plan_search *s, uint8_t key[VIVO_DIGEST_LEN]);

enum found_state {
    FOUND_MISSING, /* it was not asked, or too long ago */
    FOUND_UNABLE,  /* it cannot be asked, or not be used so */
    FOUND_KNOWN,
};
enum found_state found_state(struct vivo_flow *f, const struct plan_search *s);
/* Appends to the cover what the search told. 0, or 1: it tells nothing (yet). */
int found_add(struct vivo_flow *f, const struct plan_search *s, struct vivo_cover *c);

/* Remembers what was brought, or that the archive is unable; takes the rows over. */
int found_remember(struct vivo_flow *f, const struct plan_search *s,
                   struct vivo_search *told, struct vivo_err *err);
/* Ascending and each once. */
size_t found_sort(vivo_row *rows, size_t n);

#endif
