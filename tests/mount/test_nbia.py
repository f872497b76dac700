# SPDX-License-Identifier: Apache-2.0
"""Mounts over NBIA: the tree of collections, what asks for content and what does not,
and faults."""
import errno
import os
import time

import pydicom
import pytest

import synthetic
from archiveserver import ArchiveServer
from shelfserver import originals, read
from vivomount import Mount


class Server(ArchiveServer):
    def __init__(self, folder):
        super().__init__("nbia", folder)

    def calls(self):
        """[(call, query)] since the last reset."""
        return [(e["path"].rsplit("/", 1)[1], e["query"]) for e in self.log()]


@pytest.fixture(scope="module")
def shared_server(folder):
    with Server(folder) as s:
        yield s


def test_tree_is_collection_patient_study_series_file(server):
    with Mount({"tcia": server.source}) as m:
        collections = os.listdir(m / "tcia")
        assert "DEMO-CT" in collections and len(collections) == 2
        other = next(c for c in collections if c != "DEMO-CT")
        assert other.startswith("Demo-MR-2.0-more_")
        assert os.listdir(m / "tcia/DEMO-CT") == ["LICENSE.txt", "CITATION.txt", "PAT0000"]
        with open(m / "tcia/DEMO-CT/LICENSE.txt") as f:
            assert "Creative Commons" in f.read()
        assert os.listdir(m / "tcia/" + other) == ["LICENSE.txt", "CITATION.txt", "PAT0001"]
        studies = os.listdir(m / "tcia/DEMO-CT/PAT0000")
        assert sorted(s[:-7] for s in studies) == ["20200101_Study-0-of-0",
                                                   "20200102_Study-1-of-0"]
        series = os.listdir(m / "tcia/DEMO-CT/PAT0000/" + studies[0])
        assert sorted(s[:-7] for s in series) == ["0001_CT_Series-0", "0002_MR_Series-1"]
        files = m.files("tcia")
        assert len(files) == 24 and all(f.count("/") == 4 for f in files)


def test_walking_asks_for_no_content_and_once_a_collection(server):
    before = server.content()
    with Mount({"tcia": server.source}) as m:
        files = m.files("tcia")
        assert all(os.stat(m / "tcia/" + f).st_size > 0 for f in files)
        assert server.content() == before
        calls = [name for name, _ in server.calls()]
        assert calls.count("getSeries") == 2
        assert calls.count("getSOPInstanceUIDs") == 8


def test_objects_are_what_the_server_has(server, folder):
    with Mount({"tcia": server.source}) as m:
        files = m.files("tcia")
        assert sorted(read(m / "tcia/" + f) for f in files) == originals(folder)
        before = server.content()
        for f in files:
            read(m / "tcia/" + f)
        assert server.content() == before


def test_names_are_the_same_in_every_version_and_after_a_fetch(server):
    with Mount({"tcia": server.source}) as m:
        names = m.files("tcia")
        for f in names:
            read(m / "tcia/" + f)
        assert m.files("tcia") == names
    server(versions="v1")
    with Mount({"tcia": server.source}) as m:
        assert m.files("tcia") == names


def test_names_are_the_same_when_headers_come_before_the_listing(server):
    query = "loc/q/BitsAllocated>0/.paths.txt"
    with Mount({"loc": server.source}) as m:
        first = read(m / query)
        assert first.count(b"\n") == 24 == len(m.files("loc"))
    with Mount({"loc": server.source}) as m:
        listed = m.files("loc")
        assert ["loc/" + f for f in listed] == first.decode().splitlines()
        assert read(m / query) == first


def test_query_on_columns_is_answered_by_listings(server):
    before = server.content()
    with Mount({"tcia": server.source}) as m:
        ct = m.files("tcia/q/Modality=CT")
        assert len(ct) == 12
        assert all("_CT_" in f for f in ct)
        for expr, n in (("StudyDate=20200202", 6), ("PatientID=PAT0001 and Modality=MR", 6),
                        ("BodyPartExamined=CHEST", 0), ("SeriesNumber>1", 12),
                        ("License=*licenses%2Fby%2F4.0*", 24),
                        ('License="Creative Commons*"', 24), ("License=*by-nc*", 0)):
            assert len(m.files(f"tcia/q/{expr}")) == n, expr
        assert server.content() == before


def test_query_asks_only_for_what_it_selects(server):
    with Mount({"tcia": server.source}) as m:
        assert len(os.listdir(m / "tcia/DEMO-CT/q/Modality=CT")) == 1
        assert "getSOPInstanceUIDs" not in [name for name, _ in server.calls()]


@pytest.mark.parametrize("knobs", [{"match": "getSOP", "fail": 503},
                                   {"sop_drop": 1, "zip_short": 1},
                                   {"match": "getSOP", "html": 1},
                                   {"match": "getSeries", "cut": 30},
                                   {"empty_call": "getSeries"}])
def test_listing_that_fails_is_eio_and_heals(server, knobs):
    server(**knobs)
    with Mount({"tcia": server.source}, "retries=0", faults=True) as m:
        with pytest.raises(OSError) as e:
            m.files("tcia")
        assert e.value.errno == errno.EIO
        server.reset()
        end = time.monotonic() + 20
        while True:
            try:
                assert len(m.files("tcia")) == 24
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.2)


def test_busy_server_is_asked_again(server, folder):
    with Mount({"tcia": server.source}, "retries=2") as m:
        path = m / "tcia/" + m.files("tcia")[0]
        server(match="getSingleImage", fail=503, fail_times=1, retry_after=0)
        assert read(path) in originals(folder)
        path = m / "tcia/" + m.files("tcia")[1]
        server(match="getSingleImage", fail=503, fail_times=1000000)
    with Mount({"tcia": server.source}, "retries=1", faults=True) as m:
        with pytest.raises(OSError) as e:
            read(m / "tcia/" + m.files("tcia")[1])
        assert e.value.errno == errno.EIO


@pytest.mark.parametrize("knobs", [{"cut": 300}, {"cut": 900}, {"wrong_object": 1},
                                   {"kind": "text/html"}, {"close": 1}, {"length": 9},
                                   {"body": "Server was not able to process"},
                                   {"single_500": 1, "zip_short": 1}])
def test_damaged_object_is_an_error_never_short(server, knobs):
    with Mount({"tcia": server.source}, "retries=0", faults=True) as m:
        path = m / "tcia/" + m.files("tcia")[0]
        server(**knobs)
        with pytest.raises(OSError) as e:
            read(path)
        assert e.value.errno in (errno.EIO, errno.EBADMSG)


def test_series_that_is_only_to_be_had_as_a_zip_is_there(server, folder):
    server(empty_call="getSOPInstanceUIDs", single_500=1)
    with Mount({"tcia": server.source}, "retries=0") as m:
        files = m.files("tcia")
        assert len(files) == 24
        sizes = [os.stat(m / "tcia/" + f).st_size for f in files]
        contents = [read(m / "tcia/" + f) for f in files]
        assert sorted(contents) == originals(folder)
        assert sizes == [len(c) for c in contents]


def test_page_for_people_is_explained(server):
    server(html=1)
    with pytest.raises(RuntimeError, match="tcia: getCollectionValues: .*HTML"):
        Mount({"tcia": server.source})


def test_offline_remount_shows_what_is_known(server, folder, tmp_path):
    with Mount({"tcia": server.source}, home=str(tmp_path)) as m:
        names = m.files("tcia")
        contents = {f: read(m / "tcia/" + f) for f in names[:3]}
    server(fail=503)
    with Mount({"tcia": server.source}, "offline", home=str(tmp_path), faults=True) as m:
        assert m.files("tcia") == names
        assert {f: read(m / "tcia/" + f) for f in names[:3]} == contents
        with pytest.raises(OSError) as e:
            read(m / "tcia/" + names[4])
        assert e.value.errno == errno.EIO
    assert not [c for c in server.calls() if c[0] == "getSingleImage"][3:]


def test_no_original_is_seen_by_a_reader_of_a_profile(server, folder, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    known = {"20200101", "Study-0", "Study 0 of 0", "DEMO-CT"}
    for name in os.listdir(folder):
        ds = pydicom.dcmread(os.path.join(folder, name))
        known |= {ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID,
                  ds.SOPInstanceUID}
    with Mount({"tcia": server.source}, f"key={key}", deid="basic") as m:
        files = m.files("tcia")
        assert len(files) == 24
        seen = "\n".join(files).encode() + b"".join(read(m / "tcia/" + f) for f in files)
        seen += read(m / ".vivofs/status.json") + m.log().encode()
        assert not [k for k in known if k.encode() in seen]


# ---- presets


def test_preset_mounts_as_published(server, tmp_path):
    where = tmp_path / "config/vivofs"
    where.mkdir(parents=True)
    (where / "mine.conf").write_text(
        f"source = {server.source}\noptions = deid=none,jobs=2,refresh=86400\n")
    with Mount({"tcia": "mine"}, deid=None, home=str(tmp_path)) as m:
        assert len(m.files("tcia")) == 24
        assert "as published by tcia" in open(m / ".vivofs/conformance.txt").read()


# ---- queries for what no column has


@pytest.mark.parametrize("knobs", [{}, {"single_500": 1}])
def test_what_no_column_has_is_read_from_headers(server, folder, knobs):
    server(**knobs)
    heads = [pydicom.dcmread(os.path.join(folder, n), stop_before_pixels=True)
             for n in os.listdir(folder)]
    want = {h.SOPInstanceUID for h in heads
            if h.Modality == "CT" and h.InstanceNumber == 1}
    assert want
    with Mount({"n": server.source}, "xattr,retries=0") as m:
        query = "n/q/Modality=CT and InstanceNumber=1"
        with open(m / query + "/.explain") as f:
            assert "InstanceNumber: headers" in f.read()
        found = {os.getxattr(m / query + "/" + n, "user.vivofs.uid").decode()
                 for n in m.files(query)}
        assert found == want
        asked = [c for c, _ in server.calls() if c in ("getSingleImage", "getImage")]
        cts = [h for h in heads if h.Modality == "CT"]
        if not knobs:
            assert asked == ["getSingleImage"] * len(cts)
        else:
            # By zips of series, of which two are kept: one may be asked for twice.
            series = len({h.SeriesInstanceUID for h in cts})
            assert series <= asked.count("getImage") <= 2 * series < len(cts)
        m.files(query)
        with open(m / "n/q/Modality=CT and InstanceNumber=2/.count") as f:
            assert f"instances {len(want)}\n" in f.read()
        assert len(asked) == len([c for c, _ in server.calls()
                                  if c in ("getSingleImage", "getImage")])


def test_a_header_of_another_object_is_none(server):
    server(wrong_object=1)
    with Mount({"n": server.source}, faults=True) as m:
        with pytest.raises(OSError) as e:
            os.listdir(m / "n/q/InstanceNumber=1")
        assert e.value.errno == errno.EIO
        with open(m / "n/q/InstanceNumber=1/.error") as f:
            assert "another object" in f.read()


# ---- queries for what the table of v4 has

FLAGSHIP = "Modality=CT and SliceThickness<1.5"


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Three patients with series of thickness 1 to 2.25, and one without any."""
    folder = str(tmp_path_factory.mktemp("ward"))
    synthetic.make(folder, "ward", 3, 2, 6, 2)
    bare = synthetic.instance("bare", 3, 0, 0, 0)
    del bare.SliceThickness
    bare.save_as(os.path.join(folder, "bare.dcm"), write_like_original=False)
    return folder


@pytest.fixture
def thick(ward):
    s = Server(ward)
    yield s
    s.close()


def by_force(folder, test):
    heads = [pydicom.dcmread(os.path.join(folder, n), stop_before_pixels=True)
             for n in os.listdir(folder)]
    return {str(h.SOPInstanceUID) for h in heads if test(h)}


def is_thin(h):
    return h.Modality == "CT" and "SliceThickness" in h and h.SliceThickness < 1.5


def found(m, query):
    return {os.getxattr(m / (query + "/" + n), "user.vivofs.uid").decode()
            for n in m.files(query)}


def counted(server):
    calls = [c for c, _ in server.calls()]
    return {c: calls.count(c) for c in set(calls)}


def test_thickness_is_answered_by_one_table(thick, ward):
    with Mount({"n": thick.source}, "xattr") as m:
        with open(m / ("n/q/" + FLAGSHIP + "/.explain")) as f:
            assert "SliceThickness: columns of the archive" in f.read()
        assert os.listdir(m / ("n/q/" + FLAGSHIP))
        assert counted(thick) == {  # the series without a thickness by its header
            "getCollectionValues": 2, "getModalityValues": 1, "getSeries": 1,
            "getSeriesMetadata": 1, "getSOPInstanceUIDs": 1, "getSingleImage": 1}
        want = by_force(ward, is_thin)
        assert found(m, "n/q/" + FLAGSHIP) == want and len(want) == 12
        assert counted(thick)["getSingleImage"] == 1
        assert found(m, "n/q/Modality=CT and SliceThickness=1.5") == by_force(
            ward, lambda h: h.get("SliceThickness") == 1.5)
        assert counted(thick)["getSeriesMetadata"] == 1
        assert found(m, "n/q/Modality=CT and missing SliceThickness") == by_force(
            ward, lambda h: "SliceThickness" not in h)
        values = os.listdir(m / "n/by/SliceThickness")
        assert {"1.00", "1.25"} <= set(values)


@pytest.mark.parametrize("knobs", [{"versions": "v1"}, {"no_table": 404},
                                   {"table_null": "PatientID"},
                                   {"table_null": "SliceThickness(mm)"}])
def test_thickness_without_a_table_is_read_from_headers(thick, ward, knobs):
    thick(**knobs)
    with Mount({"n": thick.source}, "xattr") as m:
        want = by_force(ward, is_thin)
        assert found(m, "n/q/" + FLAGSHIP) == want
        assert counted(thick)["getSingleImage"] == len(
            by_force(ward, lambda h: h.Modality == "CT"))
        tables = 0 if "versions" in knobs else 1
        assert counted(thick).get("getSeriesMetadata", 0) == tables


@pytest.mark.parametrize("knobs", [{"match": "Metadata", "fail": 503},
                                   {"table": "<html>Log in</html>"},
                                   {"match": "Metadata", "cut": 700},
                                   {"table": "Server was not able to process"}])
def test_table_that_fails_is_eio_and_no_header_is_read(thick, knobs):
    thick(**knobs)
    with Mount({"n": thick.source}, "retries=0", faults=True) as m:
        with pytest.raises(OSError) as e:
            os.listdir(m / ("n/q/" + FLAGSHIP))
        assert e.value.errno == errno.EIO
        with open(m / ("n/q/" + FLAGSHIP + "/.error")) as f:
            assert "getSeriesMetadata" in f.read()
        assert "getSingleImage" not in counted(thick)


def test_query_that_needs_too_many_headers_says_so_and_reads_none(thick):
    query = "n/q/Modality=MR and KVP=120"
    with Mount({"n": thick.source}, "headers_max=30", faults=True) as m:
        os.listdir(m / "n/q/Modality=MR")
        with open(m / (query + "/.explain")) as f:
            assert "more than headers_max= allows" in f.read()
        with pytest.raises(OSError) as e:
            os.listdir(m / query)
        assert e.value.errno == errno.EIO
        with open(m / (query + "/.error")) as f:
            assert "the headers of 18 series, at least " in f.read()
        assert "getSingleImage" not in counted(thick)
        os.listdir(m / "n/q/PatientID=PAT0000 and Modality=MR and KVP=120")
        assert counted(thick)["getSingleImage"] == 12


def test_columns_are_shown_as_the_profile_has_them(thick, tmp_path):
    with Mount({"n": thick.source}, deid="basic") as m:
        assert m.files("n/q/PatientName=Doe*") == []
        shown = [p for c in os.listdir(m / "n") for p in os.listdir(m / ("n/" + c))
                 if not p.endswith(".txt")]
        sizes = sorted(len(m.files(f"n/q/PatientName={p}")) for p in shown)
        assert sizes == [1, 24, 24, 24]
        assert len(m.files("n/q/" + FLAGSHIP)) == 12
        assert counted(thick)["getSingleImage"] == 1  # of what has no thickness
