# SPDX-License-Identifier: Apache-2.0
"""Clean Pixel Data: what a rule names is black in every frame, all else is as it was.

Oracles are DCMTK's and GDCM's command-line tools and pydicom, over pydicom's own test
files, in each codec that people have."""
import json
import os
import shutil
import subprocess
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.uid import ExplicitVRLittleEndian

from vivomount import BINARY, Mount

warnings.filterwarnings("ignore")
LIMIT = 60
RECT = (10, 20, 40, 30)  # x y w h; CTP blanks one row more than h
FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
CODECS = {
    "CT_small.dcm": None,
    "MR_small_bigendian.dcm": None,
    "MR_small_implicit.dcm": None,
    "image_dfl.dcm": "dcmconv",
    "MR_small_RLE.dcm": "dcmdrle",
    "SC_rgb_rle.dcm": "dcmdrle",
    "SC_rgb_rle_2frame.dcm": "dcmdrle",
    "SC_rgb_rle_16bit_2frame.dcm": "dcmdrle",
    "JPEG-lossy.dcm": "dcmdjpeg +cn",
    "SC_rgb_dcmtk_+eb+cr.dcm": "dcmdjpeg +cn",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "dcmdjpeg +cn",
    "SC_rgb_jpeg_gdcm.dcm": "dcmdjpeg +cn",
    "MR_small_jpeg_ls_lossless.dcm": "dcmdjpls",
    "JPEG2000.dcm": "gdcmconv -w",
    "MR_small_jp2klossless.dcm": "gdcmconv -w",
    "SC_rgb_gdcm_KY.dcm": "gdcmconv -w",
    "GDCMJ2K_TextGBR.dcm": "gdcmconv -w",
}


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"a key of more than thirty-two bytes for the tests")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "pixels.script"
    path.write_text("Everything has a name in its corner.\n{ true } (%d,%d,%d,%d)\n" % RECT)
    return str(path)


def deid(key, src, dst, *more, profile="basic+clean-pixel-data"):
    return subprocess.run([BINARY, "deid", "--profile", profile, "--key", key, *more,
                           str(src), str(dst)],
                          capture_output=True, text=True, timeout=LIMIT)


def source(name):
    return os.path.join(FILES, name)


def frames(path):
    """(frame, row, column, sample), colour by pixel, native files only."""
    ds = pydicom.dcmread(path, force=True)
    n, spp = int(ds.get("NumberOfFrames", 1)), ds.SamplesPerPixel
    order = "<" if ds.is_little_endian else ">"
    cells = np.frombuffer(ds.PixelData, f"{order}u{ds.BitsAllocated // 8}")
    cells = cells[:n * spp * ds.Rows * ds.Columns]
    if ds.get("PlanarConfiguration") == 1:
        return cells.reshape(n, spp, ds.Rows, ds.Columns).transpose(0, 2, 3, 1)
    return cells.reshape(n, ds.Rows, ds.Columns, spp)


def native(name, tmp_path):
    tool = CODECS[name]
    if not tool:
        return source(name)
    out = str(tmp_path / "native.dcm")
    subprocess.run([*tool.split(), source(name), out], check=True, capture_output=True)
    return out


def black_of(ds, shape):
    black = np.zeros(shape, int)
    if ds.PhotometricInterpretation.startswith("YBR_FULL"):
        black[..., 1:] = 1 << (ds.BitsStored - 1)
    return black


@pytest.mark.parametrize("name", CODECS)
def test_73_only_the_rectangle_is_blanked(name, key, script, tmp_path):
    out = tmp_path / "out.dcm"
    run = deid(key, source(name), out, "--pixels", script)
    assert run.returncode == 0, run.stderr
    want, got = frames(native(name, tmp_path)), frames(str(out))
    assert want.shape == got.shape
    ds = pydicom.dcmread(out)
    x, y, w, h = RECT
    inside = np.zeros(want.shape, bool)
    inside[:, y:y + h + 1, x:x + w] = True
    assert inside.any() and want[~inside].any()
    assert want[inside].any() or name == "JPEG2000.dcm"  # its corner is black anyway
    black = black_of(ds, want.shape)
    assert (got[inside] == black[inside]).all()
    assert (got[~inside] == want[~inside]).all()
    assert ds.BurnedInAnnotation == "NO"
    codes = [i.CodeValue for i in ds.DeidentificationMethodCodeSequence]
    assert "113101" in codes
    if pydicom.dcmread(source(name)).file_meta.TransferSyntaxUID.is_compressed:
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


@pytest.mark.parametrize("name", [n for n in CODECS if CODECS[n] and "dcmconv" not in CODECS[n]])
def test_67_the_picture_is_the_same_without_its_comments(name, key, tmp_path):
    out, decoded = tmp_path / "out.dcm", str(tmp_path / "decoded.dcm")
    assert deid(key, source(name), out, profile="basic").returncode == 0
    given, got = pydicom.dcmread(source(name)), pydicom.dcmread(out)
    assert got.file_meta.TransferSyntaxUID == given.file_meta.TransferSyntaxUID
    assert len(got.PixelData) == len(given.PixelData)
    subprocess.run([*CODECS[name].split(), str(out), decoded], check=True, capture_output=True)
    assert (frames(decoded) == frames(native(name, tmp_path))).all()


def jpeg_with_comment(text):
    ds = pydicom.dcmread(source("SC_rgb_dcmtk_+eb+cr.dcm"))
    [frame] = generate_pixel_data_frame(ds.PixelData, 1)
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
    exif = b"\xff\xe1" + (len(text) + 8).to_bytes(2, "big") + b"Exif\0\0" + text
    ds.PixelData = encapsulate([frame[:2] + exif + comment + frame[2:]])
    return ds


@pytest.mark.parametrize("profile", ["basic", "research", "limited"])
def test_67_a_mount_shows_no_comment(profile, key, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    jpeg_with_comment(b"DOE^JANE 1234567").save_as(folder / "a.dcm")
    with Mount({"loc": folder}, f"key={key},burned_in=allow", deid=profile) as m:
        [path] = m.files("loc/all")
        data = open(m / f"loc/all/{path}", "rb").read()
    assert b"DOE" not in data and b"1234567" not in data and b"Exif" not in data
    (tmp_path / "o.dcm").write_bytes(data)
    subprocess.run(["dcmdjpeg", "+cn", tmp_path / "o.dcm", tmp_path / "n.dcm"], check=True)
    want = native("SC_rgb_dcmtk_+eb+cr.dcm", tmp_path)
    assert (frames(str(tmp_path / "n.dcm")) == frames(want)).all()


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"])
def test_what_was_lossy_says_so_when_decoded(name, key, script, tmp_path):
    out = tmp_path / "out.dcm"
    assert deid(key, source(name), out, "--pixels", script).returncode == 0
    assert pydicom.dcmread(out).LossyImageCompression == "01"


def test_the_result_is_the_same_every_time(key, script, tmp_path):
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    for out in (one, two):
        assert deid(key, source("SC_rgb_jpeg_gdcm.dcm"), out, "--pixels", script).returncode == 0
    assert one.read_bytes() == two.read_bytes()


def burned(tmp_path, name="SC_rgb_rle_2frame.dcm", **tags):
    ds = pydicom.dcmread(source(name))
    ds.BurnedInAnnotation = "YES"
    ds.Manufacturer = "ACME"
    for k, v in tags.items():
        setattr(ds, k, v)
    path = tmp_path / "burned.dcm"
    ds.save_as(path)
    return path


def test_73_burned_in_text_needs_a_rule_that_fits(key, tmp_path):
    rule, out = tmp_path / "r", tmp_path / "out.dcm"
    rule.write_text('{ Manufacturer.equals("OTHER") } (0,0,5,5)')
    run = deid(key, burned(tmp_path), out, "--pixels", rule)
    assert run.returncode == 1 and "BurnedInAnnotation" in run.stderr
    rule.write_text('{ Manufacturer.equals("ACME") }')  # says nothing, so blanks nothing
    assert deid(key, burned(tmp_path), out, "--pixels", rule).returncode == 1
    rule.write_text('{ Manufacturer.equals("ACME") } (0,0,5,5)')
    assert deid(key, burned(tmp_path), out, "--pixels", rule).returncode == 0
    assert pydicom.dcmread(out).BurnedInAnnotation == "NO"


def test_73_strict_asks_a_rule_to_speak_for_the_kind(key, tmp_path):
    rule, out = tmp_path / "r", tmp_path / "out.dcm"
    capture = source("SC_rgb_rle_2frame.dcm")
    strict = ("--burned-in", "strict", "--pixels", rule)
    rule.write_text('{ Modality.equals("none") } (0,0,5,5)')
    assert deid(key, capture, out, *strict).returncode == 1
    rule.write_text("{ true } nothing is burned in here")
    assert deid(key, capture, out, *strict).returncode == 0
    assert "BurnedInAnnotation" not in pydicom.dcmread(out)
    rule.write_text("{ true } (0,0,5,5)")
    assert deid(key, capture, out, *strict).returncode == 0
    assert pydicom.dcmread(out).BurnedInAnnotation == "NO"


def test_built_in_rules_blank_known_consoles_and_leave_others_refused(key, tmp_path):
    subprocess.run(["dcmdrle", source("SC_rgb_rle_2frame.dcm"), tmp_path / "n.dcm"], check=True)
    ds = pydicom.dcmread(tmp_path / "n.dcm")
    ds.Modality, ds.ManufacturerModelName, ds.BurnedInAnnotation = "US", "iU22", "YES"
    ds.Rows, ds.Columns, ds.NumberOfFrames = 480, 640, 1
    ds.PixelData = b"\x55" * (480 * 640 * 3)
    path, out = tmp_path / "in.dcm", tmp_path / "out.dcm"
    ds.save_as(path)
    assert deid(key, path, out).returncode == 0
    got = frames(str(out))
    assert not got[:, :61].any() and (got[:, 61:] == 0x55).all()
    ds.ManufacturerModelName = "unknown"
    ds.save_as(path)
    assert deid(key, path, tmp_path / "no.dcm").returncode == 1


def test_what_is_served_uncleaned_does_not_claim_the_option(key, tmp_path):
    rule, out = tmp_path / "r", tmp_path / "out.dcm"
    rule.write_text('{ Manufacturer.equals("OTHER") } (0,0,5,5)')
    run = deid(key, burned(tmp_path), out, "--burned-in", "allow", "--pixels", rule)
    assert run.returncode == 0, run.stderr
    ds = pydicom.dcmread(out)
    assert ds.BurnedInAnnotation == "YES"
    assert "113101" not in [i.CodeValue for i in ds.DeidentificationMethodCodeSequence]


def test_risk_is_counted_where_no_rule_takes_it_away(key, tmp_path):
    folder, rule = tmp_path / "in", tmp_path / "r"
    folder.mkdir()
    for i, maker in enumerate(["ACME", "OTHER", "OTHER"]):
        path = burned(tmp_path, Manufacturer=maker, SOPInstanceUID=f"1.2.3.{i}",
                      BurnedInAnnotation=["YES", "YES", ""][i])
        shutil.move(path, folder / f"{i}.dcm")
    rule.write_text('{ Manufacturer.equals("ACME") } (0,0,5,5)')
    with Mount({"loc": folder}, f"key={key},pixels={rule}",
               deid="basic+clean-pixel-data") as m:
        m.files("loc/all")
        [archive] = json.load(open(m / ".vivofs/status.json"))["archives"]
        assert (archive["refused"], archive["at_risk"]) == (1, 1)


@pytest.mark.parametrize("planar", [0, 1])
def test_a_rectangle_may_count_from_the_far_corner(planar, key, tmp_path):
    rule, path, out = tmp_path / "r", tmp_path / "in.dcm", tmp_path / "out.dcm"
    subprocess.run(["dcmdrle", source("SC_rgb_rle_2frame.dcm"), path], check=True)
    ds = pydicom.dcmread(path)
    cells = frames(str(path))
    ds.PlanarConfiguration = planar
    ds.PixelData = (cells.transpose(0, 3, 1, 2) if planar else cells).tobytes()
    ds.save_as(path)
    rule.write_text("{ true } (-10,-5,100,100) (0, 0, 3, 1) (1,1,4,1)")
    assert deid(key, path, out, "--pixels", rule).returncode == 0
    assert pydicom.dcmread(out).PlanarConfiguration == planar
    want, got = frames(str(path)).copy(), frames(str(out))
    want[:, :2, :3] = 0
    want[:, 1:3, 1:5] = 0
    want[:, -5:, -10:] = 0
    assert (want == got).all()


@pytest.mark.parametrize("name,black", [("MONOCHROME1", 255), ("MONOCHROME2", 0)])
def test_black_is_what_is_black_in_the_object(name, black, key, script, tmp_path):
    ds = pydicom.dcmread(source("CT_small.dcm"))
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(range(1, 129)) * 128
    ds.PhotometricInterpretation = name
    path, out = tmp_path / "in.dcm", tmp_path / "out.dcm"
    ds.save_as(path)
    assert deid(key, path, out, "--pixels", script).returncode == 0
    got = frames(str(out))
    assert (got[:, 20:51, 10:50] == black).all()
    assert (got[:, 51:] == frames(str(path))[:, 51:]).all()


@pytest.mark.parametrize("text,why", [
    ("{ Modality.equals(\"CT\") \n", ":1: a signature without '}'"),
    ("\n{ Modality.is(\"CT\") } (1,2,3,4)", ":2: no method 'is'"),
    ("{ true } (1,2,3)", ":1: a rectangle is (x,y,width,height)"),
    ("nothing at all", ":1: a pixel script without a signature"),
])
def test_a_wrong_script_is_refused_with_file_and_line(text, why, key, tmp_path):
    rule = tmp_path / "wrong.script"
    rule.write_text(text)
    run = deid(key, source("CT_small.dcm"), tmp_path / "out.dcm", "--pixels", rule)
    assert run.returncode == 1 and str(rule) + why in run.stderr


def test_a_script_needs_its_option(key, script, tmp_path):
    run = deid(key, source("CT_small.dcm"), tmp_path / "o", "--pixels", script, profile="basic")
    assert run.returncode == 1 and "clean-pixel-data" in run.stderr


def test_a_frame_that_does_not_decode_costs_one_file(key, script, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    ds = pydicom.dcmread(source("SC_rgb_jpeg_gdcm.dcm"))
    good = bytes(ds.PixelData)
    [frame] = generate_pixel_data_frame(good, 1)
    for i in range(8):
        bad = bytearray(frame)
        for at in range(len(bad) // 3 + 101 * i, len(bad) - 2, 37 + i):
            bad[at] ^= 0x5A
        ds.PixelData = encapsulate([bytes(bad)])
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{i}"
        ds.save_as(folder / f"{i}.dcm")
    shutil.copy(source("CT_small.dcm"), folder)
    run = deid(key, folder, tmp_path / "out", "--pixels", script)
    written = [n for _, _, names in os.walk(tmp_path / "out") for n in names]
    assert any("pixels: " in line for line in run.stderr.splitlines()) or len(written) == 9
    assert written and "Traceback" not in run.stderr


WRONG = {"Rows": 99, "Columns": 101, "SamplesPerPixel": 1, "BitsAllocated": 16}


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_gdcm_KY.dcm",
                                  "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_rle.dcm"])
@pytest.mark.parametrize("what", WRONG)
def test_a_header_of_another_picture_is_refused(what, name, key, script, tmp_path):
    ds = pydicom.dcmread(source(name))
    setattr(ds, what, WRONG[what])
    if what == "SamplesPerPixel":
        ds.PhotometricInterpretation = "MONOCHROME2"
    path, out = tmp_path / "in.dcm", tmp_path / "out.dcm"
    ds.save_as(path)
    run = deid(key, path, out, "--pixels", script)
    if name == "SC_rgb_rle.dcm" and what == "Rows":
        assert run.returncode == 0  # RLE knows no rows: it is the header's picture
        return
    assert run.returncode == 1 and "pixels: a frame cannot be decoded" in run.stderr
    assert not out.exists()


def test_frames_that_the_header_does_not_count_are_not_shown(key, script, tmp_path):
    ds = pydicom.dcmread(source("MR_small.dcm"))
    one = bytes(ds.PixelData)
    ds.PixelData = one * 3
    path, out = tmp_path / "in.dcm", tmp_path / "out.dcm"
    ds.save_as(path)
    assert deid(key, path, out, "--pixels", script).returncode == 0
    got = bytes(pydicom.dcmread(out).PixelData)
    assert got[:len(one)].strip(b"\0") and got[len(one):] == bytes(2 * len(one))


def test_a_mount_serves_blanked_frames_with_their_exact_size(key, script, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["SC_rgb_jpeg_gdcm.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "CT_small.dcm"]
    want = {}
    for i, name in enumerate(names):
        ds = pydicom.dcmread(source(name))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.7.{i}"
        ds.save_as(folder / name)
        out = tmp_path / ("o" + name)
        assert deid(key, folder / name, out, "--pixels", script).returncode == 0
        want[pydicom.dcmread(out).SOPInstanceUID] = out.read_bytes()
    with Mount({"loc": folder}, f"key={key},pixels={script}",
               deid="basic+clean-pixel-data") as m:
        paths = [m / f"loc/all/{f}" for f in m.files("loc/all")]
        assert len(paths) == len(names)
        for path in paths:
            size = os.stat(path).st_size
            data = open(path, "rb").read()
            assert len(data) == size
            assert want.pop(pydicom.dcmread(path).SOPInstanceUID) == data
        text = open(m / ".vivofs/conformance.txt").read()
        assert "113101 Clean Pixel Data Option" in text
    assert not want
