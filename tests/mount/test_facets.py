# SPDX-License-Identifier: Apache-2.0
"""Facets of numbers, ages and dates: many values are ranges, each a query that says the
same, each value in exactly one; exact values go on answering."""
import os

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
    days = os.listdir(ranges / "loc/by/StudyDate/2018/by/StudyDate")
    assert days and all(d.startswith("2018") and len(d) == 8 for d in days)


def test_few_values_stand_for_themselves(ranges):
    assert os.listdir(ranges / "loc/by/SliceThickness") == ["1", "2", "3"]
