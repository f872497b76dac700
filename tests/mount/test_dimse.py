# SPDX-License-Identifier: Apache-2.0
"""Mounts over a real dcmqrscp: de-identified, browsed or not."""
import errno
import os
import subprocess

import pydicom
import pytest

import synthetic
import tlsfront
from dcmqrscp import Dcmqrscp
from vivomount import BINARY, Mount, environment


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("pacs"))
    synthetic.make(folder, patients=2, studies=2, series=2, instances=2)
    with Dcmqrscp(folder) as server:
        yield server


def files(top):
    return sorted(os.path.join(where, name) for where, _, names in os.walk(top)
                  for name in names if name.endswith(".dcm"))


def refused(path):
    with pytest.raises(OSError) as e:
        os.listdir(path)
    return e.value.errno


def test_names_and_bytes_are_de_identified(pacs):
    with Mount({"h": pacs.source}, "rate=100,cache=memory", deid="basic") as m:
        found = files(m / "h/all")
        assert len(found) == 16
        assert "PAT0" not in "".join(found) and "Doe" not in "".join(found)
        for path in found[:2]:
            with open(path, "rb") as f:
                data = f.read()
            assert len(data) == os.stat(path).st_size
            assert b"PAT0" not in data and b"Doe" not in data and b"ACC0" not in data
            ds = pydicom.dcmread(path)
            assert ds.PatientIdentityRemoved == "YES" and len(ds.PixelData) == 128


def test_objects_are_what_the_server_holds(pacs):
    with Mount({"h": pacs.source}, "rate=100,cache=memory") as m:
        path = files(m / "h/q/PatientID=PAT0000 and InstanceNumber=2 and Modality=MR")[0]
        ds = pydicom.dcmread(path)
        original = next(o for o in map(pydicom.dcmread, map(
            lambda n: os.path.join(pacs.folder, n),
            filter(lambda n: n.endswith(".dcm"), os.listdir(pacs.folder))))
            if o.SOPInstanceUID == ds.SOPInstanceUID)
        assert ds == original


def test_patient_root_only_shows_the_same(pacs):
    """A server without the study root, which minds what is asked at which level."""
    with Dcmqrscp(pacs.folder, ["-QS", "-XF", "-XM", "-v"]) as other, \
            Mount({"h": pacs.source, "p": other.source}, "rate=200,cache=memory") as m:
        names = m.files("h")
        assert len(names) == 16 and m.files("p") == names
        with open(m / ("h/" + names[9]), "rb") as h, open(m / ("p/" + names[9]), "rb") as p:
            assert h.read() == p.read()
        for expr in ("PatientName=Doe* and Modality=CT", "StudyDate=202001",
                     "PatientID=pat0001 and SliceThickness>1.1"):
            found = m.files("p/q/" + expr)
            assert found and found == m.files("h/q/" + expr), expr
        # Once, then for each query that is asked of the server.
        assert other.asked_for("Find", "PATIENT") <= 3


def test_frozen_query_mounts_identically(pacs, tmp_path):
    def tree(m, top):
        return {f: open(m / f"{top}/{f}", "rb").read() for f in m.files(top)}

    with Mount({"h": pacs.source}, "rate=200,cache=memory") as m:
        before = tree(m, "h/q/Modality=MR")
        with open(m / "h/q/Modality=MR/.freeze.csv", newline="") as f:
            (tmp_path / "c.csv").write_text(f.read(), newline="")
    with Mount({"h": str(tmp_path / "c.csv")}, "cache=memory") as m:
        assert tree(m, "h") == before and len(before) == 8


def test_query_of_headers_equals_brute_force(pacs):
    with Mount({"h": pacs.source}, "rate=200,cache=memory") as m:
        query = "StudyDate=202001 and SliceThickness>1.1 and Modality=MR"
        found = {os.path.basename(p) for p in files(m / ("h/q/" + query))}
        want = set()
        for path in files(m / "h/all"):
            ds = pydicom.dcmread(path)
            if (ds.StudyDate.startswith("202001") and ds.SliceThickness > 1.1
                    and ds.Modality == "MR"):
                want.add(os.path.basename(path))
        assert found == want and len(want) == 4


def test_pacs_that_is_not_browsed_answers_narrow_queries_only(pacs):
    with Mount({"pacs": pacs.source}, "rate=100") as m:   # the options of the preset
        assert refused(m / "pacs") == errno.EPERM
        assert refused(m / "pacs/all") == errno.EPERM
        assert refused(m / "pacs/q/Modality=CT") == errno.EPERM
        with open(m / "pacs/q/Modality=CT/.error") as f:
            assert "AccessionNumber" in f.read()
        assert refused(m / "pacs/q/PatientID=PAT0001 or Modality=CT") == errno.EPERM
        assert os.listdir(m / "pacs/q/PatientID=pat0001/all") == ["PAT0001"]
        assert len(files(m / "pacs/q/StudyDate=20200101")) == 4
        assert len(files(m / "pacs/q/AccessionNumber=ACC0101 and Modality=CT")) == 2
        assert len(files(m / "pacs/q/StudyDate=2019")) == 0


def test_preset_of_a_pacs_is_gentle(pacs):
    with Mount({"pacs": pacs.source}, deid=None) as m:
        with open(m / ".vivofs/config") as f:
            options = f.read().split()
        assert {"browse=no", "jobs=1", "rate=5", "cache=memory", "deid=basic",
                "burned_in=strict"} <= set(options)


def test_hidden_values_are_never_asked_for(pacs):
    with Mount({"pacs": pacs.source}, "rate=100", deid="basic") as m:
        assert refused(m / "pacs/q/PatientID=PAT0001") == errno.EPERM
        assert os.listdir(m / "pacs/q/StudyDate=2020") == [".error"]
    with Mount({"pacs": pacs.source}, "rate=100", deid="basic+retain-full-dates") as m:
        assert len(files(m / "pacs/q/StudyDate=20200102")) == 4


def query(source, options, home, **more):
    return subprocess.run(
        [BINARY, "query", "-o", "deid=none,cache=memory,rate=100," + options, "--format",
         "count", "PatientID=0", "h=" + source],
        env={**environment(str(home)), **more}, capture_output=True, text=True, timeout=30)


def test_tls_takes_the_certificate_that_was_named_only(pacs, tmp_path):
    other = tlsfront.certificate(str(tmp_path), "other", "IP:127.0.0.1")[1]
    with tlsfront.TlsFront(tmp_path, pacs.port) as front:
        source = "dimses://VIVOFS@127.0.0.1:%d/ARCHIVE" % front.port
        with Mount({"h": source}, "rate=100,cache=memory,cafile=" + front.cafile) as m:
            ds = pydicom.dcmread(files(m / "h/q/PatientID=PAT0000")[0])
            assert len(ds.PixelData) == 128
        run = query(source, "cafile=" + other, tmp_path)
        assert run.returncode and "certificate" in run.stderr
        run = query(source, "timeout=5", tmp_path)
        assert run.returncode and "none of this machine's" in run.stderr
        # What this machine trusts is what OpenSSL says: here, the certificate.
        run = query(source, "timeout=5", tmp_path, SSL_CERT_FILE=front.cafile)
        assert run.returncode == 0, run.stderr
        run = query(source + "?name=*", "timeout=5", tmp_path, SSL_CERT_FILE=front.cafile)
        assert run.returncode and "needs cafile" in run.stderr


def test_tls_wants_the_certificate_of_the_host(pacs, tmp_path):
    with tlsfront.TlsFront(tmp_path, pacs.port, of="DNS:*.pacs.example") as front:
        source = "dimses://VIVOFS@127.0.0.1:%d/ARCHIVE" % front.port
        for name, good in (("", False), ("?name=a.pacs.example", True), ("?name=*", True),
                           ("?name=pacs.example", False), ("?name=front", False)):
            run = query(source + name, "cafile=" + front.cafile, tmp_path)
            assert (run.returncode == 0) == good, run.stderr
            assert good or "for another host" in run.stderr
