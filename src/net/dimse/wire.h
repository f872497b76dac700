/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/wire.h -- DCMTK's dcmnet on connections of our own, so that every wait
 * for the peer obeys an op and ends after a time of silence. C++, private to net. */
#ifndef VIVOFS_NET_DIMSE_WIRE_H
#define VIVOFS_NET_DIMSE_WIRE_H

#include <dcmtk/config/osconfig.h> /* must be first of DCMTK */

#include <dcmtk/dcmdata/dcostrma.h>
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dcmtrans.h>
#include <dcmtk/dcmnet/dimse.h>
#include <dcmtk/dcmtls/tlslayer.h>

#include "op.h"
#include "vivofs/dimse.h"

#include <memory>
#include <string>

namespace vivo_dimse_net
{

/* What a wait obeys. `failed` is the errno that ended it; the op, if there is one, then
 * has the sentence. */
struct Patience {
    vivo_op *op = nullptr;
    int64_t silence_ms = 30000;
    int failed = 0;
    bool wait(int fd, short events);
    bool check();
    /* -errno of this failure, with `what` as its sentence unless one is there. */
    int fail(int errnum, const char *what);
};

/* A connection that waits with patience around one of DCMTK's. */
class Wire : public DcmTransportConnection
{
  public:
    Wire(int fd, DcmTransportConnection *inner, Patience &patience);
    OFCondition serverSideHandshake() override;
    OFCondition clientSideHandshake() override;
    OFCondition renegotiate(const char *suite) override;
    ssize_t read(void *buf, size_t n) override;
    ssize_t write(void *buf, size_t n) override;
    void close() override;
    void closeTransportConnection() override;
    unsigned long getPeerCertificateLength() override;
    unsigned long getPeerCertificate(void *buf, unsigned long n) override;
    OFBool networkDataAvailable(int timeout) override;
    OFBool isTransparentConnection() override;
    OFString &dumpConnectionParameters(OFString &str) override;

  private:
    int fd_;
    std::unique_ptr<DcmTransportConnection> inner_;
    Patience &patience_;
};

/* Makes Wires; remembers the descriptor of the latest. */
template <class Base> class Layer : public Base
{
  public:
    template <class... A> explicit Layer(Patience &p, A... a) : Base(a...), patience(p)
    {
    }
    DcmTransportConnection *createConnection(DcmNativeSocketType s,
                                             OFBool secure) override
    {
        DcmTransportConnection *inner = Base::createConnection(s, secure);
        fd = s;
        return inner ? new Wire(s, inner, patience) : nullptr;
    }
    Patience &patience;
    int fd = -1;
};
using PlainLayer = Layer<DcmTransportLayer>;
using SecureLayer = Layer<DcmTLSTransportLayer>;

/* Where the bytes of a data set go; what the receiver says is kept in `rc`. */
class Consumer : public DcmConsumer
{
  public:
    vivo_dimse_taker *to = nullptr; /* bytes go to to->bytes, or into `kept` */
    Patience *patience = nullptr;   /* ended when the receiver wants no more */
    std::string kept;
    uint64_t bytes = 0;
    int rc = 0;
    vivo_err err = {};
    OFBool good() const override;
    OFCondition status() const override;
    OFBool isFlushed() const override;
    offile_off_t avail() const override;
    offile_off_t write(const void *buf, offile_off_t n) override;
    void flush() override;
};
class Stream : public DcmOutputStream
{
  public:
    explicit Stream(Consumer &c) : DcmOutputStream(&c)
    {
    }
};

/* One association, requested or received, and how far it can be trusted. */
struct Line {
    T_ASC_Association *assoc = nullptr;
    Patience *patience = nullptr;
    bool broken = false;
};

/* Reads a command. 1 = one came; 0 = the peer released (and was answered). */
int receive(Line &line, T_ASC_PresentationContextID *id, T_DIMSE_Message *msg);
/* Reads the data set that belongs to the command. */
int receive_data(Line &line, Consumer &into);
int send(Line &line, T_ASC_PresentationContextID id, T_DIMSE_Message &msg,
         DcmDataset *data);
/* Takes one C-STORE request, hands the object on and answers it. */
int take_object(Line &line, T_ASC_PresentationContextID id, const T_DIMSE_Message &rq,
                vivo_dimse_taker *to, vivo_dimse_result *out);

} // namespace vivo_dimse_net

struct vivo_dimse {
    vivo_dimse_net::Patience patience;
    std::unique_ptr<DcmTransportLayer> layer;
    T_ASC_Network *net = nullptr;
    vivo_dimse_net::Line line;
    std::string calling;
    int fd = -1;
    unsigned short message = 0;
};

#endif
