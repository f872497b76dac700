# SPDX-License-Identifier: Apache-2.0
"""What survives a daemon that dies, a remount and a folder that changes, while nobody
looks and while somebody reads (DESIGN A1, C1, C6, D4)."""
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess

import pydicom
import pytest

import synthetic
from vivomount import Mount, mounted
from webserver import wait_for

SMALL = os.path.join(os.path.dirname(synthetic.__file__), "make_small.py")


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def shown(m):
    return {f: sha(m / f) for f in m.files()}


def kill(m):
    """As the kernel would under memory pressure; the mount point is then dead."""
    os.killpg(m.proc.pid, signal.SIGKILL)
    m.proc.wait()
    if mounted(m.path):
        subprocess.run(["fusermount3", "-uz", m.path], check=True)
    os.rmdir(m.path)


MANY = 8000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """So many objects that a first index can be caught at work."""
    folder = str(tmp_path_factory.mktemp("many"))
    subprocess.run(["/usr/bin/python3", SMALL, folder, str(MANY)], check=True,
                   stderr=subprocess.DEVNULL)
    return folder


# ---- death


class Unready(Mount):
    """Does not wait until the mount answers."""

    def wait_ready(self):
        pass


def kill_at_first_commit(source, home):
    os.mkdir(home)
    m = Unready({"loc": source}, home=str(home))
    try:
        wait_for(lambda: any(p.stat().st_size for p in home.rglob("*.db-wal")))
    finally:
        kill(m)


def kill_at(source, home, least):
    """Returns how many files had been seen, and read by this daemon."""
    m = Mount({"loc": source}, home=str(home))
    try:
        return wait_for(lambda: seen(m, least)), reads(m)
    finally:
        kill(m)


def test_a_kill_during_the_first_index_costs_nothing(many, tmp_path):
    for n in range(20):  # until it was in time
        home = tmp_path / str(n)
        kill_at_first_commit(many, home)
        second = kill_at(many, home, 2500)
        if second[1]:
            break
    assert second[1], "never killed before the index was complete"
    print("killed at the first commit, after", second, kill_at(many, home, 5500))
    with Mount({"loc": many}, home=str(home)) as m, Mount({"loc": many}) as other:
        assert m.files() == other.files() and len(m.files()) == MANY
        assert m.archive("loc")["instances"] == MANY
        picked = m.files()[::797]
        assert {f: sha(m / f) for f in picked} == {f: sha(other / f) for f in picked}


def seen(m, least):
    """How many files the index has seen, once it is so many or it is done."""
    archive = m.archive("loc")
    n = MANY if archive["last_check"] else archive["progress"]["seen"]
    return n if n >= least else None


def test_a_kill_after_the_index_keeps_it(folder, tmp_path):
    home = str(tmp_path)
    m = Mount({"loc": folder}, home=home, deid="basic")
    try:
        before = shown(m)
    finally:
        kill(m)
    with Mount({"loc": folder}, home=home, deid="basic") as m:
        assert shown(m) == before and len(before) == 24


def test_a_dead_mount_point_is_told_and_can_be_taken_away(folder, tmp_path):
    from vivomount import BINARY, environment

    env = environment(str(tmp_path))
    m = Mount({"loc": folder}, home=str(tmp_path))
    try:
        os.stat(m.path)  # the kernel answers this one also when nobody else does
        os.killpg(m.proc.pid, signal.SIGKILL)
        m.proc.wait()
        again = [BINARY, "mount", "-f", "-o", "deid=none", folder, m.path]
        run = subprocess.run(again, capture_output=True, text=True, env=env)
        assert run.returncode == 1 and "umount" in run.stderr
        assert len(run.stderr.splitlines()) == 1
        subprocess.run([BINARY, "umount", m.path], check=True, env=env)
        assert not mounted(m.path)
    finally:
        m.close()


# ---- a remount does not read again


def reads(m):
    """Files that the daemon has opened in the source, by its own count."""
    return m.archive("loc")["requests"]


def test_a_remount_reads_no_file(many, tmp_path):
    home = str(tmp_path)
    with Mount({"loc": many}, home=home) as m:
        names = m.files()
        assert reads(m) >= MANY
    with Mount({"loc": many}, home=home) as m:
        wait_for(lambda: m.archive("loc")["last_check"])
        assert m.files() == names
        assert reads(m) == 0
        assert len(m.files("loc/q/Rows=8")) == MANY
        assert reads(m) == 0
        sha(m / names[0])
        status = m.archive("loc")
        assert status["instances"] == MANY and status["hidden"] == 0


def test_what_was_indexed_gets_its_columns_before_the_mount_is_gone(folder, tmp_path):
    with Mount({"loc": folder}, home=str(tmp_path)) as m:
        assert m.files()
    [db] = tmp_path.glob("cache/vivofs/catalog/*.db")
    with sqlite3.connect(db) as c:
        series = c.execute("SELECT count(*) FROM series WHERE members > 1").fetchone()
        packed = c.execute("SELECT count(*) FROM series WHERE packed & 1").fetchone()
    assert series == packed and packed[0] > 0


def test_a_remount_shows_what_was_indexed_before_it_looks(folder, tmp_path):
    """The folder has become unreadable: what is known is listed, reads fail."""
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    home = tmp_path / "home"
    home.mkdir()
    with Mount({"loc": str(source)}, home=str(home)) as m:
        names = m.files()
    with Mount({"loc": str(source)}, "offline", home=str(home), faults=True) as m:
        os.rename(source, tmp_path / "away")
        assert m.files() == names
    os.rename(tmp_path / "away", source)
    with Mount({"loc": str(source)}, home=str(home)) as m:
        assert m.files() == names


# ---- the folder changes


@pytest.fixture
def living(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=2, instances=3)
    return source


def put(folder, name, number, seed="new"):
    ds = synthetic.instance(seed, 3, 0, 0, number)
    path = os.path.join(folder, name)
    pydicom.dcmwrite(path + ".part", ds, write_like_original=False)
    os.rename(path + ".part", path)
    return sha(path)


def sums(m):
    """Sums of what is shown; a file that goes between is looked at again."""
    try:
        return sorted(shown(m).values())
    except OSError:
        return None


def truth(source):
    return sorted(sha(os.path.join(w, n)) for w, _, names in os.walk(source)
                  for n in names if not n.endswith(".part"))


def catches_up(m, source):
    wait_for(lambda: sums(m) == truth(source), what="the tree to follow the folder")


def change_everything(source):
    """Added, in a new folder, removed, renamed, rewritten."""
    put(source, "added.dcm", 1)
    (source / "deep/er").mkdir(parents=True)
    put(source / "deep/er", "added.dcm", 2)
    os.unlink(source / "0-0-0-0.dcm")
    os.rename(source / "0-0-0-1.dcm", source / "renamed")
    ds = pydicom.dcmread(source / "0-0-0-2.dcm")
    ds.SeriesDescription = "Changed"
    ds.save_as(str(source / "0-0-0-2.dcm"), write_like_original=False)


def test_changes_show_while_mounted(living):
    with Mount({"loc": str(living)}) as m:
        assert len(m.files()) == 6
        put(living, "a.dcm", 1)
        catches_up(m, living)
        assert len(m.files()) == 7
        os.unlink(living / "0-0-0-0.dcm")
        catches_up(m, living)
        assert len(m.files()) == 6
        os.rename(living / "0-0-0-1.dcm", living / "other name")
        catches_up(m, living)
        assert len(m.files()) == 6
        (living / "new").mkdir()
        put(living / "new", "b.dcm", 2)
        catches_up(m, living)
        shutil.rmtree(living / "new")
        catches_up(m, living)
        assert len(m.files("loc/q/Modality=MR")) == 3


def test_changes_made_between_mounts_show(living, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with Mount({"loc": str(living)}, home=str(home)) as m:
        assert len(m.files()) == 6
    change_everything(living)
    with Mount({"loc": str(living)}, home=str(home)) as m:
        catches_up(m, living)
        assert len(shown(m)) == 7


def test_the_kernel_forgets_directories_that_changed(living):
    with Mount({"loc": str(living)}) as m:
        for _ in range(3):  # warm: entries, attributes, listings
            subprocess.run(["ls", "-lR", m.path], check=True, capture_output=True)
        gone = next(f for f in m.files() if sha(m / f) == sha(living / "0-0-1-0.dcm"))
        q = "loc/q/SeriesDescription=Changed"
        assert m.files(q) == []
        change_everything(living)
        os.unlink(living / "0-0-1-0.dcm")
        catches_up(m, living)
        assert not os.path.lexists(m / gone)
        assert len(m.files(q)) == 1
        assert "PAT0003" in os.listdir(m / "loc/all")


# ---- the file changes


def rewritten(path, size=64):
    """The same object with other bytes and another length, in place."""
    ds = synthetic.instance("s", 0, 0, 0, 0, size)
    ds.PatientName = "Rewritten^In^Place"
    with open(path, "r+b") as f:
        pydicom.dcmwrite(f, ds, write_like_original=False)
        f.truncate()


@pytest.mark.parametrize("deid", ["none", "basic"])
def test_a_change_in_place_shows_at_the_next_open(tmp_path, deid):
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=1, instances=1, size=32)
    with Mount({"loc": str(source)}, deid=deid) as m:
        [name] = m.files()
        first = sha(m / name)
        assert sha(m / name) == first  # the pages are the kernel's now
        size = os.stat(m / name).st_size
        rewritten(source / "0-0-0-0.dcm")
        second = wait_for(lambda: _settled(m, name, first))
        assert second != first
        assert os.stat(m / name).st_size > size
        ds = pydicom.dcmread(m / name)
        assert ds.Rows == 64 and len(ds.PixelData) == 64 * 64 * 2
        if deid == "none":
            assert second == sha(source / "0-0-0-0.dcm")


def _settled(m, name, former):
    """The new sum; an open that meets the change may fail, but never shows the former."""
    try:
        now = sha(m / name)
    except OSError as e:
        assert e.errno in (errno.EIO, errno.ENOENT)
        return None
    return now if now != former else None


@pytest.fixture(params=["none", "basic"])
def open_file(tmp_path, request):
    """A file of the mount, open, of which only the first page was read."""
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=1, instances=1, size=1024)
    with Mount({"loc": str(source)}, deid=request.param, faults=True) as m:
        path = m / m.files()[0]
        whole = open(path, "rb").read()
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            yield m, fd, whole, source / "0-0-0-0.dcm"
        finally:
            os.close(fd)


def read_on(fd, whole):
    """Every page: bytes of the old version, or EIO. How many of each."""
    good = bad = 0
    for at in range(0, len(whole), 65536):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            data = os.pread(fd, 65536, at)
        except OSError as e:
            assert e.errno == errno.EIO
            bad += 1
            continue
        # What was asked for in full, and of the version that was opened.
        assert data == whole[at:at + 65536]
        good += 1
    return good, bad


def test_a_source_rewritten_while_open_is_eio(open_file):
    m, fd, whole, source = open_file
    assert read_on(fd, whole)[1] == 0
    rewritten(source, 1024)
    good, bad = read_on(fd, whole)
    assert bad >= 30 and good <= 2


def test_a_source_cut_while_open_is_eio(open_file):
    m, fd, whole, source = open_file
    assert read_on(fd, whole)[1] == 0
    os.truncate(source, 300000)
    good, bad = read_on(fd, whole)
    assert bad >= 30 and good <= 2


def test_a_source_removed_while_open_is_read_to_its_end(open_file):
    m, fd, whole, source = open_file
    os.unlink(source)
    good, bad = read_on(fd, whole)
    # Unix semantics where the descriptor lives; never other bytes.
    assert good + bad == (len(whole) + 65535) // 65536


def test_a_source_replaced_while_open_never_mixes(open_file):
    m, fd, whole, source = open_file
    ds = synthetic.instance("s", 0, 0, 0, 0, 1024)
    ds.PatientName = "Replaced"
    pydicom.dcmwrite(str(source) + ".new", ds, write_like_original=False)
    os.rename(str(source) + ".new", source)
    read_on(fd, whole)
    wait_for(lambda: _replaced(m, source))


def _replaced(m, source):
    try:
        [name] = m.files()
        data = open(m / name, "rb").read()
    except (OSError, ValueError):
        return False
    return m.status()["profile"] != "none" or data == open(source, "rb").read()


def test_a_copy_is_never_half_old_half_new(tmp_path):
    """Readers race a writer that rewrites in place: each copy is one version."""
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=1, instances=1, size=256)
    path = source / "0-0-0-0.dcm"
    versions = []
    for n in range(2):
        ds = synthetic.instance("s", 0, 0, 0, 0, 256)
        ds.PixelData = bytes([n + 1]) * len(ds.PixelData)
        ds.SeriesDescription = "Version %d" % n
        out = tmp_path / ("v%d" % n)
        pydicom.dcmwrite(str(out), ds, write_like_original=False)
        versions.append(out.read_bytes())
    with Mount({"loc": str(source)}, faults=True) as m:
        good = 0
        for n in range(60):
            with open(path, "r+b") as f:
                f.write(versions[n % 2])
                f.truncate()
            try:
                [name] = m.files()
                with open(m / name, "rb") as f:
                    data = f.read()
            except OSError as e:
                assert e.errno in (errno.EIO, errno.ENOENT)
                continue
            except ValueError:  # between two versions of the name
                continue
            assert data in versions
            good += 1
        print(good, "of 60 read whole")
        assert good
