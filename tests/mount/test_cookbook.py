# SPDX-License-Identifier: Apache-2.0
"""src/query/COOKBOOK.md: every expression in it, through a shell, against an answer made
with pydicom for each question; of a folder, and of a DICOMweb server over it of which
nothing was ever listed."""
import os
import re
import subprocess
import sys

import pytest

import query_corpus
from query_corpus import planes, ranked_studies, references, values
from synthetic import uid
from vivomount import BINARY, environment

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")
COOKBOOK = os.path.join(os.path.dirname(__file__), "..", "..", "src", "query",
                        "COOKBOOK.md")
CT_SERIES, CT_IMAGE = uid("corpus", 5, 0), uid("corpus", 6, 0, 1)
COHORT = {"PAT%03d" % p for p in (1, 2, 3, 9)}


def recipes():
    with open(COOKBOOK, encoding="utf-8") as f:
        found = re.findall(r"^(\d+)\. (.*?): `(.*)`$", f.read(), re.M)
    return [(int(n), about, quoted) for n, about, quoted in found]


def text(r, keyword):
    return str(r.ds.get(keyword, "") or "").strip()


def number(r, keyword):
    return [float(v) for v in values(r.ds, keyword)]


def age_days(r):
    age = text(r, "PatientAge")
    return float(age[:3]) * {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}[age[3]] \
        if age else None


def with_group(all_, key, test):
    groups = {key(r) for r in all_ if test(r)}
    return lambda r: key(r) in groups


def latest(all_):
    last = {ranked_studies(all_, p)[-1][0] for p in {r.patient for r in all_}
            if ranked_studies(all_, p)}
    return lambda r: r.study in last


def follow_up(all_):
    import datetime
    hits = set()
    for p in {r.patient for r in all_}:
        studies = ranked_studies(all_, p)
        days = [datetime.datetime.strptime(d, "%Y%m%d") for _, d in studies]
        hits |= {s for (s, _), d in zip(studies, days) if 1 <= (d - days[0]).days <= 1095}
    return lambda r: r.study in hits


def chest(r):
    seen = [text(r, k).lower() for k in ("PatientID", "StudyDescription",
                                         "SeriesDescription", "ProtocolName", "Modality",
                                         "BodyPartExamined", "Manufacturer")]
    return any("thorax" in s or "chest" in s for s in seen) or \
        text(r, "BodyPartExamined").lower() in ("chest", "lung")


def is_(modality):
    return lambda r: r.ds.Modality == modality


def series_of(r):
    return r.series


def b800(r):
    return any(b >= 800 for b in number(r, "DiffusionBValue"))


def many(all_):
    sizes = {}
    for r in all_:
        sizes[r.series] = sizes.get(r.series, 0) + 1
    return lambda r: sizes[r.series] >= 6 and r.ds.Modality != "SEG"


def always(test):
    return lambda all_: test


ANSWERS = {
    1: always(lambda r: r.ds.Modality == "MR" and "t1" in text(r, "SeriesDescription")
              .lower() and any(v <= 1.2 for v in number(r, "SliceThickness"))),
    2: lambda a: lambda r, pet=with_group(a, lambda r: r.study, is_("PT")):
        r.ds.Modality == "CT" and pet(r),
    3: lambda a: lambda r, pet=with_group(a, lambda r: r.study, is_("PT")):
        r.ds.Modality == "CT" and pet(r),
    4: latest,
    5: follow_up,
    6: always(lambda r: r.ds.Modality == "SEG" and CT_SERIES in references(r.ds)),
    7: always(lambda r: CT_IMAGE in references(r.ds)),
    8: always(lambda r: "axial" in planes(r.ds) and r.ds.Rows == r.ds.Columns == 512 and
              r.ds.ImageType[0] == "ORIGINAL"),
    9: always(b800),
    10: lambda a: with_group(a, series_of, b800),
    11: always(lambda r: any(k.lower().startswith(("b60", "b70", "bl5", "bl6"))
                             for k in values(r.ds, "ConvolutionKernel"))),
    12: always(lambda r: text(r, "PatientSex") == "F" and age_days(r) is not None and
               age_days(r) >= 60 * 365.25),
    13: always(lambda r: age_days(r) is not None and age_days(r) < 2 * 365.25),
    14: always(lambda r: False),  # a folder tells no licences
    15: always(lambda r: r.patient in COHORT),
    16: lambda a: lambda r, seg=with_group(a, lambda r: r.patient, is_("SEG")):
        r.patient in COHORT and not seg(r),
    17: lambda a: with_group(a, series_of, lambda r: r.ds.Modality == "CT" and
                             any(v <= 100 for v in number(r, "KVP"))),
    18: always(lambda r: text(r, "StudyDate")[:4] in ("2019", "2020") and
               text(r, "StudyTime") != "" and int(text(r, "StudyTime")[:2]) < 12),
    19: always(lambda r: r.ds.Modality in ("CT", "MR") and not
               values(r.ds, "ContrastBolusAgent")),
    20: always(lambda r: 3 in number(r, "MagneticFieldStrength") and
               text(r, "MRAcquisitionType") == "3D"),
    21: always(lambda r: any(v < 75 for v in number(r, "EchoTime"))),
    22: many,
    23: always(chest),
    24: always(lambda r: any(float(v) < 0.6 for v in values(r.ds, "PixelSpacing")[:1])),
    25: lambda a: lambda r, rt=with_group(a, lambda r: r.patient, is_("RTSTRUCT")):
        rt(r) and r.ds.Modality == "CT" and not r.ds.Manufacturer.startswith("GE"),
}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    query_corpus.make(str(folder))
    home = tmp_path_factory.mktemp("home")
    (home / "cohort.csv").write_text("PatientID,arm\r\n" + "".join(
        '"%s",a\r\n' % p for p in sorted(COHORT)) + "PAT999,b\r\n")
    return str(folder), str(home), query_corpus.read(str(folder))


@pytest.fixture(scope="module")
def server(hospital):
    s = subprocess.Popen([sys.executable, SERVER, hospital[0]], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield "dicomweb+" + s.stdout.readline().strip()
    s.stdin.close()
    s.wait(30)


def test_the_cookbook_has_twenty_five_questions():
    assert [n for n, _, _ in recipes()] == list(range(1, 26)) == sorted(ANSWERS)


@pytest.mark.parametrize("where", ["folder", "server"])
@pytest.mark.parametrize("n, about, quoted", recipes(), ids=lambda v: str(v)[:24])
def test_answer(hospital, server, tmp_path, n, about, quoted, where):
    folder, lists, everything = hospital
    source, home = (folder, lists) if where == "folder" else (server, str(tmp_path))
    quoted = quoted.replace("@CT_SERIES@", CT_SERIES).replace("@CT_IMAGE@", CT_IMAGE)
    line = (f"{BINARY} query -o deid=none,list=cohort:{lists}/cohort.csv {quoted} "
            f"h={source}")
    run = subprocess.run(["sh", "-c", line], env=environment(home), capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr
    found = query_corpus.by_name(everything, run.stdout.splitlines())
    test = ANSWERS[n](everything)
    expected = [r.uid for r in everything if test(r)]
    assert sorted(r.uid for r in found) == sorted(expected)
    if n != 14:
        assert 0 < len(expected) < len(everything), "the question says nothing here"
