#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An NBIA server for tests: the list calls of v1, v2 and v4, single images and zips, over
a folder, with the quirks of the real one and more faults behind knobs.

Prints its base URL as its first line and serves until its standard input ends. Control
(/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; those of NBIA are below.

    nbia_server.py FOLDER | --make P,T,S,I  [--port N] [--collection NAME ...]

The first patient is in the first collection, the second in the second, and so on round.
Source: the NBIA server's own source, as of 2026, and its OpenAPI description of v4.
"""
import hashlib
import io
import json
import os
import random
import struct
import sys
import urllib.parse
import zipfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402

base.DEFAULTS.update({
    "versions": "v1,v2,v4",  # of the API; others are 404
    "token": "",            # list calls of guests answer nothing, downloads 500
    "no_single": "",        # versions without getSingleImage: 404
    "single_500": 0,        # getSingleImage fails although the image is there
    "order": "random",      # of rows; NBIA never sorts
    "minds_case": 0,        # PatientID as it is written
    "ignore_keys": "",      # parameters that are as if they were not there
    "drop": "",             # these columns are null, and so left out
    "empty_call": "",       # this call answers 200 and nothing
    "sop_drop": 0,          # so many instances are not listed
    "count_add": 0,         # added to ImageCount
    "duplicates": 0,        # every row twice
    "other_case": 0,        # rows of a collection whose name differs by case, too
    "no_table": 0,          # getSeriesMetadata is this status
    "table": "",            # exactly this instead of it
    "table_null": "",       # these columns are null in it; the first shifts its row
    "odd_types": 0,         # numbers as text, "2.000000"
    "pad": "",              # white space around the JSON
    "slashes": 0,           # "\\/" for "/"
    "endless": 0,           # the reply never ends
    "wrong_object": 0,      # another image than asked for
    "kind": "application/dicom",  # Content-Type of images
    "body": "",             # exactly this instead of an image
    "zip_short": 0,         # so many images are missing in a zip that looks whole
    "zip_cut": 0,           # ... or so many bytes of its last image
    "zip_headless": 0,      # ... or all from its pixel data on
    "zip_stored": 0,        # nothing is compressed
    "zip_bomb": 0,          # it ends in a member that is far too large
    "zip_break": 0,         # bytes in its middle are others
    "zip_stall": 0,         # nothing more after so many images, until it is turned off
    "zip_html": 0,          # a page instead of it
    "zip_text": "",         # exactly this instead of it
})
ERROR = b"Server was not able to process your request\nnull"
BOTH = ("SeriesInstanceUID StudyInstanceUID Modality ProtocolName SeriesDate "
        "SeriesDescription BodyPartExamined SeriesNumber AnnotationsFlag Collection "
        "PatientID Manufacturer ManufacturerModelName SoftwareVersions ImageCount "
        "LicenseName LicenseURI FileSize DateReleased StudyDesc StudyDate "
        "ThirdPartyAnalysis").split()
V1 = ["TimeStamp", "CollectionURI"]
V4 = ("Site PatientSex PatientAge AdmittingDiagnosisDescription ReleasedStatus Authorized "
      "MaxSubmissionTimestamp DataDescriptionURI").split()
COPIED = ("SeriesInstanceUID StudyInstanceUID Modality ProtocolName SeriesDescription "
          "BodyPartExamined PatientID Manufacturer ManufacturerModelName "
          "SoftwareVersions PatientSex PatientAge").split()
TABLE = ("PatientID PatientName PatientSex EthnicGroup Phantom SpeciesCode "
         "SpeciesDescription StudyInstanceUID StudyDate StudyDesc "
         "AdmittingDiagnosisDescription StudyID PatientAge LongitudinalTemporalEventType "
         "LongitudinalTemporalOffsetFromEvent SeriesInstanceUID Collection Site Modality "
         "ProtocolName SeriesDate SeriesDescription BodyPartExamined SeriesNumber "
         "AnnotationsFlag Manufacturer ManufacturerModelName PixelSpacing(mm)-Row "
         "SliceThickness(mm) SoftwareVersions ImageCount MaxSubmissionTimestamp LicenseName "
         "LicenseURI DataDescriptionURI FileSize ReleasedStatus DateReleased "
         "ThirdPartyAnalysis Authorized").split()
TABLE_MAX = 10000  # series that clients ask for at once
# call: (parameters, required); v4 refuses others with 400.
CALLS = {
    "getCollectionValues": ([], []),
    "getModalityValues": (["Collection", "BodyPartExamined"], []),
    "getBodyPartValues": (["Collection", "Modality"], []),
    "getManufacturerValues": (["Collection", "Modality", "BodyPartExamined"], []),
    "getPatient": (["Collection", "PatientId"], []),
    "getPatientStudy": (["Collection", "PatientID", "StudyInstanceUID"], []),
    "getSeries": (["Collection", "PatientID", "StudyInstanceUID", "SeriesInstanceUID",
                   "Modality", "BodyPartExamined", "Manufacturer",
                   "ManufacturerModelName"], []),
    "getSeriesSize": (["SeriesInstanceUID"], ["SeriesInstanceUID"]),
    "getSOPInstanceUIDs": (["SeriesInstanceUID"], ["SeriesInstanceUID"]),
    "getSeriesMetaData": (["SeriesInstanceUID"], ["SeriesInstanceUID"]),
    "getSeriesMetadata": ([], []),
    "getSingleImage": (["SeriesInstanceUID", "SOPInstanceUID"],
                       ["SeriesInstanceUID", "SOPInstanceUID"]),
    "getImage": (["SeriesInstanceUID", "NewFileNames", "IncludeMD5"],
                 ["SeriesInstanceUID"]),
}


def bomb():
    """The beginning of a member that becomes 200 MB of zeros."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = zeros.compress(bytes(1 << 20)) + zeros.flush(zlib.Z_FULL_FLUSH)
    return struct.pack("<IHHHIIIIHH", 0x04034b50, 20, 8, 8, 0, 0, 0, 0, 1, 0) + \
        b"b" + block * 200


def date_of(version, text):
    """(YYYYMMDD) v4: MM-DD-YYYY; v1: a Java timestamp."""
    if len(text or "") != 8:
        return None
    y, m, d = text[:4], text[4:6], text[6:]
    return f"{m}-{d}-{y}" if version == "v4" else f"{y}-{m}-{d} 00:00:00.0"


class Server(base.Server):
    def __init__(self, port, archive, knobs, collections):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        patients = []
        for ds in archive.headers.values():
            if ds.PatientID not in patients:
                patients.append(ds.PatientID)
        self.collection = {p: collections[i % len(collections)]
                           for i, p in enumerate(patients)}
        self.members = {}   # series: [SOP Instance UID]
        for study in archive.tree.values():
            self.members.update(study)


class Handler(base.Handler):
    # ---- rows

    def first(self, series):
        s = self.server
        return s.archive.headers[s.members[series][0]]

    def series_row(self, version, series):
        k, s = self.k, self.server
        ds = self.first(series)
        members = s.members[series]
        row = {name: str(ds.get(name)) for name in COPIED if ds.get(name) is not None}
        row.update({
            "Collection": s.collection[ds.PatientID],
            "StudyDate": date_of(version, ds.get("StudyDate")),
            "SeriesDate": date_of(version, ds.get("SeriesDate")),
            "StudyDesc": ds.get("StudyDescription"),
            "SeriesNumber": int(ds.SeriesNumber) if ds.get("SeriesNumber") else None,
            "AnnotationsFlag": False, "ThirdPartyAnalysis": "NO",
            "ImageCount": len(members) + k["count_add"],
            "FileSize": sum(os.path.getsize(s.archive.files[i]) for i in members),
            "LicenseName": "Creative Commons Attribution 4.0 International License",
            "LicenseURI": "https://creativecommons.org/licenses/by/4.0/",
            "DateReleased": date_of(version, "20210304"),
            "TimeStamp": date_of(version, "20210203"),
            "MaxSubmissionTimestamp": date_of(version, "20210203"),
            "CollectionURI": "https://doi.org/10.0000/demo",
            "DataDescriptionURI": "https://doi.org/10.0000/demo",
            "Site": "DEMO", "ReleasedStatus": "Yes", "Authorized": 1,
        })
        if k["odd_types"]:
            row["SeriesNumber"] = "%.6f" % row["SeriesNumber"]
            row["ImageCount"] = str(row["ImageCount"])
            row["FileSize"] = str(row["FileSize"])
            row["SoftwareVersions"] = {"a": [1]}
        names = BOTH + (V4 if version == "v4" else V1)
        return {n: row[n] for n in names if row.get(n) is not None}

    def agree(self, version, name, have, want):
        """Case matters for UIDs, and in v1 and v2 for what describes a series."""
        if name in self.k["ignore_keys"].split(","):
            return True
        exact = name.endswith("UID") or (name == "PatientID" and self.k["minds_case"])
        if version != "v4" and name in ("Modality", "BodyPartExamined", "Manufacturer"):
            exact = True
        return have == want if exact else have.lower() == want.lower()

    def matching(self, version, query):
        rows = []
        for series in self.server.members:
            row = self.series_row(version, series)
            if all(self.agree(version, name, row.get(name, ""), value)
                   for name, value in query.items()):
                rows.append(row)
        if self.k["other_case"] and "Collection" in query:
            rows += [dict(r, Collection=r["Collection"].swapcase(),
                          SeriesInstanceUID=r["SeriesInstanceUID"] + ".1") for r in rows]
        return rows

    def rows(self, rows):
        """NBIA's answer: no row is no body, a null column is no key, any order."""
        k = self.k
        dropped = k["drop"].split(",")
        rows = [{n: v for n, v in r.items() if n not in dropped} for r in rows]
        if k["html"]:
            return self.answer(200, "text/html; charset=utf-8", b"<html>Log in</html>")
        if k["json"]:
            return self.answer(200, "application/json", k["json"].encode())
        if not rows:
            return self.answer(200)
        if k["order"] == "random":
            random.shuffle(rows)
        if k["duplicates"]:
            rows = rows + rows[::-1]
        text = k["pad"] + json.dumps(rows) + k["pad"]
        if k["slashes"]:
            text = text.replace("/", "\\/")
        if k["endless"]:
            return self.endless(text[:-1].encode())
        return self.answer(200, "application/json", text.encode())

    def endless(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        more = (b", " + text.strip()[1:]) * 100
        self.wfile.write(text)
        while True:
            self.wfile.write(more)

    # ---- calls

    def serve(self, path, query):
        k = self.k
        parts = path.split("/")
        if len(parts) != 5 or parts[:3] != ["", "nbia-api", "services"]:
            return self.answer(404)
        version, call = parts[3:]
        query = dict(query)
        if version not in k["versions"].split(",") or call not in CALLS:
            return self.answer(404, "text/html", b"<html>404</html>")
        if call == "getSeriesMetadata" and version != "v4":
            return self.answer(404, "text/html", b"<html>404</html>")
        if call == "getSingleImage" and version in k["no_single"].split(","):
            return self.answer(404, "text/html", b"<html>404</html>")
        allowed, required = CALLS[call]
        for name in query:
            if version == "v4" and name not in allowed + ["format"]:
                return self.answer(400, "application/json",
                                   b"Invalid query parameter: '%s'." % name.encode())
        for name in required:
            if name not in query:
                return self.answer(400, "application/json", b"A parameter, %s is "
                                   b"required for this API call." % name.encode())
        guest = version == "v1" or self.headers.get("Authorization") is None
        if k["token"] and (guest or
                           self.headers["Authorization"] != "Bearer " + k["token"]):
            if call in ("getSingleImage", "getImage"):
                return self.answer(500, "text/plain", ERROR)
            return self.answer(200)
        if call == k["empty_call"]:
            return self.answer(200)
        return getattr(self, call)(version, query)

    def getCollectionValues(self, _version, _query):
        names = set(self.server.collection.values())
        return self.rows([{"Collection": n} for n in names])

    def values_of(self, version, query, column):
        rows = {r.get(column) for r in self.matching(version, query)} - {None}
        return self.rows([{column: v} for v in sorted(rows)])

    def getModalityValues(self, version, query):
        return self.values_of(version, query, "Modality")

    def getBodyPartValues(self, version, query):
        return self.values_of(version, query, "BodyPartExamined")

    def getManufacturerValues(self, version, query):
        return self.values_of(version, query, "Manufacturer")

    def getPatient(self, version, query):
        rows = []
        for patient, collection in self.server.collection.items():
            if query.get("Collection", collection) != collection:
                continue
            if query.get("PatientId", patient) != patient:
                continue
            row = {"PatientId": patient, "Collection": collection}
            rows.append(dict(row, Authorized=1) if version == "v4" else row)
        return self.rows(rows)

    def getPatientStudy(self, version, query):
        rows = {}
        for series in self.matching(version, query):
            ds = self.first(series["SeriesInstanceUID"])
            rows[ds.StudyInstanceUID] = {
                "StudyInstanceUID": ds.StudyInstanceUID, "PatientID": ds.PatientID,
                "StudyDate": series.get("StudyDate"), "StudyID": ds.get("StudyID"),
                "StudyDescription": ds.get("StudyDescription"),
                "Collection": series["Collection"]}
        return self.rows(list(rows.values()))

    def getSeries(self, version, query):
        return self.rows(self.matching(version, query))

    def getSeriesSize(self, version, query):
        rows = self.matching(version, query)
        if not rows:
            return self.answer(200) if version == "v4" else self.rows([{}])
        return self.rows([{"TotalSizeInBytes": r["FileSize"],
                           "ObjectCount": r["ImageCount"]} for r in rows])

    def getSeriesMetaData(self, version, query):
        rows = self.matching(version, query)
        if not rows:
            return self.answer(204)
        return self.rows([{"Series UID": r["SeriesInstanceUID"],
                           "Collection": r["Collection"],
                           "Subject ID": r["PatientID"],
                           "Number of Images": str(r["ImageCount"]),
                           "File Size": str(r["FileSize"])} for r in rows])

    def getSOPInstanceUIDs(self, _version, query):
        members = self.server.members.get(query["SeriesInstanceUID"], [])
        return self.rows([{"SOPInstanceUID": str(i)}
                          for i in members[self.k["sop_drop"]:]])

    def getSeriesMetadata(self, version, _query):
        """A POST of list=UID,UID… answered in CSV: all quoted, LF, an attachment. Of null
        in the first column only a stray quote is left, so that the row is one short."""
        k, s = self.k, self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.command != "POST" or k["no_table"]:
            return self.answer(k["no_table"] or 405, "text/html", b"<html>no</html>")
        series = urllib.parse.parse_qs(body)["list"][0].split(",")
        if len(series) > TABLE_MAX:
            return self.answer(500, "text/plain", ERROR)
        null = k["table_null"].split(",")
        lines = []
        for uid in series:
            if uid not in s.members:
                continue
            ds = self.first(uid)
            row = self.series_row(version, uid)
            row.update({"PatientName": ds.get("PatientName"),
                        "EthnicGroup": ds.get("EthnicGroup"), "StudyID": ds.get("StudyID"),
                        "SliceThickness(mm)": ds.get("SliceThickness"),
                        "PixelSpacing(mm)-Row": (ds.get("PixelSpacing") or [None])[0]})
            values = [None if n in null else row.get(n) for n in TABLE]
            fields = ['"%s"' % ("" if v is None else str(v).replace('"', '""'))
                      for v in values]
            if values[0] is None:
                fields[:2] = ['"']
            lines.append(",".join(fields))
        if not lines:
            return self.answer(200)
        head = ",".join('"%s"' % n for n in TABLE)
        text = k["table"] or "\n".join([head] + lines) + "\n"
        return self.answer(200, "text/csv", text.encode(), [
            ("Content-Disposition", "attachment; filename=SeriesMetaData.csv")])

    # ---- downloads

    def getSingleImage(self, _version, query):
        k, s = self.k, self.server
        key = query["SOPInstanceUID"]
        with s.lock:
            s.retrieved += 1
        missing = key not in s.members.get(query["SeriesInstanceUID"], [])
        if missing or k["single_500"]:
            return self.answer(500, "text/plain", ERROR)
        if k["wrong_object"]:
            key = next(i for i in s.archive.files if i != key)
        with open(s.archive.files[key], "rb") as f:
            data = f.read()
        if k["body"]:
            data = k["body"].encode()
        return self.answer(k["status"], k["kind"], data)

    def getImage(self, _version, query):
        s = self.server
        members = s.members.get(query["SeriesInstanceUID"])
        with s.lock:
            s.retrieved += 1
        if not members:
            return self.answer(400, "application/json", b"No such series is public.")
        # Written as a stream: sizes stand behind the entries, as in the real one's.
        out = base.Unseekable()
        how = zipfile.ZIP_STORED if self.k["zip_stored"] else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(out, "w", how) as z:
            z.writestr("LICENSE", "CC BY 4.0\n")
            sums = ["Filename,MD5Hash"]
            chosen = members[self.k["zip_short"]:]
            for n, key in enumerate(chosen, 1):
                with open(s.archive.files[key], "rb") as f:
                    data = f.read()
                if n == len(chosen) and self.k["zip_cut"]:
                    data = data[:-self.k["zip_cut"]]
                if n == len(chosen) and self.k["zip_headless"]:
                    data = data[:data.index(b"\xe0\x7f\x10\x00")]
                z.writestr("%08d.dcm" % n, data)
                if n == self.k["zip_stall"]:
                    self.k["stall"] = len(out.getvalue())
                sums.append("%08d.dcm,%s" % (n, hashlib.md5(data).hexdigest()))
            images = len(out.getvalue())
            if query.get("IncludeMD5") == "Yes":
                z.writestr("md5hashes.csv", "\n".join(sums) + "\n")
        data = out.getvalue()
        if self.k["zip_break"]:
            half = len(data) // 2
            data = data[:half] + bytes(64) + data[half + 64:]
        if self.k["zip_bomb"]:
            data = data[:images] + bomb()
        if self.k["zip_html"]:
            return self.answer(200, "text/html", b"<html>Log in</html>")
        return self.answer(200, "application/octet-stream",
                           self.k["zip_text"].encode() or data)


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, args: Server(
        port, archive, knobs, args.collection or ["DEMO-CT", "Demo MR/2.0 & more"]),
             "/nbia-api", collection={"action": "append", "metavar": "NAME"})
