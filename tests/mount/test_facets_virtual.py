# SPDX-License-Identifier: Apache-2.0
"""by/<virtual>: each value of a virtual attribute that exists is one name, which shows
what q/K=value shows; of a folder, and of a server of which nothing was ever listed."""
import os
import subprocess
import sys

import pytest

import query_corpus
import synthetic
from vivomount import Mount

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")
ONCE = ["StudyRank", "StudyDay", "InstanceCount", "FrameCount", "SeriesBytes",
        "Collection", "Archive", "Plane", "FetchState", "NumberOfPatientRelatedStudies",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances", "License"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("corpus"))
    query_corpus.make(path)
    return path


@pytest.fixture(scope="module")
def local(corpus):
    with Mount({"loc": corpus}) as m:
        yield m


def check_parts(m, where, keyword):
    """The names of a facet, each what the query shows; every object is in exactly one."""
    names = os.listdir(m / f"{where}/by/{keyword}")
    seen = []
    for name in names:
        files = m.files(f"{where}/by/{keyword}/{name}")
        asked = f"missing {keyword}" if name == "_missing" else \
            f"{keyword}={name}" if ".." in name else f'{keyword}="{name}"'
        assert files and files == m.files(f"{where}/q/{asked}"), (keyword, name)
        with open(m / f"{where}/by/{keyword}/{name}/.count") as f:
            assert f"instances {len(files)}\n" in f.read()
        seen += files
    assert sorted(seen) == m.files(where), keyword
    return names


@pytest.mark.parametrize("keyword", ONCE)
def test_each_object_is_in_exactly_one_value(local, keyword):
    assert check_parts(local, "loc", keyword)


def test_what_exists_is_listed_and_nothing_else(local):
    top = local / "loc/by"
    assert os.listdir(f"{top}/StudyRank") == ["_missing", "1", "2", "3"]
    assert os.listdir(f"{top}/Archive") == ["loc"]
    assert os.listdir(f"{top}/Collection") == ["all"]
    assert os.listdir(f"{top}/License") == ["_missing"]
    assert os.listdir(f"{top}/ModalitiesInStudy") == ["CR", "CT", "MR", "PT", "RTSTRUCT",
                                                      "SEG"]
    assert os.listdir(f"{top}/modalitiesinstudy") == os.listdir(f"{top}/ModalitiesInStudy")
    assert not os.path.exists(f"{top}/StudyRanks")
    assert not os.path.exists(f"{top}/RefersTo")


def test_values_that_are_not_listed_answer(local):
    for name in ("-1", "99"):
        assert local.files(f"loc/by/StudyRank/{name}") == local.files(
            f"loc/q/StudyRank={name}")
    assert local.files("loc/by/StudyRank/-1")


def test_they_nest_and_end_where_nothing_matches(local):
    (where,) = {d for d in os.listdir(local / "loc/all") if d == "PAT000"}
    assert check_parts(local, f"loc/all/{where}", "StudyDay")
    check_parts(local, "loc/q/Modality=PT", "InstanceCount")
    inner = local / "loc/by/ModalitiesInStudy/PT/by/StudyRank/1/by/Modality"
    assert os.listdir(inner) == ["CT", "PT"]
    assert os.listdir(local / "loc/q/Modality=XX/by/StudyRank") == []


def test_many_numbers_are_ranges(tmp_path):
    for i in range(36):
        for k in range(1 + i):
            ds = synthetic.instance("n", i // 6, i % 6, 0, k, 2)
            ds.save_as(str(tmp_path / f"{i}-{k}.dcm"), write_like_original=False)
    with Mount({"loc": str(tmp_path)}) as m:
        names = check_parts(m, "loc", "InstanceCount")
        assert len(names) < 24 and any(".." in n for n in names)


@pytest.fixture(scope="module")
def url(corpus):
    server = subprocess.Popen([sys.executable, SERVER, corpus], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield "dicomweb+" + server.stdout.readline().strip()
    server.stdin.close()
    server.wait(30)


@pytest.mark.parametrize("keyword", ["ModalitiesInStudy", "StudyRank", "FrameCount",
                                     "Collection", "License"])
def test_of_a_server_that_was_never_listed(url, local, keyword):
    with Mount({"loc": url}) as m:
        assert os.listdir(m / f"loc/by/{keyword}") == os.listdir(
            local / f"loc/by/{keyword}")
        if keyword in ONCE:
            check_parts(m, "loc", keyword)


def test_hidden_as_in_queries(corpus):
    with Mount({"loc": corpus}, deid="basic") as m:
        for keyword in ("StudyRank", "StudyDay"):
            assert os.listdir(m / f"loc/by/{keyword}") == [".error"]
            with open(m / f"loc/by/{keyword}/.error") as f:
                assert "retain" in f.read()
        check_parts(m, "loc", "InstanceCount")
    with Mount({"loc": corpus}, deid="basic+retain-modified-dates") as m:
        assert check_parts(m, "loc", "StudyDay")
