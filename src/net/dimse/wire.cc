/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/dimse/wire.cc -- see wire.h. A wait looks at its op five times a
 * second; what DCMTK would do with a blocking read has no end and no way out. */
#include "wire.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

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

/* ---- wire ------------------------------------------------------------------- */

Wire::Wire(int fd, DcmTransportConnection *inner, Patience &patience)
    : DcmTransportConnection(fd), fd_(fd), inner_(inner), patience_(patience)
{
    /* Reads inside a TLS record are OpenSSL's own: they must end, too. */
    struct timeval tv = {};
    tv.tv_sec = static_cast<time_t>(patience.silence_ms / 1000 + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

OFCondition Wire::serverSideHandshake()
{
    return inner_->serverSideHandshake();
}

OFCondition Wire::clientSideHandshake()
{
    return inner_->clientSideHandshake();
}

OFCondition Wire::renegotiate(const char *suite)
{
    return inner_->renegotiate(suite);
}

ssize_t Wire::read(void *buf, size_t n)
{
    for (;;) {
        /* TLS may hold bytes that poll does not see. */
        bool ready =
            !inner_->isTransparentConnection() && inner_->networkDataAvailable(0);
        if (!ready && !patience_.wait(fd_, POLLIN))
            break;
        if (!inner_->isTransparentConnection())
            return inner_->read(buf, n);
        ssize_t got = recv(fd_, buf, n, MSG_DONTWAIT);
        /* Many a server writes a message in two parts and waits with the second for the
         * acknowledgement of the first, which would come 40 ms late. */
        int now = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
        if (got >= 0 || (errno != EAGAIN && errno != EINTR))
            return got;
    }
    errno = ECONNRESET; /* not EINTR: DCMTK would go on */
    return -1;
}

ssize_t Wire::write(void *buf, size_t n)
{
    if (!inner_->isTransparentConnection())
        return patience_.wait(fd_, POLLOUT) ? inner_->write(buf, n) : -1;
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
