# SPDX-License-Identifier: Apache-2.0
"""Mounts over packages of the NIMH Data Archive: subjects and visits of image03, zips as
series, presigned URLs, credentials, de-identification and hostile answers."""
import errno
import json
import os
import re

import pytest

from archiveserver import ArchiveServer
from shelfserver import originals, originals_seen, read, three_conditions
from vivomount import Mount


@pytest.fixture(scope="module")
def shared_server(folder):
    with ArchiveServer("nda", folder) as s:
        yield s


@pytest.fixture(scope="module")
def login(tmp_path_factory):
    path = tmp_path_factory.mktemp("login") / "netrc"
    path.write_text("machine 127.0.0.1 login user password secret\n")
    path.chmod(0o600)
    return f"netrc={path}"


def subjects(m):
    """Beside them lie the tables and other files of the package."""
    names = os.listdir(m / "n/package-1234567")
    return sorted(n for n in names if re.fullmatch("NDAR_INV[0-9]+", n))


def test_subjects_visits_and_zips(server, folder, login, tmp_path):
    with Mount({"n": server.source}, login, home=str(tmp_path)) as m:
        assert os.listdir(m / "n") == ["package-1234567"]
        assert subjects(m) == ["NDAR_INV00000000", "NDAR_INV00000001"]
        studies = os.listdir(m / "n/package-1234567/NDAR_INV00000000")
        assert {s.rsplit("_", 1)[0] for s in studies} == {"20110115_V1", "20110215_V2"}
        # image03 and nothing else was asked for whole.
        assert server.content() == 1
        names = m.files("n")
        assert len(names) == 24 and all(n.count("/") == 4 for n in names)
        assert server.content() == 1 + 4
        assert sorted(read(m / "n/" + n) for n in names) == originals(folder)
        assert server.content() == 1 + 4 + 12  # files that are in no zip
        log = server.log()
        assert not [e for e in log if e["authorization"] and "bucket" in e["path"]]
        assert "s3cret" not in m.log() and "X-Amz" not in m.log()
        assert b"s3cret" not in read(m / ".vivofs/status.json")
    server.reset()
    with Mount({"n": server.source}, "offline", home=str(tmp_path)) as m:
        assert m.files("n") == names
    assert server.log() == []


def test_queries_fetch_no_more_than_they_may(server, login):
    with Mount({"n": server.source}, login + ",headers_max=200", faults=True) as m:
        subject = "n/package-1234567/NDAR_INV00000000"
        assert len(m.files(subject)) == 12
        zips = server.content()
        query = "n/q/SliceThickness<1.1"
        with pytest.raises(OSError) as e:
            os.listdir(m / query)
        assert e.value.errno == errno.EIO
        assert b"headers_max=200: narrow the query" in read(m / query + "/.error")
        # What image03 tells needs no file.
        asked = len(server.log())
        assert m.files(f"{subject}/q/Modality=MR and StudyDate=2012") == []
        assert m.files(f"{subject}/q/Modality=MR and not StudyDate=2012") != []
        assert (server.content(), len(server.log())) == (zips, asked)
        assert m.files(f"{subject}/q/SliceThickness<1.1") != []


def test_a_slow_zip_is_waited_for(server, folder, login, tmp_path):
    with Mount({"n": server.source}, login, home=str(tmp_path)) as m:
        names = [n for n in m.files("n") if "/20110115_V1" in n and "/CT_" in n]
    server.reset()
    server(slow=1700)
    with Mount({"n": server.source}, login + ",timeout=1,retries=0", home=str(tmp_path)) as m:
        assert read(m / "n/" + names[0]) in originals(folder)
        fetched = [e["path"] for e in server.log() if "bucket" in e["path"]]
        assert len(fetched) == len(set(fetched))  # the zip once, and image03


def test_three_conditions_are_as_brute_force(server, login):
    with Mount({"n": server.source}, login) as m:
        got, want = three_conditions(m, "n")
        assert got == want and len(got) == 4


def test_a_frozen_query_mounts_as_it_was(server, login, tmp_path):
    """Of members of zips and of files on their own; what is mounted asks the service for
    the objects as the package does, with the same credentials."""
    query = "n/q/StudyDate=20110115 or SeriesDescription=*"
    with Mount({"n": server.source}, login) as m:
        before = {f: read(m / f"{query}/{f}") for f in m.files(query)}
        assert {"20110115", "20110215"} < {n.split("/")[2].split("_")[0] for n in before}
        text = read(m / f"{query}/.freeze.csv")
    assert len(before) == 24 and b"s3cret" not in text and b"X-Amz" not in text
    (tmp_path / "n.csv").write_bytes(text)
    server.reset()
    with Mount({"n": str(tmp_path / "n.csv")}, login) as m:
        assert m.files("n") == sorted(before)
        assert server.log() == []
        assert {f: read(m / f"n/{f}") for f in m.files("n")} == before
        assert read(m / f"{query}/.freeze.csv") == text
    with Mount({"n": str(tmp_path / "n.csv")}, faults=True) as m:
        with pytest.raises(PermissionError):
            read(m / f"n/{min(before)}")


def test_no_original_is_seen_by_a_reader_of_a_profile(server, folder, login, tmp_path):
    seen, names = originals_seen(server.source, "," + login, folder, {"20110115", "NDAR_INV", "Doe"},
                                 tmp_path)
    assert not seen
    assert len(names) == 24 and len({n.split("/")[1] for n in names}) == 2


@pytest.mark.parametrize("words", ["machine 127.0.0.1 login user password wr0ng\n",
                                   "machine elsewhere login user password secret\n"])
def test_wrong_credentials_are_told(server, tmp_path, words):
    path = tmp_path / "netrc"
    path.write_text(words)
    path.chmod(0o600)
    with pytest.raises(RuntimeError, match="needs the login") as e:
        Mount({"n": server.source}, f"netrc={path}")
    assert "wr0ng" not in str(e.value)


@pytest.mark.parametrize("knobs", [{"wrong": "x"}, {"grow": 7}, {"cut": 100},
                                   {"fail": 403}])
def test_rest_of_the_archive_stays_usable(server, login, knobs):
    with Mount({"n": server.source}, login + ",retries=0", faults=True) as m:
        (first, second) = subjects(m)
        server(match="bucket", **knobs)
        with pytest.raises(OSError) as e:
            m.files("n/package-1234567/" + first)
        assert e.value.errno in (errno.EIO, errno.EBADMSG)
        assert "n: " in m.log() and "s3cret" not in m.log()
        server.reset()
        assert len(m.files("n/package-1234567/" + second)) == 12


@pytest.mark.parametrize("alias", ["../../etc/x.dcm", "/../x.dcm", "\x07\n\x1b[2J.dcm",
                                   "q/by/x.zip", "x" * 3000 + ".dcm"],
                         ids=lambda a: repr(a)[:12])
def test_no_path_leaves_the_tree(server, login, alias):
    server(field="download_alias", value=json.dumps(alias), images=0)
    with Mount({"n": server.source}, login, faults=True) as m:
        for where, dirs, names in os.walk(m / "n"):
            for name in dirs + names:
                assert all(32 < ord(c) < 127 and c != "/" for c in name)
                assert len(name) <= 120 and name not in ("..", ".", "q", "by")
