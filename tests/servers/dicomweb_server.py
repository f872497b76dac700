#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A DICOMweb server for tests: QIDO-RS, WADO-RS and metadata over a folder, with the
quirks and faults of real servers behind knobs.

Prints its base URL as its first line and serves until its standard input ends.

    dicomweb_server.py FOLDER | --make P,T,S,I  [--port N] [NAME=VALUE ...]

    GET /__set?NAME=VALUE&...   turns knobs     GET /__reset   back to the defaults
    GET /__log                  what was asked  GET /__count   instances retrieved
    GET /__file/UID             the file as it is in the folder

Source: PS3.18 sections 8.6, 10.4, 10.6, annex F.
"""
import argparse
import base64
import http.server
import io
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import pydicom  # noqa: E402

import synthetic  # noqa: E402

warnings.filterwarnings("ignore")

DEFAULTS = {
    # Of stored files: exactly this instead of one, bytes added (taken away), 206.
    "wrong": "", "grow": 0, "ranges": 1,
    "match": "",            # faults concern only requests whose path has this (an RE)
    "latency": 0,           # ms before every answer
    "empty": "[]",          # no match: [] | 204 | 404
    "cap": 0,               # rows a page at most
    "cap_warning": 1,       # ... and says so with Warning: 299
    "cap_206": 0,           # ... or with status 206
    "too_large": 0,         # limit above this: 413
    "too_many": 0,          # more rows than this: 413, whatever the limit
    "order": "stable",      # | random: another order at every request
    "ignore_limit": 0, "ignore_offset": 0, "ignore_filter": 0,
    "no_fields": 0,         # includefield: 400
    "html": 0,              # a login page instead of JSON
    "json": "",             # exactly this instead of JSON
    "fail": 0,              # this status ...
    "fail_times": 1000000,  # ... this often
    "fail_body": "",        # ... with this body
    "retry_after": "",      # ... with this Retry-After
    "auth": "",             # "user:password" or "bearer:token", else 401
    "redirect": "",         # 302 to this + path
    "cut": -1,              # close after so many bytes of the body ...
    "cut_times": 1000000,   # ... this often
    "stall": -1,            # stop after so many bytes, keep the connection
    "length": 0,            # added to Content-Length
    "close": 0,             # no Content-Length: the body ends with the connection
    "chunked": 0,
    "accept": "both",       # of instances: multipart | single | both | none
    "refuse": 406,          # status for the other one
    "boundary": "vivo-test-boundary", "quoted": 1,
    "last_boundary": 1,     # 0: the closing one is missing
    "part_length": 1,       # Content-Length in parts
    "part_length_add": 0,
    "preamble": "",         # text before the first boundary
    "parts": 1,             # the object this often in one reply
    "part_cut": 0,          # so many bytes of the last part are missing
    "part_type": "application/dicom",
    "part_stall": 0,        # nothing more after so many parts, until it is turned off
    "no_series": 0,         # whole series: this status
    "series_short": 0,      # so many of its objects are not sent ...
    "series_foreign": 0,    # ... so many of others are
    "series_words": 0,      # ... so many parts are no objects
    "series_twice": 0,      # ... so many come twice
    "wrong_object": 0,      # another object than asked for
    "status": 200,          # of successful retrieves (206)
    "no_search": 0,         # series of all studies: this status
    "bad_keys": 0,          # keys of attributes other than UIDs: this status
    "ignore_keys": 0,       # ... or as if they were not there
    "minds_case": 0,        # text is compared as it is
    "no_wild": 0,           # * and ? mean themselves
    "escapes": "decode",    # | raw: percent-escapes of values are not undone
    "metadata_extra": 0,    # AvailableTransferSyntaxUID in metadata
    "no_counts": 0,         # rows say nothing of how many series and instances
    "no_metadata": 0,       # metadata of series: this status
    "no_one_metadata": 404,  # metadata of an instance: this status
}
STUDY = ("00080020 00080030 00080050 00100010 00100020 00100030 00100040 0020000D "
         "00200010").split()
SERIES = "00080060 0020000E 00200011".split()
INSTANCE = "00080016 00080018 00200013 00280010 00280011 00280100".split()


class Archive:
    """The files, by UID."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}     # SOP Instance UID: path
        self.headers = {}   # SOP Instance UID: Dataset
        self.tree = {}      # study: {series: [instance]}
        for where, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                self.add(os.path.join(where, name))

    def add(self, path):
        try:
            ds = pydicom.dcmread(path)
            key = str(ds.SOPInstanceUID)
            place = (str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID))
        except (pydicom.errors.InvalidDicomError, AttributeError, OSError):
            return
        if key in self.files:
            return
        self.files[key] = path
        self.headers[key] = ds
        self.tree.setdefault(place[0], {}).setdefault(place[1], []).append(key)

    def first(self, study, series=None):
        members = self.tree[study]
        return self.headers[members[series or next(iter(members))][0]]


class Unseekable(io.BytesIO):
    """What a zip is written to as a stream: sizes stand behind its members."""
    def seekable(self):
        return False

    def tell(self):
        raise io.UnsupportedOperation("tell")


MATCHES = {"StudyDate": "00080020", "StudyTime": "00080030", "AccessionNumber": "00080050",
           "ModalitiesInStudy": "00080061", "PatientID": "00100020",
           "Modality": "00080060", "StudyInstanceUID": "0020000D",
           "SeriesInstanceUID": "0020000E"}


def meets(row, name, wanted, k):
    """PS3.4 C.2.2.2: ranges of dates, wildcards, single values."""
    have = [str(v) for v in row.get(MATCHES[name], {}).get("Value", [])]
    if name in ("StudyDate", "StudyTime") and "-" in wanted:
        low, high = wanted.split("-")
        return any(low <= v <= (high or "99999999") for v in have)
    if not k["minds_case"]:
        wanted, have = wanted.lower(), [v.lower() for v in have]
    if k["no_wild"] or not set(wanted) & set("*?"):
        return wanted in have
    pattern = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in wanted)
    return any(re.fullmatch(pattern, v) for v in have)


def json_of(ds, tags=None):
    """The DICOM JSON model, bulk data by reference."""
    out = {}
    for element in ds:
        key = "%08X" % element.tag
        if tags is not None and key not in tags:
            continue
        try:
            out[key] = element.to_json_dict(lambda e: "bulk/" + "%08X" % e.tag, 64)
        except (ValueError, TypeError, AttributeError, OverflowError):
            out[key] = {"vr": element.VR}
    return out


def value(vr, *values):
    return {"vr": vr, "Value": list(values)}


def study_row(a, study, fields):
    row = json_of(a.first(study), set(STUDY) | fields)
    members = a.tree[study]
    modalities = {str(a.first(study, s).get("Modality", "")) for s in members}
    row["00080061"] = value("CS", *sorted(modalities))
    row["00201206"] = value("IS", len(members))
    row["00201208"] = value("IS", sum(map(len, members.values())))
    row["00081190"] = value("UR", "http://internal.invalid/studies/" + study)
    return row


def series_row(a, study, series, fields):
    row = json_of(a.first(study, series), set(SERIES) | {"0020000D"} | fields)
    row["00201209"] = value("IS", len(a.tree[study][series]))
    row["00081190"] = value("UR", "http://internal.invalid/")
    return row


def search_row(a, study, series, fields):
    """Series of all studies come with attributes of their study."""
    return dict(study_row(a, study, fields), **series_row(a, study, series, fields))


def instance_row(a, key, fields):
    return json_of(a.headers[key], set(INSTANCE) | {"0020000D", "0020000E"} | fields)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port, archive, knobs):
        super().__init__(("127.0.0.1", port), Handler)
        self.archive = archive
        self.initial = knobs
        self.knobs = dict(knobs)
        self.lock = threading.Lock()
        self.log = []
        self.retrieved = 0

    def set(self, pairs):
        with self.lock:
            for name, text in pairs:
                default = DEFAULTS[name]
                self.knobs[name] = int(text) if isinstance(default, int) else text


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "test"

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # who asked has gone

    # ---- answers

    def answer(self, status, kind="text/plain", body=b"", headers=()):
        """The body goes through the transport knobs."""
        k = self.k
        faulty = status in (200, 206)
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        if status == 204:
            self.end_headers()
            return
        self.send_header("Content-Type", kind)
        close = faulty and k["close"]
        chunked = faulty and k["chunked"]
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not close:
            length = len(body) + (k["length"] if faulty else 0)
            self.send_header("Content-Length", str(length))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.entry["status"] = status
        if faulty and (self.is_cut() or k["stall"] >= 0):
            self.break_off(body, chunked)
        elif chunked:
            for at in range(0, len(body), 1000):
                piece = body[at:at + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
            if faulty and k["length"] > 0:
                self.close_connection = True

    def stored(self, data, headers=()):
        """A file of a store that knows ranges, or (ranges=0) says so only."""
        k = self.k
        data = (k["wrong"].encode() or data) + b"x" * k["grow"]
        data = data[:len(data) + min(k["grow"], 0)]
        wanted = self.headers.get("Range", "")
        kind = "application/octet-stream"
        if not wanted:
            with self.server.lock:
                self.server.retrieved += 1
        if not wanted or not k["ranges"]:
            return self.answer(200, kind, data, headers)
        first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        last = min(last, len(data) - 1)
        return self.answer(206, kind, data[first:last + 1], [
            *headers, ("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))])

    def is_cut(self):
        if self.k["cut"] < 0:
            return False
        with self.server.lock:
            self.server.knobs["cut_times"] -= 1
            return self.server.knobs["cut_times"] >= 0

    def break_off(self, body, chunked):
        k = self.k
        n = k["cut"] if k["cut"] >= 0 else k["stall"]
        part = body[:n]
        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked and part else part)
        self.wfile.flush()
        self.close_connection = True
        if k["cut"] >= 0:
            return
        self.connection.settimeout(0.1)
        while self.server.knobs["stall"] >= 0 or self.server.knobs.get("zip_stall") \
                or self.server.knobs["part_stall"]:
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                pass

    def json(self, rows, status=200, headers=()):
        if self.k["html"]:
            self.answer(200, "text/html; charset=utf-8", b"<html>Log in</html>")
        elif self.k["json"]:
            self.answer(200, "application/dicom+json", self.k["json"].encode())
        elif not rows and self.k["empty"] != "[]":
            self.answer(int(self.k["empty"]))
        else:
            self.answer(status, "application/dicom+json", json.dumps(rows).encode(),
                        headers)

    # ---- control

    def control(self, path, query):
        s = self.server
        self.k = DEFAULTS
        if path == "/__set":
            s.set(urllib.parse.parse_qsl(query, keep_blank_values=True))
        elif path == "/__reset":
            with s.lock:
                s.knobs = dict(s.initial)
                s.log.clear()
        elif path == "/__log":
            with s.lock:
                return self.answer(200, "application/json", json.dumps(s.log).encode())
        elif path == "/__count":
            return self.answer(200, body=str(s.retrieved).encode())
        elif path.startswith("/__file/"):
            name = s.archive.files.get(path[8:])
            if not name:
                return self.answer(404)
            with open(name, "rb") as f:
                return self.answer(200, "application/dicom", f.read())
        return self.answer(200, body=b"ok")

    # ---- requests

    def do_HEAD(self):
        self.k = DEFAULTS
        self.entry = {}
        self.answer(404)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.entry = {"method": self.command, "path": path, "query": query,
                      "accept": self.headers.get("Accept"),
                      "authorization": self.headers.get("Authorization")}
        if path.startswith("/__"):
            return self.control(path, query)
        s = self.server
        with s.lock:
            self.k = dict(s.knobs)
            s.log.append(self.entry)
        if not re.search(self.k["match"], path):
            self.k = dict(DEFAULTS, **{n: self.k[n] for n in ("auth", "latency")})
        time.sleep(self.k["latency"] / 1000)
        try:
            if not self.refuse(path, query):
                pairs = urllib.parse.parse_qsl(query)
                if self.k.get("escapes") == "raw":
                    pairs = [tuple(p.split("=", 1)) for p in query.split("&") if "=" in p]
                self.serve(path, pairs)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_GET

    def refuse(self, path, query):
        """401, 503 and redirects, before anything is looked at."""
        k = self.k
        if k["auth"]:
            kind, _, rest = k["auth"].partition(":")
            want = "Basic " + base64.b64encode(k["auth"].encode()).decode()
            if kind == "bearer":
                want = "Bearer " + rest
            if self.headers.get("Authorization") != want:
                self.answer(401, headers=[("WWW-Authenticate", 'Basic realm="t"')])
                return True
        with self.server.lock:
            failing = k["fail"] and self.server.knobs["fail_times"] > 0
            if failing:
                self.server.knobs["fail_times"] -= 1
        if failing:
            again = [("Retry-After", k["retry_after"])] if k["retry_after"] else []
            self.answer(k["fail"], body=k["fail_body"].encode(), headers=again)
            return True
        if k["redirect"]:
            self.answer(302, headers=[("Location", k["redirect"] + path +
                                       ("?" + query if query else ""))])
            return True
        return False

    def serve(self, path, query):
        a = self.server.archive
        parts = path.strip("/").split("/")
        if parts[0] != "dicom-web":
            return self.answer(404)
        p = parts[1:]
        words = p[::2]
        ids = p[1::2]
        if len(ids) > 0 and ids[0] not in a.tree:
            return self.missing(words, ids)
        if len(ids) > 1 and ids[1] not in a.tree[ids[0]]:
            return self.missing(words, ids)
        if words == ["series"] and not ids:
            if self.k["no_search"]:
                return self.answer(self.k["no_search"])
            every = [(search_row, (s, r)) for s in a.tree for r in a.tree[s]]
            return self.rows(query, every, "0020000E")
        if words == ["studies"] and not ids:
            return self.rows(query, [(study_row, (s,)) for s in a.tree], "0020000D")
        if words == ["studies", "series"] and len(ids) == 1:
            return self.rows(query, [(series_row, (ids[0], s)) for s in a.tree[ids[0]]],
                             "0020000E")
        if words == ["studies", "series", "instances"] and len(ids) == 2:
            return self.rows(query, [(instance_row, (i,)) for i in a.tree[ids[0]][ids[1]]],
                             "00080018")
        if words == ["studies", "series", "metadata"] and len(ids) == 2:
            if self.k["no_metadata"]:
                return self.answer(self.k["no_metadata"])
            return self.metadata(a.tree[ids[0]][ids[1]])
        if words == ["studies", "series", "instances", "metadata"] and len(ids) == 3:
            if self.k["no_one_metadata"]:
                return self.answer(self.k["no_one_metadata"])
            return self.metadata([ids[2]])
        if words == ["studies", "series", "instances"] and len(ids) == 3:
            if ids[2] not in a.tree[ids[0]][ids[1]]:
                return self.answer(404)
            return self.retrieve(ids[2])
        if words == ["studies", "series"] and len(ids) == 2:
            return self.retrieve_series(a.tree[ids[0]][ids[1]])
        return self.answer(404)

    def missing(self, words, ids):
        """Children of what is not there: an empty list, as Orthanc; objects: 404."""
        if len(words) > len(ids) and words[-1] != "metadata":
            return self.json([])
        return self.answer(404)

    def rows(self, query, makers, uid_key):
        k = self.k
        get = dict(query).get
        fields = {t for n, v in query if n == "includefield" for t in v.split(",")}
        if fields and k["no_fields"]:
            return self.answer(400)
        limit = int(get("limit", 0)) or len(makers)
        offset = 0 if k["ignore_offset"] else int(get("offset", 0))
        if k["too_large"] and limit > k["too_large"]:
            return self.answer(413)
        if k["ignore_limit"]:
            limit = len(makers)
        keys = [(n, v) for n, v in query if n in MATCHES and not k["ignore_filter"]]
        if k["bad_keys"] and any("UID" not in n for n, _ in keys):
            return self.answer(k["bad_keys"])
        if k["ignore_keys"]:
            keys = [(n, v) for n, v in keys if "UID" in n]
        rows = [f(self.server.archive, *args, fields) for f, args in makers]
        for row in rows if k["no_counts"] else []:
            for tag in ("00201206", "00201208", "00201209"):
                row.pop(tag, None)
        for name, wanted in keys:
            rows = [r for r in rows if meets(r, name, wanted, k)]
        if k["order"] == "random":
            random.shuffle(rows)
        if k["too_many"] and len(rows) > k["too_many"]:
            return self.answer(413)
        page = rows[offset:offset + limit]
        headers = []
        status = 200
        if k["cap"] and len(page) > k["cap"]:
            page = page[:k["cap"]]
            left = len(rows) - offset - len(page)
            if k["cap_warning"]:
                headers = [("Warning", '299 test "There are %d more"' % left)]
            if k["cap_206"]:
                status = 206
        return self.json(page, status, headers)

    def metadata(self, keys):
        rows = []
        for key in keys:
            row = json_of(self.server.archive.headers[key])
            if self.k["metadata_extra"]:
                syntax = self.server.archive.headers[key].file_meta.TransferSyntaxUID
                row["00083002"] = value("UI", str(syntax))
            rows.append(row)
        return self.json(rows)

    def retrieve(self, key):
        k = self.k
        a = self.server.archive
        with self.server.lock:
            self.server.retrieved += 1
        if k["wrong_object"]:
            key = next(i for i in a.files if i != key)
        with open(a.files[key], "rb") as f:
            data = f.read()
        accept = self.headers.get("Accept", "")
        if "transfer-syntax=*" not in accept:
            return self.answer(406)
        multipart = accept.startswith("multipart/related")
        if k["accept"] not in ("both", "multipart" if multipart else "single"):
            return self.answer(k["refuse"])
        if not multipart and k["ranges"] and self.headers.get("Range"):
            return self.stored(data)
        if not multipart:
            return self.answer(k["status"], "application/dicom", data)
        return self.send_multipart([data] * k["parts"])

    def retrieve_series(self, keys):
        """A multipart reply of all instances, in any order; never a single part."""
        k, a = self.k, self.server.archive
        if k["no_series"] or "transfer-syntax=*" not in self.headers.get("Accept", ""):
            return self.answer(k["no_series"] or 406)
        with self.server.lock:
            self.server.retrieved += 1
        keys = keys[k["series_short"]:]
        keys += [i for i in a.files if i not in keys][:k["series_foreign"]]
        random.Random(1).shuffle(keys)
        parts = [self.file(i) for i in keys]
        parts += [b"This is no object.\r\n"] * k["series_words"] + parts[:k["series_twice"]]
        return self.send_multipart(parts)

    def file(self, key):
        with open(self.server.archive.files[key], "rb") as f:
            return f.read()

    def send_multipart(self, datas):
        k = self.k
        b = k["boundary"]
        kind = 'multipart/related; type="application/dicom"; boundary=' + (
            '"%s"' % b if k["quoted"] else b)
        body = (k["preamble"].encode() + b"\r\n") if k["preamble"] else b""
        if k["part_cut"]:
            datas = datas[:-1] + [datas[-1][:-k["part_cut"]]]
        for n, data in enumerate(datas):
            length = len(data) + k["part_length_add"]
            body += b"--" + b.encode() + b"\r\nContent-Type: " + k["part_type"].encode()
            if k["part_length"]:
                body += b"\r\nContent-Length: %d" % length
            body += b"\r\n\r\n" + data + b"\r\n"
            if n + 1 == k["part_stall"]:
                k["stall"] = len(body) + len(b) + 4
        if k["last_boundary"]:
            body += b"--" + b.encode() + b"--\r\n"
        return self.answer(k["status"], kind, body)


def run(make, where, made=None, **options):
    """A server as a program: make(port, archive, knobs, arguments) over a folder, until the
    standard input ends. where: its path; made: lays out a folder of --make; options: more
    arguments, as those of add_argument."""
    parser = argparse.ArgumentParser()
    synthetic.add_arguments(parser)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--knob", action="append", default=[], metavar="NAME=VALUE")
    for name, how in options.items():
        parser.add_argument("--" + name, **how)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the folder is removed
    with tempfile.TemporaryDirectory(prefix="vivo-server-") as temporary:
        folder = synthetic.folder_of(args, temporary)
        if made and folder == temporary:
            made(folder)
        server = make(args.port, Archive(folder), dict(DEFAULTS), args)
        server.set(k.split("=", 1) for k in args.knob)
        server.initial = dict(server.knobs)
        print("http://127.0.0.1:%d%s" % (server.server_address[1], where), flush=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        while sys.stdin.buffer.read(4096):
            pass
        server.shutdown()


if __name__ == "__main__":
    run(lambda port, archive, knobs, _: Server(port, archive, knobs), "/dicom-web")
