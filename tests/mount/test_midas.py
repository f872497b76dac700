# SPDX-License-Identifier: Apache-2.0
"""Mounts over MIDAS: communities, requests, credentials, de-identification and hostile
answers."""
import errno
import json
import os

import pytest

from archiveserver import ArchiveServer
from shelfserver import originals, originals_seen, read, three_conditions
from vivomount import Mount


@pytest.fixture(scope="module")
def shared_server(folder):
    with ArchiveServer("midas", folder) as s:
        yield s


def test_communities_hold_what_their_folders_hold(server, folder, tmp_path):
    with Mount({"m": server.source}, home=str(tmp_path)) as m:
        names = m.files("m")
        assert len(names) == 24 and all(n.count("/") == 4 for n in names)
        assert {n.split("/")[1] for n in names} == {"PAT0000", "PAT0001"}
        assert server.content() == 0
        assert sorted(read(m / "m/" + n) for n in names) == originals(folder)
        asked = [(e["path"], e["query"], e["range"]) for e in server.log()]
        # Ranges are ignored, so that a file is asked for twice: its header, and all.
        assert len(asked) == len(set(asked))
    server.reset()
    with Mount({"m": server.source}, "offline", home=str(tmp_path)) as m:
        assert m.files("m") == names
    assert server.log() == []


def test_three_conditions_are_as_brute_force(server):
    with Mount({"m": server.source}) as m:
        got, want = three_conditions(m, "m")
        assert got == want and len(got) == 4


def test_no_original_is_seen_by_a_reader_of_a_profile(server, folder, tmp_path):
    seen, names = originals_seen(server.source, "", folder, {"Give", "Subject", "Visit"},
                                 tmp_path)
    assert not seen
    assert len(names) == 24 and len({n.split("/")[1] for n in names}) == 2


def bearer(tmp_path, key):
    path = tmp_path / "login"
    path.write_text("me@example.org:" + key)
    path.chmod(0o600)
    return f"bearer={path}"


def test_members_see_what_guests_do_not_see(server, tmp_path):
    server(private="Give A Scan", links=1)
    with Mount({"m": server.source}) as m:
        assert len(m.files("m")) == 12
    with Mount({"m": server.source}, bearer(tmp_path, "secretapikey")) as m:
        names = m.files("m")
        assert len(names) == 24 and read(m / "m/" + names[0])
        log = server.log()
        tokens = {e["query"].rpartition("authToken=")[2] for e in log
                  if "authToken=" in e["query"]}
        assert len(tokens) == 1 and not any(t in m.log() for t in tokens)
        assert "secretapikey" not in m.log()
        assert not any(e["query"] for e in log if e["path"].startswith("/elsewhere"))


def test_wrong_credentials_are_told(server, tmp_path):
    with pytest.raises(RuntimeError, match="needs a login") as e:
        Mount({"m": server.source}, bearer(tmp_path, "wr0ng"))
    assert "wr0ng" not in str(e.value)
    server(mfa=1)
    with pytest.raises(RuntimeError, match="second factor.*account without one") as e:
        Mount({"m": server.source}, bearer(tmp_path, "secretapikey"))
    assert "secretapikey" not in str(e.value)


@pytest.mark.parametrize("knobs", [{"html": 1}, {"empty_body": 1}, {"json": "[null]"},
                                   {"json": '{"folders": [{}]}'}, {"code": -100}])
def test_rest_of_the_archive_stays_usable(server, knobs):
    with Mount({"m": server.source}, "retries=0", faults=True) as m:
        tops = os.listdir(m / "m")
        server(method="folder.children", **knobs)
        (first,) = [t for t in tops if t.startswith("Give")]
        with pytest.raises(OSError) as e:
            os.listdir(m / "m/" + first)
        assert e.value.errno in (errno.EIO, errno.EBADMSG)
        assert "m: " in m.log() and "what a folder holds" in m.log()
        assert "Doe" not in m.log()
        server.reset()
        (other,) = [t for t in tops if t.startswith("Lungs")]
        assert len(m.files("m/" + other)) == 12


@pytest.mark.parametrize("name", ["../../etc", "\x07\n\x1b[2J", "q", "long", None])
def test_no_name_leaves_the_tree(server, name):
    if name == "long":
        server(pad=10_000_000)
    else:
        server(field="name", value=json.dumps(name))
    with Mount({"m": server.source}) as m:
        tops = [t for t in os.listdir(m / "m") if t not in ("q", "by")]
        assert len(tops) == 3 and all(len(t) <= 120 for t in tops)
        assert all(32 < ord(c) < 127 and c != "/" for t in tops for c in t)
        if name != "long":  # 20 MB in each answer take their time
            assert len(m.files("m")) == 24
