# SPDX-License-Identifier: Apache-2.0
"""The DICOMweb server of tests/servers as a process with knobs, which can be stopped and
started again on its port; and waiting for events, never for a time."""
import json
import os
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                       "dicomweb_server.py")


def wait_for(condition, seconds=20, what="it"):
    """Returns the first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen in time"
        time.sleep(0.01)


class WebServer:
    def __init__(self, *arguments):
        self.arguments = arguments
        # A server that is killed leaves its folder behind.
        self.folder = tempfile.TemporaryDirectory(prefix="vivo-web-")
        self.port = 0
        self.proc = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def start(self):
        self.proc = subprocess.Popen(
            ["/usr/bin/python3", PROGRAM, "--port", str(self.port), *self.arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": self.folder.name})
        self.url = self.proc.stdout.readline().strip()
        self.source = "dicomweb+" + self.url
        self.base = self.url.rsplit("/", 1)[0]
        self.port = int(self.base.rsplit(":", 1)[1])

    def stop(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()

    def get(self, path):
        # An empty proxy table: the server is on loopback, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.base + path, timeout=20) as reply:
            return reply.read()

    def set(self, **knobs):
        self.get("/__set?" + urllib.parse.urlencode(knobs))

    def reset(self):
        self.get("/__reset")

    def log(self):
        return json.loads(self.get("/__log"))

    def retrieved(self):
        return int(self.get("/__count"))
