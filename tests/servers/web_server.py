#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A web folder for tests: index pages as nginx, Apache, lighttpd, Caddy, Python and
others write them, and files with or without ranges; with lies and faults behind knobs.

Prints its base URL as its first line and serves until its standard input ends. Control
(/__set, /__log, /__count ...), transport knobs and arguments are those of
dicomweb_server.py; those of web folders are below.

    web_server.py FOLDER | --make P,T,S,I  [--port N] [--knob NAME=VALUE ...]

What is made is laid out in folders with names that need quoting, with files beside it
that are no DICOM. /__count counts files asked for whole.
Source: the sources of nginx, httpd, lighttpd and caddy, as of 2025; Python 3.11.
"""
import datetime
import hashlib
import html
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import pydicom  # noqa: E402

import dicomweb_server as base  # noqa: E402
import synthetic  # noqa: E402

base.DEFAULTS.update({
    "style": "nginx",   # of index pages, see PAGES
    "ranges": 1,        # 0: ignored, everything is sent; 2: a wrong range is sent
    "stamps": 1,        # ETag and Last-Modified of files
    "links": "",        # HTML put into the first index page
    "close_pages": 0,   # as close, of index pages only
    "page": "",         # exactly this instead of index pages
    "kind": "",         # Content-Type of files
    "encoding": "",     # Content-Encoding of files
    "endless": 0,       # index pages never end
    "deeper": 0,        # every folder holds another one, for ever
    "swap": 0,          # every request for a file: another ETag
    "file_body": "",    # exactly this instead of files
    "total": 0,         # added to the total in Content-Range
    "body_redirect": "",  # 302 of files only, to this + path
})


def quoted(name):
    return urllib.parse.quote(name)


def link(name, shown=None):
    return '<a href="%s">%s</a>' % (quoted(name), html.escape(shown or name))


class Entry:
    def __init__(self, where, name):
        path = os.path.join(where, name)
        self.folder = os.path.isdir(path)
        self.name = name
        self.slashed = name + "/" if self.folder else name
        stat = os.stat(path)
        self.size = stat.st_size
        self.time = datetime.datetime.fromtimestamp(int(stat.st_mtime),
                                                    datetime.timezone.utc)

    def cut(self, width):
        s = self.slashed
        return s if len(s) <= width else s[:width - 3] + "..>"


def nginx(title, entries, extra):
    out = ("<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n"
           '<h1>Index of %s</h1><hr><pre><a href="../">../</a>\r\n' % (title, title))
    for e in entries:
        shown = e.cut(50)
        size = "-" if e.folder else str(e.size)
        out += "%s%s %s %19s\r\n" % (link(e.slashed, shown), " " * (50 - len(shown)),
                                     e.time.strftime("%d-%b-%Y %H:%M"), size)
    return out + extra + "</pre><hr></body>\r\n</html>\r\n"


def rough(e):
    return "  - " if e.folder else str(e.size) if e.size < 1000 else "%.1fK" % (
        e.size / 1024)


def apache(title, entries, extra):
    out = ('<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<html>\n <head>\n'
           "  <title>Index of %s</title>\n </head>\n <body>\n<h1>Index of %s</h1>\n"
           '<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O=D">Name</a> '
           '<a href="?C=M;O=A">Last modified</a><hr>'
           '<img src="/icons/back.gif" alt="[PARENTDIR]"> <a href="%s">Parent '
           "Directory</a>                             -   \n" %
           (title, title, os.path.dirname(title.rstrip("/")) or "/"))
    for e in entries:
        icon = '<a href="%s"><img src="/i.gif" alt="[   ]"></a>' % quoted(e.slashed)
        out += "%s %s %s  %s  \n" % (icon, link(e.slashed, e.cut(23)),
                                     e.time.strftime("%Y-%m-%d %H:%M"), rough(e))
    return out + extra + ("<hr></pre>\n<address>Apache/2.4.62 Server at x Port 80"
                          "</address>\n</body></html>\n")


def apache_table(title, entries, extra):
    out = ("<html><head><title>Index of %s</title></head><body><h1>Index of %s</h1>\n"
           '<table><tr><th><a href="?C=N&amp;O=D">Name</a></th></tr>\n'
           '<tr><td valign="top"><img alt="[PARENTDIR]"></td><td><a href="../">Parent '
           "Directory</a></td><td>&nbsp;</td></tr>\n" % (title, title))
    for e in entries:
        out += ('<tr><td valign="top"><img alt="[ ]"></td><td>%s</td>'
                '<td align="right">%s  </td><td align="right">%s</td><td>&nbsp;</td>'
                "</tr>\n" % (link(e.slashed), e.time.strftime("%Y-%m-%d %H:%M"),
                             rough(e)))
    return out + extra + "</table>\n</body></html>\n"


def lighttpd(title, entries, extra):
    out = ('<!DOCTYPE html>\n<html><head><title>Index of %s</title></head><body>'
           '<h2>Index of %s</h2><table summary="Directory Listing"><tbody>'
           '<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;'
           "</td></tr>" % (title, title))
    for e in entries:
        out += ('<tr><td class="n">%s%s</td><td class="m">%s</td><td class="s" '
                'data-value="%d">%s</td><td class="t">x</td></tr>\n' %
                (link(e.slashed, e.name), "/" if e.folder else "",
                 e.time.strftime("%Y-%b-%d %H:%M:%S"), e.size, rough(e)))
    return out + extra + '</tbody></table><div class="foot">lighttpd</div></body></html>'


def python(title, entries, extra):
    out = ("<!DOCTYPE HTML>\n<html>\n<head>\n<title>Directory listing for %s</title>\n"
           "</head>\n<body>\n<h1>Directory listing for %s</h1>\n<hr>\n<ul>\n" %
           (title, title))
    for e in entries:
        out += "<li>%s</li>\n" % link(e.slashed)
    return out + extra + "</ul>\n<hr>\n</body>\n</html>\n"


def bare(title, entries, extra):
    """Upper case, no title, absolute links, a parent in brackets."""
    out = "<HTML><BODY>\n[<A HREF=../>Parent</A>]<br>\n"
    for e in entries:
        out += "<A HREF=%s>%s</A><br>\n" % (quoted(title + e.slashed), e.name)
    return out + extra + "</BODY></HTML>"


def pages(title, entries, extra):
    """Folders are told by their index.html."""
    out = "<html><body><A HREF=../index.html>[Parent]</A><br>\n"
    for e in entries:
        tail = "/index.html" if e.folder else ""
        out += "<A HREF=%s>%s</A><br>\n" % (quoted(e.name + tail), e.name)
    return out + extra + "</body></html>"


def nginx_json(_title, entries, _extra):
    return "[\r\n" + ",\r\n".join(
        json.dumps({"name": e.name, "type": "directory" if e.folder else "file",
                    "mtime": e.time.strftime("%a, %d %b %Y %H:%M:%S GMT"),
                    **({} if e.folder else {"size": e.size})}) for e in entries) + "\r\n]"


def lighttpd_json(_title, entries, _extra):
    return json.dumps([{"name": e.name, "type": "dir" if e.folder else "file",
                        "size": e.size, "mtime": int(e.time.timestamp())}
                       for e in entries])


def caddy_json(_title, entries, _extra):
    return json.dumps([{"name": e.slashed, "size": e.size, "url": "./" + quoted(e.slashed),
                        "mod_time": e.time.isoformat().replace("+00:00", "Z"),
                        "mode": 420, "is_dir": e.folder, "is_symlink": False}
                       for e in entries])


PAGES = {f.__name__: f for f in (nginx, apache, apache_table, lighttpd, python, bare,
                                 pages, nginx_json, lighttpd_json, caddy_json)}


class Handler(base.Handler):
    def serve(self, path, query):
        """Decoded, below the folder and there, or 404."""
        rel = urllib.parse.unquote(path).removeprefix("/data/")
        index = rel.endswith("index.html") and self.k["style"] == "pages"
        if index:
            rel = rel.removesuffix("index.html")
        where = os.path.join(self.server.folder, rel)
        if not path.startswith("/data/") or "/../" in "/" + rel + "/":
            return self.answer(404)
        if self.k["deeper"] and rel.strip("d/") == "":
            return self.index(path, where if not rel else None)
        if os.path.isdir(where):
            if rel and not rel.endswith("/"):
                self.answer(301, headers=[("Location", path + "/")])
            elif self.k["style"] == "pages" and not index:
                self.answer(403)
            else:
                self.index(path.removesuffix("index.html"), where)
        elif os.path.isfile(where):
            self.file(where, path)
        else:
            self.answer(404)

    def index(self, path, where):
        k = self.k
        if k["endless"]:
            return self.flood()
        entries = [Entry(where, n) for n in sorted(os.listdir(where))] if where else []
        entries.sort(key=lambda e: not e.folder)
        extra = (k["links"] if path == "/data/" else "") + ('<a href="d/">d/</a>' if k["deeper"] else "")
        text = PAGES[k["style"]](urllib.parse.unquote(path), entries, extra)
        self.k = dict(k, close=k["close"] or k["close_pages"])
        kind = "application/json" if "json" in k["style"] else "text/html"
        self.answer(200, kind, (k["page"] or text).encode("utf-8", "surrogateescape"))

    def flood(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        line = b'<a href="x">x</a>\n' * 4096
        while True:
            self.wfile.write(line)

    def stamps(self, data):
        s = self.server
        with s.lock:
            s.served += 1
            tag = hashlib.sha256(data).hexdigest()[:16]
            if self.k["swap"]:
                tag += str(s.served)
        if not self.k["stamps"]:
            return []
        return [("ETag", '"%s"' % tag), ("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")]

    def file(self, where, path):
        k = self.k
        if k["body_redirect"]:
            return self.answer(302, headers=[("Location", k["body_redirect"] + path)])
        with open(where, "rb") as f:
            data = f.read()
        if k["file_body"]:
            data = k["file_body"].encode()
        kind = k["kind"] or "application/octet-stream"
        headers = self.stamps(data)
        if k["encoding"]:
            headers.append(("Content-Encoding", k["encoding"]))
        wanted = self.headers.get("Range", "")
        self.entry["range"] = wanted
        if not wanted:
            with self.server.lock:
                self.server.retrieved += 1
        if not wanted or not k["ranges"]:
            return self.answer(200, kind, data, headers)
        first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        if first >= len(data):
            return self.answer(416, headers=[("Content-Range", "bytes */%d" % len(data))])
        last = min(last, len(data) - 1)
        shift = 1 if k["ranges"] == 2 else 0
        headers.append(("Content-Range", "bytes %d-%d/%d" % (
            first + shift, last, len(data) + k["total"])))
        return self.answer(206, kind, data[first:last + 1], headers)


def lay_out(folder):
    """0-1-0-2.dcm into folders; and what is no DICOM."""
    for name in sorted(os.listdir(folder)):
        p, t, s, i = name.removesuffix(".dcm").split("-")
        where = os.path.join(folder, "patient " + p, "study%2F" + t, "ü&s+" + s)
        os.makedirs(where, exist_ok=True)
        os.rename(os.path.join(folder, name), os.path.join(
            where, "I%s a name so long that servers cut it when they show it.dcm" % i))
    long = synthetic.instance("long", 0, 0, 0, 0)
    block = long.private_block(0x0099, "TEST", create=True)
    block.add_new(1, "OB", bytes(100000))
    pydicom.dcmwrite(os.path.join(folder, "patient 0", "long.dcm"), long,
                     write_like_original=False)
    for name, text in (("notes.txt", "hello"), ("plain", "hello"), ("empty", ""),
                       ("looks.dcm", "\0" * 128 + "DICM" + "x" * 500)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)


def make(port, archive, knobs, args):
    server = base.Server(port, archive, knobs)
    server.RequestHandlerClass = Handler
    server.folder = archive.folder
    server.served = 0
    return server


if __name__ == "__main__":
    base.run(make, "/data/", lay_out)
