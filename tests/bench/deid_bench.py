#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast `vivofs deid` is, as ratios of what runs side by side in one go (no test).

Usage: VIVOFS=path/to/vivofs tests/bench/deid_bench.py [folder] [header] [memory]
Needs gdcmanon and dcmodify. Every figure is the best of --rounds runs that take turns.
The others change 15 attributes of 500 CT slices of 512 KiB; vivofs does a whole profile.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
LIB = os.path.join(HERE, "..", "lib")
sys.path.insert(0, LIB)
VIVOFS = os.environ.get("VIVOFS", os.path.join(HERE, "../../.build/release/vivofs"))
TAGS = ("10,10 10,20 10,30 8,50 8,80 8,90 8,20 8,30 8,21 8,31 8,1030 8,103e 10,40 8,1010 "
        "20,10").split()
PLACE = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.dir = tempfile.mkdtemp(prefix="vivo-deid-bench-", dir=PLACE)
        self.key = self.dir + "/key"
        with open(self.key, "wb") as f:
            f.write(os.urandom(32))
        os.chmod(self.key, 0o600)

    def deid(self, source, *more):
        subprocess.run([VIVOFS, "deid", "--key", self.key, *more, source, self.dir + "/out"],
                       check=True, stderr=subprocess.DEVNULL)

    def best(self, what, prepare):
        """{name: seconds}: each of what, in turns; prepare makes the places anew."""
        times = {name: [] for name in what}
        for _ in range(self.rounds):
            for name, fn in what.items():
                prepare()
                began = time.perf_counter()
                fn()
                times[name].append(time.perf_counter() - began)
        return {name: min(t) for name, t in times.items()}

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def quiet(argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bench_folder(b):
    source, copy, out = b.dir + "/ct", b.dir + "/copy", b.dir + "/out"
    quiet(["/usr/bin/python3", "-W", "ignore", LIB + "/make_ct.py", source, "500"])

    def prepare():
        for folder in (copy, out):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, copy)  # dcmodify works in place

    def gdcmanon():
        os.mkdir(out)
        quiet(["gdcmanon", "--dumb", *sum((["--remove", t] for t in TAGS), []), "-r", "-i",
               source, "-o", out])

    def dcmodify():
        files = [os.path.join(copy, n) for n in sorted(os.listdir(copy))]
        quiet(["dcmodify", "-nb", "-imt", *sum((["-ea", "(%04x,%04x)" % tuple(
            int(x, 16) for x in t.split(","))] for t in TAGS), []), *files])

    def cp():
        shutil.rmtree(copy)
        quiet(["cp", "-r", source, copy])
    best = b.best({"gdcmanon --dumb": gdcmanon, "dcmodify": dcmodify,
                   "vivofs deid -j 1": lambda: b.deid(source, "-j", "1"),
                   "vivofs deid": lambda: b.deid(source),
                   "vivofs deid --profile research": lambda: b.deid(source, "--profile",
                                                                    "research"),
                   "cp -r": cp}, prepare)
    for name, seconds in best.items():
        ratios = ["%5.2f x %s" % (best[o] / seconds, o) for o in ("gdcmanon --dumb", "dcmodify")]
        low = min(best[o] / seconds for o in ("gdcmanon --dumb", "dcmodify"))
        missed = name == "vivofs deid" and low < 2
        print("%-32s %6.3f s %7.0f files/s  %s%s" % (name, seconds, 500 / seconds,
                                                     "  ".join(ratios),
                                                     "   MISSED" if missed else ""))


def header_of(elements):
    import rawdicom
    from random_objects import KNOWN, PLANTABLE
    tags = [t for t in PLANTABLE if KNOWN[t] in ("LO", "SH", "DS", "CS", "PN", "UI", "DA")]
    step = len(tags) // elements
    value = {"DS": "1.5", "UI": "1.2.826.0.1.77.5", "DA": "20110405", "CS": "WORD"}
    return [rawdicom.el(t, KNOWN[t], value.get(KNOWN[t], "some text"))
            for t in tags[::step][:elements]]


def bench_header(b):
    """The whole way of a file of 300 elements and no pixels, one thread, so an upper
    bound of the header pass: open, read, clean, name, write."""
    import rawdicom
    source, out, count = b.dir + "/headers", b.dir + "/out", 2000
    os.mkdir(source)
    elements = header_of(292)
    for n in range(count):
        with open("%s/%05d.dcm" % (source, n), "wb") as f:
            f.write(rawdicom.raw(*elements, number=n + 1))
    best = b.best({p: lambda p=p: b.deid(source, "-j", "1", "--profile", p)
                   for p in ("basic", "research")},
                  lambda: shutil.rmtree(out, ignore_errors=True))
    for profile, seconds in best.items():
        ms = 1000 * seconds / count
        print("a file of 300 elements, %-9s %6.3f ms in all (must be < 1)%s"
              % (profile, ms, "" if ms < 1 else "   MISSED"))


def bench_memory(b):
    """Peak resident size over one object of 1 MiB and one of 512 MiB of pixels."""
    import rawdicom
    sizes = {}
    for mib in (1, 512):
        path = b.dir + "/one.dcm"
        with open(path, "wb") as f:
            f.write(rawdicom.raw(rawdicom.el(0x00280010, "US", b"\0\4"), tail=rawdicom.el(
                0x7FE00010, "OW", b"", length=mib << 20)[1], number=1))
            f.truncate(f.tell() + (mib << 20))
        p = subprocess.Popen([VIVOFS, "deid", "--key", b.key, path, b.dir + "/out.dcm"],
                             stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        assert status == 0
        sizes[mib] = usage.ru_maxrss / 1024
    print("peak memory: %.1f MiB for 1 MiB of pixels, %.1f MiB for 512 MiB%s"
          % (sizes[1], sizes[512], "" if sizes[512] < sizes[1] + 4 else "   MISSED"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", nargs="*", default=[])
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    known = {"folder": bench_folder, "header": bench_header, "memory": bench_memory}
    for name in args.what or known:
        b = Bench(args.rounds)
        try:
            known[name](b)
        finally:
            b.close()


if __name__ == "__main__":
    sys.exit(main())
