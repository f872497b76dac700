# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 16 to 39: private and unknown elements, VRs and values."""
import os
import struct
import sys

import pydicom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cases import Cases, refused  # noqa: E402
from rawdicom import ILE, ROOT, UNDEFINED, el, item, raw, sq  # noqa: E402

FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
KEPT = 0x00289145
SAFE = "basic+retain-safe-private"
ALL = ("basic", SAFE, "research", "limited", "basic+clean-graphics+retain-device")
CASES = Cases()
shown = CASES.fixture()


def everywhere(name, what, profiles=ALL):
    for profile in profiles:
        CASES.given(name, what, profile)


def nowhere(shown, name, *words, profiles=ALL):
    for profile in profiles:
        out = shown(name, profile)
        assert out.raw, (profile, out.refused)
        assert not out.holds(*words), profile


everywhere("16", raw(el(0x00990010, "LO", "ACMEZQ16"), el(0x00991001, "LO", "ZQ16TEXT"),
                     el(0x00991002, "UN", "ZQ16UN")))


def test_case_16_private_blocks_go_with_their_creators(shown):
    nowhere(shown, "16", "ZQ16", "ACME")


everywhere("17", raw(el(0x00191023, "DS", "17.17"), el(0x00191099, "LO", "ZQ17")))


def test_case_17_orphans_without_a_creator_go(shown):
    nowhere(shown, "17", "ZQ17", "17.17")


def siemens(block, creator="SIEMENS MR HEADER", element=0x0C, vr="IS", value="1700"):
    return [el(0x00190000 | block, "LO", creator),
            el(0x00190000 | block << 8 | element, vr, value)]


CASES.given("18a", raw(*siemens(0x10)), SAFE)
CASES.given("18b", raw(el(0x00190010, "LO", "OTHER"), el(0x0019100C, "IS", "1800"),
                       *siemens(0x11)), SAFE)


def test_case_18_safe_blocks_are_found_by_their_creator(shown):
    assert shown("18a", SAFE).ds[0x0019100C].value == 1700
    out = shown("18b", SAFE)
    ds = out.ds
    block = ds.private_block(0x0019, "SIEMENS MR HEADER")
    assert block[0x0C].value == 1700 and not out.holds("OTHER", "1800")


CASES.given("19a", raw(el(0x00190010, "LO", "SIEMENS MR HEADER"), *siemens(0x11)), SAFE)
CASES.given("19b", raw(el(0x00190010, "LO", "SIEMENS MR HEADER"),
                       el(0x00190010, "LO", "ACME"), el(0x0019100C, "IS", "1900")), SAFE)


def test_case_19_doubtful_creators_are_not_safe(shown):
    assert not shown("19b", SAFE).holds("1900", "ACME")
    assert not shown("19a", SAFE).holds("1700")


CASES.given("20a", raw(*siemens(0x10, "SIEMENS MR HEADER  ")), SAFE)
CASES.given("20b", raw(*siemens(0x10, "SIEMENS MR HEADER\0")), SAFE)
CASES.given("20c", raw(*siemens(0x10, "Siemens MR Header ")), SAFE)


def test_case_20_creators_are_trimmed_and_their_case_counts(shown):
    for one in ("20a", "20b"):
        assert shown(one, SAFE).ds[0x0019100C].value == 1700, one
    assert not shown("20c", SAFE).holds("1700", "Siemens")


CASES.given("21", raw(*siemens(0x10, value="ZQ21"), el(0x0019100D, "CS", "zq21 name"),
                      el(0x00270010, "LO", "GEMS_ACQU_01"),
                      el(0x00271023, "DS", "ZQ21"), el(0x2005, "LO", "")), SAFE)
CASES.given("21b", raw(el(0x00190010, "LO", "GEMS_ACQU_01"), el(0x00191023, "DS", "Doe^ZQ21"),
                       el(0x0019109E, "LO", "Doe^Jane")), SAFE)


def test_case_21_safe_values_of_another_kind_go(shown):
    for one in ("21", "21b"):
        assert not shown(one, SAFE).holds("ZQ21", "zq21", "Doe")


CASES.given("22", raw(el(0x00990010, "LO", "NQHeader"),
                      el(0x00991002, "UI", "1.2.826.0.1.22.22")), SAFE)


def test_case_22_safe_uids_are_replaced(shown):
    out = shown("22", SAFE)
    assert not out.holds("1.2.826.0.1.22.22")
    assert str(out.ds[0x00991002].value).startswith("2.25.")


CASES.given("23", raw(el(0x20010010, "LO", "Philips Imaging DD 001"),
                      el(0x2001107D, "OW", "ZQ23" * 64)), SAFE)


def test_case_23_safe_bulk_holds_no_text(shown):
    out = shown("23", SAFE)
    assert not out.holds("ZQ23ZQ23")


everywhere("24", raw(el(0x7FE10010, "LO", "ACMEZQ24"), el(0x7FE11001, "OB", "ZQ24PIXEL"),
                     sq(0xFFFAFFFA, [item(el(0x04000115, "OB", "ZQ24CERT"))]),
                     el(0xFFFCFFFC, "OB", "ZQ24PADDING")))


def test_case_24_what_follows_the_pixels_goes(shown):
    nowhere(shown, "24", "ZQ24", "ACME")


everywhere("25", raw(el(0x0008FFF1, "LO", "ZQ25LO"), el(0x0008FFF3, "UN", "ZQ25UN"),
                     el(0x00501234, "SQ", item(el(0x00400006, "PN", "ZQ25^PN")))))
for n, tag in enumerate((0x00010010, 0x00030010, 0x00050010, 0x00071001, 0xFFFF0001)):
    everywhere("25-%d" % n, raw(el(tag, "LO", "ZQ25ILLEGAL")))


def test_case_25_unknown_elements_and_illegal_groups_go(shown):
    nowhere(shown, "25", "ZQ25")
    for n in range(5):
        for profile in ALL:
            out = shown("25-%d" % n, profile)
            assert refused(out) or not out.holds("ZQ25")


everywhere("26", raw(el(0x00990010, "LO", "ZQ26^JANE"), el(0x00991001, "US", b"\1\0")))


def test_case_26_a_creator_that_is_a_name_goes(shown):
    nowhere(shown, "26", "ZQ26")


everywhere("27", raw(sq(0x00080300, [item(
    el(0x00080301, "US", b"\x99\0"), el(0x00080302, "LO", "ZQ27"),
    el(0x00080303, "CS", "SAFE"), sq(0x00080305, [item(el(0x00080307, "CS", "K"))]))]),
    el(0x00990010, "LO", "ZQ27"), el(0x00991001, "LO", "ZQ27VALUE")))


def test_case_27_what_a_file_says_of_its_own_blocks_is_not_believed(shown):
    nowhere(shown, "27", "ZQ27")


for n, vr in enumerate(("UN", "OB", "IS", "UC", "UT")):
    CASES.given("28-%d" % n, raw(el(0x00100020, vr, "ZQ28"), el(0x00100010, "LO", "ZQ28"),
                                 el(0x00104000, vr, "ZQ28")))
with open(os.path.join(FILES, "badVR.dcm"), "rb") as f:
    CASES.given("28f", f.read())


def test_case_28_the_tag_decides_and_not_the_vr(shown):
    for n in range(5):
        out = shown("28-%d" % n)
        assert not out.holds("ZQ28")
        assert out.ds["PatientID"].VR == "LO" and out.ds["PatientName"].VR == "PN"
    out = shown("28f")
    assert refused(out) or not out.holds("Lastname", "id11111", "20030805", "Computer001")


def odd_vr(vr, long):
    head = struct.pack("<HH", 0x0010, 0x4000) + vr
    head += struct.pack("<HL", 0, 8) if long else struct.pack("<H", 8)
    return raw(tail=b"").replace(el(0x0020000D, "UI", ROOT + "1")[1],
                                 head + b"ZQ29TEXT" + el(0x0020000D, "UI", ROOT + "1")[1])


VRS = (b"ZZ", b"lo", b"\0\0", b"??")
for n, vr in enumerate(VRS):
    for long in (False, True):
        CASES.given("29-%d%d" % (n, long), odd_vr(vr, long))


def test_case_29_unknown_vrs_never_get_out_of_step(shown):
    for n in range(len(VRS)):
        for long in (False, True):
            out = shown("29-%d%d" % (n, long))
            if not refused(out):
                assert not out.holds("ZQ29")
                assert out.ds.StudyInstanceUID.startswith("2.25.")


CASES.given("30a", raw(el(0x00081090, "LO", "ODD", odd=True), el(0x00181020, "LO", "A\0B"),
                       el(0x00104000, "LT", "ZQ30\0ZQ30")))
CASES.given("30b", raw(tail=el(0x00321060, "LO", "ZQ30", length=0xFFFF)[1]))
CASES.given("30c", raw(tail=el(0x00321060, "UT", "ZQ30", length=UNDEFINED)[1]))


def test_case_30_odd_lengths_come_out_even_and_wrong_ones_are_refused(shown):
    out = shown("30a")
    assert not out.holds("ZQ30") and out.ds.ManufacturerModelName == "ODD"
    assert len(out.raw) % 2 == 0
    for one in ("30b", "30c"):
        assert refused(shown(one))


GROUPS = "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
everywhere("31", raw(el(0x00080005, "CS", "\\ISO 2022 IR 87"),
                     el(0x00100010, "PN", GROUPS), el(0x00080090, "PN", "ZQ31^A\\ZQ31^B"),
                     el(0x00101001, "PN", GROUPS + "\\ZQ31^C"),
                     el(0x00081030, "LO", "\x1b$B;3ED\x1b(B scan")))


def test_case_31_all_groups_and_values_of_names_go(shown):
    nowhere(shown, "31", "ZQ31", "Yamada", "Tarou", "$B;3ED", "山田", "やまだ")


SJIS = "表示ソ能".encode("shift_jis")  # bytes of backslashes inside
GB = b"\x95\x5c\x8e\x5c"  # two letters whose second bytes are backslashes
everywhere("32", raw(el(0x00080005, "CS", "ISO_IR 13"), el(0x00100010, "PN", SJIS),
                     el(0x00104000, "LT", SJIS), el(0x00081030, "LO", SJIS),
                     el(0x00204000, "LT", b"ZQ32 " + SJIS)))
everywhere("32g", raw(el(0x00080005, "CS", "GB18030"), el(0x00100010, "PN", GB),
                      el(0x00081030, "LO", GB + b" scan")))


def test_case_32_backslashes_inside_characters_do_not_part_values(shown):
    nowhere(shown, "32", SJIS, SJIS[2:], "ソ能")
    nowhere(shown, "32g", GB, "昞嶾")


for n, charset in enumerate(("NO SUCH SET", "ISO_IR 100\\ISO_IR 192\\GB18030", "", "\\\\")):
    everywhere("33-%d" % n, raw(el(0x00080005, "CS", charset),
                                el(0x00100010, "PN", "ZQ33\xe9^J".encode("latin1")),
                                el(0x00081030, "LO", "ZQ33\xe9 scan".encode("latin1")),
                                el(0x0008103E, "LO", b"\xff\xfeZQ33")))


def test_case_33_wrong_character_sets_decide_nothing(shown):
    for n in range(4):
        nowhere(shown, "33-%d" % n, "ZQ33")


everywhere("34", raw(el(0x00080005, "CS", "ISO_IR 100"), el(0x00081030, "LO", "Müller CT"
                                                            .encode("latin1")),
                     sq(KEPT, [item(el(0x00080005, "CS", "ISO_IR 192"),
                                    el(0x00100010, "PN", "Müller^Eva"),
                                    el(0x00081030, "LO", "Müller CT"))])))


def test_case_34_each_item_has_its_own_character_set(shown):
    nowhere(shown, "34", "Müller".encode("latin1"), "Müller", "Eva")


everywhere("35", raw(el(0x00080054, "AE", "ZQ35AE"), el(0x00080055, "AE", "ZQ35STATION"),
                     el(0x21000140, "AE", "ZQ35DEST"), el(0x00400241, "AE", "ZQ35PERF"),
                     el(0x00400001, "AE", "ZQ35SCHED"), el(0x00081010, "SH", "ZQ35ST")), ("basic", "research", "strict"))


def test_case_35_titles_of_applications_go(shown):
    nowhere(shown, "35", "ZQ35AE", "ZQ35DEST", profiles=("basic", "research", "strict"))
    out = shown("35", "basic")
    assert not out.holds("ZQ35")


PLACES = [el(0x00080050, "SH", "ACC7700123"), el(0x0008103E, "LO", "Doe chest"),
          el(0x00181030, "LO", "Prot Jane Doe"), el(0x00204000, "LT", "seen by Dr. Roe, Doe"),
          el(0x00200010, "SH", "ACC7700123"), el(0x00401001, "SH", "ACC7700123"),
          el(0x22000002, "LO", "Doe_MRN7654321.dcm"),
          sq(0x30060020, [item(el(0x30060022, "IS", "1"), el(0x30060026, "LO", "Doe tumour"))]),
          sq(0x00082218, [item(el(0x00080100, "SH", "X1"), el(0x00080102, "SH", "99LOCAL"),
                               el(0x00080104, "LO", "region of Doe"))]),
          sq(0x00081032, [item(el(0x00080100, "SH", "X2"), el(0x00080102, "SH", "SRT"),
                               el(0x00080104, "LO", "Jane Doe's scan"))])]
everywhere("36", raw(*PLACES))


def test_case_36_names_in_texts_codes_and_numbers_go(shown):
    nowhere(shown, "36", "Doe", "Jane", "ACC7700123", "MRN7654321", "7654321")


HIDDEN = "1.2.840.7654321.20040119.77"
everywhere("37", raw(el(0x00081155, "UI", HIDDEN), el(0x00083010, "UI", HIDDEN + "\\" + HIDDEN),
                     el(0x0020000D, "UI", "1.2.840.7654321.20040119"),
                     sq(KEPT, [item(el(0x00081155, "UI", HIDDEN))])))


def test_case_37_identifiers_inside_uids_go(shown):
    nowhere(shown, "37", "7654321", "20040119")


everywhere("38", raw(el(0x00200012, "IS", "ZQ38"), el(0x00180050, "DS", "ZQ38 mm"),
                     el(0x00101010, "AS", "ZQ38"), el(0x00185100, "CS", "ZQ38 lower"),
                     el(0x00280030, "DS", "1.5\\ZQ38"), el(0x00180015, "CS", "zq38 Doe^Jane")))


def test_case_38_text_in_numbers_codes_and_ages_goes(shown):
    nowhere(shown, "38", "ZQ38 mm", "zq38", "Doe", "ZQ38 lower")
    out = shown("38")
    assert "AcquisitionNumber" not in out.ds or not out.ds.AcquisitionNumber
    assert not out.holds("1.5\\ZQ38")


URL = "http://pacs.example/MRN7654321/x"
everywhere("39", raw(el(0x00081190, "UR", URL), el(0x0040E010, "UR", URL),
                     el(0x00287FE0, "UR", URL), el(0x00081030, "LO", "see " + URL)))


def test_case_39_addresses_go(shown):
    nowhere(shown, "39", "pacs.example", "7654321")


CASES.given("implicit", raw(el(0x00990010, "LO", "ACMEZQ16", implicit=True),
                            el(0x00991001, "LO", "ZQ16TEXT", implicit=True), syntax=ILE))


def test_case_16_in_implicit_files_too(shown):
    assert not shown("implicit").holds("ZQ16", "ACME")
