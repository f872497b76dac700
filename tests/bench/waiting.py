#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What goes on while archives hang, and what tags cost (never a test).

Usage: VIVOFS=path/to/vivofs tests/bench/waiting.py [stat] [read] [tags]

stat: `stat` of known files of an archive of which 256 fetches hang; read: a 4 MB file of
another archive that was fetched before, its pages dropped, while 100 reads hang; tags: bytes
that a web server sends until the tags of a series of 500 slices are known. Needs nginx, and
root or fusermount3.
"""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
import bench  # noqa: E402
import web  # noqa: E402

sys.path.insert(0, bench.LIB)
import vivomount  # noqa: E402
from webserver import WebServer, wait_for  # noqa: E402

vivomount.BINARY = bench.VIVOFS


class Hanging:
    """n processes, each of which waits for another file of `archive`."""

    def __init__(self, m, server, archive, files):
        server.set(stall=10)
        before = m.counters()["open"]
        self.kids = [subprocess.Popen(["cat", m / f"{archive}/{f}"], stderr=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL) for f in files]
        wait_for(lambda: m.counters()["open"] >= before + len(files), 120)
        time.sleep(0.5)

    def close(self):
        assert all(k.poll() is None for k in self.kids)
        for k in self.kids:
            k.kill()
        for k in self.kids:
            k.wait()


def mount(sources):
    return vivomount.Mount(sources, "timeout=300", deid="basic", faults=True)


def told(what, value, limit, unit):
    print("%-52s %9.2f %s  (must be <= %g)%s"
          % (what, value, unit, limit, "" if value <= limit else "   MISSED"))


def bench_stat():
    with WebServer("--make", "2,2,4,18") as server, mount({"pacs": server.source}) as m:
        files = m.files("pacs")
        assert len(files) == 288
        hanging = Hanging(m, server, "pacs", files[:256])
        took = []
        for _ in range(40):
            for f in files:
                # As typed for the first time: the kernel must ask for the last name.
                path = m / f"pacs/{f}"
                began = time.perf_counter()
                os.stat(path)
                took.append(time.perf_counter() - began)
        before = m.counters()["getattr"] + m.counters()["lookup"]
        for f in files:
            os.stat(m / f"pacs/{f}")
        asked = m.counters()["getattr"] + m.counters()["lookup"] - before
        hanging.close()
    took.sort()
    told("stat while 256 fetches hang, p99", 1e3 * took[len(took) * 99 // 100], 5, "ms")
    print("  longest %.2f ms; %d requests of the kernel for %d of them"
          % (1e3 * took[-1], asked, len(files)))


def make_large(b):
    """A CT of 4 MB, from one of those of 512 KiB, by pixels eight times as many."""
    folder = b.dir + "/large"
    os.mkdir(folder)
    subprocess.run(["/usr/bin/python3", "-W", "ignore", "-c", """
import sys, pydicom
ds = pydicom.dcmread(sys.argv[1])
ds.Rows, ds.Columns = 2048, 1024
ds.PixelData = ds.PixelData * 8
ds.save_as(sys.argv[2], write_like_original=False)
""", b.make("make_ct", 1, 1) + "/IM00000.dcm", folder + "/large.dcm"], check=True)
    return folder


def read_dropped(path):
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        assert len(f.read()) > 4 << 20
        return time.perf_counter() - began


def bench_read(b):
    nginx = web.Nginx(b.dir, make_large(b))
    try:
        with WebServer("--make", "2,2,4,18") as server, mount(
                {"pacs": server.source, "web": f"http://127.0.0.1:{nginx.port}/"}) as m:
            path = m / ("web/" + m.files("web")[0])
            read_dropped(path)
            hanging = Hanging(m, server, "pacs", m.files("pacs")[:100])
            reads = m.counters()["read"]
            took = [read_dropped(path) for _ in range(20)]
            assert m.counters()["read"] > reads + 20, "not out of the page cache"
            hanging.close()
    finally:
        nginx.close()
    told("4 MB of another archive while 100 reads hang, worst", 1e3 * max(took), 50, "ms")


def bench_tags(b):
    source = b.make("make_ct", 500, 1)
    nginx = web.Nginx(b.dir, source, "%s/access" % b.dir)
    try:
        with mount({"t": f"http://127.0.0.1:{nginx.port}/"}) as m:
            files = m.files("t")
            with open(m / ("t/" + os.path.dirname(files[0]) + "/.tags.json"), "rb") as f:
                assert f.read().count(b'"00080018"') >= 1
            assert len(files) == 500
    finally:
        nginx.close()
    with open(b.dir + "/access", encoding="ascii") as f:
        sent = [int(n) for n in re.findall(r"^(\d+)$", f.read(), re.M)]
    told("tags of 500 slices, sent for each", sum(sent) / 500 / 1024, 64, "KiB")
    print("  %d requests" % len(sent))


def main():
    for name in sys.argv[1:] or ["stat", "read", "tags"]:
        if name == "stat":
            bench_stat()
            continue
        b = bench.Bench(1)
        try:
            {"read": bench_read, "tags": bench_tags}[name](b)
        finally:
            b.close()


if __name__ == "__main__":
    main()
