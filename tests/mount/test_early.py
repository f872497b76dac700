# SPDX-License-Identifier: Apache-2.0
"""A large object is open as soon as its header has come, and readers get bytes as they
come; what does not come whole is an error, and nothing of it stays (DESIGN C4)."""
import errno
import hashlib
import http.server
import os
import select
import signal
import subprocess
import threading

import pydicom
import pytest

import synthetic
from vivomount import Mount

AT = 256 << 10  # where the server stops to think
READ = 64 << 10


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, data, *headers):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", len(data)),
                            *headers):
            self.send_header(name, str(value))
        self.end_headers()

    def do_GET(self):
        s = self.server
        if not self.path.endswith(".dcm"):
            page = b'<html><title>Index of /</title><ul><li><a href="o.dcm">o.dcm</a></ul>'
            self.answer(200, "text/html", page)
            self.wfile.write(page)
        elif wanted := self.headers.get("Range"):
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            part = s.data[first:last + 1]
            self.answer(206, "application/dicom", part, (
                "Content-Range", "bytes %d-%d/%d" % (first, first + len(part) - 1,
                                                     len(s.data))))
            self.wfile.write(part)
        else:
            self.whole(s)

    def whole(self, s):
        s.asked += 1
        data = s.data
        self.answer(200, "application/dicom", data)
        self.wfile.write(data[:AT])
        self.wfile.flush()
        s.stalled.set()
        while not s.go.is_set():
            if select.select([self.connection], [], [], 0.01)[0]:
                s.left.set()  # who asked has gone
                self.close_connection = True
                return
        if s.cuts:
            s.cuts -= 1
            self.close_connection = True
        else:
            self.wfile.write(data[AT:])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, data):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.asked, self.cuts = data, 0, 0
        self.stalled, self.go, self.left = (threading.Event() for _ in range(3))
        self.url = "http://127.0.0.1:%d/" % self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def resume(self):
        self.stalled.clear()
        self.go.set()


def data_of(tmp_path, change=lambda ds: None):
    ds = synthetic.instance("early", 0, 0, 0, 0, 1200)
    ds.PixelData = hashlib.shake_128(b"early").digest(len(ds.PixelData))
    change(ds)
    (tmp_path / "src").mkdir(exist_ok=True)
    path = tmp_path / "src" / "o.dcm"
    pydicom.dcmwrite(str(path), ds, write_like_original=False)
    return path.read_bytes()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "home").mkdir()
    s = Server(data_of(tmp_path))
    yield s
    s.go.set()
    s.shutdown()
    s.server_close()


def mount(server, tmp_path, deid="none", options="", faults=False):
    return Mount({"w": server.url}, "retries=0,timeout=20" + options, deid=deid,
                 home=str(tmp_path / "home"), faults=faults)


def path_in(m):
    [name] = m.files("w")
    return m / ("w/" + name)


def begin(path):
    """A descriptor and the first bytes, while the rest stands still."""
    fd = os.open(path, os.O_RDONLY)
    return fd, os.pread(fd, READ, 0)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def in_thread(fn):
    out = []
    t = threading.Thread(target=lambda: out.append(fn()))
    t.start()
    return t, out


@pytest.mark.parametrize("deid", ["none", "basic", "research"])
def test_the_beginning_is_read_while_the_rest_stands_still(server, tmp_path, deid):
    with Mount({"loc": str(tmp_path / "src")}, deid=deid, home=str(tmp_path / "home")) as m:
        [name] = m.files("loc")
        truth = read(m / ("loc/" + name))
    with mount(server, tmp_path, deid) as m:
        path = path_in(m)
        fd, first = begin(path)
        assert not server.go.is_set() and first == truth[:READ]
        assert os.fstat(fd).st_size == len(truth)
        t, rest = in_thread(lambda: os.pread(fd, len(truth), READ))
        server.resume()
        t.join()
        assert rest[0] == truth[READ:]
        os.close(fd)
        assert read(path) == truth and server.asked == 1


def test_two_readers_share_what_comes(server, tmp_path):
    with mount(server, tmp_path) as m:
        path = path_in(m)
        fd, first = begin(path)
        other, same = begin(path)
        assert first == same == server.data[:READ]
        threads = [in_thread(lambda f=f: os.pread(f, len(server.data), 0))
                   for f in (fd, other)]
        server.resume()
        for t, out in threads:
            t.join()
            assert out[0] == server.data
        os.close(fd)
        os.close(other)
        assert server.asked == 1


def test_a_cut_fails_those_who_read_on_and_nothing_of_it_stays(server, tmp_path):
    with mount(server, tmp_path, faults=True) as m:
        path = path_in(m)
        fd, first = begin(path)
        assert first == server.data[:READ]
        server.cuts = 1
        t, out = in_thread(lambda: pytest.raises(OSError, os.pread, fd, 1 << 20, 1 << 20))
        server.resume()
        t.join()
        assert out[0].value.errno == errno.EIO
        with pytest.raises(OSError):
            os.pread(fd, 4096, len(server.data) - 4096)
        assert os.pread(fd, 4096, 0) == server.data[:4096]
        os.close(fd)
        assert not list((tmp_path / "home").glob("cache/vivofs/**/objects/*/*"))
        # Another version in its place: no page of the one that failed is left.
        server.data = data_of(tmp_path, lambda ds: setattr(
            ds, "PixelData", hashlib.shake_128(b"other").digest(len(ds.PixelData))))
        assert read(path) == server.data


def test_the_end_is_not_given_before_all_is_certain(server, tmp_path):
    with mount(server, tmp_path) as m:
        fd, _ = begin(path_in(m))
        t, out = in_thread(lambda: os.pread(fd, 16, len(server.data) - 8))
        t.join(0.05)
        assert not out
        server.resume()
        t.join()
        assert out[0] == server.data[-8:]
        os.close(fd)


@pytest.mark.parametrize("same", [True, False])
def test_a_second_try_goes_on_where_the_first_ended(server, tmp_path, same):
    truth = server.data
    with Mount({"w": server.url}, "retries=1,timeout=20", home=str(tmp_path / "home"),
               faults=True) as m:
        path = path_in(m)
        server.cuts = 1
        fd, first = begin(path)
        assert first == truth[:READ]
        if not same:
            server.data = truth[:AT // 2] + b"x" + truth[AT // 2 + 1:]
        t, out = in_thread(lambda: pread_or_errno(fd, len(truth), 1 << 20))
        server.go.set()
        t.join()
        assert out[0] == (truth[1 << 20:] if same else errno.EIO)
        assert server.asked == 2
        os.close(fd)


def pread_or_errno(fd, n, at):
    try:
        return os.pread(fd, n, at)
    except OSError as e:
        return e.errno


def test_a_signal_ends_a_read_and_the_transfer(server, tmp_path):
    with mount(server, tmp_path, faults=True) as m:
        path = path_in(m)
        kid = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        kid.stdout.read(READ)
        kid.send_signal(signal.SIGINT)
        assert kid.wait(20) == -signal.SIGINT
        kid.stdout.close()
        assert server.left.wait(20)
        # And the next reader begins anew.
        server.go.set()
        assert read(path) == server.data and server.asked == 2


def test_closing_it_ends_the_transfer(server, tmp_path):
    with mount(server, tmp_path, faults=True) as m:
        fd, _ = begin(path_in(m))
        os.close(fd)
        assert server.left.wait(20)


def test_ending_the_mount_ends_it_in_order(server, tmp_path):
    m = mount(server, tmp_path, faults=True)
    fd, _ = begin(path_in(m))
    t, out = in_thread(lambda: pread_or_errno(fd, 1 << 20, 1 << 20))
    subprocess.run(["fusermount3", "-uz", m.path], check=True)
    m.proc.send_signal(signal.SIGTERM)
    t.join()
    assert out[0] in (errno.EINTR, errno.EIO, errno.ENOTCONN, errno.ECONNABORTED)
    os.close(fd)
    assert m.proc.wait(20) == 0, m.log()
    m.close()


def test_a_kill_leaves_nothing_half(server, tmp_path):
    m = mount(server, tmp_path, faults=True)
    fd, first = begin(path_in(m))
    assert first
    m.proc.kill()
    m.proc.wait()
    os.close(fd)
    subprocess.run(["fusermount3", "-uz", m.path], check=True)
    m.close()
    server.go.set()
    assert not list((tmp_path / "home").glob("cache/vivofs/**/objects/*/*"))
    with mount(server, tmp_path) as m:
        assert read(path_in(m)) == server.data


def trailing(ds):
    ds.add_new(0xFFFCFFFC, "OB", bytes(64))


def burned_in(ds):
    ds.BurnedInAnnotation = "YES"


@pytest.mark.parametrize("change, deid", [(trailing, "none"), (trailing, "basic"),
                                          (burned_in, "basic")])
def test_what_needs_all_of_it_waits_for_it(server, tmp_path, change, deid):
    server.data = data_of(tmp_path, change)
    with mount(server, tmp_path, deid, faults=True) as m:
        path = path_in(m)
        t, out = in_thread(lambda: open_or_errno(path))
        assert server.stalled.wait(20)
        t.join(0.05)
        if change is trailing and deid == "none":  # byte for byte: nothing is asked
            t.join()
        assert bool(out) == (change is trailing and deid == "none")
        server.resume()
        t.join()
        if change is burned_in:
            assert out == [errno.EPERM]
        else:
            assert len(read(path)) > 1 << 20


def open_or_errno(path):
    try:
        with open(path, "rb"):
            return 0
    except OSError as e:
        return e.errno
