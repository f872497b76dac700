#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The package service of the NIMH Data Archive for tests, and the store that its presigned
URLs lead to, over a folder, with the quirks of the real ones and more faults behind knobs.

Prints the URL of a package as its first line and serves until its standard input ends.
Control (/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; those of NDA are below. /__object/LOCATOR is the object that the driver
calls so; /__count counts files asked for whole.

    nda_server.py FOLDER | --make P,T,S,I  [--port N]

A subject's visit has one series as a zip or tgz and the others as files. image03 tells
whose the first subject's are by their addresses, the second's by path, and of the files
of the others nothing.
Source: nda-tools 0.2.27 (2025-06).
"""
import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402

PATH = "/api/package/1234567"
BUCKET = "nda.bucket.with.dots"
base.DEFAULTS.update({
    "user": "user:secret",
    "page_max": 0,          # a page has at most so many rows, whatever is asked
    "count_add": 0,         # added to file_count
    "last": 400,            # the status of a page behind the last
    "ids": "number",        # | text
    "images": 1,            # 0: no image03
    "head": 0,              # a line "image","03" before the names of image03
    "csv": 0,               # image03 is comma-separated
    "disagree": 0,          # two rows give each zip to two subjects
    "same_page": 0,         # every page is the first
    "expires": 3600,        # seconds that a URL lasts
    "no_url": 0,            # the reply leaves files out
    "url": "",              # exactly this instead of a presigned URL
    "slow": 0,              # ms that a whole file takes
    "field": "", "value": "",  # this field of every row is this JSON
    "pad": 0,               # bytes of a text in every row
    "empty_body": 0,        # 200 and nothing
    "text": "",             # exactly this instead of a list
})


def guid(n):
    return "NDAR_INV%08d" % n


class Server(base.Server):
    def __init__(self, port, archive, knobs):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        self.files = {}     # id: (alias, data)
        self.members = {}   # id: {path: data}
        self.images = []    # rows of image03
        self.signed_from = 0
        self.signed = 0
        self.fill()

    def add(self, alias, data):
        key = str(9000 + len(self.files))
        self.files[key] = (alias, data)
        return key

    def s3(self, key):
        return "s3://%s/submission_1/%s" % (BUCKET, self.files[key][0])

    def fill(self):
        people = []
        for study, series in self.archive.tree.items():
            who = str(self.archive.first(study).PatientID)
            if who not in people:
                people.append(who)
                visits = 0
            n = people.index(who)
            visits += 1
            for i, members in enumerate(series.values()):
                data = {}
                for k, member in enumerate(members):
                    with open(self.archive.files[member], "rb") as f:
                        data["IM%04d.dcm" % k] = f.read()
                if i == 0:
                    self.pack(n, visits, data)
                else:
                    self.loose(n, visits, i, data)
        for alias, data in (("image03/notes.txt", b"hello"), ("image03/t1.nii.gz", b"x"),
                            ("package_file_metadata_1234567.txt.gz", b"x"),
                            ("empty.dcm", b"")):
            self.add(alias, data)
        self.text_id = self.add("image03.txt", b"")
        self.again = self.add(*self.files["9000"])  # the same, through another study

    def pack(self, n, visit, data):
        members = {"series/" + k: v for k, v in data.items()}
        members["notes.txt"] = b"hello"
        out = io.BytesIO()
        if visit % 2:
            how = zipfile.ZIP_DEFLATED if n % 2 else zipfile.ZIP_STORED
            with zipfile.ZipFile(out, "w", how) as z:
                for name, one in members.items():
                    z.writestr(name, one)
        else:
            with tarfile.open(fileobj=out, mode="w:gz") as t:
                for name, one in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(one)
                    t.addfile(info, io.BytesIO(one))
        alias = "image03/scan_%d_%d.%s" % (n, visit, "zip" if visit % 2 else "tgz")
        key = self.add(alias, out.getvalue())
        self.members[key] = members
        self.image(n, visit, self.s3(key) if n == 0 else os.path.basename(alias), "CT")

    def loose(self, n, visit, i, data):
        for name, one in data.items():
            key = self.add("image03/%s/v%d/s%d/%s" % (guid(n), visit, i, name), one)
            if n == 0:
                self.image(n, visit, self.s3(key), "MRI")

    def image(self, n, visit, where, modality):
        self.images.append((guid(n), "P%d" % n, "%02d/15/2011" % visit, "V%d" % visit,
                            where, 'a "good" scan', "DICOM", modality))

    def data(self, key, k):
        if key != self.text_id:
            return self.files[key][1]
        tab = "," if k["csv"] else "\t"
        heads = ["subjectkey", "src_subject_id", "interview_date", "visit", "image_file",
                 "image_description", "image_file_format", "image_modality"]
        rows = [heads, ["The NDA Global Unique Identifier", "", "Date", "Visit",
                        "Where the file is", "What it is", "", ""]]
        rows += [list(r) for r in self.images]
        if k["disagree"]:
            rows += [[guid(77)] + list(r[1:]) for r in self.images]
        text = '"image"%s"03"\n' % tab if k["head"] else ""
        for row in rows:
            text += tab.join('"%s"' % c.replace('"', '""') for c in row) + "\r\n"
        return text.encode()


class Handler(base.Handler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.k = base.DEFAULTS
        self.entry = {}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/__expire":
            self.server.signed_from = self.server.signed
            return self.answer(200, body=b"ok")
        if path.startswith("/__object/"):
            words = path.split("/", 5)[2:]
            if words[0] == "m":
                data = self.server.members.get(words[1], {}).get(words[3])
            else:
                data = self.server.files.get(words[1], ("", None))[1]
            return self.answer(404) if data is None else self.answer(200, body=data)
        return super().do_GET()

    do_POST = do_GET

    def refusal(self, status, words):
        self.answer(status, "application/json", json.dumps({"message": words}).encode())

    def serve(self, path, query):
        self.entry["range"] = self.headers.get("Range", "")
        get = dict(query).get
        if path.startswith("/" + BUCKET + "/"):
            return self.signed(path.split("/")[2], get)
        want = "Basic " + base64.b64encode(self.k["user"].encode()).decode()
        if self.headers.get("Authorization") != want:
            return self.refusal(401, "Unauthorized")
        if path == PATH:
            return self.tell({"package_id": 1234567, "description": "Doe^Jane",
                              "has_associated_files": True,
                              "file_count": len(self.rows()) + self.k["count_add"]})
        if path == PATH + "/files":
            return self.page(get)
        if path == PATH + "/files/batchGeneratePresignedUrls":
            return self.sign(json.loads(self.body))
        return self.refusal(404, "no such package")

    def tell(self, data):
        k = self.k
        if k["empty_body"]:
            return self.answer(200, "application/json", b"")
        if k["text"] or k["html"]:
            return self.answer(200, "text/html", k["text"].encode() or b"<html>Log in</html>")
        return self.answer(200, "application/json", json.dumps(data).encode())

    def rows(self):
        k = self.k
        s = self.server
        rows = []
        for key, (alias, _) in s.files.items():
            if key == s.text_id and not k["images"]:
                continue
            row = {"package_file_id": int(key) if k["ids"] == "number" else key,
                   "download_alias": alias, "file_size": len(s.data(key, k)),
                   "nda_file_type": "Data", "nda_s3_url": s.s3(key)}
            if k["field"]:
                row[k["field"]] = json.loads(k["value"])
            if k["pad"]:
                row["description"] = "x" * k["pad"]
            rows.append(row)
        return rows

    def page(self, get):
        k = self.k
        number = 1 if k["same_page"] else int(get("page", 1))
        size = int(get("size", 100))
        if k["page_max"]:
            size = min(size, k["page_max"])
        rows = self.rows()
        if number > 1 and (number - 1) * size >= len(rows):
            return self.refusal(k["last"], "Cannot navigate past last page")
        return self.tell({"results": rows[(number - 1) * size:number * size]})

    def sign(self, keys):
        k = self.k
        s = self.server
        with s.lock:
            s.signed += 1
            mark = s.signed
        if not set(map(str, keys)) <= set(s.files):
            return self.refusal(404, "no such file")
        until = time.time() + k["expires"]
        return self.tell({"presignedUrls": [] if k["no_url"] else [
            {"package_file_id": key, "downloadURL": k["url"] or
             "http://localhost:%d/%s/%s?X-Amz-Expires=%f&n=%d&X-Amz-Signature=s3cret" %
             (s.server_address[1], BUCKET, key, until, mark)} for key in keys]})

    def signed(self, key, get):
        """Where the files lie."""
        k = self.k
        s = self.server
        if self.headers.get("Authorization"):
            return self.answer(400, "application/xml", b"<Error>two signatures</Error>")
        if float(get("X-Amz-Expires")) < time.time() or int(get("n")) <= s.signed_from:
            return self.answer(403, "application/xml",
                               b"<Error><Code>AccessDenied</Code></Error>")
        data = s.data(key, k)
        if k["slow"] and not self.headers.get("Range"):
            with s.lock:
                s.retrieved += 1
            return self.trickle(data)
        return self.stored(data, [("ETag", '"%s"' % hashlib.md5(data).hexdigest())])

    def trickle(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for i in range(20):
            self.wfile.write(data[i * len(data) // 20:(i + 1) * len(data) // 20])
            time.sleep(self.k["slow"] / 20000)


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, _: Server(port, archive, knobs), PATH)
