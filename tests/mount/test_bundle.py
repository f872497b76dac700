# SPDX-License-Identifier: Apache-2.0
"""A series of an archive that gives it in one request: read in order it is one request,
read here and there it is none, and it is whole whatever happens to it (DESIGN C4)."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import synthetic
from test_nbia import Server, originals, read
from vivomount import Mount

N = 16


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("series"))
    synthetic.make(folder, patients=1, studies=1, series=2, instances=N, size=64)
    server = Server(folder)
    yield server, folder
    server.close()


@pytest.fixture
def server(shared):
    shared[0].get("/__reset")
    yield shared
    shared[0].get("/__reset")


def count(server, call):
    return [name for name, _ in server.calls()].count(call)


def series_of(m):
    """The files of each series, in order."""
    found = {}
    for f in m.files("tcia"):
        found.setdefault(os.path.dirname(f), []).append(m / "tcia/" + f)
    return list(found.values())


def test_a_series_read_in_order_is_one_request(server):
    s, folder = server
    with Mount({"tcia": s.source}) as m:
        first, second = series_of(m)
        got = [read(f) for f in first]
        assert count(s, "getImage") == 1
        assert count(s, "getSingleImage") == 2
        got += [read(f) for f in second]
        assert count(s, "getImage") == 2
        assert sorted(got) == originals(folder)
        requests = len(s.calls())
        assert sorted(read(f) for f in first + second) == originals(folder)
        assert len(s.calls()) == requests


def test_all_of_a_bundle_is_kept(server):
    s, _ = server
    with Mount({"tcia": s.source}, "xattr") as m:
        first, second = series_of(m)
        for f in first[:4]:
            read(f)
        states = {os.getxattr(f, "user.vivofs.state") for f in first}
        for f in first[4:]:
            read(f)
        assert count(s, "getImage") == 1 and count(s, "getSingleImage") == 2
        assert b"cached" in states
        assert {os.getxattr(f, "user.vivofs.state") for f in first} == {b"cached"}
        assert {os.getxattr(f, "user.vivofs.state") for f in second} == {b"remote"}


def test_objects_read_here_and_there_come_alone(server):
    s, folder = server
    with Mount({"tcia": s.source}) as m:
        first, second = series_of(m)
        for k in (0, 12, 3, 15):
            assert read(first[k]) in originals(folder)
        read(second[7])
        assert count(s, "getImage") == 0
        assert count(s, "getSingleImage") == 5


def test_parallel_readers_share_one_bundle(server):
    s, folder = server
    with Mount({"tcia": s.source}) as m:
        first = series_of(m)[0]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(read, first))
        assert count(s, "getImage") == 1
        assert count(s, "getSingleImage") <= 2
        assert set(got) <= set(originals(folder)) and len(set(got)) == N


def test_readers_get_what_has_come_before_the_rest_has(server):
    """The server says nothing more after the third image of the zip: those who wait for
    one of the three have it all the same; the others, when it ends, one by one."""
    s, folder = server
    with Mount({"tcia": s.source}) as m:
        first = series_of(m)[0]
        s(zip_stall=3)
        done = []
        with ThreadPoolExecutor(N) as pool:
            waiting = [pool.submit(lambda f: done.append(read(f)), f) for f in first]
            alone = 2  # before the third open
            until = time.monotonic() + 20
            while len(done) < 3 and time.monotonic() < until:
                time.sleep(0.02)
            early, asked = len(done), count(s, "getSingleImage")
            s(zip_stall=0)
            for w in waiting:
                w.result()
        assert asked <= alone < 3 <= early <= alone + 3
        assert set(done) <= set(originals(folder)) and len(set(done)) == N
        assert count(s, "getImage") == 1


@pytest.mark.parametrize("knobs, least, most", [
    ({"zip_short": 3}, N - 3, N - 3), ({"zip_cut": 100}, N - 1, N - 1),
    ({"zip_break": 1}, 5, 9), ({"match": "getImage", "cut": 5000}, 5, 9),
    ({"zip_html": 1}, 0, 0), ({"match": "getImage", "fail": 500}, 0, 0),
])
def test_of_a_bundle_that_fails_only_whole_images_are_kept(server, knobs, least, most):
    s, folder = server
    with Mount({"tcia": s.source}) as m:
        first = series_of(m)[0]
        s(**knobs)
        got = [read(f) for f in first]
        assert set(got) <= set(originals(folder)) and len(set(got)) == N
        # Two came alone before, which the bundle may have brought, too.
        assert N - most <= count(s, "getSingleImage") <= min(N - least + 2, N)
        assert 1 <= count(s, "getImage") <= 4  # net tries again


def test_a_bundle_is_de_identified_and_never_kept_raw(server):
    s, folder = server
    with Mount({"tcia": s.source}, deid="basic") as m:
        first = series_of(m)[0]
        got = [read(f) for f in first]
        assert count(s, "getImage") == 1
        assert len(set(got)) == N
        kept = [read(os.path.join(d, n)) for d, _, names in os.walk(m.home)
                for n in names]
        for secret in (b"PAT0000", b"ACC0000", b"Doe^Jane"):
            assert any(secret in o for o in originals(folder))
            assert not any(secret in data for data in got + kept)
