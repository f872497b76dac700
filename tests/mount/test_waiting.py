# SPDX-License-Identifier: Apache-2.0
"""An archive that is slow or gone: nothing else waits for it, what waits can be
interrupted, and failures have a reason (DESIGN C3, A7, D5)."""
import errno
import glob
import os
import resource
import signal
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

import synthetic
from archiveserver import ArchiveServer
from vivomount import Mount

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")


class Server:
    def __init__(self, *arguments):
        self.proc = subprocess.Popen(["/usr/bin/python3", SERVER, *arguments],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        self.url = self.proc.stdout.readline().strip()

    def set(self, **knobs):
        base = self.url.rsplit("/", 1)[0]
        query = urllib.parse.urlencode(knobs)
        urllib.request.urlopen(f"{base}/__set?{query}", timeout=10).read()

    def close(self):
        self.proc.kill()
        self.proc.wait()


@pytest.fixture
def server():
    s = Server("--make", "2,2,2,3")
    yield s
    s.close()


@pytest.fixture
def both(server, folder):
    """A remote archive whose listing is known, and a local one."""
    with Mount({"pacs": "dicomweb+" + server.url, "loc": folder}, "timeout=20",
               faults=True) as m:
        assert len(m.files("pacs")) == 24
        assert len(m.files("loc")) == 24
        yield m


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def hang(mount, server, n):
    """n processes whose opens hang; returns them once they are in flight."""
    server.set(stall=10)
    paths = [mount / f"pacs/{f}" for f in mount.files("pacs")[:n]]
    kids = [subprocess.Popen(["cat", p], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for p in paths]
    wait_for(lambda: mount.counters()["open"] >= n)
    wait_for(lambda: mount.archive("pacs")["in_flight"])
    return kids


def end(kids, how=signal.SIGKILL):
    for k in kids:
        k.send_signal(how)
    for k in kids:
        k.wait(15)


def test_what_is_known_answers_while_fetches_hang(both, server):
    kids = hang(both, server, 24)
    try:
        began = time.monotonic()
        for _ in range(20):
            for f in both.files("loc")[:3]:
                with open(both / f"loc/{f}", "rb") as data:
                    assert data.read(132)[128:] == b"DICM"
            assert len(both.files("pacs")) == 24
            both.status()
        assert all(k.poll() is None for k in kids)
        # Far below the time-out of what hangs: nothing here waited for it.
        assert time.monotonic() - began < 10
    finally:
        end(kids)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_what_waits_for_an_archive(both, server, how):
    kids = hang(both, server, 3)
    began = time.monotonic()
    end(kids, how)
    assert time.monotonic() - began < 5
    assert all(k.returncode == -how for k in kids)
    # Nobody waits any more: the flights are given up.
    wait_for(lambda: not both.archive("pacs")["in_flight"])
    server.set(stall=-1)
    path = both / ("pacs/" + both.files("pacs")[0])
    with open(path, "rb") as f:
        assert f.read(132)[128:] == b"DICM"


def test_ending_the_mount_ends_what_waits(both, server):
    kids = hang(both, server, 5)
    both.proc.send_signal(signal.SIGTERM)
    assert both.proc.wait(20) == 0
    for k in kids:
        assert k.wait(15) != 0


def test_a_failing_fetch_is_an_error_with_a_reason(both, server):
    server.set(fail=500, match="/instances/")
    path = both / ("pacs/" + both.files("pacs")[0])
    with pytest.raises(OSError) as e:
        with open(path, "rb") as f:
            f.read()
    assert e.value.errno in (errno.EIO, errno.ETIMEDOUT)
    assert "500" in both.archive("pacs")["last_error"]
    server.set(fail=0)
    with open(path, "rb") as f:
        assert f.read(132)[128:] == b"DICM"


def test_a_listing_that_fails_is_an_error_never_empty(server):
    server.set(fail=503, match="/series")
    with Mount({"pacs": "dicomweb+" + server.url}, "retries=0",
               faults=True) as m:
        study = glob.glob(m / "pacs/all/*/*")[0]
        for path in (study, m / "pacs/q/Modality=CT"):
            with pytest.raises(OSError) as e:
                os.listdir(path)
            assert e.value.errno == errno.EIO
        with open(m / "pacs/q/Modality=CT/.error") as f:
            assert "503" in f.read()
        server.set(fail=0)
        assert len(m.files("pacs/q/Modality=CT")) == 12
        assert not os.path.lexists(m / "pacs/q/Modality=CT/.error")


def test_exports_list_what_a_query_decided_without_it(server):
    with Mount({"pacs": "dicomweb+" + server.url}) as m:
        with open(m / "pacs/q/Modality=CT/.count") as f:
            assert f.read().split()[:8] == (
                "patients 2 studies 4 series 4 instances 12").split()
        with open(m / "pacs/q/Modality=CT/.paths.txt") as f:
            paths = f.read().split()
        assert sorted(paths) == ["pacs/" + f for f in m.files("pacs/q/Modality=CT")]
        assert len(paths) == 12


def test_sizes_become_exact_when_opened(server):
    with Mount({"pacs": "dicomweb+" + server.url}) as m:
        for f in m.files("pacs"):
            path = m / f"pacs/{f}"
            assert os.stat(path).st_size > 0
            with open(path, "rb") as data:
                size = len(data.read())
                assert os.fstat(data.fileno()).st_size == size
            assert os.stat(path).st_size == size


def test_size_exact_waits_for_the_truth(server):
    with Mount({"pacs": "dicomweb+" + server.url}, "size=exact") as m:
        for f in m.files("pacs")[:4]:
            path = m / f"pacs/{f}"
            size = os.stat(path).st_size
            with open(path, "rb") as data:
                assert len(data.read()) == size


def test_root_query_lists_archives_unasked(server, folder):
    with Mount({"pacs": "dicomweb+" + server.url, "loc": folder}) as m:
        server.set(stall=0)
        assert sorted(os.listdir(m / "q/Modality=CT")) == ["loc", "pacs"]
        assert len(m.files("q/Modality=CT/loc")) == 12


def test_one_object_is_fetched_once_for_many_readers(both, server):
    server.set(latency=300)
    path = both / ("pacs/" + both.files("pacs")[5])
    before = both.archive("pacs")["fetches"]
    kids = [subprocess.Popen(["md5sum", path], stdout=subprocess.PIPE)
            for _ in range(8)]
    sums = {k.communicate(timeout=20)[0] for k in kids}
    assert len(sums) == 1
    assert both.archive("pacs")["fetches"] == before + 1


def test_room_for_descriptors_is_there_before_it_is_needed(folder):
    """The kernel makes it slowly while there are threads, and all of them wait."""
    with Mount({"loc": folder}) as m:
        with open(f"/proc/{m.proc.pid}/status") as f:
            [size] = [int(line.split()[1]) for line in f if line.startswith("FDSize:")]
        assert size >= min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


SERIES = 12


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A series that comes file by file."""
    folder = str(tmp_path_factory.mktemp("web"))
    synthetic.make(folder, patients=1, studies=1, series=1, instances=SERIES)
    with ArchiveServer("http", folder) as s:
        yield s


@pytest.fixture
def in_turn(web):
    """All of it is fetched on one thread: in the order in which it is asked for."""
    web.reset()
    with Mount({"w": web.source}, "jobs=1", faults=True) as m:
        files = [m / ("w/" + f) for f in m.files("w")]
        assert len(files) == SERIES
        yield m, files
    web.reset()


def fetched(server):
    """Names of the files that were asked for whole."""
    asked = [os.path.basename(e["path"]) for e in server.log()
             if e["path"].endswith(".dcm") and e.get("range") == ""]
    return list(dict.fromkeys(asked))


def names_of(server, files):
    """Which file of the server each is."""
    folder = server.process.args[2]
    known = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            known[f.read()] = name
    out = []
    for path in files:
        with open(path, "rb") as f:
            out.append(known[f.read()])
    return out


def test_read_ahead_follows_what_is_read_and_never_goes_before_it(in_turn, web):
    m, files = in_turn
    names = names_of(web, files[:3])
    wait_for(lambda: len(fetched(web)) == SERIES)
    names += names_of(web, files[3:])
    assert fetched(web) == names


@pytest.mark.parametrize("which", [(0,), (3, 4), (0, 5), (11, 2)])
def test_one_or_two_files_are_fetched_alone(in_turn, web, which):
    m, files = in_turn
    names = [n for i in which for n in names_of(web, [files[i]])]
    wait_for(lambda: not m.archive("w")["in_flight"])
    assert fetched(web) == names


def test_who_waits_goes_before_what_is_fetched_in_the_background(in_turn, web):
    m, files = in_turn
    web(stall=10)
    with open(m / ".vivofs/pin", "w") as f:
        f.write(os.path.relpath(os.path.dirname(files[0]), m.path))
    wait_for(lambda: len(m.archive("w")["in_flight"]) == SERIES and fetched(web))
    opened = m.counters()["open"]
    reader = subprocess.Popen(["cat", files[-1]], stdout=subprocess.DEVNULL)
    wait_for(lambda: m.counters()["open"] > opened + 1)  # one is that of status.json
    web(stall=-1)
    assert reader.wait(30) == 0
    wait_for(lambda: len(fetched(web)) == SERIES)
    [last] = names_of(web, files[-1:])
    assert fetched(web).index(last) < SERIES / 2  # else the last of all


@pytest.mark.parametrize("verb", ["unpin", "forget"])
def test_what_is_let_go_on_its_way_is_not_pinned_when_it_comes(in_turn, web, verb):
    m, files = in_turn
    web(stall=10)
    series = os.path.relpath(os.path.dirname(files[0]), m.path)
    for word in ("pin", verb):
        with open(m / f".vivofs/{word}", "w") as f:
            f.write(series)
        wait_for(lambda: len(m.archive("w")["in_flight"]) == SERIES and fetched(web))
    web(stall=-1)
    wait_for(lambda: not m.archive("w")["in_flight"])
    assert m.files("w/q/FetchState=pinned") == []
    assert len(m.files("w/q/FetchState=cached")) == SERIES
