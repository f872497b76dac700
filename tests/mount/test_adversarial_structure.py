# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 1 to 15: nesting and structure. ZQ... is what must be gone."""
import os
import struct
import sys

import pydicom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cases import Cases, refused  # noqa: E402
from rawdicom import EBE, ELE, ILE, UNDEFINED, el, item, join, raw, sq  # noqa: E402

FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
KEPT = 0x00289145  # a sequence that no table names
CASES = Cases()
shown = CASES.fixture()


def name(word, **form):
    return el(0x00400006, "PN", word + "^X", **form)


def real(file):
    with open(os.path.join(FILES, file), "rb") as f:
        return f.read()


CASES.given("1", raw(sq(0x00081140, [item(
    el(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2"),
    el(0x00081155, "UI", "1.2.826.0.1.99.7"), el(0x00100010, "PN", "ZQONE^X"))])))


def test_case_01_a_name_in_a_reference_goes_and_the_link_stays(shown):
    out = shown("1")
    assert not out.holds("ZQONE", "1.2.826.0.1.99.7")
    ref = out.ds.ReferencedImageSequence[0]
    assert ref.ReferencedSOPInstanceUID.startswith("2.25.")
    assert ref.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def deep(syntax):
    form = {"implicit": syntax == ILE, "big": syntax == EBE}
    inner = [el(0x00281054, "LO", "HU", **form), name("ZQTWO", **form)]
    for n in range(5):
        inner = [sq(KEPT, [item(*inner, undefined=n % 3 == 0, big=form["big"])],
                    undefined=n % 2 == 0, **form)]
    return raw(*inner, syntax=syntax)


for syntax in (ILE, ELE, EBE):
    CASES.given("2" + syntax, deep(syntax))


def test_case_02_a_name_five_deep_goes_and_lengths_are_right(shown):
    for syntax in (ILE, ELE, EBE):
        out = shown("2" + syntax)
        assert not out.holds("ZQTWO")
        ds = out.ds
        for _ in range(5):
            ds = ds[KEPT][0]
        assert ds.RescaleType == "HU"


CASES.given("3", raw(sq(0x04000561, [item(sq(0x04000550, [item(
    el(0x00100010, "PN", "ZQTHREE^X"))]))])))


def test_case_03_original_attributes_go_as_a_whole(shown):
    assert not shown("3").holds("ZQTHREE") and 0x04000561 not in shown("3").ds


# Institution Code Sequence stays under its option; what stands in it is judged.
CASES.given("4", raw(sq(0x00080082, [item(
    el(0x00080100, "SH", "CODE"), el(0x00080102, "SH", "99ZQFOUR"),
    el(0x00080104, "LO", "ZQFOUR"), el(0x00101040, "LO", "ZQADDRESS"),
    name("ZQPERSON"))])), "basic+retain-institution")


def test_case_04_what_lies_in_a_retained_sequence_is_treated(shown):
    out = shown("4", "basic+retain-institution")
    assert not out.holds("ZQADDRESS", "ZQPERSON")
    assert len(out.ds.InstitutionCodeSequence) == 1


CASES.given("5", raw(sq(KEPT, []), sq(0x00289422, [item(), item(sq(KEPT, [], True))], True)))


def test_case_05_empty_sequences_and_items_stay(shown):
    ds = shown("5").ds
    assert len(ds[KEPT].value) == 0 and len(ds[0x00289422].value) == 2
    assert len(ds[0x00289422][1][KEPT].value) == 0


UN_ITEM = item(el(0x00281054, "LO", "HU", implicit=True), name("ZQSIX", implicit=True))
CASES.given("6", raw(sq(KEPT, [UN_ITEM], True, vr="UN")))
CASES.given("6f", real("UN_sequence.dcm"))
CASES.given("7", raw(sq(KEPT, [UN_ITEM], False, vr="UN")))
CASES.given("7p", raw(el(0x00990010, "LO", "ACME"), sq(0x00991001, [UN_ITEM], False, vr="UN")))


def test_case_06_a_sequence_in_un_of_undefined_length_is_cleaned(shown):
    out = shown("6")
    assert not out.holds("ZQSIX")
    assert KEPT not in out.ds or out.ds[KEPT][0].RescaleType == "HU"
    assert refused(shown("6f")) or not shown("6f").holds(
        "1.2.840.113619.2.327.3.185221411", "2.16.840.1.113786.1.329.501")


def test_case_07_a_sequence_in_un_of_defined_length_is_cleaned(shown):
    assert not shown("7").holds("ZQSIX") and not shown("7p").holds("ZQSIX", "ACME")


def mixed(undefined):
    """Explicit outside, implicit in the items of a private sequence (CP-246)."""
    inner = item(el(0x00100010, "PN", "ZQEIGHT^X", implicit=True),
                 el(0x00104000, "LT", "ZQEIGHT", implicit=True), undefined=undefined)
    return raw(el(0x00990010, "LO", "ACME"), sq(0x00991001, [inner], undefined),
               sq(KEPT, [inner], undefined))


for flag in (False, True):
    for profile in ("basic", "basic+retain-safe-private"):
        CASES.given("8%d" % flag, mixed(flag), profile)


def test_case_08_implicit_items_in_an_explicit_file_never_leak(shown):
    for profile in ("basic", "basic+retain-safe-private"):
        for flag in (False, True):
            out = shown("8%d" % flag, profile)
            assert refused(out) or not out.holds("ZQEIGHT")


SAFE = [el(0x00290010, "LO", "SIEMENS MR HEADER"), el(0x00990010, "LO", "ACME")]
PRIVATE = sq(0x00991001, [item(name("ZQNINE"), el(0x00990010, "LO", "ACME"),
                               el(0x00991002, "LO", "ZQNINE"))])
for profile in ("basic", "basic+retain-safe-private"):
    CASES.given("9", raw(*SAFE, PRIVATE), profile)
    for file in ("nested_priv_SQ.dcm", "priv_SQ.dcm"):
        CASES.given(file, real(file), profile)


def test_case_09_private_sequences_are_walked_or_removed(shown):
    for profile in ("basic", "basic+retain-safe-private"):
        out = shown("9", profile)
        assert not out.holds("ZQNINE", "ACME")
        for file in ("nested_priv_SQ.dcm", "priv_SQ.dcm"):
            out = shown(file, profile)
            assert refused(out) or not out.holds("Nested SQ", "aaabbbccc")


def bomb(levels):
    head = (el(KEPT, "SQ", b"", length=UNDEFINED)[1] +
            struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED))
    return raw(tail=el(KEPT, "SQ", b"", length=UNDEFINED)[1] +
               struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED) + head * levels +
               name("ZQTEN")[1])


CASES.given("10", bomb(100000))


def test_case_10_a_depth_bomb_is_refused(shown):
    assert refused(shown("10")) and "ZQTEN" not in shown("10").stderr


CASES.given("11a", raw(tail=el(KEPT, "SQ", b"", length=UNDEFINED)[1] + b"\xfe\xff\0\xe0\0\0\0\0"
                       * 5000000))
CASES.given("11b", raw(tail=el(KEPT, "SQ", item(name("ZQELEVEN")), length=1 << 30)[1]))
CASES.given("11c", raw(sq(KEPT, [struct.pack("<HHL", 0xFFFE, 0xE000, 400) +
                                 name("ZQELEVEN")[1]])))


def test_case_11_wide_and_lying_sequences_are_refused(shown):
    for one in ("11a", "11b", "11c"):
        assert refused(shown(one)), one
        assert "ZQELEVEN" not in shown(one).stderr


CASES.given("12a", raw(tail=el(KEPT, "SQ", item(name("ZQTWELVE")), length=UNDEFINED)[1]))
CASES.given("12b", raw(tail=b"\xfe\xff\x0d\xe0\0\0\0\0" + name("ZQTWELVE")[1]))


def test_case_12_missing_and_stray_delimiters_never_show_the_tail(shown):
    for one in ("12a", "12b"):
        assert refused(shown(one)) or not shown(one).holds("ZQTWELVE")


CASES.given("13a", raw(el(0x00100010, "PN", ""), el(0x00100010, "PN", "ZQTHIRTEEN^X"),
                       el(0x00104000, "LT", "ZQTHIRTEEN"), el(0x00104000, "LT", "")))
CASES.given("13b", raw(tail=join(el(0x00321060, "LO", "ZQTHIRTEEN"),
                                 el(0x00104000, "LT", "ZQTHIRTEEN"))))


def test_case_13_tags_that_stand_twice_or_disordered_are_treated(shown):
    for one in ("13a", "13b"):
        out = shown(one)
        assert not out.holds("ZQTHIRTEEN")
        tags = [e.tag for e in out.ds]
        assert tags == sorted(set(tags))


CASES.given("14a", raw(sq(0x00081200, [item(el(0x0020000D, "UI", "1.2.826.0.1.14.1"))])))
CASES.given("14b", raw())


def test_case_14_the_study_is_that_of_the_root(shown):
    a, b = shown("14a"), shown("14b")
    assert a.ds.StudyInstanceUID == b.ds.StudyInstanceUID
    assert a.name.split("/")[:2] == b.name.split("/")[:2]


FRAMES = 5000
FRAME = item(el(0x00080018, "UI", "1.2.826.0.1.15.5"),
             sq(0x00209111, [item(el(0x00189074, "DT", "20110405101112.345678"),
                                  el(0x00189151, "DT", "20110405101112.345678"))]))
CASES.given("15", raw(sq(0x52009230, [FRAME] * FRAMES)))


def test_case_15_all_frames_are_treated(shown):
    out = shown("15")
    assert not out.holds("20110405", "101112", "1.2.826.0.1.15.5")
    assert len(out.ds.PerFrameFunctionalGroupsSequence) == FRAMES
