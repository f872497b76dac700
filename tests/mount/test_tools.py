# SPDX-License-Identifier: Apache-2.0
"""Every tool gets every byte (DESIGN A2): what each one copies is what the source has."""
import concurrent.futures
import hashlib
import mmap
import os
import random
import shutil
import subprocess
import zipfile

import pytest

import synthetic
from vivomount import Mount


def sha(data):
    return hashlib.sha256(data).hexdigest()


def below(folder):
    out = []
    for where, _, names in os.walk(folder):
        for n in names:
            with open(os.path.join(where, n), "rb") as f:
                out.append(sha(f.read()))
    return sorted(out)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Objects of odd and even, small and large sizes."""
    path = tmp_path_factory.mktemp("objects")
    synthetic.make(str(path), size=64)
    ds = synthetic.instance("big", 9, 0, 0, 0)
    block = ds.private_block(0x99, "BIG", create=True)
    block.add_new(1, "OB", random.Random(11).randbytes(5_000_000))
    ds.save_as(str(path / "big.dcm"), write_like_original=False)
    return str(path)


@pytest.fixture(scope="module")
def tools(objects):
    with Mount({"loc": objects}) as m:
        yield m


@pytest.fixture
def all_(tools):
    return tools / "loc/all"


def run(*argv, **kw):
    return subprocess.run(argv, check=True, capture_output=True, **kw)


@pytest.mark.parametrize("argv", [
    ["cp", "-r"], ["cp", "-r", "--sparse=always"], ["rsync", "-a"],
])
def test_copies_are_whole(objects, all_, tmp_path, argv):
    run(*argv, all_, str(tmp_path))
    assert below(tmp_path) == below(objects)


@pytest.mark.parametrize("flags", ["-cf", "-Scf"])
def test_tar_is_whole(objects, all_, tmp_path, flags):
    run("tar", "-C", all_, flags, str(tmp_path / "a.tar"), ".")
    (tmp_path / "out").mkdir()
    run("tar", "-C", str(tmp_path / "out"), "-xf", str(tmp_path / "a.tar"))
    assert below(tmp_path / "out") == below(objects)


def test_tar_is_reproducible(all_, tmp_path):
    for name in ("a", "b"):
        run("tar", "-C", all_, "-cf", str(tmp_path / name), ".")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_second_rsync_sends_nothing(all_, tmp_path):
    run("rsync", "-a", all_, str(tmp_path))
    again = run("rsync", "-ai", all_, str(tmp_path), text=True).stdout
    assert not [line for line in again.splitlines() if line.startswith(">f")]


def test_zip_is_whole(objects, all_, tmp_path):
    run("zip", "-q", "-r", str(tmp_path / "a.zip"), ".", cwd=all_)
    with zipfile.ZipFile(tmp_path / "a.zip") as z:
        assert sorted(sha(z.read(n)) for n in z.namelist() if n.endswith(".dcm")) == \
            below(objects)


def test_python_shutil_and_mmap_are_whole(objects, tools, tmp_path):
    copied, mapped = [], []
    for f in tools.files():
        shutil.copyfile(tools / f, tmp_path / "x")
        copied.append(sha((tmp_path / "x").read_bytes()))
        with open(tools / f, "rb") as data:
            with mmap.mmap(data.fileno(), 0, prot=mmap.PROT_READ) as m:
                mapped.append(sha(m[:]))
    assert sorted(copied) == sorted(mapped) == below(objects)


def test_random_preads_agree_from_eight_threads(tools):
    files = tools.files()
    whole = {}
    for f in files:
        with open(tools / f, "rb") as data:
            whole[f] = data.read()

    def work(seed):
        rnd = random.Random(seed)
        for _ in range(100):
            f = rnd.choice(files)
            off = rnd.randrange(len(whole[f]) + 3)
            size = rnd.choice([1, 7, 512, 4096, 65537, 1 << 20])
            fd = os.open(tools / f, os.O_RDONLY)
            try:
                assert os.pread(fd, size, off) == whole[f][off:off + size]
            finally:
                os.close(fd)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_a_directory_can_be_sought_and_reread(tmp_path):
    synthetic.make(str(tmp_path), patients=1, studies=1, series=1, instances=1500,
                   size=1)
    with Mount({"loc": str(tmp_path)}) as m:
        series = os.path.dirname(m / m.files()[0])
        fd = os.open(series, os.O_RDONLY)
        try:
            names = os.listdir(fd)
            assert len(names) == len(set(names)) == 1500
            assert names == sorted(names)
            os.lseek(fd, 0, os.SEEK_SET)
            assert os.listdir(fd) == names
        finally:
            os.close(fd)
