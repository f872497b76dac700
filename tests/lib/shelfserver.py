# SPDX-License-Identifier: Apache-2.0
"""What the mount tests of one archive each have in common."""
import fnmatch
import os

import pydicom

from vivomount import Mount


def read(path):
    with open(path, "rb") as f:
        return f.read()


def originals(folder):
    return sorted(read(os.path.join(folder, n)) for n in os.listdir(folder))


def three_conditions(m, name):
    """The answer of a query, and what reading every file gives."""
    got = m.files(name + "/q/Modality=CT and PatientID=PAT*1 and SliceThickness<1.1 "
                  "and not InstanceNumber=2")
    want = []
    for path in m.files(name):
        ds = pydicom.dcmread(os.path.join(m / name, path))
        if (ds.Modality == "CT" and fnmatch.fnmatch(ds.PatientID, "PAT*1") and
                ds.SliceThickness < 1.1 and ds.InstanceNumber != 2):
            want.append(path)
    return got, want


def originals_seen(source, options, folder, more, tmp_path):
    """What a reader of a profile sees of the originals, and the names that he sees."""
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    known = {"20200101", "Series-0", "Study 0 of 0"} | set(more)
    for name in os.listdir(folder):
        ds = pydicom.dcmread(os.path.join(folder, name))
        known |= {ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID,
                  ds.SOPInstanceUID, str(ds.AccessionNumber)}
    with Mount({"a": source}, f"key={key}" + options, deid="basic") as m:
        names = m.files("a")
        seen = "\n".join(names).encode() + b"".join(read(m / "a/" + n) for n in names)
        seen += read(m / ".vivofs/status.json") + m.log().encode()
    return [k for k in known if k.encode() in seen], names
