# SPDX-License-Identifier: Apache-2.0
"""Small synthetic DICOM files: patients x studies x series x instances.

The same arguments give the same bytes. UIDs are below 2.25, values are invented.
"""
import hashlib
import os

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

NAMES = ["Doe^Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jürgen", "Roe^Richard"]
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"


def uid(*parts):
    """A UID of these parts, 64 characters long (PS3.5 section 9.1), as many are that
    archives give; every other one of 128 bits as annex B.2 makes them."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    if digest[31] % 2:
        return ("2.25.999.%d" % int.from_bytes(digest, "big"))[:64]
    return "2.25.%d" % int.from_bytes(digest[:16], "big")


def instance(seed, p, t, s, i, size=8, shared=False):
    who = 0 if shared else p  # shared: all patients have the same UIDs
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT if s % 2 == 0 else MR
    meta.MediaStorageSOPInstanceUID = uid(seed, who, t, s, i)
    meta.TransferSyntaxUID = (ImplicitVRLittleEndian if p % 2 else
                              ExplicitVRLittleEndian)
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.is_little_endian = True
    ds.is_implicit_VR = meta.TransferSyntaxUID == ImplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.StudyDate = "2020%02d%02d" % (p % 12 + 1, t % 28 + 1)
    ds.StudyTime = "101500"
    ds.AccessionNumber = "ACC%04d" % (p * 100 + t)
    ds.Modality = "CT" if s % 2 == 0 else "MR"
    ds.Manufacturer = "ACME"
    ds.StudyDescription = "Study %d of %d" % (t, p)
    ds.SeriesDescription = "Series %d" % s
    ds.PatientName = NAMES[p % len(NAMES)]
    ds.PatientID = "PAT%04d" % p
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.SliceThickness = "%.2f" % (1 + s / 4)
    ds.StudyInstanceUID = uid(seed, who, t)
    ds.SeriesInstanceUID = uid(seed, who, t, s)
    ds.StudyID = str(t)
    ds.SeriesNumber = str(s + 1)
    ds.InstanceNumber = str(i + 1)
    item = Dataset()
    item.ReferencedSOPClassUID = ds.SOPClassUID
    item.ReferencedSOPInstanceUID = uid(seed, who, t, s, 0)
    ds.ReferencedImageSequence = [item]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = size
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    # Pixels that look like the beginning of a boundary must not be taken for one.
    pattern = b"\r\n--%d\r\n--vivo-test-bound\r\r\n--\r\n\0" % i
    ds.PixelData = (pattern * (2 * size * size // len(pattern) + 1))[:2 * size * size]
    return ds


def make(folder, seed="s", patients=2, studies=2, series=2, instances=3, size=8,
         shared=False):
    """Writes the files; returns {SOP Instance UID: path}."""
    paths = {}
    for p in range(patients):
        for t in range(studies):
            for s in range(series):
                for i in range(instances):
                    ds = instance(seed, p, t, s, i, size, shared)
                    path = os.path.join(folder, "%d-%d-%d-%d.dcm" % (p, t, s, i))
                    pydicom.dcmwrite(path, ds, write_like_original=False)
                    paths[ds.SOPInstanceUID] = path
    return paths


def add_arguments(parser):
    """--make P,T,S,I for servers that may make their own data."""
    parser.add_argument("folder", nargs="?", help="serve these files")
    parser.add_argument("--make", metavar="P,T,S,I",
                        help="patients, studies, series, instances made in a temporary folder")
    parser.add_argument("--seed", default="s")
    parser.add_argument("--shared", action="store_true",
                        help="the patients of --make have the same UIDs")
    parser.add_argument("--size", type=int, default=8, help="rows and columns of --make")


def folder_of(args, temporary):
    if args.make:
        p, t, s, i = map(int, args.make.split(","))
        make(temporary, args.seed, p, t, s, i, args.size, args.shared)
        return temporary
    if not args.folder:
        raise SystemExit("a folder or --make is needed")
    return args.folder
