# SPDX-License-Identifier: Apache-2.0
"""Mounts over a real Orthanc by DIMSE: C-GET, C-MOVE, answers that it cuts, and a series
of many classes and transfer syntaxes."""
import errno
import os

import pydicom
import pytest

import orthanc
import synthetic
from vivomount import Mount

DATA = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
FORMS = ["CT_small", "MR_small_implicit", "MR_small_bigendian", "MR_small_RLE",
         "JPEG2000", "SC_rgb_jpeg_gdcm", "JPGExtended", "SC_rgb_rle", "rtdose_1frame",
         "rtplan", "reportsi", "image_dfl"]

LIMIT = 8       # of studies and series in an answer
PATIENTS, STUDIES = 2, 6


def of_one_series(folder):
    """Objects of six classes, each as it was compressed; {UID: path}."""
    paths = {}
    for i, name in enumerate(FORMS):
        ds = pydicom.dcmread(os.path.join(DATA, name + ".dcm"))
        ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "P1", "1.2.3", "1.2.3.4"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.%d" % i
        ds.StudyDate, ds.SeriesNumber, ds.InstanceNumber = "20210101", "1", str(i + 1)
        paths[ds.SOPInstanceUID] = os.path.join(folder, name)
        ds.save_as(paths[ds.SOPInstanceUID], write_like_original=False)
    return paths


def of_many_instances(folder):
    """One more than Orthanc gives in an answer."""
    for i in range(len(FORMS) + 1):
        ds = synthetic.instance("many", 9, 0, 0, i)
        ds.PatientID = "MANY"
        path = os.path.join(folder, "many-%d.dcm" % i)
        pydicom.dcmwrite(path, ds, write_like_original=False)
        yield path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("orthanc"))
    port, move = orthanc.free_port(), orthanc.free_port()
    config = {"DicomServerEnabled": True, "DicomAet": "ORTHANC", "DicomPort": port,
              "DicomAlwaysAllowGet": False, "DicomAlwaysAllowFind": True,
              "DicomAlwaysAllowMove": True, "LimitFindResults": LIMIT,
              "LimitFindInstances": len(FORMS),
              "DicomModalities": {
                  "get": {"AET": "VIVOFS", "Host": "127.0.0.1", "Port": 1,
                          "AllowGet": True},
                  "move": {"AET": "VIVOMOVE", "Host": "127.0.0.1", "Port": move,
                           "AllowGet": False}}}
    with orthanc.Orthanc(config) as o:
        o.paths = synthetic.make(folder, patients=PATIENTS, studies=STUDIES, series=1,
                                 instances=1)
        o.forms = of_one_series(folder)
        o.upload([*o.paths.values(), *o.forms.values(), *of_many_instances(folder)])
        o.at = "127.0.0.1:%d/ORTHANC" % port
        o.move = move
        yield o


@pytest.mark.parametrize("way", ["get", "move"])
def test_objects_are_what_the_server_holds(server, way):
    source = {"get": "dimse://VIVOFS@" + server.at,
              "move": "dimse://VIVOMOVE@%s?move=%d" % (server.at, server.move)}[way]
    with Mount({"h": source}, "rate=1000,cache=memory") as m:
        found = [pydicom.dcmread(m / ("h/q/PatientID=PAT*/" + f))
                 for f in m.files("h/q/PatientID=PAT*")]
    assert len(found) == PATIENTS * STUDIES > LIMIT
    for ds in found:
        assert ds == pydicom.dcmread(server.paths[ds.SOPInstanceUID])


def test_answers_that_are_cut_are_asked_for_in_parts(server):
    with Mount({"h": "dimse://VIVOFS@" + server.at}, "rate=1000", faults=True) as m:
        assert len(os.listdir(m / "h/all")) == PATIENTS + 2
        studies = sum(len(os.listdir(m / ("h/all/" + p))) for p in os.listdir(m / "h/all"))
        assert studies == PATIENTS * STUDIES + 2
        # Instances have no key to part them by: a cut answer is no answer.
        with pytest.raises(OSError) as e:
            m.files("h/q/PatientID=MANY")
        assert e.value.errno == errno.EIO
        assert "it cut its answer" in m.log()


def test_objects_of_many_kinds_come_together_as_they_are_stored(server):
    source = "dimse://VIVOFS@" + server.at
    with Mount({"h": source}, "rate=1000,cache=memory") as m:
        top = "h/q/PatientID=P1"
        found = [m / (top + "/" + f) for f in m.files(top)]
        before = m.archive("h")["requests"]
        for f in found:
            got = pydicom.dcmread(f)
            want = pydicom.dcmread(server.forms[got.SOPInstanceUID])
            assert got.file_meta.TransferSyntaxUID == want.file_meta.TransferSyntaxUID
            assert got.get("PixelData") == want.get("PixelData")
        assert len(found) == len(FORMS)
        # Three alone, then the listing and all of them.
        assert m.archive("h")["requests"] - before <= 5
