# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 57 to 68: transfer syntaxes and the layout of files."""
import os
import struct
import sys
import zlib

import pydicom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import deidrun  # noqa: E402
from cases import Cases, refused  # noqa: E402
from vivomount import Mount  # noqa: E402
from rawdicom import (CT, EBE, ELE, ILE, base, el, item, join, meta, raw, sq)  # noqa: E402

FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
KEPT = 0x00289145
DEFLATED = ELE + ".99"
CASES = Cases()
shown = CASES.fixture()


def real(file):
    with open(os.path.join(FILES, file), "rb") as f:
        return f.read()


def planted(syntax):
    form = {"implicit": syntax == ILE, "big": syntax == EBE}
    return [el(0x00104000, "LT", "ZQ57 text", **form),
            sq(KEPT, [item(el(0x00400006, "PN", "ZQ57^X", **form), big=form["big"])], **form)]


def deflate(data, level=9):
    z = zlib.compressobj(level, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush()


for n, syntax in enumerate((ILE, ELE, EBE)):
    CASES.given("57-%d" % n, raw(*planted(syntax), syntax=syntax))
CASES.given("57-3", meta(DEFLATED, 57) + deflate(join(*sorted(base(57) + planted(ELE),
                                                              key=lambda e: e[0]))))
for file in ("ExplVR_BigEnd.dcm", "image_dfl.dcm"):
    CASES.given(file, real(file))


def test_case_57_each_transfer_syntax_is_cleaned(shown):
    for n in range(4):
        out = shown("57-%d" % n)
        assert not out.holds("ZQ57", "Doe", "MRN7654321"), n
        assert out.ds.PatientIdentityRemoved == "YES"
        assert out.ds.file_meta.TransferSyntaxUID == (ILE, ELE, EBE, ELE)[n]
    assert shown("ExplVR_BigEnd.dcm").ds.file_meta.TransferSyntaxUID == EBE
    source, out = pydicom.dcmread(os.path.join(FILES, "image_dfl.dcm")), shown("image_dfl.dcm")
    assert out.ds.PixelData == source.PixelData
    assert not out.holds(source.SOPInstanceUID, source.StudyInstanceUID)


def deflate_bomb(sixteenths):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [z.compress(join(*base(58)) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0,
                                                     sixteenths << 24))]
    zeros = bytes(1 << 24)
    parts += [z.compress(zeros) for _ in range(sixteenths)]
    return meta(DEFLATED, 58) + b"".join(parts) + z.flush()


CASES.given("58", deflate_bomb(16))


def test_case_58_a_deflate_bomb_is_refused(shown):
    assert refused(shown("58"))


NO_META = join(*base(59), el(0x00204000, "LT", "ZQ59"))
CASES.given("59a", NO_META)
CASES.given("59b", b"\0" * 128 + b"DICM" + NO_META)
CASES.given("59c", join(*sorted(base(60, implicit=True) + [
    el(0x00204000, "LT", "ZQ59", implicit=True)])))
for file in ("no_meta.dcm", "ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm",
             "meta_missing_tsyntax.dcm", "no_meta_group_length.dcm"):
    CASES.given(file, real(file))


def test_case_59_files_without_meta_get_one_or_are_refused(shown):
    made = 0
    for one in ("59a", "59b", "59c", "no_meta.dcm", "ExplVR_LitEndNoMeta.dcm",
                "ExplVR_BigEndNoMeta.dcm", "meta_missing_tsyntax.dcm",
                "no_meta_group_length.dcm"):
        out = shown(one)
        if not refused(out):
            assert out.raw[128:132] == b"DICM" and not out.holds("ZQ59", "Doe", "ZZZZ^")
            assert out.ds.file_meta.TransferSyntaxUID and out.ds.PatientIdentityRemoved == "YES"
            made += 1
    assert made >= 4


TIFF = b"II*\0" + struct.pack("<L", 8) + b"ZQ60 image file directory"
CASES.given("60", TIFF.ljust(128, b"Z") + raw()[128:])


def test_case_60_a_preamble_goes(shown):
    assert shown("60").raw[:128] == b"\0" * 128 and not shown("60").holds("ZQ60", "II*")


MORE = [el(0x00020013, "SH", "ZQ61IMPL"), el(0x00020016, "AE", "ZQ61SRC"),
        el(0x00020017, "AE", "ZQ61SEND"), el(0x00020018, "AE", "ZQ61RECV"),
        el(0x00020026, "UR", "http://ZQ61"), el(0x00020028, "UR", "http://ZQ61"),
        el(0x00020100, "UI", "1.2.826.0.1.61.1"), el(0x00020102, "OB", "ZQ61PRIVATE")]
CASES.given("61", meta(ELE, 61, CT, MORE) + join(*base(61)))


def test_case_61_file_meta_is_fresh_and_its_length_right(shown):
    out = shown("61")
    assert not out.holds("ZQ61", "1.2.826.0.1.61.1")
    length = struct.unpack("<L", out.raw[140:144])[0]
    assert struct.unpack("<H", out.raw[144 + length:146 + length])[0] > 2
    assert out.ds.file_meta.MediaStorageSOPInstanceUID == out.ds.SOPInstanceUID


CASES.given("62", raw(el(0x00080000, "UL", b"\xff\0\0\0"), el(0x00100000, "UL", b"\xff\0\0\0"),
                      el(0x00080001, "UL", b"\xff\0\0\0"), el(0x00080010, "SH", "ACR-ZQ62")))


def test_case_62_group_lengths_and_recognition_codes_go(shown):
    assert not {0x00080000, 0x00100000, 0x00080001, 0x00080010} & set(map(int, shown("62").ds.keys()))
    assert not shown("62").holds("ZQ62")


PIXELS = [el(0x00280010, "US", b"\4\0"), el(0x00280011, "US", b"\4\0"),
          el(0x00280002, "US", b"\1\0"), el(0x00280004, "CS", "MONOCHROME2"),
          el(0x00280100, "US", b"\x08\0"), el(0x00280101, "US", b"\x08\0"),
          el(0x00280102, "US", b"\7\0"), el(0x00280103, "US", b"\0\0"),
          el(0x7FE00010, "OB", bytes(range(16)))]
CASES.given("63a", raw(*PIXELS, tail=b"ZQ63 garbage behind the object " * 9))
CASES.given("63b", raw(*PIXELS, tail=raw(el(0x00104000, "LT", "ZQ63"))))
CASES.given("63c", raw(*PIXELS, tail=join(*base(63), el(0x00104000, "LT", "ZQ63"))))


def test_case_63_what_follows_the_object_is_gone_or_it_is_refused(shown):
    for one in ("63a", "63b", "63c"):
        assert refused(shown(one)) or not shown(one).holds("ZQ63", "garbage", "Doe")


for file in ("MR_truncated.dcm", "rtplan_truncated.dcm"):
    CASES.given(file, real(file))
WHOLE = raw(*PIXELS)
CASES.given("64h", WHOLE[:300])
CASES.given("64p", WHOLE[:-5])


def test_case_64_a_cut_header_is_refused_and_cut_pixels_are_cut(shown):
    assert refused(shown("64h")) and refused(shown("rtplan_truncated.dcm"))
    cut = shown("64p").raw  # an odd cut of so small an element is made even
    assert cut.endswith(bytes(range(11)) + b"\0") and bytes(range(12)) not in cut
    assert shown("MR_truncated.dcm").raw[-1000:] == real("MR_truncated.dcm")[-1000:]


EMPTY = {"65a": b"", "65b": b"\0" * 127 + b"DICM", "65c": b"Dear Doctor, ZQ65 is well.\n" * 50,
         "65d": b"PK\3\4" + b"ZQ65" * 100, "65e": b"\0" * 128 + b"DICM"}
for one, data in EMPTY.items():
    CASES.given(one, data)


def test_case_65_what_is_no_object_is_left_out_or_refused(shown):
    for one in EMPTY:
        assert refused(shown(one)), one


def frames_of(ds):
    return [bytes(f) for f in pydicom.encaps.generate_pixel_data_frame(
        ds.PixelData, int(ds.get("NumberOfFrames", 1)))]


ENCAPSULATED = ("JPEG2000-embedded-sequence-delimiter.dcm", "MR_small_RLE.dcm",
                "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG-lossy.dcm")
for file in ENCAPSULATED:
    CASES.given(file, real(file))


def test_case_66_fragments_and_tables_stay(shown):
    for file in ENCAPSULATED:
        out, source = shown(file).ds, pydicom.dcmread(os.path.join(FILES, file))
        mine, theirs = frames_of(out), frames_of(source)
        assert [len(f) for f in mine] == [len(f) for f in theirs], file
        if "rle" in file.lower():
            assert mine == theirs
        n = struct.unpack("<L", source.PixelData[4:8])[0]
        assert out.PixelData[:8 + n] == source.PixelData[:8 + n], file


def jpeg_with(segments):
    source = frames_of(pydicom.dcmread(os.path.join(FILES, "SC_rgb_jpeg_dcmtk.dcm")))[0]
    return source[:2] + segments + source[2:].rstrip(b"\0")


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def test_case_67_texts_inside_frames_go(tmp_path):
    ds = pydicom.dcmread(os.path.join(FILES, "SC_rgb_jpeg_dcmtk.dcm"))
    frame = jpeg_with(segment(0xFE, b"DOE^JANE ZQ67") + segment(0xE1, b"Exif\0\0ZQ67 owner") +
                      segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>ZQ67</x>"))
    ds.PixelData = pydicom.encaps.encapsulate([frame + b"ZQ67 behind the end"])
    ds.save_as(tmp_path / "in.dcm")
    p = deidrun.run("basic", tmp_path / "in.dcm", tmp_path / "out.dcm", tmp_path)
    if p.returncode:
        assert not (tmp_path / "out.dcm").exists() and b"ZQ67" not in p.stderr
    else:
        data = (tmp_path / "out.dcm").read_bytes()
        assert b"ZQ67" not in data and b"DOE" not in data


FLOAT = [e for e in PIXELS if e[0] not in (0x7FE00010, 0x00280100, 0x00280101, 0x00280102)] + [
    el(0x00280100, "US", b"\x20\0"), el(0x7FE00008, "OF", struct.pack("<16f", *range(16)))]
ODD = [e for e in PIXELS if e[0] != 0x7FE00010] + [
    el(0x7FE00010, "OB", bytes(range(15)), odd=True)]
CASES.given("68f", raw(*FLOAT))
CASES.given("68o", raw(*ODD))
CASES.given("68w", raw(*[e for e in PIXELS if e[0] != 0x7FE00010],
                       el(0x7FE00010, "OW", bytes(range(16)))))


def test_case_68_odd_float_and_word_pixels_are_streamed(shown, tmp_path):
    assert shown("68f").raw.endswith(struct.pack("<16f", *range(16)))
    assert refused(shown("68o")) or bytes(range(15)) in shown("68o").raw
    assert shown("68w").ds.PixelData == bytes(range(16))
    # More than 4 GiB: a sparse file whose last element is (7FE0,0009), 64-bit reals.
    source = tmp_path / "in"
    source.mkdir()
    head = raw(*[e for e in FLOAT if e[0] != 0x7FE00008])
    size = 0xFFFFFFF8
    with open(source / "large.dcm", "wb") as f:
        f.write(head + struct.pack("<HH2sHL", 0x7FE0, 0x0009, b"OD", 0, size))
        f.truncate(f.tell() + size)
    with Mount({"loc": str(source)}, "key=" + deidrun.keyfile(tmp_path), deid="basic") as m:
        (name,) = m.files()
        assert os.stat(m / name).st_size > 1 << 32
        with open(m / name, "rb") as f:
            assert b"Doe" not in f.read(8192)
            f.seek(-16, 2)
            assert f.read() == b"\0" * 16
