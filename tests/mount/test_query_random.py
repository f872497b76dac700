# SPDX-License-Identifier: Apache-2.0
"""Random expressions over a synthetic hospital: what a mount shows for each, against an
evaluator of DESIGN A5 that works on pydicom's data sets and shares no code with the
engine. VIVO_TEST_SEED gives other expressions."""
import datetime
import fnmatch
import functools
import os
import random
import re
import unicodedata

import pytest

import query_corpus
from query_corpus import planes, plain, ranked_studies, references, values
from vivomount import Mount

EXPRESSIONS = 1200
TEXT, NUMBER, DATE, TIME, AGE, UID, NAME = range(7)
ATTRIBUTES = {
    "Modality": (TEXT, ["CT", "mr", "PT", "SEG", "?R", "RT*", "XA"]),
    "Manufacturer": (TEXT, ["SIEMENS", "ge*", "GE MEDICAL SYSTEMS", "*o*", "philips"]),
    "SeriesDescription": (TEXT, ["*T1*", "t2_tse_tra", "CT AC", "*0.75*", "enhanced DWI"]),
    "StudyDescription": (TEXT, ["*Thorax", "PETCT Brain", "MR*", "* lung*"]),
    "PatientID": (TEXT, ["PAT001", "pat00?", "PAT01*", "PAT004"]),
    "PatientSex": (TEXT, ["F", "M", "o"]),
    "ImageType": (TEXT, ["ORIGINAL", "AXIAL", "derived", "DIFF*", "OTHER"]),
    "ConvolutionKernel": (TEXT, ["B30f", "BL*", "3", "BR40d"]),
    "ScanningSequence": (TEXT, ["SE", "EP", "GR"]),
    "BodyPartExamined": (TEXT, ["CHEST", "head", "lung"]),
    "ContrastBolusAgent": (TEXT, ["Gadovist", "iod*"]),
    "PatientName": (NAME, ["Doe^Jane", "müller*", "yamada^tarou", "山田^太郎", "roe*"]),
    "SliceThickness": (NUMBER, ["1", "1.2", "0.75", "2", "3.0", "5", "4"]),
    "KVP": (NUMBER, ["100", "120", "1.2e2", "80"]),
    "EchoTime": (NUMBER, ["2.5", "70", "71", "98", "50"]),
    "DiffusionBValue": (NUMBER, ["0", "500", "800", "1000", "1200"]),
    "Rows": (NUMBER, ["8", "16", "256", "512"]),
    "InstanceNumber": (NUMBER, ["1", "2", "3", "5"]),
    "NumberOfFrames": (NUMBER, ["2", "3", "1"]),
    "PixelSpacing": (NUMBER, ["0.5", "0.75", "1", "0.6"]),
    "MagneticFieldStrength": (NUMBER, ["3", "1.5", "2"]),
    "StudyDate": (DATE, ["2019", "2019-06", "20200229", "2017", "202101", "2019-09-09"]),
    "StudyTime": (TIME, ["08", "12", "09:15", "101010", "110000", "08:00:00.5"]),
    "PatientAge": (AGE, ["60Y", "60", "2Y", "18M", "12W", "7D", "75y"]),
    "SOPClassUID": (UID, ["CTImageStorage", "1.2.840.10008.5.1.4.1.1.4",
                          "SegmentationStorage", "1.2.840.10008.5.1.4.1.1.4*"]),
    "Collection": (TEXT, ["all", "none", "a*"]),
    "Archive": (TEXT, ["h", "H", "x*"]),
    "License": (TEXT, ["CC*", "x"]),
    "Plane": (TEXT, ["axial", "CORONAL", "sagittal", "oblique", "*al"]),
    "InstanceCount": (NUMBER, ["1", "2", "3", "6", "7"]),
    "FrameCount": (NUMBER, ["1", "2", "3", "6", "7"]),
    "StudyRank": (NUMBER, ["1", "2", "3"]),
    "StudyDay": (NUMBER, ["0", "1", "398", "543", "1000"]),
    "RefersTo": (UID, []),
    "ModalitiesInStudy": (TEXT, ["PT", "SEG", "mr", "C?"]),
    "NumberOfPatientRelatedStudies": (NUMBER, ["1", "2", "3"]),
    "NumberOfStudyRelatedSeries": (NUMBER, ["1", "2", "4"]),
    "NumberOfStudyRelatedInstances": (NUMBER, ["2", "8", "11", "13", "17"]),
    "NumberOfSeriesRelatedInstances": (NUMBER, ["1", "3", "6", "7"]),
    "SeriesBytes": (NUMBER, ["9000", "100000", "300000"]),
    "ReferencedSeriesSequence.SeriesInstanceUID": (UID, []),
    "*.ReferencedSOPInstanceUID": (UID, []),
    "*.SeriesInstanceUID": (UID, []),
    "SegmentSequence.SegmentLabel": (TEXT, ["Lesion", "les*", "x"]),
    "SegmentSequence.SegmentNumber": (NUMBER, ["1", "2"]),
    "SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness": (NUMBER, ["2"]),
}
INDEXED = ["ImageType", "PixelSpacing", "ScanningSequence", "ConvolutionKernel"]
UID_KEYWORDS = {"CTImageStorage": "1.2.840.10008.5.1.4.1.1.2",
                "SegmentationStorage": "1.2.840.10008.5.1.4.1.1.66.4"}
ANY = ["PatientID", "StudyDescription", "SeriesDescription", "ProtocolName", "Modality",
       "BodyPartExamined", "Manufacturer"]


def fold(s):
    return unicodedata.normalize("NFC", str(s)).strip(" ").lower()


# ---- what an object has ------------------------------------------------------------------

class World:
    def __init__(self, records):
        self.records = records
        self.members = {}
        for r in records:
            for level in ("patient", "study", "series"):
                self.members.setdefault((level, getattr(r, level)), []).append(r)
        self.ranks = {p: ranked_studies(records, p) for p in {r.patient for r in records}}

    def of(self, r, level):
        return self.members[level, getattr(r, level)]

    @functools.lru_cache(maxsize=None)
    def values(self, i, attr):
        r = self.records[i]
        virtual = getattr(self, "virtual_" + attr, None)
        if virtual:
            return virtual(r)
        if attr.startswith("*."):
            return [v for e in r.ds.iterall() if e.keyword == attr[2:] for v in plain(e)]
        if "." in attr:
            places = [r.ds]
            *way, last = attr.split(".")
            for step in way:
                places = [x for p in places for x in p.get(step, [])]
            return [v for p in places if last in p for v in plain(p[last])]
        name, _, index = attr.rstrip("]").partition("[")
        if index:
            raw = list(r.ds[name].value) if name in r.ds and r.ds[name].VM > 1 else \
                [r.ds[name].value] if name in r.ds else []
            if name not in r.ds:  # the nth of each item
                groups = values(r.ds, name)
                raw = groups
            return raw[int(index) - 1:int(index)]
        return values(r.ds, name)

    def virtual_Collection(self, r):
        return ["all"]

    def virtual_Archive(self, r):
        return ["h"]

    def virtual_License(self, r):
        return []

    def virtual_Plane(self, r):
        return planes(r.ds)

    def virtual_RefersTo(self, r):
        return references(r.ds)

    def virtual_InstanceCount(self, r):
        return [len(self.of(r, "series"))]

    virtual_NumberOfSeriesRelatedInstances = virtual_InstanceCount

    def virtual_FrameCount(self, r):
        return [sum(int(x.ds.get("NumberOfFrames", 1) or 1) for x in self.of(r, "series"))]

    def virtual_SeriesBytes(self, r):
        return [sum(x.size for x in self.of(r, "series"))]

    def virtual_ModalitiesInStudy(self, r):
        return sorted({x.ds.Modality for x in self.of(r, "study")})

    def virtual_NumberOfStudyRelatedSeries(self, r):
        return [len({x.series for x in self.of(r, "study")})]

    def virtual_NumberOfStudyRelatedInstances(self, r):
        return [len(self.of(r, "study"))]

    def virtual_NumberOfPatientRelatedStudies(self, r):
        return [len({x.study for x in self.of(r, "patient")})]

    def rank(self, r):
        return [i for i, (s, _) in enumerate(self.ranks[r.patient]) if s == r.study]

    def virtual_StudyRank(self, r):
        return [i + 1 for i in self.rank(r)]

    def virtual_StudyRankBack(self, r):
        return [i - len(self.ranks[r.patient]) for i in self.rank(r)]

    def virtual_StudyDay(self, r):
        def day(s):
            return datetime.datetime.strptime(s, "%Y%m%d")
        studies = self.ranks[r.patient]
        return [(day(studies[i][1]) - day(studies[0][1])).days for i in self.rank(r)]


# ---- comparing ---------------------------------------------------------------------------

def date_span(s):
    s = s.replace("-", "")
    return s.ljust(8, "0"), s.ljust(8, "9")


def time_span(s):
    s = s.replace(":", "").replace(".", "")
    return s.ljust(12, "0"), s.ljust(12, "9")


def age_span(s):
    s = s.upper()
    n, unit = (s[:-1], s[-1]) if s[-1].isalpha() else (s, "Y")
    days = float(n) * {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}[unit]
    return days, days


def number_span(s):
    return float(s), float(s)


SPANS = {DATE: date_span, TIME: time_span, AGE: age_span, NUMBER: number_span}


def wild(pattern, s):
    return fnmatch.fnmatchcase(s, pattern.replace("[", "[[]"))


def compare(kind, op, value, typed):
    """One value of an object."""
    if kind in SPANS:
        lo, hi = SPANS[kind](str(value).strip())
        a, b = SPANS[kind](typed)
        return {"=": a <= lo and hi <= b, "<": hi < a, "<=": hi <= b, ">": lo > b,
                ">=": lo >= a}[op]
    typed = fold(UID_KEYWORDS.get(typed, typed) if kind == UID else typed)
    forms = [fold(value)]
    if kind == NAME and "=" in str(value):
        forms += [fold(g) for g in str(value).split("=") if g]
    if op == "=":
        return any(wild(typed, f) for f in forms)
    return any({"<": f.encode() < typed.encode(), "<=": f.encode() <= typed.encode(),
                ">": f.encode() > typed.encode(), ">=": f.encode() >= typed.encode()}[op]
               for f in forms)


def within(kind, v, low, high):
    """Both ends are asked of one component group."""
    forms = [v]
    if kind == NAME:
        kind, forms = TEXT, str(v).split("=") + [str(v)]
    return any((low is None or compare(kind, ">=", f, low)) and
               (high is None or compare(kind, "<=", f, high)) for f in forms if str(f))


def holds(world, node):
    """Of every record, whether the node is true."""
    n = range(len(world.records))
    kind, *args = node
    if kind in ("and", "or"):
        a, b = holds(world, args[0]), holds(world, args[1])
        return [(x and y) if kind == "and" else (x or y) for x, y in zip(a, b)]
    if kind == "not":
        return [not x for x in holds(world, args[0])]
    if kind in ("patient", "study", "series"):
        inner = holds(world, args[0])
        hit = {getattr(world.records[i], kind) for i in n if inner[i]}
        return [getattr(world.records[i], kind) in hit for i in n]
    return [condition(world, i, kind, *args) for i in n]


def condition(world, i, kind, attr, *args):
    if kind == "any":
        return any(fold(attr) in fold(v) for k in ANY for v in world.values(i, k))
    found = world.values(i, attr)
    if kind == "has":
        return bool(found)
    cls = ATTRIBUTES[attr.split("[")[0]][0]
    if kind == "~":
        forms = [str(v) for v in found]
        forms += [g for v in forms for g in v.split("=")] if cls == NAME else []
        return any(re.search(args[0], fold(v)) for v in forms)
    if kind == "in":
        return any(compare(cls, "=", v, t) for v in found for t in args[0])
    if kind == "..":
        return any(within(cls, v, *args) for v in found)
    op, typed = args
    if attr == "StudyRank" and typed.startswith("-"):
        found = world.values(i, "StudyRankBack")
    if op == "!=":
        return bool(found) and not any(compare(cls, "=", v, typed) for v in found)
    return any(compare(cls, op, v, typed) for v in found)


# ---- expressions -------------------------------------------------------------------------

class Writer:
    """Random trees and their spelling."""

    def __init__(self, seed, uids):
        self.random = random.Random(seed)
        self.uids = uids

    def pick(self, *choices):
        return self.random.choice(choices)

    def value(self, attr, literal):
        kind, choices = ATTRIBUTES[attr]
        if not choices:
            return self.random.choice(self.uids)
        if literal:
            choices = [c for c in choices if not set(c) & set("*?")]
        return self.random.choice(choices)

    def leaf(self):
        r = self.random
        attr = r.choice(list(ATTRIBUTES))
        kind = ATTRIBUTES[attr][0]
        form = r.choice(["=", "=", "=", "!=", "<", "<=", ">", ">=", "in", "..", "has", "~",
                         "any"])
        if form == "any":
            return "any", r.choice(["thorax", "PAT00", "mr", "lung", "SIEMENS", "zzz", "t1"])
        path = attr
        if attr in INDEXED and r.random() < .4:
            path = "%s[%d]" % (attr, r.randint(1, 3))
        if form == "has":
            return "has", path
        if form == "~" and kind in (TEXT, NAME) and not attr.startswith("*"):
            return "~", path, r.choice(["^c", "t[12]", "a.*l", "(ge|si)", "[0-9]{2}", "e$"])
        if form == "in":
            return "in", path, [self.value(attr, False) for _ in range(r.randint(1, 4))]
        if form == ".." and kind != UID:
            ends = [self.value(attr, True), self.value(attr, True)]
            if r.random() < .4:
                ends[r.randint(0, 1)] = None
            return "..", path, *ends
        if form not in ("=", "!=", "<", "<=", ">", ">="):
            form = "="
        typed = self.value(attr, form not in ("=", "!="))
        if attr == "StudyRank" and form in ("=", "!=") and r.random() < .5:
            typed = "-" + typed
        return "cmp", path, form, typed

    def tree(self, depth):
        if depth == 0 or self.random.random() < .25:
            return self.leaf()
        form = self.pick("and", "and", "or", "not", "patient", "study", "series")
        if form in ("and", "or"):
            return form, self.tree(depth - 1), self.tree(depth - 1)
        return form, self.tree(depth - 1)

    def quote(self, s):
        if re.fullmatch(r"[\w.*?:^\-]+", s) and s.lower() not in ("in", "any", "has") and \
                self.random.random() < .6:
            return s
        return self.pick("'%s'", '"%s"') % s

    def spell(self, node):
        kind, *args = node
        if kind in ("and", "or"):
            word = self.pick(*{"and": (" and ", " && ", "&", " AND ", ","),
                               "or": (" or ", "||", " | ")}[kind])
            return "(%s)%s(%s)" % (self.spell(args[0]), word, self.spell(args[1]))
        if kind == "not":
            return self.pick("not ", "!") + "(%s)" % self.spell(args[0])
        if kind in ("patient", "study", "series"):
            return "%s(%s)" % (kind, self.spell(args[0]))
        return self.spell_leaf(kind, *args)

    def spell_leaf(self, kind, attr, *args):
        if kind == "any":
            return "any " + self.quote(attr)
        path = self.pick(attr, attr, attr.lower(), attr.upper())
        if kind == "has":
            return "has " + path
        if kind == "~":
            return "%s ~ '%s'" % (path, args[0])
        if kind == "in":
            return "%s in (%s)" % (path, ", ".join(map(self.quote, args[0])))
        if kind == "..":
            low, high = (self.quote(a) if a is not None else "" for a in args)
            if low and high and self.random.random() < .5:
                return "%s between %s and %s" % (path, low, high)
            return "%s=%s..%s" % (path, low, high)
        op, typed = args
        words = {"=": ("=", "==", " eq "), "!=": ("!=", "<>", " ne "), "<": ("<", " lt "),
                 "<=": ("<=", " le "), ">": (">", " gt "), ">=": (">=", " ge ")}
        return path + self.pick(*words[op]) + self.quote(typed)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("hospital"))
    query_corpus.make(folder)
    with Mount({"h": folder}) as m:
        yield m, World(query_corpus.read(folder))


def shown(mount, text):
    name = text.replace("%", "%25").replace("/", "%2F")
    where = mount / f"h/q/{name}"
    if os.path.exists(where + "/.error"):
        with open(where + "/.error") as f:
            raise AssertionError(f.read())
    with open(where + "/.paths.txt") as f:
        return f.read().splitlines()


def test_random_expressions_show_what_they_mean(world):
    mount, w = world
    seed = int(os.environ.get("VIVO_TEST_SEED", "20261122"))
    uids = sorted({str(u) for r in w.records for u in references(r.ds)} |
                  {str(w.records[0].series)})
    writer = Writer(seed, uids)
    telling = 0
    for k in range(EXPRESSIONS):
        tree = writer.tree(writer.random.randint(0, 4))
        text = writer.spell(tree)
        if len(text) > 1000:
            continue
        found = query_corpus.by_name(w.records, shown(mount, text))
        expected = [r for r, hit in zip(w.records, holds(w, tree)) if hit]
        missing = {r.uid for r in expected} - {r.uid for r in found}
        extra = {r.uid for r in found} - {r.uid for r in expected}
        assert not missing and not extra and len(found) == len(expected), (
            f"seed {seed}, expression {k}: {text}\n{tree}\n{len(missing)} missing, "
            f"{len(extra)} too many of {len(expected)}")
        telling += 0 < len(expected) < len(w.records)
    assert telling > EXPRESSIONS / 3  # else the agreement says little
