# SPDX-License-Identifier: Apache-2.0
"""Virtual attributes of archives that have not been listed: what a folder answers is what
a DICOMweb server over the same folder answers, each time from an empty catalog."""
import os
import subprocess
import sys

import pytest

import query_corpus
from vivomount import BINARY, environment

SERVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers")
QUERIES = [
    "StudyRank=-1", "StudyRank=2 and Modality=CT", "StudyDay>=1", "missing StudyRank",
    "ModalitiesInStudy=PT and Modality=CT", "NumberOfPatientRelatedStudies=2",
    "NumberOfStudyRelatedSeries=4", "NumberOfStudyRelatedInstances in (2,11,13)",
    "InstanceCount>=6", "FrameCount=3", "Plane=coronal", "has RefersTo",
    "patient(NumberOfStudyRelatedInstances=2) and not study(StudyDay=0)",
    "study(InstanceCount=1) and series(StudyRank=1 or FrameCount=2)", "has License",
]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("hospital"))
    query_corpus.make(folder)
    server = subprocess.Popen(
        [sys.executable, os.path.join(SERVERS, "dicomweb_server.py"), folder], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield folder, "dicomweb+" + server.stdout.readline().strip()
    server.stdin.close()
    server.wait(30)


def paths(source, query, home, options="deid=none"):
    run = subprocess.run([BINARY, "query", "-o", options, query, f"h={source}"],
                         env=environment(str(home)), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return {p.rsplit("/", 1)[1] for p in run.stdout.splitlines()}


@pytest.mark.parametrize("query", QUERIES)
def test_server_and_folder_agree(hospital, tmp_path, query):
    folder, url = hospital
    here = paths(folder, query, tmp_path / "a")
    there = paths(url, query, tmp_path / "b")
    assert here == there
    assert paths(url, query, tmp_path / "b") == there  # and from what is known now
    assert (len(here) > 0) == (query != "has License")


def test_ranks_are_the_same_under_shifted_dates(hospital, tmp_path):
    folder, _ = hospital
    shifted = "deid=basic+retain-modified-dates"
    for query in ("StudyRank=1", "StudyRank=-2", "StudyDay=1..", "StudyDay=0"):
        plain = paths(folder, query, tmp_path / "a")
        assert len(paths(folder, query, tmp_path / "c", shifted)) == len(plain) > 0
