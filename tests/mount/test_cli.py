# SPDX-License-Identifier: Apache-2.0
"""The command line (DESIGN A6): what it says when something is wrong, in one line that
helps; what its commands print and return."""
import csv
import ctypes
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pydicom
import pytest

import canaries
import synthetic
from vivomount import BINARY, Mount, environment, mounted
from webserver import WebServer, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_CHILD_SUBREAPER = 36
OPTIONS = os.path.join(HERE, "..", "..", "mountopts", "options.def")


@pytest.fixture
def cli(tmp_path):
    """Runs the program with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*argv, program=BINARY, **more):
        return subprocess.run([program, *map(str, argv)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30,
                              env=environment(str(home)), **more)

    run.home = str(home)
    return run


@pytest.fixture
def where(tmp_path):
    """A mount point that is free afterwards, whatever happens."""
    path = tmp_path / "mnt"
    path.mkdir()
    yield str(path)
    if mounted(str(path)):
        subprocess.run(["fusermount3", "-uz", path], check=True)


@pytest.fixture(autouse=True)
def reaper():
    """What goes to the background becomes our child, and is waited for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    wait_for(no_child, what="the end of what the test started")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def no_child():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def daemon_of(path):
    with open(os.path.join(path, ".vivofs/status.json")) as f:
        return json.load(f)["pid"]


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def one_line(run, *words, code=1):
    """One clear line on stderr, nothing on stdout, the exit code."""
    assert run.returncode == code, run
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("vivofs: "), run.stderr
    for word in words:
        assert str(word) in lines[0], (word, lines[0])


# ---- mount: what can be wrong


@pytest.mark.parametrize("flag", [["-f"], []])
class TestRefusedMounts:
    def test_a_missing_folder(self, cli, where, flag, tmp_path):
        run = cli("mount", *flag, tmp_path / "no such", where)
        one_line(run, "no such folder", tmp_path / "no such")

    def test_a_missing_mount_point(self, cli, folder, flag, tmp_path):
        run = cli("mount", *flag, folder, tmp_path / "nowhere")
        one_line(run, tmp_path / "nowhere", "No such file")

    def test_a_mount_point_that_is_a_file(self, cli, folder, flag, tmp_path):
        (tmp_path / "file").write_text("x")
        run = cli("mount", *flag, folder, tmp_path / "file")
        one_line(run, tmp_path / "file", "no directory")

    def test_a_mount_point_in_use(self, cli, folder, flag):
        with Mount({"loc": folder}) as m:
            run = cli("mount", *flag, "-o", "deid=none", folder, m.path)
            one_line(run, m.path, "mounted")
            assert len(m.files()) == 24

    def test_a_port_where_nobody_listens(self, cli, where, flag):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))  # taken, but not listening
            port = s.getsockname()[1]
            run = cli("mount", *flag, "-o", "deid=none,retries=0",
                      f"pacs=dicomweb+http://127.0.0.1:{port}/dicom-web", where)
        one_line(run, "pacs")
        assert not mounted(where)

    def test_a_path_that_is_no_dicomweb(self, cli, where, flag):
        with WebServer("--make", "1,1,1,1") as server:
            run = cli("mount", *flag, "-o", "deid=none,retries=0",
                      "pacs=" + server.source + "/wrong", where)
        one_line(run, "pacs")
        assert not mounted(where)

    @pytest.mark.parametrize("source", ["foo+http://127.0.0.1/x", "gopher://127.0.0.1/",
                                        "dicomweb+http:///dicom-web",
                                        "dicomweb+http://127.0.0.1:99999/dicom-web"])
    def test_a_source_of_no_known_kind(self, cli, where, flag, source):
        one_line(cli("mount", *flag, "-o", "deid=none,retries=0", source, where))

    def test_a_password_in_a_url(self, cli, where, flag):
        run = cli("mount", *flag, "-o", "deid=none",
                  "dicomweb+http://me:geheim@127.0.0.1:1/dicom-web", where)
        assert run.returncode == 1 and "netrc" in run.stderr
        assert "geheim" not in run.stdout + run.stderr

    def test_two_sources_of_one_name(self, cli, folder, where, flag):
        run = cli("mount", *flag, "-o", "deid=none", "a=" + folder, "a=" + folder, where)
        one_line(run, "'a'")

    @pytest.mark.parametrize("text,near", [("catche=/x", "cache"), ("timout=3", "timeout"),
                                           ("died=none", "deid"),
                                           ("allowother", "allow_other")])
    def test_an_unknown_option(self, cli, folder, where, flag, text, near):
        run = cli("mount", *flag, "-o", text, folder, where)
        one_line(run, f"'{text.split('=')[0]}'", f"'{near}'")

    @pytest.mark.parametrize("text", ["timeout=soon", "jobs=", "jobs", "cache_size=2X",
                                      "magic=yes", "jobs=-1", "cache_size=99999999999T",
                                      "size=huge", "refused=maybe", "browse=perhaps",
                                      "jobs=0", "jobs=4294967297", "timeout=0"])
    def test_an_option_with_a_wrong_value(self, cli, folder, where, flag, text):
        run = cli("mount", *flag, "-o", "deid=none," + text, folder, where)
        one_line(run, text.split("=")[0])

    @pytest.mark.parametrize("text", ["deid=basik", "deid=basic+retain-everything",
                                      "burned_in=maybe",
                                      "deid=basic+retain-full-dates+retain-modified-dates",
                                      "deid=basic+clean-recognizable-visual-features"])
    def test_a_policy_that_is_none(self, cli, folder, where, flag, text):
        run = cli("mount", *flag, "-o", text, folder, where)
        assert run.returncode == 1 and not mounted(where)
        lines = [n for n in run.stderr.splitlines() if n.startswith("vivofs: ")
                 and "made a key" not in n]
        assert len(lines) == 1, run.stderr

    @pytest.mark.parametrize("kind", ["short", "missing", "open", "empty", "directory"])
    def test_a_key_that_is_none(self, cli, folder, where, flag, kind, tmp_path):
        key = bad_key(tmp_path, kind)
        run = cli("mount", *flag, "-o", f"key={key}", folder, where)
        one_line(run, key)
        assert not mounted(where)

    def test_flat_with_two_sources(self, cli, folder, where, flag):
        run = cli("mount", *flag, "-o", "deid=none,flat", "a=" + folder, "b=" + folder,
                  where)
        one_line(run, "flat", code=2)


def bad_key(tmp_path, kind):
    key = tmp_path / ("key-" + kind)
    if kind == "directory":
        key.mkdir(mode=0o700)
    elif kind != "missing":
        key.write_bytes(b"k" * {"short": 31, "open": 64, "empty": 0}[kind])
        key.chmod(0o644 if kind == "open" else 0o600)
    return key


# ---- mount: in the background


def test_a_background_mount_returns_when_it_answers(cli, folder, where):
    run = cli("mount", "-o", "deid=none", "loc=" + folder, where)
    assert run.returncode == 0 and run.stdout == run.stderr == ""
    # At once: no waiting, no second try.
    assert "loc" in os.listdir(where)
    pid = daemon_of(where)
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)} == {"/dev/null"}
    run = cli("umount", where)
    assert run.returncode == 0 and run.stderr == ""
    assert not mounted(where)
    wait_for(lambda: gone(pid))


def test_the_key_that_is_made_is_told_once(cli, folder, where):
    run = cli("mount", folder, where)
    assert run.returncode == 0
    key = os.path.join(cli.home, "config/vivofs/key")
    assert key in run.stderr and "Back it up" in run.stderr
    assert os.stat(key).st_mode & 0o777 == 0o600 and os.path.getsize(key) >= 32
    cli("umount", where)
    run = cli("mount", folder, where)
    assert run.returncode == 0 and run.stderr == ""
    cli("umount", where)


@pytest.mark.parametrize("name", ["mount.vivofs", "mount.fuse.vivofs"])
def test_mount_helpers_by_link(cli, folder, where, tmp_path, name):
    os.symlink(shutil.which(BINARY) or BINARY, tmp_path / name)
    run = cli("loc=" + folder, where, "-o", "rw,nodev,nosuid,_netdev,x-systemd.automount,"
              "deid=none,magic", program=tmp_path / name)
    assert run.returncode == 0, run.stderr
    assert {"loc", "README.txt"} <= set(os.listdir(where))
    assert "by" in os.listdir(where + "/loc")
    assert cli("umount", where).returncode == 0


def test_a_source_is_named_by_its_last_part(cli, folder, where):
    assert cli("mount", "-o", "deid=none", folder + "/", where).returncode == 0
    assert os.path.basename(folder) in os.listdir(where)


@pytest.mark.parametrize("source, words", [
    ("tica", ["no preset of that name", "'tcia'"]), ("IDC", ["'idc'"]),
    ("htp://h/", ["'htp:'", "'http:'", "nda+https"]), ("", ["the source is empty"]),
    ("dicomwb+https://h/", ["'dicomweb+https:'"]),
    # RFC 3986: schemes have no case; an address of IPv6 is a name without its brackets.
    ("HTTP://127.0.0.1:1/", ["127.0.0.1: 127.0.0.1:1: GET"]),
    ("http://[::1]:1/x/", ["vivofs: 1_574ops: "]),
    ("fbirn", ["Only what is DICOM shows"]),
], ids=["preset", "capitals", "scheme", "empty", "long", "upper", "ipv6", "whole"])
def test_a_source_typed_wrongly_is_told(cli, where, source, words):
    one_line(cli("mount", "-o", "deid=none,retries=0", source, where), *words)


def test_a_mount_below_its_own_source(cli, tmp_path):
    """The listing must not wait for itself, however the two race."""
    source = tmp_path / "scans"
    view = source / "a/view"
    view.mkdir(parents=True)
    synthetic.make(str(source), patients=1, studies=1, series=1)
    for i in range(4):
        run = cli("mount", "-o", f"deid=none,timeout=5,cache={tmp_path}/c{i}",
                  f"loc={source}", view)
        assert run.returncode == 0, run.stderr
        assert len(os.listdir(view / "loc/all")) == 1
        assert cli("umount", view).returncode == 0


def test_a_preset_by_name(cli, folder, where, tmp_path):
    conf = os.path.join(cli.home, "config/vivofs")
    os.makedirs(conf)
    with open(conf + "/scans.conf", "w") as f:
        f.write(f"# mine\nabout = test\nsource = {folder}\noptions = deid=none,magic\n")
    run = cli("mount", "scans", where)
    assert run.returncode == 0, run.stderr
    assert "by" in os.listdir(where + "/scans")
    with open(where + "/.vivofs/config") as f:
        assert "deid=none" in f.read()
    cli("umount", where)
    with open(conf + "/scans.conf", "w") as f:
        f.write(f"source = {folder}\noptions = magick\n")
    one_line(cli("mount", "scans", where), "scans", "'magick'", "'magic'")


def test_a_configuration_file(cli, folder, where, tmp_path):
    conf = tmp_path / "ward 7.conf"
    conf.write_text(f"source = {folder}\noptions = deid=none,magic\n")
    run = cli("mount", "-c", conf, "loc=" + folder, where)
    assert run.returncode == 0, run.stderr
    names = [n for n in os.listdir(where) if n.startswith("ward-7")]
    assert len(names) == 1 and "by" in os.listdir(where + "/" + names[0])
    assert "loc" in os.listdir(where)
    cli("umount", where)
    assert cli("mount", "-c", conf, "-o", "flat", where).returncode == 0
    assert "all" in os.listdir(where)
    cli("umount", where)
    conf.write_text("options = deid=none\n")
    one_line(cli("mount", "-c", conf, where), "no source")
    one_line(cli("mount", "-c", tmp_path / "nix.conf", where), "nix.conf")
    one_line(cli("mount", "-c"), "-c", code=2)


def test_a_comma_in_a_value_is_escaped(cli, folder, where, tmp_path):
    cache = tmp_path / "a,b"
    escaped = str(cache).replace(",", "\\,")
    run = cli("mount", "-o", f"deid=none,cache={escaped},magic", folder, where)
    assert run.returncode == 0, run.stderr
    assert cache.is_dir()


def test_what_is_mistyped_makes_no_key(cli, folder, where):
    for option in ("deid=bsic", "filter=/nix", "burned_in=x"):
        one_line(cli("mount", "-o", option, folder, where), option.split("=")[1])
    one_line(cli("deid", "--profile", "bsic", folder, where), "bsic")
    assert not os.path.exists(cli.home + "/config/vivofs/key")


# ---- status, umount, version, help


def test_status_of_one_and_of_all(cli, folder, where):
    assert cli("mount", "-o", "deid=none", "loc=" + folder, where).returncode == 0
    run = cli("status", where)
    assert run.returncode == 0
    status = json.loads(run.stdout)
    assert status["archives"][0]["name"] == "loc"
    run = cli("status")  # of all: 1 where another mount of the machine is dead
    assert where in run.stdout.splitlines()
    assert cli("umount", where).returncode == 0
    one_line(cli("status", where), where)
    assert where not in cli("status").stdout.splitlines()


def test_umount_of_what_is_no_mount(cli, where, tmp_path):
    for path in (where, tmp_path / "nowhere", "/"):
        one_line(cli("umount", path), str(path))
    assert cli("umount").returncode == 2


def test_umount_of_a_mount_in_use_says_so(cli, folder, where):
    assert cli("mount", "-o", "deid=none", "loc=" + folder, where).returncode == 0
    fd = os.open(where + "/loc", os.O_RDONLY)
    try:
        run = cli("umount", where)
        assert run.returncode == 1 and mounted(where)
        assert "busy" in run.stderr.lower() and len(run.stderr.splitlines()) == 1
    finally:
        os.close(fd)
    assert cli("umount", where).returncode == 0


def test_umount_follows_links_and_takes_odd_names(cli, folder, where, tmp_path):
    odd = tmp_path / "a b\\ é"
    odd.mkdir()
    os.symlink(odd, tmp_path / "link")
    assert cli("mount", "-o", "deid=none", folder, f"{tmp_path}/link/").returncode == 0
    one_line(cli("mount", "-o", "deid=none", folder, odd), "mounted here already")
    assert cli("umount", f"{tmp_path}/link/").returncode == 0
    assert os.listdir(odd) == []


def test_options_of_libfuse_are_taken(cli, folder, where):
    words = ("max_read=65536,fsname=ward 7,default_permissions,nodiratime,sync,clone_fd,"
             "max_threads=8,max_idle_threads=4,deid=none")
    assert cli("mount", "-o", words, "-t", "fuse.vivofs", "loc=" + folder, where
               ).returncode == 0
    with open("/proc/self/mountinfo") as f:
        line = next(l for l in f if l.split()[4] == where)
    assert "fuse.vivofs ward\\0407 " in line and "max_read=65536" in line
    size = 0
    for folder_, _, names in os.walk(where + "/loc"):
        size += sum(len(open(os.path.join(folder_, n), "rb").read()) for n in names)
    assert size > 0
    assert cli("umount", where).returncode == 0


def test_what_cannot_be_written_is_told(cli, folder):
    for words in (["archives"], ["query", "-o", "deid=none", "Modality=CT", folder],
                  ["--version"]):
        with open("/dev/full", "w") as full:
            run = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE,
                                 text=True, env=environment(cli.home))
        assert run.returncode == 1, words
        assert run.stderr.startswith("vivofs: standard output") and run.stderr.count("\n") == 1


def test_version(cli):
    for word in ("version", "--version"):
        run = cli(word)
        assert run.returncode == 0 and re.match(r"vivofs \d+\.\d+\.\d+ .*PS3\.15",
                                                run.stdout)


def test_help_lists_every_option_and_command(cli):
    with open(OPTIONS) as f:
        rows = re.findall(r'^VIVO_OPTION\((\w+), (\w+), "([^"]*)", "([^"]*)"', f.read(),
                          re.M)
    assert len(rows) >= 20
    run = cli("--help")
    assert run.returncode == 0 and run.stderr == ""
    for name, _, fallback, argument in rows:
        line = next((n for n in run.stdout.splitlines()
                     if re.match(rf"  {name}{'=' if argument else ''}\b", n)
                     or n.startswith(f"  {name}={argument}")), None)
        assert line, name
        assert not fallback or f"[{fallback}]" in line
    for command in re.findall(r"^  ([a-z]+) +\S.*\n +vivofs \1\b", run.stdout, re.M):
        own = cli(command, "--help")
        assert own.returncode == 0 and f"vivofs {command}" in own.stdout
        assert ("  deid=PROFILE" in own.stdout) == ("SOURCE" in own.stdout), command
    for word in ("mount", "umount", "query", "deid", "status", "version", "a folder", "a file",
                 "nbia+https", "idc", "xnat+https", "s3", "dimse", "ftp", "http"):
        assert re.search(rf"^  (\S+ )?{re.escape(word)} ", run.stdout, re.M), word
    assert all(len(n) <= 200 for n in run.stdout.splitlines())


def test_no_command_shows_help_and_fails(cli):
    run = cli()
    assert run.returncode == 2 and "mount" in run.stderr and run.stdout == ""


@pytest.mark.parametrize("word,near", [("mout", "mount"), ("unmount", "umount"),
                                       ("quary", "query"), ("die", None),
                                       ("stauts", "status")])
def test_an_unknown_command(cli, word, near):
    run = cli(word)
    one_line(run, f"'{word}'", *([f"'{near}'"] if near else []), code=2)


@pytest.mark.parametrize("argv", [["mount"], ["mount", "/tmp"], ["mount", "-q", "/", "/"],
                                  ["mount", "-o"], ["query", "Modality=CT"],
                                  ["query", "--format", "xml", "Modality=CT", "/tmp"],
                                  ["deid", "one"], ["deid", "--bad", "a", "b"],
                                  ["deid", "a", "b", "c"], ["status", "a", "b"]])
def test_wrong_arguments(cli, argv):
    one_line(cli(*argv), "vivofs --help", code=2)


# ---- deid


def test_deid_of_a_file_is_what_the_mount_serves(cli, folder, tmp_path):
    name = sorted(os.listdir(folder))[0]
    run = cli("deid", os.path.join(folder, name), tmp_path / "out.dcm")
    assert run.returncode == 0
    data = (tmp_path / "out.dcm").read_bytes()
    key = os.path.join(cli.home, "config/vivofs/key")
    with Mount({"loc": folder}, f"key={key}", deid="basic") as m:
        served = [open(m / f, "rb").read() for f in m.files()]
    assert served.count(data) == 1 and len(served) == 24
    assert pydicom.dcmread(tmp_path / "out.dcm").PatientIdentityRemoved == "YES"
    assert (tmp_path / "out.dcm").stat().st_mode & 0o777 == 0o644


def test_deid_of_a_folder_is_the_tree(cli, folder, tmp_path):
    out = tmp_path / "out"
    run = cli("deid", folder, out)
    assert run.returncode == 0, run.stderr
    assert "24 written, 0 refused, 0 other" in run.stderr
    key = os.path.join(cli.home, "config/vivofs/key")
    with Mount({"loc": folder}, f"key={key}", deid="basic") as m:
        want = {f: open(m / f"loc/all/{f}", "rb").read() for f in m.files("loc/all")}
    got = {os.path.relpath(os.path.join(w, n), out): open(os.path.join(w, n), "rb").read()
           for w, _, names in os.walk(out) for n in names}
    assert got == want


def test_deid_names_what_it_refuses(cli, folder, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(folder, source)
    canaries.make_refused(str(source))
    run = cli("deid", source, out)
    assert run.returncode == 1
    assert "24 written, 2 refused, 1 other" in run.stderr
    assert "ZQ907K burned.dcm: " in run.stderr and "ZQ908K cut.dcm: " in run.stderr
    written = [n for _, _, names in os.walk(out) for n in names]
    assert len(written) == 24 and not [n for n in written if not n.endswith(".dcm")]
    # What the objects say is in no message.
    assert not re.search(r"ZQ1\d{5}K|ZQ5\d{5}K|1971", run.stderr)


@pytest.mark.parametrize("bad", ["burned.dcm", "cut.dcm", "txt"])
def test_deid_of_a_refused_file_leaves_nothing(cli, tmp_path, bad):
    canaries.make_refused(str(tmp_path))
    [path] = [p for p in tmp_path.iterdir() if p.name.endswith(bad)]
    out = tmp_path / "out"
    out.mkdir()
    run = cli("deid", path, out / "o.dcm")
    assert run.returncode == 1 and str(path) in run.stderr
    assert os.listdir(out) == []


def test_deid_allows_what_it_is_told_to(cli, tmp_path):
    canaries.make_refused(str(tmp_path))
    [path] = tmp_path.glob("*burned.dcm")
    run = cli("deid", "--burned-in", "allow", path, tmp_path / "o.dcm")
    assert run.returncode == 0
    assert canaries.PATTERN.search((tmp_path / "o.dcm").read_bytes()) is None


def test_deid_into_itself_is_refused(cli, folder, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(folder, source)
    one_line(cli("deid", "--profile", "none", source, source / "out"), "inside")
    run = cli("deid", tmp_path / "nothing", tmp_path / "out")
    assert run.returncode == 1 and "nothing" in run.stderr


@pytest.mark.parametrize("kind", ["short", "missing", "open", "empty"])
def test_deid_refuses_a_key_that_is_none(cli, folder, tmp_path, kind):
    key = bad_key(tmp_path, kind)
    run = cli("deid", "--key", key, folder, tmp_path / "out")
    one_line(run, key)
    assert not (tmp_path / "out").exists()


def test_deid_lists_its_profiles(cli, tmp_path):
    run = cli("deid", "--list")
    assert run.returncode == 0
    options = re.findall(r"^ +((?:retain|clean)-[a-z-]+)", run.stdout, re.M)
    assert {"retain-uids", "retain-device", "retain-full-dates"} <= set(options)
    assert re.findall(r"^(none|basic|strict)\b", run.stdout, re.M)
    for option in options:  # what is listed is accepted
        run = cli("deid", "--profile", "basic+" + option,
                  canaries.DATA + "CT_small.dcm", tmp_path / "o.dcm")
        assert run.returncode == 0, run.stderr


# ---- query


def lines_of(run):
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def query(cli, folder, *argv):
    return lines_of(cli("query", "-o", "deid=none", *argv, "loc=" + folder))


def test_query_paths_are_those_of_a_mount(cli, folder):
    got = query(cli, folder, "Modality=CT")
    with Mount({"loc": folder}) as m:
        assert sorted(got) == sorted(
            "loc/" + f for f in m.files("loc/q/Modality=CT"))
        assert len(got) == 12


def test_query_count(cli, folder):
    got = query(cli, folder, "--format", "count", "Modality=CT")
    size = sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)
               if pydicom.dcmread(os.path.join(folder, n)).Modality == "CT")
    assert got == ["patients 2", "studies 4", "series 4", "instances 12", f"bytes {size}"]


def test_query_csv(cli, folder):
    run = cli("query", "-o", "deid=none", "--format", "csv", "Modality=CT",
              "loc=" + folder)
    rows = list(csv.DictReader(io.StringIO(run.stdout, newline="")))
    assert len(rows) == 4
    with Mount({"loc": folder}) as m:
        with open(m / "loc/q/Modality=CT/.series.csv", newline="") as f:
            assert rows == list(csv.DictReader(f))
    assert {r["PatientID"] for r in rows} == {"PAT0000", "PAT0001"}
    assert all(r["InstanceCount"] == "3" and r["Collection"] == "all" for r in rows)


def test_query_json(cli, folder):
    got = json.loads("\n".join(query(cli, folder, "--format", "json", "Modality=MR")))
    assert len(got) == 4 and all(g["Modality"] == "MR" for g in got)
    assert all([g["Archive"], g["Collection"]] == g["Path"].split("/")[:2] for g in got)
    assert json.loads("\n".join(query(cli, folder, "--format", "json", "Rows=9"))) == []


def test_query_tree(cli, folder):
    got = query(cli, folder, "--format", "tree", "Modality=CT and InstanceNumber=1")
    assert got[0] == "loc" and len([n for n in got if n.endswith(".dcm")]) == 4
    depths = [len(n) - len(n.lstrip(" ")) for n in got]
    assert max(depths) == 10 and depths[0] == 0


def test_query_over_two_sources(cli, folder, tmp_path):
    (tmp_path / "b").mkdir()
    synthetic.make(str(tmp_path / "b"), seed="b", patients=1, studies=1, series=1)
    got = lines_of(cli("query", "-o", "deid=none", "Modality=CT", "a=" + folder,
                       f"b={tmp_path / 'b'}"))
    assert len([n for n in got if n.startswith("a/")]) == 12
    assert len([n for n in got if n.startswith("b/")]) == 3


@pytest.mark.parametrize("form", ["paths", "csv", "json", "tree", "count"])
def test_query_names_a_dead_source_and_prints_the_others(cli, folder, form):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        dead = "dicomweb+http://127.0.0.1:%d/dicom-web" % s.getsockname()[1]
        whole = cli("query", "-o", "deid=none", "--format", form, "Modality=CT",
                    f"a={folder}")
        run = cli("query", "-o", "deid=none,retries=0", "--format", form, "Modality=CT",
                  f"dead={dead}", f"a={folder}")
    assert run.returncode == 1 and run.stdout == whole.stdout != ""
    said = [l for l in run.stderr.splitlines() if l.startswith("vivofs: dead: ")]
    assert len(said) == 1 and "Couldn't connect" in said[0], run.stderr
    alone = cli("query", "-o", "deid=none,retries=0", "--format", "count", "Modality=CT",
                f"dead={dead}")
    assert alone.returncode == 1 and not alone.stdout


def test_query_over_an_archive(cli):
    with WebServer("--make", "2,1,2,2") as server:
        got = lines_of(cli("query", "-o", "deid=none,cache=memory", "Modality=CT",
                           "pacs=" + server.source))
        assert len(got) == 4
        assert server.retrieved() == 0


def test_a_wrong_query_shows_where_and_what_was_meant(cli, folder):
    run = cli("query", "-o", "deid=none", "Modalty=CT", folder)
    assert run.returncode == 1 and run.stdout == ""
    assert "Modality" in run.stderr and "^" in run.stderr
    run = cli("query", "-o", "deid=none", "hello", folder)
    one_line(run, "hello")


def test_a_query_of_a_hidden_value_is_refused(cli, folder):
    run = cli("query", "PatientBirthDate=1971", folder)
    assert run.returncode == 1 and run.stdout == ""
    assert "PatientBirthDate" in run.stderr


# ---- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_background_mount_ends_in_order(cli, folder, where, number):
    assert cli("mount", "-o", "deid=none", "loc=" + folder, where).returncode == 0
    pid = daemon_of(where)
    os.kill(pid, number)
    wait_for(lambda: gone(pid))
    assert not mounted(where)
    assert os.listdir(where) == []
