#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""N synthetic CT slices of 512 x 512 x 16 bit in one study of five series, or SERIES.

Usage: make_ct.py OUT N [SERIES]. The header is that of pydicom's CT_small.dcm; the pixels are
noise that depends on the slice number, so no two slices are alike.
"""
import os
import random
import sys

import pydicom

CT = "/usr/lib/python3/dist-packages/pydicom/data/test_files/CT_small.dcm"
ROOT = "1.2.826.0.1.3680043.8.498.4711"


def main(out, count, series=5):
    os.makedirs(out, exist_ok=True)
    ds = pydicom.dcmread(CT)
    del ds.DataSetTrailingPadding
    ds.Rows = ds.Columns = 512
    ds.PatientID, ds.PatientName = "BENCH-1", "Bench^One"
    ds.StudyInstanceUID = ROOT + ".1"
    for i in range(count):
        ds.PixelData = random.Random(i).randbytes(2 * 512 * 512)
        ds.SeriesInstanceUID = "%s.2.%d" % (ROOT, i * series // count)
        ds.SOPInstanceUID = "%s.3.%d" % (ROOT, i)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber = i + 1
        ds.save_as("%s/IM%05d.dcm" % (out, i), write_like_original=False)


main(sys.argv[1], *map(int, sys.argv[2:]))
