# SPDX-License-Identifier: Apache-2.0
"""Facets of numbers, ages and dates: many values are ranges, each a query that says the
same, each value in exactly one; exact values go on answering."""
import os
import unicodedata

import pydicom
import pytest

import synthetic
from vivomount import Mount


@pytest.fixture(scope="module")
def ranges(tmp_path_factory):
    """80 series: ages 0 to 79, dates over three years, locations -20.5 to 377."""
    path = str(tmp_path_factory.mktemp("ranges"))
    for i in range(80):
        ds = synthetic.instance("r", i // 4, i % 4, 0, 0)
        ds.PatientAge = "%03dY" % i
        ds.StudyDate = "%04d%02d%02d" % (2017 + i % 3, 1 + i % 12, 1 + i % 28)
        ds.SliceLocation = "%g" % (5 * i - 20.5 + (i % 2) / 2)
        ds.SliceThickness = str(1 + i % 3)
        ds.save_as(os.path.join(path, f"{i}.dcm"), write_like_original=False)
    with Mount({"loc": path}) as m:
        yield m


@pytest.mark.parametrize("keyword", ["PatientAge", "SliceLocation"])
def test_each_object_is_in_exactly_one_range(ranges, keyword):
    names = os.listdir(ranges / f"loc/by/{keyword}")
    assert 2 < len(names) <= 24 and ".." in names[1]
    seen = [f for n in names for f in ranges.files(f"loc/by/{keyword}/{n}")]
    assert sorted(seen) == ranges.files("loc")
    for name in names:
        assert ranges.files(f"loc/by/{keyword}/{name}") == ranges.files(
            f"loc/q/{keyword}={name}")


def test_ages_are_decades_and_exact_ones_answer(ranges):
    names = os.listdir(ranges / "loc/by/PatientAge")
    assert names[:2] == ["000Y..009Y", "010Y..019Y"]
    assert len(ranges.files("loc/by/PatientAge/061Y")) == 1
    with open(ranges / "loc/by/PatientAge/010Y..019Y/.count") as f:
        assert "instances 10\n" in f.read()


def test_a_range_has_facets_of_its_own_values(ranges):
    assert os.listdir(ranges / "loc/by/PatientAge/010Y..019Y/by/PatientAge") == [
        "%03dY" % i for i in range(10, 20)]


def test_dates_are_years_then_their_parts(ranges):
    assert os.listdir(ranges / "loc/by/StudyDate") == ["2017", "2018", "2019"]
    assert ranges.files("loc/by/StudyDate/2018") == ranges.files("loc/q/StudyDate=2018")
    assert ranges.files("loc/by/StudyDate/2018-03..2019") == ranges.files(
        "loc/q/StudyDate=2018-03..2019") != []
    days = os.listdir(ranges / "loc/by/StudyDate/2018/by/StudyDate")
    assert days and all(d.startswith("2018") and len(d) == 8 for d in days)


def test_few_values_stand_for_themselves(ranges):
    assert os.listdir(ranges / "loc/by/SliceThickness") == ["1", "2", "3"]


VALUES = ["a,b", "x/y", "50%", "%2F", "Tête & Nück", "胸部", '"quoted"', "it's", "a\\b",
          "*", "what?", "..", ".hidden", "1..5", "_missing", "a = b", "(both)", "not a",
          "A or B", "~x", "tab\tin", "two\nlines", "e\u0301te\u0301", "#", "$HOME", "-r",
          "x" * 255, "y" * 256, "é" * 300, "é" * 299 + "z", "Y" * 300, "%" * 200]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One object a value, two without: one empty, one absent. Odd ones are of CT."""
    path = str(tmp_path_factory.mktemp("odd"))
    for i, value in enumerate(VALUES + ["", None]):
        ds = synthetic.instance("o", i // 4, i % 4, 0, 0)
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.Modality = "CT" if i % 2 else "MR"
        ds.Manufacturer = ["GE, Inc.", "a/b%"][i % 2]
        if value is not None:
            ds.ImageComments = value
        ds.save_as(os.path.join(path, f"{i}.dcm"), write_like_original=False)
    with Mount({"loc": path}) as m:
        assert len(m.files()) == len(VALUES) + 2
        yield m


def instances(m, where):
    with open(m / f"{where}/.count") as f:
        return int(f.read().split()[7])


def test_every_value_is_in_exactly_one_name(odd):
    names = os.listdir(odd / "loc/by/ImageComments")
    assert len(names) == len(set(names)) and "_missing" in names
    seen = {}
    for name in names:
        files = odd.files(f"loc/by/ImageComments/{name}")
        assert len(files) == instances(odd, f"loc/by/ImageComments/{name}") > 0, name
        for f in files:
            assert seen.setdefault(f, name) == name
    assert sorted(seen) == odd.files("loc")
    assert len(odd.files("loc/by/ImageComments/_missing")) == 2
    assert len(odd.files("loc/by/ImageComments/%5Fmissing")) == 1
    # Of long ones two begin alike, and two differ in case alone; all others are alone.
    several = {n: list(seen.values()).count(n) for n in names}
    long = {n for n in names if n.endswith("%*")}
    assert {n[0] for n in long} == {"Y", "é", "%"} and len(long) == 3
    assert {n for n in names if several[n] == 2} == {
        "_missing", *(n for n in long if n[0] != "%")}
    assert sum(several.values()) == len(VALUES) + 2 == len(names) + 3


@pytest.mark.parametrize("value", VALUES[:27])
def test_a_name_is_its_value_escaped(odd, value):
    name = "".join("%%%02X" % ord(c) if c in "%/\t\n" else c for c in value)
    if name[0] == "." or name == "_missing":
        name = "%%%02X" % ord(name[0]) + name[1:]
    name = unicodedata.normalize("NFC", name)
    assert name in os.listdir(odd / "loc/by/ImageComments")
    assert instances(odd, f"loc/by/ImageComments/{name}") == 1


def test_facets_nest_over_odd_values(odd):
    top = "loc/by/Manufacturer"
    assert sorted(os.listdir(odd / top)) == ["GE, Inc.", "a%2Fb%25"]
    total = 0
    for maker in os.listdir(odd / top):
        (modality,) = os.listdir(odd / f"{top}/{maker}/by/Modality")
        below = f"{top}/{maker}/by/Modality/{modality}/by/ImageComments"
        for name in os.listdir(odd / below):
            total += instances(odd, f"{below}/{name}")
            with open(odd / f"{below}/{name}/.query") as f:
                assert f.read().startswith("Manufacturer=")
    assert total == len(VALUES) + 2
    assert os.listdir(odd / f"{top}/GE, Inc./by/Modality") == ["MR"]
    assert odd.files(f"{top}/a%2Fb%25/by/Modality/MR") == []


@pytest.fixture(scope="module")
def unlike(tmp_path_factory):
    """Six objects of one series: values that are none of their VR, equal ones spelt
    otherwise, several in one, and in functional groups."""
    path = str(tmp_path_factory.mktemp("unlike"))
    group = pydicom.Dataset()
    group.MRDiffusionSequence = [pydicom.Dataset()]
    group.MRDiffusionSequence[0].DiffusionBValue = 1500.0
    echo = pydicom.Dataset()
    echo.MREchoSequence = [pydicom.Dataset()]
    echo.MREchoSequence[0].EffectiveEchoTime = 70.0
    for i in range(6):
        ds = synthetic.instance("u", 0, 0, 0, i)
        for keyword, vr, values in (
                ("PatientAge", "AS", ["001Y", "012M", "365D", "1Y", "year", ""]),
                ("SliceThickness", "DS", [".5", "0.5", "5e-1", "1,75", "-.25", "2"]),
                ("AcquisitionDate", "DA", ["20190615"] * 3 + ["2019.06.15", "20191301", ""]),
                ("ContentTime", "TM", ["1030", "10:30", "113000", "25", "", "1130"])):
            raw = pydicom.dataelem.RawDataElement(
                pydicom.tag.Tag(keyword), vr, len(values[i]), values[i].encode(), 0, False,
                True)
            ds[keyword] = raw
        ds.FrameIncrementPointer = [0x00181063, 0x00540010 + i % 2]
        ds.DiffusionBValue = 800.0
        ds.EchoTime = 5
        if i < 2:  # an enhanced object
            del ds.DiffusionBValue, ds.EchoTime
            ds.PerFrameFunctionalGroupsSequence = [group, pydicom.Dataset()]
            ds.SharedFunctionalGroupsSequence = [echo] if i else []
        pydicom.dcmwrite(os.path.join(path, f"{i}.dcm"), ds, write_like_original=False)
    with Mount({"loc": path}) as m:
        yield m


@pytest.mark.parametrize("keyword,expected", [
    ("PatientAge", {"001Y": 3, "365D": 1, "year": 1, "_missing": 1}),
    ("SliceThickness", {"-.25": 1, "%2E5": 3, "1,75": 1, "2": 1}),
    ("AcquisitionDate", {"20190615": 3, "2019.06.15": 1, "20191301": 1, "_missing": 1}),
    ("ContentTime", {"1030": 2, "113000": 1, "1130": 2, "25": 1, "_missing": 1}),
    ("FrameIncrementPointer", {"00181063": 6, "00540010": 3, "00540011": 3}),
    ("DiffusionBValue", {"1500": 2, "800": 4}),
    ("EchoTime", {"70": 1, "5.0": 4, "_missing": 1}),
    ("PerFrameFunctionalGroupsSequence", {"_missing": 4}),
    ("PixelData", {}),
])
def test_whatever_objects_have_is_in_a_facet(unlike, keyword, expected):
    shown = os.listdir(unlike / f"loc/by/{keyword}")
    assert len(shown) == len(set(shown))
    found = {n: instances(unlike, f"loc/by/{keyword}/{n}") for n in shown}
    assert found == expected


def test_a_value_that_no_object_has_and_is_none_is_told_to_be_wrong(unlike):
    assert os.listdir(unlike / "loc/by/AcquisitionDate/2019.06.16") == [".error"]
    assert os.listdir(unlike / "loc/q/AcquisitionDate=2019.06.15") == [".error"]
