# SPDX-License-Identifier: Apache-2.0
"""`.preview.png` against what pydicom, numpy and Pillow make of the same pixels."""
import io
import os
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixel_data_handlers.util import convert_color_space
from pydicom.uid import ExplicitVRLittleEndian

import canaries
import synthetic
from test_dicomweb import Server
from vivomount import Mount
from webserver import wait_for

DATA = os.path.realpath(canaries.DATA)


def png(path):
    with open(path, "rb") as f:
        data = f.read()
    assert os.stat(path).st_size == len(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.mode == "RGB" and max(image.size) <= 1024
    return np.asarray(image).astype(int)


def objects(m):
    """Path of the series by SOP Instance UID."""
    found = {}
    for name in m.files():
        uid = pydicom.dcmread(m / name, stop_before_pixels=True, force=True)
        found[uid.SOPInstanceUID] = m / os.path.dirname(name)
    return found


def windowed(values, center, width):
    out = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(np.rint(out), 0, 255)


def stretched(values):
    lo, hi = np.quantile(values, [0.01, 0.99])
    return np.clip((values - lo) / (hi - lo) * 255, 0, 255)


def expected(ds):
    a = ds.pixel_array
    if ds.get("NumberOfFrames", 1) and int(ds.get("NumberOfFrames") or 1) > 1:
        a = a[int(ds.NumberOfFrames) // 2]
    if ds.SamplesPerPixel == 3:
        if ds.PhotometricInterpretation.startswith("YBR_FULL"):
            a = convert_color_space(a, ds.PhotometricInterpretation, "RGB")
        return a.astype(int) * 255 / (2 ** ds.BitsStored - 1)
    a = a.astype(float) * float(ds.get("RescaleSlope", 1))
    a += float(ds.get("RescaleIntercept", 0))
    if "WindowCenter" in ds:
        center, width = ds.WindowCenter, ds.WindowWidth
        first = lambda v: float(v[0] if isinstance(v, (list, pydicom.multival.MultiValue))
                                else v)
        a = windowed(a, first(center), first(width))
    else:
        a = stretched(a)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        a = 255 - a
    return np.repeat(a[:, :, None], 3, axis=2)


# Name and how far a value may be off: where codecs differ in rounding, and where the
# hundredths of a histogram lie.
FILES = {
    "MR_small.dcm": 1, "MR_small_RLE.dcm": 1, "MR_small_expb.dcm": 1,
    "MR_small_jp2klossless.dcm": 1, "JPEG2000.dcm": 4, "CT_small.dcm": 4,
    "SC_rgb_rle.dcm": 1, "SC_rgb_rle_16bit_2frame.dcm": 1, "SC_rgb_rle_2frame.dcm": 1,
    "SC_ybr_full_422_uncompressed.dcm": 2, "SC_rgb_gdcm_KY.dcm": 2,
    "SC_rgb_jpeg_dcmtk.dcm": 6, "SC_rgb_jpeg_dcmd.dcm": 1, "liver_1frame.dcm": 0,
    "ExplVR_BigEnd.dcm": 1, "image_dfl.dcm": 4, "SC_rgb_small_odd.dcm": 1,
}
SAME_AS = {"MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A mount where every file is a series of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    uids = {}
    for i, name in enumerate([*FILES, *SAME_AS]):
        ds = pydicom.dcmread(f"{DATA}/{name}")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{i}"
        ds.SeriesInstanceUID = f"1.2.4.{i}"
        ds.save_as(folder / name)
        uids[name] = ds.SOPInstanceUID
    with Mount({"loc": str(folder)}, faults=True) as m:
        where = objects(m)
        yield {name: where[uid] for name, uid in uids.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_preview_is_what_pydicom_sees(shown, name):
    got = png(shown[name] + "/.preview.png")
    want = expected(pydicom.dcmread(f"{DATA}/{name}"))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= FILES[name] + 1


@pytest.mark.parametrize("name", SAME_AS)
def test_a_preview_of_jpeg_ls_is_that_of_the_original(shown, name):
    same = png(shown[SAME_AS[name]] + "/.preview.png")
    assert (png(shown[name] + "/.preview.png") == same).all()


# ---- made here


def write(path, pixels, **values):
    ds = synthetic.instance("preview", 0, 0, 0, values.pop("instance", 0))
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    for tag in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        if tag in ds:
            del ds[tag]
    for tag, value in values.items():
        setattr(ds, tag, value)
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds.save_as(path)


def preview_of(folder, deid="none"):
    with Mount({"loc": str(folder)}, deid=deid, faults=True) as m:
        return png(m / os.path.dirname(m.files()[0]) + "/.preview.png")


RAMP = np.arange(256, dtype="<i2").reshape(16, 16)


@pytest.mark.parametrize("deid", ["none", "basic"])
def test_window_rescale_and_inversion(tmp_path, deid):
    write(tmp_path / "a.dcm", RAMP - 100, WindowCenter=["50", "1"],
          WindowWidth=["101", "2"], RescaleSlope="2", RescaleIntercept="-10",
          PhotometricInterpretation="MONOCHROME1")
    want = 255 - windowed((RAMP - 100.0) * 2 - 10, 50, 101)
    got = preview_of(tmp_path, deid)
    assert np.abs(got[:, :, 0] - want).max() <= 1
    assert 0 < (got == 255).sum() < got.size


def test_the_middle_frame_and_the_middle_object(tmp_path):
    frames = np.zeros((3, 8, 8), "<u1")
    frames[1] = np.arange(64).reshape(8, 8)
    for i in range(3):
        only = frames if i == 1 else frames * 0 + 9
        write(tmp_path / f"{i}.dcm", only.reshape(24, 8), Rows=8, NumberOfFrames="3",
              WindowCenter="32.5", WindowWidth="64", instance=i)
    assert np.abs(preview_of(tmp_path)[:, :, 0] -
                  windowed(frames[1].astype(float), 32.5, 64)).max() <= 1


def test_planes_of_colours_and_palettes(tmp_path):
    rgb = np.arange(192, dtype="u1").reshape(3, 8, 8)
    (tmp_path / "a").mkdir()
    write(tmp_path / "a/a.dcm", rgb.reshape(24, 8), Rows=8, SamplesPerPixel=3,
          PhotometricInterpretation="RGB", PlanarConfiguration=1)
    assert (preview_of(tmp_path / "a") == rgb.transpose(1, 2, 0)).all()
    (tmp_path / "b").mkdir()
    values = {"PhotometricInterpretation": "PALETTE COLOR"}
    for i, colour in enumerate(("Red", "Green", "Blue")):
        table = (np.arange(64, dtype="<u2") * 4 + i) << 8
        values[f"{colour}PaletteColorLookupTableDescriptor"] = [64, 0, 16]
        values[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
    index = np.arange(64, dtype="u1").reshape(8, 8)
    write(tmp_path / "b/b.dcm", index, **values)
    want = np.stack([index.astype(int) * 4 + i for i in range(3)], axis=2)
    assert (preview_of(tmp_path / "b") == want).all()


def test_large_pictures_are_scaled_down_by_averaging(tmp_path):
    big = np.tile(np.array([[0, 200], [100, 100]], "u1"), (1024, 512))
    write(tmp_path / "a.dcm", big, WindowCenter="128", WindowWidth="256")
    got = preview_of(tmp_path)
    assert got.shape == (1024, 512, 3) and (got == 100).all()


# ---- what cannot be shown


@pytest.mark.parametrize("what", ["cut", "odd", "none", "broken"])
def test_what_cannot_be_decoded_is_an_error_with_its_reason(tmp_path, what):
    if what == "broken":
        ds = pydicom.dcmread(f"{DATA}/MR_small_jp2klossless.dcm")
        ds.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(500)])
        ds.save_as(tmp_path / "a.dcm")
    elif what == "odd":
        write(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="CIELAB")
    else:
        write(tmp_path / "a.dcm", RAMP, Rows=400 if what == "cut" else 16)
    if what == "none":
        ds = pydicom.dcmread(tmp_path / "a.dcm")
        del ds.PixelData
        ds.save_as(tmp_path / "a.dcm")
    reason = {"cut": "are cut", "odd": "unknown kind", "none": "no picture",
              "broken": "decoded"}[what]
    with Mount({"loc": str(tmp_path)}, faults=True) as m:
        with pytest.raises(OSError):
            png(m / os.path.dirname(m.files()[0]) + "/.preview.png")
        assert reason in m.log()


def test_a_sheet_has_a_tile_for_each_series(mount):
    sheet = png(mount / "loc/q/Modality in (CT,MR)/.preview.png")
    assert sheet.shape == (3 * 341, 3 * 341, 3)
    tiles = [sheet[y * 341:(y + 1) * 341, x * 341:(x + 1) * 341].any()
             for y in range(3) for x in range(3)]
    assert tiles == [True] * 8 + [False]
    study = os.path.dirname(os.path.dirname(mount.files("loc")[0]))
    assert png(mount / f"loc/{study}/.preview.png").shape == (512, 1024, 3)
    for other in ("loc", "loc/all"):
        with pytest.raises(FileNotFoundError):
            os.stat(mount / f"{other}/.preview.png")


def test_a_preview_stays_what_it_is_while_others_change(tmp_path):
    """It is told by its objects, and by nothing that lies in memory beside them."""
    synthetic.make(str(tmp_path), size=16, instances=2)
    with Mount({"loc": str(tmp_path)}) as m:
        path = m / f"loc/{os.path.dirname(m.files('loc')[0])}/.preview.png"
        had, size = len(m.files("loc")), len(open(path, "rb").read())
        shown = []
        for n in range(8):
            ds = synthetic.instance("other", 7, 0, 0, n)
            ds.save_as(str(tmp_path / f"other{n}.dcm"), write_like_original=False)
            wait_for(lambda: len(m.files("loc")) == had + n + 1)
            shown.append(os.stat(path).st_size)
        assert shown == [size] * 8


def test_it_is_listed_where_something_has_pixels(tmp_path):
    for s, (modality, pixels) in enumerate((("CT", True), ("SR", False), ("OT", False),
                                            ("OT", True), ("MR", False))):
        ds = synthetic.instance("pix", 0, s, 0, 0)
        ds.Modality = modality
        if not pixels:
            for keyword in ("Rows", "Columns", "PixelData"):
                delattr(ds, keyword)
        ds.StudyDescription = f"{modality}{pixels}"
        ds.save_as(str(tmp_path / f"{s}.dcm"), write_like_original=False)
    with Mount({"loc": str(tmp_path)}, "sidecars") as m:
        patient = m / "loc/all/PAT0000"
        for study in (n for n in os.listdir(patient) if n[0] != "."):
            wanted = "True" in study
            top = os.path.join(patient, study)
            (series,) = (n for n in os.listdir(top) if n[0] != ".")
            assert (".preview.png" in os.listdir(top)) == wanted, study
            assert (".preview.png" in os.listdir(f"{top}/{series}")) == wanted, study
        assert ".preview.png" in os.listdir(m / "loc/q/Modality=OT")
        assert ".preview.png" not in os.listdir(m / "loc/q/Modality=SR")


# ---- remote


def test_a_preview_of_a_series_fetches_one_object_when_opened(folder):
    server = Server(folder)
    with Mount({"loc": server.source}, "sidecars") as m:
        series = m / "loc/" + os.path.dirname(m.files("loc")[0])
        assert ".preview.png" in os.listdir(series)
        assert os.stat(series + "/.preview.png").st_size > 0
        assert int(server.get("/__count")) == 0
        assert png(series + "/.preview.png").shape == (8, 8, 3)
        png(series + "/.preview.png")
        assert int(server.get("/__count")) == 1
    server.close()
