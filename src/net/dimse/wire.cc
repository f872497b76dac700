/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/wire.cc -- see wire.h. A wait looks at its op five times a
 * second; what DCMTK would do with a blocking read has no end and no way out. */
#include "wire.h"

#include "vivofs/cert.h"

#include <dcmtk/dcmtls/tlscond.h>

#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace vivo_dimse_net
{

static const int STEP_MS = 200;
static const size_t KEPT_MAX = VIVO_DIMSE_ROW_MAX;

/* ---- patience --------------------------------------------------------------- */

bool Patience::check()
{
    if (failed)
        return false;
    if (op)
        failed = -vivo_dimse_op_check(op);
    return !failed;
}

bool Patience::wait(int fd, short events)
{
    int64_t until = vivo_dimse_now_ms() + silence_ms;
    while (check()) {
        struct pollfd p = {fd, events, 0};
        int n = poll(&p, 1, STEP_MS);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR) {
            failed = EIO;
            return false;
        }
        if (vivo_dimse_now_ms() >= until) {
            failed = ETIMEDOUT;
            return false;
        }
    }
    return false;
}

int Patience::fail(int errnum, const char *what)
{
    vivo_err *err = op ? vivo_dimse_op_err(op) : nullptr;
    if (err && err->errnum)
        return -err->errnum;
    if (failed == ETIMEDOUT)
        return vivo_fail(err, ETIMEDOUT, "the server was silent for %lld s",
                         static_cast<long long>(silence_ms / 1000));
    return vivo_fail(err, errnum, "%s", what);
}

/* ---- link -------------------------------------------------------------------- */

Link::~Link()
{
    if (real >= 0)
        ::close(real);
    if (decoy >= 0)
        ::close(decoy);
}

static std::mutex handing;

void hand_over(int fd, Link &link)
{
    handing.lock();
    link.handed = true;
    dcmExternalSocketHandle.set(fd);
}

void taken(Link &link)
{
    if (!link.handed)
        return;
    dcmExternalSocketHandle.set(-1);
    link.handed = false;
    handing.unlock();
}

void replace(int s, Link &link)
{
    taken(link);
    fcntl(s, F_SETFD, FD_CLOEXEC);
    if (link.real < 0)
        return;
    dup3(link.real, s, O_CLOEXEC);
    ::close(link.real);
    ::close(link.decoy);
    link.real = link.decoy = -1;
}

static void put16(std::string &to, unsigned v)
{
    to += static_cast<char>(v & 0xFF);
    to += static_cast<char>(v >> 8);
}

/* PS3.7 section 9.3.2.3 in one P-DATA-TF PDU (PS3.8 section 9.3.5). */
void Link::cancel_with(T_ASC_PresentationContextID id, unsigned message)
{
    const unsigned fields[][2] = {
        {0x0100, 0x0FFF}, {0x0120, message}, {0x0800, 0x0101}};
    std::string set;
    for (const auto &f : fields) {
        put16(set, 0);
        put16(set, f[0]);
        put16(set, 2);
        put16(set, 0);
        put16(set, f[1]);
    }
    std::string length(
        {0, 0, 0, 0, 4, 0, 0, 0, static_cast<char>(set.size()), 0, 0, 0});
    set = length + set;
    char n = static_cast<char>(set.size());
    last_words = std::string({4, 0, 0, 0, 0, static_cast<char>(n + 6), 0, 0, 0,
                              static_cast<char>(n + 2), static_cast<char>(id), 3}) +
                 set;
}

/* Takes what is still under way: closing a connection with bytes unread would reset it,
 * and the server would never read what it was told last. */
static void drain(int fd)
{
    char bytes[4096];
    int64_t until = vivo_dimse_now_ms() + 2 * STEP_MS;
    struct pollfd p = {fd, POLLIN, 0};
    while (vivo_dimse_now_ms() < until && poll(&p, 1, STEP_MS / 2) > 0)
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
            return;
}

void Link::say_last_words()
{
    std::string words;
    words.swap(last_words);
    if (words.empty() || !wire)
        return;
    /* Once; with a little patience of its own, since the other has come to its end. */
    Patience kept = *patience;
    *patience = Patience();
    patience->silence_ms = STEP_MS;
    if (wire->write(&words[0], words.size()) == static_cast<ssize_t>(words.size()))
        drain(fd);
    *patience = kept;
}

/* ---- wire ------------------------------------------------------------------- */

Wire::Wire(int fd, DcmTransportConnection *inner, Link &link)
    : DcmTransportConnection(fd), fd_(fd), inner_(inner), link_(link),
      patience_(*link.patience)
{
    /* What OpenSSL waits for by itself, inside a record, it waits for in steps. */
    struct timeval tv = {};
    tv.tv_usec = STEP_MS * 1000;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    /* DCMTK writes a message in pieces: the second would wait for the acknowledgement
     * of the first, 40 ms late. */
    int now = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
    link_.wire = this;
    link_.fd = fd;
}

Wire::~Wire()
{
    if (link_.wire == this)
        link_.wire = nullptr;
}

OFCondition Wire::serverSideHandshake()
{
    return inner_->serverSideHandshake();
}

/* DCMTK checks who signed a certificate, not whose it is. */
bool Wire::is_for_us()
{
    if (link_.name.empty())
        return true;
    std::vector<unsigned char> der(inner_->getPeerCertificateLength());
    return !der.empty() &&
           inner_->getPeerCertificate(der.data(), der.size()) == der.size() &&
           vivo_cert_names(der.data(), der.size(), link_.name.c_str());
}

OFCondition Wire::clientSideHandshake()
{
    OFCondition c;
    for (;;) {
        c = inner_->clientSideHandshake();
        bool reads = c == DCMTLS_EC_TLSReadOperationDidNotComplete;
        if (!reads && c != DCMTLS_EC_TLSWriteOperationDidNotComplete)
            break;
        if (!patience_.wait(fd_, reads ? POLLIN : POLLOUT))
            return c;
    }
    if (c.bad() || inner_->isTransparentConnection())
        return c;
    link_.secured = true;
    link_.wrong_name = !is_for_us();
    return link_.wrong_name ? OFCondition(DCMTLS_EC_TLSCertificateVerifyFailed) : c;
}

OFCondition Wire::renegotiate(const char *suite)
{
    return inner_->renegotiate(suite);
}

ssize_t Wire::read_secure(void *buf, size_t n)
{
    /* TLS may hold bytes that poll does not see. */
    while (inner_->networkDataAvailable(0) || patience_.wait(fd_, POLLIN)) {
        errno = 0;
        ssize_t got = inner_->read(buf, n);
        if (got > 0 || errno != EAGAIN)
            return got;
        if (!patience_.check())
            break;
    }
    return -1;
}

ssize_t Wire::read(void *buf, size_t n)
{
    bool plain = inner_->isTransparentConnection();
    ssize_t got = plain ? -1 : read_secure(buf, n);
    while (plain && patience_.wait(fd_, POLLIN)) {
        got = recv(fd_, buf, n, MSG_DONTWAIT);
        /* Many a server writes a message in two parts and waits with the second for the
         * acknowledgement of the first, which would come 40 ms late. */
        int now = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
        if (got >= 0 || (errno != EAGAIN && errno != EINTR))
            return got;
    }
    if (patience_.failed == EINTR || patience_.failed == ECANCELED)
        link_.say_last_words();
    if (got < 0)
        errno = ECONNRESET; /* not EINTR: DCMTK would go on */
    return got;
}

ssize_t Wire::write_secure(void *buf, size_t n)
{
    while (patience_.wait(fd_, POLLOUT)) {
        errno = 0;
        ssize_t put = inner_->write(buf, n); /* all, or the same again */
        if (put > 0 || errno != EAGAIN)
            return put;
    }
    errno = ECONNRESET;
    return -1;
}

ssize_t Wire::write(void *buf, size_t n)
{
    if (!inner_->isTransparentConnection())
        return write_secure(buf, n);
    const char *at = static_cast<const char *>(buf);
    size_t left = n;
    while (left > 0) {
        if (!patience_.wait(fd_, POLLOUT)) {
            errno = ECONNRESET;
            return -1;
        }
        ssize_t put = ::send(fd_, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (put > 0) {
            at += put;
            left -= static_cast<size_t>(put);
        }
    }
    return static_cast<ssize_t>(n);
}

void Wire::close()
{
    inner_->close();
}

void Wire::closeTransportConnection()
{
    inner_->closeTransportConnection();
}

unsigned long Wire::getPeerCertificateLength()
{
    return inner_->getPeerCertificateLength();
}

unsigned long Wire::getPeerCertificate(void *buf, unsigned long n)
{
    return inner_->getPeerCertificate(buf, n);
}

OFBool Wire::networkDataAvailable(int timeout)
{
    int64_t until = vivo_dimse_now_ms() + static_cast<int64_t>(timeout) * 1000;
    for (;;) {
        if (!inner_->isTransparentConnection() && inner_->networkDataAvailable(0))
            return OFTrue;
        int64_t left = until - vivo_dimse_now_ms();
        struct pollfd p = {fd_, POLLIN, 0};
        int step = left < 0 ? 0 : left < STEP_MS ? static_cast<int>(left) : STEP_MS;
        if (poll(&p, 1, step) > 0)
            return OFTrue;
        if (left <= 0 || !patience_.check())
            return OFFalse;
    }
}

OFBool Wire::isTransparentConnection()
{
    return OFFalse; /* so that DCMTK asks us, and does not select() by itself */
}

OFString &Wire::dumpConnectionParameters(OFString &str)
{
    return inner_->dumpConnectionParameters(str);
}

/* ---- consumer --------------------------------------------------------------- */

/* DCMTK goes on reading after a write that failed, into a silence: so none ever does.
 * Instead the wait for more ends at once. */
OFBool Consumer::good() const
{
    return OFTrue;
}

OFCondition Consumer::status() const
{
    return EC_Normal;
}

OFBool Consumer::isFlushed() const
{
    return OFTrue;
}

offile_off_t Consumer::avail() const
{
    return 1 << 30;
}

offile_off_t Consumer::write(const void *buf, offile_off_t n)
{
    size_t len = static_cast<size_t>(n);
    bytes += len;
    if (rc)
        return n;
    if (to)
        rc = to->bytes(to, buf, len, &err);
    else if (kept.size() + len > KEPT_MAX)
        rc = vivo_fail(&err, EIO, "an answer is longer than %u bytes",
                       VIVO_DIMSE_ROW_MAX);
    else
        kept.append(static_cast<const char *>(buf), len);
    if (rc && patience)
        patience->failed = ECANCELED;
    return n;
}

void Consumer::flush()
{
}

} // namespace vivo_dimse_net
