# SPDX-License-Identifier: Apache-2.0
"""Objects with an answer key, after MIDI-B: for each object what must still be there and
what must not. The ten kinds of check count both faults, what leaks and what is lost.

    objects = make()              # [(name, Dataset, [Check])]
    score(objects, shown)         # {kind: (right, all)} and the wrong ones
"""
import datetime
import struct

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

import deidrun

KINDS = ("tag_retained", "text_notnull", "text_retained", "text_removed", "date_shifted",
         "uid_changed", "uid_consistent", "patid_consistent", "pixels_hidden",
         "pixels_retained")
ROOT = "1.2.826.0.1.3680043.8.777.12."
SOP = "1.2.840.10008.5.1.4.1.1."
SIDE, BAND = 16, 3  # rows of pixels, and how many of them hold the burned-in name
SCRIPT = "{ BurnedInAnnotation.equals(\"YES\") } (0,0,%d,%d)\n" % (SIDE, BAND - 1)
PEOPLE = (("Okonkwo^Adaeze^Mary", "KH-7731042"), ("Lindqvist^Bj\u00f6rn", "55018823"),
          ("Yamashita^Haruka", "P0009931"), ("O'Sullivan^Niamh", "MRN/88120"))
CLASSES = {"CT": "2", "MR": "4", "PT": "128", "US": "6.1", "CR": "1", "DX": "1.1", "MG": "1.2",
           "SR": "88.33", "RTSTRUCT": "481.3", "SEG": "66.4", "KO": "88.59", "PR": "11.1",
           "EMR": "4.1"}
IMAGES = ("CT", "MR", "PT", "US", "CR", "DX", "MG", "SEG", "EMR")


class Check:
    def __init__(self, kind, where, text=None):
        self.kind, self.where, self.text = kind, where, text


def uid(*parts):
    return ROOT + ".".join(map(str, parts))


def days(text):
    return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()


def item(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code(value, scheme, meaning):
    return Sequence([item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)])


class Maker:
    """One object of a kind, and its key."""

    def __init__(self, kind, p, study, n):
        self.kind, self.p, self.study, self.n, self.checks = kind, p, study, n, []
        self.family = PEOPLE[p][0].split("^")[0]
        self.day = datetime.date(2011, 3 + p, 4 + study * 9)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = SOP + CLASSES[kind]
        meta.MediaStorageSOPInstanceUID = self.instance(kind, n)
        meta.TransferSyntaxUID = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)[n % 2]
        self.ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        self.ds.is_little_endian, self.ds.is_implicit_VR = True, n % 2 == 0

    def instance(self, kind, n):
        return uid(self.p, self.study, sorted(CLASSES).index(kind), n + 1)

    def check(self, kind, where, text=None):
        self.checks.append(Check(kind, where, text))

    def keep(self, keyword, value):
        setattr(self.ds, keyword, value)
        self.check("tag_retained", (keyword,))
        if isinstance(value, str) and value:
            self.check("text_retained", (keyword,), value)

    def text(self, keyword, value, keep, gone):
        """A text of which some must stay and some must go."""
        setattr(self.ds, keyword, value)
        self.check("text_notnull", (keyword,))
        for words in keep:
            self.check("text_retained", (keyword,), words)
        for words in gone:
            self.check("text_removed", (), words)

    def gone(self, keyword, value):
        setattr(self.ds, keyword, value)
        self.check("text_removed", (), value.split("^")[0])

    def date(self, keyword, time=""):
        text = self.day.strftime("%Y%m%d") + time
        setattr(self.ds, keyword, text)
        self.check("date_shifted", (keyword,), text)

    def uid(self, keyword, value):
        setattr(self.ds, keyword, value)
        self.check("uid_changed", (keyword,), value)
        self.check("uid_consistent", (keyword,), value)

    def refer(self, where, value):
        self.check("uid_changed", where, value)
        self.check("uid_consistent", where, value)


def common(m):
    ds, kind = m.ds, m.kind
    name, number = PEOPLE[m.p]
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = SOP + CLASSES[kind]
    m.uid("SOPInstanceUID", m.instance(kind, m.n))
    m.uid("StudyInstanceUID", uid(m.p, m.study))
    m.uid("SeriesInstanceUID", uid(m.p, m.study, sorted(CLASSES).index(kind)))
    ds.PatientName, ds.PatientID = name, number
    m.check("patid_consistent", ("PatientID",), number)
    m.check("text_notnull", ("PatientID",))
    m.check("text_notnull", ("PatientName",))
    for words in name.split("^") + [number]:
        m.check("text_removed", (), words)
    m.keep("Modality", "MR" if kind == "EMR" else kind)
    m.keep("Manufacturer", "SIEMENS" if kind in ("MR", "EMR") else "ACME")
    m.keep("ManufacturerModelName", "Imager 3000")
    m.keep("DeviceSerialNumber", "SN-40117")
    m.keep("SoftwareVersions", "VB17A")
    m.keep("PatientSex", "FMFF"[m.p])
    m.keep("PatientAge", "06%dY" % m.p)
    m.keep("PatientWeight", "71")
    m.keep("InstanceNumber", str(m.n + 1))
    m.keep("SeriesNumber", str(sorted(CLASSES).index(kind) + 1))
    m.keep("BodyPartExamined", "CHEST")
    for keyword in ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate"):
        m.date(keyword)
    m.date("AcquisitionDateTime", "101530.250000")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101530"
    m.gone("AccessionNumber", "A2011%04d7" % (m.p * 10 + m.study))
    m.gone("InstitutionName", "St Brigid Infirmary")
    m.gone("InstitutionAddress", "4 Harbour Lane Portmuck")
    m.gone("ReferringPhysicianName", "Velasquez^Inma")
    m.gone("OperatorsName", "Petrosyan^Ani")
    m.gone("PatientBirthDate", "19460%d12" % (m.p + 1))
    m.gone("PatientAddress", "12 Willow Crescent")
    m.gone("OtherPatientIDs", "OLD-99%d1" % m.p)
    m.gone("RequestedProcedureID", "RP77%d1" % m.p)


def texts(m):
    m.text("SeriesDescription", "%s CHEST W CONTRAST 5mm %s" % (m.kind, m.family),
           ["CHEST W CONTRAST 5mm"], [m.family])
    m.text("StudyDescription", "Thorax follow-up, acc %s" % m.ds.AccessionNumber,
           ["Thorax follow-up"], [m.ds.AccessionNumber])
    m.text("ImageComments", "Patient moved. Call 555-013-4477. Seen by Dr. Velasquez on 3 May "
           "2011, mail ani@brigid.example", ["Patient moved"],
           ["555-013-4477", "Velasquez", "3 May 2011", "brigid.example"])
    m.text("ProtocolName", "Thorax routine", ["Thorax routine"], [])


def private(m):
    block = m.ds.private_block(0x0077, "ACME RIS LINK", create=True)
    block.add_new(0x01, "LO", m.family)
    block.add_new(0x02, "LT", "ward 7 bed 3 visitor list")
    m.check("text_removed", (), "ACME RIS LINK")
    m.check("text_removed", (), "visitor list")
    if m.kind == "MR":
        block = m.ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", "700")
        m.check("tag_retained", (0x0019100C,))
        m.check("text_retained", (0x0019100C,), "700")
    if m.kind == "PT":
        block = m.ds.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.000551")
        m.check("text_retained", (0x70531000,), "0.000551")


def pixels(m):
    ds, frames = m.ds, 3 if m.kind in ("US", "EMR", "SEG") else 1
    m.uid("FrameOfReferenceUID", uid(m.p, m.study, 99))
    m.keep("ImageType", ["ORIGINAL", "PRIMARY"])
    m.keep("PixelSpacing", ["0.5", "0.5"])
    m.keep("KVP", "120")
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    if frames > 1:
        ds.NumberOfFrames = frames
    cells = [(7 * i + m.n + m.p) % 4095 + 1 for i in range(frames * SIDE * SIDE)]
    ds.PixelData = struct.pack("<%dH" % len(cells), *cells)
    if m.kind == "US" or (m.kind in ("CR", "DX") and m.n % 2):
        ds.BurnedInAnnotation = "YES"
        m.check("pixels_hidden", (), BAND)
        m.check("pixels_retained", (), BAND)
        m.check("text_retained", ("BurnedInAnnotation",), "NO")
    else:
        ds.BurnedInAnnotation = "NO"
        m.check("pixels_retained", (), 0)


def references(m, owner="CT"):
    """Of an image of the same study, as sequences nest them."""
    ref = item(ReferencedSOPClassUID=SOP + CLASSES[owner],
               ReferencedSOPInstanceUID=m.instance(owner, m.n))
    series = item(SeriesInstanceUID=uid(m.p, m.study, sorted(CLASSES).index(owner)))
    return ref, series


def special_pt(m):
    dose = item(RadiopharmaceuticalStartTime="093000", RadionuclideTotalDose="350000000",
                RadionuclideHalfLife="6586.2", RadiopharmaceuticalStartDateTime=m.day.strftime(
                    "%Y%m%d") + "093000")
    m.ds.RadiopharmaceuticalInformationSequence = Sequence([dose])
    where = ("RadiopharmaceuticalInformationSequence", 0)
    m.check("text_retained", where + ("RadionuclideTotalDose",), "350000000")
    m.check("text_retained", where + ("RadiopharmaceuticalStartTime",), "093000")
    m.check("date_shifted", where + ("RadiopharmaceuticalStartDateTime",),
            dose.RadiopharmaceuticalStartDateTime)
    m.keep("Units", "BQML")
    m.keep("DecayCorrection", "START")


def special_sr(m):
    ref, _ = references(m)
    m.ds.ValueType, m.ds.CompletionFlag = "CONTAINER", "COMPLETE"
    m.ds.ConceptNameCodeSequence = code("18747-6", "LN", "CT Report")
    m.ds.ContentSequence = Sequence([
        item(RelationshipType="CONTAINS", ValueType="TEXT",
             ConceptNameCodeSequence=code("121071", "DCM", "Finding"),
             TextValue="Nodule of 5 mm in the right lobe of %s" % m.family),
        item(RelationshipType="CONTAINS", ValueType="NUM",
             ConceptNameCodeSequence=code("121211", "DCM", "Path length"),
             MeasuredValueSequence=Sequence([item(NumericValue="5.25")])),
        item(RelationshipType="HAS OBS CONTEXT", ValueType="PNAME",
             ConceptNameCodeSequence=code("121008", "DCM", "Person Observer Name"),
             PersonName="Velasquez^Inma"),
        item(RelationshipType="CONTAINS", ValueType="IMAGE",
             ReferencedSOPSequence=Sequence([ref]))])
    at = ("ContentSequence",)
    m.check("text_retained", at + (0, "TextValue"), "Nodule of 5 mm in the right lobe")
    m.check("text_retained", at + (0, "ConceptNameCodeSequence", 0, "CodeMeaning"), "Finding")
    m.check("text_retained", at + (1, "MeasuredValueSequence", 0, "NumericValue"), "5.25")
    m.check("text_notnull", at + (2, "PersonName"))
    m.refer(at + (3, "ReferencedSOPSequence", 0, "ReferencedSOPInstanceUID"),
            ref.ReferencedSOPInstanceUID)


def special_rtstruct(m):
    ref, series = references(m)
    series.ContourImageSequence = Sequence([ref])
    m.ds.StructureSetLabel = "Plan 1"
    m.ds.ReferencedFrameOfReferenceSequence = Sequence([item(
        FrameOfReferenceUID=uid(m.p, m.study, 99), RTReferencedStudySequence=Sequence([item(
            ReferencedSOPInstanceUID=uid(m.p, m.study),
            RTReferencedSeriesSequence=Sequence([series]))]))])
    m.ds.StructureSetROISequence = Sequence([
        item(ROINumber=1, ROIName="GTV primary", ReferencedFrameOfReferenceUID=uid(
            m.p, m.study, 99)),
        item(ROINumber=2, ROIName="Tumour %s" % m.family)])
    m.ds.ROIContourSequence = Sequence([item(ReferencedROINumber=1, ContourSequence=Sequence([
        item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=2,
             ContourData=["1.5", "2.5", "3.5", "4.5", "5.5", "6.5"])]))])
    m.check("text_retained", ("StructureSetROISequence", 0, "ROIName"), "GTV primary")
    m.check("text_retained", ("StructureSetROISequence", 1, "ROIName"), "Tumour")
    m.check("tag_retained", ("ROIContourSequence", 0, "ContourSequence", 0, "ContourData"))
    at = ("ReferencedFrameOfReferenceSequence", 0)
    m.refer(at + ("FrameOfReferenceUID",), uid(m.p, m.study, 99))
    at += ("RTReferencedStudySequence", 0, "RTReferencedSeriesSequence", 0)
    m.refer(at + ("SeriesInstanceUID",), series.SeriesInstanceUID)
    m.refer(at + ("ContourImageSequence", 0, "ReferencedSOPInstanceUID"),
            ref.ReferencedSOPInstanceUID)


def special_seg(m):
    ref, series = references(m)
    series.ReferencedInstanceSequence = Sequence([ref])
    m.ds.ReferencedSeriesSequence = Sequence([series])
    m.ds.SegmentSequence = Sequence([item(
        SegmentNumber=1, SegmentLabel="Liver", SegmentAlgorithmType="MANUAL",
        SegmentedPropertyTypeCodeSequence=code("10200004", "SCT", "Liver"))])
    m.check("text_retained", ("SegmentSequence", 0, "SegmentLabel"), "Liver")
    m.check("text_retained", ("SegmentSequence", 0, "SegmentedPropertyTypeCodeSequence", 0,
                              "CodeMeaning"), "Liver")
    m.refer(("ReferencedSeriesSequence", 0, "ReferencedInstanceSequence", 0,
             "ReferencedSOPInstanceUID"), ref.ReferencedSOPInstanceUID)


def special_ko(m):
    ref, series = references(m)
    series.ReferencedSOPSequence = Sequence([ref])
    m.ds.ValueType = "CONTAINER"
    m.ds.ConceptNameCodeSequence = code("113000", "DCM", "Of Interest")
    m.ds.CurrentRequestedProcedureEvidenceSequence = Sequence([item(
        StudyInstanceUID=uid(m.p, m.study), ReferencedSeriesSequence=Sequence([series]))])
    at = ("CurrentRequestedProcedureEvidenceSequence", 0)
    m.refer(at + ("StudyInstanceUID",), uid(m.p, m.study))
    m.refer(at + ("ReferencedSeriesSequence", 0, "ReferencedSOPSequence", 0,
                  "ReferencedSOPInstanceUID"), ref.ReferencedSOPInstanceUID)
    m.check("text_retained", ("ConceptNameCodeSequence", 0, "CodeMeaning"), "Of Interest")


def special_pr(m):
    ref, series = references(m)
    series.ReferencedImageSequence = Sequence([ref])
    m.ds.ReferencedSeriesSequence = Sequence([series])
    m.ds.ContentLabel, m.ds.ContentCreatorName = "MARKS", "Petrosyan^Ani"
    m.ds.GraphicAnnotationSequence = Sequence([item(
        GraphicLayer="LAYER1",
        TextObjectSequence=Sequence([item(UnformattedTextValue="Lesion of %s 5mm" % m.family)]),
        GraphicObjectSequence=Sequence([item(GraphicType="POINT", GraphicData=[3.0, 4.0])]))])
    at = ("GraphicAnnotationSequence", 0)
    m.check("text_retained", at + ("TextObjectSequence", 0, "UnformattedTextValue"), "Lesion")
    m.check("tag_retained", at + ("GraphicObjectSequence", 0, "GraphicData"))
    m.refer(("ReferencedSeriesSequence", 0, "ReferencedImageSequence", 0,
             "ReferencedSOPInstanceUID"), ref.ReferencedSOPInstanceUID)


def special_emr(m):
    stamp = m.day.strftime("%Y%m%d") + "101530.250000"
    ref, _ = references(m, "MR")
    m.ds.PerFrameFunctionalGroupsSequence = Sequence([item(
        FrameContentSequence=Sequence([item(FrameReferenceDateTime=stamp, StackID="1",
                                            FrameComments="%s moved" % m.family)]),
        MREchoSequence=Sequence([item(EffectiveEchoTime=80.0)]),
        ReferencedImageSequence=Sequence([ref])) for _ in range(3)])
    for f in range(3):
        at = ("PerFrameFunctionalGroupsSequence", f)
        m.check("date_shifted", at + ("FrameContentSequence", 0, "FrameReferenceDateTime"),
                stamp)
        m.check("text_retained", at + ("MREchoSequence", 0, "EffectiveEchoTime"), "80.0")
        m.refer(at + ("ReferencedImageSequence", 0, "ReferencedSOPInstanceUID"),
                ref.ReferencedSOPInstanceUID)


SPECIAL = {"PT": special_pt, "SR": special_sr, "RTSTRUCT": special_rtstruct, "SEG": special_seg,
           "KO": special_ko, "PR": special_pr, "EMR": special_emr}


def make():
    out = []
    for p in range(len(PEOPLE)):
        for study in range(2):
            for kind in CLASSES:
                for n in range(2):
                    m = Maker(kind, p, study, n)
                    common(m)
                    texts(m)
                    private(m)
                    if kind in IMAGES:
                        pixels(m)
                    if kind in SPECIAL:
                        SPECIAL[kind](m)
                    out.append(("%d-%d-%s-%d" % (p, study, kind, n), m.ds, m.checks))
    return out


# ---- the score ----------------------------------------------------------------------


def find(ds, where):
    for step in where:
        try:
            ds = ds[step] if isinstance(step, int) and step < 0x10000 else ds[step].value
        except (KeyError, IndexError, TypeError):
            return None
    return ds


def as_text(value):
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


class Scorer:
    def __init__(self):
        self.uids, self.ids, self.shifts = {}, {}, {}
        self.right, self.all, self.wrong = {k: 0 for k in KINDS}, {k: 0 for k in KINDS}, []

    @staticmethod
    def consistent(known, key, value):
        """One value for one key, and another for every other key."""
        others = {v for k, v in known.items() if k != key}
        return known.setdefault(key, value) == value and value not in others

    def date(self, person, was, now):
        if len(now) != len(was) or now[8:] != was[8:] or not now[:8].isdigit():
            return False
        shift = days(now) - days(was)
        return shift != 0 and self.consistent(self.shifts, person, shift)

    def holds(self, check, source, ds, seen):
        value = as_text(find(ds, check.where)) if check.where else ""
        if check.kind == "tag_retained":
            return value != ""
        if check.kind == "text_notnull":
            return value.strip() not in ("", "REMOVED")
        if check.kind == "text_retained":
            return as_text(check.text) in value
        if check.kind == "text_removed":
            return check.text.encode() not in seen
        if check.kind == "date_shifted":
            return self.date(str(source.PatientID), check.text, value)
        if check.kind == "uid_changed":
            return value not in ("", check.text) and check.text.encode() + b"\0" not in seen
        if check.kind == "uid_consistent":
            return self.consistent(self.uids, check.text, value)
        if check.kind == "patid_consistent":
            return self.consistent(self.ids, check.text, value)
        return self.pixels(check, source.PixelData, ds.PixelData)

    @staticmethod
    def pixels(check, was, now):
        frame = 2 * SIDE * SIDE
        if len(was) != len(now):
            return False
        for at in range(0, len(was), frame):
            cut = at + 2 * SIDE * check.text
            if check.kind == "pixels_hidden" and any(now[at:cut]):
                return False
            if check.kind == "pixels_retained" and was[cut:at + frame] != now[cut:at + frame]:
                return False
        return True

    def score(self, name, source, checks, shown):
        seen = b""
        if shown.raw:
            ds = shown.ds
            seen = shown.raw + b"\n" + deidrun.decoded(ds) + b"\n" + shown.name.encode()
        for c in checks:
            self.all[c.kind] += 1
            if shown.raw and self.holds(c, source, ds, seen):
                self.right[c.kind] += 1
            else:
                self.wrong.append((name, c.kind, c.where, c.text))

    def table(self):
        lines = ["%-18s %7s %7s %8s" % ("kind of check", "right", "of", "%")]
        rows = [(k, self.right[k], self.all[k]) for k in KINDS]
        rows.append(("all", sum(self.right.values()), sum(self.all.values())))
        lines += ["%-18s %7d %7d %8.2f" % (k, r, n, 100.0 * r / max(n, 1)) for k, r, n in rows]
        return "\n".join(lines)
