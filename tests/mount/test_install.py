# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` lays down works from where it lies, and libraries of networks
are met only by who asks for one."""
import contextlib
import os
import socket
import subprocess

import pytest
import vivomount

QUERY = ["query", "Modality=CT"]


@pytest.fixture(scope="module", name="place")
def installed(tmp_path_factory):
    place = tmp_path_factory.mktemp("inst")
    subprocess.run(["cmake", "--install", os.environ["VIVOFS_BUILD"], "--prefix", place],
                   check=True, stdout=subprocess.DEVNULL)
    return place


def vivofs(place, *args):
    home = place / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run([place / "bin/vivofs", *args], capture_output=True, text=True,
                          env=vivomount.environment(str(home)), check=False)


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_program_is_linked_to_no_library_of_a_network(place):
    out = subprocess.run(["ldd", place / "bin/vivofs"], capture_output=True, text=True,
                         check=True).stdout
    assert "libc.so" in out
    assert not [n for n in ("libcurl", "libdcm", "liboflog") if n in out]


@contextlib.contextmanager
def without(place, *modules):
    aside = place / "aside"
    aside.mkdir(exist_ok=True)
    there = place / "libexec/vivofs"
    for name in modules:
        (there / name).rename(aside / name)
    try:
        yield there
    finally:
        for name in modules:
            (aside / name).rename(there / name)


@pytest.mark.parametrize("source, module", [
    ("http://127.0.0.1:%d/x/", "vivofs-http.so"),
    ("dimse://127.0.0.1:%d/X", "vivofs-dimse.so"),
])
def test_module_is_found_and_missing_one_is_named(place, source, module):
    source %= closed_port()
    found = vivofs(place, *QUERY, source)
    assert found.returncode != 0 and "connect" in found.stderr, found.stderr
    with without(place, module) as there:
        missing = vivofs(place, *QUERY, source)
        (there / module).write_text("this is no library")
        other = vivofs(place, *QUERY, source)
    assert missing.returncode != 0 and module + " is not installed" in missing.stderr
    assert other.returncode != 0 and module + " cannot be loaded" in other.stderr


def test_module_of_another_version_is_refused(place, tmp_path):
    (tmp_path / "m.c").write_text(
        "const struct { unsigned abi, size; const char *version; }"
        ' vivofs_http = {1, 1, "0"};\n')
    with without(place, "vivofs-http.so") as there:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", there / "vivofs-http.so",
                        tmp_path / "m.c"], check=True)
        out = vivofs(place, *QUERY, "http://127.0.0.1:%d/x/" % closed_port())
    assert out.returncode != 0 and "another version" in out.stderr


def test_folder_needs_no_module(place, tmp_path):
    with without(place, "vivofs-http.so", "vivofs-dimse.so"):
        out = vivofs(place, *QUERY, str(tmp_path))
    assert out.returncode == 0, out.stderr
