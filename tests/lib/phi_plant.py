# SPDX-License-Identifier: Apache-2.0
"""Objects with a token of its own in every attribute of PS3.15 Table E.1-1.

The rows come from src/deid/table_e1_1.def, the carriers from pydicom's test files. Each
row is planted at the root and two sequences deep, below a sequence that stays; names,
private blocks, overlays, curves, preamble and file meta get tokens too.
"""
import datetime
import os
import re
import warnings

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian,
                         ExplicitVRLittleEndian, ImplicitVRLittleEndian)

warnings.filterwarnings("ignore")
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILES = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
ROW = re.compile(r'VIVO_E1_1\(0x([0-9A-F]{8}), "([^"]+)", "(..)", (\w+), "(.{10})"\)')
# Attributes that say how to read the object; and the preserved sequences used as holders.
STEERING = {0x00080005, 0x00080016}
OUTER, INNER = 0x00289145, 0x00289422  # neither is in the table

SYNTAXES = {
    "implicit": (ImplicitVRLittleEndian, "CT_small.dcm"),
    "explicit": (ExplicitVRLittleEndian, "CT_small.dcm"),
    "bigendian": (ExplicitVRBigEndian, "MR_small_bigendian.dcm"),
    "deflated": (DeflatedExplicitVRLittleEndian, "CT_small.dcm"),
    "encapsulated": (None, "JPEG2000.dcm"),
    "rle": (None, "MR_small_RLE.dcm"),
}


def table():
    """(tag, keyword, VR, basic action, option letters) of every row."""
    with open(os.path.join(TREE, "src", "deid", "table_e1_1.def")) as f:
        rows = [(int(m[1], 16), m[2], m[3], m[4], m[5]) for m in ROW.finditer(f.read())]
    assert len(rows) == 657
    return rows


def value(vr, n):
    """A valid value of the VR, and the token in it that stands nowhere else."""
    word = "QX%05dW" % n
    day = (datetime.date(1801, 1, 1) + datetime.timedelta(days=n)).strftime("%Y%m%d")
    if vr == "PN":
        return "%s^%s=%s" % (word, word, word), word
    if vr in ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"):
        return word, word
    if vr == "DA":
        return day, day
    if vr == "TM":
        return "112233.9%05d" % n, "112233.9%05d" % n
    if vr == "DT":
        return day + "112233.8%05d" % n, day + "112233.8%05d" % n
    if vr == "UI":
        return "1.2.826.0.1.5550.%d.7" % (500000 + n), "1.2.826.0.1.5550.%d.7" % (500000 + n)
    if vr in ("DS", "IS"):
        return "66%06d" % (200000 + n), "66%06d" % (200000 + n)
    if vr == "OB":
        return word.encode(), word
    return None, None


def plant_rows(ds, first, tokens):
    for n, (tag, keyword, vr, _action, _letters) in enumerate(table(), first):
        group = tag >> 16
        if tag in STEERING or group < 8 or group in (0x5000, 0x6000):
            continue
        if vr == "SQ":
            item = Dataset()
            item.PatientName = "QX%05dS" % n
            ds.add_new(tag, "SQ", Sequence([item]))
            tokens[keyword] = "QX%05dS" % n
            continue
        v, token = value(vr, n)
        if token:
            ds.add_new(tag, vr, v)
            tokens[keyword] = token


def plant_others(ds, tokens):
    block = ds.private_block(0x0077, "QXCREATOR", create=True)
    item = Dataset()
    item.PatientName = "QXPRIVSQ"
    block.add_new(0x01, "LO", "QXPRIVLO")
    block.add_new(0x02, "SQ", Sequence([item]))
    ds.add_new(0x50003000, "OW", b"QXCURVE1")
    ds.add_new(0x60003000, "OW", b"QXOVERLA")
    ds.add_new(0x60000022, "LO", "QXOVERDE")
    ds.add_new(0xFFFCFFFC, "OB", b"QXPADDIN")
    ds.add_new(0x0008FFF1, "LO", "QXUNKNOW")
    ds.preamble = b"QXPREAMB".ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = "QXSOURCE"
    for word in ("QXCREATOR", "QXPRIVSQ", "QXPRIVLO", "QXCURVE1", "QXOVERLA", "QXOVERDE",
                 "QXPADDIN", "QXUNKNOW", "QXPREAMB", "QXSOURCE"):
        tokens[word] = word


def plant(kind, path):
    """Writes the object; returns ({(place, keyword): token}, pixel bytes)."""
    syntax, carrier = SYNTAXES[kind]
    ds = pydicom.dcmread(os.path.join(FILES, carrier))
    pixels = bytes(ds.PixelData)
    root, deep, other = {}, {}, {}
    inner, outer = Dataset(), Dataset()
    plant_rows(ds, 0, root)
    plant_rows(inner, 1000, deep)
    outer.add_new(INNER, "SQ", Sequence([inner]))
    ds.add_new(OUTER, "SQ", Sequence([outer]))
    plant_others(ds, other)
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.is_implicit_VR = syntax == ImplicitVRLittleEndian
        ds.is_little_endian = syntax != ExplicitVRBigEndian
    # Tag(...) is sorted on writing: (FFFC,FFFC) stays behind the pixels.
    assert Tag(0xFFFCFFFC) in ds
    ds.save_as(path, write_like_original=False)
    tokens = {("root", k): v for k, v in root.items()}
    tokens.update({("nested", k): v for k, v in deep.items()})
    tokens.update({("other", k): v for k, v in other.items()})
    return tokens, pixels
