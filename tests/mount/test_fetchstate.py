# SPDX-License-Identifier: Apache-2.0
"""FetchState: what is here is told as of the moment of asking, in listings, look-ups,
counts, exports and facets, and never from what was known before."""
import errno
import os
import subprocess
import sys
import time

import pytest

from vivomount import BINARY, Mount, environment

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")


@pytest.fixture(scope="module")
def url():
    server = subprocess.Popen([sys.executable, SERVER, "--make", "2,1,2,4"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield "dicomweb+" + server.stdout.readline().strip()
    server.stdin.close()
    server.wait(30)


@pytest.fixture
def remote(url):
    # The third in order would bring the rest of its series; two are opened at most.
    with Mount({"pacs": url}) as m:
        yield m


def read(path):
    with open(path, "rb") as f:
        return f.read()


def count(m, query):
    return dict(l.split() for l in read(m / f"pacs/q/{query}/.count").decode().splitlines())


def pin(m, rel, verb="pin"):
    with open(m / f".vivofs/{verb}", "w") as f:
        f.write(str(m / rel))


def wait_for(condition):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_what_was_never_listed_is_not_pinned_in_part(remote):
    """Two patients with two series each, none of them entered: a pin would keep nothing."""
    patient = "pacs/all/" + sorted(os.listdir(remote / "pacs/all"))[0]
    for rel in ["pacs", "pacs/all", patient, patient + "\0x"]:
        with pytest.raises(OSError) as e:
            pin(remote, rel)
        assert e.value.errno == errno.EINVAL, rel
    with open(remote / ".vivofs/log") as f:
        assert "list it first" in f.read()
    files = remote.files(patient)
    pin(remote, patient)
    wait_for(lambda: len(remote.files("pacs/q/FetchState=pinned")) == len(files) == 8)
    pin(remote, "pacs/all", "unpin")


def test_never_listed_all_is_remote_and_no_header_is_asked(remote):
    assert count(remote, "FetchState=remote")["instances"] == "16"
    assert count(remote, "FetchState in (cached,pinned)")["instances"] == "0"
    assert remote.files("pacs/q/FetchState=cached") == []
    assert "FetchState: the cache" in read(
        remote / "pacs/q/FetchState=remote/.explain").decode()


def test_every_answer_is_of_the_moment(remote):
    files = remote.files("pacs")
    where = os.path.dirname(files[0])
    gone = remote / f"pacs/q/FetchState=remote/{files[0]}"
    assert os.path.exists(gone)
    read(remote / f"pacs/{files[0]}")
    assert remote.files("pacs/q/FetchState=cached") == files[:1]
    assert not os.path.exists(gone)
    assert len(os.listdir(remote / f"pacs/q/FetchState=remote/{where}")) == 3
    assert remote.files("pacs/q/FetchState=remote") == files[1:]
    for query, n in (("FetchState=remote", "15"), ("not FetchState=remote", "1"),
                     ("FetchState!=cached", "15"), ("series(FetchState=cached)", "4"),
                     ("missing FetchState", "0"), ("Modality=CT and FetchState=c*", "1"),
                     ("InstanceCount=4 and not series(FetchState=cached)", "12")):
        assert count(remote, query)["instances"] == n, query
    paths = read(remote / "pacs/q/FetchState=cached/.paths.txt").decode().split()
    assert paths == ["pacs/" + files[0]]
    read(remote / f"pacs/{files[5]}")
    paths = read(remote / "pacs/q/FetchState=cached/.paths.txt").decode().split()
    assert paths == ["pacs/" + files[0], "pacs/" + files[5]]
    assert count(remote, "FetchState=cached")["instances"] == "2"
    pin(remote, "pacs/" + files[0], "forget")
    assert remote.files("pacs/q/FetchState=cached") == [files[5]]


def test_pinned_is_a_state_of_its_own(remote):
    files = remote.files("pacs")
    pin(remote, "pacs/" + files[0])
    wait_for(lambda: remote.files("pacs/q/FetchState=pinned") == files[:1])
    assert remote.files("pacs/q/FetchState=cached") == []
    pin(remote, "pacs/" + files[0], "unpin")
    assert remote.files("pacs/q/FetchState=cached") == files[:1]


def test_what_another_mount_brings_is_seen(url, tmp_path):
    with Mount({"pacs": url}, home=str(tmp_path)) as a, \
            Mount({"pacs": url}, home=str(tmp_path)) as b:
        files = a.files("pacs")
        assert a.files("pacs/q/FetchState=cached") == []
        read(b / f"pacs/{files[0]}")
        wait_for(lambda: a.files("pacs/q/FetchState=cached") == files[:1])


def test_facets_of_it_nest(remote):
    files = remote.files("pacs")
    read(remote / f"pacs/{files[0]}")
    assert os.listdir(remote / "pacs/by/FetchState") == ["cached", "remote"]
    assert os.listdir(remote / "pacs/by/fetchstate/remote/by/FetchState") == ["remote"]
    assert remote.files("pacs/by/FetchState/cached") == files[:1]
    assert "instances 15" in read(remote / "pacs/by/FetchState/remote/.count").decode()
    assert len(os.listdir(remote / "pacs/by/FetchState/cached/by/Modality")) == 1
    assert os.listdir(remote / "pacs/by/Plane") == ["_missing"]


def test_under_deidentification_as_well(url):
    with Mount({"pacs": url}, deid="basic") as m:
        files = m.files("pacs")
        read(m / f"pacs/{files[0]}")
        assert m.files("pacs/q/FetchState=cached") == files[:1]


def test_the_command_knows_what_mounts_have_fetched(url, tmp_path):
    with Mount({"pacs": url}, home=str(tmp_path)) as m:
        files = m.files("pacs")
        read(m / f"pacs/{files[2]}")
    run = subprocess.run([BINARY, "query", "-o", "deid=none", "FetchState=cached",
                          f"pacs={url}"], env=environment(str(tmp_path)),
                         capture_output=True, text=True)
    assert run.stdout.split() == ["pacs/" + files[2]], run.stderr


def test_a_folder_is_always_here(folder):
    with Mount({"loc": folder}) as m:
        assert m.files("loc/q/FetchState=cached") == m.files("loc")
        assert m.files("loc/q/FetchState=remote") == []
        assert os.listdir(m / "loc/by/FetchState") == ["cached"]
