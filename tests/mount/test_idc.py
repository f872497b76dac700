# SPDX-License-Identifier: Apache-2.0
"""Mounts over Imaging Data Commons and over buckets: the tree, what asks for content and
what does not, names that stay, queries, de-identification."""
import errno
import os

import pydicom
import pytest

from archiveserver import ArchiveServer
from shelfserver import originals, read
from vivomount import Mount


class Server(ArchiveServer):
    def __init__(self, folder, *args):
        super().__init__("idc", folder, *args)
        self.idc = self.source
        self.s3 = "s3+" + self.url + "/scans/data"

    def listings(self):
        return [e for e in self.log() if "list-type=2" in e["query"]]

    def ranges(self):
        return [e for e in self.log() if e.get("range")]


@pytest.fixture(scope="module")
def shared_server(folder):
    with Server(folder) as s:
        yield s


@pytest.fixture(scope="module")
def large(folder):
    s = Server(folder, "--rows", "20000")
    yield s
    s.close()


def found(m, archive, expr):
    """SOP Instance UIDs of what a query directory shows."""
    top = m / (archive + "/q/" + expr)
    out = []
    for where, _, names in os.walk(top):
        out += [str(pydicom.dcmread(os.path.join(where, n)).SOPInstanceUID)
                for n in names if n.endswith(".dcm")]
    return sorted(out)


def brute_force(folder, test):
    headers = [pydicom.dcmread(os.path.join(folder, n)) for n in os.listdir(folder)]
    return sorted(str(ds.SOPInstanceUID) for ds in headers if test(ds))


# ---- Imaging Data Commons ------------------------------------------------------------


def test_idc_tree_is_of_the_index_and_costs_one_request_a_level(server):
    before = server.content()
    with Mount({"idc": server.idc}) as m:
        assert sorted(os.listdir(m / "idc")) == ["demo_ct", "demo_mr"]
        assert os.listdir(m / "idc/demo_ct") == ["LICENSE.txt", "CITATION.txt", "PAT0000"]
        studies = os.listdir(m / "idc/demo_ct/PAT0000")
        assert sorted(s[:-7] for s in studies) == ["20200101_Study-0-of-0",
                                                   "20200102_Study-1-of-0"]
        files = m.files("idc")
        assert len(files) == 24 and all(f.count("/") == 4 for f in files)
        assert [len(f.rsplit("/", 1)[1]) for f in files] == [12 + 4] * 24
        calls = [e["path"] for e in server.log()]
        assert calls.count("/v3/collections") == 1
        assert calls.count("/v3/sql") == 2
        assert len(server.listings()) == 8
    assert server.content() == before and not server.ranges()


def test_idc_objects_sizes_and_licences_are_the_archives(server, folder):
    with Mount({"idc": server.idc}) as m:
        files = m.files("idc")
        for f in files:
            size = os.stat(m / ("idc/" + f)).st_size
            assert len(read(m / ("idc/" + f))) == size
        assert sorted(read(m / ("idc/" + f)) for f in files) == originals(folder)
        assert m.files("idc/q/License='CC BY-NC 4.0'")
        assert "CC BY-NC 4.0" in os.listdir(m / "idc/by/License")
        assert m.files("idc") == files


def test_idc_remount_asks_for_no_content_that_is_kept(server, tmp_path):
    options = "cache=%s" % tmp_path
    with Mount({"idc": server.idc}, options) as m:
        names = m.files("idc")
        for f in names[:3]:
            read(m / ("idc/" + f))
    server.reset()
    before = server.content()
    with Mount({"idc": server.idc}, options) as m:
        assert m.files("idc") == names
        for f in names[:3]:
            read(m / ("idc/" + f))
    assert server.content() == before and not server.ranges()
    server.reset()
    with Mount({"idc": server.idc}, options + ",offline") as m:
        assert m.files("idc") == names
    assert not server.log()


def test_idc_query_equals_brute_force_and_names_stay(server, folder):
    want = brute_force(folder, lambda ds: ds.Modality == "CT" and
                       ds.PatientID == "PAT0001" and int(ds.InstanceNumber) >= 2)
    assert want
    with Mount({"idc": server.idc}) as m:
        assert found(m, "idc", "Modality=CT and PatientID=PAT0001 and "
                     "InstanceNumber>=2") == want
        # Headers were read by ranges, of no series that the index rules out.
        assert server.ranges() and len(server.ranges()) <= 12
        names = m.files("idc")
        assert found(m, "idc", "has KVP") == []
        assert m.files("idc") == names


def test_idc_broken_series_leaves_the_rest_usable(server):
    server(match="-cr", fail=404)
    with Mount({"idc": server.idc}, faults=True) as m:
        good = bad = 0
        for where, folders, _ in os.walk(m / "idc"):
            for name in folders:
                path = os.path.join(where, name)
                if os.path.relpath(path, m / "idc").count("/") < 3:
                    continue
                try:
                    good += len(os.listdir(path)) > 0
                except OSError as e:
                    assert e.errno == errno.EIO
                    bad += 1
        assert good and bad and good + bad == 8


def test_idc_names_of_a_hostile_index_stay_in_the_tree(server):
    server(hostile=1)
    with Mount({"idc": server.idc}) as m:
        files = m.files("idc")
        assert len(files) == 24 and all(f.count("/") == 4 for f in files)
        parts = {p for f in files for p in f.split("/")}
        assert all(p.isprintable() and p.isascii() and p[0] not in ".-" and len(p) <= 120
                   for p in parts)


def test_idc_large_collection_takes_little_memory(large):
    with Mount({"idc": large.idc}) as m:
        assert len(os.listdir(m / "idc/many")) == 2501  # and LICENSE.txt
        with open("/proc/%d/status" % m.proc.pid) as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        assert peak < 128 * 1024  # of 100,000 series: below 256 MiB
        assert [e["path"] for e in large.log()].count("/v3/sql") == 4


# ---- buckets ---------------------------------------------------------------------------


def test_s3_tree_is_of_headers(server, folder):
    with Mount({"s3": server.s3}) as m:
        assert os.listdir(m / "s3") == ["all"]
        files = m.files("s3")
        assert len(files) == 24 and all(f.count("/") == 4 for f in files)
        assert sorted(read(m / ("s3/" + f)) for f in files) == originals(folder)
        assert len(server.ranges()) == 24  # the text beside them is told by its name
        before = len(server.log())
        want = brute_force(folder, lambda ds: ds.Modality == "MR" and
                           ds.StudyDate >= "20200102" and int(ds.InstanceNumber) < 3)
        assert found(m, "s3", "Modality=MR and StudyDate>=2020-01-02 and "
                     "InstanceNumber<3") == want
        assert len(server.log()) == before  # all of it is known and kept


def test_s3_remount_reads_no_header_again(server, tmp_path):
    options = "refresh=0,cache=%s" % tmp_path
    with Mount({"s3": server.s3}, options) as m:
        names = m.files("s3")
    server.reset()
    with Mount({"s3": server.s3}, options) as m:
        assert m.files("s3") == names
        assert not server.ranges()


def test_s3_wrong_place_is_told_at_mount(server):
    for source in (server.s3 + "-not-there", "s3+" + server.url + "/nobucket"):
        with pytest.raises(Exception) as why:
            with Mount({"s3": source}):
                pass
        assert "bucket" in str(why.value)


@pytest.mark.parametrize("kind", ["idc", "s3"])
def test_deidentified_in_names_and_bytes(server, kind):
    secret = [b"PAT0000", b"PAT0001", b"Doe^Jane", b"Study 0", b"ACC0000"]
    with Mount({"x": getattr(server, kind)}, "cache=memory", deid="basic") as m:
        files = m.files("x")
        assert len(files) == 24
        for f in files:
            data = read(m / ("x/" + f))
            assert not any(s in data for s in secret)
            assert not any(s.decode() in f for s in secret)
