# SPDX-License-Identifier: Apache-2.0
"""Metadata without reading files (DESIGN A3), and what shall stay or go (A4)."""
import errno
import json
import os
import time

import pydicom
import pytest

import canaries
from test_dicomweb import Server
from vivomount import Mount


def read(path):
    with open(path, "rb") as f:
        return f.read()


def parts(m):
    """A file, its series, study, patient and the collection."""
    path = m.files("loc")[0].split("/")
    return ["loc/" + "/".join(path[:n]) for n in range(len(path), 0, -1)]


# ---- .tags.json, .tags.txt


def expected(ds):
    """What pydicom says of a file in the same model: no bulk, no group 2."""
    out = {}
    for e in ds:
        if e.tag.group == 0x7FE0 or e.VR in ("OB", "OW", "UN") or e.tag.is_private:
            continue
        if e.tag == 0x00080005 or e.VR == "SQ":
            continue  # all is UTF-8 here; sequences are compared below
        out[f"{int(e.tag):08X}"] = e
    return out


def test_tags_json_is_what_pydicom_reads(mount):
    series = parts(mount)[1]
    rows = [pydicom.Dataset.from_json(o)
            for o in json.loads(read(mount / f"{series}/.tags.json"))]
    by_uid = {r.SOPInstanceUID: r for r in rows}
    names = [n for n in os.listdir(mount / series) if n.endswith(".dcm")]
    assert len(rows) == len(names) > 1
    for name in names:
        ds = pydicom.dcmread(mount / f"{series}/{name}")
        row = by_uid[ds.SOPInstanceUID]
        for tag, e in expected(ds).items():
            assert row[tag].value == e.value or not e.value, e.keyword


def test_tags_of_real_files_are_valid_in_every_form():
    with Mount({"loc": os.path.realpath(canaries.DATA)}, faults=True) as m:
        where = m / "loc/q/Modality in (CT,MR,RTPLAN,SR,SEG,ECG)"
        sets = json.loads(read(where + "/.tags.json"))
        assert len(sets) > 20
        for one in sets:
            ds = pydicom.Dataset.from_json(one)
            assert "SOPInstanceUID" in ds and not ds.group_dataset(2)
        plan = next(s for s in sets if s["00080060"].get("Value") == ["RTPLAN"])
        assert plan["300A00B0"]["Value"][0]["300A0111"]["vr"] == "SQ"


def test_tags_txt_reads_like_a_dump(mount):
    study = parts(mount)[2]
    text = read(mount / f"{study}/.tags.txt").decode()
    series = [n for n in os.listdir(mount / study)]
    assert text.count("# loc/") == len(series)
    assert "(0008,0060) CS Modality = " in text


def test_sidecars_are_there_by_name_and_listed_on_demand(folder):
    with Mount({"loc": folder}) as m:
        series = parts(m)[1]
        assert not [n for n in os.listdir(m / series) if n.startswith(".")]
        assert os.stat(m / f"{series}/.tags.json").st_size > 2
        with pytest.raises(FileNotFoundError):
            os.stat(m / "loc/all/.tags.json")
    with Mount({"loc": folder}, "sidecars") as m:
        series = parts(m)[1]
        hidden = {n for n in os.listdir(m / series) if n.startswith(".")}
        assert {".tags.json", ".tags.txt", ".series.csv"} <= hidden
        for n in hidden:
            text = read(m / f"{series}/{n}")
            assert os.stat(m / f"{series}/{n}").st_size == len(text)


def test_tags_show_no_canary(tmp_path):
    _, uids = canaries.make(str(tmp_path))
    with Mount({"loc": str(tmp_path)}, "xattr", deid="basic", faults=True) as m:
        text = read(m / "loc/q/has Modality/.tags.json")
        text += read(m / "loc/q/has Modality/.tags.txt")
        for f in m.files():
            for name in os.listxattr(m / f):
                text += os.getxattr(m / f, name)
        assert len(text) > 1000
        assert not canaries.PATTERN.search(text)
        assert not any(u.encode() in text for u in uids)


# ---- extended attributes


def test_xattr_are_off_unless_asked_for(mount):
    with pytest.raises(OSError) as e:
        os.getxattr(mount / parts(mount)[0], "user.dicom.Modality")
    assert e.value.errno == errno.ENOTSUP


def test_xattr_tell_what_the_header_says(folder):
    with Mount({"loc": folder}, "xattr") as m:
        file, series, study, patient, _ = parts(m)[:5]
        ds = pydicom.dcmread(m / file)
        get = lambda path, name: os.getxattr(m / path, name).decode()
        for keyword in ("Modality", "Rows", "PatientID", "SOPInstanceUID"):
            assert get(file, f"user.dicom.{keyword}") == str(ds[keyword].value)
        assert get(series, "user.dicom.SeriesInstanceUID") == ds.SeriesInstanceUID
        assert get(study, "user.vivofs.uid") == ds.StudyInstanceUID
        assert get(patient, "user.dicom.PatientID") == ds.PatientID
        assert get(file, "user.vivofs.state") == "cached"
        assert get(file, "user.vivofs.source").startswith("loc ")
        names = os.listxattr(m / file)
        assert "user.dicom.Modality" in names and "user.vivofs.uid" in names
        assert all(os.getxattr(m / file, n) is not None for n in names)
        for name in ("user.dicom.Modalty", "user.nothing", "user.dicom.PixelData"):
            with pytest.raises(OSError) as e:
                os.getxattr(m / file, name)
            assert e.value.errno == errno.ENODATA
        m.status()


def test_the_source_of_a_hidden_object_is_not_told(folder):
    with Mount({"loc": folder}, "xattr", deid="basic") as m:
        assert os.getxattr(m / parts(m)[0], "user.vivofs.source") == b"loc"


# ---- pin, unpin, forget


@pytest.fixture
def remote(folder):
    server = Server(folder)
    with Mount({"loc": server.source}, "xattr") as m:
        yield m, server
    server.close()


def state(m, path):
    return os.getxattr(m / path, "user.vivofs.state").decode()


def test_state_of_a_directory_is_of_what_is_in_it(remote):
    m, _ = remote
    files = m.files("loc")
    series = "loc/" + os.path.dirname(files[0])
    study = os.path.dirname(series)
    mine = [f for f in files if f"loc/{f}".startswith(series + "/")]
    assert (state(m, series), state(m, study)) == ("remote", "remote")
    assert "user.vivofs.state" in os.listxattr(m / series)
    open(m / f"loc/{mine[0]}", "rb").read()
    assert (state(m, series), state(m, study)) == ("partial", "partial")
    for f in mine:
        open(m / f"loc/{f}", "rb").read()
    assert (state(m, series), state(m, study)) == ("cached", "partial")
    with pytest.raises(OSError):
        state(m, os.path.dirname(study))


def write(m, name, text):
    with open(m / f".vivofs/{name}", "w") as f:
        f.write(text)


def wait_for(m, paths, wanted):
    end = time.monotonic() + 30
    while {state(m, p) for p in paths} != {wanted}:
        assert time.monotonic() < end, [state(m, p) for p in paths]
        time.sleep(0.02)


def test_a_pinned_series_is_fetched_and_stays(remote):
    m, server = remote
    series = parts(m)[1]
    files = [f"{series}/{n}" for n in os.listdir(m / series)]
    assert {state(m, f) for f in files} == {"remote"}
    write(m, "pin", series + "\n")
    wait_for(m, files, "pinned")
    fetched = int(server.get("/__count"))
    assert fetched == len(files)
    for f in files:
        read(m / f)
    assert int(server.get("/__count")) == fetched
    write(m, "unpin", m / series)  # an absolute path, without a line feed
    wait_for(m, files, "cached")


def test_what_is_forgotten_is_fetched_again(remote):
    m, server = remote
    file = parts(m)[0]
    whole = read(m / file)
    assert state(m, file) == "cached"
    write(m, "forget", file)
    assert state(m, file) == "remote"
    before = int(server.get("/__count"))
    assert read(m / file) == whole
    assert int(server.get("/__count")) == before + 1


def test_a_path_that_is_not_there_is_refused(remote):
    m, _ = remote
    for name in ("pin", "unpin", "forget"):
        for path in ("nowhere", "loc/no", "loc/q/Modality=CT", "/etc/passwd", "../x"):
            with pytest.raises(OSError) as e:
                write(m, name, path)
            assert e.value.errno == errno.EINVAL, path
