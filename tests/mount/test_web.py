# SPDX-License-Identifier: Apache-2.0
"""Mounts of web and FTP folders: the same files behind every real server that Debian
has, requests counted, under a profile, and when the server fails."""
import errno
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import pydicom
import pytest

from vivomount import Mount

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "servers"))
PATH = os.environ["PATH"] + ":/usr/sbin"
MODULES = "/usr/lib/apache2/modules/mod_"


@pytest.fixture(scope="module")
def tree():
    """Files of pydicom in folders with names that need quoting; readable by anybody."""
    top = tempfile.mkdtemp(prefix="vivo-web-")
    from_ = os.path.join(os.path.dirname(pydicom.__file__), "data/test_files")
    for where, name in (("", "CT_small.dcm"), ("a b/ü%2F&+#;", "MR_small.dcm"),
                        ("a b", "JPEG2000.dcm"), ("a b/" + "long" * 30, "rtplan.dcm")):
        os.makedirs(os.path.join(top, "data", where), exist_ok=True)
        shutil.copy(os.path.join(from_, name),
                    os.path.join(top, "data", where, "x" * 60 + name))
    with open(os.path.join(top, "data/notes"), "w", encoding="ascii") as f:
        f.write("not DICOM\n")
    subprocess.run(["chmod", "-R", "a+rX", top], check=True)
    yield top
    shutil.rmtree(top)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def nginx(top, port, extra=""):
    return ["nginx", "-p", top, "-c", "conf"], f"""daemon off; pid {top}/nginx.pid;
        error_log /dev/null; {"user root root;" if os.geteuid() == 0 else ""}
        events {{}} http {{ access_log off; client_body_temp_path {top}/t;
        proxy_temp_path {top}/t; fastcgi_temp_path {top}/t; uwsgi_temp_path {top}/t;
        scgi_temp_path {top}/t; server {{ listen 127.0.0.1:{port};
        root {top}/data; autoindex on; {extra} }} }}"""


def nginx_json(top, port):
    return nginx(top, port, "autoindex_format json;")


def apache(top, port, options="FancyIndexing HTMLTable"):
    modules = "\n".join(f"LoadModule {n}_module {MODULES}{n}.so"
                        for n in ("mpm_event", "authz_core", "dir", "autoindex"))
    return ["apache2", "-f", top + "/conf", "-DFOREGROUND"], f"""{modules}
        Listen 127.0.0.1:{port}\nServerName localhost\nPidFile {top}/apache.pid
        Mutex fcntl:{top}\nErrorLog /dev/null\nDocumentRoot {top}/data
        <Directory {top}/data>\nOptions Indexes\nRequire all granted
        IndexOptions {options}\n</Directory>\n"""


def apache_plain(top, port):
    return apache(top, port, "None")


def apache_fancy(top, port):
    return apache(top, port, "FancyIndexing IconsAreLinks")


def lighttpd(top, port):
    return ["lighttpd", "-D", "-f", top + "/conf"], f"""
        server.modules = ("mod_dirlisting")\nserver.port = {port}
        server.bind = "127.0.0.1"\nserver.document-root = "{top}/data"
        dir-listing.activate = "enable"\n"""


def caddy(top, port):
    return ["caddy", "file-server", "--browse", "--root", top + "/data", "--listen",
            f"127.0.0.1:{port}"], ""


def python(top, port):
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1",
            "-d", top + "/data"], ""


def vsftpd(top, port):
    os.makedirs(top + "/none", exist_ok=True)
    return ["vsftpd", top + "/conf"], f"""listen=YES\nlisten_address=127.0.0.1
listen_port={port}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO
anon_root={top}/data\nsecure_chroot_dir={top}/none\nseccomp_sandbox=NO\n"""


class Real:
    """One of the servers above, on a port of its own."""

    def __init__(self, kind, top):
        self.port = free_port()
        argv, text = kind(top, self.port)
        program = shutil.which(argv[0], path=PATH)
        if kind is vsftpd and os.geteuid() != 0:
            pytest.skip("only root can be vsftpd")
        assert program, argv[0] + " is not installed: scripts/packages test"
        with open(top + "/conf", "w", encoding="ascii") as f:
            f.write(text)
        self.url = f"{'ftp' if kind is vsftpd else 'http'}://127.0.0.1:{self.port}/"
        self.process = subprocess.Popen([program] + argv[1:], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL,
                                        env=dict(os.environ, HOME=top))
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, argv[0]
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def originals(top):
    return sorted(read(os.path.join(where, n)) for where, _, names in os.walk(top)
                  for n in names if n.endswith(".dcm"))


@pytest.mark.parametrize("kind", [nginx, nginx_json, apache, apache_plain, apache_fancy,
                                  lighttpd, caddy, python, vsftpd],
                         ids=lambda k: k.__name__)
def test_every_real_server_shows_the_same(tree, kind):
    with Real(kind, tree) as server, Mount({"w": server.url}) as m:
        files = m.files("w")
        assert len(files) == 4 and all(f.count("/") == 4 for f in files)
        # Sizes are exact before anything is opened.
        sizes = [os.stat(m / "w/" + f).st_size for f in files]
        contents = [read(m / "w/" + f) for f in files]
        assert sorted(contents) == originals(tree)
        assert sizes == [len(c) for c in contents]
        assert m.archive("w")["extras"] == 1


# ---- the test server


class Web:
    """tests/servers/web_server.py; s(stall=100) turns knobs."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "../servers/web_server.py"), "--make",
             "2,1,2,3"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = self.process.stdout.readline().strip()

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url.removesuffix("/data/") + path, timeout=30) as reply:
            return reply.read()

    def __call__(self, **knobs):
        self.get("/__set?" + urllib.parse.urlencode(knobs))

    def asked(self):
        return json.loads(self.get("/__log"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def shared_web():
    s = Web()
    yield s
    s.close()


@pytest.fixture
def web(shared_web):
    shared_web.get("/__reset")
    yield shared_web
    shared_web.get("/__reset")


def test_queries_are_answered_by_headers_without_content(web):
    with Mount({"w": web.url}) as m:
        assert len(m.files("w")) == 13
        for expr, n in (("Modality=CT", 7), ("PatientID=PAT0001", 6), ("Rows=8", 13),
                        ("InstanceNumber=2", 4), ("Modality=CT and not PatientID=PAT0001",
                                                   4)):
            assert len(m.files(f"w/q/{expr}")) == n, expr
        assert int(web.get("/__count")) == 0


def test_remount_asks_for_nothing_that_is_known(web, tmp_path):
    with Mount({"w": web.url}, home=str(tmp_path)) as m:
        names = m.files("w")
    web.get("/__reset")
    with Mount({"w": web.url}, home=str(tmp_path)) as m:
        assert m.files("w") == names
    # The mount looks whether the source is there; headers are known.
    assert not [e for e in web.asked() if "range" in e]


@pytest.mark.parametrize("knobs", [{"cut": 300}, {"length": 9}, {"encoding": "gzip"},
                                   {"file_body": "<html>log in</html>"}, {"fail": 503}])
def test_damaged_file_is_an_error_never_short(web, knobs):
    with Mount({"w": web.url}, "retries=0", faults=True) as m:
        path = m / "w/" + m.files("w")[0]
        web(**knobs)
        with pytest.raises(OSError) as e:
            read(path)
        assert e.value.errno in (errno.EIO, errno.EBADMSG)


def test_page_for_people_is_explained(web):
    web(page="<html><title>Welcome</title><a href=about/>About</a></html>")
    with pytest.raises(RuntimeError, match="w: .*a page that is no index of files"):
        Mount({"w": web.url})


# ---- indexes and servers that nobody has here


class Handler(http.server.BaseHTTPRequestHandler):
    """pages: {path: (status, body) or (status, body, Location)}"""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body, *to = self.server.pages.get(self.path, (404, b""))
        self.send_response(status)
        for where in to:
            self.send_header("Location", where)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def site():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.pages, s.asked, s.url = {}, [], f"http://127.0.0.1:{s.server_port}/d/"
    threading.Thread(target=s.serve_forever, args=(0.02,), daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


DICOM = os.path.join(os.path.dirname(pydicom.__file__), "data/test_files/CT_small.dcm")


def index(*links, stamp="02-Jan-2024 10:00  123"):
    return 200, ("<html><title>Index of /d/</title><a href='../'>up</a>\n" + "\n".join(
        f'<a href="{link}">x</a> {stamp}' for link in links) + "</html>").encode()


@pytest.mark.parametrize("link, asked", [
    ("//127.0.0.1:{port}/d/a.dcm", "/d/a.dcm"), ("http://127.0.0.1:{port}/d/a.dcm",
                                                 "/d/a.dcm"),
    ("100%.dcm", "/d/100%25.dcm"), ("%zz", "/d/%25zz"), ("a&amp;b", "/d/a%26b")])
def test_links_are_read_as_browsers_do(site, link, asked):
    site.pages = {"/d/": index(link.format(port=site.server_port)),
                  asked: (200, read(DICOM))}
    with Mount({"w": site.url}) as m:
        file, = m.files("w")
        assert read(m / f"w/{file}") == read(DICOM)


@pytest.mark.parametrize("link", ["a.dcm", "/new/a.dcm"])
def test_folder_that_has_moved_is_where_it_is_now(site, link):
    site.pages = {"/d/": (302, b"", "/new/"), "/new/": index(link),
                  "/new/a.dcm": (200, read(DICOM))}
    with Mount({"w": site.url}) as m:
        assert len(m.files("w")) == 1 and "/d/a.dcm" not in site.asked


@pytest.mark.parametrize("stamp, depth", [("02-Jan-2024 10:00  123", 1), ("", 2)])
def test_links_to_the_folder_above_end(site, stamp, depth):
    """As web servers follow symbolic links; two of them would be two to the 32th."""
    class Pages(dict):
        def get(self, path, _):
            return index("a.dcm", "b/", "l/", stamp=stamp) if path.endswith("/") else (
                200, read(DICOM))
    site.pages = Pages()
    with Mount({"w": site.url}, faults=True) as m:
        files = m.files("w")
        assert len([p for p in site.asked if p.endswith("/")]) <= 2 + 2 ** (depth + 1)
        assert len(files) == 2 ** depth - 1 and "links to folders above" in m.log()


def test_locked_file_leaves_the_others_and_all_locked_is_eacces(site):
    site.pages = {"/d/": index("a.dcm", "b.dcm"), "/d/a.dcm": (200, read(DICOM)),
                  "/d/b.dcm": (403, b"")}
    with Mount({"w": site.url}) as m:
        assert len(m.files("w")) == 1 and m.archive("w")["hidden"] == 1
    site.pages["/d/a.dcm"] = 403, b""
    with Mount({"w": site.url}, faults=True) as m:
        for _ in range(3):  # what the first listing met is no reason to be content
            with pytest.raises(PermissionError):
                os.listdir(m / "w")
        assert "lets none of them be read" in m.log()


def test_no_original_is_seen_by_a_reader_of_a_profile(web, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    with Mount({"w": web.url}) as m:
        known = {"patient 0", "study%2F0", "I0 a name"}
        for f in m.files("w"):
            ds = pydicom.dcmread(m / "w/" + f)
            known |= {ds.PatientID, str(ds.PatientName), ds.StudyInstanceUID,
                      ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.StudyDate}
    with Mount({"w": web.url}, f"key={key}", deid="basic") as m:
        files = m.files("w")
        assert len(files) == 13
        seen = "\n".join(files).encode() + b"".join(read(m / "w/" + f) for f in files)
        seen += read(m / ".vivofs/status.json") + m.log().encode()
        assert not [k for k in known if k.encode() in seen]
