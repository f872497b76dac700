#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""N small MR instances (about 2 KB each), 200 to a series, 10 series to a study.

Usage: make_small.py OUT N. Written as bytes with the numbers patched in, which takes
seconds for 20,000 files.
"""
import io
import os
import sys

import pydicom



ROOT = "1.2.826.0.1.3680043.8.498.4712"


def template():
    ds = pydicom.dcmread(
        "/usr/lib/python3/dist-packages/pydicom/data/test_files/MR_small.dcm")
    for tag in ("DataSetTrailingPadding",):
        if tag in ds:
            delattr(ds, tag)
    ds.Rows = ds.Columns = 8
    ds.PixelData = bytes(128)
    ds.PatientID = "PID00000"
    ds.StudyInstanceUID = ROOT + ".1.00000000"
    ds.SeriesInstanceUID = ROOT + ".2.00000000"
    ds.SOPInstanceUID = ROOT + ".3.00000000"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber = "00000000"
    out = io.BytesIO()
    ds.save_as(out, write_like_original=False)
    return out.getvalue()


def main(out, count):
    os.makedirs(out, exist_ok=True)
    raw = template()
    instance = raw.index(b"IS\x08\x0000000000") + 4
    for i in range(count):
        series, study = i // 200, i // 2000
        b = raw.replace(b".3.00000000", b".3.1%07d" % i)
        b = b.replace(b".2.00000000", b".2.1%07d" % series)
        b = b.replace(b".1.00000000", b".1.1%07d" % study)
        b = b.replace(b"PID00000", b"PID%05d" % study)
        b = b[:instance] + b"%08d" % (i % 200 + 1) + b[instance + 8:]
        folder = "%s/d%03d" % (out, i // 1000)
        if i % 1000 == 0:
            os.makedirs(folder, exist_ok=True)
        with open("%s/%07d" % (folder, i), "wb") as f:
            f.write(b)


main(sys.argv[1], int(sys.argv[2]))
