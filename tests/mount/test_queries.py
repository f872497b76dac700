# SPDX-License-Identifier: Apache-2.0
"""Query directories, facets and the files that they answer by name (DESIGN A5)."""
import csv
import os

import pytest

import synthetic
from vivomount import Mount


def text(path):
    with open(path, newline="") as f:
        return f.read()


def counts(path):
    return {k: int(v) for k, v in (line.split() for line in text(path).splitlines())}


def test_only_matching_instances_appear(mount):
    everything = mount.files("loc")
    assert mount.files("loc/q/Modality=CT") == [f for f in everything if "_CT_" in f]
    assert mount.files("loc/q/InstanceNumber=1") == [
        f for f in everything if os.path.basename(f).startswith("00001_")]
    assert mount.files("loc/q/Modality=PT") == []


def test_a_typed_query_and_its_canonical_form_agree(mount):
    a, b = "modality eq CT && !InstanceNumber>=3", "Modality=CT and InstanceNumber<3"
    assert mount.files(f"loc/q/{a}") == mount.files(f"loc/q/{b}")
    canonical = text(mount / f"loc/q/{a}/.query").strip()
    assert mount.files(f"loc/q/{canonical}") == mount.files(f"loc/q/{a}")


def test_queries_nest(mount):
    nested = mount.files("loc/q/Modality=CT/q/PatientID=PAT0001")
    assert nested == mount.files("loc/q/Modality=CT and PatientID=PAT0001")
    assert nested and all(f.startswith("all/PAT0001/") for f in nested)


def test_a_collection_has_queries_too(mount):
    assert mount.files("loc/all/q/Modality=CT") == [
        f[len("all/"):] for f in mount.files("loc/q/Modality=CT")]


def test_the_root_asks_every_archive(folder, tmp_path):
    synthetic.make(str(tmp_path), seed="other", patients=1, studies=1, series=1)
    with Mount({"a": folder, "b": str(tmp_path)}) as m:
        assert sorted(os.listdir(m / "q/Modality=MR")) == ["a", "b"]
        assert len(m.files("q/Modality=MR/a")) == 12
        assert m.files("q/Modality=MR/b") == []
        both = counts(m / "q/Modality=CT/.count")
        assert both["instances"] == 15 and both["series"] == 5
        assert len(text(m / "q/Modality=CT/.paths.txt").splitlines()) == 15


def test_count_has_five_lines(mount):
    c = counts(mount / "loc/q/Modality=CT/.count")
    assert list(c) == ["patients", "studies", "series", "instances", "bytes"]
    sizes = sum(os.stat(mount / f"loc/{f}").st_size
                for f in mount.files("loc/q/Modality=CT"))
    assert c == {"patients": 2, "studies": 4, "series": 4, "instances": 12,
                 "bytes": sizes}


def test_paths_are_in_the_plain_tree(mount):
    paths = text(mount / "loc/q/Modality=CT/.paths.txt").splitlines()
    assert sorted(paths) == ["loc/" + f for f in mount.files("loc/q/Modality=CT")]
    assert all(os.path.isfile(mount / p) for p in paths)


def test_series_csv_tells_each_series(mount):
    rows = list(csv.DictReader(text(mount / "loc/q/Modality=CT/.series.csv").splitlines()))
    assert list(rows[0]) == (
        "Archive Collection PatientID StudyInstanceUID StudyDate StudyDescription "
        "SeriesInstanceUID SeriesNumber Modality SeriesDescription BodyPartExamined "
        "Manufacturer InstanceCount SeriesBytes Path").split()
    assert len(rows) == 4
    for row in rows:
        assert row["Archive"] == "loc" and row["Collection"] == "all"
        assert row["Modality"] == "CT" and row["InstanceCount"] == "3"
        assert len(os.listdir(mount / row["Path"])) == 3


def test_explain_names_requests_and_warns(mount):
    assert "requests: 0" in text(mount / "loc/q/Modality=CT/.explain")
    warned = text(mount / "loc/q/Modality=CT and Modality=MR/.explain")
    assert "warning" in warned and "study(" in warned
    fine = text(mount / "loc/q/Modality=CT or Modality=MR/.explain")
    assert "warning" not in fine


@pytest.mark.parametrize("q, warned", [
    ("Modality=CT and Modality=MR", True),
    ("Modality=CT/q/Modality=MR", True),
    ("KVP=1 or study(Modality=CT and Rows=8 and Modality=MR)", True),
    ("StudyRank=1 and StudyRank=-1", False),
    ("StudyDate=2020 and StudyDate=2020-01", False),
    ("StudyDate=2020 and StudyDate=2021", True),
    ("ImageType=PRIMARY and ImageType=AXIAL", False),
    ("Modality=C* and Modality=CT", False),
    ("Modality=CT and Modality=ct", False),
    ("Modality=CT and study(Modality=MR)", False),
])
def test_explain_warns_of_two_values_that_cannot_meet(mount, q, warned):
    assert ("warning:" in text(mount / f"loc/q/{q}/.explain")) == warned


def test_nested_queries_longer_than_a_name_count_at_the_root(mount):
    long = " or ".join(f"InstanceNumber={i}" for i in range(1, 50))
    q = f"q/{long}/q/{long.replace('InstanceNumber', 'SeriesNumber')}"
    assert len(text(mount / f"{q}/.query")) > 1024
    assert counts(mount / f"{q}/.count") == counts(mount / "loc/q/InstanceNumber>0/.count")
    assert len(text(mount / f"{q}/.paths.txt").splitlines()) == 24
    assert "loc" in text(mount / f"{q}/.explain")


def test_lists_select_what_they_name(folder, tmp_path):
    (tmp_path / "many.txt").write_text(
        "".join("NOBODY%06d\n" % i for i in range(100000)) + "pat0001\r\n\nA*\n")
    (tmp_path / "cohort.csv").write_text(
        '\ufeffage,"PatientID",StudyDate\n"4,5",PAT0000,2020\n6,"PAT""9",20210101\n')
    (tmp_path / "thin.txt").write_text("1\n9.5\n1.250\n")
    options = ",".join(f"list={n}:{tmp_path}/{f}" for n, f in (
        ("many", "many.txt"), ("cohort", "cohort.csv"), ("thin", "thin.txt")))
    with Mount({"loc": folder}, options) as m:
        def same(a, b):
            assert m.files(f"loc/q/{a}") == m.files(f"loc/q/{b}") != []
        same("PatientID in @many", "PatientID=PAT0001")
        same("PatientID in @cohort", "PatientID=PAT0000")
        same("StudyDate in @cohort", "StudyDate=2020")
        same("SliceThickness in @thin", "SliceThickness in (1,1.25)")
        same("not PatientID in @many and SeriesNumber=1",
             "PatientID!=PAT0001 and SeriesNumber=1")
        canonical = text(m / "loc/q/patientid IN @cohort/.query").strip()
        assert canonical.startswith("PatientID in @cohort:")
        same(canonical, "PatientID=PAT0000")
        assert counts(m / "q/PatientID in @many/.count")["patients"] == 1
        for q, says in (("PatientID in @none", "no list named none"),
                        ("Modality in @cohort", "no column Modality"),
                        ("Rows in @many", "line 1"),
                        (canonical[:-1] + "x", "not what it was")):
            assert says in text(m / f"loc/q/{q}/.error"), q
        assert f"list=thin:{tmp_path}/thin.txt" in text(m / ".vivofs/config")


def test_virtual_attributes_are_hidden_with_what_they_tell(folder):
    with Mount({"loc": folder}, deid="basic") as m:
        for q in ("StudyRank=1", "has StudyDay", "missing StudyRank"):
            assert os.listdir(m / f"loc/q/{q}") == [".error"]
            assert "dates" in text(m / f"loc/q/{q}/.error")
        assert len(m.files("loc/q/NumberOfPatientRelatedStudies=2")) == 24
    with Mount({"loc": folder}, deid="basic+retain-full-dates") as m:
        assert len(m.files("loc/q/StudyRank=-1")) == 12


@pytest.mark.parametrize("q", ["Modalty=CT", "Modality==", "(Modality=CT",
                               "SliceThickness<thin", "Rows>=a/b".replace("/", "%2F")])
def test_what_does_not_parse_holds_only_error(mount, q):
    assert os.listdir(mount / f"loc/q/{q}") == [".error"]
    message = text(mount / f"loc/q/{q}/.error")
    assert message and "^" in message
    assert not os.path.lexists(mount / f"loc/q/{q}/.count")
    assert not os.path.lexists(mount / f"loc/q/{q}/all")


def test_plain_words_and_dot_names_are_no_queries(mount):
    for name in ("CT", "thumbs", ".hidden", ".Modality=CT"):
        assert not os.path.lexists(mount / f"loc/q/{name}")


def test_error_is_absent_where_nothing_failed(mount):
    os.listdir(mount / "loc/q/Modality=CT")
    assert not os.path.lexists(mount / "loc/q/Modality=CT/.error")


def test_names_longer_than_255_bytes_work(mount):
    q = " or ".join(f"InstanceNumber={i}" for i in range(1, 40))
    assert 255 < len(q) < 1024
    assert mount.files(f"loc/q/{q}") == mount.files("loc")


def test_facets_list_values_that_exist(mount):
    assert os.listdir(mount / "loc/by/Modality") == ["CT", "MR"]
    assert mount.files("loc/by/Modality/CT") == mount.files("loc/q/Modality=CT")
    deeper = "loc/by/Modality/CT/by/PatientID"
    assert os.listdir(mount / deeper) == ["PAT0000", "PAT0001"]
    assert mount.files(deeper + "/PAT0001") == mount.files(
        "loc/q/Modality=CT and PatientID=PAT0001")
    assert counts(mount / "loc/by/Modality/CT/.count")["instances"] == 12
    assert not os.path.lexists(mount / "loc/by/Modalty")


def test_facets_escape_what_a_name_cannot_hold(tmp_path):
    values = ["a/b", "50%", ".dot", 'say "x" \\ y', "plain", "", "_missing", "*"]
    for i, value in enumerate(values):
        ds = synthetic.instance("f", 0, 0, 0, i)
        ds.ProtocolName = value
        ds.SeriesInstanceUID = synthetic.uid("f", "series", i)
        ds.save_as(str(tmp_path / f"{i}.dcm"), write_like_original=False)
    with Mount({"loc": str(tmp_path)}) as m:
        by = m / "loc/by/ProtocolName"
        # In the order of the values' bytes; a lone backslash splits values.
        names = os.listdir(by)
        assert {"a%2Fb", "50%25", "%2Edot", "plain", "_missing", "*",
                "%5Fmissing"} <= set(names)
        for name in names:
            assert len(m.files(f"loc/by/ProtocolName/{name}")) == 1, name


def test_generated_files_stay_whole_while_read(mount):
    with open(mount / ".vivofs/status.json") as a:
        half = a.read(100)
        mount.status()
        rest = a.read()
    import json

    assert json.loads(half + rest)["archives"]
