#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes down what gdcmdump sees in files, in the lines of dump_pydicom.py. GDCM
tells no bytes, so the digest is always -, and so is the length of fragments."""
import re
import subprocess
import sys

ELEMENT = re.compile(r"^( *)\(([0-9a-f]{4}),([0-9a-f]{4})\) (\S\S)( \((\w+)\))?")
LENGTH = re.compile(r"# (\d+|u/l),[^#]*$")
ITEM = re.compile(r"^( *)\(fffe,e000\) na \(Item ")


def vr_of(match):
    """The stream's VR; of the dictionary only where all dictionaries agree."""
    if match[4] != "??":
        return match[4]
    private = int(match[2], 16) % 2 == 1
    return match[6] if match[6] and len(match[6]) == 2 and not private else "-"


def dump(text):
    rows = []  # [path, vr, length or items, digest or None]
    prefix, last = {0: ""}, {}
    for line in text.split("# Dicom-Data-Set", 1)[-1].splitlines():
        if item := ITEM.match(line):
            row = last[len(item[1]) // 4]
            if row[3] is not None:  # its first item shows that it is a sequence
                row[1:] = ["SQ", 0, None]
            prefix[len(item[1]) // 4 + 1] = f"{row[0]}.{row[2]}."
            row[2] += 1
            continue
        element = ELEMENT.match(line)
        if not element or element[2] == "fffe" or len(element[1]) % 4:
            continue
        depth = len(element[1]) // 4
        length = LENGTH.search(line)
        vr = vr_of(element)
        path = f"{prefix[depth]}{element[2]},{element[3]}"
        row = [path, vr, length[1] if length else "-", "-"]
        if "(Sequence with " in line or vr == "SQ":
            row = [path, "SQ", 0, None]
        elif row[2] == "u/l":
            row[2] = "-"
        rows.append(row)
        last[depth] = row
    return sorted(" ".join(str(x) for x in row if x is not None) for row in rows)


def main():
    for name in sys.argv[1:]:
        run = subprocess.run(
            ["gdcmdump", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        text = run.stdout.decode("latin-1")
        bad = run.returncode or "# Dicom-Data-Set" not in text
        print("==", name + (" !" if bad else ""))
        if not bad:
            print("\n".join(dump(text)))


main()
