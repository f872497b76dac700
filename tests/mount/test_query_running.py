# SPDX-License-Identifier: Apache-2.0
"""A query while it runs over a slow archive: its progress, what Ctrl-C ends, what
.explain tells before and after, and what failures leave of other archives' answers."""
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from vivomount import BINARY, Mount, environment

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")
# Decided by headers only: each of the 64 series costs a request.
QUERY = "pacs/q/SliceThickness<1"


class Server:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, SERVER, "--make", "4,2,8,1"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = self.process.stdout.readline().strip()
        self.source = "dicomweb+" + self.url

    def get(self, path):
        with urllib.request.urlopen(self.url.rsplit("/", 1)[0] + path, timeout=30) as r:
            return r.read()

    def asked(self):
        """Requests for headers so far."""
        return sum("/metadata" in e["path"] for e in json.loads(self.get("/__log")))


@pytest.fixture(scope="module")
def process():
    s = Server()
    yield s
    s.process.stdin.close()
    s.process.wait(30)


@pytest.fixture
def server(process):
    process.get("/__reset")
    yield process
    process.get("/__reset")


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def settled(server):
    """Requests, once there are no more: the server counts one that was given up when it
    gets round to it, and a round takes it 0.4 s."""
    before = -1
    while before != server.asked():
        before = server.asked()
        time.sleep(0.9)
    return before


def text(path):
    with open(path) as f:
        return f.read()


def queries(m):
    return [f for f in m.archive("pacs")["in_flight"] if f["kind"] == "query"]


def running(m, server, path=QUERY):
    """An `ls` that waits for a query of which something is done and most is not."""
    server.get("/__set?latency=400&match=/metadata")
    kid = subprocess.Popen(["ls", m / path], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    wait_for(lambda: any(f["things"] > 0 for f in queries(m)))
    return kid


def test_interrupting_a_query_ends_its_flights_and_requests(server):
    with Mount({"pacs": server.source}) as m:
        assert len(m.files("pacs")) == 64
        kid = running(m, server)
        kid.send_signal(signal.SIGINT)
        assert kid.wait(10) == -signal.SIGINT
        wait_for(lambda: not m.archive("pacs")["in_flight"])
        assert 0 < settled(server) < 64
        server.get("/__reset")
        assert not os.path.lexists(m / f"{QUERY}/.error")  # nobody failed
        assert m.files(QUERY) == []


def test_one_of_two_who_wait_may_leave(server):
    with Mount({"pacs": server.source}) as m:
        assert len(m.files("pacs")) == 64
        first = running(m, server)
        second = subprocess.Popen(["cat", m / f"{QUERY}/.query", m / f"{QUERY}/.count"],
                                  stdout=subprocess.PIPE, text=True)
        first.send_signal(signal.SIGINT)
        first.wait(10)
        server.get("/__reset")
        assert "instances 0" in second.communicate(timeout=30)[0]


def test_progress_is_told_while_a_query_learns(server):
    with Mount({"pacs": server.source}) as m:
        assert len(m.files("pacs")) == 64
        kid = running(m, server)
        flight = queries(m)[0]
        assert 0 < flight["things"] < flight["of"] == 64 and flight["ms"] > 0
        assert kid.poll() is None
        server.get("/__set?latency=0")
        assert kid.wait(30) == 0
        assert queries(m) == []


def test_explain_estimates_before_and_tells_after(server, folder):
    with Mount({"pacs": server.source, "loc": folder}) as m:
        assert len(m.files("pacs")) == 64
        before = server.asked()
        told = text(m / f"{QUERY}/.explain")
        assert re.search(r"estimated requests: at least 64, bytes: about \d{3,}", told)
        assert "when last asked" not in told
        assert server.asked() == before
        everywhere = text(m / "q/SliceThickness<1/.explain")
        assert re.search(r"^in pacs:\n  SliceThickness: headers", everywhere, re.M)
        assert "in loc:\n" in everywhere
        assert "all archives: estimated requests: at least 64, bytes: " in everywhere
        os.listdir(m / QUERY)
        asked = server.asked() - before
        told = text(m / f"{QUERY}/.explain")
        assert "estimated requests: 0" in told
        actual = re.search(r"when last asked: (\d+) requests, (\d+) bytes", told)
        assert int(actual[1]) == asked == 64
        assert int(actual[2]) > 0
        everywhere = text(m / "q/SliceThickness<1/.explain")
        assert "all archives: estimated requests: 0\n" in everywhere
        assert f"all archives: when last asked: 64 requests, {actual[2]} bytes" in everywhere


def test_interrupting_the_command_ends_it(server, tmp_path):
    server.get("/__set?latency=400&match=/metadata")
    kid = subprocess.Popen(
        [BINARY, "query", "-o", "deid=none", "SliceThickness<1", server.source],
        env=environment(str(tmp_path)), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    wait_for(lambda: server.asked() > 0)
    kid.send_signal(signal.SIGINT)
    kid.communicate(timeout=15)
    assert kid.returncode != 0
    assert settled(server) < 64


def test_a_failure_half_way_is_no_answer_and_others_still_answer(server, folder):
    with Mount({"pacs": server.source, "loc": folder}, "retries=0", faults=True) as m:
        assert len(m.files("pacs")) == 64
        # Nine series tell what they have, then the server breaks.
        kid = running(m, server)
        server.get("/__set?fail=500&match=/metadata")
        kid.wait(30)
        assert kid.returncode != 0
        everywhere = m / "q/SliceThickness<1"
        assert sorted(os.listdir(everywhere)) == ["loc", "pacs"]
        os.listdir(everywhere + "/loc")
        with pytest.raises(OSError) as e:
            os.listdir(everywhere + "/pacs")
        assert e.value.errno == errno.EIO
        assert re.match(r"pacs: \S+:\d+: .*500", text(everywhere + "/pacs/.error"))
        with pytest.raises(OSError) as e:
            text(everywhere + "/.count")
        assert e.value.errno == errno.EIO
        assert re.match(r"\.count: pacs: .*500", text(everywhere + "/.error"))
        assert "instances" in text(everywhere + "/loc/.count")
        server.get("/__reset")
        os.listdir(everywhere + "/pacs")
        assert not os.path.lexists(everywhere + "/pacs/.error")
        assert "instances" in text(everywhere + "/.count")
        assert not os.path.lexists(everywhere + "/.error")
