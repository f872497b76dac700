# SPDX-License-Identifier: Apache-2.0
"""`vivofs login`, `doctor` and `bugreport` (DESIGN A6)."""
import os
import pty
import subprocess
import time

import pytest

from test_dicomweb import Server
from vivomount import BINARY, Mount, environment

PASSWORD = 'p "w\\x\''


def run(home, *argv, text=None, cwd=None):
    return subprocess.run([BINARY, *argv], capture_output=True, text=True, input=text,
                          cwd=cwd, stdin=None if text is not None else subprocess.DEVNULL,
                          env=environment(str(home)))


@pytest.fixture
def locked(folder):
    server = Server(folder)
    server("auth=" + "me:" + "p%20%22w%5Cx'")
    yield server
    server.close()


def test_what_login_keeps_opens_the_archive(locked, tmp_path):
    (tmp_path / "mnt").mkdir()
    got = run(tmp_path, "mount", locked.source, str(tmp_path / "mnt"))
    assert got.returncode == 1 and "vivofs login" in got.stderr
    run(tmp_path, "login", locked.source, text="other\nwrong\n")
    got = run(tmp_path, "login", locked.source, text=f"me\n{PASSWORD}\n")
    assert got.returncode == 0 and PASSWORD not in got.stdout + got.stderr
    kept = tmp_path / "config/vivofs/netrc"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().count("machine ") == 1
    with Mount({"loc": locked.source}, home=str(tmp_path)) as m:
        assert m.files()
        with open(m / ".vivofs/config") as f:
            assert PASSWORD not in f.read()


def test_files_of_options_may_be_named_from_here(locked, tmp_path):
    """A mount in the background works in "/", and reads them again and again."""
    run(tmp_path, "login", locked.source, text=f"me\n{PASSWORD}\n")
    os.rename(tmp_path / "config/vivofs/netrc", tmp_path / "here.netrc")
    (tmp_path / "mnt").mkdir()
    got = run(tmp_path, "mount", "-o", "deid=none,netrc=here.netrc,cache=kept",
              f"loc={locked.source}", "mnt", cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    try:
        here = str(tmp_path / "mnt/loc")
        file = next(os.path.join(at, names[0]) for at, _, names in os.walk(here)
                    if names and names[0].endswith(".dcm"))
        with open(file, "rb") as f:
            assert f.read(132)[128:] == b"DICM"
        assert os.listdir(tmp_path / "kept")
    finally:
        assert run(tmp_path, "umount", str(tmp_path / "mnt")).returncode == 0


def helper(tmp_path, name, text):
    path = tmp_path / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o700)
    return path


def test_a_helper_gives_what_netrc_or_bearer_would(locked, tmp_path):
    run(tmp_path, "login", locked.source, text=f"me\n{PASSWORD}\n")
    os.rename(tmp_path / "config/vivofs/netrc", tmp_path / "store")
    prints = helper(tmp_path, "h", f"echo asked >> {tmp_path}/n; cat $1\n")
    with Mount({"loc": locked.source}, f"helper={prints} {tmp_path}/store",
               home=str(tmp_path)) as m:
        assert m.files()
        with open(m / ".vivofs/config") as f:
            assert PASSWORD not in f.read()
    assert (tmp_path / "n").read_text() == "asked\n"
    locked("auth=bearer:to.k-en")
    with Mount({"loc": locked.source}, "helper=echo to.k-en") as m:
        assert m.files()


@pytest.mark.parametrize("command, words", [
    ("/no/such program", "/no/such: No such file"), ("false", "ended with code 1"),
    ("true", "prints no credentials"), ("yes", "more than credentials"),
    ("sleep 9,timeout=1", "no answer for 1 s"), ("echo x,netrc=/x", "not beside netrc"),
])
def test_a_helper_that_does_not_help_is_told(locked, tmp_path, command, words):
    (tmp_path / "mnt").mkdir()
    got = run(tmp_path, "mount", "-o", f"deid=none,helper={command}", locked.source,
              str(tmp_path / "mnt"))
    assert got.returncode == 1 and words in got.stderr


def test_an_address_of_ipv6_is_kept_as_curl_looks_for_it(tmp_path):
    got = run(tmp_path, "login", "http://[::1]:8042/x/", text="me\nhush\n")
    assert got.returncode == 0 and " ::1." in got.stdout
    assert (tmp_path / "config/vivofs/netrc").read_text().startswith("machine ::1 ")


def test_a_password_is_not_echoed(tmp_path):
    pid, tty = pty.fork()
    if pid == 0:
        os.execve(BINARY, [BINARY, "login", "orthanc"], environment(str(tmp_path)))
    seen = b""
    for prompt, answer in ((b"User at", b"me\n"), (b"Password:", b"hush-1\n")):
        end = time.monotonic() + 30
        while prompt not in seen:
            assert time.monotonic() < end
            seen += os.read(tty, 1000)
        time.sleep(0.05)  # the prompt is there, and then the terminal is asked
        os.write(tty, answer)
    while True:
        try:
            seen += os.read(tty, 1000)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"hush-1" not in seen and b"Kept in" in seen
    assert 'password "hush-1"' in (tmp_path / "config/vivofs/netrc").read_text()


def test_login_keeps_nothing_of_half_an_answer(tmp_path):
    assert run(tmp_path, "login", "orthanc", text="me\n").returncode == 1
    assert run(tmp_path, "login", "orthanc", text="me\n\n").returncode == 1
    assert run(tmp_path, "login", "local", text="me\npw\n").returncode == 1
    assert run(tmp_path, "login").returncode == 2
    assert not (tmp_path / "config/vivofs/netrc").exists()
    os.makedirs(tmp_path / "config/vivofs")
    open_file = tmp_path / "config/vivofs/netrc"
    open_file.write_text("machine a login b password c\n")
    open_file.chmod(0o644)
    got = run(tmp_path, "login", "orthanc", text="me\npw\n")
    assert got.returncode == 1 and "chmod 600" in got.stderr
    open_file.chmod(0o600)
    assert run(tmp_path, "login", "orthanc", text="me\npw\n").returncode == 0
    assert open_file.read_text().startswith("machine a login b password c\nmachine 127.")


def test_doctor_finds_what_is_wrong(folder, tmp_path):
    got = run(tmp_path, "doctor", folder)
    assert got.returncode == 0 and "BAD" not in got.stdout
    assert "answers as what it is said to be" in got.stdout
    os.makedirs(tmp_path / "config/vivofs")
    key = tmp_path / "config/vivofs/key"
    key.write_bytes(b"k" * 64)
    key.chmod(0o644)
    got = run(tmp_path, "doctor", "dicomweb+http://127.0.0.1:9/dicom-web")
    assert got.returncode == 1
    bad = [l for l in got.stdout.splitlines() if l.startswith("BAD")]
    assert any("mode 644" in l for l in bad) and any("127.0.0.1:9" in l for l in bad)


def test_doctor_keeps_nothing(folder, tmp_path):
    run(tmp_path, "doctor", folder)
    assert os.listdir(tmp_path) == []


def test_a_bug_report_holds_no_secret(folder, tmp_path):
    with Mount({"loc": folder}, deid="basic", home=str(tmp_path)) as m:
        file = m.files()[0]
        run(tmp_path, "login", "orthanc", text="me\nhush-2\n")
        got = run(tmp_path, "bugreport")
        assert f"== {m.path}/.vivofs/status.json" in got.stdout
        with open(tmp_path / "config/vivofs/key", "rb") as f:
            assert f.read().hex() not in got.stdout
        assert "hush-2" not in got.stdout and "PAT000" not in got.stdout
        assert os.path.basename(file) not in got.stdout
