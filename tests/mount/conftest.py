# SPDX-License-Identifier: Apache-2.0
"""Folders of synthetic objects and mounts over them, shared by the mount tests."""
import os
import signal
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import query_corpus  # noqa: E402
import synthetic  # noqa: E402
from vivomount import Mount  # noqa: E402

# A shell that runs the tests in the background ignores SIGINT, and so would readers
# that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """2 patients x 2 studies x 2 series (CT, MR) x 3 instances."""
    path = str(tmp_path_factory.mktemp("objects"))
    synthetic.make(path)
    return path


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Patients of many kinds (query_corpus.py)."""
    path = str(tmp_path_factory.mktemp("hospital"))
    query_corpus.make(path)
    return path


@pytest.fixture(scope="module")
def mount(folder):
    """One mount for all tests of a file that change nothing."""
    with Mount({"loc": folder}) as m:
        yield m


@pytest.fixture
def server(shared_server):
    """The archive that a file runs for all of its tests, without knobs and log."""
    shared_server.reset()
    yield shared_server
    shared_server.reset()
