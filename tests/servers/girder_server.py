#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Girder for tests: collections, folders, items, files and logins over a folder, with
the quirks of the real one and more faults behind knobs.

Prints its base URL as its first line and serves until its standard input ends. Control
(/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; those of Girder are below. /__object/LOCATOR is the file that the
driver calls so; /__forget ends every token.

    girder_server.py FOLDER | --make P,T,S,I  [--port N]

Patients lie in two collections by turns, studies in folders of folders, a series is an
item of several files; beside them lies what is no DICOM.
Source: Girder's source of 2026-08.
"""
import base64
import datetime
import hashlib
import json
import os
import random
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402
import zips  # noqa: E402

API = "/api/v1"
base.DEFAULTS.update({
    "user": "user:secret",
    "key": "K" * 40,        # the API key
    "zip_root": "",         # what the folder of a zip is called, if not as its item
    "mixed": 0,             # so many bytes more in items of several files
    "otp": 0,               # the account has a second factor
    "private": "",          # collections that guests do not see
    "life": 86400,          # seconds that a token lasts
    "presigned": 0,         # files are on another host: 303
    "links": 0,             # files without a size
    "sha512": 0,
    "duplicates": 0,        # every row twice
    "loop": 0,              # folders hold one another
    "vanish": 0,            # so many rows go away between two pages
    "ignore_offset": 0,
    "total": 0,             # Girder-Total-Count
    "field": "", "value": "",  # this field of every row is this JSON
    "pad": 0,               # bytes of two texts in the first row
    "endless": 0,           # rows without end
    "empty_body": 0,        # 200 and nothing
    "many": 0,              # so many more collections, with nothing in them
})
TIME = "2020-01-02T03:04:05.678000+00:00"


def ident(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:24]


class Server(base.Server):
    def __init__(self, port, archive, knobs):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        self.tokens = set()
        self.logins = 0
        self.pages = 0
        self.collections, self.folders, self.items, self.files = {}, {}, {}, {}
        self.tables = {"collection": self.collections, "folder": self.folders,
                       "item": self.items, "file": self.files}
        self.fill()

    def row(self, where, kind, name, **more):
        key = ident(kind, name, *more.values())
        where[key] = dict(more, _id=key, _modelType=kind, name=name, created=TIME,
                          updated=TIME, description="", public=True)
        return key

    def fill(self):
        names = ["Brains", "Lungs & more/less"]
        tops = [self.row(self.collections, "collection", n) for n in names]
        self.row(self.collections, "collection", "empty")
        patients = []
        for study, series in self.archive.tree.items():
            who = str(self.archive.first(study).PatientID)
            if who not in patients:
                patients.append(who)
                self.row(self.folders, "folder", "Subject %d" % patients.index(who),
                         parent=tops[patients.index(who) % 2])
            number = patients.index(who)
            above = ident("folder", "Subject %d" % number, tops[number % 2])
            folder = self.row(self.folders, "folder", "Visit " + study[-4:], parent=above)
            for uid, members in series.items():
                item = self.row(self.items, "item", "scan " + uid[-5:], folderId=folder)
                for n, member in enumerate(members):
                    self.file(item, "IM%04d%s" % (n, ".dcm" if n % 2 else ""),
                              self.archive.files[member])
        self.others(ident("folder", "Subject 0", tops[0]))

    def others(self, folder):
        for name, text in (("notes.txt", b"hello"), ("plain", b"hello"), ("empty", b""),
                           ("looks", b"\0" * 128 + b"DICM" + b"x" * 500),
                           ("slides", b"PK\x03\x04")):
            item = self.row(self.items, "item", name, folderId=folder)
            self.file(item, name + (".zip" if name == "slides" else ""), text)

    def file(self, item, name, source):
        data = source
        if isinstance(source, str):
            with open(source, "rb") as f:
                data = f.read()
        key = self.row(self.files, "file", name, itemId=item)
        self.files[key].update(size=len(data), data=data, mimeType="application/dicom",
                               exts=["dcm"])

    def new_token(self):
        with self.lock:
            self.logins += 1
            token = hashlib.sha512(b"%d" % self.logins).hexdigest()[:64]
            self.tokens.add(token)
        return token


class Handler(base.Handler):
    def refusal(self, status, words):
        self.answer(status, "application/json",
                    json.dumps({"message": words, "type": "rest"}).encode())

    def token(self):
        return self.headers.get("Girder-Token") in self.server.tokens

    # ---- control and what is asked

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.k = base.DEFAULTS
        self.entry = {}
        if path == "/__forget":
            self.server.tokens.clear()
            return self.answer(200, body=b"ok")
        if path.startswith("/__object/"):
            file = self.server.files.get(path.split("/")[2])
            return self.answer(200, body=file["data"]) if file else self.answer(404)
        return super().do_GET()

    do_POST = do_GET

    def serve(self, path, query):
        s = self.server
        self.entry["token"] = self.headers.get("Girder-Token")
        self.entry["host"] = self.headers.get("Host")
        self.entry["range"] = self.headers.get("Range", "")
        if path.startswith("/elsewhere/"):
            return self.content(s.files[path.split("/")[2]])
        if not path.startswith(API + "/"):
            return self.answer(404, "text/html", b"<html>no such page</html>")
        words = path[len(API) + 1:].split("/")
        if len(query) != len(dict(query)):
            return self.refusal(400, "Parameter must not be specified multiple times.")
        get = dict(query).get
        if words == ["system", "version"]:
            return self.json({"release": "5.0.14"})
        if words == ["user", "authentication"]:
            return self.login()
        if words == ["user", "me"]:
            if self.token():
                return self.json({"_id": ident("me"), "login": "user"})
            return self.answer(200, "application/json", b"null")
        if words == ["api_key", "token"]:
            if self.command != "POST" or get("key") != self.k["key"]:
                return self.refusal(400, "Invalid API key.")
            return self.tell_token()
        return self.tables(words, get)

    def login(self):
        kind, _, rest = (self.headers.get("Authorization") or "").partition(" ")
        if kind != "Basic":
            return self.refusal(401, "Use HTTP Basic Authentication")
        if base64.b64decode(rest).decode() != self.k["user"]:
            return self.refusal(401, "Login failed.")
        if self.k["otp"] and not self.headers.get("Girder-OTP"):
            return self.refusal(401, "User authentication must include a one-time password "
                                '(typically in the "Girder-OTP" header).')
        return self.tell_token()

    def tell_token(self):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=self.k["life"])
        return self.json({"user": {"_id": ident("me")}, "authToken": {
            "token": self.server.new_token(), "expires": until.isoformat(), "scope": []}})

    # ---- tables

    def may_see(self, row):
        return self.token() or self.top_of(row)["name"] not in self.k["private"].split(",")

    def top_of(self, row):
        s = self.server
        while row["_modelType"] != "collection":
            parent = row.get("parent") or row.get("folderId") or row.get("itemId")
            row = (s.collections.get(parent) or s.folders.get(parent) or
                   s.items.get(parent))
        return row

    def refused(self):
        if self.token():
            return self.refusal(403, "Read access denied.")
        return self.refusal(401, "Read access denied.")

    def one(self, table, key, kind):
        row = table.get(key)
        if not row:
            return self.refusal(400, "Invalid %s id (%s)." % (kind, key))
        return row if self.may_see(row) else self.refused()

    def tables(self, words, get):
        s = self.server
        if words == ["collection"]:
            rows = [r for r in s.collections.values() if self.may_see(r)]
            more = ({"_id": ident("many", n), "_modelType": "collection", "name": "more"}
                    for n in range(self.k["many"]))
            return self.rows(rows + list(more), get)
        if words == ["folder"]:
            kind, parent = get("parentType"), get("parentId")
            if not kind or not parent:
                return self.refusal(400, "Invalid search mode.")
            above = self.one(s.collections if kind == "collection" else s.folders, parent,
                             kind)
            if above is None:
                return None
            rows = [r for r in s.folders.values() if r["parent"] == parent]
            if self.k["loop"]:
                rows += [r for r in s.folders.values() if self.top_of(r) ==
                         self.top_of(above) and r not in rows]
            return self.rows(rows, get)
        if words == ["item"]:
            above = self.one(s.folders, get("folderId"), "folder")
            return above and self.rows([r for r in s.items.values()
                                        if r["folderId"] == above["_id"]], get)
        if len(words) == 2 and words[0] in s.tables:
            row = self.one(s.tables[words[0]], words[1], words[0])
            return row and self.json(self.file_row(row))
        if len(words) == 3 and words[0] == "item" and words[2] == "files":
            item = self.one(s.items, words[1], "item")
            rows = [self.file_row(r) for r in s.files.values()
                    if item and r["itemId"] == item["_id"]]
            if self.k["mixed"] and len(rows) > 1:
                rows.append({"_id": ident("mixed", words[1]), "name": "more.zip",
                             "size": self.k["mixed"]})
            return item and self.rows(rows, get)
        if len(words) == 3 and words[0] == "item" and words[2] == "download":
            item = self.one(s.items, words[1], "item")
            return item and self.zip(item)
        if len(words) == 3 and words[0] == "file" and words[2] == "download":
            file = self.one(s.files, words[1], "file")
            return file and self.download(file)
        return self.refusal(400, "No matching route")

    def file_row(self, file):
        row = {k: v for k, v in file.items() if k != "data"}
        if self.k["links"] and "data" in file:
            row.update(linkUrl="http://elsewhere.invalid/x")
            del row["size"]
        if self.k["sha512"] and "data" in file:
            row["sha512"] = hashlib.sha512(file["data"]).hexdigest()
        return row

    def rows(self, rows, get):
        k = self.k
        if k["empty_body"]:
            return self.answer(200, "application/json", b"")
        if k["endless"]:
            return self.flood()
        rows = [dict(r) for r in rows]
        if get("sort", "lowerName") == "_id":
            rows.sort(key=lambda r: r["_id"])
        else:
            random.shuffle(rows)
        for row in rows:
            if k["field"]:
                row[k["field"]] = json.loads(k["value"])
            if k["pad"] and row is rows[0]:
                row["name"] = row["description"] = "x" * k["pad"]
        if k["duplicates"]:
            rows = [r for r in rows for _ in (0, 1)]
        offset = 0 if k["ignore_offset"] else int(get("offset", 0))
        if offset and self.vanishes():
            rows = rows[1:]
        limit = int(get("limit", 50)) or len(rows)
        headers = [("Girder-Total-Count", str(len(rows)))] if k["total"] else []
        page = rows[offset:offset + limit]
        return self.json(page, headers=headers)

    def vanishes(self):
        with self.server.lock:
            self.server.knobs["vanish"] -= 1
            return self.server.knobs["vanish"] >= 0

    def flood(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b"[")
        line = (b'{"_id": "%s", "name": "x"}, ' % ident("x").encode()) * 4096
        while True:
            self.wfile.write(line)

    # ---- files

    def zip(self, item):
        """Nothing is compressed, and a file without a name of its own is one all the same."""
        root = self.k["zip_root"] or item["name"]
        files = [f for f in self.server.files.values() if f["itemId"] == item["_id"]]
        return zips.answer(self, [(root + "/" + f["name"], f["data"]) for f in files],
                           zipfile.ZIP_STORED)

    def download(self, file):
        if self.k["presigned"]:
            port = self.server.server_address[1]
            return self.answer(303, headers=[(
                "Location", "http://localhost:%d/elsewhere/%s?X-Amz-Signature=s3cret" %
                (port, file["_id"]))])
        return self.content(file)

    def content(self, file):
        return self.stored(file["data"], [("Accept-Ranges", "bytes"),
                                          ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")])


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, _: Server(port, archive, knobs), API)
