# SPDX-License-Identifier: Apache-2.0
"""Two roles (DESIGN D1): the custodian who mounts, and readers, who are other accounts
and get nothing but de-identified bytes. Tried with accounts that are none of ours."""
import datetime
import os
import re
import subprocess

import pydicom
import pytest

import canaries
from vivomount import BINARY, Mount, environment

GROUP = 61234  # needs no entry in /etc/group
AS_READER = ["setpriv", "--reuid=65533", "--regid=65533", f"--groups={GROUP}"]
AS_STRANGER = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]


def run(account, *argv, **how):
    return subprocess.run([*account, *argv], capture_output=True, **how)


@pytest.fixture(scope="module")
def mount(tmp_path_factory):
    top = tmp_path_factory.mktemp("custodian")
    folder = str(top / "in")
    os.mkdir(folder)
    _, uids = canaries.make(folder)
    audit = str(top / "audit")
    with Mount({"loc": folder}, f"readers={GROUP},audit={audit}", deid="basic",
               faults=True) as m:
        yield m, folder, uids, audit


def everything(account, path):
    """Names and bytes of all that the account can walk to."""
    script = ("import os,sys\n"
              "for d,s,n in os.walk(sys.argv[1]):\n"
              "  for x in s+n: print(os.path.join(d,x))\n"
              "  for x in n:\n"
              "    try: sys.stdout.buffer.write(open(os.path.join(d,x),'rb').read())\n"
              "    except OSError as e: print(e.strerror)\n"
              "    sys.stdout.flush()\n")
    return run(account, "/usr/bin/python3", "-c", script, path)


def test_a_reader_reads_what_is_shown_and_no_canary(mount):
    m, _, uids, _ = mount
    got = everything(AS_READER, m.path)
    assert got.returncode == 0
    assert got.stdout.count(b"DICM") >= len(canaries.CARRIERS)
    assert not canaries.PATTERN.search(got.stdout)
    assert not any(u.encode() in got.stdout for u in uids)


def test_files_belong_to_the_group_and_to_nobody_else(mount):
    m, *_ = mount
    for path in (m.path, m / "loc", m / "loc/all", m / m.files()[0]):
        st = os.stat(path)
        assert st.st_gid == GROUP and not st.st_mode & 0o007, path


def test_a_stranger_gets_nothing_even_of_what_the_kernel_knows(mount):
    m, *_ = mount
    first = m.files()[0]
    with open(m / first, "rb") as f:
        f.read()
    run(AS_READER, "ls", "-lR", m / "loc")
    for argv in (["ls", m.path], ["stat", m / "loc"], ["stat", m / first],
                 ["cat", m / first], ["ls", m / "loc/q/Modality=CT"],
                 ["cat", m / "README.txt"], ["ls", m / ".vivofs"]):
        got = run(AS_STRANGER, *argv)
        assert got.returncode != 0 and got.stdout == b"", argv
        assert b"denied" in got.stderr.lower(), argv


def test_a_reader_has_no_way_to_what_the_custodian_keeps(mount):
    m, folder, *_ = mount
    os.chmod(os.path.dirname(folder), 0o700)
    pid = m.proc.pid
    inside = [m / ".vivofs", m / ".vivofs/status.json", m / ".vivofs/audit.log",
              m / ".vivofs/log", m / ".vivofs/config", folder,
              os.path.join(m.home, "cache"), os.path.join(m.home, "config"),
              f"/proc/{pid}/mem", f"/proc/{pid}/environ", f"/proc/{pid}/maps",
              f"/proc/{pid}/fd", f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
    for path in inside:
        got = run(AS_READER, "/usr/bin/python3", "-c",
                  "import os,sys\np=sys.argv[1]\n"
                  "print(os.listdir(p) if os.path.isdir(p) else open(p,'rb').read())",
                  path)
        nothing = got.stdout == b"b''\n"  # as some kernels show maps of others
        assert nothing or (got.returncode != 0 and got.stdout == b""), path
    # What /proc shows of any process, its command line, names a folder and no value.
    got = run(AS_READER, "cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/status")
    assert not canaries.PATTERN.search(got.stdout)


def test_a_reader_changes_nothing(mount):
    m, *_ = mount
    for argv in (["ln", "-s", "Modality=CT", m / "loc/q/mine"],
                 ["touch", m / "loc/new"], ["mkdir", m / "loc/new"],
                 ["sh", "-c", 'echo loc > "$0"', m / ".vivofs/refresh"]):
        assert run(AS_READER, *argv).returncode != 0, argv
    assert os.listdir(m / "loc/q") == []


def test_opens_are_told_to_the_audit_file(mount):
    m, _, _, audit = mount
    first = m.files()[0]
    assert run(AS_READER, "cat", m / first).returncode == 0
    with open(audit) as f:
        lines = f.read().splitlines()
    mine = [l for l in lines if f" uid=65533 " in l and l.endswith(first)]
    assert mine and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ uid=65533 pid=\d+ "
                             r"bytes=\d+ loc/", mine[-1])
    assert os.stat(audit).st_mode & 0o777 == 0o600
    assert not canaries.PATTERN.search("\n".join(lines).encode())


def test_nothing_opens_when_the_audit_file_cannot_be_written(mount):
    _, folder, *_ = mount
    with Mount({"loc": folder}, "audit=/dev/full", deid="basic", faults=True) as m:
        with pytest.raises(OSError) as e:
            open(m / m.files()[0], "rb")
        assert e.value.errno == 5
        assert "audit file cannot be written" in m.log()


def test_a_group_that_is_not_there_is_named(mount, tmp_path):
    _, folder, *_ = mount
    (tmp_path / "mnt").mkdir()
    got = subprocess.run([BINARY, "mount", "-o", "readers=nosuchgroup", folder,
                          str(tmp_path / "mnt")], capture_output=True, text=True,
                         env=environment(str(tmp_path)))
    assert got.returncode == 1
    assert "option readers: there is no group 'nosuchgroup'" in got.stderr


# ---- the forward mapping, and where keys come from


def pseudonym(home, key, text, *args):
    return subprocess.run([BINARY, "pseudonym", "--key", key, *args], input=text,
                          capture_output=True, text=True, env=environment(str(home)))


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "site.key"
    path.write_bytes(os.urandom(48))
    path.chmod(0o600)
    return str(path)


def test_pseudonyms_are_those_that_a_mount_shows(tmp_path, key):
    folder = tmp_path / "in"
    folder.mkdir()
    ds = pydicom.dcmread(canaries.DATA + "CT_small.dcm")
    ds.PatientID, ds.StudyDate = "MRN, 7", "20200131"
    ds.save_as(str(folder / "x.dcm"), write_like_original=False)
    with Mount({"loc": str(folder)}, f"key={key}",
               deid="basic+retain-modified-dates") as m:
        shown = pydicom.dcmread(m / m.files()[0])
        directory = m.files()[0].split("/")[2]
    got = pseudonym(tmp_path, key, "MRN, 7\n")
    assert got.stdout == f'original,shown\n"MRN, 7",{shown.PatientID}\n'
    assert shown.PatientID == directory
    got = pseudonym(tmp_path, key, ds.StudyInstanceUID, "--kind", "uid")
    assert got.stdout.splitlines()[1] == f"{ds.StudyInstanceUID},{shown.StudyInstanceUID}"
    got = pseudonym(tmp_path, key, "MRN, 7", "--kind", "offset")
    days = int(got.stdout.rsplit(",", 1)[1])
    dates = [datetime.datetime.strptime(d, "%Y%m%d")
             for d in (ds.StudyDate, shown.StudyDate)]
    assert (dates[1] - dates[0]).days == days != 0


def test_an_issuer_makes_another_pseudonym(tmp_path, key):
    plain = pseudonym(tmp_path, key, "A1\n").stdout
    issued = pseudonym(tmp_path, key, "A1\n", "--issuer", "HOSPITAL").stdout
    assert plain.splitlines()[1] != issued.splitlines()[1]


def test_use_of_the_mapping_is_audited_without_values(tmp_path, key):
    pseudonym(tmp_path, key, "SECRET-1\nSECRET-2\n")
    audit = tmp_path / "state/vivofs/audit.log"
    text = audit.read_text()
    assert re.fullmatch(r"\S+Z uid=\d+ pid=\d+ pseudonym kind=patient lines=2 "
                        r"key=[0-9a-f]{16}\n", text)
    assert audit.stat().st_mode & 0o777 == 0o600


def test_without_an_audit_there_is_no_mapping(tmp_path, key):
    (tmp_path / "state").write_text("in the way")
    got = pseudonym(tmp_path, key, "A1\n")
    assert got.returncode == 1 and got.stdout == "" and "A1" not in got.stderr


def test_faults_of_the_mapping_name_the_line_only(tmp_path, key):
    got = pseudonym(tmp_path, key, "1.2.3\nZQ77\n", "--kind", "uid")
    assert got.returncode == 1
    assert got.stderr == "vivofs: stdin, line 2: not a UID\n"
    assert pseudonym(tmp_path, key, "", "--kind", "name").returncode == 2
    os.chmod(key, 0o644)
    got = pseudonym(tmp_path, key, "A1\n")
    assert got.returncode == 1 and got.stdout == "" and "0600" in got.stderr


def test_a_key_may_lie_in_the_kernel(tmp_path, key):
    name = f"vivofs:test-{os.getpid()}"
    with open(key, "rb") as f:
        added = subprocess.run(["keyctl", "padd", "user", name, "@u"],
                               stdin=f, capture_output=True, text=True)
    there = added.returncode == 0
    got = pseudonym(tmp_path, "keyring:" + name, "A1\n")
    if there:
        assert got.stdout == pseudonym(tmp_path, key, "A1\n").stdout
        subprocess.run(["keyctl", "unlink", added.stdout.strip(), "@u"], check=True)
    # Where containers have no keyrings, and when it is gone, it is said so.
    got = pseudonym(tmp_path, "keyring:" + name, "A1\n")
    assert got.returncode == 1 and "keyring" in got.stderr and got.stdout == ""
