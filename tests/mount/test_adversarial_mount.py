# SPDX-License-Identifier: Apache-2.0
"""Adversarial cases 80 to 90: the mount itself, its keys, caches and queries."""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading

import pydicom
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import canaries  # noqa: E402
import deidrun  # noqa: E402
from rawdicom import el, raw  # noqa: E402
from vivomount import BINARY, LIMIT, Mount, environment  # noqa: E402


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return deidrun.keyfile(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("ZQ911K source"))
    canaries.make(path)
    canaries.make_refused(path)
    return path


@pytest.fixture(scope="module")
def mount(source, key, tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))
    with Mount({"loc": source}, "xattr,sidecars,key=" + key, deid="basic", home=home,
               faults=True) as m:
        yield m


def whole(path):
    with open(path, "rb") as f:
        return f.read()


def objects(mount):
    return [os.path.join(mount / "loc", n) for n in mount.files("loc")]


def opens(path):
    try:
        whole(path)
        return True
    except PermissionError:
        return False


def test_case_80_every_read_is_a_slice_of_the_whole(mount):
    rng = random.Random(80)
    for path in [p for p in objects(mount) if opens(p)][:4]:
        data, wrong = whole(path), []
        assert os.stat(path).st_size == len(data)
        plan = [(rng.randrange(len(data) + 10), rng.choice((1, 7, 512, 4096, 70000)))
                for _ in range(250)]

        def read(part):
            fd = os.open(path, os.O_RDONLY)
            wrong.extend(p for p in part if os.pread(fd, p[1], p[0]) != data[p[0]:p[0] + p[1]])
            os.close(fd)
        threads = [threading.Thread(target=read, args=(plan[n::4],)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert wrong == []


def test_case_81_a_source_that_changes_is_an_error_and_never_a_mix(tmp_path, key):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.dcm"
    cells = [el(0x00280010, "US", b"\0\2"), el(0x00280011, "US", b"\0\2"),
             el(0x00280100, "US", b"\x08\0")]
    path.write_bytes(raw(*cells, el(0x7FE00010, "OB", b"A" * 262144), number=81))
    with Mount({"loc": str(tmp_path / "in")}, "key=" + key, deid="basic", faults=True) as m:
        (name,) = objects(m)
        fd = os.open(name, os.O_RDONLY)
        assert os.pread(fd, 4, 0) == b"\0" * 4
        with open(path, "r+b") as f:  # in place, another length of header
            f.write(raw(*cells, el(0x00204000, "LT", "ZQ81" * 9),
                        el(0x7FE00010, "OB", b"B" * 262144), number=81))
        try:
            tail = os.pread(fd, 131072, 200000)
            assert set(tail) <= {ord("A")}, "a new version under an old header"
        except OSError as e:
            assert e.errno in (5, 116)
        os.close(fd)


def test_case_82_names_of_sources_show_nowhere(mount, source):
    seen = []
    for folder, dirs, names in os.walk(mount / "loc"):
        for n in dirs + names:
            path = os.path.join(folder, n)
            seen += [n] + os.listxattr(path, follow_symlinks=False)
            seen += [os.getxattr(path, a).decode("latin1")
                     for a in os.listxattr(path) if os.access(path, os.R_OK)]
    for path in ("/proc/mounts", "/proc/self/mountinfo"):
        seen += [line for line in whole(path).decode().splitlines() if mount.path in line]
    for name in ("log", "status.json", "audit.log"):
        seen.append(whole(mount / (".vivofs/" + name)).decode())
    text = "\n".join(seen).encode()
    assert not re.search(canaries.PATTERN, text.replace(source.encode(), b"")), text
    assert b"ZQ909K" not in text and b"ZQ906K" not in text


def test_case_83_times_are_not_those_of_the_study(mount):
    for path in objects(mount):
        st = os.stat(path)
        for when in (st.st_mtime, st.st_ctime, st.st_atime):
            assert not 50000000 <= when <= 52000000  # August 1971
        assert st.st_mtime == 946684800  # 2000-01-01: no date is shown


def matches(mount, query):
    where = mount / ("loc/q/" + query)
    names = os.listdir(where)
    return ".error" if ".error" in names else [n for n in names
                                               if os.path.isdir(os.path.join(where, n))]


def test_case_84_queries_see_pseudonyms_alone(mount):
    for query in ("PatientName=ZQ1*", "PatientID=ZQ100001K", "StudyInstanceUID=" +
                  canaries.UID_ROOT + "0.1"):
        assert matches(mount, query) == []
    for query in ("PatientBirthDate=1971", "has PatientBirthDate", "InstitutionName=ZQ*"):
        assert matches(mount, query) == ".error"
    shown = pydicom.dcmread(next(p for p in objects(mount) if opens(p))).PatientName
    assert len(matches(mount, "PatientName=%s" % shown)) == 1


def test_case_85_a_killed_mount_leaves_no_value_on_disk(source, key, tmp_path):
    m = Mount({"loc": source}, "key=" + key, deid="basic", home=str(tmp_path), faults=True)
    for path in objects(m):
        opens(path)
    os.killpg(m.proc.pid, signal.SIGKILL)
    m.proc.wait()
    subprocess.run(["fusermount3", "-uz", m.path], check=True)
    os.rmdir(m.path)
    kept = 0
    for folder, dirs, names in os.walk(tmp_path):
        for n in names:
            data = whole(os.path.join(folder, n)).replace(source.encode(), b"")
            assert not canaries.PATTERN.search(data), (folder, n)
            kept += 1
    assert kept > 2


def test_case_86_a_crash_prints_and_dumps_nothing(source, key, tmp_path):
    limits = "ulimit -c unlimited; exec \"$@\""
    env = environment(str(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    p = subprocess.Popen(["bash", "-c", limits, "-", BINARY, "mount", "-f", "-o",
                          "deid=basic,key=" + key, "loc=" + source, str(out)],
                         cwd=tmp_path, env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    for _ in range(LIMIT * 100):
        if os.path.ismount(out):
            break
        threading.Event().wait(0.01)
    os.listdir(out / "loc")
    p.send_signal(signal.SIGSEGV)
    text, _ = p.communicate(timeout=LIMIT)
    subprocess.run(["fusermount3", "-uz", str(out)], check=True)
    assert p.returncode == -signal.SIGSEGV and not canaries.PATTERN.search(
        text.replace(source.encode(), b""))
    assert [n for n in os.listdir(tmp_path) if n.startswith("core")] == []


def tree(folder):
    return {os.path.relpath(os.path.join(d, n), folder): whole(os.path.join(d, n))
            for d, _, names in os.walk(folder) for n in names}


def test_case_87_one_key_gives_one_result_and_another_nothing_in_common(source, key, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(source, copy)
    other = deidrun.keyfile(tmp_path, b"another key of more than thirty-two bytes")
    results = []
    for n, (where, k) in enumerate(((source, key), (str(copy), key), (source, other))):
        deidrun.run("basic", where, tmp_path / str(n), tmp_path, key=k)
        results.append(tree(tmp_path / str(n)))
    assert results[0] == results[1] and len(results[0]) == len(canaries.CARRIERS)
    assert not set("/".join(results[0]).split("/")) & set("/".join(results[2]).split("/"))
    made = re.compile(rb"2\.25\.\d{30,}")
    vendor = b"2.25.175617557357178366865518747997602145369"  # our own class
    one, two = ({u for data in t.values() for u in made.findall(data)} - {vendor}
                for t in (results[0], results[2]))
    assert one and two and not one & two


def test_case_88_bad_keys_refuse_the_mount(tmp_path, source):
    kinds = {"short": (b"x" * 31, 0o600), "open": (b"x" * 64, 0o644), "empty": (b"", 0o600),
             "missing": None}
    for kind, how in kinds.items():
        path = tmp_path / kind
        if how:
            path.write_bytes(how[0])
            path.chmod(how[1])
        (tmp_path / ("m" + kind)).mkdir()
        p = subprocess.run([BINARY, "mount", "-o", "deid=basic,key=%s" % path, "loc=" + source,
                            str(tmp_path / ("m" + kind))], capture_output=True, timeout=LIMIT,
                           env=environment(str(tmp_path)))
        assert p.returncode != 0 and str(path).encode() in p.stderr, kind
        assert not os.path.ismount(tmp_path / ("m" + kind))
        assert b"xxx" not in p.stderr and p.stderr.count(b"\n") == 1


SCRIPT = """<script>
<e en="T" t="00100010" n="PatientName">@keep()</e>
<e en="T" t="00104000" n="PatientComments">@keep()</e>
%s<r en="T" t="curves">Remove curves</r>
</script>
"""


def test_case_89_a_script_takes_nothing_away_from_the_profile(tmp_path):
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(SCRIPT % "")
    bad.write_text(SCRIPT % '<e en="T" t="00100020" n="PatientID">@nosuch(this)</e>\n')
    (tmp_path / "in.dcm").write_bytes(raw(
        el(0x00100010, "PN", "ZQ89^X"), el(0x00104000, "LT", "ZQ89"),
        el(0x50003000, "OW", "ZQ89CURV"), el(0x60004000, "LT", "ZQ89OVER")))
    p = deidrun.run("ctp:%s" % good, tmp_path / "in.dcm", tmp_path / "out.dcm", tmp_path)
    assert p.returncode == 0, p.stderr
    assert b"ZQ89" not in whole(tmp_path / "out.dcm")
    for profile in ("ctp:%s", "ctp:%s+alone"):
        p = deidrun.run(profile % bad, tmp_path / "in.dcm", tmp_path / "no.dcm", tmp_path)
        assert p.returncode == 1 and b"bad.xml:4:" in p.stderr, p.stderr
        assert not (tmp_path / "no.dcm").exists()


def test_case_90_what_ends_badly_was_clean_until_there(tmp_path, key):
    """The header pass reads to the end before a byte is served: bad tails give nothing."""
    pixels = el(0x7FE00010, "OB", b"\0" * (8 << 20))[1]
    tails = {"junk": b"\xff" * 64, "name": el(0x7FE10010, "LO", "ZQ90", length=0xFFF0)[1],
             "cut": el(0x7FE10010, "LO", "ZQ90^JANE")[1][:-3]}
    (tmp_path / "in").mkdir()
    for n, tail in enumerate(tails.values()):
        (tmp_path / "in" / ("%d.dcm" % n)).write_bytes(raw(
            el(0x00280010, "US", b"\0\x10"), tail=pixels + tail, number=900 + n))
    with Mount({"loc": str(tmp_path / "in")}, "key=" + key, deid="basic", faults=True) as m:
        for path in objects(m):
            try:
                assert b"ZQ90" not in whole(path)
            except OSError as e:
                assert e.errno in (5, 74, 1)
        assert "ZQ90" not in m.log()

