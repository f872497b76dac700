# SPDX-License-Identifier: Apache-2.0
"""Mounts over Girder: collections, requests, credentials, de-identification and hostile
answers."""
import errno
import json
import os

import pytest

from archiveserver import ArchiveServer
from shelfserver import originals, originals_seen, read, three_conditions
from vivomount import Mount

KEY = "K" * 40


@pytest.fixture(scope="module")
def shared_server(folder):
    with ArchiveServer("girder", folder) as s:
        yield s


def test_collections_hold_what_their_folders_hold(server, folder):
    with Mount({"g": server.source}) as m:
        assert os.listdir(m / "g")[0] and server.content() == 0
        names = m.files("g")
        assert len(names) == 24 and all(n.count("/") == 4 for n in names)
        assert {n.split("/")[1] for n in names} == {"PAT0000", "PAT0001"}
        tops = {n.split("/")[0] for n in names}
        assert "Brains" in tops and len(tops) == 2
        assert server.content() == 0
        assert sorted(read(m / "g/" + n) for n in names) == originals(folder)


def test_three_conditions_are_as_brute_force(server):
    with Mount({"g": server.source}) as m:
        got, want = three_conditions(m, "g")
        assert got == want and len(got) == 4


def test_walking_asks_once_for_each_thing_and_remounting_nothing(server, tmp_path):
    with Mount({"g": server.source}, home=str(tmp_path)) as m:
        names = m.files("g")
        asked = [(e["path"], e["query"], e["range"]) for e in server.log()]
        assert len(asked) == len(set(asked))
        assert sum("/download" in path for path, _, _ in asked) == 24 + 2
    server.reset()
    with Mount({"g": server.source}, "offline", home=str(tmp_path)) as m:
        assert m.files("g") == names
    assert server.log() == []


def test_no_original_is_seen_by_a_reader_of_a_profile(server, folder, tmp_path):
    seen, names = originals_seen(server.source, "", folder, {"Brains", "Subject", "Visit"},
                                 tmp_path)
    assert not seen
    assert len(names) == 24 and len({n.split("/")[1] for n in names}) == 2


def netrc(tmp_path, password):
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login user password {password}\n")
    path.chmod(0o600)
    return f"netrc={path}"


def test_a_login_shows_what_guests_do_not_see(server, tmp_path):
    server(private="Brains", presigned=1)
    with Mount({"g": server.source}) as m:
        assert len(m.files("g")) == 12
    with Mount({"g": server.source}, netrc(tmp_path, "secret")) as m:
        names = m.files("g")
        assert len(names) == 24 and read(m / "g/" + names[0])
        assert "s3cret" not in m.log() and "X-Amz" not in m.log()
        log = server.log()
    told = [e for e in log if e["authorization"]]
    assert told and {e["path"] for e in told} == {"/api/v1/user/authentication"}
    assert all(e["token"] is None for e in log if e["path"].startswith("/elsewhere"))


def test_wrong_credentials_are_told(server, tmp_path):
    with pytest.raises(RuntimeError, match="needs a login") as e:
        Mount({"g": server.source}, netrc(tmp_path, "wr0ng"))
    assert "wr0ng" not in str(e.value)


def test_a_second_factor_is_told_and_keys_want_none(server, tmp_path):
    server(otp=1, private="Brains")
    with pytest.raises(RuntimeError, match="second factor.*make an API key.*bearer=FILE") as e:
        Mount({"g": server.source}, netrc(tmp_path, "secret"))
    assert "secret" not in str(e.value)
    # With a wrong password nothing is said of it; guests need no code.
    with pytest.raises(RuntimeError, match="needs a login"):
        Mount({"g": server.source}, netrc(tmp_path, "wr0ng"))
    with Mount({"g": server.source}) as m:
        assert len(m.files("g")) == 12
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    with Mount({"g": server.source}, f"bearer={key}") as m:
        assert len(m.files("g")) == 24


@pytest.mark.parametrize("knobs", [{"html": 1}, {"empty_body": 1}, {"json": "[null]"},
                                   {"json": '[{"_id": 7}]'}, {"fail": 503}])
def test_rest_of_the_archive_stays_usable(server, knobs):
    with Mount({"g": server.source}, "retries=0", faults=True) as m:
        server(match="item", **knobs)
        tops = os.listdir(m / "g")
        with pytest.raises(OSError) as e:
            os.listdir(m / "g/Brains")
        assert e.value.errno in (errno.EIO, errno.EBADMSG)
        assert "g: " in m.log() and "items of a folder" in m.log()
        server.reset()
        (other,) = [t for t in tops if t.startswith("Lungs")]
        assert len(m.files("g/" + other)) == 12


@pytest.mark.parametrize("name", ["../../etc", "..", "\x07\n\x1b[2J", "q", "", "x" * 3000,
                                  None, {"a": 1}], ids=lambda n: repr(n)[:12])
def test_no_name_leaves_the_tree(server, name):
    server(field="name", value=json.dumps(name))
    with Mount({"g": server.source}) as m:
        tops = [t for t in os.listdir(m / "g") if t not in ("q", "by")]
        assert len(tops) == 3 and all(len(t) <= 120 for t in tops)
        assert all(32 < ord(c) < 127 and c != "/" for t in tops for c in t)
        assert len(m.files("g")) == 24


def test_texts_of_ten_megabytes_are_borne(server):
    server(match="collection", pad=10_000_000)
    with Mount({"g": server.source}) as m:
        names = m.files("g")
        assert len(names) == 24 and all(len(n) < 500 for n in names)
