# SPDX-License-Identifier: Apache-2.0
"""Virtual attributes of archives that have not been listed: what a folder answers is what
a DICOMweb server over the same folder answers, each time from an empty catalog."""
import pytest

import queryrun
from archiveserver import ArchiveServer

QUERIES = [
    "StudyRank=-1", "StudyRank=2 and Modality=CT", "StudyDay>=1", "missing StudyRank",
    "ModalitiesInStudy=PT and Modality=CT", "NumberOfPatientRelatedStudies=2",
    "NumberOfStudyRelatedSeries=4", "NumberOfStudyRelatedInstances in (2,11,13)",
    "InstanceCount>=6", "FrameCount=3", "Plane=coronal", "has RefersTo",
    "patient(NumberOfStudyRelatedInstances=2) and not study(StudyDay=0)",
    "study(InstanceCount=1) and series(StudyRank=1 or FrameCount=2)", "has License",
]


@pytest.fixture(scope="module")
def url(hospital):
    with ArchiveServer("dicomweb", hospital) as s:
        yield s.source


def names(*args, **more):
    return {p.rsplit("/", 1)[1] for p in queryrun.paths(*args, **more)}


@pytest.mark.parametrize("query", QUERIES)
def test_server_and_folder_agree(hospital, url, tmp_path, query):
    here = names(hospital, query, tmp_path / "a")
    there = names(url, query, tmp_path / "b")
    assert here == there
    assert names(url, query, tmp_path / "b") == there  # and from what is known now
    assert (len(here) > 0) == (query != "has License")


def test_ranks_are_the_same_under_shifted_dates(hospital, tmp_path):
    shifted = "deid=basic+retain-modified-dates"
    for query in ("StudyRank=1", "StudyRank=-2", "StudyDay=1..", "StudyDay=0"):
        plain = names(hospital, query, tmp_path / "a")
        assert len(names(hospital, query, tmp_path / "c", options=shifted)) == len(plain) > 0
