# SPDX-License-Identifier: Apache-2.0
"""Nothing of the originals can be seen through a de-identified mount, nor in what it
keeps (DESIGN D1 to D3, A5, A6)."""
import hashlib
import io
import os
import random
import re
import subprocess

import pydicom
import pytest

import canaries
from orthanc import Orthanc
from vivomount import BINARY, Mount, environment

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
QUERIES = ["Modality=CT", "has PatientBirthDate", "InstitutionName=X",
           "PatientName=*", "any CT", "Rows>1", "StudyDate=1971"]


def key_file(path, seed):
    path = str(path)
    with open(path, "wb") as f:
        f.write(hashlib.sha256(seed.encode()).digest() * 2)
    os.chmod(path, 0o600)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("source"))
    _, uids = canaries.make(folder)
    canaries.make_refused(folder)
    return folder, uids


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        # Whatever a program would print of it.
        return f"\n{os.strerror(e.errno)}\n".encode()


def below(top):
    """Every name, attribute and byte below, one after the other."""
    for folder, dirs, names in os.walk(top):
        for name in dirs + names:
            path = os.path.join(folder, name)
            yield name.encode() + b"\n"
            try:
                yield "\n".join(os.listxattr(path, follow_symlinks=False)).encode()
            except OSError as e:
                yield os.strerror(e.errno).encode()
        for name in names:
            yield read(os.path.join(folder, name))


def seen_through(m, archive):
    """All that can be read of a mount; the objects last, so that the control files are
    read again after them."""
    yield from below(m.path)
    for q in QUERIES:
        for at in ("q", f"{archive}/q", f"{archive}/all/q"):
            where = m / f"{at}/{q}"
            yield from below(where)
            for name in (".error", ".query", ".count", ".explain", ".series.csv",
                         ".paths.txt", ".refused.csv", ".tags.json", ".tags.txt"):
                yield read(os.path.join(where, name))
    for k in ("Modality", "PatientID", "PatientName", "StudyDate", "InstitutionName",
              "StudyInstanceUID"):
        yield b"\n".join(n.encode() for n in _names(m / f"{archive}/by/{k}"))
    yield read(m / "README.txt")
    yield read(m / f"{archive}/.refused.csv")
    yield from below(m / ".vivofs")


def _names(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def leaks(pieces, uids):
    found = set()
    ends = re.compile("|".join(canaries.short(u) for u in sorted(uids)).encode())
    for piece in pieces:
        found |= {m.group(0) for m in canaries.PATTERN.finditer(piece)}
        if len(piece) < 400:
            found |= {m.group(0) for m in ends.finditer(piece)}
    return found


def kept(*folders):
    """What is on disk, names and bytes."""
    for folder in folders:
        yield from below(folder)


def test_canaries_are_found_where_they_are(source):
    """The search itself: everything planted is there to be found."""
    folder, uids = source
    found = leaks(below(folder), uids)
    assert len(found) > 900
    assert {b"19710817", b"ZQ901K", b"ZQ904K", b"ZQ906K", b"ZQ910K"} <= found


def test_a_folder_shows_no_canary(source, tmp_path):
    folder, uids = source
    cache = tmp_path / "cache-here"
    home = tmp_path / "home"
    home.mkdir()
    with Mount({"loc": folder}, f"cache={cache}", deid="basic", home=str(home),
               flags=("-v",), faults=True) as m:
        assert len(m.files()) >= len(canaries.CARRIERS)
        assert leaks(seen_through(m, "loc"), uids) == set()
        opened = [f for f in m.files() if read(m / f)[128:132] == b"DICM"]
        assert len(opened) == len(canaries.CARRIERS)
        dates = {os.stat(m / f).st_mtime for f in m.files()}
        assert dates == {946684800}
        status = m.archive("loc")
        assert status["hidden"] == 2  # the text file and the cut one
        assert leaks(kept(home, cache), uids) == set()  # as it runs, WAL and all
        with open(m / ".vivofs/log", "rb") as f:
            assert f.read()  # what is refused is told, without values
    assert leaks(kept(home, cache), uids) == set()


def test_orthanc_shows_no_canary(tmp_path):
    folder, home = tmp_path / "in", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    paths, uids = canaries.make(str(folder), [
        "CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "rtplan.dcm"])
    with Orthanc() as o:
        o.upload(paths)
        with Mount({"pacs": "dicomweb+" + o.dicomweb}, deid="basic", home=str(home),
                   flags=("-v",), faults=True) as m:
            assert len(m.files()) == len(paths)
            assert leaks(seen_through(m, "pacs"), uids) == set()
            assert all(read(m / f)[128:132] == b"DICM" for f in m.files())
            assert leaks(kept(home), uids) == set()
    assert leaks(kept(home), uids) == set()
    # Something was kept, or the search above looked at nothing.
    assert sum(len(f) for _, _, f in os.walk(home / "cache")) >= len(paths)


def shown(folder, key):
    with Mount({"loc": folder}, f"key={key}", deid="basic") as m:
        return {f: read(m / f) for f in m.files()}


def test_one_key_gives_the_same_bytes_from_another_copy(tmp_path):
    key = key_file(tmp_path / "key", "one")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    canaries.make(str(tmp_path / "a"), names="ZQ906K")
    canaries.make(str(tmp_path / "b"), names="other")
    first = shown(str(tmp_path / "a"), key)
    assert first == shown(str(tmp_path / "b"), key)
    assert len(first) == len(canaries.CARRIERS)


def identifiers(objects):
    names = {part for f in objects for part in f.split("/")[2:]}
    tokens = {n for n in names if re.match(r"P[A-Z2-7]{20}$", n)}
    tokens |= {n.rsplit("_", 1)[-1] for n in names if "_" in n}
    for data in objects.values():
        tokens |= {u.decode() for u in re.findall(rb"2\.25\.\d+", data)}
        # (0002,0012) names the program: it is the same for everybody.
        meta = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta
        tokens.discard(str(meta.ImplementationClassUID))
    return tokens


def test_another_key_gives_nothing_in_common(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    canaries.make(str(folder))
    one = shown(str(folder), key_file(tmp_path / "key1", "one"))
    two = shown(str(folder), key_file(tmp_path / "key2", "two"))
    assert len(one) == len(two) == len(canaries.CARRIERS)
    assert len(identifiers(one)) > 30
    assert identifiers(one) & identifiers(two) == set()


def test_lengths_of_removed_values_do_not_show(tmp_path):
    key = key_file(tmp_path / "key", "one")
    out = []
    for n in (3, 60):
        folder = tmp_path / str(n)
        folder.mkdir()
        ds = pydicom.dcmread(canaries.DATA + "CT_small.dcm")
        ds.PatientName = "A" * n
        ds.PatientBirthDate = "19710817" if n == 3 else ""
        ds.InstitutionName = "B" * n
        ds.PatientComments = "C" * n * 20
        ds.StudyDescription = "D" * n
        ds.add_new(0x00990010, "LO", "ACME" * (n // 3))
        ds.add_new(0x00991001, "LT", "E" * n * 10)
        ds.save_as(str(folder / "x.dcm"), write_like_original=False)
        out.append(shown(str(folder), key))
    assert out[0] == out[1] and len(out[0]) == 1


HIDDEN = ["PatientBirthDate={}", "InstitutionName={}", "not AccessionNumber={}",
          "study(StudyDescription={})", "patient(PatientAddress={})",
          "Modality=CT and OperatorsName={}", "any x or PatientComments={}",
          "StudyDate={}", "RequestAttributesSequence.StudyID={}", "StudyID in ({},x)",
          "(0008,0080)={}", "00080080={}"]


def refusal(m, expression):
    where = m / f"loc/q/{expression}"
    assert os.listdir(where) == [".error"], expression
    return read(os.path.join(where, ".error")).decode()


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("hidden"))
    ds = pydicom.dcmread(canaries.DATA + "CT_small.dcm")
    for k in ("InstitutionName AccessionNumber StudyDescription PatientAddress "
              "OperatorsName PatientComments StudyID").split():
        setattr(ds, k, "20200101")
    ds.PatientBirthDate = ds.StudyDate = "20200101"
    ds.save_as(os.path.join(folder, "x.dcm"), write_like_original=False)
    with Mount({"loc": folder}, deid="basic") as m:
        assert len(m.files()) == 1
        yield m


@pytest.mark.parametrize("form", HIDDEN)
def test_a_hidden_attribute_is_refused_alike(hidden, form):
    there, absent = "20200101", "20210202"
    texts = [refusal(hidden, form.format(v)) for v in (there, absent)]
    assert texts[0].replace(there, absent) == texts[1]
    assert "hidden" in texts[0] or "shows" in texts[0] or "shown" in texts[0]


def test_whether_a_hidden_attribute_is_there_is_refused_alike(hidden, tmp_path):
    """The other mount's object has none of them."""
    ds = pydicom.dcmread(canaries.DATA + "CT_small.dcm")
    keywords = "InstitutionName AccessionNumber PatientBirthDate OperatorsName".split()
    for keyword in keywords:
        if keyword in ds:
            delattr(ds, keyword)
    ds.save_as(str(tmp_path / "x.dcm"), write_like_original=False)
    with Mount({"loc": str(tmp_path)}, deid="basic") as bare:
        assert len(bare.files()) == 1
        for keyword in keywords:
            for form in ("has {}", "missing {}", "not has {}", "{}=x", "{}!=x"):
                e = form.format(keyword)
                assert refusal(hidden, e) == refusal(bare, e)


def test_a_replaced_original_matches_nothing(source):
    folder, uids = source
    with Mount({"loc": folder}, deid="basic", faults=True) as m:
        patient = m.files()[0].split("/")[2]
        assert m.files(f"loc/q/PatientID={patient}")
        for e in ("PatientID=ZQ100001K", "PatientID=ZQ10*", "PatientName=*ZQ10*",
                  "any ZQ100001K", f"SOPInstanceUID={canaries.UID_ROOT}100000.3",
                  f"StudyInstanceUID={canaries.UID_ROOT}*"):
            assert m.files(f"loc/q/{e}") == [], e
            assert "instances 0" in read(m / f"loc/q/{e}/.count").decode()


def test_control_is_closed_to_other_users(source):
    folder, _ = source
    with Mount({"loc": folder}, "allow_other", deid="basic", faults=True) as m:
        good = next(f for f in m.files() if read(m / f)[128:132] == b"DICM")
        m.status()  # the kernel has the names
        for argv in (["ls", m / ".vivofs"], ["cat", m / ".vivofs/status.json"],
                     ["cat", m / ".vivofs/audit.log"], ["cat", m / ".vivofs/config"],
                     ["stat", m / ".vivofs/log"]):
            run = subprocess.run(NOBODY + argv, capture_output=True, text=True)
            assert run.returncode != 0 and run.stdout == "", argv
            assert "denied" in run.stderr.lower()
        run = subprocess.run(NOBODY + ["cat", m / good], capture_output=True)
        assert run.stdout == read(m / good)


def test_memory_and_files_of_the_daemon_are_closed(source):
    folder, _ = source
    with Mount({"loc": folder}, deid="basic", faults=True) as m:
        m.files()
        for name in ("mem", "environ", "maps"):
            run = subprocess.run(NOBODY + ["cat", f"/proc/{m.proc.pid}/{name}"],
                                 capture_output=True)
            assert run.returncode != 0
        for top in ("cache", "config"):
            for where, dirs, names in os.walk(os.path.join(m.home, top)):
                for name in dirs + names:
                    mode = os.stat(os.path.join(where, name)).st_mode
                    assert mode & 0o077 == 0, name


def test_random_reads_equal_slices_of_the_whole(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    canaries.make(str(folder))
    rng = random.Random(7)
    with Mount({"loc": str(folder)}, deid="basic") as m:
        files = [m / f for f in m.files()]
        whole = {f: read(f) for f in files}
    with Mount({"loc": str(folder)}, home=None, deid="basic",
               options="key=" + key_file(tmp_path / "k", "k")) as m:
        files = [m / f for f in m.files()]
        fds = {f: os.open(f, os.O_RDONLY) for f in files}
        try:
            check_preads(rng, fds)
        finally:
            for fd in fds.values():
                os.close(fd)
    assert len(whole) == len(files)


def check_preads(rng, fds):
    sizes = {f: os.fstat(fd).st_size for f, fd in fds.items()}
    got = []
    for _ in range(3000):
        f = rng.choice(list(fds))
        # Every now and then past the kernel's own pages, to reach the daemon again.
        if rng.random() < 0.2:
            os.posix_fadvise(fds[f], 0, 0, os.POSIX_FADV_DONTNEED)
        at = rng.randrange(sizes[f] + 10)
        n = rng.choice([1, 7, 132, 4096, 65537, 300000])
        got.append((f, at, n, os.pread(fds[f], n, at)))
    whole = {f: read(f) for f in fds}
    assert all(len(whole[f]) == sizes[f] for f in fds)
    for f, at, n, data in got:
        assert data == whole[f][at:at + n], (f, at, n)


def kinds(path):
    """The kinds of error dciodvfy sees: without values and positions."""
    run = subprocess.run(["dciodvfy", path], capture_output=True, text=True,
                         errors="replace")
    out = set()
    for line in (run.stdout + run.stderr).splitlines():
        if line.startswith("Error"):
            line = re.sub(r"= <[^>]*>|<[^<>]*\d[^<>]*>|\[\d+\]|\b\d+(\.\d+)*\b", "N", line)
            out.add(line)
    return out


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm",
                                  "MR_small_implicit.dcm", "MR_small_RLE.dcm",
                                  "waveform_ecg.dcm", "rtstruct.dcm"])
def test_no_new_kind_of_error_for_dciodvfy(name, tmp_path):
    before = kinds(canaries.DATA + name)
    env = environment(str(tmp_path))
    out = str(tmp_path / "out.dcm")
    subprocess.run([BINARY, "deid", canaries.DATA + name, out], check=True, env=env,
                   capture_output=True)
    assert kinds(out) <= before
