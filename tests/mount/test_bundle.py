# SPDX-License-Identifier: Apache-2.0
"""A series of an archive that gives it in one request: read in order it is one request,
read here and there it is none, and it is whole whatever happens to it (DESIGN C4)."""
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import orthanc
import synthetic
from archiveserver import ArchiveServer
from vivomount import Mount

N = 16
SINGLE = {"nbia": "/getSingleImage$", "dicomweb": "/instances/[0-9.]+$",
          "xnat": "/resources/[^/]+/files/.",
          "girder": "/file/[0-9a-f]+/download$", "midas": "/download/\\?bitstream="}
BUNDLE = {"nbia": "/getImage$", "dicomweb": "/series/[0-9.]+$",
          "xnat": "/resources/[^/]+/files$",
          "girder": "/item/[0-9a-f]+/download$", "midas": "/download/\\?items="}
STALL = {"nbia": "zip_stall", "dicomweb": "part_stall", "xnat": "zip_stall",
         "girder": "zip_stall", "midas": "zip_stall"}


def read(path):
    with open(path, "rb") as f:
        return f.read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("series"))
    synthetic.make(path, patients=1, studies=1, series=2, instances=N, size=64)
    return path


@pytest.fixture(scope="module")
def originals(folder):
    return sorted(read(os.path.join(folder, n)) for n in os.listdir(folder))


@pytest.fixture(scope="module")
def servers(folder):
    found = {kind: ArchiveServer(kind, folder) for kind in SINGLE}
    yield found
    for s in found.values():
        s.close()


@pytest.fixture(params=list(SINGLE))
def any_server(servers, request):
    s = servers[request.param]
    s.reset()
    yield s
    s.reset()


@pytest.fixture(params=["nbia", "dicomweb"])
def server(servers, request):
    s = servers[request.param]
    s.reset()
    yield s
    s.reset()


def asked(server, pattern):
    query = server.kind == "midas"
    return sum(bool(re.search(pattern[server.kind], e["path"] + ("?" + e["query"]) * query))
               for e in server.log())


def singles(server):
    return asked(server, SINGLE) - getattr(server, "headers", 0)


def bundles(server):
    return asked(server, BUNDLE)


def listed(server, m):
    """series_of(), which of some archives asks for the beginning of each file."""
    found = series_of(m)
    server.headers = asked(server, SINGLE)
    return found


def series_of(m):
    """The files of each series, in order."""
    found = {}
    for f in m.files("a"):
        found.setdefault(os.path.dirname(f), []).append(m / "a/" + f)
    return list(found.values())


def test_a_series_read_in_order_is_one_request(any_server, originals):
    server = any_server
    with Mount({"a": server.source}) as m:
        first, second = listed(server, m)
        got = [read(f) for f in first]
        assert bundles(server) == 1
        assert singles(server) == 2
        got += [read(f) for f in second]
        assert bundles(server) == 2
        assert sorted(got) == originals
        requests = len(server.log())
        assert sorted(read(f) for f in first + second) == originals
        assert len(server.log()) == requests


def test_all_of_a_bundle_is_kept(server):
    with Mount({"a": server.source}, "xattr") as m:
        first, second = series_of(m)
        for f in first[:4]:
            read(f)
        states = {os.getxattr(f, "user.vivofs.state") for f in first}
        for f in first[4:]:
            read(f)
        assert bundles(server) == 1 and singles(server) == 2
        assert b"cached" in states
        assert {os.getxattr(f, "user.vivofs.state") for f in first} == {b"cached"}
        assert {os.getxattr(f, "user.vivofs.state") for f in second} == {b"remote"}


def test_objects_read_here_and_there_come_alone(server, originals):
    with Mount({"a": server.source}) as m:
        first, second = series_of(m)
        for k in (0, 12, 3, 15):
            assert read(first[k]) in originals
        read(second[7])
        assert bundles(server) == 0
        assert singles(server) == 5


def test_objects_too_large_for_memory_come_whole(tmp_path):
    synthetic.make(str(tmp_path), patients=1, studies=1, series=1, instances=7, size=800)
    with ArchiveServer("dicomweb", str(tmp_path)) as server, \
            Mount({"a": server.source}) as m:
        got = [read(f) for f in series_of(m)[0]]
        assert bundles(server) == 1 and singles(server) == 2
    assert all(len(data) > 1 << 20 for data in got)
    assert sorted(got) == sorted(read(tmp_path / n) for n in os.listdir(tmp_path))


def test_parallel_readers_share_one_bundle(any_server, originals):
    server = any_server
    with Mount({"a": server.source}) as m:
        first = listed(server, m)[0]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(read, first))
        assert bundles(server) == 1
        assert singles(server) <= 2
        assert set(got) <= set(originals) and len(set(got)) == N


def test_two_series_read_at_once_are_two_bundles(server, originals):
    with Mount({"a": server.source}) as m:
        first, second = series_of(m)
        with ThreadPoolExecutor(2) as pool:
            both = pool.map(lambda files: [read(f) for f in files], (first, second))
        assert sorted(sum(both, [])) == originals
        assert bundles(server) == 2
        assert singles(server) == 4


def test_readers_get_what_has_come_before_the_rest_has(any_server, originals):
    """The server says nothing more after the eighth object of the bundle: those who wait
    for one of the eight have it all the same; the others, when it ends, one by one."""
    server = any_server
    with Mount({"a": server.source}) as m:
        first = listed(server, m)[0]
        server(**{STALL[server.kind]: 8})
        done = []
        with ThreadPoolExecutor(N) as pool:
            waiting = [pool.submit(lambda f: done.append(read(f)), f) for f in first]
            until = time.monotonic() + 20
            while len(done) <= singles(server) and time.monotonic() < until:
                time.sleep(0.02)
            early, alone = len(done), singles(server)  # some come before the bundle does
            server(**{STALL[server.kind]: 0})
            for w in waiting:
                w.result()
        assert alone < early <= alone + 8 < N
        assert set(done) <= set(originals) and len(set(done)) == N
        assert bundles(server) == 1


def test_readers_of_a_bundle_that_falls_silent_are_served_alone(servers, originals):
    server = servers["dicomweb"]
    server.reset()
    with Mount({"a": server.source}, "timeout=2") as m:
        first = series_of(m)[0]
        server(part_stall=3)
        with ThreadPoolExecutor(N) as pool:
            got = list(pool.map(read, first))
        assert set(got) <= set(originals) and len(set(got)) == N
        assert bundles(server) == 1
    server.reset()


# More of these in tests/drivers/test_*_bundle.c.
NBIA = [({"zip_short": 3}, N - 3, N - 3), ({"cut": 5000}, 5, 9)]
DICOMWEB = [({"series_short": 3}, N - 3, N - 3), ({"cut": 20000, "close": 1}, 3, 9),
            ({"series_words": 2, "series_twice": 3, "series_foreign": 2}, N, N),
            ({"fail": 503, "fail_times": 1, "retry_after": 1}, N, N)]
XNAT = [({"zip_short": 3}, N - 3, N - 3), ({"zip_cut": 100}, N - 1, N - 1),
        ({"no_zip": 404}, 0, 0), ({"zip_folder": "FILES"}, 0, 0)]
SHELF = [({"zip_short": 3}, N - 3, N - 3), ({"zip_cut": 1}, N - 1, N - 1),
         ({"no_zip": 404}, 0, 0)]


@pytest.mark.parametrize("kind, knobs, least, most",
                         [("nbia", *c) for c in NBIA] +
                         [("dicomweb", *c) for c in DICOMWEB] +
                         [("xnat", *c) for c in XNAT] +
                         [(kind, *c) for kind in ("girder", "midas") for c in SHELF])
def test_of_a_bundle_that_fails_only_whole_objects_are_kept(servers, originals, kind,
                                                           knobs, least, most):
    server = servers[kind]
    server.reset()
    with Mount({"a": server.source}) as m:
        first = listed(server, m)[0]
        server(match=BUNDLE[kind].partition("\\?")[0], **knobs)
        got = [read(f) for f in first]
        assert set(got) <= set(originals) and len(set(got)) == N
        # Two came alone before, which the bundle may have brought, too.
        assert N - most <= singles(server) <= min(N - least + 2, N)
        assert 1 <= bundles(server) <= 4  # net tries again
    server.reset()


def test_a_bundle_is_de_identified_and_never_kept_raw(server, originals):
    with Mount({"a": server.source}, deid="basic") as m:
        first = series_of(m)[0]
        got = [read(f) for f in first]
        assert bundles(server) == 1
        assert len(set(got)) == N
        kept = [read(os.path.join(d, n)) for d, _, names in os.walk(m.home)
                for n in names]
        for secret in (b"PAT0000", b"ACC0000", b"Doe^Jane"):
            assert any(secret in o for o in originals)
            assert not any(secret in data for data in got + kept)


def test_a_server_without_series_is_asked_for_one_once(servers, originals):
    server = servers["dicomweb"]
    server.reset()
    server(no_series=406)
    with Mount({"a": server.source}) as m:
        assert sorted(read(f) for s in series_of(m) for f in s) == originals
        assert bundles(server) == 1
        assert singles(server) == 2 * N
    server.reset()


@pytest.mark.parametrize("extra, single, bundle", [(1, 0, 0), (0, 2, 1)])
def test_index_of_media_costs_a_request_for_each_series(servers, extra, single, bundle):
    """The transfer syntax of an object, which a DICOMDIR has to name, is in what some
    servers say of a series; else its objects have to come, in one request."""
    server = servers["dicomweb"]
    server.reset()
    server(metadata_extra=extra)
    with Mount({"a": server.source}) as m:
        study = os.path.dirname(os.path.dirname(series_of(m)[0][0]))
        assert read(study + "/.media/DICOMDIR")[128:132] == b"DICM"
        log = [e["path"] for e in server.log()]
        assert sum(p.endswith("/metadata") for p in log) == 2
        assert singles(server) <= 2 * single
        assert bundles(server) == 2 * bundle
    server.reset()


@pytest.mark.skipif(orthanc.available() is not None, reason="needs Orthanc")
def test_orthanc_gives_a_series_as_its_files_are(folder, originals):
    with orthanc.Orthanc() as server:
        server.upload_folder(folder)
        with Mount({"a": "dicomweb+" + server.dicomweb}) as m:
            assert sorted(read(f) for s in series_of(m) for f in s) == originals
            assert m.archive("a")["requests"] < N
