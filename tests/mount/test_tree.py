# SPDX-License-Identifier: Apache-2.0
"""The plain tree (DESIGN A1, A2): what is listed, modes, numbers, sizes, times."""
import csv
import errno
import hashlib
import os
import re
import stat
import subprocess
import time

import synthetic
from vivomount import Mount

SAFE = re.compile(r"[A-Za-z0-9_+=@][A-Za-z0-9._+=@-]*\Z")


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_root_lists_readme_q_and_archives(mount):
    assert set(os.listdir(mount.path)) == {"README.txt", ".vivofs", "q", "loc"}


def test_every_object_shows_once_at_constant_depth(mount, folder):
    files = mount.files()
    assert len(files) == 24
    assert all(f.count("/") == 5 for f in files)
    assert all(SAFE.match(part) for f in files for part in f.split("/"))
    source = sorted(sha(os.path.join(folder, f)) for f in os.listdir(folder))
    assert sorted(sha(mount / f) for f in files) == source


def test_q_and_by_are_there_but_not_listed(mount):
    for where in ("loc", "loc/all"):
        assert not {"q", "by"} & set(os.listdir(mount / where))
        assert os.path.isdir(mount / f"{where}/q")
        assert os.path.isdir(mount / f"{where}/by")
        assert os.listdir(mount / f"{where}/q") == []
        assert os.listdir(mount / f"{where}/by") == []


def test_magic_lists_q_and_by(folder):
    with Mount({"loc": folder}, "magic") as m:
        assert {"q", "by"} <= set(os.listdir(m / "loc"))
        assert "Modality" in os.listdir(m / "loc/by")
        assert os.listdir(m / "loc/by/Modality/CT") == ["all"]
        run = subprocess.run(["find", m.path, "-name", "*.dcm"], capture_output=True)
        assert run.returncode == 0 and len(run.stdout.split()) > 48


def test_modes_owner_links(mount):
    assert [mode(mount / d) for d in ("", "loc", "loc/q", "q", ".vivofs")] == [
        0o555, 0o555, 0o755, 0o755, 0o700]
    one = os.stat(mount / mount.files()[0])
    assert stat.S_IMODE(one.st_mode) == 0o444
    assert one.st_uid == os.getuid()
    assert os.stat(mount / "loc/all").st_nlink == 1


def test_sizes_blocks_and_times(mount):
    for f in mount.files():
        st = os.stat(mount / f)
        with open(mount / f, "rb") as data:
            assert st.st_size == len(data.read())
        assert st.st_blocks == (st.st_size + 511) // 512
        assert st.st_mtime == st.st_ctime
    assert os.stat(mount / "loc").st_mtime == 946684800


def test_one_inode_in_all_views(mount):
    f = next(f for f in mount.files("loc") if "_CT_" in f)
    numbers = {os.stat(mount / f"{view}/{f}").st_ino
               for view in ("loc", "loc/q/Modality=CT", "loc/by/Modality/CT")}
    assert len(numbers) == 1


def test_numbers_are_distinct_and_stay(mount):
    first = {f: os.stat(mount / f).st_ino for f in mount.files()}
    assert len(set(first.values())) == len(first)
    listed = {e.name: e.inode() for e in os.scandir(mount / "loc")}
    assert listed["all"] == os.stat(mount / "loc/all").st_ino
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("2")
    assert {f: os.stat(mount / f).st_ino for f in mount.files()} == first


def test_an_old_name_with_the_same_end_resolves(mount):
    series = os.path.dirname(mount.files("loc")[0])
    up, name = os.path.split(series)
    other = "9999_XX_" + name.rsplit("_", 1)[1]
    assert os.listdir(mount / f"loc/{up}/{other}") == os.listdir(mount / f"loc/{series}")
    assert os.listdir(mount / f"loc/{series}")


def test_unknown_names_are_not_there(mount):
    for name in (".git", "loc/.Trash", "loc/all/nobody", "loc/all/.hidden", "other"):
        assert not os.path.lexists(mount / name)


def test_find_twice_is_the_same(mount):
    run = [subprocess.run(["find", mount.path, "-ls"], capture_output=True, check=True)
           for _ in range(2)]
    assert run[0].stdout == run[1].stdout


def test_a_remount_shows_the_same(folder, tmp_path):
    seen = []
    for _ in range(2):
        with Mount({"loc": folder}, home=str(tmp_path)) as m:
            seen.append({f: os.stat(m / f).st_mtime for f in m.files()})
    assert seen[0] == seen[1] and len(seen[0]) == 24


def test_flat_starts_at_the_collections(folder):
    with Mount({"loc": folder}, "flat") as m:
        assert {"all", "q", "README.txt"} <= set(os.listdir(m.path))
        assert len(m.files("all")) == 24
        assert len(m.files("q/Modality=CT")) == 12
        assert os.listdir(m / "by/Modality") == ["CT", "MR"]
        with open(m / "q/Modality=CT/.paths.txt") as f:
            assert sorted(f.read().split()) == [
                "all/" + n for n in m.files("all") if "_CT_" in n]


def test_two_archives_side_by_side(folder, tmp_path):
    synthetic.make(str(tmp_path), seed="other", patients=1, studies=1, series=1)
    with Mount({"a": folder, "b": str(tmp_path)}) as m:
        assert len(m.files("a")) == 24 and len(m.files("b")) == 3
        numbers = {os.stat(m / f).st_ino for f in m.files()}
        assert len(numbers) == 27


def test_warm_listing_asks_for_nothing(mount):
    list(os.scandir(mount / "loc/all"))
    series = os.path.dirname(mount / mount.files()[0])
    subprocess.run(["ls", "-l", series], check=True, capture_output=True)
    before = mount.counters()
    subprocess.run(["ls", "-l", series], check=True, capture_output=True)
    after = mount.counters()
    # Looking at status.json itself costs look-ups of its own names.
    assert after["lookup"] - before["lookup"] <= 3
    assert after["readdirplus"] > before["readdirplus"]


def test_second_read_comes_from_the_page_cache(mount):
    path = mount / mount.files()[0]
    first = sha(path)
    before = mount.counters()["bytes_read"]
    status = os.stat(mount / ".vivofs/status.json").st_size
    assert sha(path) == first
    assert mount.counters()["bytes_read"] - before <= status


def test_a_file_rewritten_in_place_is_a_new_version(tmp_path):
    synthetic.make(str(tmp_path), patients=1, studies=1, series=1, instances=1)
    source = tmp_path / "0-0-0-0.dcm"
    with Mount({"loc": str(tmp_path)}) as m:
        path = m / m.files()[0]
        before = sha(path)
        synthetic.make(str(tmp_path), patients=1, studies=1, series=1, instances=1,
                       size=16)
        assert sha(source) != before
        for _ in range(100):
            try:
                now = sha(path)
            except OSError:
                now = None
            if now == sha(source):
                break
        assert now == sha(source)
        assert os.stat(path).st_size == os.stat(source).st_size


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_what_is_gone_disappears_from_the_kernel_too(tmp_path):
    synthetic.make(str(tmp_path))
    with Mount({"loc": str(tmp_path)}) as m:
        one = next(f for f in m.files() if "/PAT0001/" in f)
        os.stat(m / one)
        for f in tmp_path.glob("1-*.dcm"):
            f.unlink()
        with open(m / ".vivofs/refresh", "w") as f:
            f.write("loc\n")
        # Entries of the plain tree are good for an hour unless the kernel is told.
        until(lambda: not os.path.lexists(m / one))
        until(lambda: not os.path.lexists(m / "loc/all/PAT0001"))
        assert os.listdir(m / "loc/all") == ["PAT0000"]
        assert len(m.files()) == 12


def test_under_de_identification_names_and_bytes_are_as_shown(tmp_path):
    paths = synthetic.make(str(tmp_path))
    with Mount({"loc": str(tmp_path)}, deid="basic") as m:
        files = m.files("loc")
        assert len(files) == 24 and not any("PAT0" in f for f in files)
        for f in files:
            with open(m / f"loc/{f}", "rb") as data:
                got = data.read()
            assert len(got) == os.stat(m / f"loc/{f}").st_size
            assert b"PAT0" not in got and not any(u.encode() in got for u in paths)
        patient = files[0].split("/")[1]
        assert m.files(f"loc/q/PatientID={patient}")
        assert m.files("loc/q/PatientID=PAT0000") == []
        for q in ("StudyDate=2020", "has StudyDate", "AccessionNumber=ACC0000"):
            assert os.listdir(m / f"loc/q/{q}") == [".error"]
        assert os.listdir(m / "q/StudyDate=2020") == [".error"]
        assert os.listdir(m / "loc/by/StudyDate") == [".error"]


def refusable(folder):
    synthetic.make(folder, patients=1, studies=1, series=1, instances=2)
    ds = synthetic.instance("s", 0, 0, 0, 2)
    ds.BurnedInAnnotation = "YES"
    ds.save_as(os.path.join(folder, "burned.dcm"), write_like_original=False)


def test_refused_objects_are_listed_but_do_not_open(tmp_path):
    refusable(str(tmp_path))
    with Mount({"loc": str(tmp_path)}, deid="basic") as m:
        assert len(m.files()) == 3
        opens = {}
        for f in m.files():
            try:
                with open(m / f, "rb") as data:
                    data.read()
                opens[f] = 0
            except OSError as e:
                opens[f] = e.errno
        assert sorted(opens.values()) == [0, 0, errno.EPERM]
        bad = next(f for f in opens if opens[f])
        for where in ("", "loc/", "loc/all/", os.path.dirname(bad) + "/"):
            with open(m / f"{where}.refused.csv", newline="") as f:
                rows = list(csv.reader(f))
            assert rows[1:] == [[bad, "burned-in"]], where
        with open(m / "loc/q/has InstanceNumber/.count") as f:
            assert "instances 2\n" in f.read()
        with open(m / "loc/q/has InstanceNumber/.paths.txt") as f:
            assert bad not in f.read()
        assert m.archive("loc")["refused"] == 1


def test_refused_objects_can_be_hidden(tmp_path):
    refusable(str(tmp_path))
    with Mount({"loc": str(tmp_path)}, "refused=hide", deid="basic") as m:
        assert len(m.files()) == 2
