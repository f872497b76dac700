# SPDX-License-Identifier: Apache-2.0
"""What the profile `research` is for: converters still find what they need."""
import os
import subprocess

import numpy
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from vivomount import BINARY, environment

MR = "1.2.840.10008.5.1.4.1.1.4"
B_VALUES = [0, 0, 700, 700, 1000, 1000]
DIRECTIONS = {0: None, 700: [1.0, 0.0, 0.0], 1000: [0.0, 0.6, 0.8]}


def write_slice(path, number, bval, position):
    """A diffusion-weighted slice as Siemens wrote them: b-value and direction private."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MR
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.777.5.%d" % number
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.SOPClassUID, ds.SOPInstanceUID = MR, meta.MediaStorageSOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"]
    ds.Modality, ds.Manufacturer = "MR", "SIEMENS"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20110405"
    ds.StudyTime = ds.SeriesTime = "101112"
    ds.AcquisitionTime = "1012%02d" % number
    ds.SeriesDescription, ds.ProtocolName = "ep2d_diff Doe", "ep2d_diff"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "DOE^JANE", "MRN1234567", "19510405"
    ds.PatientSex, ds.PatientWeight = "F", "60"
    ds.StudyInstanceUID = "1.2.826.0.1.3680043.8.777.6"
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.777.7"
    ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.777.8"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 3, number, (number + 1) // 2
    ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "EP", "SK", "2D"
    ds.EchoTime, ds.RepetitionTime, ds.EchoNumbers = "80", "3000", 1
    ds.MagneticFieldStrength, ds.FlipAngle = "3", "90"
    ds.SliceThickness, ds.SpacingBetweenSlices, ds.PixelSpacing = "2", "2", ["2", "2"]
    ds.ImagePositionPatient = ["0", "0", str(position)]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SliceLocation = str(position)
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", str(bval))
    block.add_new(0x0D, "CS", "NONE" if not bval else "DIRECTIONAL")
    if bval:
        block.add_new(0x0E, "FD", DIRECTIONS[bval])
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    ds.Rows = ds.Columns = 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    pixels = (numpy.arange(256, dtype=numpy.uint16) * number) % 4096
    ds.PixelData = pixels.tobytes()
    ds.save_as(path, write_like_original=False)


def convert(folder, out):
    os.makedirs(out)
    subprocess.run(["dcm2niix", "-b", "n", "-z", "n", "-f", "x", "-o", out, folder], check=True,
                   capture_output=True, timeout=60)
    text = {}
    for name in os.listdir(out):
        if name.endswith((".bval", ".bvec")):
            with open(os.path.join(out, name)) as f:
                text[name[-4:]] = [float(v) for v in f.read().split()]
    return text


@pytest.mark.parametrize("profile", ["research", "limited"])
def test_dcm2niix_finds_the_b_values(tmp_path, profile):
    source, shown = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i, bval in enumerate(B_VALUES):
        write_slice(str(source / ("%d.dcm" % i)), i + 1, bval, 2 * (i % 2))
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    subprocess.run([BINARY, "deid", "--profile", profile, "--key", str(key), str(source),
                    str(shown)], check=True, timeout=60, env=environment(str(tmp_path)))
    files = [os.path.join(d, n) for d, _, names in os.walk(shown) for n in names]
    assert len(files) == len(B_VALUES)
    for path in files:
        with open(path, "rb") as f:
            assert b"DOE" not in f.read().upper()
        assert "diff" not in path, "cleaned text is in a name"
        assert pydicom.dcmread(path).SeriesDescription == "ep2d_diff"
    before, after = convert(str(source), str(tmp_path / "a")), convert(str(shown), str(tmp_path / "b"))
    assert before["bval"] == [0, 700, 1000]
    assert after == before
