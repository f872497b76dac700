# SPDX-License-Identifier: Apache-2.0
"""Zip and tar files as sources: the tree of the folder, changes, remounts, DICOMDIR."""
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import time
import zipfile

import pydicom
import pytest

from vivomount import BINARY, Mount
from webserver import wait_for

FILES = "/usr/lib/python3/dist-packages/pydicom/data"
NAMES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "693_J2KI.dcm"]
KINDS = ["zip", "stored.zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"]


def real(name):
    with open(f"{FILES}/test_files/{name}", "rb") as f:
        return f.read()


def pack(path, members):
    """Writes (name, bytes) pairs, aside first, so that the path changes at once."""
    path, aside = str(path), str(path) + ".new"
    if path.endswith("zip"):
        how = zipfile.ZIP_STORED if "stored" in path else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(aside, "w", how) as z:
            for name, data in members:
                z.writestr(name, data)
    else:
        mode = "w:" + path.rsplit(".", 1)[1].replace("tgz", "gz").replace("tar", "")
        with tarfile.open(aside, mode) as t:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    os.rename(aside, path)
    return path


def contents(m):
    """Path -> digest of every instance."""
    found = {}
    for folder, _, files in os.walk(m / "loc/all"):
        for name in files:
            if name.endswith(".dcm"):
                path = os.path.join(folder, name)
                with open(path, "rb") as f:
                    assert os.fstat(f.fileno()).st_size == os.stat(path).st_size
                    found[os.path.relpath(path, m.path)] = hashlib.sha256(f.read()).hexdigest()
    return found


def digests(members):
    return sorted({hashlib.sha256(data).hexdigest() for _, data in members})


def until(what, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if what():
                return True
        except OSError:
            pass  # it is being listed again
        time.sleep(0.2)
    return False


@pytest.fixture
def members():
    return [(f"d/{name}", real(name)) for name in NAMES] + [("read me.txt", b"no DICOM")]


@pytest.fixture
def folder(tmp_path, members):
    where = tmp_path / "folder"
    for name, data in members:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data)
    return where


@pytest.mark.parametrize("deid", ["none", "basic"])
def test_every_kind_shows_the_tree_of_the_folder(tmp_path, folder, members, deid):
    home = tmp_path / "home"
    home.mkdir()
    with Mount({"loc": folder}, deid=deid, home=str(home)) as m:
        want = contents(m)
    assert len(want) == len(NAMES)
    for kind in KINDS:
        with Mount({"loc": pack(tmp_path / f"a.{kind}", members)}, deid=deid,
                   home=str(home)) as m:
            assert contents(m) == want, kind


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
class TestChanges:
    def test_a_remount_shows_the_same_files(self, tmp_path, members, kind):
        path = pack(tmp_path / f"a.{kind}", members)
        home = tmp_path / "home"
        home.mkdir()
        seen = []
        for _ in range(3):
            with Mount({"loc": path}, home=str(home)) as m:
                seen.append((contents(m), sorted(os.stat(m / p).st_ino for p in contents(m))))
                time.sleep(0.5)  # the walk in the background comes to its end
                seen.append((contents(m), sorted(os.stat(m / p).st_ino for p in contents(m))))
        assert all(s == seen[0] for s in seen)

    def test_a_changed_file_is_listed_again(self, tmp_path, members, kind):
        path = pack(tmp_path / f"a.{kind}", members)
        with Mount({"loc": path}, faults=True) as m:
            before = contents(m)
            changed = bytearray(members[0][1])
            changed[-1] ^= 1
            after = [(members[0][0], bytes(changed))] + members[2:]
            pack(path, after)
            want = digests(after[:-1])
            assert until(lambda: sorted(contents(m).values()) == want)
            names = contents(m)
            assert set(names) < set(before) and len(names) == len(before) - 1

    def test_a_file_changed_between_mounts_is_listed_again(self, tmp_path, members, kind):
        path = pack(tmp_path / f"a.{kind}", members)
        home = tmp_path / "home"
        home.mkdir()
        with Mount({"loc": path}, home=str(home)) as m:
            before = contents(m)
        pack(path, members[1:])
        with Mount({"loc": path}, home=str(home)) as m:
            assert until(lambda: sorted(contents(m).values()) == digests(members[1:-1]))
            assert set(contents(m)) < set(before)


def test_a_touched_file_keeps_its_names(tmp_path, members):
    path = pack(tmp_path / "a.tar.gz", members)
    with Mount({"loc": path}, faults=True) as m:
        before = contents(m)
        os.utime(path, (1, 1))
        time.sleep(6)  # two looks of two seconds, and the listing
        assert until(lambda: contents(m) == before)


def test_the_name_is_that_of_the_file_without_its_ending(tmp_path, members):
    path = pack(tmp_path / "Scans of 2020.tar.gz", members)
    where = tmp_path / "mnt"
    where.mkdir()
    env = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([BINARY, "mount", "-o", "deid=none", path, where], check=True, env=env)
    try:
        assert any(n.startswith("Scans") and "tar" not in n and "gz" not in n
                   for n in os.listdir(where))
    finally:
        subprocess.run(["fusermount3", "-u", where], check=True)


@pytest.mark.parametrize("name", ["notes.zip", "empty.tar", "one.dcm"])
def test_another_file_is_refused_in_one_line(tmp_path, name):
    data = {"notes.zip": b"this is text", "empty.tar": b"", "one.dcm": real("CT_small.dcm")}
    (tmp_path / name).write_bytes(data[name])
    (tmp_path / "mnt").mkdir()
    run = subprocess.run([BINARY, "mount", "-o", "deid=none", tmp_path / name, tmp_path / "mnt"],
                         capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
    assert f"{tmp_path / name} is a file that is no zip or tar" in run.stderr


def test_a_dicomdir_stands_for_its_folder(tmp_path):
    medium = tmp_path / "medium"
    shutil.copytree(f"{FILES}/test_files/dicomdirtests", medium)
    with Mount({"loc": medium}) as m:
        want = contents(m)
    with Mount({"loc": medium / "DICOMDIR"}) as m:
        assert contents(m) == want and len(want) > 20


def test_what_a_dicomdir_names_and_is_not_there_is_counted(tmp_path):
    medium = tmp_path / "cd"
    shutil.copytree(f"{FILES}/test_files/dicomdirtests", medium)
    named = ["/".join(r.ReferencedFileID) for r in
             pydicom.dcmread(medium / "DICOMDIR").DirectoryRecordSequence
             if "ReferencedFileID" in r]
    present = [n for n in named if (medium / n).exists()]
    assert len(present) > 20
    with Mount({"loc": medium}) as m:
        m.files("loc")
        before = m.archive("loc")["hidden"]
        (medium / present[0]).rename(tmp_path / "lost")
        (medium / present[1]).unlink()
        wait_for(lambda: m.files("loc") and m.archive("loc")["hidden"] == before + 2)
        missing = len(named) - len(present) + 2
        wait_for(lambda: f"the DICOMDIR names {missing} files that are not there" in m.log())
        assert present[0] not in m.log()
        (tmp_path / "lost").rename(medium / present[0])
        wait_for(lambda: m.files("loc") and m.archive("loc")["hidden"] == before + 1)


def test_a_cut_archive_shows_nothing(tmp_path):
    path = pack(tmp_path / "a.tar", [(f"{i}.dcm", os.urandom(100000)) for i in range(8)])
    size = os.path.getsize(path) // 2
    with tarfile.open(path) as t:
        ends = [i.offset_data + i.size for i in t]
    os.truncate(path, size)
    with Mount({"loc": path}, faults=True) as m:
        with pytest.raises(OSError):
            os.listdir(m / "loc/all")
        whole = sum(end <= size for end in ends)
        assert whole in (3, 4)
        assert f"truncated: it ends at byte {size}, with {whole} whole members" in m.log()


@pytest.mark.parametrize("kind, words", [
    ("tar.gz", "truncated: it ends at byte %d, with "), ("zip", "is not there at byte %d")])
def test_a_cut_archive_says_where_it_ends(tmp_path, kind, words):
    path = pack(tmp_path / ("a." + kind),
                [(f"{i}.dcm", os.urandom(100000)) for i in range(8)])
    size = os.path.getsize(path) * 3 // 4
    os.truncate(path, size)
    if kind == "zip":
        with pytest.raises(RuntimeError, match=words % size):
            Mount({"loc": path})
        return
    with Mount({"loc": path}, faults=True) as m:
        with pytest.raises(OSError):
            os.listdir(m / "loc/all")
        assert words % size in m.log()


def test_thousands_of_members_are_listed_and_read(tmp_path):
    uid, one = b"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322", real("CT_small.dcm")
    one = one[:one.index(b"\xe0\x7f\x10\x00OW")]  # many, not large
    members = [(f"{i}.dcm", one.replace(uid, uid[:-5] + b"%05d" % (i + 10000)))
               for i in range(3000)]
    for kind in ("zip", "tar.gz"):
        with Mount({"loc": pack(tmp_path / f"a.{kind}", members)}) as m:
            assert sorted(contents(m).values()) == digests(members)
