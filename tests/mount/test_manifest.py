# SPDX-License-Identifier: Apache-2.0
"""Manifests as sources: what is frozen mounts to the same tree; .tcia over NBIA; URLs;
what is not there, or is not what was listed, shows as an error."""
import csv
import errno
import functools
import glob
import hashlib
import http.server
import os
import threading
import zipfile

import pydicom
import pytest

import synthetic
from test_idc import Server as Idc
from test_nbia import Server
from vivomount import Mount


def tree(m, under):
    return {f: open(os.path.join(m / under, f), "rb").read() for f in m.files(under)}


def freeze(m, query):
    with open(m / f"loc/q/{query}/.freeze.csv", newline="") as f:
        return f.read()


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, newline="")
    return str(path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def web(folder):
    """The objects over HTTP."""
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()
    server.server_close()


def objects(folder):
    return sorted(p for p in glob.glob(folder + "/**/*", recursive=True)
                  if os.path.isfile(p))


def test_a_frozen_query_mounts_to_the_same_tree(mount, tmp_path):
    query = "Modality=CT and InstanceNumber<3"
    source = written(tmp_path, "cohort.csv", freeze(mount, query))
    with Mount({"loc": source}) as m:
        assert tree(m, "loc") == tree(mount, f"loc/q/{query}")
        assert m.files("loc/q/Modality=CT") == m.files("loc")
        # Asked of the objects' headers, and frozen again.
        assert m.files("loc/q/Rows=8") == m.files("loc")
        assert freeze(m, query) == freeze(mount, query)


def test_a_frozen_query_mounts_under_a_profile(mount, tmp_path):
    source = written(tmp_path, "cohort.csv", freeze(mount, "Modality=CT"))
    with Mount({"loc": source}, deid="basic") as m:
        files = m.files("loc")
        assert len(files) == len(mount.files("loc/q/Modality=CT"))
        assert not any("PAT0" in f for f in files)
        ds = pydicom.dcmread(m / f"loc/{files[0]}")
        assert ds.PatientIdentityRemoved == "YES"
        for name in (".freeze.csv", ".manifest.tcia", ".manifest.s5cmd"):
            with pytest.raises(OSError) as e:
                open(m / f"loc/q/Modality=CT/{name}")
            assert e.value.errno in (errno.EPERM, errno.ENOENT)
        assert not os.path.exists(m / "loc/q/Modality=MR/.error")
        with pytest.raises(PermissionError):
            open(m / "loc/q/Modality=CT/.freeze.csv")
        assert os.listdir(m / "loc/q/Modality=CT")  # that another answer comes is no cure
        with open(m / "loc/q/Modality=CT/.error") as f:
            said = f.read()
        assert said.startswith(".freeze.csv: ") and "deid=none" in said


def test_digest_and_size_are_checked(folder, tmp_path):
    path = objects(folder)[0]
    ds = pydicom.dcmread(path)
    with open(path, "rb") as f:
        data = f.read()
    good = hashlib.sha256(data).hexdigest()
    for digest, size, error in ((good, len(data), 0), ("0" * 64, "", errno.EBADMSG),
                                ("", len(data) + 1, errno.EIO)):
        rows = (f"SOPInstanceUID,SeriesInstanceUID,Url,Size,Sha256\n{ds.SOPInstanceUID},"
                f"{ds.SeriesInstanceUID},file://{path},{size},{digest}\n")
        with Mount({"loc": written(tmp_path, "one.csv", rows)}, faults=True) as m:
            name = m.files("loc")[0]
            try:
                with open(m / f"loc/{name}", "rb") as f:
                    assert f.read() == data and not error
                assert f",{digest}," in freeze(m, "has SOPInstanceUID").splitlines()[1]
            except OSError as e:
                assert error and e.errno == error


def test_a_url_with_another_object_is_an_error(folder, tmp_path):
    one, other = objects(folder)[:2]
    ds = pydicom.dcmread(one)
    rows = (f"SOPInstanceUID\tSeriesInstanceUID\tUrl\n{ds.SOPInstanceUID}\t"
            f"{ds.SeriesInstanceUID}\tfile://{other}\n")
    with Mount({"loc": written(tmp_path, "one.tsv", rows)}, faults=True) as m:
        with pytest.raises(OSError) as e:
            open(m / f"loc/{m.files('loc')[0]}", "rb").read()
        assert e.value.errno == errno.EIO


def test_urls_are_placed_by_their_headers(folder, web, mount, tmp_path):
    urls = [web + p[len(folder):] for p in objects(folder)]
    lines = "\n  out=x.dcm\n".join(urls) + f"\n{web}/not-there.dcm\n"
    with Mount({"loc": written(tmp_path, "list.txt", lines)}, faults=True) as m:
        shown = m.files("loc")
        missing = [f for f in shown if f.startswith("all/unknown/")]
        assert len(missing) == 1, shown
        assert sorted(set(shown) - set(missing)) == mount.files("loc")
        name = mount.files("loc")[0]
        with pytest.raises(OSError):
            open(m / f"loc/{missing[0]}", "rb").read()
        with open(m / f"loc/{name}", "rb") as a, open(mount / f"loc/{name}", "rb") as b:
            assert a.read() == b.read()
        assert m.files("loc/q/Modality=CT") == mount.files("loc/q/Modality=CT")


def test_tcia_lists_its_series_and_shows_what_is_unknown(folder, tmp_path):
    server = Server(folder)
    series = sorted({str(pydicom.dcmread(p).SeriesInstanceUID) for p in objects(folder)})
    base = server.url.removesuffix("/nbia-api")
    text = ("downloadServerUrl=" + base + "/nbia-download/servlet/DownloadServlet\r\n"
            "includeAnnotation=true\r\nnoOfrRetry=4\r\ndatabasketId=m.tcia\r\n"
            "manifestVersion=3.0\r\n\r\nListOfSeriesToDownload=\r\n"
            + "\r\n".join(series[:3]) + "\r\n1.2.3.4.99\r\n" + series[0] + "\r\n")
    try:
        with Mount({"loc": written(tmp_path, "m.tcia", text)}, faults=True) as m:
            files = m.files("loc")
            unknown = [f for f in files if "NOT-IN-THE-ARCHIVE" in f]
            assert len(unknown) == 1 and len(files) == 3 * 3 + 1
            with pytest.raises(OSError) as e:
                open(m / f"loc/{unknown[0]}", "rb").read()
            assert e.value.errno == errno.EIO
            known = sorted(set(files) - set(unknown))
            got = {str(pydicom.dcmread(m / f"loc/{f}").SeriesInstanceUID) for f in known}
            assert got == set(series[:3])
        with Mount({"loc": server.source}) as m:
            with open(m / "loc/q/Modality=CT/.manifest.tcia") as f:
                lines = f.read().splitlines()
            assert lines[0] == text.splitlines()[0]
            cts = {str(pydicom.dcmread(p).SeriesInstanceUID) for p in objects(folder)
                   if pydicom.dcmread(p).Modality == "CT"}
            assert set(lines[6:]) == cts
    finally:
        server.close()


def test_old_tcia_manifests_say_why_not(tmp_path):
    text = ("downloadServerUrl=http://127.0.0.1:9/nbia-download/servlet/DownloadServlet\n"
            "manifestVersion=2.0\ntempLoc=/tmp/x\n")
    with Mount({"loc": written(tmp_path, "old.tcia", text)}, faults=True) as m:
        with pytest.raises(OSError):
            os.listdir(m / "loc")
        assert "version 1 or 2" in m.log()


def test_tables_of_excel_are_read_or_told_what_to_do(folder, tmp_path):
    """ "Unicode text" of Excel is UTF-16 with tabs; a workbook is none."""
    ds = pydicom.dcmread(objects(folder)[0])
    text = ("Series UID\tSOP Instance UID\tCollection\tURL\r\n%s\t%s\tKöln\tfile://%s\r\n"
            % (ds.SeriesInstanceUID, ds.SOPInstanceUID, objects(folder)[0]))
    (tmp_path / "table.txt").write_bytes(text.encode("utf-16"))
    with Mount({"loc": str(tmp_path / "table.txt")}) as m:
        assert m.files("loc")[0].startswith("Koln_") and len(m.files("loc")) == 1
    with zipfile.ZipFile(tmp_path / "table.xlsx", "w") as z:
        z.writestr("[Content_Types].xml", "<Types/>")
        z.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(RuntimeError, match="save the sheet as CSV"):
        Mount({"loc": str(tmp_path / "table.xlsx")})


def test_quotes_empty_cells_and_bad_rows(folder, tmp_path):
    path = objects(folder)[0]
    ds = pydicom.dcmread(path)
    out = tmp_path / "odd.csv"
    with open(out, "w", newline="", encoding="utf-8-sig") as f:
        w = csv.writer(f)
        w.writerow(["Series UID", "SOP Instance UID", "Collection", "URL",
                    "SeriesDescription", "Unknown Column"])
        w.writerow([ds.SeriesInstanceUID, ds.SOPInstanceUID, 'a "quoted", name',
                    "file://" + path, "two\nlines", ""])
        w.writerow(["", "not-a-uid", "", "file:///x", "", ""])
    with Mount({"loc": str(out)}) as m:
        assert len(m.files("loc")) == 1
        assert os.listdir(m / "loc")[0].startswith("a-quoted-name")
        assert "1 rows name no object" in m.log() and "line 4" in m.log()


def test_s5cmd_and_frozen_urls_of_buckets(folder, tmp_path):
    server = Idc(folder)
    endpoint = server.url
    try:
        with Mount({"loc": server.idc}, faults=True) as m:
            query = m / "loc/q/Modality=CT"
            with open(query + "/.manifest.s5cmd") as f:
                lines = f.read().splitlines()
            shown = {os.path.basename(f).rsplit("_")[-1]: open(
                os.path.join(query, f), "rb").read() for f in m.files("loc/q/Modality=CT")}
            frozen = freeze(m, "Modality=CT")  # reads headers: IDC lists no such UIDs
            assert frozen == freeze(m, "Modality=CT and has SOPInstanceUID")
            series = os.path.dirname(m.files("loc")[0])
            with open(m / f"loc/{series}/.freeze.csv") as f:
                assert len(f.read().splitlines()) == 1 + len(m.files("loc/" + series))
        assert len(lines) == len(shown)
        assert all(line.startswith("cp 's3://") for line in lines)
        prefixes = sorted({line.split("'")[1].rsplit("/", 1)[0] for line in lines})
        folders = "".join(f"cp '{p}/*' .\n" for p in prefixes)
        for name, text in (("k.s5cmd", "\n".join(lines)), ("p.s5cmd", folders),
                           ("c.csv", frozen)):
            source = written(tmp_path, name, text)
            with Mount({"loc": source}, f"endpoint={endpoint}") as m:
                got = [open(m / f"loc/{f}", "rb").read() for f in m.files("loc")]
            assert sorted(got) == sorted(shown.values()), name
    finally:
        server.close()


# ---- as they are found in the wild


@pytest.fixture(scope="module")
def idc(folder):
    """An IDC, and the prefixes of its four CT series in their buckets."""
    server = Idc(folder)
    with Mount({"loc": server.idc}) as m, \
            open(m / "loc/q/Modality=CT/.manifest.s5cmd") as f:
        server.prefixes = sorted({s.split("'")[1].rsplit("/", 1)[0] for s in f})
    yield server
    server.close()


@pytest.fixture(scope="module")
def nbia(folder):
    server = Server(folder)
    yield server
    server.close()


def commands(line):
    return lambda prefixes, url: "".join(line.format(p=p, u=url) for p in prefixes)


S5CMD = "cp {p}/* .\n"


@pytest.mark.parametrize("form", [
    lambda p, u: "study_manifest_cp_command\r\n" + commands("cp {p}/* .\r\n")(p, u),
    lambda p, u: f"# s5cmd --no-sign-request --endpoint-url {u} run FILE\n" +
    commands(S5CMD)(p, u),
    commands("s5cmd --no-sign-request --endpoint-url {u}/ sync '{p}/*' .\n"),
    commands('"{p}/*"\n'),
    commands("{p}/* .\n"),
    lambda p, u: "a,series_aws_url\n" + commands("x,{p}/*\n")(p, u) + ",\n",
    lambda p, u: "SeriesInstanceUID;series_aws_url\n" + commands("1.2.3;{p}/*\n")(p, u),
], ids=["headed", "endpoint", "script", "quoted", "padded", "table", "idc-table"])
def test_lists_of_buckets_in_every_form(idc, tmp_path, form):
    text = form(idc.prefixes, idc.url)
    options = "" if idc.url in text else f"endpoint={idc.url}"
    with Mount({"loc": written(tmp_path, "list", text)}, options) as m:
        assert len(m.files("loc")) == 12 and m.archive("loc")["hidden"] == 0
        assert len(open(m / f"loc/{m.files('loc')[0]}", "rb").read()) > 132


def test_what_a_bucket_has_no_more_leaves_the_rest_usable(idc, tmp_path):
    gone = "cp s3://{}/00000000-0000-0000-0000-000000000000/{} .\n".format
    text = commands(S5CMD)(idc.prefixes, "") + gone("idc-open-data", "*") + \
        gone("no-such-bucket", "*") + gone("idc-open-data", "x.dcm") + "ls\n"
    with Mount({"loc": written(tmp_path, "l", text)}, f"endpoint={idc.url}",
               faults=True) as m:
        files = m.files("loc")
        missing = [f for f in files if f.startswith("all/unknown/")]
        assert len(files) == 12 + 3 and len(missing) == 3
        assert "3 URLs of the manifest lead nowhere" in m.log()
        assert "1 lines of the manifest name no URL, the first is line 8" in m.log()
        for f in missing:
            with pytest.raises(OSError) as e:
                open(m / f"loc/{f}", "rb").read()
            assert e.value.errno == errno.EIO


@pytest.mark.parametrize("form, left_out", [
    ("Collection,Series UID,x\r\na,{0},\r\nb,{1},\r\n,,\r\n,,\r\n", 0),
    ('a, "SERIES INSTANCE UID" \nb, {0}\nb, "{1}" \n', 0),
    ("Series UID\tq\n{0}\tx\nhello\tx\n{1}\tx\n\ty\n", 2),
    ('"{0}"\n\'\n{1},\n1.2.\n', 2),
    ("downloadServerUrl = {base}\nmanifestVersion = 3.0\n"
     "ListOfSeriesToDownload = {0}\n<html>\n  {1},\n", 1),
], ids=["sheet", "blanks", "tab", "uids", "tcia"])
def test_lists_of_series_in_every_form(nbia, folder, tmp_path, form, left_out):
    series = sorted({str(pydicom.dcmread(p).SeriesInstanceUID) for p in objects(folder)})
    text = form.format(*series, base=nbia.url.removesuffix("nbia-api") +
                       "nbia-download/servlet/DownloadServlet")
    options = "" if "downloadServerUrl" in text else f"endpoint={nbia.url}"
    with Mount({"loc": written(tmp_path, "m", text)}, options, faults=True) as m:
        got = {str(pydicom.dcmread(m / f"loc/{f}").SeriesInstanceUID)
               for f in m.files("loc")}
        assert got == set(series[:2]) and m.archive("loc")["hidden"] == left_out
        assert ("name no series" in m.log()) == bool(left_out)


def test_old_name_of_the_nbia_server_is_the_new_one(tmp_path):
    asked = []

    class Proxy(Quiet):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    text = ("downloadServerUrl=http://public.cancerimagingarchive.net/nbia-download/"
            "servlet/DownloadServlet\nListOfSeriesToDownload=\n1.2.3.4\n")
    with Mount({"loc": written(tmp_path, "m", text)},
               "proxy=http://127.0.0.1:%d" % server.server_port, faults=True) as m:
        with pytest.raises(OSError):
            os.listdir(m / "loc")
    assert asked[0].startswith("http://nbia.cancerimagingarchive.net/nbia-api/services/")
    server.shutdown()
    server.server_close()
