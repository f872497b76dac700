#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A MIDAS server, version 3, for tests: its Web API and downloads over a folder, with the
quirks of the real one and more faults behind knobs.

Prints its base URL (with a path) as its first line and serves until its standard input
ends. Control (/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; those of MIDAS are below. /__object/LOCATOR is the file that the driver
calls so; /__forget ends every token.

    midas_server.py FOLDER | --make P,T,S,I  [--port N]

Patients lie in two communities by turns, studies in folders of folders, a series is an
item of several bitstreams with an older revision; beside them lies what is no DICOM.
Source: MIDAS Server's source of 2019-04 (3.4.2).
"""
import hashlib
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402
import zips  # noqa: E402

PATH = "/midas"
base.DEFAULTS.update({
    "login": "me@example.org:secretapikey",
    "private": "",          # communities that guests do not see
    "numbers": 0,           # ids as numbers, not as texts
    "all_revisions": 0,     # "head" is not known
    "links": 0,             # bitstreams are elsewhere: 302
    "checksums": 1,
    "mfa": 0,               # the account has a second factor
    "login_page": 1,        # a private download is a page and 200; 0: 403
    "duplicates": 0,        # every row twice
    "loop": 0,              # folders hold one another
    "code": 0,              # every call fails with this code ...
    "method": "",           # ... whose method holds this text; json, html too
    "field": "", "value": "",  # this field of every row is this JSON
    "pad": 0,               # bytes of two texts in the first row
    "endless": 0,           # the answer never ends
    "empty_body": 0,        # 200 and nothing
    "text": "",             # exactly this instead of an answer
})
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class Server(base.Server):
    def __init__(self, port, archive, knobs):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        self.tokens = set()
        self.logins = 0
        self.communities, self.folders, self.items, self.files = {}, {}, {}, {}
        self.fill()

    def row(self, where, kind, name, **more):
        key = str(len(where) + 1)
        where[key] = dict(more, name=name, description="", date_update="2012-01-01",
                          uuid=hashlib.sha256((kind + key).encode()).hexdigest()[:26])
        where[key][kind + "_id"] = key
        return key

    def fill(self):
        names = ["Give A Scan", "Lungs & more/less"]
        tops = [self.row(self.communities, "community", n, folder_id="9") for n in names]
        self.row(self.communities, "community", "empty", folder_id="9")
        patients = {}
        for study, series in self.archive.tree.items():
            who = str(self.archive.first(study).PatientID)
            if who not in patients:
                patients[who] = self.row(self.folders, "folder",
                                         "Subject %d" % len(patients),
                                         top=tops[len(patients) % 2])
            folder = self.row(self.folders, "folder", "Visit " + study[-4:],
                              parent=patients[who], parent_id=patients[who])
            for uid, members in series.items():
                item = self.row(self.items, "item", "scan " + uid[-5:], folder=folder)
                self.file(item, 1, "old.dcm", b"an older revision")
                for n, member in enumerate(members):
                    self.file(item, 2, "IM%04d%s" % (n, ".dcm" if n % 2 else ""),
                              self.archive.files[member])
        for name, text in (("notes.txt", b"hello"), ("plain", b"hello"), ("empty", b""),
                           ("looks", b"\0" * 128 + b"DICM" + b"x" * 500),
                           ("slides.zip", b"PK\x03\x04")):
            item = self.row(self.items, "item", name, folder="1")
            self.file(item, 1, name, text)

    def file(self, item, revision, name, source):
        data = source
        if isinstance(source, str):
            with open(source, "rb") as f:
                data = f.read()
        self.row(self.files, "bitstream", name, item=item, revision=revision, data=data)

    def top_of(self, row):
        """The community that a folder, item or file is in."""
        while "top" not in row:
            if "item" in row:
                row = self.items[row["item"]]
            else:
                row = self.folders[row.get("folder") or row["parent"]]
        return self.communities[row["top"]]


class Handler(base.Handler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.k = base.DEFAULTS
        self.entry = {}
        self.form = {}
        if self.command == "POST":
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Type") == "application/x-www-form-urlencoded":
                self.form = dict(urllib.parse.parse_qsl(body.decode()))
        if path == "/__forget":
            self.server.tokens.clear()
            return self.answer(200, body=b"ok")
        if path.startswith("/__object/"):
            file = self.server.files.get(path.split("/")[2])
            return self.answer(200, body=file["data"]) if file else self.answer(404)
        return super().do_GET()

    do_POST = do_GET

    def serve(self, path, query):
        self.entry["range"] = self.headers.get("Range", "")
        self.get = dict(query, **self.form).get
        if path.startswith("/elsewhere/"):
            return self.content(self.server.files[path.split("/")[2]])
        if path == PATH + "/api/json":
            return self.call(self.get("method", ""))
        if path == PATH + "/download/":
            return self.download()
        return self.answer(404, "text/html", PAGE)

    # ---- the Web API

    def tell(self, data, code=0):
        k = self.k
        fine = k["method"] in self.get("method", "")
        if fine and k["code"]:
            code = k["code"]
        if fine and k["empty_body"]:
            return self.answer(200, "application/json", b"")
        if fine and k["endless"]:
            return self.flood()
        if fine and (k["html"] or k["text"]):
            return self.answer(200, "text/html", k["text"].encode() or PAGE)
        answer = {"code": code, "data": "" if code else data,
                  "message": "Invalid policy of Doe^Jane" if code else "",
                  "stat": "fail" if code else "ok"}
        if fine and k["json"]:
            answer["data"] = json.loads(k["json"])
        return self.answer(200, "application/json", json.dumps(answer).encode())

    def flood(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b'{"stat":"ok","data":[')
        line = b'{"community_id": "1", "name": "x"}, ' * 4096
        while True:
            self.wfile.write(line)

    def call(self, method):
        s = self.server
        if not method:
            return self.answer(200, body=b"Inconsistent request: please set a method")
        token = self.get("token")
        if token and token not in s.tokens:
            return self.tell("", -101)
        if method == "midas.version":
            return self.tell({"version": "3.4.2"})
        if method == "midas.login":
            told = "%s:%s" % (self.get("email"), self.get("apikey"))
            if told != self.k["login"] or self.get("appname") != "Default":
                return self.tell("", -150)
            if self.k["mfa"]:
                return self.tell({"mfa_token_id": "12"})
            with s.lock:
                s.logins += 1
                token = hashlib.sha256(b"%d" % s.logins).hexdigest()[:40]
                s.tokens.add(token)
            return self.tell({"token": token})
        return self.table(method, self.get("id", ""))

    def may_see(self, community, token):
        return (token in self.server.tokens or
                community["name"] not in self.k["private"].split(","))

    def table(self, method, key):
        s = self.server
        token = self.get("token")
        if method == "midas.community.list":
            rows = [c for c in s.communities.values() if self.may_see(c, token)]
            return self.tell(self.rows(sorted(rows, key=lambda r: r["name"])))
        if method == "midas.community.children":
            if key not in s.communities or not self.may_see(s.communities[key], token):
                return self.tell("", -151)
            return self.tell({"folders": self.rows(
                [f for f in s.folders.values() if f.get("top") == key])})
        if method == "midas.bitstream.get":
            f = s.files.get(key)
            if not f or not self.may_see(s.top_of(f), token):
                return self.tell("", -151)
            return self.tell({"id": key, "name": f["name"], "size": str(len(f["data"])),
                              "item_id": f["item"]})
        table = {"midas.folder.children": s.folders, "midas.item.get": s.items}.get(method)
        if table is None:
            return self.tell("", -100)
        if key not in table or not self.may_see(s.top_of(table[key]), token):
            return self.tell("", -151)
        if table is s.items:
            return self.tell(self.item(key))
        folders = [f for f in s.folders.values() if f.get("parent") == key]
        if self.k["loop"]:
            folders += [f for f in s.folders.values() if f not in folders and
                        s.top_of(f) == s.top_of(table[key])]
        return self.tell({"folders": self.rows(folders), "items": self.rows(
            [i for i in s.items.values() if i["folder"] == key])})

    def rows(self, rows):
        k = self.k
        rows = [dict(r) for r in rows]
        for row in rows:
            row.pop("data", None)
            if k["field"]:
                row[k["field"]] = json.loads(k["value"])
            if k["pad"] and row is rows[0]:
                row["name"] = row["description"] = "x" * k["pad"]
            for name in row:
                if k["numbers"] and (name.endswith("_id") or name == "sizebytes"):
                    row[name] = int(row[name])
        return [r for r in rows for _ in range(2 if k["duplicates"] else 1)]

    def item(self, key):
        k = self.k
        revisions = {}
        for f in self.server.files.values():
            if f["item"] != key:
                continue
            row = dict(f, sizebytes=str(len(f["data"])), path="79/11/x", mimetype="")
            if k["checksums"]:
                row["checksum"] = hashlib.md5(f["data"]).hexdigest()
            if k["links"]:
                row.update(path="http://elsewhere.invalid/x", sizebytes="0")
            revisions.setdefault(f["revision"], []).append(row)
        told = [{"itemrevision_id": key + str(n), "revision": str(n),
                 "bitstreams": self.rows(revisions[n])} for n in sorted(revisions)]
        if k["all_revisions"]:
            told.reverse()
        else:
            told = told[-1:] if self.get("head") else told
        return dict(self.server.items[key], revisions=told)

    # ---- files

    def zip(self, key):
        s = self.server
        files = [f for f in s.files.values() if f["item"] == key]
        if not files or not self.may_see(s.top_of(s.items[key]), self.get("authToken")):
            return self.answer(403, "text/html", PAGE)
        last = max(f["revision"] for f in files)
        files = [f for f in files if f["revision"] == last]
        return zips.answer(self, [(f["name"], f["data"]) for f in files])

    def download(self):
        s = self.server
        if self.get("items"):
            return self.zip(self.get("items"))
        file = s.files.get(self.get("bitstream"))
        if not file:
            return self.answer(404, "text/html", PAGE)
        if not self.may_see(s.top_of(file), self.get("authToken")):
            if self.k["login_page"]:
                return self.answer(200, "text/html; charset=UTF-8", PAGE)
            return self.answer(403, "text/html", PAGE)
        if self.k["links"]:
            return self.answer(302, headers=[(
                "Location", "http://localhost:%d/elsewhere/%s" %
                (s.server_address[1], file["bitstream_id"]))])
        return self.content(file)

    def content(self, file):
        return self.stored(file["data"], [("Accept-Ranges", "bytes"),
                                          ("Cache-Control", "must-revalidate"),
                                          ("Last-Modified", self.date_time_string())])


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, _: Server(port, archive, knobs), PATH)
