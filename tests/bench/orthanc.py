#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Orthanc, as ratios of what runs side by side in one go (never a test).

Usage: VIVOFS=path/to/vivofs tests/bench/orthanc.py [--rounds N] [COUNT]

Mount, list and read of COUNT CT slices (300, 150 MB) out of one Orthanc: by vivofs over
DICOMweb, and by davfs2 over Orthanc's WebDAV, of which one of the ways to each object
(by-uids) is read. Nothing is kept from one round to the next. On recent kernels davfs2
1.6 cannot list a folder to its end (EINVAL), so it is told the names and lists nothing.
Needs Orthanc with its DICOMweb plugin, davfs2, root.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
import bench  # noqa: E402

sys.path.insert(0, bench.LIB)
import orthanc  # noqa: E402


def fail(error):
    raise error


def found(top):
    for where, _, names in os.walk(top, onerror=fail):
        for name in sorted(names):
            if name.endswith(".dcm"):
                yield os.path.join(where, name)


def read_all(paths):
    """Every byte of them, one after the other; their number and bytes."""
    n = size = 0
    for path in paths:
        with open(path, "rb") as f:
            while data := f.read(1 << 20):
                size += len(data)
        n += 1
    return n, size


def names_below(server):
    """study/series/instance.dcm of all that is there, as WebDAV's by-uids has it."""
    def tags(level):
        return {o["ID"]: o for o in server.get("/%s?expand" % level)}
    studies, series = tags("studies"), tags("series")
    for o in tags("instances").values():
        above = series[o["ParentSeries"]]
        yield "%s/%s/%s.dcm" % (
            studies[above["ParentStudy"]]["MainDicomTags"]["StudyInstanceUID"],
            above["MainDicomTags"]["SeriesInstanceUID"],
            o["MainDicomTags"]["SOPInstanceUID"])


def run_ours(b, server, expected):
    b.forget()
    b.mount("dicomweb+" + server.dicomweb, "none")
    got = read_all(found(b.mnt + "/t"))
    b.umount()
    assert got == expected, got


def run_davfs(server, names, expected):
    top = tempfile.mkdtemp(prefix="vivo-davfs-")  # of a daemon with its own account
    conf, cache, mnt = (top + "/" + name for name in ("conf", "cache", "mnt"))
    os.mkdir(cache)
    os.mkdir(mnt)
    with open(conf, "w", encoding="ascii") as f:
        f.write("cache_dir %s\ncache_size 1024\nask_auth 0\nuse_locks 0\n"
                "ignore_dav_header 1\n" % cache)
    for path in (top, cache, mnt):
        shutil.chown(path, group="davfs2")
        os.chmod(path, 0o775)
    try:
        subprocess.run(["mount.davfs", server.url + "/webdav/", mnt, "-o",
                        "ro,conf=" + conf], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        got = read_all("%s/by-uids/%s" % (mnt, name) for name in names)
    finally:
        subprocess.run(["umount", mnt], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(top, ignore_errors=True)
    assert got == expected, got


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("count", type=int, nargs="?", default=300)
    args = parser.parse_args()
    why = orthanc.available()
    if why or not shutil.which("mount.davfs", path=os.environ["PATH"] + ":/usr/sbin"):
        sys.exit(why or "davfs2 is not installed")
    b = bench.Bench(args.rounds)
    try:
        source = b.make("make_ct", args.count)
        # As many threads as it has when nothing is configured; tests run it with fewer.
        with orthanc.Orthanc(config={"HttpThreadsCount": 50}) as server:
            server.upload_folder(source)
            names = sorted(names_below(server))
            expected = read_all(found(source))
            ours, davfs = [], []
            for _ in range(args.rounds):
                ours.append(bench.timed(lambda: run_ours(b, server, expected)))
                davfs.append(bench.timed(lambda: run_davfs(server, names, expected)))
        bench.row("mount, list, read %d of Orthanc, against davfs2" % args.count,
                  min(ours), min(davfs), 1.0)
    finally:
        b.close()


if __name__ == "__main__":
    main()
