# SPDX-License-Identifier: Apache-2.0
"""Random objects whose every value stands nowhere else, and which of them may be shown.

A plant is (tag, VR, private, the strings of its value). What may be shown is worked out
here from the tables alone (PS3.15 Table E.1-1 with its options, our decisions about what
it does not list), not by asking the engine.
"""
import os
import random
import re
import string

from pydicom.datadict import DicomDictionary

import phi_plant
from rawdicom import EBE, ELE, ILE, el, item, raw, sq

WORDS = ("retain-safe-private", "retain-uids", "retain-device", "retain-institution",
         "retain-patient-characteristics", "retain-full-dates", "retain-modified-dates",
         "clean-descriptors", "clean-structured-content", "clean-graphics")
RESEARCH = {"clean-descriptors", "clean-structured-content", "clean-graphics",
            "retain-patient-characteristics", "retain-device", "retain-safe-private"}
NAMED = {"basic": set(), "strict": set(), "research": RESEARCH | {"retain-modified-dates"},
         "limited": RESEARCH | {"retain-full-dates"}}
PROFILES = list(NAMED) + ["basic+" + w for w in WORDS] + [
    "basic+" + "+".join(WORDS[:6]), "basic+" + "+".join(WORDS[6:])]
# (0008,0005) and what letters of its own it may write.
CHARSETS = [("", "ascii", ""), ("ISO_IR 100", "latin1", "éàÜß"), ("ISO_IR 192", "utf8", "山田é太郎"),
            ("GB18030", "gb18030", "昞嶾山"), ("ISO_IR 144", "iso8859-5", "Ивлн"),
            ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ"), ("\\ISO 2022 IR 87", "iso2022_jp", "山田太郎")]
SYNTAXES = (ILE, ELE, EBE)
PRONE = "PN DA DT TM LO SH ST LT UT UC UR AE UN UI".split()
TEXT = "AE CS LO LT PN SH ST UC UR UT".split()
GAP = re.compile(r'VIVO_GAP\(0x([0-9A-F]{8}), "([^"]+)", "(..)", (\w+)\)')
# Not planted: what steers reading, and what policy refuses an object for.
LEFT_OUT = {0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00100010,
            0x00100020, 0x00280301, 0x00480010, 0x00080008, 0x00080060, 0x00200013, 0x00120062,
            0x00120063, 0x00120064, 0x00280303, 0x00280302, 0x0040A040,
            0x00760034}  # a sequence for some dictionaries only


def gaps():
    with open(os.path.join(phi_plant.TREE, "src", "deid", "table_gaps.def")) as f:
        return {int(m[1], 16): m[4] for m in GAP.finditer(f.read())}


TABLE = {row[0]: row for row in phi_plant.table()}
GAPS = gaps()
KNOWN = {tag: row[2] for tag, row in TABLE.items()}
KNOWN.update({tag: entry[0] for tag, entry in DicomDictionary.items() if tag not in KNOWN})
PLANTABLE = sorted(t for t, vr in KNOWN.items() if t >> 16 >= 8 and t & 0xFFFF and
                   t not in LEFT_OUT and t >> 16 not in (0x5000, 0x6000, 0x7FE0, 0xFFFA, 0xFFFC, 0xFFFE)
                   and len(vr) == 2)


class Plant:
    def __init__(self, tag, vr, strings, private=False):
        self.tag, self.vr, self.strings, self.private = tag, vr, strings, private

    def may_be_shown(self, options):
        """By tag and VR, under the option words of a profile."""
        if self.private:
            return False
        row = TABLE.get(self.tag)
        if row:
            letters = {w for w, c in zip(WORDS, row[4]) if c == "K" and w in options}
            cleaned = {w for w, c in zip(WORDS, row[4]) if c == "C" and w in options}
            # A cleaned text keeps words that name nobody; a moved date is another one.
            return bool(letters or (cleaned and self.vr not in ("DA", "DT", "UI", "PN")))
        gap = GAPS.get(self.tag)
        if gap:
            return gap == "KEEP" or (self.vr == "UI" and "retain-uids" in options)
        return self.tag in KNOWN and (self.vr not in PRONE or
                                      self.vr == "UI" and "retain-uids" in options)


def word(rng, n):
    return "".join(rng.choice(string.ascii_uppercase) for _ in range(n))


class Maker:
    def __init__(self, rng, number):
        self.rng, self.number, self.plants = rng, number, []
        self.charset, self.codec, self.letters = rng.choice(CHARSETS)
        self.syntax = rng.choice(SYNTAXES)
        self.form = {"implicit": self.syntax == ILE, "big": self.syntax == EBE}

    def text(self, vr):
        rng = self.rng
        token = word(rng, rng.randrange(6, 15))
        if vr in ("AE", "CS"):
            return token.encode(), [token]
        if vr not in ("UR",) and self.letters and rng.random() < 0.4:
            own = "".join(rng.choice(self.letters) for _ in range(5))
            return (token + own).encode(self.codec), [token]
        if vr == "PN" and rng.random() < 0.5:
            other = word(rng, 7)
            return ("%s^%s=%s" % (token, other, other)).encode(), [token, other]
        return token.encode(), [token]

    def one(self, vr):
        rng = self.rng
        if vr in TEXT:
            return self.text(vr)
        day = "1%03d%02d%02d" % (rng.randrange(400, 900), rng.randrange(1, 13),
                                 rng.randrange(1, 29))
        part = "%02d%02d%02d.%06d" % (rng.randrange(24), rng.randrange(60), rng.randrange(60),
                                      rng.randrange(100000, 1000000))
        if vr == "DA":
            return day.encode(), [day]
        if vr == "TM":
            return part.encode(), [part]
        if vr == "DT":
            return (day + part).encode(), [day + part, day]
        if vr == "UI":
            uid = "1.2.826.0.1.%d.%d" % (rng.randrange(10**9, 10**10), self.number)
            return uid.encode(), [uid, uid.split(".")[5]]
        if vr in ("IS", "DS"):
            n = "77%07d" % rng.randrange(10**7)
            return n.encode(), [n]
        if vr in ("OB", "UN"):
            token = word(rng, 12)
            return token.encode(), [token]
        return None, []

    def element(self, tag, vr, private=False):
        rng = self.rng
        several = rng.random() < 0.2 and vr not in ("LT", "ST", "UT", "UR", "OB", "UN")
        values, strings = [], []
        for _ in range(2 if several else 1):
            data, tokens = self.one(vr)
            if data is None:
                return None
            values.append(data)
            strings += tokens
        self.plants.append(Plant(tag, vr, strings, private))
        return el(tag, vr, b"\\".join(values), **self.form)

    def private(self, group):
        creator = word(self.rng, 10)
        self.plants.append(Plant(group << 16 | 0x10, "LO", [creator], True))
        out = [el(group << 16 | 0x10, "LO", creator, **self.form)]
        for n, vr in enumerate(self.rng.sample(["LO", "PN", "UI", "DA", "UN", "OB", "LT"], 4)):
            out.append(self.element(group << 16 | 0x1001 + n, vr, True))
        before = len(self.plants)
        inner = self.set(4, 2)
        for p in self.plants[before:]:
            p.private = True
        out.append(sq(group << 16 | 0x1010, [item(*inner, big=self.form["big"])],
                      self.rng.random() < 0.5, **self.form))
        return out

    def set(self, count, depth):
        """Elements of one data set, ascending, each tag once."""
        rng, out = self.rng, []
        for tag in sorted(set(rng.sample(PLANTABLE, count))):
            vr = KNOWN[tag]
            if vr == "SQ":
                if depth < 4:
                    undefined = rng.random() < 0.5
                    items = [item(*self.set(rng.randrange(0, 6), depth + 1), big=self.form["big"],
                                  undefined=rng.random() < 0.5) for _ in range(rng.randrange(3))]
                    out.append(sq(tag, items, undefined, **self.form))
                continue
            made = self.element(tag, vr)
            if made:
                out.append(made)
        return out

    def object(self):
        self.named = [word(self.rng, 8) for _ in range(3)]
        name = "%s^%s" % tuple(self.named[:2])
        self.plants.append(Plant(0x00100010, "PN", self.named[:2]))
        self.plants.append(Plant(0x00100020, "LO", self.named[2:]))
        first = [el(0x00080005, "CS", self.charset, **self.form),
                 el(0x00100010, "PN", name, **self.form),
                 el(0x00100020, "LO", self.named[2], **self.form)]
        body = self.set(220, 0) + self.private(0x0099)
        holders = [sq(0x00289145, [item(*self.set(60, 1), big=self.form["big"])], **self.form)]
        taken = {t for t, _ in holders}
        body = [e for e in body if e[0] not in taken]
        for tag in (0x0008FFF1, 0x0010FFF3):
            token = word(self.rng, 9)
            self.plants.append(Plant(tag, "LO", [token]))
            body.append(el(tag, "LO", token, **self.form))
        return raw(*first, *holders, *body, syntax=self.syntax, number=self.number)


def make(seed, count):
    """[(bytes, plants)], the same for the same seed."""
    out = []
    for n in range(count):
        maker = Maker(random.Random("%s/%d" % (seed, n)), 20000 + n)
        out.append((maker.object(), maker.plants))
    return out


def pattern(strings):
    """Digits must not be found inside longer numbers, such as replaced UIDs."""
    parts = [(rb"(?<![0-9.])%s(?![0-9])" if re.fullmatch(r"[0-9.]+", s) else rb"%s")
             % re.escape(s.encode()) for s in strings]
    return re.compile(b"|".join(parts))
