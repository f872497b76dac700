# SPDX-License-Identifier: Apache-2.0
"""A frozen query mounts identically later and elsewhere: the same paths below the archive
and the same bytes, with names that no object's own attributes would give; frozen again it
is the same list. Of remote archives: test_every_driver.py."""
import os
import shutil
import zipfile

import pydicom
import pytest

import orthanc
import synthetic
from test_packages import HEAD, row
from vivomount import Mount

KINDS = ["folder", "zip", "package"]
QUERY = "InstanceNumber<3"


def objects(folder):
    """2 patients x 2 series x 3, and what makes names hard: two objects of one UID, of
    which only the second is chosen below; one without study and series; a description
    that varies in a series; a patient whose ID is no name."""
    synthetic.make(folder, "frozen", studies=1)
    for name, change in (
            ("again", {"ImageComments": "other bytes"}),
            ("lost", {"StudyInstanceUID": None, "SeriesInstanceUID": None,
                      "SOPInstanceUID": synthetic.uid("lost")}),
            ("varied", {"SeriesDescription": "another word", "InstanceNumber": "2",
                        "SOPInstanceUID": synthetic.uid("varied")}),
            ("odd", {"PatientID": "a/b ü", "PatientName": "Odd^One",
                     "StudyInstanceUID": synthetic.uid("odd"),
                     "SeriesInstanceUID": synthetic.uid("odd", 1),
                     "SOPInstanceUID": synthetic.uid("odd", 2)})):
        ds = synthetic.instance("frozen", 0, 0, 0, 0)
        for keyword, value in change.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(os.path.join(folder, name + ".dcm"), write_like_original=False)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    top = tmp_path_factory.mktemp("local")
    (top / "a folder").mkdir()
    objects(str(top / "a folder"))
    with zipfile.ZipFile(top / "scans #1.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for name in os.listdir(top / "a folder"):
            z.write(top / "a folder" / name, "x %/" + name)
    package = top / "package"
    where = "DEMO-CT/S-1/01-01-2020-NA-Chest-00000/1.000000-T1-11111"
    (package / where).mkdir(parents=True)
    for name in os.listdir(top / "a folder"):
        shutil.copy(top / "a folder" / name, package / where)
    (package / "DEMO-CT/LICENSE").write_text("CC BY 4.0,\n\"as is\"\n")
    (package / "metadata.csv").write_text(
        "\r\n".join([HEAD, row("DEMO-CT", "S-1", "./" + where), ""]), newline="")
    return {"folder": str(top / "a folder"), "zip": str(top / "scans #1.zip"),
            "package": str(package)}


def tree(m, top):
    return {f: open(m / f"{top}/{f}", "rb").read() for f in m.files(top)}


def freeze(m, where):
    with open(m / f"{where}/.freeze.csv", newline="") as f:
        return f.read()


@pytest.fixture(scope="module")
def frozen(local, tmp_path_factory):
    """Frozen at one mount, mounted again at another."""
    before, texts, paths = {}, {}, {}
    top = tmp_path_factory.mktemp("lists")
    with Mount(local) as m:
        for kind in KINDS:
            before[kind] = tree(m, f"{kind}/q/{QUERY}")
            texts[kind] = freeze(m, f"{kind}/q/{QUERY}")
            paths[kind] = top / (kind + ".csv")
            paths[kind].write_text(texts[kind], newline="")
    with Mount({k: str(p) for k, p in paths.items()}) as m:
        yield before, texts, m


@pytest.mark.parametrize("kind", KINDS)
def test_paths_and_bytes_are_the_same(frozen, kind):
    before, _, m = frozen
    assert len(before[kind]) >= 8
    assert tree(m, kind) == before[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_again_it_is_the_same_list(frozen, kind):
    _, texts, m = frozen
    assert freeze(m, f"{kind}/q/{QUERY}") == texts[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_answers_from_columns_and_headers(frozen, kind):
    before, _, m = frozen
    assert m.files(f"{kind}/q/{QUERY} and Rows=8") == sorted(before[kind])


def test_labels_and_licences_come_along(frozen):
    _, texts, m = frozen
    assert os.listdir(m / "package") == ["DEMO-CT"]
    assert os.listdir(m / "package/DEMO-CT") == ["LICENSE.txt", "S-1"]
    with open(m / "package/DEMO-CT/LICENSE.txt") as f:
        assert f.read() == 'CC BY 4.0,\n"as is"\n'
    assert m.files("package/q/License=CC*") == m.files("package")


def test_a_path_never_puts_two_patients_together(local, tmp_path):
    with Mount({"x": local["folder"]}) as m:
        text = freeze(m, "x/q/has Modality")
    lines = text.splitlines()
    at = lines[0].split(",").index("PatientID")
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(
        [lines[0]] + [",".join(c if i != at or n % 2 else "SOMEBODY" for i, c in
                               enumerate(l.split(","))) for n, l in enumerate(lines[1:])]))
    with Mount({"x": str(bad)}) as m:
        theirs = m.files("x/q/PatientID=SOMEBODY")
        assert len(theirs) == len(lines) // 2
        assert all(f.startswith("all/SOMEBODY/") for f in theirs)
        assert len(m.files("x/all/SOMEBODY")) == len(theirs)


@pytest.mark.skipif(orthanc.available() is not None, reason=str(orthanc.available()))
def test_of_orthanc(folder, tmp_path):
    with orthanc.Orthanc() as o:
        o.upload(sorted(os.path.join(folder, n) for n in os.listdir(folder)))
        with Mount({"o": "dicomweb+" + o.dicomweb}) as m:
            before = tree(m, f"o/q/{QUERY}")
            (tmp_path / "o.csv").write_text(freeze(m, f"o/q/{QUERY}"), newline="")
        with Mount({"o": str(tmp_path / "o.csv")}) as m:
            assert tree(m, "o") == before and len(before) == 16
