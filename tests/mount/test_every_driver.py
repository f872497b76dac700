# SPDX-License-Identifier: Apache-2.0
"""What every driver owes a mount, over all of the test servers at once: the tree, whole
objects, listings without content, queries as by brute force, remounts without requests,
faults that are errors, and no original under a profile. tests/README.md has the table."""
import base64
import csv
import errno
import hashlib
import io
import os
import re

import pydicom
import pytest

import synthetic
from archiveserver import KINDS, ArchiveServer
from vivomount import Mount

ALL = sorted(set(KINDS) - {"nda"})  # which shows nothing to a guest: test_nda.py
KNOBS = [k for k in ALL if k != "ftp"]
QUERY = "Modality=CT and PatientID=PAT*1 and InstanceNumber>1"


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """2 patients x 1 study x 2 series (CT, MR) x 3 instances."""
    folder = str(tmp_path_factory.mktemp("ward"))
    synthetic.make(folder, "ward", studies=1)
    return folder


@pytest.fixture(scope="module")
def servers(ward):
    running = {k: ArchiveServer(k, ward) for k in ALL}
    yield running
    for s in running.values():
        s.end()
    for s in running.values():
        s.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("home"))


def sources(servers):
    return {k: s.source for k, s in servers.items()}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def originals(folder):
    return sorted(read(os.path.join(folder, n)) for n in os.listdir(folder))


def objects(m, top):
    return [top + "/" + n for n in m.files(top) if n.endswith(".dcm")]


def digests(frozen):
    return [row["Sha256"] for row in csv.DictReader(io.StringIO(frozen.decode()))]


class Walked:
    """One mount of all archives: walked, asked, read, in this order, for all tests."""

    def __init__(self, servers, home):
        self.files, self.content, self.found, self.bytes = {}, {}, {}, {}
        self.frozen = {}
        with Mount(sources(servers), home=home) as m:
            for kind, s in servers.items():
                self.files[kind] = objects(m, kind)
                self.content[kind] = s.content() if s.knobs else 0
                found = objects(m, f"{kind}/q/{QUERY}")
                if kind == "http":  # nothing has been read: no digests yet
                    assert set(digests(read(m / f"{kind}/q/Modality=CT/.freeze.csv"))) == {""}
                self.bytes[kind] = [read(m / n) for n in self.files[kind]]
                self.found[kind] = sorted(read(m / n) for n in found)
                self.frozen[kind] = read(m / f"{kind}/q/Modality=CT/.freeze.csv")


@pytest.fixture(scope="module")
def walked(servers, home):
    return Walked(servers, home)


@pytest.fixture(scope="module")
def again(servers, home, walked):
    """Requests that a remount makes while everything is walked and read: {kind: [...]}."""
    for s in servers.values():
        s.reset()
    asked = {}
    with Mount(sources(servers), home=home) as m:
        for kind, s in servers.items():
            names = objects(m, kind)
            assert names == walked.files[kind]
            assert [read(m / n) for n in names] == walked.bytes[kind]
    for kind, s in servers.items():
        asked[kind] = s.log() if s.knobs else []
    return asked


@pytest.mark.parametrize("kind", ALL)
def test_tree_is_five_deep_and_listing_fetches_nothing(walked, kind):
    assert len(walked.files[kind]) == 12
    assert all(n.count("/") == 5 for n in walked.files[kind])
    assert walked.content[kind] == 0


@pytest.mark.parametrize("kind", ALL)
def test_every_object_is_what_the_server_has(walked, ward, kind):
    assert sorted(walked.bytes[kind]) == originals(ward)


def name_of(uid):
    digest = hashlib.sha256(uid.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:6]


@pytest.mark.parametrize("kind", ALL)
def test_directories_are_named_by_the_uids_of_what_is_in_them(walked, kind):
    """UIDs of 64 characters among them."""
    for name, data in zip(walked.files[kind], walked.bytes[kind]):
        ds = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        study, series = name.split("/")[3:5]
        assert study.endswith(name_of(ds.StudyInstanceUID))
        assert series.endswith(name_of(ds.SeriesInstanceUID))


@pytest.mark.parametrize("kind", ALL)
def test_three_conditions_are_as_brute_force(walked, ward, kind):
    heads = {n: pydicom.dcmread(os.path.join(ward, n)) for n in os.listdir(ward)}
    want = sorted(read(os.path.join(ward, n)) for n, h in heads.items()
                  if h.Modality == "CT" and h.PatientID == "PAT0001"
                  and h.InstanceNumber > 1)
    assert walked.found[kind] == want and len(want) == 2


@pytest.fixture(scope="module")
def thawed(servers, walked, tmp_path_factory):
    """The frozen lists, mounted by somebody who never saw the archives."""
    top = tmp_path_factory.mktemp("lists")
    for kind, text in walked.frozen.items():
        (top / f"{kind}.csv").write_bytes(text)
    with Mount({k: str(top / f"{k}.csv") for k in ALL},
               "endpoint=" + servers["idc"].url) as m:
        yield m


@pytest.mark.parametrize("kind", ALL)
def test_frozen_query_mounts_identically_elsewhere(walked, thawed, kind):
    cts = [(n, b) for n, b in zip(walked.files[kind], walked.bytes[kind])
           if pydicom.dcmread(io.BytesIO(b)).Modality == "CT"]
    shown = objects(thawed, kind)
    assert len(cts) == 6 and [(n, read(thawed / n)) for n in shown] == cts
    again = read(thawed / f"{kind}/q/Modality=CT/.freeze.csv")
    assert again == walked.frozen[kind]
    assert objects(thawed, f"{kind}/q/Rows=8") == [
        n.replace(kind, f"{kind}/q/Rows=8", 1) for n in shown]


@pytest.mark.parametrize("kind", ALL)
def test_frozen_query_tells_digests_of_what_is_here(walked, kind):
    """Of archives that keep files; PACS may send an object in other bytes tomorrow."""
    told = digests(walked.frozen[kind])
    read_ones = {hashlib.sha256(b).hexdigest() for b in walked.bytes[kind]}
    assert len(told) == 6
    assert set(told) == {""} if kind in ("dicomweb", "dimse") else set(told) < read_ones


@pytest.mark.parametrize("kind", KNOBS)
def test_remount_asks_nothing(again, kind):
    assert again[kind] == []


# ---- faults


@pytest.fixture(scope="module")
def faulty(servers):
    """Listed, nothing read; one retry."""
    for s in servers.values():
        s.reset()
    with Mount(sources(servers), "retries=1", faults=True) as m:
        yield m, {kind: objects(m, kind) for kind in servers}


@pytest.mark.parametrize("kind", KNOBS)
@pytest.mark.parametrize("which, knobs", [(0, {"fail": 503}), (1, {"cut": 300})],
                         ids=["503", "cut"])
def test_failing_object_is_eio_never_short_and_heals(servers, faulty, ward, kind, which,
                                                     knobs):
    m, files = faulty
    s = servers[kind]
    s.reset()
    s(**knobs)
    with pytest.raises(OSError) as e:
        read(m / files[kind][which])
    assert e.value.errno in (errno.EIO, errno.EBADMSG)
    if "fail" in knobs:
        assert len(s.log()) >= 2  # tried again before
    # Names of files and folders of an archive may be those of patients.
    assert not re.search(r"(GET|POST) \S*(\.dcm|PAT0)", m.log())
    s.reset()
    assert read(m / files[kind][which]) in originals(ward)


@pytest.mark.parametrize("kind", KNOBS)
def test_object_that_wants_a_login_is_eacces(servers, faulty, kind):
    m, files = faulty
    servers[kind].reset()
    servers[kind](auth="somebody:secret")
    with pytest.raises(OSError) as e:
        read(m / files[kind][2])
    assert e.value.errno == errno.EACCES
    servers[kind].reset()


@pytest.mark.parametrize("kind", ["dicomweb", "nbia"])
def test_token_does_not_follow_a_redirect(servers, ward, tmp_path, kind):
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    token.chmod(0o600)
    s = servers[kind]
    s.reset()
    with ArchiveServer(kind, ward) as other:
        s(redirect="http://" + other.url.split("/")[2])
        with Mount({"a": s.source}, f"bearer={token},retries=0") as m:
            files = objects(m, "a")
            assert len(files) == 12 and read(m / files[0]) in originals(ward)
        asked = [e["authorization"] for e in s.log()]
        assert asked and set(asked) == {"Bearer open-sesame"}
        followed = [e["authorization"] for e in other.log()]
        assert followed and set(followed) == {None}
    s.reset()


# ---- de-identification


@pytest.fixture(scope="module")
def seen(servers):
    for s in servers.values():
        s.reset()
    with Mount(sources(servers), deid="basic") as m:
        return {kind: "\n".join(objects(m, kind)).encode() +
                b"".join(read(m / n) for n in objects(m, kind)) for kind in servers}


@pytest.mark.parametrize("kind", ALL)
def test_no_original_is_seen_under_a_profile(seen, ward, kind):
    known = set()
    for name in os.listdir(ward):
        ds = pydicom.dcmread(os.path.join(ward, name))
        known |= {str(ds[k].value) for k in (
            "PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID",
            "SOPInstanceUID", "AccessionNumber", "StudyDescription")}
    assert len(seen[kind]) > 12 * 500
    assert not [k for k in known if k.encode() in seen[kind]]
