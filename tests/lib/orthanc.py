#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Orthanc with its DICOMweb plugin, for tests: own configuration, own storage in
a temporary folder, free ports on loopback, stopped and removed afterwards. The system's
service is never touched.

    with Orthanc(config={...}) as o:
        o.upload(paths)
        o.url       http://127.0.0.1:PORT          o.dicomweb   .../dicom-web

As a program it uploads FOLDER (or --make), prints the DICOMweb base URL as its first
line and runs until its standard input ends.
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import synthetic  # noqa: E402

BINARIES = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"]
PLUGINS = ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
           "/usr/lib/orthanc/libOrthancDicomWeb.so"]


def find(candidates):
    return next((c for c in candidates if os.path.exists(c)), None)


def available():
    """Why there is none, or None."""
    if not find(BINARIES):
        return "Orthanc is not installed"
    if not find(PLUGINS):
        return "Orthanc's DICOMweb plugin is not installed"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """However the test ends, its Orthanc does too: prctl(PR_SET_PDEATHSIG, SIGTERM)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Orthanc:
    def __init__(self, config=None, users=None):
        self.folder = tempfile.mkdtemp(prefix="vivo-orthanc-")
        self.extra = config or {}
        self.users = users
        self.process = None

    def __enter__(self):
        for _ in range(5):      # a port may be taken between choosing and using it
            if self.start():
                return self
        self.__exit__()
        raise RuntimeError("Orthanc does not start: " + self.tail())

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        port = free_port()
        self.url = "http://127.0.0.1:%d" % port
        self.dicomweb = self.url + "/dicom-web"
        config = {
            "Name": "vivofs test", "StorageDirectory": self.folder + "/storage",
            "IndexDirectory": self.folder + "/index", "HttpPort": port,
            "DicomServerEnabled": False, "RemoteAccessAllowed": False,
            "HttpServerEnabled": True, "Plugins": [find(PLUGINS)],
            "HttpThreadsCount": 16, "KeepAlive": True, "StorageCompression": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "AuthenticationEnabled": bool(self.users),
            "RegisteredUsers": self.users or {},
        }
        config.update(self.extra)
        path = self.folder + "/orthanc.json"
        with open(path, "w") as f:
            json.dump(config, f)
        self.log = open(self.folder + "/log", "wb")
        self.process = subprocess.Popen([find(BINARIES), path], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log,
                                        cwd=self.folder, preexec_fn=die_with_parent)
        return self.wait()

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                return False
            try:
                self.get("/system")
                return True
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        self.stop()
        return False

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.close()

    def tail(self):
        try:
            with open(self.folder + "/log", errors="replace") as f:
                return f.read()[-2000:]
        except OSError:
            return ""

    def request(self, path, data=None, method=None):
        r = urllib.request.Request(self.url + path, data=data, method=method)
        if self.users:
            import base64
            pair = "%s:%s" % next(iter(self.users.items()))
            r.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
        with urllib.request.urlopen(r, timeout=30) as reply:
            return reply.read()

    def get(self, path):
        return json.loads(self.request(path))

    def upload(self, paths):
        for path in paths:
            with open(path, "rb") as f:
                self.request("/instances", f.read())

    def upload_folder(self, folder):
        self.upload(sorted(os.path.join(where, name)
                           for where, _, names in os.walk(folder) for name in names))


def main():
    parser = argparse.ArgumentParser()
    synthetic.add_arguments(parser)
    args = parser.parse_args()
    why = available()
    if why:
        print("unavailable: " + why, flush=True)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that folders are removed
    with tempfile.TemporaryDirectory(prefix="vivo-orthanc-") as temporary, Orthanc() as o:
        o.upload_folder(synthetic.folder_of(args, temporary))
        print(o.dicomweb, flush=True)
        while sys.stdin.buffer.read(4096):
            pass


if __name__ == "__main__":
    main()
