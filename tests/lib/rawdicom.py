# SPDX-License-Identifier: Apache-2.0
"""DICOM files from bytes, right ones and wrong ones; knows nothing of pydicom.

    raw(el(0x00100010, "PN", "Doe^Jane"), sq(0x00081140, [item(...)]))
"""
import struct

ILE, ELE, EBE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
UNDEFINED = 0xFFFFFFFF
ROOT = "1.2.826.0.1.3680043.8.777.9."


def pad(value, vr="LO"):
    if isinstance(value, str):
        value = value.encode()
    return value + (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)


def el(tag, vr, value=b"", implicit=False, big=False, length=None, odd=False):
    """(tag, bytes) of one element; length lies where it is given."""
    value = (value.encode() if isinstance(value, str) else value) if odd else pad(value, vr)
    e = ">" if big else "<"
    n = len(value) if length is None else length
    head = struct.pack(e + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        head += struct.pack(e + "L", n)
    elif vr in LONG:
        head += vr.encode() + struct.pack(e + "HL", 0, n)
    else:
        head += vr.encode() + struct.pack(e + "H", n)
    return tag, head + value


def join(*elements):
    return b"".join(data for _, data in elements)


def item(*elements, undefined=False, big=False):
    e = ">" if big else "<"
    body = join(*elements)
    if undefined:
        return (struct.pack(e + "HHL", 0xFFFE, 0xE000, UNDEFINED) + body +
                struct.pack(e + "HHL", 0xFFFE, 0xE00D, 0))
    return struct.pack(e + "HHL", 0xFFFE, 0xE000, len(body)) + body


def sq(tag, items, undefined=False, vr="SQ", implicit=False, big=False):
    e = ">" if big else "<"
    body = b"".join(items)
    if undefined:
        body += struct.pack(e + "HHL", 0xFFFE, 0xE0DD, 0)
        return el(tag, vr, body, implicit, big, UNDEFINED)
    return el(tag, vr, body, implicit, big)


def base(number, implicit=False, big=False, sop=CT):
    def e(*a):
        return el(*a, implicit=implicit, big=big)
    return [e(0x00080016, "UI", sop), e(0x00080018, "UI", ROOT + "4.%d" % number),
            e(0x00080060, "CS", "CT"), e(0x00100010, "PN", "Doe^Jane^Q"),
            e(0x00100020, "LO", "MRN7654321"), e(0x0020000D, "UI", ROOT + "1"),
            e(0x0020000E, "UI", ROOT + "2"), e(0x00200013, "IS", str(number))]


def meta(syntax=ELE, number=1, sop=CT, more=()):
    body = join(el(0x00020001, "OB", b"\0\1"), el(0x00020002, "UI", sop),
                el(0x00020003, "UI", ROOT + "4.%d" % number),
                el(0x00020010, "UI", syntax), *more)
    return b"\0" * 128 + b"DICM" + join(el(0x00020000, "UL", struct.pack("<L", len(body)))) + body


COUNT = [0]


def raw(*elements, syntax=ELE, without=(), sop=CT, tail=b"", number=None):
    """A file of these and the base elements in order, then tail; tags given replace."""
    COUNT[0] += 1
    number = number or 100000 + COUNT[0]
    implicit, big = syntax == ILE, syntax == EBE
    given = {tag for tag, _ in elements} | set(without)
    body = [b for b in base(number, implicit, big, sop) if b[0] not in given]
    body = sorted(body + list(elements), key=lambda b: b[0])
    return meta(syntax, number, sop) + join(*body) + tail
