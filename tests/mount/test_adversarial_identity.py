# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 40 to 56: dates, times and UIDs."""
import datetime
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import deidrun  # noqa: E402
from cases import Cases  # noqa: E402
from rawdicom import ROOT, el, item, raw, sq  # noqa: E402

KEPT = 0x00289145
MOVED, FULL = "basic+retain-modified-dates", "basic+retain-full-dates"
CASES = Cases()
shown = CASES.fixture()


def days(text):
    return datetime.datetime.strptime(text, "%Y%m%d").date().toordinal()


def value(out, tag):
    return str(out.ds[tag].value) if tag in out.ds else ""


CASES.given("40", raw(el(0x00080020, "DA", "20040229"), el(0x00080021, "DA", "20040301"),
                      el(0x00080022, "DA", "19991231"), el(0x00080023, "DA", "20040229")), MOVED)
CASES.given("40b", raw(el(0x00080020, "DA", "20040307")), MOVED)


def test_case_40_all_dates_of_a_patient_move_alike(shown):
    out, other = shown("40", MOVED), shown("40b", MOVED)
    shift = days(value(out, 0x00080020)) - days("20040229")
    assert shift and shift % 7 == 0
    assert days(value(out, 0x00080021)) - days("20040301") == shift
    assert days(value(out, 0x00080022)) - days("19991231") == shift
    assert days(value(other, 0x00080020)) - days("20040307") == shift
    assert not out.holds("20040229", "20040301", "19991231")


CASES.given("41", raw(el(0x00080022, "DA", "20040119\\ZQ41BAD\\20040120"),
                      el(0x00181200, "DA", "20040119\\ZQ41BAD\\20040120")), MOVED)
CASES.given("41", raw(el(0x00181200, "DA", "20040119\\ZQ41BAD\\20040120")), FULL)


def test_case_41_a_bad_date_of_several_goes_and_the_good_ones_move(shown):
    out = shown("41", MOVED)
    assert not out.holds("ZQ41", "20040119", "20040120")
    both = out.ds[0x00181200].value
    assert [days(b) - days(a) for a, b in [both]] == [1]
    assert not shown("41", FULL).holds("ZQ41")


FORMS = ("20040101-20041231", "2004.01.19", "2004-01-19", "-20040119", "20040119-")
for n, text in enumerate(FORMS):
    for profile in (MOVED, FULL, "basic"):
        CASES.given("42-%d" % n, raw(el(0x00080022, "DA", text)), profile)


def test_case_42_ranges_and_old_forms_move_or_go(shown):
    for n, text in enumerate(FORMS):
        for profile in (MOVED, "basic"):
            assert not shown("42-%d" % n, profile).holds(
                text, text.strip("-"), "20040101", "20041231", "2004"), (n, profile)


PARTIAL = ("2004", "200401", "20040119", "2004011907", "200401190727")
for n, text in enumerate(PARTIAL):
    for profile in (MOVED, "basic"):
        CASES.given("43-%d" % n, raw(el(0x0008002A, "DT", text)), profile)


def test_case_43_partial_dates_move_at_their_precision_or_go(shown):
    for n, text in enumerate(PARTIAL):
        assert 0x0008002A not in shown("43-%d" % n).ds
        moved = value(shown("43-%d" % n, MOVED), 0x0008002A)
        assert moved == "" or (len(moved) == len(text) and moved[:4] < "2004")
        assert moved[8:] == text[8:] or not moved


CASES.given("44", raw(el(0x0008002A, "DT", "20040119072730.123456+0100"),
                      el(0x00080201, "SH", "+0100")), MOVED)
CASES.given("44", raw(el(0x0008002A, "DT", "20040119072730.123456+0100"),
                      el(0x00080201, "SH", "+0100")))


def test_case_44_date_times_keep_fraction_and_zone(shown):
    moved = value(shown("44", MOVED), 0x0008002A)
    assert moved.endswith("072730.123456+0100") and not moved.startswith("2004")
    assert 0x00080201 not in shown("44").ds and not shown("44").holds("072730", "20040119")


TIMES = ("072730.123456", "0727", "07:27:30")
for n, text in enumerate(TIMES):
    for profile in ("basic", MOVED, FULL):
        CASES.given("45-%d" % n, raw(el(0x00080032, "TM", text)), profile)


def test_case_45_times_stay_under_a_date_option_only(shown):
    for n, text in enumerate(TIMES):
        assert not shown("45-%d" % n).holds(text, "0727")
        for profile in (MOVED, FULL):
            assert value(shown("45-%d" % n, profile), 0x00080032)[:2] in ("07", "")
    assert value(shown("45-0", MOVED), 0x00080032) == "072730.123"
    assert value(shown("45-0", FULL), 0x00080032) == "072730.123456"


WRONG = ("00010101", "99991231", "20230230", "00000000", "20041301", "00010201")
for n, text in enumerate(WRONG):
    for profile in ("basic", MOVED, FULL):
        CASES.given("46-%d" % n, raw(el(0x00080020, "DA", text),
                                     el(0x0008002A, "DT", text + "101112")), profile)


def test_case_46_impossible_dates_go_and_nothing_overflows(shown):
    for n, text in enumerate(WRONG):
        for profile in ("basic", MOVED):
            assert not shown("46-%d" % n, profile).holds(text), (text, profile)
    moved = value(shown("46-1", MOVED), 0x00080020)
    assert moved == "" or moved.startswith("99")


TEXTS = [el(0x00081030, "LO", "CT 20040119 chest"), el(0x0008103E, "LO", "of 19.01.2004"),
         el(0x00204000, "LT", "seen 2004-01-19, 19-JAN-2004 and Jan 19, 2004"),
         el(0x00100010, "PN", "Doe^20040119"), el(0x00990010, "LO", "ACME"), el(0x00991001, "LO", "20040119"),
         el(0x00081155, "UI", "1.2.840.20040119.7")]
for profile in ("basic", "research", MOVED):
    CASES.given("47", raw(*TEXTS), profile)


def test_case_47_dates_in_texts_and_uids_go(shown):
    for profile in ("basic", "research", MOVED):
        assert not shown("47", profile).holds("20040119", "19.01.2004", "2004-01-19",
                                              "19-JAN-2004", "Jan 19", "2004"), profile
    assert "chest" in value(shown("47", "research"), 0x00081030)


for n in (1, 2):
    CASES.given("48-%d" % n, raw(el(0x00080020, "DA", "20040119"),
                                 el(0x0020000D, "UI", "1.2.826.0.1.48.%d" % n),
                                 without=(0x00100020,)), MOVED)


def test_case_48_studies_without_a_patient_move_apart(shown):
    a, b = shown("48-1", MOVED), shown("48-2", MOVED)
    assert value(a, 0x00080020) != value(b, 0x00080020) != "20040119"
    assert a.ds.PatientID != b.ds.PatientID and a.name.split("/")[0] != b.name.split("/")[0]


for profile in (MOVED, FULL, "research", "basic+retain-patient-characteristics"):
    CASES.given("49", raw(el(0x00100030, "DA", "19110405"), el(0x00101010, "AS", "093Y"),
                          el(0x00100032, "TM", "101112")), profile)


def test_case_49_birth_dates_go_and_ages_are_capped(shown):
    for profile in (MOVED, FULL, "research", "basic+retain-patient-characteristics"):
        out = shown("49", profile)
        assert value(out, 0x00100030) == "" and not out.holds("19110405", "093Y", "101112")
    assert value(shown("49", "research"), 0x00101010) == "090Y"


CT, SR, SEG, KOS, GSPS, RT = ("1.2.840.10008.5.1.4.1.1." + s for s in (
    "2", "88.33", "66.4", "88.59", "11.1", "481.3"))
IMAGE = ROOT + "50.1"


def ref(number=1):
    return [el(0x00081150, "UI", CT), el(0x00081155, "UI", ROOT + "50.%d" % number)]


def series():
    return item(el(0x0020000E, "UI", ROOT + "2"), sq(0x00081199, [item(*ref())]),
                sq(0x0008114A, [item(*ref())]), sq(0x00081140, [item(*ref())]))


OTHERS = {
    SR: [sq(0x0040A375, [item(el(0x0020000D, "UI", ROOT + "1"), sq(0x00081115, [series()]))])],
    SEG: [sq(0x00081115, [series()])],
    KOS: [sq(0x0040A375, [item(el(0x0020000D, "UI", ROOT + "1"), sq(0x00081115, [series()]))])],
    GSPS: [sq(0x00081115, [series()])],
    RT: [sq(0x30060010, [item(el(0x00200052, "UI", ROOT + "50.9"), sq(0x30060012, [
        item(*ref(), sq(0x30060014, [item(el(0x0020000E, "UI", ROOT + "2"),
                                          sq(0x30060016, [item(*ref())]))]))]))])],
}
PROFILES = ("basic", "research")
for profile in PROFILES:
    CASES.given("50", raw(el(0x00080018, "UI", IMAGE), el(0x00200052, "UI", ROOT + "50.9")),
                profile)
    for n, (sop, what) in enumerate(OTHERS.items()):
        CASES.given("50-%d" % n, raw(*what, sop=sop, number=5000 + n), profile)


def references(ds):
    for element in ds:
        if element.VR == "SQ":
            for inner in element.value:
                yield from references(inner)
        elif element.tag == 0x00081155:
            yield str(element.value)


def test_case_50_references_hold_in_every_kind_of_object(shown):
    for profile in PROFILES:
        image = shown("50", profile).ds
        assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID
        for n in range(len(OTHERS)):
            out = shown("50-%d" % n, profile)
            found = list(references(out.ds))
            assert found and set(found) == {image.SOPInstanceUID}, (n, profile)
            assert not out.holds(ROOT + "50", ROOT + "2", ROOT + "1")
        frame = shown("50-4", profile).ds.ReferencedFrameOfReferenceSequence[0]
        assert frame.FrameOfReferenceUID == image.FrameOfReferenceUID


KINDS = (0x00200052, 0x00083010, 0x00181002, 0x00209164, 0x00620021, 0x0040A124, 0x00081155,
         0x00200200, 0x00404023, 0x00080014)
CASES.given("51", raw(*[el(tag, "UI", "1.2.826.0.1.51.%d\\1.2.826.0.1.51.99" % n
                           if tag == 0x00083010 else "1.2.826.0.1.51.%d" % n)
                        for n, tag in enumerate(KINDS)]))


def test_case_51_uids_of_every_kind_are_replaced_or_go(shown):
    out = shown("51")
    assert not out.holds("1.2.826.0.1.51.")
    several = out.ds[0x00083010].value
    assert len(several) == 2 and all(u.startswith("2.25.") for u in several)
    for tag in (0x00200052, 0x00620021, 0x00209164):
        assert str(out.ds[tag].value).startswith("2.25.")


KNOWN = {0x00200052: "1.2.840.10008.1.4.1.1"}
CODE = item(el(0x00080100, "SH", "T-04000"), el(0x00080102, "SH", "SRT"),
            el(0x00080104, "LO", "Breast"), el(0x0008010F, "CS", "4031"),
            el(0x00080117, "UI", "1.2.840.10008.6.1.308"))
CASES.given("52", raw(*[el(tag, "UI", uid) for tag, uid in KNOWN.items()],
                      sq(0x00082218, [CODE]),
                      sq(0x00080110, [item(el(0x00080102, "SH", "SRT"),
                                           el(0x0008010C, "UI", "2.16.840.1.113883.6.96"))]),
                      sq(0x0040A504, [item(el(0x00080105, "CS", "DCMR"),
                                           el(0x0040DB00, "CS", "1500"))])))


def test_case_52_registered_uids_stay(shown):
    ds = shown("52").ds
    assert ds.SOPClassUID == CT and ds.FrameOfReferenceUID == KNOWN[0x00200052]
    assert ds.AnatomicRegionSequence[0].ContextUID == "1.2.840.10008.6.1.308"
    assert ds.AnatomicRegionSequence[0].CodeMeaning == "Breast"
    assert ds.CodingSchemeIdentificationSequence[0].CodingSchemeUID == "2.16.840.1.113883.6.96"


U = "1.2.826.0.1.53.7654321"
for profile in ("basic", "research", "basic+retain-safe-private"):
    CASES.given("53", raw(el(0x00990010, "LO", "ACME"), el(0x00991001, "UI", U),
                          el(0x0008FFF1, "UI", U), el(0x00081030, "LO", "scan " + U),
                          el(0x00204000, "LT", U), el(0x0040A160, "UT", U),
                          el(0x00080081, "ST", U)), profile)


def test_case_53_uids_in_unexpected_places_go(shown):
    for profile in ("basic", "research", "basic+retain-safe-private"):
        assert not shown("53", profile).holds(U, "7654321"), profile


BAD = ("1.2." + "3" * 70, "1.02.003.4", "1.2.3 ", "1.2.3\0", "", "ZQ54.letters", "..", "1.2.3")
for n, uid in enumerate(BAD):
    CASES.given("54-%d" % n, raw(el(0x00200052, "UI", uid), el(0x00181002, "UI", uid)))


def test_case_54_malformed_uids_become_valid_ones(shown):
    for n, uid in enumerate(BAD):
        out = shown("54-%d" % n)
        got = value(out, 0x00200052)
        assert got == "" or (got.startswith("2.25.") and len(got) <= 64)
        assert not out.holds("ZQ54", "3" * 70, "1.02.003.4")
    assert value(shown("54-2"), 0x00200052) == value(shown("54-3"), 0x00200052) != ""
    assert value(shown("54-2"), 0x00200052) == value(shown("54-7"), 0x00200052)


CASES.given("55a", raw(el(0x00200052, "UI", "1.2.826.0.1.55.5"), el(0x00100020, "LO", "A1")))
CASES.given("55b", raw(el(0x00200052, "UI", "1.2.826.0.1.55.5"), el(0x00100020, "LO", "B2")))


def test_case_55_a_uid_is_the_same_in_two_patients(shown):
    a, b = shown("55a").ds, shown("55b").ds
    assert a.FrameOfReferenceUID == b.FrameOfReferenceUID and a.PatientID != b.PatientID


def test_case_56_a_second_pass_is_stable_and_adds_to_the_history(tmp_path):
    (tmp_path / "0").write_bytes(raw(el(0x00200052, "UI", "1.2.826.0.1.56.5")))
    for a, b in (("0", "1"), ("1", "2"), ("1", "2again")):
        assert deidrun.run("basic", tmp_path / a, tmp_path / b, tmp_path).returncode == 0
    one, two = (deidrun.pydicom.dcmread(tmp_path / n) for n in "12")
    assert one.FrameOfReferenceUID != two.FrameOfReferenceUID
    assert (tmp_path / "2").read_bytes() == (tmp_path / "2again").read_bytes()
    items = [len(d.DeidentificationMethodCodeSequence) for d in (one, two)]
    assert items[1] > items[0]
