# SPDX-License-Identifier: Apache-2.0
"""The control directory .vivofs (DESIGN A4)."""
import errno
import json
import os
import subprocess

import pytest

from vivomount import Mount


def test_status_counts_what_is_there(mount):
    mount.files()
    s = mount.status()
    assert s["profile"] == "none"
    a = mount.archive("loc")
    assert a["health"] == "ok" and a["instances"] == 24 and a["series"] == 8
    assert a["refused"] == 0 and a["in_flight"] == []
    assert set(s["counters"]) >= {"lookup", "getattr", "open", "read", "readdir",
                                  "readdirplus", "getxattr"}


def test_counters_count(mount):
    before = mount.counters()["open"]
    with open(mount / mount.files()[0], "rb") as f:
        f.read()
    # One for the object, one for status.json itself.
    assert mount.counters()["open"] == before + 2


def test_audit_names_what_was_opened(mount):
    path = mount.files()[3]
    with open(mount / path, "rb") as f:
        size = len(f.read())
    with open(mount / ".vivofs/audit.log") as f:
        last = f.read().splitlines()[-1]
    assert last.endswith(" " + path)
    assert f"uid={os.getuid()} pid={os.getpid()} bytes={size}" in last


def test_copying_status_gives_valid_json(mount, tmp_path):
    copy = tmp_path / "status.json"
    subprocess.run(["cp", mount / ".vivofs/status.json", copy], check=True)
    assert json.loads(copy.read_text())["archives"]


def test_config_conformance_and_log_can_be_read(mount):
    for name in ("config", "conformance.txt", "log"):
        with open(mount / f".vivofs/{name}") as f:
            f.read()
    with open(mount / "README.txt") as f:
        assert "Modality=CT" in f.read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_control_is_the_mounting_users_only(folder, tmp_path):
    with Mount({"loc": folder}, "allow_other") as m:
        os.chmod(m.home, 0o755)
        m.status()  # the kernel knows the names now
        for act in ("ls {}/.vivofs", "cat {}/.vivofs/status.json",
                    "echo loc > {}/.vivofs/refresh", "ln -s Modality=CT {}/q/x",
                    "stat {}/.vivofs/nothing"):
            run = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "sh",
                                  "-c", act.format(m.path)], capture_output=True)
            assert run.returncode != 0, act
        assert os.listdir(m / "q") == []
        ok = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "cat",
                             m / m.files()[0]], capture_output=True)
        assert ok.returncode == 0 and ok.stdout[128:132] == b"DICM"


def test_xattrs_are_off(mount):
    with pytest.raises(OSError) as e:
        os.getxattr(mount / "loc", "user.dicom.Modality")
    assert e.value.errno in (errno.EOPNOTSUPP, errno.ENODATA)


def test_a_second_mount_on_the_same_directory_is_refused(mount, folder):
    from vivomount import BINARY, environment

    run = subprocess.run([BINARY, "mount", "-f", "-o", "deid=none", f"x={folder}", mount.path],
                         capture_output=True, text=True, env=environment(mount.home))
    assert run.returncode != 0 and "mounted" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_missing_mount_point_is_one_clear_line(folder, tmp_path):
    from vivomount import BINARY, environment

    run = subprocess.run([BINARY, "mount", "-f", "-o", "deid=none", f"x={folder}", str(tmp_path / "no")],
                         capture_output=True, text=True, env=environment(str(tmp_path)))
    assert run.returncode != 0 and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP"])
def test_signals_unmount_in_order(folder, signal):
    from vivomount import mounted

    with Mount({"loc": folder}) as m:
        m.files()
        subprocess.run(["kill", f"-{signal}", str(m.proc.pid)], check=True)
        assert m.proc.wait(20) == 0
        assert not mounted(m.path)
