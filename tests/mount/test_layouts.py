# SPDX-License-Identifier: Apache-2.0
"""names=: the trees of other tools, so that what was written for their downloads runs on
a mount; the glob patterns here are those of such scripts."""
import csv
import glob
import os
import re
import subprocess
import time

import pydicom
import pytest

import synthetic
from vivomount import BINARY, Mount, environment

ACQUISITIONS = [2, 2, 1, None, 1]  # along InstanceNumber 1 …


def save(ds, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, write_like_original=False)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """One CT series of twelve images, one of five in several acquisitions, a series
    without number and texts, and two series that share all that the layout shows."""
    root = tmp_path_factory.mktemp("trial")
    for i in range(12):
        ds = synthetic.instance("trial", 0, 0, 0, i)
        ds.StudyID, ds.StudyDescription = "", "CT CHEST W/O, low dose (" + "x" * 60
        save(ds, root / f"a{i}.dcm")
    for i, acquisition in enumerate(ACQUISITIONS):
        ds = synthetic.instance("trial", 1, 0, 0, i)
        if acquisition:
            ds.AcquisitionNumber = acquisition
        save(ds, root / f"b{i}.dcm")
    ds = synthetic.instance("trial", 1, 1, 0, 0)
    for keyword in ("StudyDate", "StudyID", "StudyDescription", "SeriesNumber",
                    "SeriesDescription", "InstanceNumber"):
        delattr(ds, keyword)
    save(ds, root / "c.dcm")
    for i in range(2):
        ds = synthetic.instance("trial", 1, 2, 0, i)
        ds.SeriesInstanceUID = f"1.2.3.{i}.12345"
        save(ds, root / f"d{i}.dcm")
    return root


def of(m, paths):
    """{relative path: data set}"""
    return {p: pydicom.dcmread(m / "x/" + p, stop_before_pixels=True) for p in paths}


def test_tcia_layout_is_that_of_the_data_retriever(trial):
    with Mount({"x": str(trial)}, "names=tcia") as m:
        sets = of(m, [p for p in m.files("x") if p.endswith(".dcm")])
        assert len(sets) == 20
        uid = synthetic.uid("trial", 0, 0)[-5:], synthetic.uid("trial", 0, 0, 0)[-5:]
        text = ("CT CHEST WO low dose " + "x" * 60)[:53]
        folder = f"all/PAT0000/01-01-2020-NA-{text}-{uid[0]}/1.000000-Series 0-{uid[1]}"
        assert {p: ds.InstanceNumber for p, ds in sets.items() if "PAT0000" in p} == {
            f"{folder}/1-{n:02}.dcm": n for n in range(1, 13)}
        # Along InstanceNumber the acquisitions change three times: 2 2 | 1 | none | 1.
        several = {os.path.basename(p): ds.InstanceNumber for p, ds in sets.items()
                   if ds.StudyInstanceUID == synthetic.uid("trial", 1, 0)}
        assert several == {"1-1.dcm": 1, "1-2.dcm": 2, "2-1.dcm": 3, "3-1.dcm": 4,
                           "4-1.dcm": 5}
        bare, = (p for p, ds in sets.items() if "StudyDate" not in ds)
        assert bare == "all/PAT0001/NA-NA-%s/NA-%s/1-1.dcm" % (
            synthetic.uid("trial", 1, 1)[-5:], synthetic.uid("trial", 1, 1, 0)[-5:])
        twins = sorted({os.path.dirname(p).rsplit("/", 1)[1] for p, ds in sets.items()
                        if ds.SeriesInstanceUID.startswith("1.2.3.")})
        assert twins[0] == "1.000000-Series 0-12345" and len(twins) == 2
        assert re.fullmatch(r"1\.000000-Series 0-12345_[a-z2-7]{12}", twins[1])


def test_scripts_written_for_tcia_downloads_run(trial):
    with Mount({"x": str(trial)}, "names=tcia") as m:
        root = m / "x"
        with open(os.path.join(root, "metadata.csv"), newline="") as f:
            text = f.read()
        assert text.count("\r\n") == text.count("\n") == 6 and '"' not in text
        rows = list(csv.DictReader(text.splitlines()))
        assert len(rows) == 5
        for row in rows:
            # What loaders do with it: join the location, take the slices in order.
            files = sorted(glob.glob(os.path.join(root, row["File Location"], "*.dcm")))
            assert len(files) == int(row["Number of Images"])
            ds = pydicom.dcmread(files[0], stop_before_pixels=True)
            assert ds.SeriesInstanceUID == row["Series UID"]
            assert ds.PatientID == row["Subject ID"] and ds.Modality == row["Modality"]
            size = sum(map(os.path.getsize, files)) / 1000
            assert row["File Size"] == f"{size:.2f} KB"
            assert row["SOP Class Name"] == "CT Image Storage"
        assert {r["Study Date"] for r in rows} >= {"01-01-2020", ""}
        scans = glob.glob(os.path.join(root, "all", "PAT*", "*-*-*-NA-*", "*.000000-*",
                                       "1-*.dcm"))
        slices = sorted(scans, key=lambda p: int(p[:-4].rsplit("-", 1)[1]))
        assert [pydicom.dcmread(p).InstanceNumber for p in slices] == list(range(1, 13))
        with open(m / "x/all/metadata.csv") as f:
            assert f.read().count("./PAT0000/01-01-2020-NA-") == 1


def test_tcia_names_follow_what_changes(trial, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in (0, 1):
        save(synthetic.instance("trial", 0, 0, 0, 2 * i), folder / f"{i}.dcm")
    with Mount({"x": str(folder)}, "names=tcia", home=str(home)) as m:
        first = of(m, ["all/PAT0000/" + p for p in m.files("x/all/PAT0000")])
        assert sorted(int(d.InstanceNumber) for d in first.values()) == [1, 3]
    save(synthetic.instance("trial", 0, 0, 0, 1), folder / "between.dcm")
    with Mount({"x": str(folder)}, "names=tcia", home=str(home)) as m:
        end = time.monotonic() + 20
        while len(names := m.files("x/all/PAT0000")) < 3:
            assert time.monotonic() < end
        shown = of(m, ["all/PAT0000/" + p for p in names])
        assert {os.path.basename(p): int(d.InstanceNumber) for p, d in shown.items()} == {
            "1-1.dcm": 1, "1-2.dcm": 2, "1-3.dcm": 3}


def test_uid_layout_is_plain_uids(trial):
    with Mount({"x": str(trial)}, "names=uid") as m:
        for path, ds in of(m, m.files("x")).items():
            assert path == "/".join(("all", ds.PatientID, ds.StudyInstanceUID,
                                     ds.SeriesInstanceUID, ds.SOPInstanceUID + ".dcm"))
        found = m.files("x/q/AcquisitionNumber=2")
        assert len(found) == 2


def test_idc_and_xnat_layouts_of_a_folder(trial):
    with Mount({"x": str(trial)}, "names=idc") as m:
        for path, ds in of(m, m.files("x")).items():
            assert path == "/".join(("all", ds.PatientID, ds.StudyInstanceUID,
                                     f"{ds.Modality}_{ds.SeriesInstanceUID}",
                                     ds.SOPInstanceUID + ".dcm"))
    with Mount({"x": str(trial)}, "names=xnat") as m:
        names = m.files("x")
        assert len(names) == 20
        assert sum(n.startswith("all/PAT0000/ACC0000/1/") for n in names) == 12


def test_layouts_show_no_original_under_a_profile(trial, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    for layout in ("uid", "tcia", "idc", "xnat"):
        with Mount({"x": str(trial)}, f"names={layout},key={key}", deid="basic") as m:
            names = m.files("x")
            text = "\n".join(names)
            assert len([n for n in names if n.endswith(".dcm")]) == 20
            for original in ("PAT0", "2020", "ACC0", "Series 0", "CHEST",
                             synthetic.uid("trial", 0, 0)[-5:] + "/"):
                assert original not in text
            if layout == "tcia":
                with open(m / "x/metadata.csv") as f:
                    assert "PAT0" not in f.read()


def test_unknown_layout_is_refused_with_those_there_are(trial, tmp_path):
    done = subprocess.run([BINARY, "mount", "-f", "-o", "names=nbia", str(trial),
                           str(tmp_path)], text=True, capture_output=True,
                          env=environment(str(tmp_path)))
    assert done.returncode == 1
    assert "'nbia' is none of own, uid, tcia, idc, xnat" in done.stderr


@pytest.mark.parametrize("names", ["tcia", "xnat"])
def test_names_do_not_hang_on_the_order_of_files(tmp_path, names):
    """Eight series that share all that the layout shows, under other file names."""
    for folder, order in (("a", range(8)), ("b", reversed(range(8)))):
        for place, i in enumerate(order):
            ds = synthetic.instance("order", 0, 0, 0, 0)
            ds.SeriesInstanceUID = f"1.2.3.{i}.12345"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{i}"
            save(ds, tmp_path / folder / f"{place}.dcm")
    trees = []
    for folder in ("a", "b"):
        with Mount({"x": str(tmp_path / folder)}, "names=" + names) as m:
            trees.append({p: d.SeriesInstanceUID for p, d in of(m, m.files("x")).items()})
    assert len(trees[0]) == 8 and trees[0] == trees[1]
