# SPDX-License-Identifier: Apache-2.0
"""Any of the test servers over a folder, as a process with knobs: s(stall=100) turns them,
or s("stall=100").

    with ArchiveServer("nbia", folder) as s: Mount({"n": s.source})
"""
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

SERVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers")
# kind: program, and the source made of the URL that it prints
KINDS = {
    "dicomweb": ("dicomweb", "dicomweb+{}"),
    "ftp": ("ftp", "{}"),
    "girder": ("girder", "girder+{}"),
    "http": ("web", "{}"),
    "idc": ("idc", "idc+{}/v3"),
    "midas": ("midas", "midas+{}"),
    "nbia": ("nbia", "nbia+{}"),
    "nda": ("nda", "nda+{}"),
    "s3": ("idc", "s3+{}/scans/data"),
    "xnat": ("xnat", "xnat+{}"),
}


class ArchiveServer:
    def __init__(self, kind, folder, *arguments):
        program, source = KINDS[kind]
        self.kind = kind
        self.template = source
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(SERVERS, program + "_server.py"), folder,
             *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def source(self):
        return self.template.format(self.url)

    @property
    def url(self):
        """Waits until the server answers: several start at the same time."""
        if "first_line" not in self.__dict__:
            self.first_line = self.process.stdout.readline().strip()
        return self.first_line

    @property
    def knobs(self):
        return self.kind != "ftp"

    def get(self, path):
        # An empty proxy table: the server is on loopback, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        root = "http://" + urllib.parse.urlsplit(self.url).netloc
        with opener.open(root + path, timeout=30) as reply:
            return reply.read()

    def __call__(self, text="", **knobs):
        self.get("/__set?" + (text or urllib.parse.urlencode(knobs)))

    def reset(self):
        if self.knobs:
            self.get("/__reset")

    def log(self):
        return json.loads(self.get("/__log"))

    def paths(self):
        return [e["path"] for e in self.log()]

    def content(self):
        return int(self.get("/__count"))

    def end(self):
        """Begins to stop."""
        if not self.process.stdin.closed:
            self.process.stdin.close()

    def close(self):
        self.end()
        self.process.wait(30)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
