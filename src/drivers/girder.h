/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/girder.h -- what the parts of the Girder driver share.
 *
 * Locators: collection "c/ID" or, of a source that is a folder, "f/ID"; instance
 * "ID/SIZE" of a file, "ID/-" where the server tells no size. Ids are 24 hexadecimal
 * digits. */
#ifndef VIVOFS_DRIVERS_GIRDER_H
#define VIVOFS_DRIVERS_GIRDER_H

#include "crawl.h"
#include "shelf.h"
#include "token.h"

#include <jansson.h>

#define GIRDER_ID_LEN 24
#define GIRDER_URL_MAX 2304
#define GIRDER_PAGE_BYTES (256u << 20)

struct girder {
    struct vivo_archive base;
    struct vivo_shelf shelf;
    char *url; /* "https://host/api/v1" */
    char *key; /* bearer=FILE: an API key or a token; or NULL */
    char top; /* what the source is: 'r' everything, 'c' one collection, 'f' a folder */
    char id[GIRDER_ID_LEN + 1]; /* of it */
    unsigned page;              /* rows asked for at once */
    struct vivo_token token;
};

static inline struct girder *girder_of(struct vivo_archive *a)
{
    return (struct girder *)(void *)a;
}

bool vivo_girder_id_ok(const char *id, size_t len);

/* Asks for base + path: `ask` completes and sends *rq, and is called once more, with
 * another token, when that one has run out. */
typedef int girder_ask_fn(void *ctx, const struct vivo_net_request *rq,
                          struct vivo_net_reply *reply, struct vivo_op *op);
int vivo_girder_ask(struct girder *g, const char *path, girder_ask_fn *ask, void *ctx,
                    struct vivo_op *op);

/* GET path, an array in pages: fn for each row, for some twice when they change
 * meanwhile; complete or an error. path ends in '?' or '&'. fn returns 0 or an errno.
 */
typedef int girder_row_fn(void *ctx, const json_t *row, const char *id,
                          struct vivo_err *err);
int vivo_girder_rows(struct girder *g, const char *what, const char *path,
                     girder_row_fn *fn, void *ctx, struct vivo_op *op);
/* Does it list collections, were it none? A login comes first. */
int vivo_girder_probe(struct girder *g, struct vivo_op *op);
/* One object. */
int vivo_girder_object(struct girder *g, const char *what, const char *path,
                       json_t **out, struct vivo_op *op);

/* The locator of a file and, in *size, how long it is: UINT64_MAX = not told. */
void vivo_girder_locator(const json_t *row, const char *id,
                         char out[VIVO_SHELF_LOCATOR_MAX], uint64_t *size);
/* -ENOENT: it is not one of a file. *size: 0 = not told. */
int vivo_girder_read_locator(const char *locator, char id[GIRDER_ID_LEN + 1],
                             uint64_t *size, struct vivo_err *err);
int vivo_girder_bundle(struct vivo_archive *self, const char *series,
                       struct vivo_bundle *to, struct vivo_op *op);

/* A text of a row; "" = none, no text, or longer than fits. */
const char *vivo_girder_text(const json_t *row, const char *name, size_t max);

#endif
