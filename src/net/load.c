/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/load.c -- vivofs/net.h and vivofs/dimse.h as the program sees them: the
 * module is loaded by what comes first (vivo_net_new, vivo_dimse_open) and stays. Two
 * threads that load at once get the same table. */
#include "module.h"

#include "vivofs/file.h"
#include "vivofs/net.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic(const struct vivo_http_module *) http;
static _Atomic(const struct vivo_dimse_module *) dimse;

static int load(const char *file, const char *symbol, size_t size, const void **out,
                struct vivo_err *err)
{
    char path[PATH_MAX];
    int rc = vivo_file_part(file, path, err);
    if (rc)
        return rc;
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return vivo_fail(err, EIO, "%s cannot be loaded: %s", file, dlerror());
    const struct vivo_module *head = dlsym(so, symbol);
    if (!head || head->abi != VIVO_NET_ABI || head->size != size ||
        strcmp(head->version, VIVOFS_VERSION) != 0)
        return vivo_fail(err, EIO, "%s is of another version than this program", path);
    *out = head;
    return 0;
}

/* ---- HTTP ------------------------------------------------------------------- */

int vivo_net_new(const struct vivo_net_config *cfg, struct vivo_net **out,
                 struct vivo_err *err)
{
    const void *table = atomic_load(&http);
    int rc = table ? 0
                   : load("vivofs-http.so", "vivofs_http",
                          sizeof(struct vivo_http_module), &table, err);
    if (rc)
        return rc;
    atomic_store(&http, table);
    return atomic_load(&http)->make(cfg, out, err);
}

void vivo_net_free(struct vivo_net *n)
{
    if (n)
        atomic_load(&http)->free(n);
}

int vivo_net_fetch(struct vivo_net *n, const struct vivo_net_request *rq,
                   struct vivo_sink *body, struct vivo_net_reply *out,
                   struct vivo_op *op)
{
    return atomic_load(&http)->fetch(n, rq, body, out, op);
}

void vivo_net_count(struct vivo_net *n, struct vivo_net_counters *out)
{
    atomic_load(&http)->count(n, out);
}

/* ---- DIMSE ------------------------------------------------------------------ */

int vivo_dimse_open(const struct vivo_dimse_config *cfg,
                    const struct vivo_dimse_offer *offers, size_t n,
                    struct vivo_dimse **out, struct vivo_op *op)
{
    const void *table = atomic_load(&dimse);
    int rc = table ? 0
                   : load("vivofs-dimse.so", "vivofs_dimse",
                          sizeof(struct vivo_dimse_module), &table, &op->err);
    if (rc)
        return rc;
    atomic_store(&dimse, table);
    return atomic_load(&dimse)->open(cfg, offers, n, out, op);
}

void vivo_dimse_close(struct vivo_dimse *d)
{
    if (d)
        atomic_load(&dimse)->close(d);
}

bool vivo_dimse_accepts(const struct vivo_dimse *d, const char *abstract)
{
    return atomic_load(&dimse)->accepts(d, abstract);
}

bool vivo_dimse_alive(struct vivo_dimse *d)
{
    return atomic_load(&dimse)->alive(d);
}

int vivo_dimse_echo(struct vivo_dimse *d, struct vivo_dimse_result *out,
                    struct vivo_op *op)
{
    return atomic_load(&dimse)->echo(d, out, op);
}

int vivo_dimse_find(struct vivo_dimse *d, const char *sop_class, const void *identifier,
                    size_t len, struct vivo_dimse_taker *to,
                    struct vivo_dimse_result *out, struct vivo_op *op)
{
    return atomic_load(&dimse)->find(d, sop_class, identifier, len, to, out, op);
}

int vivo_dimse_get(struct vivo_dimse *d, const char *sop_class, const void *identifier,
                   size_t len, struct vivo_dimse_taker *to,
                   struct vivo_dimse_result *out, struct vivo_op *op)
{
    return atomic_load(&dimse)->get(d, sop_class, identifier, len, to, out, op);
}

int vivo_dimse_move(struct vivo_dimse *d, const struct vivo_dimse_door *door,
                    const char *sop_class, const void *identifier, size_t len,
                    struct vivo_dimse_taker *to, struct vivo_dimse_result *out,
                    struct vivo_op *op)
{
    return atomic_load(&dimse)->move(d, door, sop_class, identifier, len, to, out, op);
}
