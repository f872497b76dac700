#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An XNAT server for tests: sessions, tables, files and zips over a folder, with the quirks
of the real one and more faults behind knobs.

Prints its base URL (with a context path) as its first line and serves until its standard
input ends. Control (/__set, /__log, /__count ...), transport knobs and arguments are those
of dicomweb_server.py; those of XNAT are below. /__object/LOCATOR is the file that the
driver calls so, /__sessions tells how many sessions were begun and how many are left.

    xnat_server.py FOLDER | --make P,T,S,I  [--port N] [--project NAME ...]

Subject SUBJnnnn is the n-th patient; the first is in the first project, the second in the
second, and so on round. Source: the XNAT server's source of 2024-06.
"""
import base64
import hashlib
import json
import os
import random
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402
import zips  # noqa: E402

CONTEXT = "/ir"
base.DEFAULTS.update({
    "require_login": 0,     # guests are refused
    "user": "user:secret",  # who may log in
    "private": "",          # projects that guests do not see
    "login_page": 0,        # refuses by 302 to a page, as it does browsers
    "bad_login": 0,         # JSESSION answers 200 and a page
    "scheme": 'Basic realm="XNAT"',  # of WWW-Authenticate
    "fickle": 0,            # every reply begins a session
    "refuse_columns": 0,    # ... and xsiType: this status
    "silent_columns": "",   # columns it does not know and leaves out
    "no_uid": "",           # "sessions", "scans": without UIDs
    "same_uid": 0,          # all sessions of a subject, all scans of a session
    "order": "random",      # of rows
    "duplicates": 0,        # every row twice
    "numbers": 0,           # bare numbers, null for nothing (1.6)
    "total_add": 0,         # added to totalRecords
    "no_total": 0,
    "digests": 1,
    "size_add": 0,          # added to Size: the catalogue is behind
    "uri": "label",         # | number: of resources; | encoded: names in URIs
    "names": "plain",       # | odd: spaces, plus signs, folders
    "zip_folder": "files",  # what the folder of files is called in it
    "formats": 1,           # file_format is told
    "shared": "",           # a project in which all sessions are, too
    "scan_ids": "plain",    # | odd: spaces, slashes, commas
    "types": 0,             # scan types are the ids of other scans
    "refuse_join": 0,       # experiments of several projects: this status
    "ignore_ids": 0,        # ... all of them, whatever ID says
    "join_less": 0,         # ... of each session but so many scans
    "no_scanner": 0,        # scans without their scanner's columns
    "resources": 0,         # of the first session, its assessor, subject and project
    "mute": 0,              # ... of which no column tells
    "refuse_labels": 0,     # ... which is refused: this status
    "refuse_files": 0,      # their lists are: this status
    "field": "", "value": "",  # this column of every row is this JSON
    "pad": 0,               # bytes of a text in every row
    "endless": 0,           # the reply never ends
    "empty_body": 0,        # 200 and nothing
    "kind": "application/octet-stream",
    "body": "",             # exactly this instead of a file
    "wrong": 0,             # bytes that are no DICOM
})
LOGIN = (b"<!DOCTYPE html><html><body>Login attempt failed. Please try again."
         b"</body></html>")
ODD = "-MR 1/a, b"
TYPES = {"CT": "ct", "MR": "mr", "PT": "pet", "CR": "cr", "SEG": "seg"}
DEFAULT = {
    "projects": "ID secondary_ID name description pi_firstname pi_lastname URI".split(),
    "subjects": "ID project label insert_date insert_user URI".split(),
    "experiments": "ID project date xsiType label insert_date URI".split(),
    "scans": ("xnat_imagescandata_id ID type quality xsiType note series_description "
              "URI").split(),
}


# What is of no scan: (owner, resource, file_format, path). DICOM made of the first object.
RESOURCES = (
    ("session", "RAW", "DICOM", "a b/1.dcm"),
    ("session", "RAW", "", "notes"),
    ("session", "BIDS", "NIFTI", "sub/1.nii.gz"),
    ("assessor", "RTSTRUCT", "", "contours"),
    ("assessor", "RTSTRUCT", "", "lies.dcm"),
    ("subject", "clinical", "CSV", "labs.csv"),
    ("subject", "DICOM", "", "2"),
    ("project", "docs", "PDF", "protocol.pdf"),
    ("project", "phantom", "DICOM", "3.dcm"),
)
ASSESSOR = "XNAT_A00000"


class Server(base.Server):
    def __init__(self, port, archive, knobs, projects):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        self.sessions = {}  # id: user or "guest"
        self.begun = 0
        self.projects = projects
        self.tables = {"subjects": [], "experiments": [], "scans": []}
        self.members = {}   # (experiment, scan): [SOP Instance UID]
        self.fill()

    def fill(self):
        a = self.archive
        subjects = {}
        for n, (study, series) in enumerate(a.tree.items()):
            first = a.first(study)
            if first.PatientID not in subjects:
                i = len(subjects)
                row = {"ID": "XNAT_S%05d" % i, "label": "SUBJ%04d" % i,
                       "project": self.projects[i % len(self.projects)]}
                subjects[first.PatientID] = row
                self.tables["subjects"].append(row)
            subject = subjects[first.PatientID]
            date = first.get("StudyDate", "")
            e = {"ID": "XNAT_E%05d" % n, "project": subject["project"],
                 "label": "%s_MR%d" % (subject["label"], n), "UID": study,
                 "date": f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else "",
                 "xsiType": "xnat:mrSessionData", "subject_ID": subject["ID"],
                 "subject_label": subject["label"]}
            self.tables["experiments"].append(e)
            for uid, members in series.items():
                self.add_scan(e, uid, members)
        for p in self.projects:  # what is no session of images
            self.tables["experiments"].append({
                "ID": "FS_" + p, "project": p, "label": "fs", "date": "2012-01-01",
                "xsiType": "fs:fsData", "UID": "", "subject_ID": "XNAT_S00000",
                "subject_label": "SUBJ0000"})

    def add_scan(self, e, uid, members):
        ds = self.archive.headers[members[0]]
        number = str(ds.get("SeriesNumber", "1"))
        told = {"scanner/manufacturer": "Manufacturer", "scanner": "StationName",
                "scanner/model": "ManufacturerModelName", "protocolName": "ProtocolName",
                "bodyPartExamined": "BodyPartExamined"}
        scan = {"ID": number, "type": "t" + number, "UID": uid, "experiment": e["ID"],
                "xsiType": "xnat:%sScanData" % TYPES.get(ds.Modality, "otherDicom"),
                "series_description": str(ds.get("SeriesDescription", "")),
                "modality": "" if ds.Modality in TYPES else ds.Modality, "quality": "usable", "note": "",
                "xnat_imagescandata_id": str(len(self.tables["scans"]))}
        scan.update((name, str(ds.get(key) or "")) for name, key in told.items())
        self.tables["scans"].append(scan)
        self.members[e["ID"], number] = members

    def user_of(self, authorization):
        kind, _, rest = (authorization or "").partition(" ")
        if kind != "Basic":
            return None
        told = base64.b64decode(rest).decode()
        return told.split(":")[0] if told == self.knobs["user"] else None

    def begin(self, user):
        with self.lock:
            self.begun += 1
            name = hashlib.sha256(b"%d" % self.begun).hexdigest()[:32].upper()
            self.sessions[name] = user
        return name


class Handler(base.Handler):
    # ---- who asks

    def cookie(self):
        for part in (self.headers.get("Cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "JSESSIONID":
                return value
        return None

    def refuse_login(self):
        agent = self.headers.get("User-Agent") or ""
        browser = any(w in agent for w in ("MSIE", "Mozilla", "AppleWebKit", "Opera"))
        if self.k["login_page"] or browser:
            self.answer(302, headers=[("Location", "/__login")])
        else:
            self.answer(401, headers=[("WWW-Authenticate", self.k["scheme"])])

    def who(self):
        """The user, or None when it was refused; a new session costs a cookie."""
        s, k = self.server, self.k
        self.fresh = []
        user = s.sessions.get(self.cookie())
        if user is None:
            user = s.user_of(self.headers.get("Authorization"))
            if user is None and (k["require_login"] or self.headers.get("Authorization")):
                self.refuse_login()
                return None
            user = user or "guest"
            self.fresh = [("Set-Cookie", "JSESSIONID=%s; Path=/; HttpOnly" %
                           s.begin(user))]
        elif k["fickle"]:
            self.fresh = [("Set-Cookie", "JSESSIONID=%s; Path=/" % s.begin(user))]
        self.fresh.append(("Set-Cookie", 'SESSION_EXPIRATION_TIME="1,900000"; Path=/'))
        return user

    def jsession(self):
        s, k = self.server, self.k
        if k["bad_login"]:
            return self.answer(200, "text/html", LOGIN)
        user = s.user_of(self.headers.get("Authorization"))
        if user is None and (k["require_login"] or self.headers.get("Authorization")):
            return self.refuse_login()
        name = s.begin(user or "guest")
        told = name + "; XNAT_CSRF=0815" if k["scan_ids"] == "odd" else name
        return self.answer(200, "text/plain", told.encode(),
                           [("Set-Cookie", "JSESSIONID=%s; Path=/" % name)])

    def do_DELETE(self):
        s = self.server
        self.k = base.DEFAULTS
        self.entry = {"method": "DELETE", "path": self.path, "query": ""}
        with s.lock:
            s.log.append(self.entry)
            s.sessions.pop(self.cookie(), None)
        self.answer(200)

    # ---- control

    def control(self, path, query):
        s = self.server
        self.k = base.DEFAULTS
        if path == "/__expire":
            with s.lock:
                s.sessions.clear()
            return self.answer(200, body=b"ok")
        if path == "/__sessions":
            return self.answer(200, body=json.dumps([s.begun, len(s.sessions)]).encode())
        if path == "/__login":
            return self.answer(200, "text/html; charset=utf-8", LOGIN)
        if path.startswith("/__object/"):
            return self.object(path[10:])
        return super().control(path, query)

    # ---- what is of no scan

    def resource(self, n):
        """The bytes: other UIDs of the same length, but the study and series of RAW."""
        owner, label, form, path = RESOURCES[n]
        if form not in ("DICOM", "") or path in ("notes", "lies.dcm"):
            return b"%s of %s" % (path.encode(), owner.encode())
        s = self.server
        key = s.members["XNAT_E00000", s.tables["scans"][0]["ID"]][0]
        with open(s.archive.files[key], "rb") as f:
            data = f.read()
        header = s.archive.headers[key]
        uids = [key] if owner == "session" else [key, header.SeriesInstanceUID]
        for uid in uids + [header.StudyInstanceUID] * (owner == "project"):
            data = data.replace(uid.encode(), (uid[:-3] + "9%d" % n + uid[-1]).encode())
        return data

    def home_of(self, owner):
        e = self.server.tables["experiments"][0]
        return {"session": "experiments/" + e["ID"],
                "assessor": "experiments/%s/assessors/%s" % (e["ID"], ASSESSOR),
                "subject": "projects/%s/subjects/%s" % (e["project"], e["subject_ID"]),
                "project": "projects/" + e["project"]}[owner]

    def beside(self, parts, query):
        """Answers what is asked of resources and assessors; false: it is none of that."""
        k = self.k
        if parts[2:3] == ["subjects"]:  # also of a project that it is shared with
            parts = ["projects", self.server.tables["experiments"][0]["project"]] + parts[2:]
        path = "/".join(parts)
        if parts[-1] == "assessors":
            first = self.server.knobs["resources"] and parts[1] == "XNAT_E00000"
            self.table("assessors", [{"ID": ASSESSOR, "label": "ROI_1", "session_ID": parts[1],
                                      "xsiType": "icr:roiCollectionData"}] * first, query)
            return True
        if "files" not in parts or "scans" in parts:
            return False
        if parts[-1] == "files" and k["refuse_files"]:
            self.answer(k["refuse_files"], "text/html", b"<html>no</html>", self.fresh)
            return True
        rows = []
        for n, (owner, label, form, name) in enumerate(RESOURCES):
            uri = "%s/resources/%s/files/%s" % (self.home_of(owner), label, name)
            if self.server.knobs["resources"] and urllib.parse.unquote(path) == uri:
                with self.server.lock:
                    self.server.retrieved += 1
                self.answer(200, k["kind"], self.resource(n), self.fresh)
                return True
            data = self.resource(n)
            if self.server.knobs["resources"] and path == self.home_of(owner) + "/files":
                rows.append({"Name": name.rsplit("/", 1)[-1], "collection": label,
                             "Size": str(len(data) + k["size_add"]), "URI": "/data/" + uri,
                             "cat_ID": "12", "file_format": form, "file_content": "",
                             "file_tags": "", "digest":
                             hashlib.md5(data).hexdigest() if k["digests"] else ""})
        if parts[-1] == "files":
            self.table("files", rows, query)
        return parts[-1] == "files"

    def with_labels(self, rows, query):
        """Columns that tell resources: a row for each."""
        k, told = self.k, query.get("columns", "").split(",")
        columns = [c for c in told if c.endswith("/resources/resource/label")]
        out = rows
        for c in columns if not self.server.knobs["mute"] else []:
            owner = "subject" if "subject" in c else "session"
            labels = [r[1] for r in RESOURCES if r[0] == owner] * self.server.knobs["resources"]
            has = (lambda r: r["subject_ID"] == "XNAT_S00000") if owner == "subject" else (
                lambda r: r["ID"] == "XNAT_E00000")
            out = [dict(r, **{c: label}) for r in out
                   for label in (labels if labels and has(r) else [""])]
        return out

    def object(self, locator):
        s = self.server
        if "/=" in locator:
            owner = ("project" if ":=/" in locator else "subject" if ":=" in locator else
                     "session" if "/=/" in locator else "assessor")
            name = urllib.parse.unquote(locator.split("/", 3)[3])
            (n,) = [i for i, r in enumerate(RESOURCES) if (r[0], r[3]) == (owner, name)]
            return self.answer(200, "application/dicom", self.resource(n))
        parts = [urllib.parse.unquote(p) for p in locator.split("/")]
        place = (parts[0].split(":")[-1], parts[1].removesuffix(ODD))
        for key in s.members.get(place, []):
            for uri_of in (self.path_in_resource(key, n) for n in ("plain", "odd")):
                if uri_of == "/".join(parts[3:]):
                    with open(s.archive.files[key], "rb") as f:
                        return self.answer(200, "application/dicom", f.read())
        return self.answer(404)

    # ---- tables

    def table(self, kind, rows, query):
        k = self.k
        if k["empty_body"]:
            return self.answer(200, "application/json", b"", self.fresh)
        if k["html"]:
            return self.answer(200, "text/html; charset=utf-8", LOGIN, self.fresh)
        if k["json"]:
            return self.answer(200, "application/json", k["json"].encode(), self.fresh)
        columns = query.get("columns")
        wanted = DEFAULT.get(kind)
        if columns and wanted:
            wanted = [c for c in columns.split(",") + ["URI"]
                      if c not in k["silent_columns"].split(",")]
        out = [self.row(r, wanted) for r in rows]
        if k["order"] == "random":
            random.shuffle(out)
        if k["duplicates"]:
            out = out + out[::-1]
        members = [("Result", out)]
        if not k["no_total"]:
            members.append(("totalRecords", str(len(out) + k["total_add"])))
        members.append(("title", 'a "table" of [{'))
        random.shuffle(members)
        text = json.dumps({"ResultSet": dict(members)})
        if k["endless"]:
            return self.endless(text.encode())
        return self.answer(200, "application/json", text.encode(), self.fresh)

    def row(self, r, wanted):
        k = self.k
        out = {}
        for name in wanted or r:
            key = name.rsplit("/", 1)[-1]
            if name not in r and (key not in r or name.endswith("/resource/label")):
                continue
            value = r.get(name, r.get(key))
            if k["numbers"]:
                value = int(value) if str(value).isdigit() else value or None
            # Paths come back in small letters.
            out[name if ":" not in name else name.lower()] = value
        if k["field"]:
            out[k["field"]] = json.loads(k["value"])
        if k["pad"]:
            out["series_description"] = "x" * k["pad"]
        return out

    def endless(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(text * 100)

    # ---- files

    def path_in_resource(self, key, names=None):
        number = self.server.archive.headers[key].get("InstanceNumber", 0)
        if (names or self.k["names"]) == "odd":
            return "sub dir/%d+1 (a)&b=%%20.dcm" % number
        return "%d.dcm" % number

    def files(self, e, scan, told):
        s, k = self.server, self.k
        rows = []
        told = told.replace("/", "[SLASH]").replace(",", "[COMMA]")
        uri = f"/data/experiments/{e}/scans/{told}/resources/"
        where = "12" if k["uri"] == "number" else "DICOM"
        for key in s.members[e, scan]:
            with open(s.archive.files[key], "rb") as f:
                data = f.read()
            path = self.path_in_resource(key)
            told = urllib.parse.quote(path) if k["uri"] == "encoded" else path
            rows.append({"Name": path.rsplit("/", 1)[-1], "collection": "DICOM",
                         "Size": str(len(data) + k["size_add"]),
                         "URI": f"{uri}{where}/files/{told}", "cat_ID": "12",
                         "file_format": "DICOM" if k["formats"] else "",
                         "file_content": "RAW", "file_tags": "",
                         "digest": hashlib.md5(data).hexdigest() if k["digests"] else ""})
        for name, resource, form in (("t.gif", "SNAPSHOTS", "GIF"),
                                     ("scan.nii.gz", "NIFTI", "")):
            # As sizes of the catalogue are: out of date.
            rows.append({"Name": name, "Size": "10", "URI": f"{uri}{resource}/files/{name}",
                         "collection": resource, "file_format": form, "file_content": "",
                         "file_tags": "", "cat_ID": "13", "digest": ""})
        return rows

    def download(self, e, scan, path):
        s, k = self.server, self.k
        # Decoded only when a space or a plus sign was encoded.
        if "%20" in path or "%2B" in path:
            path = urllib.parse.unquote(path)
        with s.lock:
            s.retrieved += 1
        if path in ("t.gif", "scan.nii.gz"):
            return self.answer(200, "text/plain", b"%s of %s" % (
                path.encode(), scan.encode()), self.fresh)
        for key in s.members.get((e, scan), []):
            if self.path_in_resource(key) != path:
                continue
            with open(s.archive.files[key], "rb") as f:
                data = f.read()
            if k["wrong"]:
                data = b"no DICOM " * 100
            return self.answer(200, k["kind"], k["body"].encode() or data, self.fresh)
        return self.answer(404, "text/plain", b"Unable to find file.", self.fresh)

    def zip(self, e, told):
        s = self.server
        scan = told.removesuffix(ODD)
        folder = f"{e}/scans/{told}-t/resources/DICOM/{self.k['zip_folder']}/"
        members = []
        for key in s.members[e, scan]:
            with open(s.archive.files[key], "rb") as f:
                members.append((folder + self.path_in_resource(key), f.read()))
        return zips.answer(self, members, headers=self.fresh)

    # ---- requests

    def serve(self, path, query):
        query = dict(query)
        if path == "/ir/data/JSESSION":
            return self.jsession()
        if not path.startswith(CONTEXT + "/data/"):
            return self.answer(404, "text/html", b"<html>404</html>")
        user = self.who()
        if user is None:
            return None
        parts = path[len(CONTEXT) + 6:].split("/")
        if self.k["refuse_columns"] and ("columns" in query or "xsiType" in query):
            return self.answer(self.k["refuse_columns"], "text/html", b"<html>no</html>",
                               self.fresh)
        if self.k["refuse_labels"] and "/resource/label" in query.get("columns", ""):
            return self.answer(self.k["refuse_labels"], "text/html", b"<html>no</html>",
                               self.fresh)
        if "format" not in query and "files" not in parts:
            return self.answer(200, "text/html", b"<html>a page</html>", self.fresh)
        hidden = self.k["private"].split(",") if user == "guest" else []
        return self.route(parts, query, hidden)

    def missing(self):
        return self.answer(404, "text/html", b"<html>404</html>", self.fresh)

    def route(self, parts, query, hidden):
        s = self.server
        t = s.tables
        if parts == ["projects"]:
            rows = [{"ID": p, "name": "Project " + p, "description": "d", "secondary_ID": p,
                     "URI": "/data/projects/" + p} for p in s.projects if p not in hidden]
            return self.table("projects", rows, query)
        first = urllib.parse.unquote(parts[1]) if len(parts) > 1 else ""
        if first not in hidden and self.beside(parts, query):
            return None
        if parts[0] == "projects":
            if first in hidden or first not in s.projects:
                return self.missing()
            return self.in_project(first, parts[2:], query)
        if parts == ["experiments"]:
            if self.k["refuse_join"]:
                return self.answer(self.k["refuse_join"], "text/html", b"<html>no</html>",
                                   self.fresh)
            rows = [e for e in t["experiments"] if e["project"] not in hidden]
            return self.sessions_of(self.joined(rows, query), query)
        e = next((e for e in t["experiments"] if e["ID"] == first), None)
        if parts[0] != "experiments" or not e or e["project"] in hidden:
            return self.missing()
        return self.in_experiment(e, parts[2:], query)

    def sessions_of(self, rows, query):
        k = self.k
        if query.get("xsiType") == "xnat:imageAssessorData":
            told = [{"ID": ASSESSOR, "session_ID": r["ID"]} for r in rows
                    if r["ID"] == "XNAT_E00000" and self.server.knobs["resources"]]
            return self.table("assessors", told if not self.server.knobs["mute"] else
                              [{"ID": r["ID"]} for r in told], query)
        rows = self.with_labels(rows, query)
        if query.get("xsiType") == "xnat:imageSessionData":
            rows = [r for r in rows if r["xsiType"].endswith("SessionData")]
        if "sessions" in self.k["no_uid"]:
            rows = [dict(r, UID="") for r in rows]
        if self.k["same_uid"]:
            rows = [dict(r, UID=r["UID"] and rows[0]["UID"]) for r in rows]
        return self.table("experiments", rows, query)

    def in_project(self, project, parts, query):
        t = self.server.tables
        shared = self.k["shared"] == project
        if parts == ["subjects"]:
            return self.table("subjects", [r for r in t["subjects"] if shared or
                                           r["project"] == project], query)
        rows = [r for r in t["experiments"] if r["project"] == project or shared]
        if parts == ["experiments"]:
            return self.sessions_of(rows, query)
        if len(parts) == 3 and parts[0] == "subjects" and parts[2] == "experiments":
            return self.sessions_of([r for r in rows if r["subject_ID"] == parts[1]], query)
        return self.missing()

    def scans_of(self, e):
        k = self.k
        rows = [r for r in self.server.tables["scans"] if r["experiment"] == e["ID"]]
        if k["scan_ids"] == "odd":
            rows = [dict(r, ID=r["ID"] + ODD) for r in rows]
        if k["types"]:  # each is called as the next one is numbered
            rows = [dict(r, type=rows[(i + 1) % len(rows)]["ID"])
                    for i, r in enumerate(rows)]
        if "scans" in k["no_uid"]:
            rows = [dict(r, UID="") for r in rows]
        if k["same_uid"]:
            rows = [dict(r, UID=rows[0]["UID"]) for r in rows]
        return rows

    def joined(self, rows, query):
        """Sessions, each with its scans: a row for each pair, and for who has none."""
        k = self.k
        ids = query.get("ID", "").split(",")
        out = []
        for e in rows:
            if "ID" in query and e["ID"] not in ids and not k["ignore_ids"]:
                continue
            scans = self.scans_of(e)
            for scan in scans[k["join_less"]:] or [{}]:
                row = dict(e)
                for name in ("ID type series_description UID modality scanner/manufacturer "
                             "scanner/model scanner protocolName bodyPartExamined").split():
                    row["xnat:imageScanData/" + name] = (
                        "" if k["no_scanner"] and name[0] in "sbp" and "ser" not in name
                        else scan.get(name, ""))
                row["xnat:imageScanData/extension_item/element_name"] = scan.get(
                    "xsiType", "")
                out.append(row)
        return out

    def in_experiment(self, e, parts, query):
        rows = self.scans_of(e)
        if parts == ["scans"]:
            return self.table("scans", rows, query)
        if len(parts) < 3 or parts[0] != "scans":
            return self.missing()
        scan = urllib.parse.unquote(parts[1])
        scan = scan.replace("[SLASH]", "/").replace("[COMMA]", ",")
        chosen = [r["ID"] for r in rows if scan in (r["ID"], r["type"])]
        if parts[2:] == ["files"] and chosen:
            if query.get("format") == "zip":
                return self.zip(e["ID"], scan)
            files = [f for c in chosen for f in self.files(e["ID"], c.removesuffix(ODD), c)]
            return self.table("files", files, query)
        if parts[2] == "resources" and parts[4:] == ["files"] and \
                query.get("format") == "zip":
            return self.zip(e["ID"], scan)
        if parts[2] == "resources" and "files" in parts:
            return self.download(e["ID"], scan.removesuffix(ODD), "/".join(parts[5:]))
        return self.missing()


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, args: Server(
        port, archive, knobs, args.project or ["DEMO1", "demo_2"]),
             CONTEXT, project={"action": "append", "metavar": "NAME"})
