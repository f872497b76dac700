# SPDX-License-Identifier: Apache-2.0
"""CTP's scripts from the user's side: a mount under deid=ctp:FILE and filter=FILE, the
command, and the DICOMDIR that it rebuilds."""
import glob
import json
import os
import shutil
import subprocess

import pydicom
import pytest
from pydicom.fileset import FileSet

from vivomount import BINARY, Mount, environment

DATA = "/usr/lib/python3/dist-packages/pydicom/data/test_files"
PLANTED = {
    "PatientName": "PLANTEDNAME^ANNE",
    "PatientID": "PLANTEDID4711",
    "AccessionNumber": "PLANTEDACC",
    "InstitutionName": "PLANTEDHOUSE",
    "StudyDescription": "PLANTEDSTUDY",
    "ReferringPhysicianName": "PLANTEDDOC",
}
SCRIPT = """<?xml version="1.0"?>
<script>
  <p t="SITE">7</p>
  <p t="ROOT">1.2.3</p>
  <e en="T" t="00080018" n="SOPInstanceUID">@hashuid(@ROOT,this)</e>
  <e en="T" t="00080020" n="StudyDate">@hashdate(this,PatientID)</e>
  <e en="T" t="00080050" n="AccessionNumber">@contents(PatientName)</e>
  <e en="T" t="00080080" n="InstitutionName">@keep()</e>
  <e en="T" t="00081030" n="StudyDescription">Trial @param(@SITE)</e>
  <e en="T" t="00100020" n="PatientID">@lookup(this,ptid)</e>
  <e en="T" t="00120010" n="ClinicalTrialSponsorName">@always()ACME</e>
  <e en="T" t="00180060" n="KVP">@remove()</e>
</script>
"""


@pytest.fixture
def site(tmp_path):
    """A folder of two planted CTs and an MR, a script with its table, a key."""
    (tmp_path / "in").mkdir()
    for i in range(2):
        ds = pydicom.dcmread(f"{DATA}/CT_small.dcm")
        for keyword, value in PLANTED.items():
            setattr(ds, keyword, value)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.{i}"
        ds.InstanceNumber = i + 1
        ds.save_as(tmp_path / "in" / f"{i}.dcm")
    shutil.copy(f"{DATA}/MR_small.dcm", tmp_path / "in")
    (tmp_path / "a.script").write_text(SCRIPT)
    (tmp_path / "lookup-table.properties").write_text(
        "ptid/PLANTEDID4711=CASE-1\nptid/4MR1=CASE-2\n"
    )
    (tmp_path / "f.script").write_text('// CT alone\nModality.equals("CT")\n')
    key = tmp_path / "key"
    key.write_bytes(bytes(range(64)))
    key.chmod(0o600)
    return tmp_path


def run(site, *words):
    return subprocess.run(
        [BINARY, *map(str, words)],
        env=environment(str(site)),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_mount_shows_what_the_script_sets_and_nothing_planted(site):
    options = f"key={site}/key,cache=memory,filter={site}/f.script"
    with Mount({"loc": site / "in"}, options, deid=f"ctp:{site}/a.script") as m:
        files = glob.glob(f"{m.path}/loc/all/*/*/*/*.dcm")
        assert len(files) == 2
        assert {f.split("/")[-4] for f in files} == {"CASE-1"}
        for path in files:
            with open(path, "rb") as f:
                raw = f.read()
            for value in PLANTED.values():
                assert value.split("^")[0].encode() not in raw
                assert value.split("^")[0] not in path
            ds = pydicom.dcmread(path)
            assert ds.PatientID == ds.PatientName == "CASE-1"
            assert ds.StudyDescription == "Trial 7"
            assert ds.ClinicalTrialSponsorName == "ACME"
            assert "KVP" not in ds and "InstitutionName" not in ds
            assert ds.LongitudinalTemporalInformationModified == "MODIFIED"
            assert ds.StudyDate and ds.StudyDate != "20040119"
            assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        found = glob.glob(f"{m.path}/loc/q/PatientID=CASE-1/**/*.dcm", recursive=True)
        assert len(found) == 2
        error = open(f"{m.path}/loc/q/KVP=120/.error").read()
        assert "deid=none" in error
        with open(f"{m.path}/.vivofs/status.json") as f:
            status = json.load(f)["archives"][0]
        assert status["hidden"] == 1 and status["profile"] == "ctp:a.script"
        statement = open(f"{m.path}/.vivofs/conformance.txt").read()
        assert "Script: a.script" in statement and "(0008,0050) line 7" in statement


def test_a_bad_script_is_told_at_once_with_its_line(site):
    (site / "bad.script").write_text('<script>\n<e en="T" t="00081030">@call(x)</e>\n</script>')
    done = run(site, "deid", "--key", site / "key", "--profile",
               f"ctp:{site}/bad.script", site / "in/0.dcm", site / "o.dcm")
    assert done.returncode != 0 and "bad.script:2: @call" in done.stderr
    assert not (site / "o.dcm").exists()
    done = run(site, "query", "-o", f"key={site}/key,deid=ctp:{site}/bad.script",
               "has Modality", site / "in")
    assert done.returncode != 0 and "bad.script:2: @call" in done.stderr


def test_a_miss_in_the_table_quarantines(site):
    (site / "lookup-table.properties").write_text("ptid/PLANTEDID4711=CASE-1\n")
    done = run(site, "deid", "--key", site / "key", "--profile",
               f"ctp:{site}/a.script", site / "in/MR_small.dcm", site / "o.dcm")
    assert done.returncode != 0 and "quarantines" in done.stderr
    assert not (site / "o.dcm").exists()
    options = f"key={site}/key,cache=memory"
    with Mount({"loc": site / "in"}, options, deid=f"ctp:{site}/a.script") as m:
        assert len(glob.glob(f"{m.path}/loc/all/*/*/*/*.dcm")) == 3
        with open(f"{m.path}/loc/all/.refused.csv") as f:
            refused = f.read()
        assert refused.count("script") == 1 and "4MR1" not in refused


def test_a_dicomdir_is_rebuilt_over_what_was_written(site):
    shutil.copytree(f"{DATA}/dicomdirtests", site / "media")
    for other in glob.glob(f"{site}/media/DICOMDIR-*") + glob.glob(f"{site}/media/*.*"):
        if os.path.isfile(other):
            os.remove(other)
    done = run(site, "deid", "--key", site / "key", site / "media", site / "out")
    assert done.returncode == 0, done.stderr
    assert "DICOMDIR" in done.stderr
    written = glob.glob(f"{site}/out/P*/*/*/*.dcm")
    files = FileSet(str(site / "out/DICOMDIR"))
    assert len(list(files)) == len(written) > 50
    uids = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in written}
    assert {i.load().SOPInstanceUID for i in files} == uids
    assert {i.SOPInstanceUID for i in files} == uids
    for i in files:
        assert all(len(p) <= 8 for p in i.ReferencedFileID)
    with open(site / "out/DICOMDIR", "rb") as f:
        raw = f.read()
    original = FileSet(f"{DATA}/dicomdirtests/DICOMDIR")
    for i in original:
        assert i.SOPInstanceUID.encode() not in raw
        assert str(i.PatientID).encode() not in raw


def test_the_dicomdir_of_all_kinds_has_no_error_of_dciodvfy(site):
    for name in ("rtplan", "rtdose", "rtstruct", "reportsi", "test-SR", "waveform_ecg",
                 "liver_1frame", "CT_small", "SC_rgb"):
        if os.path.exists(f"{DATA}/{name}.dcm"):
            shutil.copy(f"{DATA}/{name}.dcm", site / "in")
    done = run(site, "deid", "--media", "--key", site / "key", site / "in", site / "out")
    assert (site / "out/DICOMDIR").exists(), done.stderr
    check = subprocess.run(["dciodvfy", str(site / "out/DICOMDIR")], capture_output=True,
                           text=True, timeout=60)
    assert "Error" not in check.stderr + check.stdout, check.stderr
    kinds = {r.DirectoryRecordType
             for r in pydicom.dcmread(site / "out/DICOMDIR").DirectoryRecordSequence}
    assert {"PATIENT", "STUDY", "SERIES", "IMAGE", "RT PLAN", "SR DOCUMENT"} <= kinds


def test_the_command_takes_a_filter(site):
    done = run(site, "deid", "--filter", site / "f.script", "--key", site / "key",
               site / "in", site / "out")
    assert done.returncode == 0, done.stderr
    assert "2 written" in done.stderr
