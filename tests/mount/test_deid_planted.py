# SPDX-License-Identifier: Apache-2.0
"""`vivofs deid` over planted objects: no token survives, and every reader reads on."""
import os
import re
import subprocess
import sys
import warnings

import pydicom
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import phi_plant  # noqa: E402

warnings.filterwarnings("ignore")
VIVOFS = os.environ["VIVOFS"]
LIMIT = 60
REAL = ["CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm", "JPEG2000.dcm", "rtplan.dcm", "rtstruct.dcm", "rtdose.dcm",
        "rtdose_rle.dcm", "waveform_ecg.dcm", "test-SR.dcm", "liver_1frame.dcm",
        "SC_rgb_jpeg_dcmtk.dcm"]
WORDS = {"retain-uids": 1, "retain-device": 2, "retain-institution": 3,
         "retain-patient-characteristics": 4, "retain-full-dates": 5}


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"a key of more than thirty-two bytes for the tests")
    path.chmod(0o600)
    return str(path)


def deid(profile, key, src, dst):
    p = subprocess.run([VIVOFS, "deid", "--profile", profile, "--key", key, str(src), str(dst)],
                       capture_output=True, text=True, timeout=LIMIT)
    assert p.returncode == 0, p.stderr
    return open(dst, "rb").read()


def texts(ds):
    """What a reader sees: after decoding, which a search of the bytes would not find."""
    for el in ds:
        if el.VR == "SQ":
            for item in el.value:
                yield from texts(item)
        elif isinstance(el.value, bytes):
            yield el.value
        else:
            yield str(el.value).encode("utf8", "replace")


def holds(seen, token):
    """Digits must not be found inside longer numbers, such as replaced UIDs."""
    edge = rb"(?<![0-9])%s(?![0-9])" if re.fullmatch(r"[0-9.]+", token) else rb"%s"
    return re.search(edge % re.escape(token.encode()), seen) is not None


def without_comments(pixels):
    """The encoder's comments in the header of a JPEG 2000 codestream, as zeros."""
    head, data = pixels[:pixels.find(b"\xff\x93")], pixels[pixels.find(b"\xff\x93"):]
    if b"\xff\x4f\xff\x51" not in head:
        return pixels
    for m in re.finditer(rb"\xff\x64", head):
        n = int.from_bytes(head[m.end():m.end() + 2], "big")
        head = head[:m.end() + 4] + bytes(n - 4) + head[m.end() + n:]
    return head + data


@pytest.mark.parametrize("kind", sorted(phi_plant.SYNTAXES))
def test_no_token_survives_basic(kind, key, tmp_path):
    tokens, pixels = phi_plant.plant(kind, tmp_path / "in.dcm")
    assert len(tokens) > 1000
    raw = deid("basic", key, tmp_path / "in.dcm", tmp_path / "out.dcm")
    ds = pydicom.dcmread(tmp_path / "out.dcm")
    seen = raw + b"\n" + b"\n".join(texts(ds)) + b"\n".join(texts(ds.file_meta))
    assert [k for k, token in tokens.items() if holds(seen, token)] == []
    assert bytes(ds.PixelData) == without_comments(pixels)
    assert ds.PatientName == ds.PatientID and ds.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("word", sorted(WORDS))
def test_option_keeps_its_column_and_nothing_else(word, key, tmp_path):
    tokens, _ = phi_plant.plant("explicit", tmp_path / "in.dcm")
    raw = deid("basic+" + word, key, tmp_path / "in.dcm", tmp_path / "out.dcm")
    seen = raw + b"\n" + b"\n".join(texts(pydicom.dcmread(tmp_path / "out.dcm")))
    letters = {row[1]: row[4] for row in phi_plant.table()}
    sequences = {row[1] for row in phi_plant.table() if row[2] == "SQ"}
    lost, leaked = [], []
    for (place, keyword), token in tokens.items():
        kept = letters.get(keyword, "." * 10)[WORDS[word]] == "K" and keyword not in sequences
        if kept != holds(seen, token):
            (lost if kept else leaked).append((place, keyword))
    assert leaked == []
    assert lost == []


@pytest.mark.parametrize("name", REAL)
def test_other_tools_read_the_result(name, key, tmp_path):
    source = os.path.join(phi_plant.FILES, name)
    out = tmp_path / "out.dcm"
    deid("basic", key, source, out)
    for tool in (["dcmdump", "-q"], ["gdcminfo"]):
        before = subprocess.run(tool + [source], capture_output=True, timeout=LIMIT)
        after = subprocess.run(tool + [str(out)], capture_output=True, timeout=LIMIT)
        assert after.returncode == 0 or before.returncode != 0, after.stderr
        assert len(after.stderr) <= len(before.stderr)


def kinds(path):
    """Errors of dciodvfy without the values in them."""
    p = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=LIMIT)
    lines = (p.stdout + p.stderr).decode("latin1").splitlines()
    return {re.sub(r"\d+|= <.*", "", line) for line in lines if line.startswith("Error")}


@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_finds_no_new_kind_of_error(name, key, tmp_path):
    source = os.path.join(phi_plant.FILES, name)
    deid("basic", key, source, tmp_path / "out.dcm")
    assert sorted(kinds(tmp_path / "out.dcm") - kinds(source)) == []


def test_references_hold_between_files(key, tmp_path):
    """Study, series and frame of reference stay shared by what shared them."""
    shown = []
    for n in (1, 2):
        ds = pydicom.dcmread(os.path.join(phi_plant.FILES, "CT_small.dcm"))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.77.%d" % n
        ref = pydicom.Dataset()
        ref.ReferencedSOPClassUID = ds.SOPClassUID
        ref.ReferencedSOPInstanceUID = "1.2.826.0.1.77.%d" % (3 - n)
        ds.SourceImageSequence = [ref]
        ds.save_as(tmp_path / ("in%d.dcm" % n))
        deid("basic", key, tmp_path / ("in%d.dcm" % n), tmp_path / ("out%d.dcm" % n))
        shown.append(pydicom.dcmread(tmp_path / ("out%d.dcm" % n)))
    a, b = shown
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert getattr(a, keyword) == getattr(b, keyword)
    assert a.SourceImageSequence[0].ReferencedSOPInstanceUID == b.SOPInstanceUID
    assert b.SourceImageSequence[0].ReferencedSOPInstanceUID == a.SOPInstanceUID
