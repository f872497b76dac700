#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real dcmqrscp (DCMTK) over a folder of its own, for tests: free port on loopback,
stopped and removed afterwards.

As a program it takes FOLDER (or --make), prints "HOST:PORT MOVEPORT FOLDER" as its first
line and runs until its standard input ends. AE titles: ARCHIVE is the server, VIVOFS the
one who may ask and the destination of C-MOVE, at MOVEPORT.
"""
import argparse
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import synthetic  # noqa: E402

CONFIG = """NetworkTCPPort = %(port)d
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
vivofs = (VIVOFS, 127.0.0.1, %(move)d)
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE %(folder)s R (500, 1024mb) ANY
AETable END
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """However the test ends, its server does too: prctl(PR_SET_PDEATHSIG, SIGTERM)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Dcmqrscp:
    def __init__(self, folder, flags=()):
        self.folder, self.flags = os.path.abspath(folder), list(flags)
        self.config = tempfile.NamedTemporaryFile("w", suffix=".cfg", delete=False)

    def __enter__(self):
        files = sorted(os.path.join(where, name)
                       for where, _, names in os.walk(self.folder) for name in names)
        for i in range(0, len(files), 500):
            subprocess.run(["dcmqridx", self.folder, *files[i:i + 500]], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(5):      # a port may be taken between choosing and using it
            if self.start():
                return self
        self.__exit__()
        raise RuntimeError("dcmqrscp does not start")

    def start(self):
        self.port, self.move = free_port(), free_port()
        self.config.seek(0)
        self.config.truncate()
        self.config.write(CONFIG % vars(self))
        self.config.flush()
        with open(self.config.name + ".log", "wb") as log:
            self.process = subprocess.Popen(
                ["dcmqrscp", "-c", self.config.name, *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        for _ in range(400):
            if self.process.poll() is not None:
                return False
            if answers(self.port):
                return True
            time.sleep(0.05)
        return False

    def asked_for(self, service, level):
        """How many requests of this kind ("Find", "Get", "Move") there were; with the
        flag -v."""
        with open(self.config.name + ".log", errors="replace") as f:
            return len(re.findall(r"I: %s SCP Request Identifiers:\n(?:I: .*\n){1,9}?"
                                  r"I: \(0008,0052\) CS \[%s" % (service, level),
                                  f.read()))

    @property
    def source(self):
        return "dimse://VIVOFS@127.0.0.1:%d/ARCHIVE" % self.port

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.unlink(self.config.name)
        os.unlink(self.config.name + ".log")


def main():
    parser = argparse.ArgumentParser()
    synthetic.add_arguments(parser)
    parser.add_argument("--flag", action="append", default=[],
                        help="passed on, as in --flag=--disable-get")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that folders are removed
    with tempfile.TemporaryDirectory(prefix="vivo-dcmqrscp-") as temporary:
        folder = synthetic.folder_of(args, temporary)
        with Dcmqrscp(folder, args.flag) as server:
            print("127.0.0.1:%d %d %s" % (server.port, server.move, server.folder),
                  flush=True)
            while sys.stdin.buffer.read(4096):
                pass


if __name__ == "__main__":
    main()
