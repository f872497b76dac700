# SPDX-License-Identifier: Apache-2.0
"""A series of a PACS, read in order: one C-GET, or one C-MOVE, counted at the server."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest

import synthetic
from dcmqrscp import Dcmqrscp
from vivomount import Mount

N = 12
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def pixels(data):
    """What de-identification and a file meta of our own leave alone."""
    return data[data.rindex(b"\xe0\x7f\x10\x00"):]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("series"))
    synthetic.make(folder, patients=1, studies=1, series=1, instances=N)
    return folder


def originals(folder):
    return sorted(pixels(read(os.path.join(folder, n))) for n in os.listdir(folder)
                  if n.endswith(".dcm"))


@pytest.mark.parametrize("readers", [1, 8])
def test_series_comes_by_one_get(folder, readers):
    with Dcmqrscp(folder, ["-v"]) as server:
        with Mount({"h": server.source}, "rate=1000", deid="basic") as m:
            paths = [m / ("h/" + f) for f in m.files("h")]
            with ThreadPoolExecutor(readers) as pool:
                got = list(pool.map(read, paths))
            assert sorted(map(pixels, got)) == originals(folder)
            assert b"PAT0000" not in b"".join(got)
        # One by one until it is seen that they are read in order (three of them).
        assert server.asked_for("Get", "SERIES") == 1
        assert server.asked_for("Get", "IMAGE") <= 3


def test_series_comes_by_one_move(folder):
    with Dcmqrscp(folder, ["-v", "--disable-get"]) as server:
        source = server.source + "?move=%d" % server.move
        with Mount({"h": source}, "rate=1000,cache=memory") as m:
            got = [read(m / ("h/" + f)) for f in m.files("h")]
            assert sorted(map(pixels, got)) == originals(folder)
        assert server.asked_for("Move", "SERIES") == 1
        assert server.asked_for("Move", "IMAGE") <= 3


def test_objects_of_unexpected_kinds_come_alone(tmp_path):
    """dcmqrscp lists no SOP classes: what goes with the modality is offered."""
    synthetic.make(str(tmp_path), patients=1, studies=1, series=1, instances=N)
    for i in (4, 9):
        path = str(tmp_path / ("0-0-0-%d.dcm" % i))
        ds = pydicom.dcmread(path)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RAW_DATA
        ds.save_as(path)
    with Dcmqrscp(str(tmp_path), ["-v"]) as server:
        with Mount({"h": server.source}, "rate=1000,cache=memory") as m:
            got = [read(m / ("h/" + f)) for f in m.files("h")]
            assert sorted(map(pixels, got)) == originals(tmp_path)
            assert sum(RAW_DATA.encode() in g for g in got) == 2
        assert server.asked_for("Get", "SERIES") == 1
        # Each of the two is asked for twice: as what it is not, and as all the rest.
        assert server.asked_for("Get", "IMAGE") <= 3 + 2 * 2


def test_listing_fetches_nothing_and_is_remembered(folder, tmp_path):
    with Dcmqrscp(folder, ["-v"]) as server:
        for asked in (True, False):
            with Mount({"h": server.source}, "rate=1000", home=str(tmp_path)) as m:
                assert len(m.files("h")) == N
                assert (m.archive("h")["requests"] > 0) == asked
        assert server.asked_for("Find", "IMAGE") == 1
        assert server.asked_for("Get", "") == 0


class FaultServer:
    """tests/servers/dimse_server.py; how it behaves is in the AE title."""

    PATH = os.path.join(os.path.dirname(__file__), "../servers/dimse_server.py")

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, self.PATH], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.at = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.mark.parametrize("jobs", [1, 4])
def test_who_waits_behind_a_long_series_waits_on(jobs):
    """It is longer in coming than an archive may be silent, but it comes."""
    with FaultServer() as server:
        source = "dimse://VIVOFS@%s/SLOW" % server.at
        with Mount({"h": source}, "rate=1000,timeout=1,jobs=%d" % jobs) as m:
            first, other = (m / ("h/q/StudyInstanceUID=1.2.%d" % n) for n in (1, 2))
            paths = [os.path.join(d, n) for d, _, names in os.walk(first)
                     for n in sorted(names) if n.endswith(".dcm")][:10]
            for path in paths[:3]:
                read(path)
            with ThreadPoolExecutor(2) as pool:
                rest = pool.submit(lambda: [len(read(p)) for p in paths[3:]])
                listed = pool.submit(lambda: [read(os.path.join(d, n))
                                              for d, _, names in os.walk(other)
                                              for n in sorted(names)[:1]])
                assert min(rest.result()) > 40000
                assert min(map(len, listed.result())) > 40000
