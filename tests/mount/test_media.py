# SPDX-License-Identifier: Apache-2.0
"""`.media/`: a patient or a study under the names of PS3.10, with its DICOMDIR."""
import os
import shutil
import subprocess
import time

import pydicom
import pytest
from pydicom.fileset import FileSet

import canaries
from test_dicomweb import Server
from vivomount import Mount


def up(path, n):
    return "/".join(path.split("/")[:-n])


def patient_of(m):
    return "loc/" + up(m.files("loc")[0], 3)


def study_of(m):
    return "loc/" + up(m.files("loc")[0], 2)


def files_below(path):
    return sorted(os.path.relpath(os.path.join(d, n), path)
                  for d, _, names in os.walk(path) for n in names)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test_media_has_the_names_of_the_standard_and_the_same_inodes(mount):
    patient = mount / patient_of(mount)
    media = patient + "/.media"
    expected = {os.stat(f"{patient}/{n}").st_ino for n in files_below(patient)}
    names = files_below(media)
    assert names[-1] == "DICOMDIR" and len(names) == len(expected) + 1 == 13
    assert names[:2] == [f"DICOM/PA000001/ST000001/SE000001/IM00000{i}" for i in (1, 2)]
    assert names[11] == "DICOM/PA000001/ST000002/SE000002/IM000003"
    assert {os.stat(f"{media}/{n}").st_ino for n in names[:-1]} == expected
    for wrong in ("DICOM/PA000002", "DICOM/PA1", "DICOM/PA000000", "DICOM/ST000001",
                  "DICOM/PA000001/ST000003", "README", "DICOM/PA000001/ST00000x"):
        with pytest.raises(FileNotFoundError):
            os.stat(f"{media}/{wrong}")


def test_a_file_set_is_read_by_pydicom_and_dcmtk(mount):
    for top in (patient_of(mount), study_of(mount)):
        media = mount / f"{top}/.media"
        instances = list(FileSet(media + "/DICOMDIR"))
        assert len(instances) == len(files_below(media)) - 1
        for i in instances:
            ds = i.load()
            assert ds.SOPInstanceUID == i.SOPInstanceUID
            assert ds.SOPClassUID == i.ReferencedSOPClassUIDInFile
            assert ds.file_meta.TransferSyntaxUID == \
                i.ReferencedTransferSyntaxUIDInFile
        for check in (["dcmdump", "-q"], ["dciodvfy"]):
            done = subprocess.run([*check, media + "/DICOMDIR"], capture_output=True,
                                  text=True, check=True)
            assert "Error" not in done.stderr, done.stderr


def test_media_of_a_query_holds_what_is_selected(mount):
    patient = mount / f"loc/q/Modality=MR/{patient_of(mount)[4:]}"
    instances = list(FileSet(patient + "/.media/DICOMDIR"))
    assert len(instances) == 6
    assert {i.load().Modality for i in instances} == {"MR"}


def test_media_is_listed_on_demand_and_copied_whole(folder, tmp_path):
    with Mount({"loc": folder}) as m:
        assert ".media" not in os.listdir(m / patient_of(m))
        for other in ("loc", "loc/all", "loc/" + up(m.files("loc")[0], 1)):
            with pytest.raises(FileNotFoundError):
                os.stat(m / f"{other}/.media")
    with Mount({"loc": folder}, "sidecars") as m:
        assert ".media" in os.listdir(m / patient_of(m))
        media = m / f"{patient_of(m)}/.media"
        shutil.copytree(media, tmp_path / "copy")
        assert read(tmp_path / "copy/DICOMDIR") == read(media + "/DICOMDIR")
        assert os.stat(media + "/DICOMDIR").st_size == len(read(media + "/DICOMDIR"))
    assert len(list(FileSet(tmp_path / "copy/DICOMDIR"))) == 12


def test_media_shows_no_canary(tmp_path):
    _, uids = canaries.make(str(tmp_path))
    with Mount({"loc": str(tmp_path)}, deid="basic", faults=True) as m:
        collection = os.listdir(m / "loc")[0]
        seen = 0
        for patient in os.listdir(m / f"loc/{collection}"):
            media = m / f"loc/{collection}/{patient}/.media"
            text = read(media + "/DICOMDIR") + "".join(files_below(media)).encode()
            assert not canaries.PATTERN.search(text)
            assert not any(u.encode() in text for u in uids)
            seen += len(list(FileSet(media + "/DICOMDIR")))
        assert seen


def test_refused_objects_are_left_out(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "in")
    some = files_below(tmp_path / "in")[0]
    ds = pydicom.dcmread(tmp_path / "in" / some)
    ds.BurnedInAnnotation = "YES"
    ds.save_as(tmp_path / "in" / some)
    with Mount({"loc": str(tmp_path / "in")}, deid="basic", faults=True) as m:
        seen = opened = 0
        for patient in os.listdir(m / "loc/all"):
            media = m / f"loc/all/{patient}/.media"
            seen += len(files_below(media)) - 1
            opened += len([i.load() for i in FileSet(media + "/DICOMDIR")])
        assert seen == opened == 23


def test_a_file_that_goes_makes_another_media(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "in")
    with Mount({"loc": str(tmp_path / "in")}) as m:
        media = m / f"{patient_of(m)}/.media"
        whole = read(media + "/DICOMDIR")
        first = pydicom.dcmread(media + "/DICOM/PA000001/ST000001/SE000001/IM000001")
        with open(media + "/DICOMDIR", "rb") as held:
            for name in files_below(tmp_path / "in"):
                ds = pydicom.dcmread(tmp_path / "in" / name)
                if ds.SOPInstanceUID == first.SOPInstanceUID:
                    os.unlink(tmp_path / "in" / name)
            end = time.monotonic() + 30
            while len(files_below(media)) != 12:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert held.read() == whole
        instances = list(FileSet(media + "/DICOMDIR"))
        assert len(instances) == 11
        assert first.SOPInstanceUID not in {i.load().SOPInstanceUID for i in instances}


# ---- remote


@pytest.fixture
def remote(folder):
    server = Server(folder)
    with Mount({"loc": server.source}, "sidecars") as m:
        yield m, server
    server.close()


def test_listing_media_fetches_nothing_and_its_index_is_whole(remote):
    m, server = remote
    media = m / f"{study_of(m)}/.media"
    subprocess.run(["ls", "-lR", media], check=True, capture_output=True)
    assert int(server.get("/__count")) == 0
    assert os.stat(media + "/DICOMDIR").st_size > 0
    text = read(media + "/DICOMDIR")
    assert os.stat(media + "/DICOMDIR").st_size == len(text)
    instances = list(FileSet(media + "/DICOMDIR"))
    assert len(instances) == 6
    for i in instances:
        assert i.load().file_meta.TransferSyntaxUID == \
            i.ReferencedTransferSyntaxUIDInFile
    assert int(server.get("/__count")) == 6


def test_an_index_that_lacks_something_fails(folder):
    server = Server(folder)
    with Mount({"loc": server.source}, faults=True) as m:
        media = m / f"{study_of(m)}/.media"
        assert len(files_below(media)) == 7
        server.close()
        with pytest.raises(OSError):
            read(media + "/DICOMDIR")
