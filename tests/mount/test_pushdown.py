# SPDX-License-Identifier: Apache-2.0
"""Queries over archives that were never listed: the answer is the same whether the archive
is searched (VIVOFS_PUSHDOWN unset) or only listed (=0), whatever the server makes of what
it is asked; and what is hidden never reaches the wire."""
import errno
import os
import time

import pytest

import orthanc
import synthetic
from archiveserver import ArchiveServer
from dcmqrscp import Dcmqrscp
from queryrun import paths, run
from vivomount import Mount

QUERIES = [
    "Modality=CT and SliceThickness<2", "modality in (pt,seg) and StudyDate=2019..2020",
    "study(Modality=SEG) and not Modality=SEG", "PatientID=pat00? or Modality=RTSTRUCT",
    "patient(Modality=CT) and not patient(Modality=SEG)",
    "patient(Modality=SEG)", "study(Modality=SEG)", "series(Modality=SEG)",
]
ODD = [  # what servers make of keys
    "ignore_keys=1", "minds_case=1", "no_wild=1", "bad_keys=400", "no_search=404",
    "no_search=501", "escapes=raw", "cap=3", "cap=3&cap_warning=0&cap_206=1",
    "empty=204", "order=random&cap=7", "cap=2&ignore_offset=1&match=dicom-web/series$",
]


class Server(ArchiveServer):
    def asked(self):
        """Filters of all requests, as "Keyword=value"."""
        pairs = [p for e in self.log() for p in e["query"].split("&")]
        return {p for p in pairs if p.split("=")[0] not in
                ("limit", "offset", "includefield", "")}


@pytest.fixture(scope="module")
def web(hospital):
    s = Server("dicomweb", hospital)
    yield s
    s.close()


@pytest.fixture
def pacs(web):
    web.reset()
    yield web
    web.reset()


@pytest.fixture(scope="module")
def nbia(hospital):
    s = Server("nbia", hospital)
    yield s
    s.close()


def text(path):
    with open(path) as f:
        return f.read()


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The same from listings alone, by a catalog that learns as it goes."""
    home = tmp_path_factory.mktemp("listed")
    known = {}

    def ask(source, query):
        if (source, query) not in known:
            known[source, query] = paths(source, query, home, pushdown=False)
        return known[source, query]
    return ask


@pytest.mark.parametrize("query", QUERIES)
def test_dicomweb_answers_the_same_searched_or_listed(pacs, listed, tmp_path, query):
    there = paths(pacs.source, query, tmp_path / "a")
    assert any("Modality=" in a for a in pacs.asked())
    assert there == listed(pacs.source, query) != []


@pytest.mark.parametrize("query", QUERIES[1:] + ["Modality=CT and BodyPartExamined=*e*"])
def test_nbia_answers_the_same_searched_or_listed(nbia, listed, tmp_path, query):
    nbia.reset()
    there = paths(nbia.source, query, tmp_path / "a")
    assert any("Modality=" in a for a in nbia.asked())
    assert there == listed(nbia.source, query) != []


def test_orthanc_answers_the_same_searched_or_listed(hospital, tmp_path):
    why = orthanc.available()
    if why:
        pytest.fail(why)
    with orthanc.Orthanc() as o:
        o.upload([os.path.join(hospital, n) for n in os.listdir(hospital)])
        source = "dicomweb+" + o.dicomweb
        for i, query in enumerate(QUERIES[:4]):
            there = paths(source, query, tmp_path / str(i))
            assert there == paths(source, query, tmp_path / "off", pushdown=False) != []


def test_dcmqrscp_answers_the_same_searched_or_listed(tmp_path):
    folder = str(tmp_path / "held")
    os.mkdir(folder)
    synthetic.make(folder, patients=3, studies=2, series=2, instances=1)
    query = "Modality=mr and PatientID=pat0000 or study(PatientID=PAT000? and Modality=CT)"
    with Dcmqrscp(folder) as server:
        there, listed = (paths(server.source, query, tmp_path / str(on), pushdown=on,
                               options="deid=none,rate=1000") for on in (True, False))
    assert there == listed != []


def test_idc_answers_the_same_searched_or_listed(hospital, tmp_path):
    s = Server("idc", hospital)
    source = s.source
    try:
        for i, query in enumerate(["Modality=PT and StudyDate=2019..2020",
                                   "PatientID=pat00? or Modality=RTSTRUCT",
                                   "study(Modality=SEG) and Manufacturer=s*"]):
            there = paths(source, query, tmp_path / str(i))
            assert there != [] and there == paths(source, query, tmp_path / "off",
                                                  pushdown=False)
    finally:
        s.close()


@pytest.mark.parametrize("knobs", ODD)
def test_whatever_a_server_makes_of_keys_the_answer_is_right(pacs, listed, tmp_path,
                                                             knobs):
    query = "(modality=ct or PatientID=PAT00*) and StudyDate>=2019"
    right = listed(pacs.source, query)
    pacs(knobs)
    assert paths(pacs.source, query, tmp_path / "a") == right != []


@pytest.mark.parametrize("knobs", ["minds_case=1", "ignore_keys=Modality",
                                   "ignore_keys=PatientID", "versions=v1"])
def test_whatever_nbia_makes_of_filters_the_answer_is_right(nbia, listed, tmp_path,
                                                            knobs):
    query = "Modality=c* and PatientID in (pat001,PAT003,Pat007)"
    nbia.reset()
    right = listed(nbia.source, query)
    nbia(knobs)
    assert paths(nbia.source, query, tmp_path / "a") == right != []
    nbia.reset()


def test_a_search_asks_less_than_listing(pacs, tmp_path):
    query = "Modality=RTSTRUCT"
    searched = paths(pacs.source, query, tmp_path / "a")
    few = len(pacs.log())
    pacs.reset()
    assert paths(pacs.source, query, tmp_path / "b", pushdown=False) == searched
    assert few < len(pacs.log()) / 2


def test_one_condition_is_asked_once(pacs, tmp_path):
    """However it stands in a query, and in later ones."""
    found = paths(pacs.source, "study(Modality=SEG)", tmp_path)
    assert len(found) > len(paths(pacs.source, "Modality=SEG", tmp_path)) > 0
    assert paths(pacs.source, "Modality=CT and study(Modality=SEG)", tmp_path)
    rows = [e["query"] for e in pacs.log() if e["path"].endswith("dicom-web/series")]
    assert sum("Modality=SEG&" in q for q in rows) == 1, rows
    told = run(pacs.source, "series(Modality=MR) or study(Modality=MR)", tmp_path,
               extra=["--explain"]).stdout
    assert told.count("search: Modality=MR") == 1 and "searches: 1;" in told


def test_a_known_query_asks_nothing(pacs):
    query = "arc/q/Modality=SEG"
    with Mount({"arc": pacs.source}) as m:
        os.listdir(m / "arc")  # waits for the listing that every mount begins with
        found = m.files(query)
        pacs.reset()
        assert m.files(query) == found != []
        told = text(m / (query + "/.explain"))
        assert "requests: 0" in told and "when last asked" in told
        assert pacs.log() == []


def test_a_search_of_patients_lists_their_collections_alone(hospital, tmp_path):
    names = [w for c in "ABCDEFGHIJKL" for w in ("--collection", c)]
    with Server("nbia", hospital, *names) as s:
        found = paths(s.source, "patient(Modality=CR)", tmp_path)
        listed = {e["query"] for e in s.log() if e["query"].startswith("Collection=")}
        assert listed == {"Collection=" + p.split("/")[1] for p in found}
        assert len(listed) == 3


@pytest.mark.parametrize("query", ["Modality=SEG", "Modality=SEG and Rows=8",
                                   "study(Modality=SEG) and not Modality=SEG"])
def test_a_known_query_asks_nothing_after_a_remount(pacs, tmp_path, query):
    with Mount({"arc": pacs.source}, home=str(tmp_path)) as m:
        os.listdir(m / "arc")
        found = m.files(f"arc/q/{query}")
        counted = text(m / f"arc/q/{query}/.count")
    pacs.reset()
    with Mount({"arc": pacs.source}, home=str(tmp_path)) as m:
        assert m.files(f"arc/q/{query}") == found != []
        assert text(m / f"arc/q/{query}/.count") == counted
        assert pacs.log() == []
        with open(m / ".vivofs/refresh", "w") as f:
            f.write("arc")
        # What is known is shown meanwhile.
        assert m.files(f"arc/q/{query}") == found
        deadline = time.monotonic() + 20
        while not pacs.log() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert pacs.log() != []
    pacs.reset()
    with Mount({"arc": pacs.source}, "offline", home=str(tmp_path)) as m:
        assert m.files(f"arc/q/{query}") == found and pacs.log() == []


@pytest.mark.parametrize("query", ["Modality=SEG", "patient(Modality=SEG)"])
def test_a_known_query_asks_nothing_the_next_time(pacs, tmp_path, query):
    found = paths(pacs.source, query, tmp_path)
    pacs.reset()
    assert paths(pacs.source, query, tmp_path) == found != []
    assert pacs.log() == []


def test_an_old_answer_is_asked_for_again(pacs):
    with Mount({"arc": pacs.source}, options="refresh=1") as m:
        found = m.files("arc/q/Modality=SEG")
        pacs.reset()
        end = time.monotonic() + 30
        while "Modality=SEG" not in pacs.asked() and time.monotonic() < end:
            assert m.files("arc/q/Modality=SEG") == found
            time.sleep(0.2)
        assert "Modality=SEG" in pacs.asked()


def test_explain_tells_who_answers_and_asks_nothing(pacs, tmp_path):
    query = "Modality=CT and SliceThickness<2"
    told = run(pacs.source, query, tmp_path, extra=["--explain"]).stdout
    assert "search: Modality=CT" in told
    assert "SliceThickness: headers" in told
    assert "estimated requests: at least" in told
    assert pacs.asked() == set()
    off = run(pacs.source, query, tmp_path, pushdown=False, extra=["--explain"]).stdout
    assert "search" not in off and "to be listed" in off
    apart = run(pacs.source, "Modality=CT and Modality=PT", tmp_path, extra=["--explain"])
    assert "warning: Modality cannot have two values" in apart.stdout


SECRETS = ("PatientID=", "StudyDate=", "StudyInstanceUID=", "SeriesInstanceUID=",
           "AccessionNumber=", "PatientName=")


@pytest.mark.parametrize("query", [
    "Modality=CT and StudyDate=2019", "Modality=CT and PatientID=PAT003",
    "Modality=CT or PatientID=PAT003", "StudyInstanceUID=1.2.3 and Modality=CT",
    "patient(PatientID in (PAT001,PAT002) and Modality=CT)",
])
def test_nothing_hidden_or_replaced_is_sent(pacs, tmp_path, query):
    r = run(pacs.source, query, tmp_path,
            options="deid=basic+retain-modified-dates")
    assert r.returncode == 0, r.stderr
    for asked in pacs.asked():
        assert not any(s in asked and "PAT" in asked for s in SECRETS), asked
        assert not asked.startswith(("PatientID=", "StudyDate=", "AccessionNumber="))
        assert not asked.endswith("1.2.3")


def test_what_is_kept_is_sent(pacs, tmp_path):
    query = "Modality=CT and StudyDate=2019"
    run(pacs.source, query, tmp_path / "a", options="deid=basic+retain-full-dates")
    assert {"Modality=CT", "StudyDate=20190101-20191231"} <= pacs.asked()
    pacs.reset()
    run(pacs.source, query, tmp_path / "b", options="deid=basic+retain-modified-dates")
    assert "Modality=CT" in pacs.asked()


def test_a_server_that_fails_gives_no_part_of_an_answer(pacs):
    with Mount({"arc": pacs.source}, options="retries=0", faults=True) as m:
        os.listdir(m / "arc/all")
        pacs("fail=503&match=/series")
        with pytest.raises(OSError) as e:
            os.listdir(m / "arc/q/Modality=CT")
        assert e.value.errno == errno.EIO
        assert text(m / "arc/q/Modality=CT/.error").strip()
        pacs("fail=0")
        assert os.listdir(m / "arc/q/Modality=CT") == ["all"]


def test_counts_hold_whole_studies_that_were_never_listed(pacs, hospital):
    query = "StudyDate=2019"
    with Mount({"arc": pacs.source, "here": hospital}) as m:
        there = text(m / f"arc/q/{query}/.count").splitlines()[:4]
        assert there == text(m / f"here/q/{query}/.count").splitlines()[:4]
