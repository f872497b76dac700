# SPDX-License-Identifier: Apache-2.0
"""A vivofs mount for one test: private directories, ready when it answers, always
unmounted; a daemon that logs an error fails its test.

    with Mount({"loc": folder}, "magic") as m:
        os.listdir(m / "loc/all")
"""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

BINARY = os.environ.get("VIVOFS", "vivofs")
LIMIT = 30  # seconds that anything may take here


def mounted(path):
    with open("/proc/self/mountinfo") as f:
        return next((l.split()[2] for l in f if l.split()[4] == path), None)


def environment(home):
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env["HOME"] = home
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        env[f"XDG_{name}_HOME"] = os.path.join(home, name.lower())
    return env


class Mount:
    """sources: {"name": source}; options as after -o."""

    def __init__(self, sources, options="", deid="none", home=None, faults=False,
                 flags=()):
        self.faults = faults  # errors in the log are what the test is about
        self.own_home = home is None
        self.home = home or tempfile.mkdtemp(prefix="vivofs-home-")
        self.path = tempfile.mkdtemp(prefix="vivofs-mnt-")
        self.logfile = os.path.join(self.home, "mount.log")
        opts = ",".join(o for o in (options, f"deid={deid}" if deid else "") if o)
        words = [f"{name}={source}" for name, source in sources.items()]
        argv = [BINARY, "mount", "-f", *flags, *(["-o", opts] if opts else []), *words]
        with open(self.logfile, "ab") as log:
            self.proc = subprocess.Popen(
                argv + [self.path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.home),
                start_new_session=True,
            )
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            self.forget_home()  # what the log said is in the exception
            raise

    def wait_ready(self):
        end = time.monotonic() + LIMIT
        while not mounted(self.path):
            if self.proc.poll() is not None:
                raise RuntimeError(f"exit {self.proc.returncode}: {self.log()}")
            if time.monotonic() > end:
                raise RuntimeError("not mounted in time: " + self.log())
            time.sleep(0.01)
        os.listdir(self.path)

    def __truediv__(self, rel):
        return os.path.join(self.path, rel)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        words = "BUG" if self.faults else "error|BUG"
        bad = re.search(rf"^\S+ ({words}) .*|.*Sanitizer.*", self.log(), re.M)
        if kind is None:
            assert not bad, self.log()
            assert self.proc.returncode == 0, self.log()
        elif os.path.exists(self.logfile):
            print(self.log())
        self.forget_home()

    def forget_home(self):
        if self.own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def log(self):
        with open(self.logfile, errors="replace") as f:
            return f.read()

    def unmount(self):
        """In order: the daemon ends by itself and leaves nothing."""
        subprocess.run(["fusermount3", "-u", self.path], check=True)
        return self.proc.wait(LIMIT)

    def close(self):
        if self.proc.poll() is None and mounted(self.path):
            subprocess.run(["fusermount3", "-u", self.path], capture_output=True)
        try:
            self.proc.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.abort()
        if mounted(self.path):
            subprocess.run(["fusermount3", "-uz", self.path], capture_output=True)
        if os.path.isdir(self.path) and not os.path.ismount(self.path):
            os.rmdir(self.path)

    def abort(self):
        """Ends a hung connection, so that nothing stays in state D."""
        device = mounted(self.path)
        control = "/sys/fs/fuse/connections/%s/abort" % (device or ":0").split(":")[1]
        if device and os.path.exists(control):
            with open(control, "w") as f:
                f.write("1")
        os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()

    def status(self):
        with open(self / ".vivofs/status.json") as f:
            return json.load(f)

    def counters(self):
        return self.status()["counters"]

    def archive(self, name):
        return next(a for a in self.status()["archives"] if a["name"] == name)

    def files(self, under=""):
        """Relative paths of the objects below, as os.walk finds them."""
        found = []
        top = os.path.join(self.path, under)
        for folder, dirs, names in os.walk(top, onerror=_raise):
            dirs[:] = [d for d in dirs if d not in ("q", "by", ".vivofs")]
            found += [os.path.relpath(os.path.join(folder, n), top) for n in names]
        return sorted(n for n in found if n.endswith(".dcm"))


def _raise(error):
    raise error
