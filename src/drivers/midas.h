/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/midas.h -- what the parts of the MIDAS driver share.
 *
 * Locators: collection "c/ID" of a community; instance "ID/SIZE" of a bitstream, "ID/-"
 * of one that is a link. Ids are decimal numbers. */
#ifndef VIVOFS_DRIVERS_MIDAS_H
#define VIVOFS_DRIVERS_MIDAS_H

#include "shelf.h"
#include "token.h"

#include <jansson.h>

#define MIDAS_ID_MAX 15 /* digits */
#define MIDAS_URL_MAX 2304
#define MIDAS_REPLY_BYTES (64u << 20)
#define MIDAS_LOGIN "needs a login, or another one (bearer=FILE with EMAIL:APIKEY)"

struct midas {
    struct vivo_archive base;
    struct vivo_shelf shelf;
    char *url;   /* "https://host/midas" */
    char *login; /* the form of a login, or NULL = a guest */
    struct vivo_token token;
};

static inline struct midas *midas_of(struct vivo_archive *a)
{
    return (struct midas *)(void *)a;
}

/* Calls "midas.METHOD"; id: "" = none. *data: caller frees. -ENOENT: there is no such
 * thing. */
int vivo_midas_call(struct midas *m, const char *what, const char *method,
                    const char *id, json_t **data, struct vivo_op *op);

/* Asks for the bytes of a bitstream: `ask` completes and sends *rq, and is called once
 * more, with another token, when that one has run out. */
typedef int midas_ask_fn(void *ctx, const struct vivo_net_request *rq,
                         struct vivo_net_reply *reply, struct vivo_op *op);
int vivo_midas_download(struct midas *m, const char *id, midas_ask_fn *ask, void *ctx,
                        struct vivo_op *op);

/* A page for people in the place of what was asked for is -EACCES. size: of a file,
 * whose length a page has not; 0 = of anything else. */
int vivo_midas_not_a_page(uint64_t size, const struct vivo_net_reply *r, int rc,
                          struct vivo_op *op);
/* The same of an item's last revision, as a zip if it has several files. */
int vivo_midas_zip(struct midas *m, const char *item, midas_ask_fn *ask, void *ctx,
                   struct vivo_op *op);
int vivo_midas_bundle(struct vivo_archive *self, const char *series,
                      struct vivo_bundle *to, struct vivo_op *op);
/* Each file of the item's last revision; -EBADMSG: the answer tells none. */
typedef int midas_file_fn(void *ctx, const json_t *row, struct vivo_err *err);
int vivo_midas_files(json_t *item, midas_file_fn *fn, void *ctx, struct vivo_err *err);
/* The locator of a file, and how long it is: UINT64_MAX = not told. */
int vivo_midas_locator(const json_t *row, char out[VIVO_SHELF_LOCATOR_MAX],
                       uint64_t *size, struct vivo_err *err);
/* -ENOENT: it is not one of a file. *size: 0 = not told. */
int vivo_midas_read_locator(const char *locator, char id[MIDAS_ID_MAX + 1],
                            uint64_t *size, struct vivo_err *err);

/* The form of a login out of EMAIL:APIKEY. */
int vivo_midas_read_login(struct midas *m, const char *bearer, struct vivo_err *err);

/* Numbers come as numbers or as texts. "" or UINT64_MAX = it is none. */
void vivo_midas_id(const json_t *row, const char *name, char out[MIDAS_ID_MAX + 1]);
uint64_t vivo_midas_number(const json_t *row, const char *name);
/* "" = none, no text, or longer than max. */
const char *vivo_midas_text(const json_t *row, const char *name, size_t max);

#endif
