# SPDX-License-Identifier: Apache-2.0
"""Mounts over DICOMweb: a test server with faults on demand, and a real Orthanc."""
import errno
import os
import time

import pydicom
import pytest

import orthanc
import synthetic
from archiveserver import ArchiveServer
from shelfserver import originals, read
from vivomount import Mount


class Server(ArchiveServer):
    def __init__(self, folder):
        super().__init__("dicomweb", folder)


@pytest.fixture(scope="module")
def shared_server(folder):
    with Server(folder) as s:
        yield s


def test_objects_are_what_the_server_has(server, folder):
    with Mount({"pacs": server.source}) as m:
        files = m.files("pacs")
        assert len(files) == 24
        assert sorted(read(m / "pacs/" + f) for f in files) == originals(folder)


def test_sizes_are_exact_once_open(server):
    with Mount({"pacs": server.source}) as m:
        path = m / "pacs/" + m.files("pacs")[0]
        assert os.stat(path).st_size > 0
        with open(path, "rb") as f:
            assert os.fstat(f.fileno()).st_size == len(f.read())


def test_local_and_remote_have_the_same_names(server, folder):
    with Mount({"a": server.source, "b": folder}) as m:
        assert m.files("a") == m.files("b")


def test_query_over_headers_answers_like_a_local_one(server, folder):
    with Mount({"a": server.source, "b": folder}) as m:
        for expr in ("SliceThickness<1.2", "Modality=MR and InstanceNumber<=2",
                     "PatientName=yamada* and not Modality=CT"):
            names = m.files(f"a/q/{expr}")
            assert names and names == m.files(f"b/q/{expr}"), expr


def test_listing_that_fails_is_eio_and_heals(server):
    server("match=series&fail=500")
    with Mount({"pacs": server.source}, "retries=0", faults=True) as m:
        with pytest.raises(OSError) as e:
            m.files("pacs")
        assert e.value.errno == errno.EIO
        server("fail=0")
        end = time.monotonic() + 20
        while True:
            try:
                assert len(m.files("pacs")) == 24
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.2)


@pytest.mark.parametrize("knobs", ["cut=300", "cut=300&close=1", "wrong_object=1",
                                   "parts=2", "fail=503", "part_length_add=1"])
def test_damaged_object_is_an_error_never_short(server, knobs):
    with Mount({"pacs": server.source}, "retries=0", faults=True) as m:
        path = m / "pacs/" + m.files("pacs")[0]
        server(knobs)
        with pytest.raises(OSError) as e:
            read(path)
        assert e.value.errno in (errno.EIO, errno.EBADMSG)


def test_no_original_is_seen_by_a_reader(server, folder, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    known = []
    for name in os.listdir(folder):
        ds = pydicom.dcmread(os.path.join(folder, name))
        known += [ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID,
                  ds.SOPInstanceUID, "Yamada", "Doe^Jane"]
    known = [k.encode() for k in set(known)]
    with Mount({"pacs": server.source}, f"key={key}", deid="basic") as m:
        files = m.files("pacs")
        assert len(files) == 24
        seen = "\n".join(files).encode()
        seen += b"".join(read(m / "pacs/" + f) for f in files)
        seen += read(m / ".vivofs/status.json") + m.log().encode()
        assert not [k for k in known if k in seen]


@pytest.fixture(scope="module")
def thick(tmp_path_factory):
    """32 objects of 131 kB, each a series."""
    path = str(tmp_path_factory.mktemp("thick"))
    synthetic.make(path, series=8, instances=1, size=256)
    with Server(path) as s:
        yield s, path


def test_query_without_metadata_reads_beginnings_and_says_so(thick):
    server, folder = thick
    server("no_metadata=404")
    expr = "SliceThickness<1.6"
    with Mount({"a": server.source, "b": folder}) as m:
        names = m.files("a/q/" + expr)
        assert len(names) == 12 and names == m.files("b/q/" + expr)
        assert m.archive("a")["bytes"] < 32 * 80_000  # of 32 * 131 kB
    server.reset()


def test_query_without_metadata_keeps_within_headers_max(thick):
    server, _ = thick
    server("no_metadata=501")
    with Mount({"a": server.source}, "headers_max=10", faults=True) as m:
        for expr in ("SliceThickness<1.2", "SliceThickness<1.3"):  # found out, known
            with pytest.raises(OSError) as e:
                os.listdir(m / "a/q/" + expr)
            assert e.value.errno == errno.EIO
            with open(m / ("a/q/" + expr + "/.error")) as f:
                assert "headers_max=10: narrow the query" in f.read()
        with open(m / "a/q/SliceThickness<1.3/.explain") as f:
            assert "a: headers are read one by one" in f.read()
    server.reset()


@pytest.fixture(scope="module")
def real(folder):
    why = orthanc.available()
    if why:
        pytest.skip(why)
    with orthanc.Orthanc() as o:
        o.upload_folder(folder)
        yield o


def test_orthanc_files_are_its_own_with_sizes_unopened(real, folder):
    with Mount({"o": "dicomweb+" + real.dicomweb}) as m:
        files = m.files("o")
        sizes = {f: os.stat(m / "o/" + f).st_size for f in files}
        assert m.archive("o")["fetches"] == 0
        contents = {f: read(m / "o/" + f) for f in files}
        assert sizes == {f: len(c) for f, c in contents.items()}
        assert sorted(contents.values()) == originals(folder)


def test_password_comes_from_netrc(folder, tmp_path):
    why = orthanc.available()
    if why:
        pytest.skip(why)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p4ssw0rd\n")
    netrc.chmod(0o600)
    with orthanc.Orthanc(users={"u": "p4ssw0rd"}) as o:
        o.upload([os.path.join(folder, n) for n in sorted(os.listdir(folder))[:2]])
        with pytest.raises(RuntimeError, match="netrc"):
            Mount({"o": "dicomweb+" + o.dicomweb})
        with Mount({"o": "dicomweb+" + o.dicomweb}, f"netrc={netrc}") as m:
            assert len(m.files("o")) == 2
            assert "p4ssw0rd" not in m.log() + open(m / ".vivofs/config").read()
        netrc.chmod(0o644)
        with pytest.raises(RuntimeError, match="chmod 600"):
            Mount({"o": "dicomweb+" + o.dicomweb}, f"netrc={netrc}")
