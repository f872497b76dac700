# SPDX-License-Identifier: Apache-2.0
"""Every write gets EROFS, but for saved queries in a q/ (DESIGN A1, A5)."""
import contextlib
import errno
import os
import subprocess
import time

import pytest

import synthetic
from vivomount import Mount

QS = ["q", "loc/q", "loc/all/q"]


def refused(fn, *args):
    with pytest.raises(OSError) as e:
        fn(*args)
    return errno.errorcode[e.value.errno]


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND,
                                   os.O_RDWR | os.O_TRUNC])
def test_opening_to_write_is_refused(mount, flags):
    assert refused(os.open, mount / mount.files()[0], flags) == "EROFS"


def test_changing_a_file_is_refused(mount):
    path = mount / mount.files()[0]
    for fn, *args in [(os.truncate, 0), (os.unlink,), (os.chmod, 0o777),
                      (os.chown, 1, 1), (os.utime, (1, 1))]:
        assert refused(fn, path, *args) == "EROFS"
    assert refused(os.rename, path, path + "x") == "EROFS"
    assert refused(os.link, path, path + "x") == "EROFS"


@pytest.mark.parametrize("where", ["", "loc", "loc/all"])
def test_making_anything_is_refused(mount, where):
    new = mount / os.path.join(where, "new")
    assert refused(os.mkdir, new) == "EROFS"
    assert refused(os.symlink, "x", new) == "EROFS"
    assert refused(os.mkfifo, new) == "EROFS"
    assert refused(os.open, new, os.O_CREAT | os.O_WRONLY) == "EROFS"
    assert refused(os.chmod, mount / where, 0o777) == "EROFS"


def test_access_tells_what_may_be_done(mount):
    """os.access hides the errno: X_OK of a file is not granted, not even to root."""
    path = mount / mount.files()[0]
    assert os.access(path, os.R_OK) and not os.access(path, os.W_OK)
    assert not os.access(path, os.X_OK) and os.access(os.path.dirname(path), os.X_OK)
    for name in [*QS, ".vivofs/pin", ".vivofs/refresh"]:
        assert os.access(mount / name, os.W_OK), name
    for name in ["", "loc", "loc/all", "loc/by", ".vivofs", ".vivofs/log", "README.txt"]:
        assert not os.access(mount / name, os.W_OK), name


@pytest.mark.parametrize("q", QS)
def test_a_query_can_be_saved_replaced_and_removed(mount, q):
    link = mount / f"{q}/mine"
    os.symlink("Modality=CT", link)
    assert os.listdir(mount / q) == ["mine"] and os.readlink(link) == "Modality=CT"
    assert sorted(os.listdir(link)) == sorted(os.listdir(mount / f"{q}/Modality=CT"))
    subprocess.run(["ln", "-sfn", "Modality=MR", link], check=True)
    assert os.listdir(mount / q) == ["mine"] and os.readlink(link) == "Modality=MR"
    assert refused(os.symlink, "Modality=CT", link) == "EEXIST"
    os.unlink(link)
    assert os.listdir(mount / q) == [] and not os.path.lexists(link)


@pytest.mark.parametrize("q", QS)
def test_what_cannot_be_saved_is_refused(mount, q):
    for target, name in [("Modality==", "broken"), ("Modalty=CT", "typo"),
                         ("/etc/passwd", "abs"), ("plain", "word"), ("../x=y", "up")]:
        assert refused(os.symlink, target, mount / f"{q}/{name}") == "EINVAL"
    assert refused(os.symlink, "Modality=CT", mount / f"{q}/Modality=MR") in (
        "EINVAL", "EEXIST")
    # Longer names are looked up, but could not be listed (NAME_MAX).
    assert refused(os.symlink, "Modality=CT", mount / f"{q}/{'x' * 256}") == "ENAMETOOLONG"
    assert refused(os.mkdir, mount / f"{q}/Modality=CT") == "EEXIST"
    assert refused(os.mkdir, mount / f"{q}/plain") == "EROFS"
    assert refused(os.open, mount / f"{q}/new", os.O_CREAT | os.O_WRONLY) == "EROFS"
    assert os.listdir(mount / q) == []


def test_saved_queries_survive_a_remount(folder, tmp_path):
    with Mount({"loc": folder}, home=str(tmp_path)) as m:
        os.symlink("Modality=CT", m / "loc/q/ct")
    with Mount({"loc": folder}, home=str(tmp_path)) as m:
        assert os.listdir(m / "loc/q") == ["ct"] and os.listdir(m / "q") == []
        assert len(m.files("loc/q/ct/")) == 12


def test_refresh_can_be_written_and_shows_new_objects(folder, tmp_path):
    synthetic.make(str(tmp_path), seed="a", patients=1)
    with Mount({"loc": str(tmp_path)}) as m:
        before = len(m.files())
        synthetic.make(str(tmp_path), seed="b", patients=2)
        with open(m / ".vivofs/refresh", "w") as f:
            f.write("loc\n")
        for _ in range(300):
            # The files were overwritten: a study may go between listing it and
            # looking into it, as on any disk.
            with contextlib.suppress(FileNotFoundError):
                if len(m.files()) > before:
                    break
            time.sleep(0.05)
        assert before == 12 and len(m.files()) > before


def test_refresh_of_an_unknown_archive_is_refused(mount):
    with pytest.raises(OSError) as e:
        with open(mount / ".vivofs/refresh", "w") as f:
            f.write("nowhere\n")
    assert e.value.errno == errno.EINVAL
    assert refused(open, mount / ".vivofs/refresh") == "EACCES"


def test_refresh_takes_a_path_of_the_mount(mount):
    for name in ["loc", "loc/all", mount / "loc", mount.path]:
        with open(mount / ".vivofs/refresh", "w") as f:
            f.write(name + "\n")
