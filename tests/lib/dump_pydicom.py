#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes down what pydicom sees in files, one line an element, for comparison with
the walker (tests/unit/test_dcm_oracle.c writes the same lines):

    == FILE
    PATH VR LENGTH DIGEST        an element; digest = first 8 digits of SHA-256
    PATH SQ ITEMS                a sequence
    PATH - - -                   an element that pydicom has decoded already

PATH is gggg,eeee with .N. for the Nth item (from 0). VR is - where the stream has
none and the dictionaries need not agree. FILE that cannot be read: == FILE !
"""
import hashlib
import sys
import warnings

import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement

warnings.simplefilter("ignore")


def vr_of(raw):
    if raw.VR is not None and not raw.is_implicit_VR:
        return raw.VR
    if raw.tag.element == 0:
        return "UL"
    row = DicomDictionary.get(raw.tag)
    return row[0] if row and " or " not in row[0] else "-"


def dump(ds, prefix, out):
    for tag in list(ds._dict):  # iter(ds) decodes
        path = f"{prefix}{tag.group:04x},{tag.element:04x}"
        raw = ds.get_item(tag)
        if isinstance(raw, RawDataElement):
            vr = vr_of(raw)
            if vr != "SQ":
                value = raw.value or b""
                digest = hashlib.sha256(value).hexdigest()[:8]
                out.append(f"{path} {vr} {len(value)} {digest}")
                continue
        elif raw.VR != "SQ":
            # Decoded while reading; what is known is if there were any bytes.
            empty = raw.value is None or raw.value == ""
            rest = "0 e3b0c442" if empty else "- -"
            out.append(f"{path} - {rest}")
            continue
        items = ds[tag].value
        out.append(f"{path} SQ {len(items)}")
        for i, item in enumerate(items):
            dump(item, f"{path}.{i}.", out)


def main():
    for name in sys.argv[1:]:
        out = []
        try:
            dump(pydicom.dcmread(name, force=True), "", out)
            print("==", name)
        except Exception:  # whatever it is, pydicom cannot read this file
            print("==", name, "!")
            continue
        for line in sorted(out):
            print(line)


main()
