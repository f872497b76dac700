# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 69 to 79: kinds of objects and what hides in pixels (67 and 73 have
their codecs in test_pixels.py)."""
import os
import struct
import sys

import pydicom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import deidrun  # noqa: E402
from cases import Cases, refused  # noqa: E402
from rawdicom import ROOT, el, item, raw, sq  # noqa: E402

FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
KEPT = 0x00289145
SOP = "1.2.840.10008.5.1.4.1.1."
CONTENT, GRAPHICS = "basic+clean-structured-content", "basic+clean-graphics"
CASES = Cases()
shown = CASES.fixture()


def real(file):
    with open(os.path.join(FILES, file), "rb") as f:
        return f.read()


def us(*values):
    return struct.pack("<%dH" % len(values), *values)


def image(*more, sop=SOP + "2", cells=None, stored=16, frames=1, **form):
    cells = cells if cells is not None else us(*range(16)) * frames
    given = [el(0x00280002, "US", us(1)), el(0x00280004, "CS", "MONOCHROME2"),
             el(0x00280010, "US", us(4)), el(0x00280011, "US", us(4)),
             el(0x00280100, "US", us(16)), el(0x00280101, "US", us(stored)),
             el(0x00280102, "US", us(stored - 1)), el(0x00280103, "US", us(0)),
             el(0x7FE00010, "OW", cells)]
    tags = {tag for tag, _ in more}
    return raw(*[g for g in given if g[0] not in tags], *more, sop=sop, **form)


def concept(value, scheme="DCM", meaning="x"):
    return sq(0x0040A043, [item(el(0x00080100, "SH", value), el(0x00080102, "SH", scheme),
                                el(0x00080104, "LO", meaning))])


def content(kind, *value, name="121071"):
    return item(el(0x0040A010, "CS", "CONTAINS"), el(0x0040A040, "CS", kind),
                concept(name), *value)


SR = raw(el(0x0040A040, "CS", "CONTAINER"), concept("126000"), sq(0x0040A073, [item(
    el(0x0040A027, "LO", "ZQ69ORG"), el(0x0040A030, "DT", "20040119"),
    el(0x0040A075, "PN", "ZQ69VERIFIER^X"))]), sq(0x0040A730, [
        content("PNAME", el(0x0040A123, "PN", "ZQ69NAME^X"), name="121008"),
        content("DATE", el(0x0040A121, "DA", "20040119"), name="121431"),
        content("UIDREF", el(0x0040A124, "UI", "1.2.826.0.1.69.1"), name="121018"),
        content("TEXT", el(0x0040A160, "UT", "ZQ69FREE said Doe"), name="99ZQ69"),
        content("TEXT", el(0x0040A160, "UT", "ZQ69LOCAL"), name="4711"),
        content("CONTAINER", sq(0x0040A730, [
            content("TEXT", el(0x0040A160, "UT", "Jane Doe was seen"), name="121071")])),
    ]), sop=SOP + "88.33")
for profile in ("basic", CONTENT, "research"):
    CASES.given("69", SR, profile)


def test_case_69_reports_lose_names_dates_and_unlisted_text(shown):
    """With clean-descriptors text of unlisted concepts is cleaned, not removed."""
    for profile in ("basic", CONTENT, "research"):
        out = shown("69", profile)
        if profile != "research":
            assert not out.holds("ZQ69")
        assert not out.holds("ZQ69NAME", "ZQ69VERIFIER", "ZQ69ORG", "Doe", "Jane", "20040119", "1.2.826.0.1.69.1"), profile
    assert not shown("69").holds("was seen")


for n, (sop, mime) in enumerate((("104.1", "application/pdf"), ("104.2", "text/XML"),
                                 ("104.3", "model/stl"))):
    CASES.given("70-%d" % n, raw(el(0x00420010, "ST", "ZQ70"), el(0x00420012, "LO", mime),
                                 el(0x00420011, "OB", "%PDF ZQ70 Doe^Jane"), sop=SOP + sop))


def test_case_70_documents_are_refused(shown):
    for n in range(3):
        assert refused(shown("70-%d" % n)) == "document"
        assert "ZQ70" not in shown("70-%d" % n).stderr


NOTES = raw(sq(0x00700001, [item(
    sq(0x00700008, [item(el(0x00700006, "ST", "ZQ71 Doe"), el(0x00700003, "CS", "PIXEL"))]),
    sq(0x00700209, [item(el(0x00700294, "CS", "MULTILINE"),
                         el(0x00700006, "ST", "ZQ71 Doe"))]),
    el(0x00700002, "CS", "LAYER"))]), el(0x00700080, "CS", "SHUTTER"), el(0x00700081, "LO", "ZQ71"),
    el(0x00700084, "PN", "ZQ71^X"),
    sq(0x0040B020, [item(el(0x00700006, "ST", "ZQ71 Doe"))]),
    sq(0x30060020, [item(el(0x30060026, "LO", "ZQ71 Doe"), el(0x30060028, "ST", "ZQ71"))]),
    sop=SOP + "11.1")
for profile in ("basic", GRAPHICS):
    CASES.given("71", NOTES, profile)


def test_case_71_annotations_and_names_of_regions_go(shown):
    for profile in ("basic", GRAPHICS):
        out = shown("71", profile)
        assert not out.holds("ZQ71 Doe", "Doe", "ZQ71^X")
    assert not shown("71").holds("ZQ71")


OVERLAY = [el(0x60000010, "US", us(4)), el(0x60000011, "US", us(4)), el(0x60000040, "CS", "G"),
           el(0x60000050, "SS", us(1, 1)), el(0x60000100, "US", us(1)),
           el(0x60000102, "US", us(0)), el(0x60003000, "OW", "ZQ72DATA"),
           el(0x60004000, "LT", "ZQ72COMMENT"), el(0x60000022, "LO", "ZQ72DESC"),
           el(0x60001500, "LO", "ZQ72LABEL"), el(0x601E3000, "OW", "ZQ72LAST"),
           el(0x50003000, "OW", "ZQ72CURV"), el(0x50002600, "LO", "ZQ72AUD"),
           el(0x50100005, "US", us(1)), el(0x50103000, "OW", "ZQ72CURV")]
HIGH = [el(0x60020010, "US", us(4)), el(0x60020011, "US", us(4)), el(0x60020040, "CS", "G"),
        el(0x60020050, "SS", us(1, 1)), el(0x60020100, "US", us(16)),
        el(0x60020102, "US", us(12))]
CELLS = [n * 100 | (n % 3 == 0) << 12 for n in range(16)]
for profile in ("basic", GRAPHICS, "research"):
    CASES.given("72", image(*OVERLAY), profile)
    CASES.given("72h", image(*HIGH, cells=us(*CELLS), stored=12), profile)


def test_case_72_overlays_curves_and_bits_above_the_pixels_go(shown):
    for profile in ("basic", GRAPHICS, "research"):
        out = shown("72", profile)
        assert not out.holds("ZQ72COMMENT", "ZQ72DESC", "ZQ72LABEL", "ZQ72CURV", "ZQ72AUD")
        cells = struct.unpack("<16H", shown("72h", profile).ds.PixelData)
        assert list(cells) == [c & 0xFFF for c in CELLS], profile
    assert not shown("72").holds("ZQ72")


def burned(*more, **form):
    return image(*more, **form)


CASES.given("73y", burned(el(0x00280301, "CS", "YES")))
CASES.given("73lower", burned(el(0x00280301, "CS", "YES ")))
for profile in ("strict",):
    CASES.given("73us", burned(sop=SOP + "6.1"), profile)
    CASES.given("73sc", burned(sop=SOP + "7"), profile)
    CASES.given("73dose", burned(el(0x00080008, "CS", "DERIVED\\SECONDARY\\DOSE_INFO")), profile)
    CASES.given("73no", burned(el(0x00280301, "CS", "NO"), sop=SOP + "6.1"), profile)


def test_case_73_burned_in_text_is_refused_without_a_rule(shown):
    assert refused(shown("73y")) == refused(shown("73lower")) == "burned-in"
    for one in ("73us", "73sc", "73dose"):
        assert refused(shown(one, "strict")) == "at-risk", one
    assert shown("73no", "strict").ds.BurnedInAnnotation == "NO"


def test_case_73_rectangles_are_black_in_every_frame(tmp_path):
    rules = tmp_path / "pixels.script"
    rules.write_text("{ true } (0,0,2,1)\n")  # as in CTP one row more than its height
    source = burned(el(0x00280301, "CS", "YES"), el(0x00280008, "IS", "3"), frames=3,
                    sop=SOP + "7.3")
    (tmp_path / "in.dcm").write_bytes(source)
    p = deidrun.run("basic+clean-pixel-data", tmp_path / "in.dcm", tmp_path / "out.dcm",
                    tmp_path, "--pixels", str(rules))
    assert p.returncode == 0, p.stderr
    ds = pydicom.dcmread(tmp_path / "out.dcm")
    frame = [0, 0, 2, 3, 0, 0] + list(range(6, 16))
    assert list(struct.unpack("<48H", ds.PixelData)) == 3 * frame
    assert ds.BurnedInAnnotation == "NO"


ICON = [el(0x00280010, "US", us(4)), el(0x00280011, "US", us(4)),
        el(0x7FE00010, "OW", "ZQ74ICONPIXELS!!")]
for profile in ("basic", "research", GRAPHICS):
    CASES.given("74", raw(sq(0x00880200, [item(*ICON)]),
                          sq(KEPT, [item(sq(0x00880200, [item(*ICON)]), *ICON)])), profile)


def test_case_74_icons_go_wherever_they_are(shown):
    for profile in ("basic", "research", GRAPHICS):
        out = shown("74", profile)
        assert not out.holds("ZQ74") and 0x00880200 not in out.ds


CASES.given("75", raw(el(0x00180015, "CS", "HEAD"), el(0x00280302, "CS", "YES")))
CASES.given("75none", raw(el(0x00180015, "CS", "HEAD")))


def test_case_75_faces_are_never_said_to_be_gone(shown, tmp_path):
    assert shown("75").ds.get("RecognizableVisualFeatures", "YES") == "YES"
    assert shown("75none").ds.get("RecognizableVisualFeatures", "") != "NO"
    (tmp_path / "in.dcm").write_bytes(raw())
    p = deidrun.run("basic+clean-recognizable-visual-features", tmp_path / "in.dcm",
                    tmp_path / "out.dcm", tmp_path)
    assert p.returncode and not (tmp_path / "out.dcm").exists()


def test_case_76_a_dicomdir_is_refused_or_made_again(tmp_path):
    directory = os.path.join(FILES, "dicomdirtests", "DICOMDIR")
    p = deidrun.run("basic", directory, tmp_path / "out", tmp_path)
    assert p.returncode == 1 and not (tmp_path / "out").exists()
    p = deidrun.run("basic", os.path.join(FILES, "dicomdirtests"), tmp_path / "set", tmp_path)
    made = pydicom.dcmread(tmp_path / "set" / "DICOMDIR")
    text = deidrun.decoded(made)
    for word in (b"Doe^", b"77654033", b"98892001", b"19950903", b"1.3.6.1.4.1.5962"):
        assert word not in text
    paths = [r.ReferencedFileID for r in made.DirectoryRecordSequence if "ReferencedFileID" in r]
    assert len(paths) > 20
    for parts in paths:
        assert os.path.exists(os.path.join(tmp_path, "set", *parts)), parts


PLAN = raw(el(0x300A0002, "SH", "ZQ77LABEL"), el(0x300A0003, "LO", "ZQ77NAME"),
           el(0x300A0004, "ST", "ZQ77DESC"), sq(0x300A00B0, [item(
               el(0x300A00B2, "SH", "ZQ77MACHINE"), el(0x300A00C2, "LO", "beam"))]),
           sq(0x300A0180, [item(el(0x300A0183, "LO", "ZQ77SETUP"), sq(0x300A0401, [item(
               el(0x300A0402, "ST", "ZQ77PHOTO"))]))]),
           el(0x00081070, "PN", "ZQ77OPERATOR^X"),
           sq(0x30060080, [item(el(0x300600A6, "PN", "ZQ77INTERPRETER^X"),
                                el(0x30060085, "SH", "ZQ77OBS"))]),
           sq(0x30080020, [item(el(0x00081070, "PN", "ZQ77OPERATOR^X"))]),
           sop=SOP + "481.5")
for profile in ("basic", "research"):
    CASES.given("77", PLAN, profile)
    CASES.given("77p", real("rtplan.dcm"), profile)
    CASES.given("77s", real("rtstruct.dcm"), profile)


def test_case_77_plans_lose_people_machines_and_descriptions(shown):
    for profile in ("basic", "research"):
        assert not shown("77", profile).holds("ZQ77OPERATOR", "ZQ77INTERPRETER", "ZQ77PHOTO")
        for one, file in (("77p", "rtplan.dcm"), ("77s", "rtstruct.dcm")):
            source = pydicom.dcmread(os.path.join(FILES, file), force=True)
            out = shown(one, profile)
            assert not out.holds(str(source.SOPInstanceUID), str(source.StudyInstanceUID),
                                 str(source.PatientName).split("^")[0])
    assert not shown("77").holds("ZQ77")


CASES.given("78", real("waveform_ecg.dcm"))


def test_case_78_waveforms_keep_their_numbers(shown):
    source = pydicom.dcmread(os.path.join(FILES, "waveform_ecg.dcm"))
    out = shown("78")
    assert [w.WaveformData for w in out.ds.WaveformSequence] == [
        w.WaveformData for w in source.WaveformSequence]
    assert not out.holds(str(source.StudyInstanceUID), str(source.SOPInstanceUID))
    for a in out.ds.get("WaveformAnnotationSequence", []):
        assert a.get("UnformattedTextValue", "") in ("", "REMOVED")


WSI = SOP + "77.1.6"
CASES.given("79y", burned(el(0x00480010, "CS", "YES"), sop=WSI))
CASES.given("79l", burned(el(0x00080008, "CS", "ORIGINAL\\PRIMARY\\LABEL\\NONE"), sop=WSI))
CASES.given("79v", burned(el(0x00080008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
                          el(0x00480010, "CS", "NO"), sop=WSI))


def test_case_79_labels_of_slides_are_refused(shown):
    assert refused(shown("79y")) and refused(shown("79l"))
    assert shown("79v").raw and not shown("79v").holds(ROOT)
