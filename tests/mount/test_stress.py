# SPDX-License-Identifier: Apache-2.0
"""Many callers at once while the archive changes: every answer is right or an error,
nothing hangs, and the mount ends in order."""
import concurrent.futures
import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess

import pytest

import synthetic
from vivomount import Mount

SEED = int(os.environ.get("VIVOFS_TEST_SEED", "7"))
ALLOWED = {errno.ENOENT, errno.EINTR, errno.ESTALE, errno.EEXIST}
QUERIES = ["Modality=CT", "Modality=MR and InstanceNumber=1", "Modalty=CT",
           "patient(Modality=CT)", "InstanceNumber>1", "PatientID=PAT0000"]


class Caller:
    def __init__(self, mount, seed, whole):
        self.m, self.rnd, self.whole = mount, random.Random(seed), whole
        self.done = 0

    def step(self):
        act = self.rnd.choice([self.read, self.read, self.walk, self.query, self.facet,
                               self.save, self.status, self.kill])
        try:
            act()
            self.done += 1
        except OSError as e:
            assert e.errno in ALLOWED, (act.__name__, errno.errorcode[e.errno])

    def read(self):
        path = self.m / self.rnd.choice(self.m.files())
        with open(path, "rb") as f:
            data = f.read()
        assert hashlib.sha256(data).hexdigest() in self.whole

    def walk(self):
        subprocess.run(["find", self.m.path, "-ls"], capture_output=True, timeout=60)

    def query(self):
        q = self.rnd.choice(QUERIES)
        if os.path.exists(self.m / f"loc/q/{q}/.error"):
            return
        files = self.m.files(f"loc/q/{q}")
        with open(self.m / f"loc/q/{q}/.count") as f:
            assert len(f.read().splitlines()) == 5
        assert all(f.count("/") == 4 for f in files)

    def facet(self):
        for value in os.listdir(self.m / "loc/by/Modality"):
            self.m.files(f"loc/by/Modality/{value}")

    def save(self):
        name = self.m / f"loc/q/saved{self.rnd.randrange(3)}"
        if self.rnd.random() < 0.5:
            os.symlink(self.rnd.choice(QUERIES[:2]), name)
        else:
            os.unlink(name)

    def status(self):
        assert self.m.status()["archives"][0]["name"] == "loc"

    def kill(self):
        kid = subprocess.Popen(["find", self.m.path, "-type", "f"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kid.send_signal(self.rnd.choice([signal.SIGINT, signal.SIGKILL]))
        kid.wait(30)


@pytest.mark.parametrize("options", ["", "magic"])
def test_right_or_an_error_while_everything_changes(tmp_path, options):
    print("seed", SEED)
    source, beside = tmp_path / "source", tmp_path / "beside"
    (source / "a").mkdir(parents=True)
    beside.mkdir()
    whole = set()

    def note(paths):
        for p in paths.values():
            with open(p, "rb") as f:
                whole.add(hashlib.sha256(f.read()).hexdigest())

    note(synthetic.make(str(source / "a"), "a"))
    with Mount({"loc": str(source)}, options) as m:
        callers = [Caller(m, SEED * 100 + i, whole) for i in range(6)]

        def run(caller):
            for _ in range(25):
                caller.step()

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(run, c) for c in callers]
            for i in range(8):
                # Beside the source first: a half-written file is nobody's object.
                new = beside / f"n{i}"
                new.mkdir()
                note(synthetic.make(str(new), f"n{i}", 1, 1, 2, 2))
                new.rename(source / new.name)
                with open(m / ".vivofs/refresh", "w") as f:
                    f.write("loc\n")
                if i % 2:
                    shutil.rmtree(source / new.name)
            for job in jobs:
                job.result(timeout=120)
        assert sum(c.done for c in callers) > 75
        assert m.proc.poll() is None
