# SPDX-License-Identifier: Apache-2.0
"""`vivofs fetch` and `vivofs cache`, beside a mount over an archive that counts."""
import glob
import os
import re
import subprocess

import pytest

from test_dicomweb import Server
from vivomount import BINARY, Mount, environment


@pytest.fixture
def remote(folder):
    server = Server(folder)
    with Mount({"loc": server.source}, "xattr") as m:
        yield m, server
    server.close()


def run(m, *argv):
    return subprocess.run([BINARY, *argv], capture_output=True, text=True,
                          env=environment(m.home))


def cache(m, *argv):
    return run(m, "cache", *argv)


def number(text, word):
    return int(re.search(rf"^{word} +(\d+)$", text, re.M)[1])


def test_fetch_brings_each_object_once(remote):
    m, server = remote
    files = m.files()
    got = run(m, "fetch", "-j", "4", m / "loc")
    assert (got.returncode, got.stdout) == (0, "")
    assert f"{len(files)} files read" in got.stderr and "\r" not in got.stderr
    assert int(server.get("/__count")) == len(files)
    run(m, "fetch", m / "loc")
    assert int(server.get("/__count")) == len(files)
    assert number(cache(m).stdout, "objects") == len(files)


def test_fetch_of_a_query_brings_what_it_selects(remote):
    m, server = remote
    wanted = m.files("loc/q/Modality=MR")
    assert run(m, "fetch", m / "loc/q/Modality=MR").returncode == 0
    assert int(server.get("/__count")) == len(wanted) > 0


def test_fetch_tells_what_failed(remote, tmp_path):
    m, server = remote
    m.files()
    (tmp_path / "unreadable").symlink_to("nowhere")
    got = run(m, "fetch", m / "loc/nowhere", m / "loc/all")
    assert got.returncode == 1
    assert "loc/nowhere: No such file or directory" in got.stderr
    got = run(m, "fetch", str(tmp_path))
    assert got.returncode == 1 and "not below a mount" in got.stderr
    assert run(m, "fetch").returncode == 2
    assert run(m, "fetch", "-j", "many", m.path).returncode == 2


def objects(m):
    return sorted(glob.glob(os.path.join(m.home, "cache/vivofs/objects/*/*")))


def test_verify_finds_what_is_torn_and_it_is_fetched_again(remote):
    m, server = remote
    run(m, "fetch", m / "loc")
    kept = objects(m)
    assert cache(m, "verify").stdout.startswith(f"{len(kept)} objects, ")
    with open(kept[0], "r+b") as f:
        f.seek(1000)
        f.write(b"damage")
    got = cache(m, "verify")
    assert got.returncode == 1 and ", 1 damaged, 0 unreadable" in got.stdout
    assert kept[0] not in objects(m)
    got = cache(m, "verify")
    assert got.returncode == 0 and f"{len(kept) - 1} objects" in got.stdout


def test_trim_leaves_what_is_pinned_and_clear_nothing(remote):
    m, server = remote
    run(m, "fetch", m / "loc")
    with open(m / ".vivofs/pin", "w") as f:
        f.write("loc/" + m.files("loc")[0])
    got = cache(m, "--keep", "1k", "trim")
    assert number(got.stdout, "objects") == 1 == len(objects(m))
    assert number(cache(m, "clear").stdout, "objects") == 0
    assert objects(m) == []
    with open(m / m.files()[0], "rb") as f:
        assert f.read()[128:132] == b"DICM"


def test_what_is_not_understood_is_named(remote, tmp_path):
    m, _ = remote
    assert "'tidy'" in cache(m, "tidy").stderr
    got = cache(m, "--cache", str(tmp_path / "none"))
    assert got.returncode == 1 and not (tmp_path / "none").exists()
    assert cache(m, "--keep", "lots", "trim").returncode == 1
