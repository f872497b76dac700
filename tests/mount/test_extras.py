# SPDX-License-Identifier: Apache-2.0
"""Files that are no DICOM, beside what is (DESIGN A1): where they are shown and how they
are called, every byte of them through every tool, nothing of them under a profile."""
import errno
import hashlib
import os
import shutil
import subprocess
import tarfile
import zipfile

import pytest

import synthetic
from archiveserver import ArchiveServer
from vivomount import Mount
from webserver import wait_for

SECRET = "Smith-John-19500101"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def tree(top):
    """Bytes by path, of everything below."""
    return {os.path.relpath(os.path.join(where, n), top): read(os.path.join(where, n))
            for where, _, names in os.walk(top) for n in names}


def find(top):
    return [os.path.relpath(os.path.join(where, n), top)
            for where, _, names in os.walk(top) for n in names]


def sums(files):
    return sorted(hashlib.sha256(data).hexdigest() for data in files.values())


def is_object(path):
    return path.endswith(".dcm")


def fill(top):
    """A source with a bit of everything."""
    def put(path, data):
        path = os.path.join(top, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    made = os.path.join(top, "made")
    os.makedirs(made)
    synthetic.make(made, patients=1, studies=1, series=2, instances=2)
    os.makedirs(os.path.join(top, "one"))
    for name in os.listdir(made):
        if name.split("-")[2] == "0":
            os.rename(os.path.join(made, name), os.path.join(top, "one", name))
    os.rename(made, os.path.join(top, "PAT0000"))
    put("one/notes.txt", b"of the series")
    put("one/fake.dcm", b"no DICOM at all")
    put("one/" + SECRET + ".txt", b"secret " + SECRET.encode())
    put("PAT0000/deep/er/scan.nii.gz", os.urandom(200000))
    put("PAT0000/deep/empty.txt", b"")
    put("two words/a \u00fc.csv", b"1,2")
    put("README.txt", b"of the source")
    put(".hidden", b"dot")
    put("q/by", b"reserved")
    with zipfile.ZipFile(os.path.join(top, "inner.zip"), "w") as z:
        z.write(os.path.join(top, "one", os.listdir(os.path.join(top, "one"))[0]), "x.dcm")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    top = str(tmp_path_factory.mktemp("extras") / "src")
    os.makedirs(top)
    fill(top)
    return top


def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir(exist_ok=True)
    return str(path)


def extras(m):
    return {p: data for p, data in tree(m / "loc").items() if not is_object(p)}


def test_they_are_where_their_series_or_their_folders_are(source):
    with Mount({"loc": source}) as m:
        shown = tree(m / "loc")
        assert sums(shown) == sums(tree(source))
        assert m.archive("loc")["hidden"] == 0 and m.archive("loc")["extras"] == 10
        names = sorted(p for p in shown if not is_object(p))
        series = next(os.path.dirname(p) for p in shown if "_CT_" in p and is_object(p))
        assert {n for n in os.listdir(m / "loc/" + series) if not is_object(n)} == {
            "notes.txt", SECRET + ".txt", next(n.rsplit("/", 1)[1] for n in names
                                               if "fake.dcm_" in n)}
        rest = [n.removeprefix("all/") for n in names if not n.startswith(series)]
        # A patient has the name of the folder, the mount that of README.txt, q and by.
        like = ["PAT0000_??????/deep/empty.txt", "PAT0000_??????/deep/er/scan.nii.gz",
                "README_??????.txt", "hidden_??????", "inner.zip", "q_??????/by_??????",
                "two-words_??????/a-u_??????.csv"]
        assert len(rest) == len(like)
        for name, want in zip(sorted(rest), like):
            assert len(name) == len(want) and all(
                a == b or b == "?" for a, b in zip(name, want)), (name, want)
        assert all(c.isascii() and " " not in c for c in names)


def test_names_are_the_same_elsewhere_and_after_a_remount(source, tmp_path):
    with Mount({"loc": source}, home=home(tmp_path)) as m:
        first = extras(m)
        numbers = {p: os.stat(m / "loc/" + p).st_ino for p in first}
    with Mount({"loc": source}, home=home(tmp_path)) as m:
        assert extras(m) == first
        assert {p: os.stat(m / "loc/" + p).st_ino for p in first} == numbers
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    with Mount({"loc": str(copy)}) as m:
        assert extras(m) == first
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for path in sorted(tree(source), reverse=True):
            z.write(os.path.join(source, path), path)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as t:
        t.add(source, ".")
    for name in ("a.zip", "a.tar.gz"):
        with Mount({"loc": str(tmp_path / name)}) as m:
            assert extras(m) == first, name


def test_sizes_blocks_and_times(source):
    with Mount({"loc": source}) as m:
        for p, data in tree(m / "loc").items():
            st = os.stat(m / "loc/" + p)
            assert (st.st_size, st.st_blocks) == (len(data), (len(data) + 511) // 512)
            # The study is of 2020-01-01, what is in no series of no date.
            assert st.st_mtime == (1577836800 if "_CT_" in p or "_MR_" in p else 946684800)
            assert st.st_mode & 0o777 == 0o444


def run(*argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_tool_gets_every_byte(source, tmp_path):
    with Mount({"loc": source}) as m:
        run("cp", "-a", m / "loc", str(tmp_path / "cp"))
        run("rsync", "-a", m / "loc/", str(tmp_path / "rsync"))
        run("tar", "-C", m.path, "-cSf", str(tmp_path / "t.tar"), "loc")
        want = tree(m / "loc")
        os.makedirs(tmp_path / "tar")
        run("tar", "-xf", str(tmp_path / "t.tar"), cwd=str(tmp_path / "tar"))
    assert tree(tmp_path / "cp") == want
    assert tree(tmp_path / "rsync") == want
    assert tree(tmp_path / "tar/loc") == want


def test_queries_counts_and_exports_are_of_objects(source):
    with Mount({"loc": source}) as m:
        assert all(is_object(p) for p in tree(m / "loc/q/Modality=CT"))
        assert all(is_object(p) for p in tree(m / "loc/by/Modality/CT"))
        count = read(m / "loc/q/Rows>0/.count").decode().split()
        assert count[7] == "4"
        assert read(m / "loc/q/Rows>0/.paths.txt").count(b"\n") == 4
        assert m.archive("loc")["instances"] == 4


def test_flat_shows_them_too(source):
    with Mount({"loc": source}, "flat") as m:
        assert "inner.zip" in os.listdir(m / "all")
        assert read(m / "all/inner.zip") == read(source + "/inner.zip")


def test_opening_is_audited(source):
    with Mount({"loc": source}) as m:
        read(m / "loc/all/inner.zip")
        assert read(m / ".vivofs/audit.log").decode().endswith(" loc/all/inner.zip\n")


@pytest.mark.parametrize("deid", ["basic", "limited"])
def test_a_profile_shows_nothing_of_them(source, deid, tmp_path):
    with Mount({"loc": source}, deid=deid, home=home(tmp_path)) as m:
        shown = tree(m / "loc")
        assert shown and all(is_object(p) for p in shown)
        told = m.archive("loc")
        assert told["hidden"] == 10 and told["extras"] == 0
        seen = read(m / ".vivofs/status.json") + read(m / ".vivofs/log")
        names = " ".join(os.path.join(w, n) for w, d, f in os.walk(m / "loc")
                         for n in d + f)
    kept = b"".join(tree(tmp_path / "home").values())
    for word in (SECRET, "notes.txt", "two words", "inner.zip", "scan.nii"):
        assert word not in names
        assert word.encode() not in seen + kept


def test_changes_are_followed(source, tmp_path):
    top = tmp_path / "src"
    shutil.copytree(source, top)
    with Mount({"loc": str(top)}) as m:
        name = m / "loc/all/inner.zip"
        with open(name, "rb") as old:
            assert old.read(10) == read(top / "inner.zip")[:10]
            (top / "inner.zip").write_bytes(b"other bytes, fewer")
            os.posix_fadvise(old.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            wait_for(lambda: read(name) == b"other bytes, fewer")
        (top / "inner.zip").unlink()
        (top / "new.txt").write_bytes(b"new")
        wait_for(lambda: "new.txt" in os.listdir(m / "loc/all") and
                 "inner.zip" not in os.listdir(m / "loc/all"))
        # No objects are left in the folder: what lies there moves to the collection.
        for path in top.glob("one/0-*.dcm"):
            path.unlink()
        wait_for(lambda: os.path.isfile(m / "loc/all/one/notes.txt"))
        # Nothing is left at all.
        shutil.rmtree(top / "one")
        wait_for(lambda: "one" not in os.listdir(m / "loc/all"))


def test_a_source_without_any_object(tmp_path):
    (tmp_path / "src/sub").mkdir(parents=True)
    (tmp_path / "src/sub/a.txt").write_text("a")
    with Mount({"loc": str(tmp_path / "src")}) as m:
        assert tree(m / "loc") == {"all/sub/a.txt": b"a"}


# ---- remote


def test_an_index_of_pictures_works_as_a_preset(tmp_path):
    """As data.lhncbc.nlm.nih.gov/public/NHANES/X-rays/index.html: upper-case tags, every
    folder told by its index.html, entries in brackets, neither sizes nor times."""
    top = tmp_path / "x-rays"
    for kind, ending in (("jpg", "jpg"), ("tif8", "tif"), ("fullres", "nh2"),
                         ("marks", "txt")):
        for who in ("C00001", "L00001", "L00002"):
            path = top / kind / (who[0] + "x") / f"{who}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(3000 + len(str(path))))
    kept = home(tmp_path)
    options = "jobs=4,timeout=60,refresh=604800"
    with ArchiveServer("http", str(top), "--knob", "style=pages", "--knob",
                       "stamps=0") as s:
        source = s.url + "index.html"
        with Mount({"n": source}, options, home=kept) as m:
            names = sorted(os.path.relpath(os.path.join(w, f), m / "n/all")
                           for w, _, files in os.walk(m / "n/all") for f in files)
            assert names == sorted(tree(top))
            assert all(os.stat(m / "n/all/" + n).st_size > 0 for n in names)
            assert s.content() == 0 and not any(
                e["path"].rsplit(".", 1)[1] != "html" for e in s.log())
            run("cp", "-a", m / "n/all", str(tmp_path / "copy"))
            assert tree(tmp_path / "copy") == tree(top)
            assert s.content() == 12
            with open(m / "n/all/" + names[0], "rb") as f:
                assert os.fstat(f.fileno()).st_size == len(f.read())
            assert tree(m / "n/all") == tree(top) and s.content() == 12
            assert m.archive("n")["hidden"] == 0 and m.archive("n")["extras"] == 12
        s.reset()
        s(style="pages", stamps=0)
        with Mount({"n": source}, options, home=kept) as m:
            assert tree(m / "n/all") == tree(top)
            assert all(os.stat(m / "n/all/" + n).st_size == len(read(top / n))
                       for n in names)
        assert s.paths() == []
        # A page for people does not pass for a picture.
        s(style="pages", kind="text/html")
        with Mount({"n": source}, options + ",retries=0", faults=True) as m:
            with pytest.raises(OSError) as e:
                read(m / "n/all/" + names[0])
            assert e.value.errno == errno.EIO
            assert "a page for people" in m.log()
        # What is cut is an error, and never short.
        s.reset()
        s(style="pages", stamps=0)
        with Mount({"n": source}, options + ",retries=0", faults=True) as m:
            assert os.path.isfile(m / "n/all/" + names[0])
            s(cut=100)
            with pytest.raises(OSError) as e:
                read(m / "n/all/" + names[0])
            assert e.value.errno == errno.EIO
            s.reset()
            s(style="pages", stamps=0)
            assert read(m / "n/all/" + names[0]) == read(top / names[0])
        with Mount({"n": source}, options + ",size=exact") as m:
            assert os.stat(m / "n/all/" + names[0]).st_size == len(read(top / names[0]))


def test_folders_are_pinned_and_forgotten_by_their_paths(tmp_path):
    top = tmp_path / "src"
    (top / "jpg/sub").mkdir(parents=True)
    for name in ("jpg/a.jpg", "jpg/sub/b.jpg", "other.jpg"):
        (top / name).write_bytes(os.urandom(5000))
    with ArchiveServer("http", str(top)) as s, Mount({"n": s.url}) as m:
        assert len([n for _, _, f in os.walk(m / "n") for n in f]) == 3
        with open(m / ".vivofs/pin", "w") as f:
            f.write("n/all/jpg\n")
        wait_for(lambda: s.content() == 2)
        wait_for(lambda: not m.archive("n")["in_flight"])
        assert read(m / "n/all/jpg/sub/b.jpg") == read(top / "jpg/sub/b.jpg")
        assert s.content() == 2
        with open(m / ".vivofs/forget", "w") as f:
            f.write("n/all/jpg/a.jpg\n")
        fd = os.open(m / "n/all/jpg/a.jpg", os.O_RDONLY)
        os.close(fd)
        assert s.content() == 3
        with pytest.raises(OSError) as e:
            with open(m / ".vivofs/pin", "w") as f:
                f.write("n/all/jpg/nobody\n")
        assert e.value.errno == errno.EINVAL


def test_resources_of_xnat_are_in_their_scan(folder):
    with ArchiveServer("xnat", folder) as s, Mount({"x": s.source}) as m:
        shown = tree(m / "x")
        others = sorted(p for p in shown if not is_object(p))
        assert len(others) == 2 * 8 and all(p.count("/") == 5 for p in others)
        scans = {os.path.dirname(p) for p in shown if is_object(p)}
        for p in others:
            scan, resource, name = p.rsplit("/", 2)
            assert scan in scans
            assert {"NIFTI": "scan.nii.gz", "SNAPSHOTS": "t.gif"}[resource] == name
            assert shown[p].startswith(name.encode() + b" of ")
        # Reading headers for a query takes nothing away.
        assert m.files("x/q/SliceThickness>0")
        assert sorted(p for p in tree(m / "x") if not is_object(p)) == others
    with ArchiveServer("xnat", folder) as s, Mount({"x": s.source}, deid="basic") as m:
        assert all(is_object(p) for p in tree(m / "x")) and m.archive("x")["hidden"] == 16


@pytest.mark.parametrize("kind", ["girder", "midas"])
def test_items_that_are_no_objects_lie_in_their_folders(folder, kind):
    with ArchiveServer(kind, folder) as s, Mount({"g": s.source}) as m:
        shown = tree(m / "g")
        others = {p.split("/", 1)[1]: data for p, data in shown.items()
                  if not is_object(p)}
        names = {p.rsplit("/", 1)[1] for p in others}
        assert {"notes.txt", "plain"} <= names, others
        assert all(others[p] == b"hello" for p in others
                   if p.rsplit("/", 1)[1] in ("notes.txt", "plain"))
        assert m.archive("g")["extras"] == len(others)
    with ArchiveServer(kind, folder) as s, Mount({"g": s.source}, deid="basic") as m:
        assert all(is_object(p) for p in tree(m / "g"))


@pytest.mark.parametrize("kind", ["http", "ftp"])
def test_files_of_servers_are_those_of_their_folders(kind, source):
    with Mount({"loc": source}) as m:
        want = extras(m)
    with ArchiveServer(kind, source) as s, Mount({"loc": s.source}) as m:
        if kind == "ftp":       # whose listings tell sizes: before anything is opened
            sizes = {p: os.stat(m / ("loc/" + p)).st_size for p in find(m / "loc")}
            assert len(sizes) > 10 and m.archive("loc")["fetches"] == 0
        shown = tree(m / "loc")
        if kind == "ftp":
            assert sizes == {p: len(data) for p, data in shown.items()}
        missing = {p for p in want if p not in shown}
        # Neither server lists what begins with a dot.
        assert all("hidden_" in p for p in missing)
        assert all(shown[p] == want[p] for p in want if p not in missing)


def test_keys_of_a_bucket_that_are_no_objects(folder):
    with ArchiveServer("s3", folder) as s, Mount({"loc": s.source}) as m:
        got = {p.rsplit("/", 1)[1][:9]: data for p, data in extras(m).items()}
        assert got["empty.dcm"] == b"" and got["README_wa"]
