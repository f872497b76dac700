# SPDX-License-Identifier: Apache-2.0
"""A mount over a real S3 server, s3rver from npm, put into the build directory."""
import hashlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from vivomount import Mount

VERSION = "3.7.1"
# Signatures of version 4 are not looked at by this server; idc_server.py does that.
AUTH = ("AWS4-HMAC-SHA256 Credential=S3RVER/%s/us-east-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=0")


def program():
    """The server's script; s3rver is installed once a build directory."""
    place = os.path.join(os.environ["VIVOFS_BUILD"], "npm")
    script = os.path.join(place, "node_modules", "s3rver", "bin", "s3rver.js")
    if not os.path.exists(script):
        os.makedirs(place, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                        "--prefix", place, "s3rver@" + VERSION], check=True, timeout=240,
                       stdout=subprocess.DEVNULL)
    return script


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def put(url, key, data):
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    request = urllib.request.Request(
        url + urllib.parse.quote(key, safe="/-_.~"), data=data, method="PUT",
        headers={"Authorization": AUTH % now[:8], "x-amz-date": now,
                 "x-amz-content-sha256": hashlib.sha256(data).hexdigest()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=30).close()


@pytest.fixture(scope="module")
def bucket(folder, tmp_path_factory):
    port = free_port()
    server = subprocess.Popen(
        ["node", program(), "-s", "-d", str(tmp_path_factory.mktemp("s3rver")), "-a",
         "127.0.0.1", "-p", str(port), "--no-vhost-buckets", "--configure-bucket", "scans"],
        stdout=subprocess.DEVNULL)
    url = "http://127.0.0.1:%d/scans/" % port
    try:
        end = time.monotonic() + 30
        while True:
            try:
                put(url, "data/README.txt", b"no object")
                break
            except urllib.error.URLError:
                assert server.poll() is None and time.monotonic() < end
                time.sleep(0.05)
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as f:
                put(url, "data/a b+ü/" + name, f.read())
        yield "s3+http://127.0.0.1:%d/scans/data" % port
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("keys", [False, True])
def test_objects_of_a_real_store_are_what_was_put(bucket, folder, keys, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
        if keys:
            monkeypatch.setenv(name, "S3RVER")
    with Mount({"s3": bucket}) as m:
        got = []
        for f in m.files("s3"):
            with open(m / ("s3/" + f), "rb") as r:
                got.append(r.read())
    want = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as r:
            want.append(r.read())
    assert sorted(got) == sorted(want)


def test_unknown_keys_are_refused(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    with pytest.raises(RuntimeError, match="keys"):
        with Mount({"s3": bucket}):
            pass
