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

#include <cerrno>
#include <memory>
#include <new>
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

/* What an association knows of its connection. */
struct Link {
    Patience *patience = nullptr;
    std::string name; /* that a certificate must bear; "" = any */
    int real = -1;    /* connected already; takes the place of DCMTK's own */
    int decoy = -1;   /* where DCMTK is sent to connect */
    int fd = -1;      /* of the latest Wire */
    bool secured = false;
    bool handed = false; /* DCMTK is being given a connection that we accepted */
    bool wrong_name = false;
    /* C-CANCEL, as it is said when we leave in the middle of an operation: by the Wire
     * where a wait ends, because DCMTK closes the connection as soon as it hears of it.
     */
    std::string last_words;
    DcmTransportConnection *wire = nullptr;

    Link() = default;
    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;
    ~Link();
    void cancel_with(T_ASC_PresentationContextID id, unsigned message);
    void say_last_words();
};

/* A connection that waits with patience around one of DCMTK's. */
class Wire : public DcmTransportConnection
{
  public:
    Wire(int fd, DcmTransportConnection *inner, Link &link);
    ~Wire() override;
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
    bool is_for_us();
    ssize_t read_secure(void *buf, size_t n);
    ssize_t write_secure(void *buf, size_t n);
    int fd_;
    std::unique_ptr<DcmTransportConnection> inner_;
    Link &link_;
    Patience &patience_;
};

/* Puts the connection of ours in the place of DCMTK's. */
void replace(int s, Link &link);

/* DCMTK accepts by IPv4 only. What we have accepted is given to it by a variable of the
 * process: for the time until it has taken it, by one of us at a time. */
void hand_over(int fd, Link &link);
void taken(Link &link);

/* Makes Wires. */
template <class Base> class Layer : public Base
{
  public:
    template <class... A> explicit Layer(Link &l, A... a) : Base(a...), link(l)
    {
    }
    DcmTransportConnection *createConnection(DcmNativeSocketType s,
                                             OFBool secure) override
    {
        replace(s, link);
        DcmTransportConnection *inner = Base::createConnection(s, secure);
        return inner ? new Wire(s, inner, link) : nullptr;
    }
    Link &link;
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

/* A request with an identifier. */
struct Question {
    T_DIMSE_Command command; /* DIMSE_C_FIND_RQ, _GET_RQ, _MOVE_RQ */
    const char *sop_class;
    const void *identifier; /* explicit little endian */
    size_t len;
    const char *destination; /* of C-MOVE */
};
int begin(vivo_dimse *d, const char *sop_class, vivo_op *op,
          T_ASC_PresentationContextID *id);
int request(vivo_dimse *d, const Question &q, vivo_op *op);
/* What came is no answer. */
int unexpected(vivo_dimse *d);
/* After the last answer, or a failure: the server is told to stop (PS3.7 section
 * 9.3.2.3), and the association is of no more use. Returns rc. */
int finish(vivo_dimse *d, int rc);

/* Sub-operations of C-GET and C-MOVE, whose flags have the same values. */
template <class Rsp> void count(const Rsp &r, vivo_dimse_result *out)
{
    static_assert(
        O_GET_NUMBEROFCOMPLETEDSUBOPERATIONS == O_MOVE_NUMBEROFCOMPLETEDSUBOPERATIONS &&
            O_GET_NUMBEROFFAILEDSUBOPERATIONS == O_MOVE_NUMBEROFFAILEDSUBOPERATIONS &&
            O_GET_NUMBEROFWARNINGSUBOPERATIONS == O_MOVE_NUMBEROFWARNINGSUBOPERATIONS,
        "one function for both");
    if (r.opts & O_GET_NUMBEROFCOMPLETEDSUBOPERATIONS)
        out->completed = r.NumberOfCompletedSubOperations;
    if (r.opts & O_GET_NUMBEROFFAILEDSUBOPERATIONS)
        out->failed = r.NumberOfFailedSubOperations;
    if (r.opts & O_GET_NUMBEROFWARNINGSUBOPERATIONS)
        out->warning = r.NumberOfWarningSubOperations;
}

template <class F> int no_throw(vivo_op *op, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return vivo_fail(vivo_dimse_op_err(op), ENOMEM, "dimse: out of memory");
    } catch (...) {
        return vivo_fail(vivo_dimse_op_err(op), EIO, "dimse: failed inside DCMTK");
    }
}

} // namespace vivo_dimse_net

struct vivo_dimse {
    vivo_dimse_net::Patience patience;
    vivo_dimse_net::Link link;
    std::unique_ptr<DcmTransportLayer> layer;
    T_ASC_Network *net = nullptr;
    vivo_dimse_net::Line line;
    unsigned short message = 0;
};

#endif
