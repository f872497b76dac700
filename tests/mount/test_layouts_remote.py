# SPDX-License-Identifier: Apache-2.0
"""names= over archives that tell less, or more, than headers do; licences and citations
of collections."""
import csv
import json
import os
import re

import pydicom
import pytest

import test_idc
import test_nbia
from archiveserver import ArchiveServer
from vivomount import Mount


@pytest.fixture(scope="module")
def nbia(folder):
    s = test_nbia.Server(folder)
    yield s
    s.close()


@pytest.fixture(scope="module")
def idc(folder):
    s = test_idc.Server(folder)
    yield s
    s.close()


@pytest.fixture(scope="module")
def xnat(folder):
    s = ArchiveServer("xnat", folder)
    yield s
    s.close()


def headers(m, name):
    return {p: pydicom.dcmread(m / f"{name}/{p}", stop_before_pixels=True)
            for p in m.files(name) if p.endswith(".dcm")}


def test_nbia_mount_is_the_data_retrievers_tree(nbia, tmp_path):
    for again in (False, True):
        with Mount({"n": nbia.source}, "names=tcia", home=str(tmp_path)) as m:
            sets = headers(m, "n")
            assert len(sets) == 24
            for path, ds in sets.items():
                collection, patient, study, series, file = path.split("/")
                day = ds.StudyDate
                assert patient == ds.PatientID
                # The API does not tell StudyID with a series.
                assert study == (f"{day[4:6]}-{day[6:]}-{day[:4]}-NA-"
                                 f"{ds.StudyDescription}-{ds.StudyInstanceUID[-5:]}")
                assert series == (f"{ds.SeriesNumber}.000000-{ds.SeriesDescription}-"
                                  f"{ds.SeriesInstanceUID[-5:]}")
                assert file == f"1-{ds.InstanceNumber}.dcm"
            collection = min(p.split("/")[0] for p in sets)
            listed = os.listdir(m / f"n/{collection}")
            assert {"LICENSE", "LICENSE.txt", "CITATION.txt", "metadata.csv"} < set(listed)
            with open(m / f"n/{collection}/CITATION.txt") as f:
                assert f.read() == "https://doi.org/10.0000/demo\n"
            with open(m / f"n/{collection}/LICENSE") as f:
                assert "Creative Commons Attribution 4.0" in f.read()
            assert "metadata.csv" not in os.listdir(m / "n")
            with open(m / "n/metadata.csv", newline="") as f:
                rows = list(csv.DictReader(f))
            assert len(rows) == 8
            for row in rows:
                below = m / f"n/{row['File Location']}"
                assert len(os.listdir(below)) == int(row["Number of Images"])


def test_a_series_that_was_not_entered_costs_no_image(nbia, tmp_path):
    before = nbia.content()
    with Mount({"n": nbia.source}, "names=tcia", home=str(tmp_path)) as m:
        with open(m / "n/metadata.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        assert {r["Number of Images"] for r in rows} == {"3"}
    assert nbia.content() == before


def test_idc_layout_has_the_files_of_the_bucket(idc, tmp_path):
    with Mount({"i": idc.idc}, "names=idc", home=str(tmp_path)) as m:
        sets = headers(m, "i")
        assert len(sets) == 24
        for path, ds in sets.items():
            collection, patient, study, series, file = path.split("/")
            assert collection in ("demo_ct", "demo_mr") and patient == ds.PatientID
            assert study == ds.StudyInstanceUID
            assert series == f"{ds.Modality}_{ds.SeriesInstanceUID}"
            assert re.fullmatch(r"[0-9a-f-]{36}\.dcm", file)
        with open(m / "i/demo_ct/CITATION.txt") as f:
            assert f.read() == "https://doi.org/10.0000/demo\n"
        with open(m / "i/demo_ct/LICENSE.txt") as f:
            assert set(f.read().splitlines()) <= {"CC BY 4.0", "CC BY-NC 4.0"}
    with Mount({"i": idc.idc}, "names=tcia", home=str(tmp_path)) as m:
        for path, ds in headers(m, "i").items():
            assert path.endswith(f"/1-{ds.InstanceNumber}.dcm")


def test_xnat_layout_is_project_subject_session_scan(xnat, tmp_path):
    with Mount({"x": xnat.source}, "names=xnat", home=str(tmp_path)) as m:
        names = m.files("x")
        assert len(names) == 24
        for path in names:
            project, subject, session, scan, file = path.split("/")
            assert session.startswith(subject + "_MR") and scan.isdigit()
            assert file.endswith(".dcm") and len(file) > 4


@pytest.mark.parametrize("layout", ["idc", "xnat", "tcia"])
def test_labels_of_archives_are_hidden_under_a_profile(idc, xnat, tmp_path, layout):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    with Mount({"i": idc.idc, "x": xnat.source}, f"names={layout},key={key}",
               deid="basic", home=str(tmp_path)) as m:
        text = "\n".join(m.files("i") + m.files("x"))
        assert text.count(".dcm") == 48
        for original in ("demo_", "PAT0", "SUBJ", "_MR1", "CITATION"):
            assert original not in text
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
        with open(m / ".vivofs/status.json") as f:
            assert all(a["health"] == "ok" for a in json.load(f)["archives"])
