# SPDX-License-Identifier: Apache-2.0
"""Mounts over XNAT: subjects named by their labels, whatever headers say later, requests,
credentials, de-identification and hostile answers."""
import errno
import json
import os

import pydicom
import pytest

from archiveserver import ArchiveServer
from shelfserver import originals, read, three_conditions
from vivomount import Mount


@pytest.fixture(scope="module")
def shared_server(folder):
    with ArchiveServer("xnat", folder) as s:
        yield s


def test_subjects_are_named_by_their_labels_before_and_after_headers(server, folder):
    with Mount({"x": server.source}) as m:
        names = m.files("x")
        assert len(names) == 24 and all(n.count("/") == 4 for n in names)
        assert {n.split("/")[0] for n in names} == {"DEMO1", "demo_2"}
        assert {n.split("/")[1] for n in names} == {"SUBJ0000", "SUBJ0001"}
        assert server.content() == 0
        # The header has another PatientID: it is found, and nothing moves.
        found = m.files("x/q/PatientID=PAT0001")
        assert found == [n for n in names if "/SUBJ0001/" in n]
        assert m.files("x/q/PatientID=SUBJ0001") == []
        assert sorted(read(m / "x/" + n) for n in names) == originals(folder)
        assert m.files("x") == names


def test_three_conditions_are_as_brute_force(server):
    with Mount({"x": server.source}) as m:
        got, want = three_conditions(m, "x")
        assert got == want and len(got) == 4


def test_walking_asks_once_a_level_and_remounting_nothing(server, tmp_path):
    with Mount({"x": server.source}, home=str(tmp_path)) as m:
        names = m.files("x")
        asked = [(e["path"], e["query"]) for e in server.log()]
        # Of a project its sessions, their assessors and its files; scans, files.
        assert len(asked) == len(set(asked)) == 2 + 3 * 2 + 4 + 8
    server.reset()
    with Mount({"x": server.source}, "offline", home=str(tmp_path)) as m:
        assert m.files("x") == names
    assert server.paths() == []


def everything(m):
    return sorted(os.path.relpath(os.path.join(where, name), m / "x")
                  for where, _, names in os.walk(m / "x") for name in names)


def test_what_is_of_no_scan_is_where_its_headers_say(server, tmp_path):
    server(resources=1)
    with Mount({"x": server.source}, home=str(tmp_path)) as m:
        objects, names = m.files("x"), everything(m)
        others = {n for n in names if n not in objects and "/000" not in n}
        assert len(objects) == 24 + 4
        (study,) = {n.rsplit("/", 2)[0] for n in names if n.endswith("/RAW/notes")}
        assert study.startswith("DEMO1/SUBJ0000/20200101_")
        assert others == {study + "/RAW/notes", study + "/BIDS/sub/1.nii.gz",
                          "DEMO1/docs/protocol.pdf", "DEMO1/subjects/SUBJ0000/clinical/labs.csv"}
        uids = {}
        for name in objects:
            ds = pydicom.dcmread(m / "x/" + name)
            uids.setdefault(os.path.dirname(name), set()).add(ds.SeriesInstanceUID)
        assert all(len(u) == 1 for u in uids.values())
        # The session's own in its scan's series, contours and the subject's in series of
        # theirs in that study; the project's is a patient by its own ID.
        counts = {d: sum(os.path.dirname(n) == d for n in objects) for d in uids}
        assert sorted(n for d, n in counts.items() if d.startswith(study)) == [1, 1, 3, 4]
        (phantom,) = [d for d in counts if not d.split("/")[1].startswith("SUBJ")]
        assert phantom.startswith("DEMO1/PAT0000/")
        # What lies beside the contours is shown with them.
        (lies,) = [n for n in names if "lies.dcm" in n]
        assert counts[os.path.dirname(lies)] == 1
        assert read(m / "x/" + lies) == b"lies.dcm of assessor"
        assert m.files("x/q/SliceThickness>0") == objects
        assert everything(m) == names
    server.reset()
    with Mount({"x": server.source}, "offline", home=str(tmp_path)) as m:
        assert everything(m) == names
    assert server.paths() == []
    server(resources=1)
    with Mount({"x": server.source}, deid="basic") as m:
        assert len(m.files("x")) == 24 + 4 == len(everything(m))
    server(refuse_files=403)
    with Mount({"x": server.source}) as m:
        assert len(m.files("x")) == 24
        assert "are not told to this account" in m.log()


def test_stale_sizes_are_made_exact_by_open(server, folder):
    server(size_add=100)
    with Mount({"x": server.source}) as m:
        for name in m.files("x")[:3]:
            with open(m / "x/" + name, "rb") as f:
                data = f.read()
                assert os.fstat(f.fileno()).st_size == len(data)
            assert data in originals(folder)


def test_things_without_a_uid_of_their_own_stay_apart(server, folder):
    for knobs in ({"no_uid": "sessions,scans"}, {"same_uid": 1}):
        server.reset()
        server(**knobs)
        with Mount({"x": server.source}) as m:
            names = m.files("x")
            assert len({n.rsplit("/", 2)[0] for n in names}) == 4
            assert len({n.rsplit("/", 1)[0] for n in names}) == 8
            assert sorted(read(m / "x/" + n) for n in names) == originals(folder)


def test_a_session_shared_with_a_project_is_in_both(server, folder):
    server(shared="demo_2")
    with Mount({"x": server.source}) as m:
        for _ in range(2):
            assert len(m.files("x/DEMO1")) == 12 and len(m.files("x/demo_2")) == 24
        names = m.files("x")
        assert sorted({read(m / "x/" + n) for n in names}) == originals(folder)
        both = m.files("x/q/Modality=CT and Manufacturer=ACME")
        assert len(both) == 18 and both == [n for n in names if "_CT_" in n]
    server(resources=1)
    with Mount({"x": server.source}) as m:
        # The session's own and its assessor's are in both, too.
        assert len(m.files("x/DEMO1")) == 12 + 4 and len(m.files("x/demo_2")) == 24 + 3
        names = m.files("x/demo_2")
        assert len({read(m / "x/demo_2/" + n) for n in names}) == len(names)
    server.reset()
    server(shared="demo_2", order="stable")
    with Mount({"x": server.source}) as m:
        assert m.files("x/q/Modality=CT and Manufacturer=ACME") == both
        scans = [p for p in server.paths() if p.endswith(("/scans", "/data/experiments"))]
        assert len(scans) == 1 + 2  # each session once, and their columns


def test_no_original_is_seen_by_a_reader_of_a_profile(server, folder, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    known = {"20200101", "Series-0", "Study 0 of 0", "DEMO1", "demo_2", "SUBJ0", "XNAT_E"}
    for name in os.listdir(folder):
        ds = pydicom.dcmread(os.path.join(folder, name))
        known |= {ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID,
                  ds.SOPInstanceUID, str(ds.AccessionNumber)}
    with Mount({"x": server.source}, f"key={key}", deid="basic") as m:
        names = m.files("x")
        assert len(names) == 24 and len({n.split("/")[1] for n in names}) == 2
        seen = "\n".join(names).encode() + b"".join(read(m / "x/" + n) for n in names)
        shown = pydicom.dcmread(m / "x/" + names[0]).PatientID
        # The directory is the pseudonym of the label, the header's that of its own ID.
        assert names[0].split("/")[1] != shown
        mine = m.files(f"x/q/PatientID={shown}")
        assert len(mine) == 12 and names[0] in mine
        assert m.files("x") == names
        seen += read(m / ".vivofs/status.json") + m.log().encode()
        assert not [k for k in known if k.encode() in seen]


@pytest.mark.parametrize("knobs", [{"user": "user:other"}, {"bad_login": 1},
                                   {"require_login": 1, "login_page": 1, "user": "a:b"}])
def test_wrong_credentials_are_told(server, tmp_path, knobs):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password s3cr3t\n")
    netrc.chmod(0o600)
    server(**knobs)
    with pytest.raises(RuntimeError, match="needs a login") as e:
        Mount({"x": server.source}, f"netrc={netrc}")
    assert "s3cr3t" not in str(e.value)


def test_netrc_logs_in_once(server, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o600)
    server(require_login=1)
    with Mount({"x": server.source}, f"netrc={netrc}") as m:
        assert len(m.files("x")) == 24
        log = server.log()
        assert [e["path"] for e in log if e.get("authorization")] == ["/ir/data/JSESSION"]


@pytest.mark.parametrize("knobs", [{"match": "DEMO1/", "html": 1},
                                   {"match": "DEMO1/", "empty_body": 1},
                                   {"match": "DEMO1/", "json": "[{}]"},
                                   {"match": "DEMO1/", "json": '{"ResultSet":null}'},
                                   {"match": "DEMO1/", "endless": 1}])
def test_rest_of_the_archive_stays_usable(server, knobs):
    server(**knobs)
    with Mount({"x": server.source}, "retries=0", faults=True) as m:
        with pytest.raises(OSError) as e:
            os.listdir(m / "x/DEMO1")
        assert e.value.errno in (errno.EIO, errno.EACCES, errno.EBADMSG)
        assert "x: " in m.log() and "sessions" in m.log()
        assert len(m.files("x/demo_2")) == 12


@pytest.mark.parametrize("label", ["../../etc", "..", "\x07\n\x1b[2J", "q", "", "long",
                                   None, {"a": 1}], ids=repr)
def test_no_label_leaves_the_tree(server, label):
    server(match="projects/DEMO1", field="subject_label",
           value=json.dumps("x" * 3000 if label == "long" else label))
    with Mount({"x": server.source}) as m:
        (patient,) = os.listdir(m / "x/DEMO1")
        assert patient not in ("q", "..", ".", "") and len(patient) <= 120
        assert all(32 < ord(c) < 127 and c != "/" for c in patient)
        assert len(m.files("x/DEMO1")) == 12


def test_texts_of_ten_megabytes_are_borne(server):
    server(match="XNAT_E00000/scans", pad=10_000_000)
    with Mount({"x": server.source}) as m:
        names = m.files("x")
        assert len(names) == 24 and all(len(n) < 500 for n in names)
