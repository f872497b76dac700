# SPDX-License-Identifier: Apache-2.0
"""Objects that share a SOP Instance UID (DESIGN A1): who has the plain name."""
import os
import shutil

import pydicom

import synthetic
from vivomount import Mount
from webserver import wait_for


def test_a_renamed_file_keeps_its_name_in_the_tree(tmp_path):
    """Names come of attributes and UIDs (A1): where the file lies has no part in it."""
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=1, instances=2)
    with Mount({"loc": str(source)}) as m:
        before = m.files()
        os.rename(source / "0-0-0-1.dcm", source / "zzz")
        wait_for(lambda: m.archive("loc")["requests"] >= 3)
        wait_for(lambda: m.files() == before)


def test_the_last_of_several_versions_has_the_plain_name(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), patients=1, studies=1, series=1, instances=1)
    ds = pydicom.dcmread(source / "0-0-0-0.dcm")
    ds.ImageComments = "another"
    ds.save_as(str(source / "z.dcm"), write_like_original=False)
    with Mount({"loc": str(source)}) as m:
        assert len(m.files()) == 2
        os.unlink(source / "0-0-0-0.dcm")
        wait_for(lambda: len(m.files()) == 1)
        shutil.copy(source / "z.dcm", source / "zz.dcm")  # an exact copy shows once
        wait_for(lambda: m.archive("loc")["requests"] >= 3)
        wait_for(lambda: len(m.files()) == 1 and "+" not in m.files()[0])
