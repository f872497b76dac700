#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Web folders, as ratios of what runs side by side in one go (never a test).

Usage: VIVOFS=path/to/vivofs tests/bench/web.py [folder] [series]

folder: mount, list and read of the same files behind one nginx, against `rclone mount`
and httpdirfs. series: the files of a series that is listed but not kept, at 50 ms round
trip, against `curl --parallel` of the same. Needs nginx, rclone, httpdirfs, curl.
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import bench  # noqa: E402

PATH = os.environ["PATH"] + ":/usr/sbin"
DELAY = 0.05  # round trip, half of it each way


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    def __init__(self, top, folder, log=None):
        """log: a file that gets a line for each answer, the bytes that were sent."""
        self.port = free_port()
        os.makedirs(top + "/nginx")
        with open(top + "/nginx/conf", "w", encoding="ascii") as f:
            f.write("""daemon off; pid %(t)s/pid; error_log /dev/null; %(u)s
                worker_processes 2; events {} http { log_format n '$bytes_sent';
                access_log %(l)s; keepalive_requests
                100000; client_body_temp_path %(t)s/t; proxy_temp_path %(t)s/t;
                fastcgi_temp_path %(t)s/t; uwsgi_temp_path %(t)s/t;
                scgi_temp_path %(t)s/t; server { listen 127.0.0.1:%(p)d; root %(f)s;
                autoindex on; } }""" % {
                    "l": log + " n" if log else "off",
                    "t": top + "/nginx", "p": self.port, "f": folder,
                    "u": "user root root;" if os.geteuid() == 0 else ""})
        self.process = subprocess.Popen(
            [shutil.which("nginx", path=PATH), "-p", top + "/nginx", "-c", "conf"])
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.01)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Delay:
    """Forwards connections; every byte is DELAY / 2 late in each direction, the first
    of a connection by another DELAY (the handshake). One loop: no thread per byte."""

    def __init__(self, port):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.join, args=(a,), daemon=True).start()

    def join(self, a):
        time.sleep(DELAY)
        b = socket.create_connection(("127.0.0.1", self.to))
        for s in (a, b):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for x, y in ((a, b), (b, a)):
            threading.Thread(target=self.pump, args=(x, y), daemon=True).start()

    @staticmethod
    def pump(x, y):
        late = []
        more = threading.Condition()

        def send():
            while True:
                with more:
                    while not late:
                        more.wait()
                    due, data = late.pop(0)
                time.sleep(max(0, due - time.monotonic()))
                try:
                    if not data:
                        return y.shutdown(socket.SHUT_WR)
                    y.sendall(data)
                except OSError:
                    return None

        threading.Thread(target=send, daemon=True).start()
        data = b"x"
        while data:
            try:
                data = x.recv(1 << 16)
            except OSError:
                data = b""
            with more:
                late.append((time.monotonic() + DELAY / 2, data))
                more.notify()


def walk(top):
    """Every byte of every DICOM file below, one after the other; their number."""
    n = 0
    for where, _, names in os.walk(top):
        for name in sorted(names):
            if name.endswith(".txt"):
                continue
            with open(os.path.join(where, name), "rb") as f:
                while f.read(1 << 20):
                    pass
            n += 1
    return n


def run_ours(b, url, count):
    b.forget()
    b.mount(url, "none")
    assert walk(b.mnt + "/t") == count
    b.umount()


def wait_mounted(path):
    while not os.path.ismount(path):
        time.sleep(0.002)


def run_rclone(b, url, count):
    shutil.rmtree(b.dir + "/rclone", ignore_errors=True)
    p = subprocess.Popen(["rclone", "mount", ":http:", b.mnt, "--http-url", url,
                          "--read-only", "--config", "/dev/null", "--cache-dir",
                          b.dir + "/rclone"], stderr=subprocess.DEVNULL)
    wait_mounted(b.mnt)
    assert walk(b.mnt) == count
    b.umount()
    p.wait()


def run_httpdirfs(b, url, count):
    p = subprocess.Popen(["httpdirfs", "-f", url, b.mnt], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    wait_mounted(b.mnt)
    assert walk(b.mnt) == count
    b.umount()
    p.wait()


def bench_folder(b):
    source = b.make("make_ct", 300)
    count = sum(len(n) for _, _, n in os.walk(source))
    nginx = Nginx(b.dir, source)
    for late in (False, True):
        proxy = Delay(nginx.port) if late else None
        url = "http://127.0.0.1:%d/" % (proxy.port if late else nginx.port)
        ours, others = [], {run_rclone: [], run_httpdirfs: []}
        for _ in range(b.rounds):
            ours.append(bench.timed(lambda: run_ours(b, url, count)))
            for fn, seconds in others.items():
                if not shutil.which(fn.__name__[4:], path=PATH):
                    continue
                try:
                    seconds.append(bench.timed(lambda f=fn: f(b, url, count)))
                except (OSError, AssertionError) as e:
                    print(fn.__name__[4:], "does not get through:", e)
                    subprocess.run(["fusermount3", "-uz", b.mnt], check=False,
                                   stderr=subprocess.DEVNULL)
        for fn, seconds in others.items():
            if seconds:
                bench.row("mount, list, read %d files%s, against %s" % (
                    count, " at 50 ms" if late else "", fn.__name__[4:]), min(ours),
                    min(seconds), 1.0)
        if late:
            proxy.listener.close()
    nginx.close()


def bench_series(b):
    source = b.make("make_ct", 300, 1)
    nginx = Nginx(b.dir, source)
    proxy = Delay(nginx.port)
    url = "http://127.0.0.1:%d/" % proxy.port
    files = [os.path.relpath(os.path.join(w, n), source) for w, _, names in
             os.walk(source) for n in names]
    with open(b.dir + "/curl", "w", encoding="ascii") as f:
        for name in files:
            f.write('url = "%s%s"\noutput = /dev/null\n' % (url, name))
    ours, curl = [], []
    for _ in range(b.rounds):
        b.forget()
        b.mount(url, "none")
        list(os.walk(b.mnt + "/t"))
        ours.append(bench.timed(lambda: walk(b.mnt + "/t")))
        b.umount()
        curl.append(bench.timed(lambda: subprocess.run(
            ["curl", "-s", "--no-progress-meter", "--parallel", "--parallel-max", "32", "-K",
             b.dir + "/curl"], check=True, stderr=subprocess.DEVNULL)))
    bench.row("known series, %d files at 50 ms, against curl" % len(files), min(ours),
              min(curl), 1.3)
    nginx.close()


BENCHES = {"folder": bench_folder, "series": bench_series}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("what", nargs="*", default=list(BENCHES), metavar="WHAT")
    args = parser.parse_args()
    for name in args.what:
        b = bench.Bench(args.rounds)
        try:
            BENCHES[name](b)
        finally:
            b.close()


if __name__ == "__main__":
    main()
