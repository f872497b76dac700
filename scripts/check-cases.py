#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every one of the 90 adversarial cases of de-identification has a test named after its
number (test_case_07_..., test_67_...), or a line "Case N: why" in src/deid/README.md."""
import glob
import os
import re
import sys

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
NAMED = re.compile(r"^(?:def|static void) test_(?:case_)?(\d{1,2})_\w+\(", re.M)
EXCUSED = re.compile(r"^- Case (\d+): \S", re.M)


def text(path):
    with open(path, encoding="utf8") as f:
        return f.read()


def main():
    found = set()
    for path in (glob.glob(TREE + "/tests/mount/test_*.py") +
                 glob.glob(TREE + "/tests/unit/test_deid_*.c")):
        found |= set(map(int, NAMED.findall(text(path))))
    found |= set(map(int, EXCUSED.findall(text(TREE + "/src/deid/README.md"))))
    missing = sorted(set(range(1, 91)) - found)
    if missing:
        print("no test of the adversarial cases", *missing)
    return bool(missing)


sys.exit(main())
