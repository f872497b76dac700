#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast, as ratios of what runs side by side in one go (never a test).

Usage: VIVOFS=path/to/vivofs tests/bench/bench.py [index] [read] [ls] [query]
Needs root or fusermount3, gdcmscanner, bindfs. Every figure is the best of --rounds
runs that take turns with what they are compared with.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
LIB = os.path.join(HERE, "..", "lib")
VIVOFS = os.environ.get("VIVOFS", os.path.join(HERE, "../../.build/release/vivofs"))
TAGS = ["0008,0060", "0010,0020", "0020,000d", "0020,000e", "0008,0018"]


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.dir = tempfile.mkdtemp(prefix="vivo-bench-")
        self.mnt = self.dir + "/mnt"
        os.mkdir(self.mnt)
        self.env = dict(os.environ, HOME=self.dir + "/home")

    def make(self, script, count, *more):
        out = "%s/%s%d" % (self.dir, script, count)
        subprocess.run(["/usr/bin/python3", "-W", "ignore", "%s/%s.py" % (LIB, script), out,
                        str(count), *map(str, more)], check=True)
        self.warm(out)
        return out

    @staticmethod
    def warm(folder):
        for dp, _, names in os.walk(folder):
            for n in names:
                with open(os.path.join(dp, n), "rb") as f:
                    f.read()

    def forget(self):
        shutil.rmtree(self.env["HOME"] + "/.cache", ignore_errors=True)

    def mount(self, folder, deid):
        subprocess.run([VIVOFS, "mount", "-o", "deid=" + deid, "t=" + folder, self.mnt],
                       check=True, env=self.env, stderr=subprocess.DEVNULL)

    def umount(self):
        subprocess.run(["fusermount3", "-u", self.mnt], check=True)
        while any(daemons(self.mnt)):  # it ends by itself, and is not measured next
            time.sleep(0.005)

    def counters(self):
        with open(self.mnt + "/.vivofs/status.json") as f:
            return json.load(f)["counters"]

    def close(self):
        subprocess.run(["fusermount3", "-uz", self.mnt], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)


def timed(fn):
    began = time.perf_counter()
    fn()
    return time.perf_counter() - began


def daemons(path):
    """(pid, clock ticks that it has computed) of processes that speak of this path."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if path.encode() not in f.read().split(b"\0"):
                    continue
            with open("/proc/%s/stat" % pid, encoding="ascii") as f:
                yield pid, sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        except OSError:
            pass


def spent(path):
    """Processor time of what was run to its end, and of what is mounted on path."""
    t = os.times()
    ticks = sum(n for _, n in daemons(path))
    return t.children_user + t.children_system + ticks / os.sysconf("SC_CLK_TCK")


class Runs:
    """Seconds on the clock and of the processors of what is compared."""

    def __init__(self):
        self.wall, self.cpu = {}, {}

    def run(self, name, path, fn):
        before = spent(path)
        self.wall.setdefault(name, []).append(timed(fn))
        self.cpu.setdefault(name, []).append(spent(path) - before)

    def row(self, what, name, against, limit):
        row(what, min(self.wall[name]), min(self.wall[against]), limit)
        print("%54s processors: %.3f s, %.2f x" % (
            "", min(self.cpu[name]), min(self.cpu[name]) / min(self.cpu[against])))


def row(what, seconds, against, limit):
    ratio = seconds / against
    print("%-52s %7.3f s  %5.2f x  (must be <= %.2f)%s"
          % (what, seconds, ratio, limit, "" if ratio <= limit else "   MISSED"))


def bench_index(b):
    folder = b.make("make_small", 10000)
    runs = Runs()

    def scan():
        subprocess.run(["gdcmscanner", "-r", "-d", folder] +
                       sum((["-t", t] for t in TAGS), []),
                       check=True, stdout=subprocess.DEVNULL)

    def index(deid):
        b.mount(folder, deid)
        os.listdir(b.mnt + "/t")

    for _ in range(b.rounds):
        runs.run("gdcm", b.mnt, scan)
        for deid in ("basic", "none"):
            b.forget()
            runs.run(deid, b.mnt, lambda: index(deid))
            b.umount()
    print("index of 10,000 small files; gdcmscanner on five tags: %.3f s" %
          min(runs.wall["gdcm"]))
    for deid in ("basic", "none"):
        runs.row("  vivofs mount + first listing, deid=%s" % deid, deid, "gdcm", 0.5)


def read_all(folder):
    subprocess.run("find '%s' -name '*.dcm' -print0 | xargs -0 cat > /dev/null" % folder,
                   shell=True, check=True)


def bench_read(b):
    folder = b.make("make_ct", 500)
    bind = b.dir + "/bind"
    os.mkdir(bind)
    runs = Runs()
    reads = None
    for _ in range(b.rounds):
        subprocess.run(["bindfs", folder, bind], check=True)
        runs.run("bindfs", bind, lambda: read_all(bind))
        subprocess.run(["fusermount3", "-u", bind], check=True)
        runs.run("native", bind, lambda: read_all(folder))
        for deid in ("none", "basic"):
            b.forget()
            b.mount(folder, deid)
            os.listdir(b.mnt + "/t/all")
            runs.run(deid, b.mnt, lambda: read_all(b.mnt + "/t"))
            if deid == "basic":
                before = b.counters()["read"]
                runs.run("again", b.mnt, lambda: read_all(b.mnt + "/t"))
                # One READ is that of status.json itself.
                reads = b.counters()["read"] - before - 1
            b.umount()
    print("first read of 500 CT slices of 512 KiB; bindfs: %.3f s" %
          min(runs.wall["bindfs"]))
    runs.row("  vivofs, deid=basic", "basic", "bindfs", 1.0)
    runs.row("  vivofs, deid=basic against deid=none", "basic", "none", 1.2)
    print("  second read: %d READ requests, %.2f x native (must be 0, >= 0.6)"
          "; processors %.2f x" % (
              reads, min(runs.wall["native"]) / min(runs.wall["again"]),
              min(runs.cpu["native"]) / min(runs.cpu["again"])))


def bench_ls(b):
    folder = b.make("make_small", 20000)
    b.forget()
    b.mount(folder, "none")
    subprocess.run(["ls", "-lR", b.mnt + "/t"], check=True, stdout=subprocess.DEVNULL)
    before = b.counters()["lookup"]
    seconds = min(timed(lambda: subprocess.run(["ls", "-lR", b.mnt + "/t"], check=True,
                                               stdout=subprocess.DEVNULL))
                  for _ in range(b.rounds))
    # Two LOOKUPs are those of .vivofs/status.json itself.
    after = b.counters()["lookup"] - 2
    b.umount()
    print("ls -lR of 20,000 instances, warm: %.3f s (must be <= 0.2), %d lookups (must be 0)"
          % (seconds, after - before))


def bench_query(b):
    """TMSU's published figure is 22,000 files in 1.5 s (text tags, a local disk)."""
    b.forget()
    b.mount(b.make("make_small", 22000), "basic")
    os.listdir(b.mnt + "/t")
    seconds = []
    for i in range(b.rounds):  # another text each time: nothing of an answer is kept
        q = "%s/t/q/Modality=MR and SliceThickness<%d" % (b.mnt, 100 + i)
        seconds.append(timed(lambda: subprocess.run(
            ["find", q, "-name", "*.dcm", "-fprint", b.dir + "/found"], check=True)))
        with open(b.dir + "/found", "rb") as f:
            assert f.read().count(b"\n") == 22000
    b.umount()
    row("all 22,000 files of a query; TMSU says 1.5 s", min(seconds), 1.5, 1.0)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", nargs="*", default=[])
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    known = {"index": bench_index, "read": bench_read, "ls": bench_ls,
             "query": bench_query}
    for name in args.what or known:
        b = Bench(args.rounds)
        try:
            known[name](b)
        finally:
            b.close()


if __name__ == "__main__":
    sys.exit(main())
