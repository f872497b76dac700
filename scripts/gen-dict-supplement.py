#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/dcm/dict_supplement.def and src/dcm/uid_supplement.def.

usage: gen-dict-supplement.py PART6.XML TABLE.tsv...

PART6.XML is GDCM's dictionary as installed (/usr/share/gdcm-3.0/XML/Part6.xml);
a TABLE has the columns tag, keyword, vr, retired (PS3.15 Table E.1-1, say). Rows
that GDCM lacks or misspells come from pydicom's dictionary of PS3.6 where it has them, else from
the tables (VM 1 then, which no code relies on). UID keywords (PS3.6 Annex A) come
from pydicom where they are not what src/dcm/uid.c makes of GDCM's name.
"""
import os
import re
import sys

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import DicomDictionary

HEAD = """/* SPDX-License-Identifier: Apache-2.0 */
/* %s
 * Made by scripts/gen-dict-supplement.py; do not edit. */
"""


def known_to_gdcm(path):
    known = {}
    entry = re.compile('<entry group="([0-9a-f]{4})" element="([0-9a-f]{4})" '
                       'keyword="([^"]*)"', re.I)
    for line in open(path, encoding="utf-8"):
        m = entry.search(line)
        if m:
            known[int(m[1] + m[2], 16)] = m[3]
    return known


def rows_of(path):
    head = None
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            continue
        cells = line.rstrip("\n").split("\t")
        if head is None:
            head = cells
            continue
        row = dict(zip(head, cells))
        tag = row["tag"].replace(",", "")
        if re.fullmatch("[0-9a-fA-F]{8}", tag) and row["keyword"]:
            yield int(tag, 16), row


def write(path, title, lines):
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD % title)
        f.writelines(lines)


def main():
    known = known_to_gdcm(sys.argv[1])
    out = {}
    for table in sys.argv[2:]:
        for tag, row in rows_of(table):
            if tag not in known and tag >> 16 != 0:
                retired = row.get("retired", "N") == "Y"
                out[tag] = (row["vr"] or "UN", "1", row["keyword"], retired)
    for tag, (vr, vm, _, retired, keyword) in DicomDictionary.items():
        if known.get(tag) != keyword and keyword and tag >> 16 not in (0, 0xFFFE):
            out[tag] = (vr, vm, keyword, bool(retired))
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/dcm/")
    write(here + "dict_supplement.def",
          "src/dcm/dict_supplement.def -- attributes that PS3.6 has got since GDCM's"
          " edition:\n * VIVO_DICT(tag, VR, VM, keyword, retired).",
          ['VIVO_DICT(0x%08Xu, "%s", "%s", "%s", %s)\n'
           % (t, *out[t][:3], str(out[t][3]).lower()) for t in sorted(out)])
    uids = [(u, v[4]) for u, v in UID_dictionary.items() if len(v) > 4 and v[4]]
    write(here + "uid_supplement.def",
          "src/dcm/uid_supplement.def -- keywords of PS3.6 Annex A:"
          " VIVO_UID(uid, keyword).",
          ['VIVO_UID("%s", "%s")\n' % row for row in sorted(uids)])


main()
