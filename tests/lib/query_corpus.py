# SPDX-License-Identifier: Apache-2.0
"""A small hospital for tests of queries: PET/CT, MR classic and enhanced, thin CT with
segmentations and structure sets, radiographs. The same files every time.

Also what such tests need to read it with pydicom alone: records, values by keyword with
functional groups, and the names that vivofs gives to instances. Knows nothing of the
engine's code.
"""
import base64
import hashlib
import os
import random

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from synthetic import uid

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "EMR": "1.2.840.10008.5.1.4.1.1.4.1",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
}
AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]
SAGITTAL = [0, 1, 0, 0, 0, -1]
TILTED = [1, 0, 0, 0, 0.7071, 0.7071]
# (what, patient's number, date, time); P07 has two studies on one day.
STUDIES = [
    ("petct", 0, "20180310", "0915"), ("petct", 0, "20190412", "101010"),
    ("mr", 1, "20190105", "080000.5"), ("mr", 1, "20200701", "090000"),
    ("emr", 1, "20210303", "100000"), ("ct", 2, "20200220", "110000"),
    ("ct", 2, "20170220", "110000"), ("cr", 3, "20190909", "120000"),
    ("petct", 4, "20210101", ""), ("ct", 4, "20210102", "070000"),
    ("mr", 5, "", ""), ("cr", 5, "20160606", "160000"),
    ("emr", 6, "20220202", "083000"), ("ct", 7, "20190601", "143000"),
    ("cr", 7, "20190601", "080000"), ("mr", 8, "20230115", "123456"),
    ("ct", 9, "20191231", "235959"), ("petct", 10, "20200229", "060000"),
    ("emr", 11, "20181111", "111111"),
]
NAMES = ["Doe^Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jürgen", "Roe^Richard"]
MAKERS = ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "Canon"]


def item(**values):
    ds = Dataset()
    for k, v in values.items():
        setattr(ds, k, v)
    return ds


class Maker:
    def __init__(self, folder):
        self.folder = folder
        self.random = random.Random(7)
        self.n = 0

    def base(self, kind, t, s, i, number, description):
        what, p, date, time = STUDIES[t]
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CLASSES[kind]
        meta.MediaStorageSOPInstanceUID = uid("corpus", t, s, i)
        meta.TransferSyntaxUID = (ImplicitVRLittleEndian if p % 3 == 1 else
                                  ExplicitVRLittleEndian)
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.is_little_endian = True
        ds.is_implicit_VR = p % 3 == 1
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID = meta.MediaStorageSOPClassUID
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID = uid("corpus", t)
        ds.SeriesInstanceUID = uid("corpus", t, s)
        ds.PatientID = "PAT%03d" % p
        ds.PatientName = NAMES[p % 4]
        ds.PatientBirthDate = "19%02d0101" % (30 + 5 * p)
        ds.PatientSex = "FMO"[p % 3]
        if p != 3:
            ds.PatientAge = ["075Y", "061Y", "060Y", "", "030Y", "018M", "045Y", "012W",
                             "088Y", "059Y", "064Y", "007D"][p]
        ds.StudyDate, ds.StudyTime = date, time
        ds.StudyID = str(t)
        ds.AccessionNumber = "A%04d" % t
        ds.StudyDescription = what.upper() + [" Thorax", " Brain", " lung screening"][t % 3]
        ds.SeriesDescription = description
        ds.Modality = "MR" if kind == "EMR" else kind
        ds.Manufacturer = MAKERS[(t + s) % 4]
        ds.SeriesNumber = str(number)
        ds.InstanceNumber = str(i + 1)
        return ds

    def pixels(self, ds, rows=8, frames=1, bits=8):
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows = ds.Columns = rows
        ds.BitsAllocated = ds.BitsStored = bits
        ds.HighBit = bits - 1
        ds.PixelRepresentation = 0
        if frames > 1 or ds.Modality == "SEG":
            ds.NumberOfFrames = str(frames)
        ds.PixelData = bytes(rows * rows * frames * bits // 8)

    def save(self, ds):
        self.n += 1
        pydicom.dcmwrite(os.path.join(self.folder, "%04d.dcm" % self.n), ds,
                         write_like_original=False)

    def slices(self, kind, t, s, count, description, orientation, rows=8, **values):
        for i in range(count):
            ds = self.base(kind, t, s, i, s + 1, description)
            ds.ImageType = ["ORIGINAL", "PRIMARY"] + (
                ["AXIAL"] if orientation == AXIAL else ["OTHER"])
            ds.BodyPartExamined = ["CHEST", "HEAD", "LUNG"][t % 3]
            ds.ImageOrientationPatient = orientation
            ds.ImagePositionPatient = [0, 0, i]
            ds.PixelSpacing = [0.5 + 0.25 * (t % 3), 0.5]
            ds.FrameOfReferenceUID = uid("corpus", t, "frame")
            for k, v in values.items():
                setattr(ds, k, v[i % len(v)] if isinstance(v, tuple) else v)
            self.pixels(ds, rows)
            self.save(ds)

    def petct(self, t):
        self.slices("CT", t, 0, 7, "CT AC", AXIAL, SliceThickness="3", KVP="120",
                    ConvolutionKernel="B30f")
        self.slices("PT", t, 1, 6, "PET WB", AXIAL, SliceThickness="3.0")

    def mr(self, t):
        self.slices("MR", t, 0, 6, "T1 MPRAGE sag", SAGITTAL, SliceThickness="1.0",
                    EchoTime="2.5", RepetitionTime="2300", MagneticFieldStrength="3",
                    MRAcquisitionType="3D", ScanningSequence="GR")
        self.slices("MR", t, 1, 3, "t2_tse_tra", AXIAL, SliceThickness="4", EchoTime="98",
                    RepetitionTime="5000", MagneticFieldStrength="1.5",
                    MRAcquisitionType="2D", ScanningSequence="SE")
        self.slices("MR", t, 2, 3, "ep2d_diff", TILTED, SliceThickness="5",
                    DiffusionBValue=(0.0, 800.0, 1000.0), ScanningSequence=["EP", "SE"])
        self.slices("MR", t, 3, 2, "T1 post contrast", CORONAL, SliceThickness="1.20",
                    EchoTime="2.6", ContrastBolusAgent="Gadovist")

    def emr(self, t):
        for s, b_values in enumerate(((0.0, 500.0), (0.0, 800.0, 1200.0))):
            ds = self.base("EMR", t, s, 0, s + 1, "enhanced DWI")
            ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
            ds.SharedFunctionalGroupsSequence = Sequence([item(
                PixelMeasuresSequence=Sequence([item(SliceThickness="2",
                                                     PixelSpacing=[1, 1])]),
                PlaneOrientationSequence=Sequence([item(
                    ImageOrientationPatient=CORONAL if s else AXIAL)]),
                MREchoSequence=Sequence([item(EffectiveEchoTime=70.0 + s)]))])
            ds.PerFrameFunctionalGroupsSequence = Sequence([item(
                MRDiffusionSequence=Sequence([item(DiffusionBValue=b)]))
                for b in b_values])
            self.pixels(ds, frames=len(b_values))
            self.save(ds)

    def ct(self, t):
        rows = 512 if t % 2 else 256
        self.slices("CT", t, 0, 3, "Thorax 0.75 lung", AXIAL, rows, SliceThickness="0.75",
                    KVP=("100", "120"), ConvolutionKernel=["BL57d", "3"],
                    ContrastBolusAgent="Iodine" if t % 2 else "")
        self.slices("CT", t, 1, 6, "Thorax 5.0 soft", AXIAL, SliceThickness="5", KVP="120",
                    ConvolutionKernel="BR40d")
        ds = self.base("SEG", t, 2, 0, 3, "Lesion segmentation")
        ds.ReferencedSeriesSequence = Sequence([item(
            SeriesInstanceUID=uid("corpus", t, 0),
            ReferencedInstanceSequence=Sequence([item(
                ReferencedSOPClassUID=CLASSES["CT"],
                ReferencedSOPInstanceUID=uid("corpus", t, 0, i)) for i in range(3)]))])
        ds.SegmentSequence = Sequence([item(SegmentNumber=1, SegmentLabel="Lesion",
                                            SegmentAlgorithmType="MANUAL")])
        self.pixels(ds, frames=3)
        self.save(ds)
        ds = self.base("RTSTRUCT", t, 3, 0, 4, "Structures")
        ds.ReferencedFrameOfReferenceSequence = Sequence([item(
            FrameOfReferenceUID=uid("corpus", t, "frame"),
            RTReferencedStudySequence=Sequence([item(
                ReferencedSOPInstanceUID=uid("corpus", t),
                RTReferencedSeriesSequence=Sequence([item(
                    SeriesInstanceUID=uid("corpus", t, 1))]))]))])
        self.save(ds)

    def cr(self, t):
        for i in range(2):
            ds = self.base("CR", t, 0, i, 1, "Chest %s" % ["PA", "LAT"][i])
            ds.ImageType = ["DERIVED" if i else "ORIGINAL", "PRIMARY"]
            ds.BodyPartExamined = "CHEST"
            ds.ViewPosition = ["PA", "LL"][i]
            self.pixels(ds, 16)
            self.save(ds)


def make(folder):
    maker = Maker(folder)
    for t, (what, *_) in enumerate(STUDIES):
        getattr(maker, what)(t)
    return maker.n


# ---- reading it with pydicom ------------------------------------------------------------

class Record:
    def __init__(self, path):
        self.ds = pydicom.dcmread(path)
        self.size = os.path.getsize(path)
        self.uid = self.ds.SOPInstanceUID
        self.series = self.ds.SeriesInstanceUID
        self.study = self.ds.StudyInstanceUID
        self.patient = self.ds.PatientID
        digest = hashlib.sha256(str(self.uid).encode()).digest()
        self.u = base64.b32encode(digest).decode().lower()[:6]


def read(folder):
    return [Record(os.path.join(folder, f)) for f in sorted(os.listdir(folder))]


def by_name(records, paths):
    """The records that these paths of a vivofs tree show."""
    known = {r.u: r for r in records}
    assert len(known) == len(records)
    return [known[os.path.basename(p)[:-4].rsplit("_", 1)[1]] for p in paths]


def plain(element):
    """Its values: a list, without empty ones."""
    if element.VR == "SQ":
        return list(element.value)
    value = element.value
    many = value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
    return [v for v in many if v is not None and str(v).strip() != ""]


def values(ds, keyword):
    """Of the root; else of the functional groups and the macros in their items."""
    if keyword in ds:
        return plain(ds[keyword])
    found = []
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in ds.get(groups, []):
            for place in [group] + [m for e in group if e.VR == "SQ" for m in e.value]:
                if keyword in place:
                    found += plain(place[keyword])
                if keyword == "EchoTime" and place is not group and \
                        "EffectiveEchoTime" in place:
                    found += plain(place["EffectiveEchoTime"])
    return found


def references(ds):
    return [str(e.value) for top in ds if top.VR == "SQ" for inner in top.value
            for e in inner.iterall()
            if e.keyword in ("ReferencedSOPInstanceUID", "SeriesInstanceUID", "UID")]


def planes(ds):
    """The axis that the normal is nearest to."""
    cosines = [values(ds, "ImageOrientationPatient")] if "ImageOrientationPatient" in ds \
        else [list(p["ImageOrientationPatient"].value)
              for g in ("SharedFunctionalGroupsSequence",
                        "PerFrameFunctionalGroupsSequence")
              for group in ds.get(g, []) for e in group if e.VR == "SQ"
              for p in e.value if "ImageOrientationPatient" in p]
    names = []
    for c in cosines:
        a, b = [float(x) for x in c[:3]], [float(x) for x in c[3:]]
        n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        length = sum(x * x for x in n) ** 0.5
        top = max(range(3), key=lambda i: abs(n[i]))
        names.append(["sagittal", "coronal", "axial"][top]
                     if abs(n[top]) / length >= 0.9 else "oblique")
    return names


def ranked_studies(records, patient):
    """UIDs of the patient's dated studies, first to last, each with its date."""
    studies = {(str(r.ds.StudyDate), str(r.ds.StudyTime).replace(".", "").ljust(12, "0")
                if r.ds.StudyTime else "", str(r.study))
               for r in records if r.patient == patient and r.ds.StudyDate}
    return [(s[2], s[0]) for s in sorted(studies)]
