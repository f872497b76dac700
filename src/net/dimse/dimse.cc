/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/dimse.cc -- associations and the messages on them (PS3.7, PS3.8). Data
 * sets are passed on as the bytes that came: DCMTK's parser sees commands only. No
 * exception leaves this file. */
#include "wire.h"

#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcuid.h>
#include <dcmtk/oflog/oflog.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

namespace net = vivo_dimse_net;

static const long PDU_BYTES = 131072; /* the most that DCMTK takes */
static const int CONNECT_S = 10;
static const int64_t FAREWELL_MS = 2000;

template <class F> static int no_throw(vivo_op *op, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return vivo_fail(vivo_dimse_op_err(op), ENOMEM, "dimse: out of memory");
    } catch (...) {
        return vivo_fail(vivo_dimse_op_err(op), EIO, "dimse: failed inside DCMTK");
    }
}

/* DCMTK's own log may hold values of patients. */
static void start_dcmtk()
{
    static std::once_flag once;
    std::call_once(once, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        dcmConnectionTimeout.set(CONNECT_S);
        dcmDisableGethostbyaddr.set(OFTrue);
    });
}

/* ---- messages --------------------------------------------------------------- */

namespace vivo_dimse_net
{

static int lost(Line &line, const OFCondition &why)
{
    line.broken = true;
    if (why == DUL_PEERABORTEDASSOCIATION)
        return line.patience->fail(EIO, "the server aborted the association");
    if (why == DUL_PEERREQUESTEDRELEASE)
        return line.patience->fail(EIO, "the server released the association too soon");
    if (why == DUL_NETWORKCLOSED)
        return line.patience->fail(EIO, "the server closed the connection");
    return line.patience->fail(EIO, "the connection failed, or what came is no DIMSE");
}

int receive(Line &line, T_ASC_PresentationContextID *id, T_DIMSE_Message *msg)
{
    DcmDataset *detail = nullptr;
    memset(static_cast<void *>(msg), 0, sizeof *msg);
    OFCondition c =
        DIMSE_receiveCommand(line.assoc, DIMSE_BLOCKING, 0, id, msg, &detail);
    delete detail;
    if (c.good())
        return 1;
    if (c != DUL_PEERREQUESTEDRELEASE)
        return lost(line, c);
    line.broken = true;
    ASC_acknowledgeRelease(line.assoc);
    return 0;
}

int receive_data(Line &line, Consumer &into)
{
    Stream stream(into);
    T_ASC_PresentationContextID id = 0;
    into.patience = line.patience;
    if (into.rc)
        line.patience->failed = ECANCELED;
    OFCondition c = DIMSE_receiveDataSetInFile(line.assoc, DIMSE_BLOCKING, 0, &id,
                                               &stream, nullptr, nullptr);
    if (into.rc) {
        line.broken = true;
        if (line.patience->op && !vivo_dimse_op_err(line.patience->op)->errnum)
            *vivo_dimse_op_err(line.patience->op) = into.err;
        return into.rc;
    }
    return c.good() ? 0 : lost(line, c);
}

int send(Line &line, T_ASC_PresentationContextID id, T_DIMSE_Message &msg,
         DcmDataset *data)
{
    OFCondition c = DIMSE_sendMessageUsingMemoryData(line.assoc, id, &msg, nullptr,
                                                     data, nullptr, nullptr);
    return c.good() ? 0 : lost(line, c);
}

static int answer_store(Line &line, T_ASC_PresentationContextID id,
                        const T_DIMSE_C_StoreRQ &rq, unsigned short status)
{
    T_DIMSE_Message rsp;
    memset(static_cast<void *>(&rsp), 0, sizeof rsp);
    rsp.CommandField = DIMSE_C_STORE_RSP;
    T_DIMSE_C_StoreRSP &r = rsp.msg.CStoreRSP;
    r.MessageIDBeingRespondedTo = rq.MessageID;
    r.DataSetType = DIMSE_DATASET_NULL;
    r.DimseStatus = status;
    r.opts = O_STORE_AFFECTEDSOPCLASSUID | O_STORE_AFFECTEDSOPINSTANCEUID;
    memcpy(r.AffectedSOPClassUID, rq.AffectedSOPClassUID, sizeof r.AffectedSOPClassUID);
    memcpy(r.AffectedSOPInstanceUID, rq.AffectedSOPInstanceUID,
           sizeof r.AffectedSOPInstanceUID);
    return send(line, id, rsp, nullptr);
}

int take_object(Line &line, T_ASC_PresentationContextID id, const T_DIMSE_Message &msg,
                vivo_dimse_taker *to, vivo_dimse_result *out)
{
    const T_DIMSE_C_StoreRQ &rq = msg.msg.CStoreRQ;
    T_ASC_PresentationContext pc;
    if (rq.DataSetType == DIMSE_DATASET_NULL ||
        ASC_findAcceptedPresentationContext(line.assoc->params, id, &pc).bad()) {
        line.broken = true;
        return line.patience->fail(EIO, "the server sent an object in a context that "
                                        "was not agreed on");
    }
    Consumer into;
    into.to = to;
    into.rc = to->begin(to, rq.AffectedSOPClassUID, rq.AffectedSOPInstanceUID,
                        pc.acceptedTransferSyntax, &into.err);
    int rc = receive_data(line, into);
    out->bytes += into.bytes;
    if (rc == 0 && (rc = to->end(to, vivo_dimse_op_err(line.patience->op))) != 0)
        line.broken = true;
    return rc ? rc : answer_store(line, id, rq, STATUS_Success);
}

} // namespace vivo_dimse_net

/* ---- opening ---------------------------------------------------------------- */

static int rejected(vivo_dimse *d, T_ASC_Parameters *params)
{
    T_ASC_RejectParameters why;
    if (ASC_getRejectParameters(params, &why).bad())
        return d->patience.fail(EIO, "the server rejected the association");
    switch (static_cast<int>(why.reason)) {
    case ASC_REASON_SU_CALLEDAETITLENOTRECOGNIZED:
        return d->patience.fail(EACCES, "the server rejected the association: it does "
                                        "not know the AE title that it was called by");
    case ASC_REASON_SU_CALLINGAETITLENOTRECOGNIZED:
        return d->patience.fail(EACCES,
                                "the server rejected the association: it does not know "
                                "our AE title (dimse://AETITLE@host:port/…)");
    case ASC_REASON_SP_PRES_TEMPORARYCONGESTION:
    case ASC_REASON_SP_PRES_LOCALLIMITEXCEEDED:
        return d->patience.fail(EIO, "the server rejected the association: it has as "
                                     "many as it takes");
    default:
        return d->patience.fail(EIO, why.result == ASC_RESULT_REJECTEDTRANSIENT
                                         ? "the server rejected the association for now"
                                         : "the server rejected the association");
    }
}

static int not_connected(vivo_dimse *d, const vivo_dimse_config *cfg,
                         const OFCondition &why)
{
    char text[200];
    const char *reason = "the connection failed";
    if (why.code() == DULC_UNKNOWNHOST)
        reason = "no such host";
    else if (why.code() == DULC_TLSERROR)
        reason = "the TLS handshake failed";
    else if (why == DUL_PEERABORTEDASSOCIATION)
        reason = "it aborted the association at once";
    else if (strstr(why.text(), "refused"))
        reason = "connection refused";
    else if (why == DUL_NETWORKCLOSED)
        reason = "it closed the connection";
    else if (cfg->tls)
        reason = "no TLS, or a certificate that is none of cafile's";
    bool late = strstr(why.text(), "imeout") || strstr(why.text(), "timed out");
    if (late)
        reason = "no answer";
    snprintf(text, sizeof text, "%.100s port %u: %s", cfg->host, cfg->port, reason);
    return d->patience.fail(late ? ETIMEDOUT : EIO, text);
}

static int use_tls(vivo_dimse *d, const vivo_dimse_config *cfg)
{
    auto layer = std::make_unique<net::SecureLayer>(
        d->patience, NET_REQUESTOR, static_cast<const char *>(nullptr), OFTrue);
    if (!cfg->cafile)
        return d->patience.fail(EINVAL, "dimses needs cafile=FILE: the certificates "
                                        "that the server may show");
    if (layer->addTrustedCertificateFile(cfg->cafile, DCF_Filetype_PEM).bad())
        return d->patience.fail(EINVAL, "cafile: holds no certificates in PEM form");
    layer->setCertificateVerification(DCV_requireCertificate);
    if (layer->setTLSProfile(TSP_Profile_BCP195).bad() ||
        layer->activateCipherSuites().bad())
        return d->patience.fail(EIO, "TLS cannot be had as BCP 195 wants it");
    d->layer = std::move(layer);
    return 0;
}

static int propose(T_ASC_Parameters *params, const vivo_dimse_offer *offers, size_t n)
{
    for (size_t i = 0; i < n && i < VIVO_DIMSE_CONTEXTS_MAX; i++) {
        /* DCMTK's parameter lacks a const; it copies the list. */
        const char **syntaxes = const_cast<const char **>(offers[i].syntaxes);
        OFCondition c = ASC_addPresentationContext(
            params, static_cast<T_ASC_PresentationContextID>(2 * i + 1),
            offers[i].abstract, syntaxes, static_cast<int>(offers[i].n),
            offers[i].store ? ASC_SC_ROLE_SCP : ASC_SC_ROLE_DEFAULT);
        if (c.bad())
            return -1;
    }
    return 0;
}

static int prepare(vivo_dimse *d, const vivo_dimse_config *cfg, T_ASC_Parameters **out)
{
    char address[300];
    T_ASC_Parameters *params = nullptr;
    int limit = static_cast<int>(cfg->timeout_ms / 1000) + 1;
    if (ASC_initializeNetwork(NET_REQUESTOR, 0, limit, &d->net).bad() ||
        ASC_createAssociationParameters(&params, PDU_BYTES).bad())
        return d->patience.fail(EIO, "dimse: no network");
    *out = params;
    snprintf(address, sizeof address, "%.250s:%u", cfg->host, cfg->port);
    ASC_setAPTitles(params, cfg->calling, cfg->called, nullptr);
    if (ASC_setPresentationAddresses(params, "localhost", address).bad() ||
        ASC_setTransportLayer(d->net, d->layer.get(), 0).bad() ||
        ASC_setTransportLayerType(params, cfg->tls).bad())
        return d->patience.fail(EIO, "dimse: no network");
    return 0;
}

static int request(vivo_dimse *d, const vivo_dimse_config *cfg,
                   const vivo_dimse_offer *offers, size_t n)
{
    T_ASC_Parameters *params = nullptr;
    int rc = prepare(d, cfg, &params);
    if (rc == 0 && propose(params, offers, n))
        rc = d->patience.fail(ENOMEM, "dimse: out of memory");
    if (rc) {
        if (params)
            ASC_destroyAssociationParameters(&params);
        return rc;
    }
    OFCondition c = ASC_requestAssociation(d->net, params, &d->line.assoc);
    if (c.good())
        return 0;
    d->line.broken = true;
    rc = c == DUL_ASSOCIATIONREJECTED ? rejected(d, params) : not_connected(d, cfg, c);
    if (!d->line.assoc)
        ASC_destroyAssociationParameters(&params);
    return rc;
}

static int open_line(vivo_dimse *d, const vivo_dimse_config *cfg,
                     const vivo_dimse_offer *offers, size_t n)
{
    int rc = 0;
    d->patience.silence_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : 30000;
    d->calling = cfg->calling;
    d->line.patience = &d->patience;
    if (cfg->tls)
        rc = use_tls(d, cfg);
    else
        d->layer = std::make_unique<net::PlainLayer>(d->patience);
    if (rc == 0)
        rc = request(d, cfg, offers, n);
    if (rc)
        return rc;
    d->fd = cfg->tls ? static_cast<net::SecureLayer *>(d->layer.get())->fd
                     : static_cast<net::PlainLayer *>(d->layer.get())->fd;
    if (ASC_countAcceptedPresentationContexts(d->line.assoc->params) > 0)
        return 0;
    return d->patience.fail(EIO, "the server takes the association, but none of the "
                                 "services or kinds of objects asked for");
}

extern "C" int vivo_dimse_open(const vivo_dimse_config *cfg,
                               const vivo_dimse_offer *offers, size_t n,
                               vivo_dimse **out, vivo_op *op)
{
    return no_throw(op, [&] {
        start_dcmtk();
        std::unique_ptr<vivo_dimse, void (*)(vivo_dimse *)> d(new vivo_dimse,
                                                              vivo_dimse_close);
        d->patience.op = op;
        int rc = open_line(d.get(), cfg, offers, n);
        if (rc == 0)
            *out = d.release();
        return rc;
    });
}

extern "C" void vivo_dimse_close(vivo_dimse *d)
{
    if (!d)
        return;
    try {
        bool gone = d->line.broken || d->patience.failed;
        d->patience = net::Patience();
        d->patience.silence_ms = FAREWELL_MS;
        if (d->line.assoc) {
            if (gone || ASC_releaseAssociation(d->line.assoc).bad())
                ASC_abortAssociation(d->line.assoc);
            ASC_destroyAssociation(&d->line.assoc);
        }
        if (d->net)
            ASC_dropNetwork(&d->net);
    } catch (...) {
        /* Nothing is left to be done about it. */
        d->line.broken = true;
    }
    delete d;
}

extern "C" bool vivo_dimse_accepts(const vivo_dimse *d, const char *abstract)
{
    return ASC_findAcceptedPresentationContextID(d->line.assoc, abstract) != 0;
}

extern "C" bool vivo_dimse_alive(vivo_dimse *d)
{
    return !d->line.broken && !d->patience.failed;
}

/* ---- operations ------------------------------------------------------------- */

/* The identifier for DCMTK, which writes it as the context wants it. */
static int read_identifier(vivo_dimse *d, const void *data, size_t len, DcmDataset &out)
{
    DcmInputBufferStream in;
    in.setBuffer(data, static_cast<offile_off_t>(len));
    in.setEos();
    out.transferInit();
    OFCondition c = out.read(in, EXS_LittleEndianExplicit);
    out.transferEnd();
    return c.good() ? 0 : d->patience.fail(EINVAL, "dimse: an identifier is not DICOM");
}

static int begin(vivo_dimse *d, const char *sop_class, vivo_op *op,
                 T_ASC_PresentationContextID *id)
{
    d->patience.op = op;
    if (!vivo_dimse_alive(d))
        return d->patience.fail(EIO, "the association has ended");
    *id = ASC_findAcceptedPresentationContextID(d->line.assoc, sop_class);
    d->message = static_cast<unsigned short>(d->message % 30000 + 1);
    if (*id == 0)
        return d->patience.fail(EIO, "the server does not offer this service");
    return 0;
}

/* Asks the server to stop; the association is given up afterwards. */
static void cancel(vivo_dimse *d, T_ASC_PresentationContextID id)
{
    net::Patience kept = d->patience;
    d->patience.op = nullptr;
    d->patience.failed = 0;
    d->patience.silence_ms = FAREWELL_MS;
    DIMSE_sendCancelRequest(d->line.assoc, id, d->message);
    d->patience = kept;
    d->line.broken = true;
}

static int unexpected(vivo_dimse *d)
{
    d->line.broken = true;
    return d->patience.fail(EIO, "the server sent a message that is no answer to ours");
}

extern "C" int vivo_dimse_echo(vivo_dimse *d, vivo_dimse_result *out, vivo_op *op)
{
    return no_throw(op, [&] {
        T_ASC_PresentationContextID id = 0;
        T_DIMSE_Message msg;
        int rc = begin(d, UID_VerificationSOPClass, op, &id);
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
            return unexpected(d);
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
        return unexpected(d);
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
        return unexpected(d);
    rc = to->row(to, row.kept.data(), row.kept.size(), pc.acceptedTransferSyntax,
                 vivo_dimse_op_err(d->patience.op));
    return rc ? rc : 1;
}

extern "C" int vivo_dimse_find(vivo_dimse *d, const char *sop_class,
                               const void *identifier, size_t len, vivo_dimse_taker *to,
                               vivo_dimse_result *out, vivo_op *op)
{
    return no_throw(op, [&] {
        T_ASC_PresentationContextID id = 0;
        T_DIMSE_Message msg;
        DcmDataset keys;
        *out = vivo_dimse_result{};
        int rc = begin(d, sop_class, op, &id);
        rc = rc ? rc : read_identifier(d, identifier, len, keys);
        if (rc)
            return rc;
        memset(static_cast<void *>(&msg), 0, sizeof msg);
        msg.CommandField = DIMSE_C_FIND_RQ;
        T_DIMSE_C_FindRQ &rq = msg.msg.CFindRQ;
        rq.MessageID = d->message;
        rq.Priority = DIMSE_PRIORITY_MEDIUM;
        rq.DataSetType = DIMSE_DATASET_PRESENT;
        snprintf(rq.AffectedSOPClassUID, sizeof rq.AffectedSOPClassUID, "%s",
                 sop_class);
        rc = net::send(d->line, id, msg, &keys);
        if (rc)
            return rc;
        while ((rc = take_row(d, to, out)) > 0)
            if (!d->patience.check())
                rc = d->patience.fail(d->patience.failed, "cancelled");
        if (rc < 0)
            cancel(d, id);
        return rc;
    });
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
        return unexpected(d);
    out->status = r.DimseStatus;
    if (r.opts & O_GET_NUMBEROFCOMPLETEDSUBOPERATIONS)
        out->completed = r.NumberOfCompletedSubOperations;
    if (r.opts & O_GET_NUMBEROFFAILEDSUBOPERATIONS)
        out->failed = r.NumberOfFailedSubOperations;
    if (r.opts & O_GET_NUMBEROFWARNINGSUBOPERATIONS)
        out->warning = r.NumberOfWarningSubOperations;
    if (r.DataSetType != DIMSE_DATASET_NULL) {
        net::Consumer failed_uids;
        rc = net::receive_data(d->line, failed_uids);
        if (rc)
            return rc;
    }
    return out->status == VIVO_DIMSE_STATUS_PENDING ? 1 : 0;
}

extern "C" int vivo_dimse_get(vivo_dimse *d, const char *sop_class,
                              const void *identifier, size_t len, vivo_dimse_taker *to,
                              vivo_dimse_result *out, vivo_op *op)
{
    return no_throw(op, [&] {
        T_ASC_PresentationContextID id = 0;
        T_DIMSE_Message msg;
        DcmDataset keys;
        *out = vivo_dimse_result{};
        int rc = begin(d, sop_class, op, &id);
        rc = rc ? rc : read_identifier(d, identifier, len, keys);
        if (rc)
            return rc;
        memset(static_cast<void *>(&msg), 0, sizeof msg);
        msg.CommandField = DIMSE_C_GET_RQ;
        T_DIMSE_C_GetRQ &rq = msg.msg.CGetRQ;
        rq.MessageID = d->message;
        rq.Priority = DIMSE_PRIORITY_MEDIUM;
        rq.DataSetType = DIMSE_DATASET_PRESENT;
        snprintf(rq.AffectedSOPClassUID, sizeof rq.AffectedSOPClassUID, "%s",
                 sop_class);
        rc = net::send(d->line, id, msg, &keys);
        if (rc)
            return rc;
        while ((rc = take_got(d, to, out)) > 0)
            if (!d->patience.check())
                rc = d->patience.fail(d->patience.failed, "cancelled");
        if (rc < 0)
            cancel(d, id);
        return rc;
    });
}
