# SPDX-License-Identifier: Apache-2.0
"""NAME.dcm.audit.json beside an object: by name alone, tags and actions, never values,
and for the mounting user only."""
import json
import os
import re
import subprocess
import sys

import pydicom
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import canaries  # noqa: E402
import deidrun  # noqa: E402
from vivomount import Mount  # noqa: E402
from webserver import WebServer  # noqa: E402

GROUP = 61235
READER = ["setpriv", "--reuid=65531", "--regid=65531", "--groups=%d" % GROUP]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("in"))
    canaries.make(path)
    canaries.make_refused(path)
    return path


def audits(mount):
    for name in mount.files("loc"):
        path = os.path.join(mount / "loc", name)
        yield path, path + ".audit.json"


def test_it_is_what_the_command_tells(source, tmp_path):
    key = deidrun.keyfile(tmp_path)
    deidrun.run("research", source, tmp_path / "out", tmp_path, "--audit",
                str(tmp_path / "audit"), key=key)
    told = {}
    with open(tmp_path / "audit") as f:
        for line in map(json.loads, f):
            if "output" in line:
                told[os.path.basename(line["output"])] = line["actions"]
    with Mount({"loc": source}, "key=" + key, deid="research", faults=True) as m:
        seen = 0
        for path, audit in audits(m):
            assert os.path.basename(audit) not in os.listdir(os.path.dirname(path))
            try:
                with open(audit) as f:
                    text = f.read()
            except OSError as e:  # of a refused object, for the same reason
                with pytest.raises(type(e)):
                    open(path, "rb").close()
                continue
            assert os.stat(audit).st_size == len(text) and os.stat(audit).st_mode & 0o777 == 0o400
            assert not canaries.PATTERN.search(text.encode())
            assert json.loads(text)["actions"] == told[os.path.basename(path)]
            assert re.fullmatch("[0-9a-f]{16}", json.loads(text)["key"])
            seen += 1
        assert seen == len(canaries.CARRIERS)
        folder = os.path.dirname(path)
        for name in ("nosuch.dcm.audit.json", ".dcm.audit.json", "x.audit.json"):
            assert not os.path.exists(os.path.join(folder, name))


@pytest.mark.skipif(os.geteuid() != 0, reason="other accounts need root")
def test_readers_do_not_get_it(source, tmp_path):
    with Mount({"loc": source}, "readers=%d,key=%s" % (GROUP, deidrun.keyfile(tmp_path)),
               deid="basic", faults=True) as m:
        path, audit = next(p for p in audits(m) if os.path.exists(p[0]) and opens(p[0]))
        assert json.load(open(audit))["actions"]
        assert subprocess.run([*READER, "cat", path], capture_output=True).returncode == 0
        p = subprocess.run([*READER, "cat", audit], capture_output=True)
        assert p.returncode != 0 and p.stdout == b"" and b"denied" in p.stderr


def opens(path):
    try:
        open(path, "rb").close()
        return True
    except OSError:
        return False


def test_there_is_none_where_nothing_is_done(source):
    with Mount({"loc": source}, deid="none") as m:
        for path, audit in list(audits(m))[:3]:
            assert os.path.exists(path) and not os.path.exists(audit)


def test_of_a_remote_object_its_source_is_asked(tmp_path):
    with WebServer("--make", "1,1,1,2") as server:
        with Mount({"loc": server.source}, "key=" + deidrun.keyfile(tmp_path), deid="basic") as m:
            for path, audit in audits(m):
                with open(audit) as f:
                    did = {a["tag"]: a["action"] for a in json.load(f)["actions"]}
                assert did["00100010"] == "pseudonym" and did["00080050"] == "emptied"
                assert did["00081140.00081155"] == "uid"
                assert pydicom.dcmread(path).AccessionNumber == ""
