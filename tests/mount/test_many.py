# SPDX-License-Identifier: Apache-2.0
"""Queries that archives can be asked for many things at once: the same answers as from one
listing at a time, whatever the server makes of it, for a handful of requests."""
import os
import re

import pytest

import synthetic
from archiveserver import ArchiveServer
from queryrun import paths
from vivomount import Mount

QUERY = "Modality=CT and StudyDate=2019..2021"


@pytest.fixture(scope="module")
def xnat_server(hospital):
    with ArchiveServer("xnat", hospital) as s:
        yield s


@pytest.fixture
def xnat(xnat_server):
    xnat_server.reset()
    yield xnat_server
    xnat_server.reset()


def asked(server, pattern):
    return [e for e in server.log() if re.search(pattern, e["path"])]


def test_xnat_tells_the_scans_of_many_sessions_at_once(xnat, tmp_path):
    there = paths(xnat.source, QUERY, tmp_path / "a")
    log = [e["path"].rsplit("/", 1)[-1] for e in xnat.log()]
    # The session's own table is asked once, to see whether they say the same.
    assert {n: log.count(n) for n in ("projects", "experiments", "scans")} == {
        "projects": 1, "experiments": 2 * 2 + 1, "scans": 1}
    xnat.reset()
    assert paths(xnat.source, QUERY, tmp_path / "b", pushdown=False) == there != []
    assert len(asked(xnat, "/scans$")) > 5 and not asked(xnat, "/data/experiments$")


@pytest.mark.parametrize("knobs", [
    {}, {"resources": 1}, {"refuse_join": 400}, {"refuse_join": 403}, {"refuse_join": 404},
    {"ignore_ids": 1}, {"join_less": 1}, {"numbers": 1}, {"duplicates": 1}, {"same_uid": 1},
    {"no_uid": "sessions,scans"}, {"types": 1}, {"fickle": 1},
    {"silent_columns": "xnat:imageScanData/modality"},
    {"silent_columns": "xnat:imageScanData/extension_item/element_name"},
    {"refuse_columns": 400}, {"match": "data/experiments$", "empty_body": 1},
    {"match": "data/experiments$", "json": "[]"}, {"match": "data/experiments$", "html": 1},
], ids=str)
def test_whatever_xnat_makes_of_it_the_answer_is_right(xnat, tmp_path, knobs):
    xnat(**knobs)
    query = "(Modality=RTSTRUCT or Modality=PT) and not SeriesDescription=*Q*"
    there = paths(xnat.source, query, tmp_path / "a")
    assert there == paths(xnat.source, query, tmp_path / "b", pushdown=False) != []


def test_a_known_query_of_xnat_asks_nothing(xnat, tmp_path):
    with Mount({"x": xnat.source}, home=str(tmp_path)) as m:
        for name in os.listdir(m / "x"):
            assert os.listdir(m / f"x/{name}")
        with open(m / f"x/q/{QUERY}/.explain") as f:
            told = f.read()
        assert "(many in one request)" in told and "requests: at least 1," in told
        found = m.files(f"x/q/{QUERY}")
        xnat.reset()
        assert m.files(f"x/q/{QUERY}") == found != [] and xnat.log() == []
        for name in os.listdir(m / "x"):
            assert m.files(f"x/{name}/q/{QUERY}") == [
                n.split("/", 1)[1] for n in found if n.startswith(name + "/")]
        assert xnat.log() == []


def test_nothing_hidden_is_sent_to_xnat(xnat, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    options = f"deid=basic,key={key}"
    query = "Modality=PT or PatientID=PAT003 or StudyInstanceUID=1.2.3"
    there = paths(xnat.source, query, tmp_path / "a", options=options)
    sent = [e["path"] + e["query"] for e in xnat.log()]
    assert sum("/data/experiments" in s and "ID=XNAT" in s for s in sent) == 1
    assert not [s for s in sent if "PAT" in s or "1.2.3" in s or "PT" in s.split("columns")[0]]
    assert there == paths(xnat.source, query, tmp_path / "b", pushdown=False,
                          options=options) != []


@pytest.mark.parametrize("query,reads", [
    ("Manufacturer=ge* and Modality=CT", False),
    # An empty column says nothing: the files do.
    ("not has StationName", True), ("BodyPartExamined=CHEST or Manufacturer=Philips", True)])
def test_columns_of_xnat_say_what_the_headers_say(xnat, tmp_path, query, reads):
    before = xnat.content()
    there = paths(xnat.source, query, tmp_path / "a")
    assert len(asked(xnat, "/data/experiments$")) == 2  # scans, and then their columns
    assert (xnat.content() > before) == reads
    for i, knobs in enumerate([{"no_scanner": 1}, {"refuse_join": 400},
                               {"silent_columns": "xnat:imageScanData/scanner/manufacturer"}]):
        xnat.reset()
        xnat(**knobs)
        assert paths(xnat.source, query, tmp_path / str(i)) == there != []


@pytest.fixture(scope="module")
def idc(hospital):
    with ArchiveServer("idc", hospital) as s:
        yield s


@pytest.mark.parametrize("query", [
    "Modality=CT and SliceThickness<1.5", "EchoTime>=80 or KVP>100", "Rows=8 and not Units=CNTS",
    "ConvolutionKernel=B* and SliceThickness=1..4", "ScanningSequence=SE and DiffusionBValue>0"])
def test_tables_of_idc_say_what_the_headers_say(idc, tmp_path, query):
    idc.reset()
    there = paths(idc.source, query, tmp_path / "a")
    tables = [e["sql"].split('"')[1] for e in idc.log() if "_index" in e.get("sql", "")]
    assert len(tables) == len(set(tables)) == 3  # a thousand series each
    if query.startswith("Modality=CT"):
        assert not [e for e in idc.log() if e.get("range")]
    for i, knobs in enumerate([{"no_tables": 1}, {"sql_arrays": 1}]):
        idc.reset()
        idc(**knobs)
        assert paths(idc.source, query, tmp_path / str(i)) == there != []
    idc.reset()


def test_b_values_of_idc_decide_only_where_there_are_none(tmp_path):
    """Its list of them leaves out images that have none: one value is not all images'."""
    (tmp_path / "scans").mkdir()
    for s, i in ((1, 0), (1, 1), (3, 0), (3, 1)):
        ds = synthetic.instance("b-values", 0, 0, s, i)
        if (s, i) == (1, 0):
            ds.DiffusionBValue = 1000.0
        ds.save_as(tmp_path / f"scans/{s}{i}.dcm", write_like_original=False)
    with ArchiveServer("idc", str(tmp_path / "scans")) as s:
        found = paths(s.source, "DiffusionBValue>=800", tmp_path / "a")
        read = {e["path"] for e in s.log() if e.get("range")}
        assert len(found) == 1 and len(read) == 2  # nothing of the other series
        assert len(paths(s.source, "missing DiffusionBValue", tmp_path / "a")) == 3
        s(no_tables=1)
        assert paths(s.source, "DiffusionBValue>=800", tmp_path / "b") == found


@pytest.mark.parametrize("knobs", [{"odd_columns": 1}, {"odd_columns": 2}], ids=str)
def test_columns_of_any_type_are_borne(idc, tmp_path, knobs):
    idc.reset()
    with Mount({"i": idc.source}, home=str(tmp_path)) as m:
        for name in os.listdir(m / "i"):
            os.listdir(m / f"i/{name}")
    idc(**knobs)
    query = "Modality=CT and (SliceThickness<1.5 or KVP=120 or not Rows=8 or ConvolutionKernel=B*)"
    there = paths(idc.source, query, tmp_path)
    idc.reset()
    assert there and set(there) <= set(paths(idc.source, "Modality=CT", tmp_path / "b"))


def test_columns_of_a_manifest_answer_without_its_hosts(tmp_path):
    rows = [f"1.2.{i},1.3.{i // 2},1.4,P1,http://127.0.0.1:9/{i}.dcm,9,CT,{i}.5" for i in range(6)]
    (tmp_path / "cohort.csv").write_text("\n".join(
        ["SOPInstanceUID,SeriesInstanceUID,StudyInstanceUID,PatientID,Url,Size,Modality,"
         "SliceThickness"] + rows) + "\n")
    source = str(tmp_path / "cohort.csv")
    assert len(paths(source, "Modality=CT and SliceThickness<3", tmp_path / "a")) == 3
    assert len(paths(source, "series(SliceThickness=0.5)", tmp_path / "a")) == 2
