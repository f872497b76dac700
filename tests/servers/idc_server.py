#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Imaging Data Commons for tests: its REST API version 3 (over SQLite) and public buckets
that speak S3, with their quirks and more faults behind knobs. The buckets also serve as
any S3 store: signatures (SigV4) are verified when keys are asked for.

Prints its base URL as its first line and serves until its standard input ends. Control
(/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; /__object/BUCKET/KEY gives an object without faults.

    idc_server.py FOLDER | --make P,T,S,I  [--port N] [--rows N]

Buckets: idc-open-data and idc-open-data-cr hold UUID/UUID.dcm; scans holds data/NAME.dcm
and some things that are no objects. --rows N adds N series to collection "many" of the
index. /__count counts whole objects retrieved, ranges do not count.
Source: IDC's own guides of its API (3.0.0b5) and buckets, 2026; Amazon S3 API reference.
"""
import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import urllib.parse
import uuid
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import dicomweb_server as base  # noqa: E402

base.DEFAULTS.update({
    "keys": "",         # "ID:SECRET": others are 403
    "session": "",      # ... and this token has to be sent
    "page": 1000,       # keys a page at most
    "endless": 0,       # the same page again and again, with new tokens
    "same_token": 0,    # the token never changes
    "empty_pages": 0,   # pages without keys, for ever
    "xml": "",          # exactly this instead of a listing
    "raw_keys": 0,      # keys are not URL-encoded
    "no_etag": 0,       # objects without an ETag
    "other_etag": 0,    # ... with another than was listed
    "release": 25,      # of the archive; another one has other uuids
    "gone": 0,          # keys of series are not there
    "lost": 0,          # so many keys of each series are not listed
    "sql_rows": 10000,  # rows a reply at most (clamped, and says so)
    "no_sql": 0,        # the status that SQL is refused with
    "page_rows": 5000,  # series of a cohort a page at most (clamped, and says so)
    "rows_lost": 0,     # so many are missing on the last page
    "values": 10000,    # values of an attribute a reply at most (truncated, and says so)
    "no_tables": 0,     # but the index
    "odd_columns": 0,   # of tables but the index: values of any type
    "sql_arrays": 0,    # rows as arrays
    "sql_lost": 0,      # so many rows are missing at the end of the last page
    "odd_types": 0,     # numbers as text, nulls
    "two_uuids": 0,     # the last row again, with another uuid
    "hostile": 0,       # names that lead elsewhere, texts of 10 MB, rows twice
    "strip_range": 0,   # ranges are ignored
})
NAMES = ("collection_id PatientID StudyInstanceUID SeriesInstanceUID StudyDate SeriesDate "
         "StudyDescription SeriesDescription SeriesNumber Modality BodyPartExamined "
         "Manufacturer ManufacturerModelName PatientSex PatientAge instanceCount "
         "license_short_name source_DOI aws_bucket crdc_series_uuid").split()
TERMS = ("collection_id PatientID StudyInstanceUID SeriesInstanceUID Modality "
         "BodyPartExamined Manufacturer ManufacturerModelName PatientSex").split()
MANIFEST = ("collection_id PatientID StudyInstanceUID SeriesInstanceUID Modality "
            "SeriesDescription instanceCount aws_bucket crdc_series_uuid").split()
# Of series of classic images, beside the index: constant, all values, least and greatest.
TABLES = {
    "ct_index": ("1.2.840.10008.5.1.4.1.1.2", "SliceThickness KVP ConvolutionKernel Rows "
                 "Columns", "", "XRayTubeCurrent Exposure"),
    "mr_index": ("1.2.840.10008.5.1.4.1.1.4", "MagneticFieldStrength ScanningSequence Rows "
                 "RepetitionTime FlipAngle SliceThickness", "EchoTime DiffusionBValue", ""),
    "pt_index": ("1.2.840.10008.5.1.4.1.1.128", "Units Rows Columns SliceThickness", "", "")}
LISTS = "ConvolutionKernel ScanningSequence EchoTime DiffusionBValue".split()
COPIED = NAMES[1:4] + NAMES[6:15]


def uuid_of(*parts):
    return str(uuid.UUID(hashlib.md5("/".join(map(str, parts)).encode()).hexdigest()))


class Server(base.Server):
    def __init__(self, port, archive, knobs, extra):
        super().__init__(port, archive, knobs)
        self.RequestHandlerClass = Handler
        self.buckets = {"idc-open-data": {}, "idc-open-data-cr": {}, "scans": {}}
        self.tables = {}
        self.extra = extra
        for release in (25, 26):
            self.fill(release)
        scans = self.buckets["scans"]
        for path in archive.files.values():
            scans["data/a b+ü%/" + os.path.basename(path)] = path
        scans["data/"] = b""
        scans["data/README.txt"] = b"Not a DICOM object.\n"
        scans["data/empty.dcm"] = b""
        scans["data/../up.dcm"] = scans["data/./x"] = next(iter(archive.files.values()))
        scans["data2/README.txt"] = b"x"

    def fill(self, release):
        a = self.archive
        rows = []
        for n, (study, series) in enumerate((t, s) for t in a.tree for s in a.tree[t]):
            ds = a.first(study, series)
            folder = uuid_of("series", release, series)
            bucket = "idc-open-data-cr" if n % 3 == 2 else "idc-open-data"
            for key in a.tree[study][series]:
                name = "%s/%s.dcm" % (folder, uuid_of("instance", release, key))
                self.buckets[bucket][name] = a.files[key]
            row = {c: str(ds.get(c)) if ds.get(c) is not None else None for c in COPIED}
            day = str(ds.get("StudyDate") or "")
            row["StudyDate"] = row["SeriesDate"] = (
                "%s-%s-%s" % (day[:4], day[4:6], day[6:]) if day else None)
            row.update(collection_id="demo_ct" if n % 2 == 0 else "demo_mr",
                       instanceCount=len(a.tree[study][series]), aws_bucket=bucket,
                       crdc_series_uuid=folder,
                       license_short_name="CC BY-NC 4.0" if n % 3 == 2 else "CC BY 4.0")
            row["source_DOI"] = "10.0000/demo"
            if ds.PatientID == "PAT0001":
                row["collection_id"] = "demo_mr"
            else:
                row["collection_id"] = "demo_ct"
            rows.append([row[c] for c in NAMES])
        for i in range(self.extra):
            rows.append(["many", "P%05d" % (i // 8), "1.2.3.%d" % (i // 4), "1.2.4.%d" % i,
                         "2020-01-01", None, "Study", "Series of many", str(i % 4), "CT",
                         "CHEST", "ACME", "X", "F", "060Y", 2, "CC BY 4.0", None,
                         "idc-open-data", uuid_of("many", i)])
        db = sqlite3.connect(":memory:", check_same_thread=False)
        db.execute("PRAGMA case_sensitive_like = 1")
        db.execute('CREATE TABLE "index" (%s)' % ", ".join(NAMES))
        db.executemany('INSERT INTO "index" VALUES (%s)' % ",".join("?" * len(NAMES)), rows)
        db.execute('CREATE INDEX i ON "index" (collection_id, SeriesInstanceUID)')
        for table in TABLES:
            self.fill_table(db, table)
        self.tables[release] = db

    def fill_table(self, db, table):
        cls, constant, lists, ranges = TABLES[table]
        names = ["SeriesInstanceUID", *constant.split(), *lists.split()]
        rows = []
        for series in (s for t in self.archive.tree.values() for s in t.items()):
            members = [self.archive.headers[m] for m in series[1]]
            if members[0].SOPClassUID != cls:
                continue
            row = [series[0]]
            for name in constant.split():
                v = members[0].get(name)
                if name in LISTS:
                    many = [v] if isinstance(v, str) else list(v or [])
                    row.append(json.dumps(many))
                else:
                    row.append(None if v is None else v if isinstance(v, str) else float(v))
            for name in lists.split():
                row.append(json.dumps(sorted({float(m.get(name)) for m in members
                                              if m.get(name) is not None})))
            for name in ranges.split():
                told = [float(m.get(name)) for m in members if m.get(name) is not None]
                row += [min(told), max(told)] if told else [None, None]
            rows.append(row)
        names += [n + end for n in ranges.split() for end in ("_min", "_max")]
        db.execute("CREATE TABLE %s (%s)" % (table, ", ".join('"%s"' % n for n in names)))
        db.executemany("INSERT INTO %s VALUES (%s)" % (table, ",".join("?" * len(names))),
                       rows)

    def bytes_of(self, bucket, key):
        found = self.buckets.get(bucket, {}).get(key)
        if isinstance(found, str):
            with open(found, "rb") as f:
                return f.read()
        return found


class Handler(base.Handler):
    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def control(self, path, query):
        if path.startswith("/__object/"):
            self.k = base.DEFAULTS
            bucket, _, key = urllib.parse.unquote(path[10:]).partition("/")
            data = self.server.bytes_of(bucket, key)
            return self.answer(200 if data is not None else 404, body=data or b"")
        return super().control(path, query)

    def refuse(self, path, query):
        self.entry["token"] = self.headers.get("x-amz-security-token")
        return super().refuse(path, query)

    def serve(self, path, query):
        self.entry["range"] = self.headers.get("Range")
        self.entry["host"] = self.headers.get("Host")
        host = (self.headers.get("Host") or "").split(":")[0]
        if path.startswith("/v3/"):
            return self.api(path[4:])
        path = urllib.parse.unquote(path)
        if host.endswith(".localhost"):
            bucket, key = host[:-len(".localhost")], path[1:]
        else:
            bucket, _, key = path[1:].partition("/")
        return self.store(bucket, key, dict(query))

    # ---- the API

    def send(self, what, status=200):
        if self.k["html"]:
            return self.answer(200, "text/html", b"<html>Log in</html>")
        text = self.k["json"] or json.dumps(what)
        return self.answer(status, "application/json", text.encode())

    def api(self, call):
        k = self.k
        if call == "version":
            return self.send({"idc_version": "v%d" % k["release"], "build": "test",
                              "idc_index_data_version": "%d.0.0" % k["release"],
                              "api_version": "3.0.0b5"})
        if call == "collections":
            names = self.query("SELECT DISTINCT collection_id FROM \"index\"")[1]
            return self.send([{"collection_id": n, "collection_name": n.upper(),
                               "species": None} for n, in names])
        if call == "sql" and self.server.knobs["no_sql"]:
            return self.send({"detail": "Not Found"}, self.server.knobs["no_sql"])
        if call == "sql" and self.command == "POST":
            return self.sql(json.loads(self.body))
        if call == "cohort/manifest" and self.command == "POST":
            return self.manifest(json.loads(self.body))
        if call.startswith("attributes/") and call.endswith("/values"):
            return self.values(call.split("/")[1])
        return self.send({"detail": "Not Found"}, 404)

    def query(self, text):
        with self.server.lock:
            cursor = self.server.tables[self.k["release"]].execute(text)
            return [d[0] for d in cursor.description], cursor.fetchall()

    def sql(self, body):
        k = self.k
        if set(body) - {"sql", "max_rows"}:
            return self.send({"detail": [{"msg": "extra fields not permitted"}]}, 422)
        self.entry["sql"] = body["sql"]
        if k["no_tables"] and any(t in body["sql"] for t in TABLES):
            return self.invalid("no such table")
        if not body["sql"].startswith("SELECT "):
            return self.send({"error": {"code": "invalid_query", "message": ""}}, 400)
        try:
            names, rows = self.query(body["sql"])
        except sqlite3.Error as e:
            return self.send({"error": {"code": "invalid_query", "message": str(e)}}, 400)
        lists = [i for i, name in enumerate(names) if name in LISTS]
        rows = [[json.loads(v) if i in lists and v else v for i, v in enumerate(r)]
                for r in rows] if lists else rows
        cap = min(k["sql_rows"], body.get("max_rows", 5000), 10000)
        cut = len(rows) > cap
        rows = rows[:cap]
        if "vivofs_left" in names:
            rows = self.faulty_rows(names, rows)
        elif k["odd_columns"]:
            odd = [{"a": 1}, [[1]], [None], True, "\x07/../..", [1e308, "x"], [], "z" * 99999,
                   "a\x00b"][:7 + k["odd_columns"]]
            rows = [[r[0]] + [odd[(i + n) % len(odd)] for i in range(len(r) - 1)]
                    for n, r in enumerate(rows)]
        if not k["sql_arrays"]:
            rows = [r if isinstance(r, dict) else dict(zip(names, r)) for r in rows]
        return self.send({"columns": names, "rows": rows, "row_count": len(rows),
                          "truncated": cut, "max_rows": cap})

    def faulty_rows(self, names, rows):
        """Rows of the index with what the knobs make of them."""
        k = self.k
        if k["sql_lost"] and rows and rows[0][-1] <= len(rows):
            rows = rows[:-k["sql_lost"]]
        if not k["sql_arrays"]:
            rows = [dict(zip(names, r)) for r in rows]
        if k["odd_types"]:
            rows = [dict(r, instanceCount=str(r["instanceCount"]), PatientAge=7,
                         Manufacturer=None, SeriesDescription={"a": [1]}) for r in rows]
        if k["two_uuids"]:
            rows = [dict(r, vivofs_left=r["vivofs_left"] + 1) for r in rows]
            rows.append(dict(rows[-1], crdc_series_uuid=uuid_of("another")))
        if k["hostile"]:
            rows = [dict(r, vivofs_left=2 * r["vivofs_left"],
                         PatientID="../../etc/\x01\n" + r["PatientID"],
                         StudyDescription="..", SeriesDescription="/\x7f\u202e" * 20,
                         BodyPartExamined="x" * (10_000_000 if i == 0 else 10))
                    for i, r in enumerate(rows) for _ in range(2)]
        return rows

    def invalid(self, message):
        return self.send({"error": {"code": "invalid_query", "message": message}}, 400)

    def values(self, name):
        if name not in TERMS:
            return self.invalid("Unknown attribute")
        rows = self.query(f'SELECT {name}, count(*) FROM "index" GROUP BY 1')[1]
        rows = [{"value": v, "count": n} for v, n in rows if v is not None]
        cap = min(self.k["values"], 10000)
        return self.send({"attribute": name, "values": rows[:cap],
                          "truncated": len(rows) > cap, "note": ""})

    def manifest(self, body):
        """Values mind case; an empty list is no condition; one condition there must be."""
        k = self.k
        if set(body) - {"filters", "page", "page_size", "include_rows"} or \
                set(body.get("filters", {"": 0})) - {"terms", "ranges"}:
            return self.send({"detail": [{"msg": "extra fields not permitted"}]}, 422)
        terms = {n: v for n, v in body["filters"].get("terms", {}).items() if v}
        self.entry["terms"] = terms
        if not terms or set(terms) - set(TERMS):
            return self.invalid("Unknown or no filter attribute")
        names, rows = self.query('SELECT * FROM "index"')
        rows = [r for r in (dict(zip(names, r)) for r in rows)
                if all(r[n] in v for n, v in terms.items())]
        size = min(body.get("page_size", 100), k["page_rows"])
        page = body.get("page", 0)
        some = rows[page * size:(page + 1) * size]
        if k["rows_lost"] and (page + 1) * size >= len(rows):
            some = some[:-k["rows_lost"]]
        some = [dict({n: r[n] for n in MANIFEST}, series_size_MB=0.1,
                     series_aws_url=f"s3://{r['aws_bucket']}/{r['crdc_series_uuid']}/*")
                for r in some]
        return self.send({"counts": {}, "page": page, "page_size": size,
                          "returned": len(some), "total_series": len(rows),
                          "series": some, "filters_applied": {"terms": terms},
                          "warnings": []})

    # ---- the buckets

    def error(self, status, code):
        self.answer(status, "application/xml",
                    b"<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>" % code.encode())

    def signed(self):
        """Is it signed with the keys (SigV4, as Amazon's documentation has it)?"""
        ident, _, secret = self.k["keys"].partition(":")
        given = self.headers.get("Authorization") or ""
        parts = dict(p.strip().partition("=")[::2]
                     for p in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        scope = parts.get("Credential", "").split("/")
        names = parts.get("SignedHeaders", "")
        digest = self.headers.get("x-amz-content-sha256") or ""
        if len(scope) != 5 or scope[0] != ident or "host" not in names:
            return False
        if self.k["session"]:
            if ("x-amz-security-token" not in names.split(";") or
                    self.headers.get("x-amz-security-token") != self.k["session"]):
                return False
        path, _, query = self.path.partition("?")
        query = "&".join(sorted(query.split("&")))
        canonical = "\n".join(
            [self.command, path, query] +
            ["%s:%s" % (n, " ".join((self.headers.get(n) or "").split()))
             for n in names.split(";")] + ["", names, digest])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers.get("x-amz-date") or "",
                          "/".join(scope[1:]),
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + secret).encode()
        for word in scope[1:]:
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        want = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(want, parts.get("Signature", ""))

    def store(self, bucket, key, query):
        k = self.k
        if k["keys"] and not self.signed():
            return self.error(403, "SignatureDoesNotMatch")
        if not k["keys"] and self.headers.get("Authorization"):
            return self.error(403, "InvalidAccessKeyId")
        if bucket not in self.server.buckets:
            return self.error(404, "NoSuchBucket")
        if not key:
            return self.list(bucket, query)
        data = self.server.bytes_of(bucket, key)
        if data is None or (k["gone"] and bucket != "scans"):
            return self.error(404, "NoSuchKey")
        return self.object(data)

    def object(self, data):
        k = self.k
        etag = '"%s"' % hashlib.md5(data).hexdigest()
        if k["other_etag"]:
            etag = '"other"'
        headers = [] if k["no_etag"] else [("ETag", etag)]
        span = None if k["strip_range"] else self.headers.get("Range")
        if k["html"]:
            return self.answer(200, "text/html", b"<html>Log in</html>")
        if not span:
            with self.server.lock:
                self.server.retrieved += self.headers.get("Range") is None
            return self.answer(200, "binary/octet-stream", data, headers)
        first, last = span.removeprefix("bytes=").split("-")
        first, last = int(first), min(int(last), len(data) - 1)
        if first >= len(data):
            return self.error(416, "InvalidRange")
        headers.append(("Content-Range", "bytes %d-%d/%d" % (first, last, len(data))))
        return self.answer(206, "binary/octet-stream", data[first:last + 1], headers)

    def token_of(self, at):
        text = "%d %s" % (at, os.urandom(6).hex())
        return "t" if self.k["same_token"] else "+/" + base64.b64encode(
            text.encode()).decode() + "="

    def list(self, bucket, query):
        k = self.k
        if query.get("list-type") != "2":
            return self.error(400, "InvalidArgument")
        if k["xml"]:
            return self.answer(200, "application/xml", k["xml"].encode())
        if k["html"]:
            return self.answer(200, "text/html", b"<!DOCTYPE html><html>Log in</html>")
        keys = sorted((n for n in self.server.buckets[bucket]
                       if n.startswith(query.get("prefix", ""))), key=str.encode)
        if bucket != "scans":
            keys = [] if k["gone"] else keys[k["lost"]:]
        at = 0
        token = query.get("continuation-token")
        if token and not k["endless"] and not k["same_token"]:
            try:
                at = int(base64.b64decode(token[2:]).split()[0])
            except (ValueError, IndexError):
                return self.error(400, "InvalidArgument")
        size = min(k["page"], int(query.get("max-keys", 1000)), 1000)
        page = keys[at:at + size]
        more = at + size < len(keys) or k["endless"] or k["same_token"]
        if k["empty_pages"]:
            page, more = [], True
        coded = query.get("encoding-type") == "url" and not k["raw_keys"]
        out = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\""
               "http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name>" % bucket]
        if more:
            out.append("<NextContinuationToken>%s</NextContinuationToken>"
                       % escape(self.token_of(at + size)))
        for key in page:
            data = self.server.bytes_of(bucket, key)
            shown = (urllib.parse.quote(key, safe="/").replace("%20", "+") if coded
                     else escape(key))
            out.append("<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z"
                       "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%d</Size>"
                       "<StorageClass>STANDARD</StorageClass></Contents>"
                       % (shown, hashlib.md5(data).hexdigest(), len(data)))
        out.append("<KeyCount>%d</KeyCount><MaxKeys>1000</MaxKeys>%s<IsTruncated>%s"
                   "</IsTruncated></ListBucketResult>"
                   % (len(page), "<EncodingType>url</EncodingType>" if coded else "",
                      "true" if more else "false"))
        return self.answer(200, "application/xml", "".join(out).encode())


if __name__ == "__main__":
    base.run(lambda port, archive, knobs, args: Server(port, archive, knobs, args.rows), "",
             rows={"type": int, "default": 0})
