# SPDX-License-Identifier: Apache-2.0
"""`vivofs deid` of folders: threads, the audit, same UIDs, a full disk, Ctrl-C."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import canaries  # noqa: E402
import deidrun  # noqa: E402
import synthetic  # noqa: E402


def tree(folder):
    found = {}
    for where, _, names in os.walk(folder):
        for n in names:
            path = os.path.join(where, n)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("in")
    canaries.make(str(path))
    canaries.make_refused(str(path))
    synthetic.make(str(path))
    return path


def test_bytes_names_and_audit_do_not_depend_on_threads_or_runs(source, tmp_path):
    results = []
    for n, jobs in enumerate(("1", "7", "7")):
        out = tmp_path / ("out%d" % min(n, 1))  # the third run writes over the second
        p = deidrun.run("research", source, out, tmp_path, "-j", jobs, "--audit",
                        str(tmp_path / "audit"))
        assert p.returncode == 1, p.stderr  # two are refused
        with open(tmp_path / "audit") as f:
            results.append((tree(out), f.read(), p.stderr))
    assert len(results[0][0]) == len(canaries.CARRIERS) + 24
    assert results[0] == results[1] == results[2]


def test_audit_tells_tags_and_actions_and_never_a_value(source, tmp_path):
    p = deidrun.run("basic", source, tmp_path / "out", tmp_path, "--audit",
                    str(tmp_path / "audit"))
    assert p.returncode == 1
    with open(tmp_path / "audit") as f:
        text = f.read()
    assert not canaries.PATTERN.search(text.encode())
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["refused"] for line in lines if "refused" in line} == {"burned-in",
                                                                       "unparsable"}
    shown = [line for line in lines if "output" in line]
    assert {line["output"] for line in shown} == set(tree(tmp_path / "out"))
    for line in lines:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", line["input"])
    for line in shown:
        did = {}
        for a in line["actions"]:
            assert re.fullmatch(r"[0-9A-F]{8}(\.[0-9A-F]{8})*", a["tag"])
            did.setdefault(a["tag"], set()).add(a["action"])
        assert did["00100010"] == did["00100020"] == {"pseudonym"}
        assert did["00080018"] == {"uid"} and did["00080016"] == {"kept"}
        assert did["00120062"] == {"added"}
    planted = next(line for line in shown if any(a["tag"] == "00990010"
                                                 for a in line["actions"]))
    did = {a["tag"]: a["action"] for a in planted["actions"]}
    assert did["00104000"] == did["00990010"] == did["00991002"] == "removed"
    assert did["00289145.00100020"] == "pseudonym"
    assert os.stat(tmp_path / "audit").st_mode & 0o777 == 0o600


def test_objects_of_one_uid_are_all_written_and_copies_once(tmp_path):
    batch = deidrun.Batch(tmp_path, "basic")
    for name, cols in (("a", "one"), ("b", "two"), ("again", "one"), ("c", "three")):
        ds = deidrun.blank(1)
        ds.ImageType = ["ORIGINAL", "PRIMARY", cols.upper()]
        ds.PatientComments = name  # removed: what is shown of a and again is equal
        batch.add(name, ds)
    shown = batch.run()
    assert batch.code == 0 and "1 exact copies" in batch.stderr
    assert shown["a"].name == shown["again"].name and "+" not in shown["a"].name
    assert re.search(r"\+[a-z2-7]{4}\.dcm$", shown["b"].name)
    assert len({s.name for s in shown.values()}) == 3
    assert [shown[n].ds.ImageType[2] for n in "abc"] == ["ONE", "TWO", "THREE"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_is_a_clear_error_and_leaves_whole_files(tmp_path):
    source, small = tmp_path / "in", tmp_path / "small"
    source.mkdir()
    small.mkdir()
    synthetic.make(str(source), size=256)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
    try:
        p = deidrun.run("basic", source, small / "out", tmp_path)
        left = tree(small)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert p.returncode == 1
    assert p.stderr.decode().count("No space left on device") == 1, p.stderr
    assert left and all(n.endswith(".dcm") for n in left)
    whole = tmp_path / "whole"
    deidrun.run("basic", source, whole, tmp_path)
    whole = tree(whole)
    assert all(whole[n[len("out/"):]] == data for n, data in left.items())


def test_ctrl_c_leaves_no_half_file(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    synthetic.make(str(source), instances=8, size=512)
    deidrun.keyfile(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM):
        out = tmp_path / ("out%d" % number)
        p = subprocess.Popen([deidrun.VIVOFS, "deid", "-j", "2", "--key", str(tmp_path / "key"),
                              str(source), str(out)], stderr=subprocess.PIPE)
        end = time.monotonic() + 20
        while not out.exists() or not os.listdir(out):
            assert time.monotonic() < end
        p.send_signal(number)
        _, err = p.communicate(timeout=20)
        assert p.returncode in (0, 128 + number), err
        assert all(n.endswith(".dcm") for n in tree(out)), tree(out).keys()
