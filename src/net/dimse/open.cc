/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/open.cc -- associations are requested, released and aborted (PS3.8). */
#include "connect.h"
#include "wire.h"

#include "vivofs/cert.h"

#include <dcmtk/oflog/oflog.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace net = vivo_dimse_net;

static const long PDU_BYTES = 131072; /* the most that DCMTK takes */
static const int64_t CONNECT_MS = 10000;
static const int64_t FAREWELL_MS = 2000;

/* DCMTK's own log may hold values of patients. */
static void start_dcmtk()
{
    static std::once_flag once;
    std::call_once(once, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        dcmDisableGethostbyaddr.set(OFTrue);
    });
}

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

static int not_associated(vivo_dimse *d, const vivo_dimse_config *cfg,
                          const OFCondition &why)
{
    char text[240];
    const char *reason = "what it answers is no DICOM";
    bool late = d->patience.failed == ETIMEDOUT || strstr(why.text(), "imeout");
    int errnum = late ? ETIMEDOUT : d->patience.failed ? d->patience.failed : EIO;
    if (d->link.real >= 0)
        reason = "connected, but this machine's own 127.0.0.1 cannot be reached";
    else if (late)
        reason = "no answer to the request for an association";
    else if (d->link.wrong_name)
        reason = "its certificate is for another host (?name=NAME says which it is)";
    else if (strstr(why.text(), "ertificate verify failed"))
        reason = cfg->cafile ? "it shows a certificate that none of cafile's stands for"
                             : "it shows a certificate that none of this machine's "
                               "stands for (cafile=FILE names others)";
    else if (cfg->tls && !d->link.secured)
        reason = "the TLS handshake failed";
    else if (why == DUL_PEERABORTEDASSOCIATION)
        reason = "it aborted the association at once";
    else if (why == DUL_NETWORKCLOSED)
        reason = "it closed the connection";
    snprintf(text, sizeof text, "%.100s port %u: %s", cfg->host, cfg->port, reason);
    d->patience.failed = 0; /* the sentence is ours */
    int rc = d->patience.fail(errnum, text);
    d->patience.failed = errnum;
    return rc;
}

/* Those that this machine trusts, as for HTTPS. */
static bool trust_system(net::SecureLayer &layer)
{
    const char *file;
    const char *dir;
    vivo_cert_store(&file, &dir);
    bool some = access(file, R_OK) == 0 &&
                layer.addTrustedCertificateFile(file, DCF_Filetype_PEM).good();
    return (access(dir, R_OK | X_OK) == 0 &&
            layer.addTrustedCertificateDir(dir, DCF_Filetype_PEM).good()) ||
           some;
}

static int use_tls(vivo_dimse *d, const vivo_dimse_config *cfg)
{
    auto layer = std::make_unique<net::SecureLayer>(
        d->link, NET_REQUESTOR, static_cast<const char *>(nullptr), OFTrue);
    if (!cfg->cafile && !trust_system(*layer))
        return d->patience.fail(EINVAL, "this machine has no store of certificates: "
                                        "cafile=FILE names those to trust");
    if (cfg->cafile &&
        layer->addTrustedCertificateFile(cfg->cafile, DCF_Filetype_PEM).bad())
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

/* DCMTK 3.6.7 connects by itself, without regard for an op and by IPv4 only. So it is
 * sent to a port of this machine at which nobody is waited for, and the Layer puts the
 * real connection in the place of that one. */
static int open_decoy(vivo_dimse *d, char address[40])
{
    struct sockaddr_in at = {};
    socklen_t len = sizeof at;
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto *where = reinterpret_cast<struct sockaddr *>(&at);
    d->link.decoy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (d->link.decoy < 0 || bind(d->link.decoy, where, sizeof at) < 0 ||
        listen(d->link.decoy, 1) < 0 || getsockname(d->link.decoy, where, &len) < 0)
        return d->patience.fail(EIO, "dimse: no port of this machine is to be had");
    snprintf(address, 40, "127.0.0.1:%u", static_cast<unsigned>(ntohs(at.sin_port)));
    return 0;
}

static int prepare(vivo_dimse *d, const vivo_dimse_config *cfg, T_ASC_Parameters **out)
{
    char address[40];
    T_ASC_Parameters *params = nullptr;
    int limit = static_cast<int>(d->patience.silence_ms / 1000) + 1;
    int rc = open_decoy(d, address);
    if (rc)
        return rc;
    if (ASC_initializeNetwork(NET_REQUESTOR, 0, limit, &d->net).bad() ||
        ASC_createAssociationParameters(&params, PDU_BYTES).bad())
        return d->patience.fail(EIO, "dimse: no network");
    *out = params;
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
    rc = c == DUL_ASSOCIATIONREJECTED ? rejected(d, params) : not_associated(d, cfg, c);
    if (!d->line.assoc)
        ASC_destroyAssociationParameters(&params);
    return rc;
}

static int open_line(vivo_dimse *d, const vivo_dimse_config *cfg,
                     const vivo_dimse_offer *offers, size_t n)
{
    int rc = 0;
    d->patience.silence_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : 30000;
    d->line.patience = &d->patience;
    d->link.patience = &d->patience;
    d->link.name = cfg->certname ? cfg->certname : "";
    if (cfg->tls)
        rc = use_tls(d, cfg);
    else
        d->layer = std::make_unique<net::PlainLayer>(d->link);
    if (rc)
        return rc;
    int64_t limit = std::min(CONNECT_MS, d->patience.silence_ms);
    d->link.real = vivo_dimse_connect(cfg->host, cfg->port, limit, d->patience.op);
    if (d->link.real < 0)
        return d->link.real;
    rc = request(d, cfg, offers, n);
    if (rc || ASC_countAcceptedPresentationContexts(d->line.assoc->params) > 0)
        return rc;
    return d->patience.fail(EIO, "the server takes the association, but none of the "
                                 "services or kinds of objects asked for");
}

extern "C" int vivo_dimse_open(const vivo_dimse_config *cfg,
                               const vivo_dimse_offer *offers, size_t n,
                               vivo_dimse **out, vivo_op *op)
{
    return net::no_throw(op, [&] {
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
