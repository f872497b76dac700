/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/move.cc -- C-MOVE to ourselves (PS3.4 annex C.4.2): the server connects
 * to a port of this machine and stores there, while the first association waits. The
 * port is open only during the operation, and only who calls us by our AE title may
 * store. */
#include "connect.h"
#include "wire.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace net = vivo_dimse_net;

static const int STEP_MS = 100;
static const long PDU_BYTES = 131072;

namespace
{

struct Move {
    vivo_dimse *d = nullptr;
    const vivo_dimse_door *door = nullptr;
    vivo_dimse_taker *to = nullptr;
    vivo_dimse_result *out = nullptr;
    T_ASC_Network *net = nullptr;
    int listener = -1;
    net::Link link; /* of the second association */
    std::unique_ptr<net::PlainLayer> layer;
    bool done = false; /* the final response has come */
    int64_t heard_ms = 0;

    ~Move()
    {
        if (listener >= 0)
            close(listener);
        if (net)
            ASC_dropNetwork(&net);
    }
};

} // namespace

/* What the server says on the first association. */
static int take_response(Move &m)
{
    T_ASC_PresentationContextID id = 0;
    T_DIMSE_Message msg;
    int rc = net::receive(m.d->line, &id, &msg);
    if (rc < 0)
        return rc;
    const T_DIMSE_C_MoveRSP &r = msg.msg.CMoveRSP;
    if (rc == 0 || msg.CommandField != DIMSE_C_MOVE_RSP ||
        r.MessageIDBeingRespondedTo != m.d->message) {
        return net::unexpected(m.d);
    }
    m.out->status = r.DimseStatus;
    net::count(r, m.out);
    m.done = r.DimseStatus != VIVO_DIMSE_STATUS_PENDING;
    if (r.DataSetType == DIMSE_DATASET_NULL)
        return 0;
    net::Consumer failed_uids;
    return net::receive_data(m.d->line, failed_uids);
}

/* Waits a step for a descriptor or the first association. *ready: the descriptor. */
static int step(Move &m, int fd, bool *ready)
{
    struct pollfd p[2] = {{m.d->link.fd, POLLIN, 0}, {fd, POLLIN, 0}};
    *ready = false;
    if (!m.d->patience.check())
        return m.d->patience.fail(m.d->patience.failed, "cancelled");
    int n = poll(p, fd >= 0 ? 2 : 1, STEP_MS);
    if (n > 0)
        m.heard_ms = vivo_dimse_now_ms();
    if (vivo_dimse_now_ms() - m.heard_ms > m.d->patience.silence_ms) {
        m.d->patience.failed = ETIMEDOUT;
        return m.d->patience.fail(ETIMEDOUT, "the server was silent");
    }
    *ready = n > 0 && fd >= 0 && p[1].revents;
    return n > 0 && p[0].revents && !m.done ? take_response(m) : 0;
}

/* ---- the second association --------------------------------------------------- */

static void accept_contexts(T_ASC_Parameters *params)
{
    int n = ASC_countPresentationContexts(params);
    for (int i = 0; i < n; i++) {
        T_ASC_PresentationContext pc;
        /* The first syntax proposed is the one that the sender likes best: as it is. */
        if (ASC_getPresentationContext(params, i, &pc).good() &&
            pc.transferSyntaxCount > 0)
            ASC_acceptPresentationContext(params, pc.presentationContextID,
                                          pc.proposedTransferSyntaxes[0]);
    }
}

static int let_in(Move &m, T_ASC_Association *assoc)
{
    DIC_AE calling, called;
    if (ASC_getAPTitles(assoc->params, calling, sizeof calling, called, sizeof called,
                        nullptr, 0)
            .bad() ||
        strcmp(called, m.door->destination) != 0) {
        T_ASC_RejectParameters why = {ASC_RESULT_REJECTEDPERMANENT,
                                      ASC_SOURCE_SERVICEUSER,
                                      ASC_REASON_SU_CALLEDAETITLENOTRECOGNIZED};
        ASC_rejectAssociation(assoc, &why);
        return 0;
    }
    accept_contexts(assoc->params);
    return ASC_acknowledgeAssociation(assoc).good();
}

static int take_message(Move &m, net::Line &line)
{
    T_ASC_PresentationContextID id = 0;
    T_DIMSE_Message msg;
    int rc = net::receive(line, &id, &msg);
    if (rc <= 0)
        return rc;
    if (msg.CommandField != DIMSE_C_STORE_RQ) {
        line.broken = true;
        return m.d->patience.fail(EIO, "the server sent something else than an object");
    }
    return net::take_object(line, id, msg, m.to, m.out);
}

/* Until the server releases it, or has said that it is through. */
static int serve(Move &m, T_ASC_Association *assoc, int fd)
{
    net::Line line;
    line.assoc = assoc;
    line.patience = &m.d->patience;
    int rc = 0;
    while (rc == 0 && !line.broken) {
        bool ready = false;
        rc = step(m, fd, &ready);
        if (rc == 0 && ready)
            rc = take_message(m, line);
        else if (rc == 0 && m.done)
            break;
    }
    if (rc || !line.broken)
        ASC_abortAssociation(assoc);
    return rc;
}

static int receive_one(Move &m)
{
    T_ASC_Association *assoc = nullptr;
    int fd = accept4(m.listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
        return 0; /* gone already */
    net::hand_over(fd, m.link);
    OFCondition c = ASC_receiveAssociation(m.net, &assoc, PDU_BYTES, nullptr, nullptr,
                                           OFFalse, DUL_BLOCK, 0);
    if (m.link.handed)
        close(fd); /* it did not come as far as to take it */
    net::taken(m.link);
    int rc = 0;
    if (c.good() && let_in(m, assoc))
        rc = serve(m, assoc, m.link.fd);
    if (assoc) {
        ASC_dropAssociation(assoc);
        ASC_destroyAssociation(&assoc);
    }
    /* Somebody who is no DICOM peer at our door is no failure of the server. */
    return rc;
}

/* ---- the operation --------------------------------------------------------------- */

static int open_door(Move &m)
{
    char text[100];
    m.layer = std::make_unique<net::PlainLayer>(m.link);
    m.link.patience = &m.d->patience;
    int limit = static_cast<int>(m.d->patience.silence_ms / 1000) + 1;
    m.listener = vivo_dimse_listen(m.door->port);
    if (m.listener >= 0) {
        net::hand_over(m.listener, m.link); /* so that it opens none of its own */
        OFCondition c = ASC_initializeNetwork(
            NET_ACCEPTOR, static_cast<int>(m.door->port), limit, &m.net);
        net::taken(m.link);
        if (c.good() && ASC_setTransportLayer(m.net, m.layer.get(), 0).good())
            return 0;
    }
    snprintf(text, sizeof text, "C-MOVE: port %u of this machine cannot be had",
             m.door->port);
    return m.d->patience.fail(EIO, text);
}

static int run(Move &m)
{
    int rc = 0;
    m.heard_ms = vivo_dimse_now_ms();
    while (rc == 0 && !m.done) {
        bool ready = false;
        rc = step(m, m.listener, &ready);
        if (rc == 0 && ready)
            rc = receive_one(m);
    }
    return rc;
}

extern "C" int vivo_dimse_move(vivo_dimse *d, const vivo_dimse_door *door,
                               const char *sop_class, const void *identifier,
                               size_t len, vivo_dimse_taker *to, vivo_dimse_result *out,
                               vivo_op *op)
{
    return net::no_throw(op, [&] {
        Move m;
        d->patience.op = op;
        *out = vivo_dimse_result{};
        m.d = d;
        m.door = door;
        m.to = to;
        m.out = out;
        int rc = open_door(m);
        if (rc == 0)
            rc = net::request(
                d, {DIMSE_C_MOVE_RQ, sop_class, identifier, len, door->destination},
                op);
        return net::finish(d, rc ? rc : run(m));
    });
}
