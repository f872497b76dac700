/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/dimse.cc -- C-ECHO, C-FIND, C-GET (PS3.4 annex C, PS3.7). No exception
 * leaves this folder. */
#include "wire.h"

#include <dcmtk/dcmdata/dcuid.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace net = vivo_dimse_net;

extern "C" int vivo_dimse_echo(vivo_dimse *d, vivo_dimse_result *out, vivo_op *op)
{
    return net::no_throw(op, [&] {
        T_ASC_PresentationContextID id = 0;
        T_DIMSE_Message msg;
        int rc = net::begin(d, UID_VerificationSOPClass, op, &id);
        if (rc)
            return rc;
        memset(static_cast<void *>(&msg), 0, sizeof msg);
        msg.CommandField = DIMSE_C_ECHO_RQ;
        msg.msg.CEchoRQ.MessageID = d->message;
        msg.msg.CEchoRQ.DataSetType = DIMSE_DATASET_NULL;
        snprintf(msg.msg.CEchoRQ.AffectedSOPClassUID,
                 sizeof msg.msg.CEchoRQ.AffectedSOPClassUID, "%s",
                 UID_VerificationSOPClass);
        rc = net::send(d->line, id, msg, nullptr);
        rc = rc ? rc : net::receive(d->line, &id, &msg);
        if (rc < 0)
            return rc;
        if (rc == 0 || msg.CommandField != DIMSE_C_ECHO_RSP)
            return net::unexpected(d);
        *out = vivo_dimse_result{};
        out->status = msg.msg.CEchoRSP.DimseStatus;
        return 0;
    });
}

/* One answer to C-FIND. 1 = more will come. */
static int take_row(vivo_dimse *d, vivo_dimse_taker *to, vivo_dimse_result *out)
{
    T_ASC_PresentationContextID id = 0;
    T_DIMSE_Message msg;
    net::Consumer row;
    int rc = net::receive(d->line, &id, &msg);
    if (rc < 0)
        return rc;
    if (rc == 0 || msg.CommandField != DIMSE_C_FIND_RSP ||
        msg.msg.CFindRSP.MessageIDBeingRespondedTo != d->message)
        return net::unexpected(d);
    out->status = msg.msg.CFindRSP.DimseStatus;
    bool more = out->status == VIVO_DIMSE_STATUS_PENDING ||
                out->status == VIVO_DIMSE_STATUS_PENDING_WARNING;
    if (msg.msg.CFindRSP.DataSetType == DIMSE_DATASET_NULL)
        return more ? d->patience.fail(EIO, "the server sent an answer without content")
                    : 0;
    rc = net::receive_data(d->line, row);
    out->bytes += row.bytes;
    T_ASC_PresentationContext pc;
    if (rc || !more)
        return rc;
    if (ASC_findAcceptedPresentationContext(d->line.assoc->params, id, &pc).bad())
        return net::unexpected(d);
    rc = to->row(to, row.kept.data(), row.kept.size(), pc.acceptedTransferSyntax,
                 vivo_dimse_op_err(d->patience.op));
    return rc ? rc : 1;
}

/* One message during C-GET. 1 = more will come. */
static int take_got(vivo_dimse *d, vivo_dimse_taker *to, vivo_dimse_result *out)
{
    T_ASC_PresentationContextID id = 0;
    T_DIMSE_Message msg;
    int rc = net::receive(d->line, &id, &msg);
    if (rc < 0)
        return rc;
    if (rc > 0 && msg.CommandField == DIMSE_C_STORE_RQ) {
        rc = net::take_object(d->line, id, msg, to, out);
        return rc ? rc : 1;
    }
    const T_DIMSE_C_GetRSP &r = msg.msg.CGetRSP;
    if (rc == 0 || msg.CommandField != DIMSE_C_GET_RSP ||
        r.MessageIDBeingRespondedTo != d->message)
        return net::unexpected(d);
    out->status = r.DimseStatus;
    net::count(r, out);
    if (r.DataSetType != DIMSE_DATASET_NULL) {
        net::Consumer failed_uids;
        rc = net::receive_data(d->line, failed_uids);
        if (rc)
            return rc;
    }
    return out->status == VIVO_DIMSE_STATUS_PENDING ? 1 : 0;
}

/* Asks, and takes what comes until the last answer. */
static int converse(vivo_dimse *d, const net::Question &q, vivo_dimse_taker *to,
                    vivo_dimse_result *out, vivo_op *op)
{
    return net::no_throw(op, [&] {
        auto take = q.command == DIMSE_C_FIND_RQ ? take_row : take_got;
        *out = vivo_dimse_result{};
        int rc = net::request(d, q, op);
        if (rc)
            return rc;
        while ((rc = take(d, to, out)) > 0)
            if (!d->patience.check())
                rc = d->patience.fail(d->patience.failed, "cancelled");
        return net::finish(d, rc);
    });
}

extern "C" int vivo_dimse_find(vivo_dimse *d, const char *sop_class,
                               const void *identifier, size_t len, vivo_dimse_taker *to,
                               vivo_dimse_result *out, vivo_op *op)
{
    return converse(d, {DIMSE_C_FIND_RQ, sop_class, identifier, len, nullptr}, to, out,
                    op);
}

extern "C" int vivo_dimse_get(vivo_dimse *d, const char *sop_class,
                              const void *identifier, size_t len, vivo_dimse_taker *to,
                              vivo_dimse_result *out, vivo_op *op)
{
    return converse(d, {DIMSE_C_GET_RQ, sop_class, identifier, len, nullptr}, to, out,
                    op);
}
