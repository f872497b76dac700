# SPDX-License-Identifier: Apache-2.0
"""A server of tests/servers for archives that know their files by ids, as a process with
knobs: s(stall=100) turns them."""
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

SERVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers")


class ShelfServer:
    def __init__(self, kind, folder):
        program = os.path.join(SERVERS, kind + "_server.py")
        self.process = subprocess.Popen([sys.executable, program, folder], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = self.process.stdout.readline().strip()
        self.source = kind + "+" + self.url
        self.root = "http://" + urllib.parse.urlsplit(self.url).netloc

    def get(self, path):
        # An empty proxy table: the server is on loopback, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.root + path, timeout=30) as reply:
            return reply.read()

    def __call__(self, **knobs):
        self.get("/__set?" + urllib.parse.urlencode(knobs))

    def log(self):
        return json.loads(self.get("/__log"))

    def content(self):
        return int(self.get("/__count"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def originals(folder):
    return sorted(read(os.path.join(folder, n)) for n in os.listdir(folder))
