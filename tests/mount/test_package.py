# SPDX-License-Identifier: Apache-2.0
"""Exports of archives that lie in a folder: project and subject come from their paths."""
import os
import shutil
import time

import pydicom
import pytest

from vivomount import Mount


@pytest.fixture(scope="module")
def export(folder, tmp_path_factory):
    """The files in XNAT's order; the subjects' labels are not their PatientIDs."""
    root = tmp_path_factory.mktemp("export")
    for name in os.listdir(folder):
        ds = pydicom.dcmread(os.path.join(folder, name), stop_before_pixels=True)
        n = ds.PatientID[-1]
        where = root / f"Proj/SUBJ{n}/E{ds.StudyID}/SCANS/{ds.SeriesNumber}/DICOM"
        where.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(folder, name), where / name)
    (root / "Proj/SUBJ0/E0/SCANS/1/NIFTI").mkdir()
    (root / "Proj/SUBJ0/E0/SCANS/1/NIFTI/a.nii").write_bytes(b"x" * 400)
    return root


def test_xnat_export_is_shown_by_project_and_subject(export):
    with Mount({"x": str(export)}) as m:
        names = m.files("x")
        assert len(names) == 24
        assert {n.split("/")[0] for n in names} == {"Proj"}
        assert {n.split("/")[1] for n in names} == {"SUBJ0", "SUBJ1"}
        # Studies and series are those of the headers, and so is what is asked for.
        assert "20200101_Study-0-of-0_" in names[0]
        found = m.files("x/q/PatientID=PAT0001")
        assert found == [n for n in names if "/SUBJ1/" in n]
        for n in names:
            with open(m / "x/" + n, "rb") as f:
                assert f.read(132)[128:] == b"DICM"
        assert m.files("x") == names


def test_labels_are_hidden_under_a_profile_and_the_same_again(export, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    seen = []
    for home in ("a", "b"):
        (tmp_path / home).mkdir()
        with Mount({"x": str(export)}, f"key={key}", deid="basic",
                   home=str(tmp_path / home)) as m:
            seen.append(m.files("x"))
            text = "\n".join(seen[-1]) + m.log()
            assert "SUBJ" not in text and "Proj" not in text and "PAT000" not in text
            assert len({n.split("/")[1] for n in seen[-1]}) == 2
    assert seen[0] == seen[1] and len(seen[0]) == 24


def test_file_that_is_changed_stays_with_its_subject(export, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(export, copy)
    with Mount({"x": str(copy)}) as m:
        names = m.files("x")
        one = copy / "Proj/SUBJ1/E0/SCANS/1/DICOM"
        path = one / os.listdir(one)[0]
        ds = pydicom.dcmread(path)
        ds.PatientID = "OTHER"
        ds.save_as(path)
        end = time.monotonic() + 20
        while not (found := m.files("x/q/PatientID=OTHER")):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert len(found) == 1 and "/SUBJ1/" in found[0]
        assert m.files("x") == names
