# SPDX-License-Identifier: Apache-2.0
"""`vivofs deid` over many objects in one call, and which input became which output.

    case = Batch(folder, "basic")
    case.add("17", dataset or bytes)
    out = case.run()["17"]      # .raw, .ds, .refused, .actions
"""
import hashlib
import io
import json
import os
import subprocess
import warnings

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

warnings.filterwarnings("ignore")
VIVOFS = os.environ.get("VIVOFS", "vivofs")
LIMIT = 120
KEY = b"a key of more than thirty-two bytes for the tests"
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.777.9."


class Shown:
    """What became of one input: raw is None when it was refused or left out."""

    def __init__(self, raw, name, refused, actions):
        self.raw, self.name, self.refused, self.actions = raw, name, refused, actions

    @property
    def ds(self):
        return pydicom.dcmread(io.BytesIO(self.raw))

    def holds(self, *words):
        """Which of the words stand in the bytes, the names or what a reader decodes."""
        seen = self.raw + b"\n" + self.name.encode() + b"\n" + decoded(self.ds)
        return [w for w in words if (w if isinstance(w, bytes) else w.encode()) in seen]


def decoded(ds):
    """All that a reader sees after decoding, which a search of bytes would not find."""
    out = []
    for el in ds:
        if el.VR == "SQ":
            out += [decoded(item) for item in el.value or []]
        elif isinstance(el.value, bytes):
            out.append(el.value)
        else:
            out.append(str(el.value).encode("utf8", "replace"))
    return b"\n".join(out)


def keyfile(folder, content=KEY):
    path = os.path.join(str(folder), "key")
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, 0o600)
    return path


def run(profile, src, dst, folder, *more, key=None):
    """The completed process; home and key lie in folder."""
    env = dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder),
               XDG_STATE_HOME=str(folder), XDG_CACHE_HOME=str(folder))
    return subprocess.run([VIVOFS, "deid", "--profile", profile, "--key",
                           key or keyfile(folder), *more, str(src), str(dst)],
                          capture_output=True, timeout=LIMIT, env=env)


def shown_of(folder, sources, out, audit):
    """{name: Shown} of the sources {name: bytes} by the lines of an audit."""
    by_digest, result = {}, {}
    with open(audit) as f:
        for line in map(json.loads, f):
            by_digest.setdefault(line["input"].split(":")[1], line)
    for name, data in sources.items():
        line = by_digest.get(hashlib.sha256(data).hexdigest())
        path = line and line.get("output")
        raw = None
        if path:
            with open(os.path.join(out, path), "rb") as f:
                raw = f.read()
        refused = line.get("refused") if line else "left-out"
        result[name] = Shown(raw, path or "", refused, (line or {}).get("actions"))
    return result


class Batch:
    def __init__(self, folder, profile="basic", *more):
        self.folder, self.profile, self.more = str(folder), profile, more
        self.sources, self.stderr, self.code = {}, "", None

    def add(self, name, what):
        self.sources[name] = what if isinstance(what, bytes) else encode(what)

    def run(self):
        src, out = os.path.join(self.folder, "in"), os.path.join(self.folder, "out")
        audit = os.path.join(self.folder, "audit.jsonl")
        os.makedirs(src)
        for n, data in enumerate(self.sources.values()):
            with open(os.path.join(src, "%04d.dcm" % n), "wb") as f:
                f.write(data)
        p = run(self.profile, src, out, self.folder, "--audit", audit, *self.more)
        self.stderr, self.code = p.stderr.decode(), p.returncode
        assert self.code in (0, 1), self.stderr
        return shown_of(self.folder, self.sources, out, audit)


def encode(ds):
    out = io.BytesIO()
    ds.save_as(out, write_like_original=False)
    return out.getvalue()


def blank(number, sop_class=CT, implicit=False, pixels=True):
    """A valid small image with as little in it as can be; number makes its UIDs."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = ROOT + "3.%d" % number
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.is_little_endian, ds.is_implicit_VR = True, implicit
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID = "Doe^Jane^Q", "MRN7654321"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = ROOT + "1", ROOT + "2"
    ds.Modality, ds.InstanceNumber = "CT", number
    if pixels:
        ds.Rows = ds.Columns = 4
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.PixelData = bytes(range(32))
    return ds
