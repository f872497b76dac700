/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/module.h -- what vivofs-http.so and vivofs-dimse.so show of themselves.
 *
 * libcurl and DCMTK bring some thirty libraries, whose loading takes longer than a
 * mount of a folder; so each is linked to a module that is loaded when a source first
 * wants it. A module exports one table and nothing else. Readable by C++. */
#ifndef VIVOFS_NET_MODULE_H
#define VIVOFS_NET_MODULE_H

#include "vivofs/dimse.h"

#include <stddef.h>
#include <stdint.h>

/* Counted up when a table, or a struct that passes through one, changes. */
#define VIVO_NET_ABI 2u
#define VIVO_NET_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

struct vivo_net;
struct vivo_net_config;
struct vivo_net_counters;
struct vivo_net_reply;
struct vivo_net_request;
struct vivo_sink;

/* A table begins with it: the module of another build is not used. */
struct vivo_module {
    uint32_t abi;  /* VIVO_NET_ABI */
    uint32_t size; /* of the table */
    const char *version;
};

/* As in vivofs/net.h. */
struct vivo_http_module {
    struct vivo_module head;
    int (*make)(const struct vivo_net_config *cfg, struct vivo_net **out,
                struct vivo_err *err);
    void (*free)(struct vivo_net *n);
    int (*fetch)(struct vivo_net *n, const struct vivo_net_request *rq,
                 struct vivo_sink *body, struct vivo_net_reply *out,
                 struct vivo_op *op);
    void (*count)(struct vivo_net *n, struct vivo_net_counters *out);
};

/* As in vivofs/dimse.h. */
struct vivo_dimse_module {
    struct vivo_module head;
    int (*open)(const struct vivo_dimse_config *cfg,
                const struct vivo_dimse_offer *offers, size_t n,
                struct vivo_dimse **out, struct vivo_op *op);
    void (*close)(struct vivo_dimse *d);
    bool (*accepts)(const struct vivo_dimse *d, const char *abstract);
    bool (*alive)(struct vivo_dimse *d);
    int (*echo)(struct vivo_dimse *d, struct vivo_dimse_result *out,
                struct vivo_op *op);
    int (*find)(struct vivo_dimse *d, const char *sop_class, const void *identifier,
                size_t len, struct vivo_dimse_taker *to, struct vivo_dimse_result *out,
                struct vivo_op *op);
    int (*get)(struct vivo_dimse *d, const char *sop_class, const void *identifier,
               size_t len, struct vivo_dimse_taker *to, struct vivo_dimse_result *out,
               struct vivo_op *op);
    int (*move)(struct vivo_dimse *d, const struct vivo_dimse_door *door,
                const char *sop_class, const void *identifier, size_t len,
                struct vivo_dimse_taker *to, struct vivo_dimse_result *out,
                struct vivo_op *op);
};

#ifdef __cplusplus
}
#endif
#endif
