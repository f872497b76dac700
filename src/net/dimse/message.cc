/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/message.cc -- the messages on an association (PS3.7): commands are read
 * and written by DCMTK, data sets are passed on as the bytes that came. */
#include "wire.h"

#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcistrmb.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

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

/* ---- requests ----------------------------------------------------------------- */

/* The identifier for DCMTK, which writes it as the context wants it. */
static int read_identifier(vivo_dimse *d, const Question &q, DcmDataset &out)
{
    DcmInputBufferStream in;
    in.setBuffer(q.identifier, static_cast<offile_off_t>(q.len));
    in.setEos();
    out.transferInit();
    OFCondition c = out.read(in, EXS_LittleEndianExplicit);
    out.transferEnd();
    return c.good() ? 0 : d->patience.fail(EINVAL, "dimse: an identifier is not DICOM");
}

template <class Rq> static void fill(Rq &rq, const vivo_dimse *d, const Question &q)
{
    rq.MessageID = d->message;
    rq.Priority = DIMSE_PRIORITY_MEDIUM;
    rq.DataSetType = DIMSE_DATASET_PRESENT;
    snprintf(rq.AffectedSOPClassUID, sizeof rq.AffectedSOPClassUID, "%s", q.sop_class);
}

static void write_request(const vivo_dimse *d, const Question &q, T_DIMSE_Message &msg)
{
    memset(static_cast<void *>(&msg), 0, sizeof msg);
    msg.CommandField = q.command;
    if (q.command == DIMSE_C_FIND_RQ)
        fill(msg.msg.CFindRQ, d, q);
    else if (q.command == DIMSE_C_GET_RQ)
        fill(msg.msg.CGetRQ, d, q);
    else
        fill(msg.msg.CMoveRQ, d, q);
    if (q.command == DIMSE_C_MOVE_RQ)
        snprintf(msg.msg.CMoveRQ.MoveDestination,
                 sizeof msg.msg.CMoveRQ.MoveDestination, "%s", q.destination);
}

int begin(vivo_dimse *d, const char *sop_class, vivo_op *op,
          T_ASC_PresentationContextID *id)
{
    d->patience.op = op;
    if (d->line.broken || d->patience.failed)
        return d->patience.fail(EIO, "the association has ended");
    *id = ASC_findAcceptedPresentationContextID(d->line.assoc, sop_class);
    d->message = static_cast<unsigned short>(d->message % 30000 + 1);
    if (*id == 0)
        return d->patience.fail(EIO, "the server does not offer this service");
    return 0;
}

int request(vivo_dimse *d, const Question &q, vivo_op *op)
{
    T_ASC_PresentationContextID id = 0;
    T_DIMSE_Message msg;
    DcmDataset keys;
    int rc = begin(d, q.sop_class, op, &id);
    rc = rc ? rc : read_identifier(d, q, keys);
    if (rc)
        return rc;
    write_request(d, q, msg);
    rc = send(d->line, id, msg, &keys);
    if (rc == 0)
        d->link.cancel_with(id, d->message);
    return rc;
}

int unexpected(vivo_dimse *d)
{
    d->line.broken = true;
    return d->patience.fail(EIO, "the server sent a message that is no answer to ours");
}

int finish(vivo_dimse *d, int rc)
{
    if (rc < 0) {
        d->line.broken = true;
        d->link.say_last_words();
    }
    d->link.last_words.clear();
    return rc;
}

} // namespace vivo_dimse_net
