# SPDX-License-Identifier: Apache-2.0
"""`vivofs query` over one archive, with pushdown or from listings alone."""
import subprocess

from vivomount import BINARY, environment


def run(source, query, home, pushdown=True, options="deid=none", extra=()):
    env = environment(str(home))
    if not pushdown:
        env["VIVOFS_PUSHDOWN"] = "0"
    return subprocess.run(
        [BINARY, "query", "-o", options, *extra, query, f"h={source}"],
        env=env, capture_output=True, text=True)


def paths(*args, **more):
    r = run(*args, **more)
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()
