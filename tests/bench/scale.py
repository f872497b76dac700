#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A catalog of a million instances, made from a manifest, through a mount:

    VIVOFS=.build/release/vivofs tests/bench/scale.py [ROWS]

Prints seconds of import, remount, find, queries, counts and facets, those of the daemon's
processors (which a busy machine changes least), and its resident memory. 100 instances a
series, 4 series a study, 2 studies a patient; nothing is fetched, so the URLs need not
exist. Files are in the page cache; each query is asked once, so that nothing of its answer is
kept, and when the columns have been made. At the end 64 processes read 256 scans of a
folder beside it."""
import glob
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import vivomount  # noqa: E402

MAKE_CT = os.path.join(os.path.dirname(vivomount.__file__), "make_ct.py")

vivomount.LIMIT = 3600
HEAD = ("SOPInstanceUID,SeriesInstanceUID,StudyInstanceUID,PatientID,Collection,Url,Size,"
        "Version,StudyDate,Modality,SeriesNumber,InstanceNumber,SliceThickness,"
        "SliceLocation,PatientAge\n")


def write(path, rows):
    with open(path, "w") as f:
        f.write(HEAD)
        for i in range(rows):
            s, n = divmod(i, 100)
            t, p = s // 4, s // 8
            f.write(f"1.2.840.99.3.{s}.{n},1.2.840.99.2.{s},1.2.840.99.1.{t},P{p:06d},"
                    f"C{p % 10},https://h.example/{s}/{n}.dcm,527000,1,"
                    f"{2000 + t % 20}{1 + t % 12:02d}15,{'MR' if s % 3 else 'CT'},"
                    f"{s % 4 + 1},{n + 1},{1 + s % 5},{2.5 * n + s % 7},{p % 90:03d}Y\n")


def processor(m):
    """Seconds, of all threads that are there."""
    ns = 0
    for path in glob.glob(f"/proc/{m.proc.pid}/task/*/schedstat"):
        try:
            with open(path) as f:
                ns += int(f.read().split()[0])
        except OSError:
            pass  # it has ended meanwhile
    return ns / 1e9


def timed(m, what, call):
    begin, before = time.monotonic(), processor(m)
    result = call()
    print(f"{what:58s} {time.monotonic() - begin:8.3f} s, processor "
          f"{processor(m) - before:8.3f} s   {result}", flush=True)


def settle(m):
    """What follows an import, until nothing goes on."""
    last = -1.0
    while processor(m) - last > 0.1:
        last = processor(m)
        time.sleep(2)


def resident(m):
    with open(f"/proc/{m.proc.pid}/status") as f:
        return next(l.split()[1] for l in f if l.startswith("VmHWM"))


def count(path):
    with open(path + "/.count") as f:
        return f.read().split()[7]


def find(path):
    return subprocess.run(["find", path, "-name", "*.dcm"], stdout=subprocess.PIPE,
                          check=True).stdout.count(b"\n")


def read_by_many(m):
    """64 readers, each of all of a folder of 256 slices of 512 KiB."""
    files = [os.path.join(w, n) for w, _, names in os.walk(m / "ct") for n in names
             if n.endswith(".dcm")]
    readers = [subprocess.Popen(["cat", *files[i:], *files[:i]],
                                stdout=subprocess.DEVNULL)
               for i in range(0, len(files), len(files) // 64)]
    return sum(p.wait() == 0 for p in readers)


def measure(m):
    top = m / "loc"
    for q in ("Modality=CT and SliceThickness>2 and PatientAge>=60Y",
              "Modality=CT and InstanceNumber=1 and SliceLocation<100",
              "SliceLocation=77.5", "SOPInstanceUID=1.2.840.99.3.77.5"):
        timed(m, f"q/{q}: first entry", lambda q=q: next(os.scandir(f"{top}/q/{q}")).name)
        timed(m, "  .count", lambda q=q: count(f"{top}/q/{q}"))
    for k in ("Modality", "PatientAge", "InstanceNumber", "SliceLocation"):
        timed(m, f"by/{k}", lambda k=k: len(os.listdir(f"{top}/by/{k}")))
    timed(m, "find", lambda: find(top))
    timed(m, "readers of a folder beside it", lambda: read_by_many(m))
    print(f"resident at most {int(resident(m)) // 1024} MiB")


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    with tempfile.TemporaryDirectory() as home:
        source = os.path.join(home, "million.csv")
        write(source, rows)
        folder = os.path.join(home, "ct")
        subprocess.run(["/usr/bin/python3", "-W", "ignore", MAKE_CT, folder, "256"],
                       check=True)
        with vivomount.Mount({"loc": source, "ct": folder}, home=home) as m:
            timed(m, f"import of {rows} rows", lambda: len(os.listdir(m / "loc")))
            timed(m, "  and its columns", lambda: settle(m))
            measure(m)
        begin = time.monotonic()
        with vivomount.Mount({"loc": source}, home=home) as m:
            names = len(os.listdir(m / "loc"))
            print(f"{'mount and first listing, known':58s} "
                  f"{time.monotonic() - begin:8.3f} s   {names}")


if __name__ == "__main__":
    main()
