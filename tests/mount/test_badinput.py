# SPDX-License-Identifier: Apache-2.0
"""Files that are broken, hostile or no files at all: hidden or an errno with a reason,
the daemon lives within bounds, the rest of the folder is shown (DESIGN D2, D4, D7)."""
import errno
import functools
import os
import socket
import struct
import subprocess
import zlib

import pydicom
import pytest

import synthetic
from vivomount import Mount
from webserver import wait_for

MEMORY = 200 << 20
SUFFIX = "_2bv45t.dcm"  # of synthetic's first instance, with deid=none
KNOWN = (errno.EIO, errno.EBADMSG, errno.EPERM, errno.ENOENT)
DATA = "/usr/lib/python3/dist-packages/pydicom/data/test_files/"


def element(group, number, vr, value):
    """Explicit VR little endian."""
    head = struct.pack("<HH2s", group, number, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<xxI", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def text(group, number, vr, value):
    if len(value) % 2:
        value += "\0" if vr == b"UI" else " "
    return element(group, number, vr, value.encode())


def head(number, syntax="1.2.840.10008.1.2.1"):
    """Preamble and file meta, and the beginning of a data set."""
    uid = synthetic.uid("bad", number)
    meta = text(2, 2, b"UI", synthetic.CT) + text(2, 3, b"UI", uid)
    meta += text(2, 0x10, b"UI", syntax)
    return (bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta)))
            + meta), body(uid, number)


def body(uid, number):
    return (text(8, 0x16, b"UI", synthetic.CT) + text(8, 0x18, b"UI", uid)
            + text(8, 0x60, b"CS", "CT") + text(0x10, 0x20, b"LO", "BAD%d" % number)
            + text(0x20, 0xd, b"UI", synthetic.uid("bad-study"))
            + text(0x20, 0xe, b"UI", synthetic.uid("bad-series")))


SQ = struct.pack("<HH2sxxI", 0x0040, 0xa730, b"SQ", 0xffffffff)
ITEM = struct.pack("<HHI", 0xfffe, 0xe000, 0xffffffff)
END = struct.pack("<HHIHHI", 0xfffe, 0xe00d, 0, 0xfffe, 0xe0dd, 0)


def depth_bomb(n, closed):
    meta, start = head(1)
    return meta + start + (SQ + ITEM) * n + (END * n if closed else b"")


def defined_depth_bomb(n):
    """Nested by lengths, each of which is true."""
    meta, start = head(2)
    inner = b""
    pieces = []
    size = 0
    for _ in range(n):
        pieces.append(struct.pack("<HH2sxxI", 0x40, 0xa730, b"SQ", size + 8)
                      + struct.pack("<HHI", 0xfffe, 0xe000, size))
        size += 20
    return meta + start + b"".join(reversed(pieces)) + inner


def width_bomb(n):
    """Two million empty items."""
    meta, start = head(3)
    items = struct.pack("<HHI", 0xfffe, 0xe000, 0) * n
    return meta + start + SQ + items + END[8:]


def element_bomb(n):
    """So many values that no two attributes are alike, each in the text of a query."""
    meta, start = head(4)
    out = [text(0x21 + 2 * (i >> 12), i & 0xffff, b"LO", "x" * 60) for i in range(n)]
    return meta + start + b"".join(out)


def value_bomb(n):
    """One text of many megabytes, with many values."""
    meta, start = head(5)
    return meta + start + element(0x40, 0xa160, b"UT", b"a\\" * (n // 2))


def deflate_bomb(n):
    meta, start = head(6, "1.2.840.10008.1.2.1.99")
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = [z.compress(start + struct.pack("<HH2sxxI", 0x7fe0, 0x10, b"OW", n))]
    block = bytes(1 << 20)
    for _ in range(n >> 20):
        out.append(z.compress(block))
    return meta + b"".join(out) + z.flush()


def deflate_header_bomb(n):
    """The same in an attribute of the header, as text."""
    meta, start = head(7, "1.2.840.10008.1.2.1.99")
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = [z.compress(start + struct.pack("<HH2sxxI", 0x40, 0xa160, b"UT", n))]
    block = b"y" * (1 << 20)
    for _ in range(n >> 20):
        out.append(z.compress(block))
    return meta + b"".join(out) + z.flush()


def lying(length, vr=b"OB"):
    """A length beyond the file."""
    meta, start = head(8)
    return meta + start + struct.pack("<HH2sxxI", 0x0042, 0x11, vr, length) + b"1234"


def lying_meta(length):
    meta, start = head(9)
    return meta[:140] + struct.pack("<I", length) + meta[144:] + start


def lying_fragments():
    meta, start = head(10, "1.2.840.10008.1.2.4.50")
    pixels = struct.pack("<HH2sxxI", 0x7fe0, 0x10, b"OB", 0xffffffff)
    table = struct.pack("<HHI", 0xfffe, 0xe000, 0)
    return meta + start + pixels + table + struct.pack("<HHI", 0xfffe, 0xe000, 0x7ffffff0)


def cut(name, n):
    with open(DATA + name, "rb") as f:
        return f.read()[:n]


# Made when they are needed; the heavy ones are larger than what the daemon may use.
CASES = {
    "zero": lambda: b"",
    "one": lambda: b"D",
    "131 bytes": lambda: bytes(128) + b"DIC",
    "132 bytes": lambda: bytes(128) + b"DICM",
    "garbage": lambda: bytes(i * 7919 % 251 for i in range(100000)),
    "garbage after DICM": lambda: bytes(128) + b"DICM" + bytes(
        i * 7919 % 251 for i in range(100000)),
    "text": lambda: b"PatientName: nobody\n" * 100,
    "zip": lambda: b"PK\x03\x04" + bytes(3000),
    "cut in the meta": lambda: cut("CT_small.dcm", 200),
    "cut in the header": lambda: cut("CT_small.dcm", 1500),
    "cut in a sequence": lambda: cut("rtplan.dcm", 1500),
    "cut pixels": lambda: cut("MR_small.dcm", 6000),
    "depth bomb": lambda: depth_bomb(100000, True),
    "depth bomb, open": lambda: depth_bomb(100000, False),
    "depth bomb, defined": lambda: defined_depth_bomb(100000),
    "width bomb": lambda: width_bomb(2000000),
    "element bomb": lambda: element_bomb(200000),
    "value bomb": lambda: value_bomb(60 << 20),
    "deflate bomb": lambda: deflate_bomb(1 << 29),
    "deflate header bomb": lambda: deflate_header_bomb(1 << 28),
    "length 4 GB": lambda: lying(0xfffffffe),
    "length 2 GB": lambda: lying(0x7fffffff),
    "length of a text": lambda: lying(0x10000000, b"UT"),
    "length of a sequence": lambda: lying(0x10000000, b"SQ"),
    "length of the meta": lambda: lying_meta(0xfffffff0),
    "length of the meta 0": lambda: lying_meta(0),
    "length of a fragment": lying_fragments,
}


@functools.lru_cache(maxsize=2)
def content(case):
    return CASES[case]()


def peak(m):
    with open(f"/proc/{m.proc.pid}/status") as f:
        return next(int(n.split()[1]) << 10 for n in f if n.startswith("VmHWM"))


def read_all(m):
    """Every file that is shown: its bytes, or a known errno."""
    out = {}
    for f in m.files():
        try:
            with open(m / f, "rb") as data:
                n = 0
                while True:
                    piece = data.read(1 << 20)
                    n += len(piece)
                    if not piece:
                        break
                out[f] = n
        except OSError as e:
            assert e.errno in KNOWN, f
            out[f] = -e.errno
    return out


@pytest.fixture
def good(tmp_path):
    """A folder with one good object."""
    folder = tmp_path / "in"
    folder.mkdir()
    synthetic.make(str(folder), patients=1, studies=1, series=1, instances=1)
    return folder


def the_good_one_is_read(m):
    name = next(f for f in m.files() if f.endswith(SUFFIX))
    ds = pydicom.dcmread(m / name)
    assert ds.Modality == "CT" and ds.Rows == 8


# What is no DICOM at all is the same with and without a profile.
BOTH = [(c, d) for c in CASES for d in ("none", "basic")
        if d == "none" or "bomb" in c or "length" in c or "cut" in c]


@pytest.mark.parametrize("case,deid", BOTH)
def test_a_bad_file_harms_nobody(good, case, deid):
    with open(good / "bad", "wb") as f:
        f.write(content(case))
    with Mount({"loc": str(good)}, deid=deid, faults=True) as m:
        sizes = read_all(m)
        whole = [f for f, n in sizes.items() if n > 0]
        assert whole, "the good one is not shown"
        for f, n in sizes.items():
            if n > 0:
                assert os.stat(m / f).st_size == n
        told = m.archive("loc")
        hidden = told["hidden"]
        print(f"{len(sizes)} shown, {hidden} hidden, peak {peak(m) >> 20} MB")
        # Shown, refused or counted: no file gets lost without a word.
        assert len(sizes) + hidden + told["extras"] >= 2 or told["refused"]
        if any(n < 0 for n in sizes.values()):
            with open(m / ".vivofs/log") as f:
                assert f.read().strip()
        if deid == "none":
            the_good_one_is_read(m)
        assert peak(m) < MEMORY
        assert m.proc.poll() is None


@pytest.mark.parametrize("deid", ["none", "basic"])
def test_all_of_them_at_once(good, deid):
    for n, case in enumerate(CASES):
        if "bomb" in case and "depth" not in case:
            continue  # each alone above; here the crowd matters, not the weight
        with open(good / ("%02d" % n), "wb") as f:
            f.write(content(case))
    with Mount({"loc": str(good)}, deid=deid, faults=True) as m:
        assert len([n for n in read_all(m).values() if n > 0]) >= 1
        if deid == "none":
            the_good_one_is_read(m)
        assert peak(m) < MEMORY


def test_what_is_no_file_is_not_opened(good, tmp_path):
    """A FIFO would block its reader for ever; links may lead outside or nowhere."""
    os.mkfifo(good / "fifo.dcm")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(good / "socket.dcm"))
        outside = tmp_path / "outside"
        outside.mkdir()
        synthetic.make(str(outside), seed="outside", patients=1, studies=1, series=1,
                       instances=1)
        os.symlink("nowhere", good / "dangling.dcm")
        os.symlink("loop.dcm", good / "loop.dcm")
        os.symlink(".", good / "again")
        os.symlink("/dev/zero", good / "zero.dcm")
        os.mknod(good / "null.dcm", 0o020666, os.makedev(1, 3))
        with Mount({"loc": str(good)}) as m:
            wait_for(lambda: m.archive("loc")["last_check"])
            assert [f.rsplit("/", 1)[1] for f in m.files()] == ["00001" + SUFFIX]
            the_good_one_is_read(m)


def test_a_folder_without_any_object_is_an_empty_archive(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing here")
    with Mount({"loc": str(folder)}, deid="basic") as m:
        assert m.files() == []
        assert os.listdir(m / "loc/q/Modality=CT") in ([], ["all"])
        wait_for(lambda: m.archive("loc")["hidden"] == 1)


def test_deep_folders_and_odd_names(good):
    fd = os.open(good, os.O_RDONLY)
    for n in range(30):  # beyond PATH_MAX
        name = "%02d" % n + "d" * 200
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    out = os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(out, b"nothing")
    os.close(out)
    os.close(fd)
    with open(os.fsencode(good) + b"/name\nwith\x01controls\xff", "wb") as f:
        f.write(b"nothing")
    try:
        with Mount({"loc": str(good)}, faults=True) as m:
            the_good_one_is_read(m)
            assert len(m.files()) == 1
            with open(m / ".vivofs/log", "rb") as f:
                assert b"\x01" not in f.read()
    finally:
        subprocess.run(["rm", "-rf", good], check=True)


def test_hostile_values_stay_below_the_tree(good):
    """What an object says must not become a path, a control character or a name that
    the tree keeps for itself."""
    evil = ["../../etc", "/etc/passwd", "..", ".", "q", "by", "all", ".vivofs", "-rf",
            "a\x07b", "x" * 300, "README.txt", "unknown", "%2F", "*", "$(id)", " "]
    for n, value in enumerate(evil):
        ds = synthetic.instance("evil", 3, 0, 0, n)
        ds.PatientID = value[:64] if n != 10 else value
        ds.SeriesDescription = ds.StudyDescription = value[:64]
        ds.StudyInstanceUID = synthetic.uid("evil", n)
        ds.SeriesInstanceUID = synthetic.uid("evil", n, 1)
        pydicom.dcmwrite(str(good / ("evil%d" % n)), ds, write_like_original=False)
    with Mount({"loc": str(good)}, faults=True) as m:
        files = m.files()
        assert len(files) == len(evil) + 1
        for f in files:
            for part in f.split("/"):
                assert 0 < len(part) <= 120 and part[0] not in ".-"
                assert all(c.isascii() and (c.isalnum() or c in "._+=@-") for c in part)
        assert all(n > 0 for n in read_all(m).values())
        patients = os.listdir(m / "loc/all")
        assert not {"q", "by", "all", ".vivofs", "README.txt"} & set(patients)
