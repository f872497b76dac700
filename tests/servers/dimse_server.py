#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A PACS with faults: DICOM's upper layer (PS3.8), C-FIND and C-GET, as far as the tests
of the driver need them. How it behaves is in the AE title that it is called by:

    WHOLE    150 studies on 50 days, all in one answer
    CAP      cuts every answer at 60, without a word; so do ONEDAY (all at one time of one
             day) and UNDATED (some have no date)
    REFUSE   A700 to what has more than 60 answers
    WARN     B001 at the end of every answer
    FEWER    says that a study has 3 series and lists 2
    SILENT   takes the association and never answers; SILENTA does not even take it
    GARBAGE  answers what is no DICOM         ABORT     aborts in the middle of an object
    OTHER    sends another object             FAILED    fails to send it
    NOTHING  accepts no context               MIXED     names in the character sets of NAMES
    IGNORE   gives 151 studies, and the series and instances of two, whatever it is asked
    PLAIN    knows no wild cards
    PARTIAL  sends one object of a series, says so; LIAR says that it sent both
    NOTITLE, NOTUS, BUSY, ABORTA, CLOSEA  answer the request for an association: unknown
             called title, unknown calling title, too many, an abort, a closed connection
    EXTRA    sends one that is not listed, and one twice
    MOVE4.PORT, MOVE6.PORT  send by C-MOVE only, to that port of 127.0.0.1 or ::1
    SLOW     takes 150 ms for each object; series have 10
    PRCAP    knows the patient root only, has 80 patients and cuts answers at 60; so does
             PRODD, which has one whose PatientID begins with no ASCII character
    SWAP     sends a data set that is not the object of its command

Prints HOST:PORT as its first line and runs until its standard input ends. With --log
FILE it appends a line for each request: the AE title and what was asked for; and for
each association how many of that title there are now.
"""
import argparse
import fnmatch
import socket
import socketserver
import struct
import sys
import threading
import time

CAP = 60
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1."
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2."
CT = "1.2.840.10008.5.1.4.1.1.2"
OPEN, LOCK = {}, threading.Lock()
REQUESTS = {0x20: "C-FIND", 0x10: "C-GET", 0x21: "C-MOVE", 0x30: "C-ECHO"}
# PS3.8 sections 9.3.4 and 9.3.8: result, source, reason
REFUSALS = {"NOTITLE": (3, b"\0\1\1\7"), "NOTUS": (3, b"\0\1\1\3"),
            "BUSY": (3, b"\0\2\3\2"), "ABORTA": (7, b"\0\0\2\0")}
LEVEL, CHARSET, DATE, TIME = 0x00080052, 0x00080005, 0x00080020, 0x00080030
NAME, PATIENT = 0x00100010, 0x00100020
STUDY, SERIES, SOP, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
N_SERIES = 0x00201206
VRS = {DATE: "DA", TIME: "TM", NAME: "PN", PATIENT: "LO", LEVEL: "CS", CHARSET: "CS",
       N_SERIES: "IS", 0x00080060: "CS", 0x00200013: "IS"}


# Specific Character Set, name as UTF-8, as it is sent
NAMES = [("ISO_IR 100", "Müller^Jürgen".encode("latin-1")),
         ("ISO_IR 192", "Müller^Jürgen".encode("utf-8")),
         ("ISO_IR 144", "Люкceмбypг".encode("iso8859-5")),
         ("\\ISO 2022 IR 87",
          b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"),
         ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
         ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
         ("", b"Doe^Jane")]


def studies(title):
    for i in range(151 if title == "IGNORE" else 150):
        day = "200%d%02d%02d" % (i % 10, i // 10 % 12 + 1, i % 5 + 1)
        if title == "ONEDAY":
            day = "20200101"
        if title == "UNDATED" and i % 50 == 0:
            day = ""
        yield {DATE: day, TIME: "1030%02d" % (i % 60), STUDY: "1.2.%d" % (i + 1),
               PATIENT: "P%03d" % (i % 40), N_SERIES: "3",
               NAME: NAMES[i % len(NAMES)][1] if title == "MIXED" else "Doe^%d" % i,
               **({CHARSET: NAMES[i % len(NAMES)][0]} if title == "MIXED" else {})}


def in_range(value, key):
    if "-" not in key:
        return value == key
    low, high = key.split("-")
    return bool(value) and (not low or value >= low) and (not high or value <= high)


def like(value, key):
    return len(value) == len(key) and all(k in ("?", v) for v, k in zip(value, key))


def matches(title, row, keys):
    if title == "IGNORE":
        return True
    if title == "PLAIN" and "?" in keys.get(PATIENT, ""):
        return False
    if keys.get(DATE) and not in_range(row[DATE], keys[DATE]):
        return False
    if keys.get(TIME) and not in_range(row[TIME], keys[TIME]):
        return False
    if keys.get(PATIENT) and not like(row[PATIENT], keys[PATIENT]):
        return False
    return not keys.get(STUDY) or row[STUDY] in keys[STUDY].split("\\")


def find_patients(title, keys):
    """80 patients, a study each; of a question below them it must say of which."""
    ids = ["%s%02d" % (c, i) for c in "AB" for i in range(40)]
    if title == "PRODD":
        ids[0] = "\u00c9" + ids[0]
    if keys[LEVEL] == "PATIENT":
        return [{PATIENT: i.encode(), CHARSET: "ISO_IR 192", NAME: "Doe^" + i[-3:]}
                for i in ids if fnmatch.fnmatchcase(i, keys[PATIENT] or "*")]
    if NAME in keys or keys[PATIENT] not in ids:
        return None
    return [{PATIENT: keys[PATIENT].encode(), DATE: "20200101", CHARSET: "ISO_IR 192",
             STUDY: "1.2.%d" % (1 + ids.index(keys[PATIENT]))}]


def find(title, keys):
    if keys[LEVEL] == "STUDY":
        return [r for r in studies(title) if matches(title, r, keys)]
    above = STUDY if keys[LEVEL] == "SERIES" else SERIES
    several = [keys[above]] + [keys[above] + ".7"] * (title == "IGNORE")
    if keys[LEVEL] == "SERIES":
        return [{STUDY: uid, SERIES: uid + ".%d" % i, 0x00080060: "CT"}
                for uid in several for i in range(1, 3)]
    return [{SOP: uid + ".%d" % i, SERIES: uid, SOP_CLASS: CT, 0x00200013: str(i)}
            for uid in several for i in range(1, length_of_series(title) + 1)]


def length_of_series(title):
    return 10 if title == "SLOW" else 2


# ---- data sets ---------------------------------------------------------------


def element(tag, value, vr=None):
    """Implicit little endian; with a VR explicit."""
    data = value if isinstance(value, bytes) else value.encode("latin-1")
    data += (b"\0" if tag in (STUDY, SERIES, SOP, SOP_CLASS) else b" ") * (len(data) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if vr is None:
        return head + struct.pack("<I", len(data)) + data
    return head + vr.encode() + struct.pack("<H", len(data)) + data


def write_row(row, level):
    row = dict(row)
    row[LEVEL] = level
    return b"".join(element(t, row[t], VRS.get(t, "UI")) for t in sorted(row))


def read_keys(data):
    keys, at = {}, 0
    while at + 8 <= len(data):
        group, number, vr, n = struct.unpack_from("<HH2sH", data, at)
        keys[group << 16 | number] = data[at + 8:at + 8 + n].decode("utf-8").rstrip(" \0")
        at += 8 + n
    return keys


def read_command(data):
    out, at = {}, 0
    while at + 8 <= len(data):
        group, number, n = struct.unpack_from("<HHI", data, at)
        value = data[at + 8:at + 8 + n]
        out[number] = struct.unpack("<H", value)[0] if n == 2 else value
        at += 8 + n
    return out


def write_command(fields):
    body = b""
    for number in sorted(fields):
        value = fields[number]
        raw = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        raw += b"\0" * (len(raw) % 2)
        body += struct.pack("<HHI", 0, number, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def an_object(uid):
    return (element(SOP_CLASS, CT, "UI") + element(SOP, uid, "UI")
            + element(0x00080060, "CT", "CS") + element(PATIENT, "P001", "LO")
            + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 40000) + b"\1\2" * 20000)


# ---- the upper layer -----------------------------------------------------------


class Peer(socketserver.BaseRequestHandler):
    def handle(self):
        self.contexts, self.counted = {}, False
        try:
            while True:
                kind, body = self.read_pdu()
                if kind == 1 and not self.associate(body):
                    return
                if kind == 4:
                    self.take_data(body)
                if kind == 5:
                    self.count(-1)
                    self.send_pdu(6, b"\0" * 4)
                    return
                if kind == 7:
                    return
        except (OSError, EOFError, struct.error):
            pass
        finally:
            self.count(-1)

    def count(self, step):
        """Associations that were accepted, once each way."""
        with LOCK:
            if self.counted != (step > 0):
                self.counted = step > 0
                OPEN[self.title] = OPEN.get(self.title, 0) + step
                return OPEN[self.title]

    def read_exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.request.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read_pdu(self):
        kind, _, n = struct.unpack(">BBI", self.read_exactly(6))
        return kind, self.read_exactly(n)

    def send_pdu(self, kind, body):
        self.request.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def associate(self, body):
        self.title = body[4:20].decode().strip()
        self.buffer = {0: b"", 1: b""}
        if self.title == "SILENTA":
            self.request.recv(1)
            return False
        if self.title == "GARBAGE":
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nno DICOM here")
            return False
        if self.title in REFUSALS:
            self.send_pdu(*REFUSALS[self.title])
            return False
        if self.title == "CLOSEA":
            return False
        items, user, at = b"", b"", 68
        while at < len(body):
            kind, _, n = struct.unpack_from(">BBH", body, at)
            item = body[at + 4:at + 4 + n]
            if kind == 0x10:
                items += body[at:at + 4 + n]
            if kind == 0x20:
                items += self.accept(item)
            if kind == 0x50:
                user = item
            at += 4 + n
        items += struct.pack(">BBH", 0x50, 0, len(user)) + user  # roles as proposed
        self.note("associations %d" % self.count(1))
        self.send_pdu(2, body[:68] + items)
        return True

    def accept(self, item):
        number, at, abstract, syntaxes = item[0], 4, "", []
        while at < len(item):
            kind, _, n = struct.unpack_from(">BBH", item, at)
            uid = item[at + 4:at + 4 + n].decode().rstrip("\0")
            if kind == 0x30:
                abstract = uid
            else:
                syntaxes.append(uid)
            at += 4 + n
        gets = not (abstract == GET and self.title.startswith("MOVE"))
        good = EXPLICIT in syntaxes and self.title != "NOTHING" and gets and not abstract.startswith(
            STUDY_ROOT if self.title.startswith("PR") else PATIENT_ROOT)
        if good:
            self.contexts[number] = abstract
        uid = (EXPLICIT if good else syntaxes[0]).encode()
        body = (bytes([number, 0, 0 if good else 3, 0])
                + struct.pack(">BBH", 0x40, 0, len(uid)) + uid)
        return struct.pack(">BBH", 0x21, 0, len(body)) + body

    def send_part(self, context, data, command, last=True):
        head = struct.pack(">IBB", len(data) + 2, context, command | last << 1)
        self.send_pdu(4, head + data)

    def send_message(self, context, fields, data=None):
        fields = {**fields, 0x0800: 0x0101 if data is None else 1}
        self.send_part(context, write_command(fields), 1)
        while data is not None:
            part, data = data[:16000], data[16000:] or None
            self.send_part(context, part, 0, data is None)

    def take_data(self, body):
        at = 0
        while at < len(body):
            n, context, flags = struct.unpack_from(">IBB", body, at)
            self.buffer[flags & 1] += body[at + 6:at + 4 + n]
            at += 4 + n
            if flags == 3:
                self.command = read_command(self.buffer[1])
                self.buffer[1] = b""
            elif flags == 2:
                keys = read_keys(self.buffer[0])
                self.buffer[0] = b""
                self.serve(context, keys)

    def note(self, what):
        if self.server.log:
            self.server.log.write("%s %s\n" % (self.title, what))
            self.server.log.flush()

    def serve(self, context, keys):
        message = self.command[0x0110]
        self.note("%s %s" % (REQUESTS.get(self.command[0x0100], "other"), keys[LEVEL]))
        if self.title == "SILENT":
            self.request.recv(1)
            raise EOFError
        if self.command[0x0100] == 0x20:
            self.serve_find(context, keys, message)
        elif self.command[0x0100] == 0x10:
            self.serve_get(context, keys, message)
        elif self.command[0x0100] == 0x21:
            self.serve_move(context, keys, message)

    def serve_find(self, context, keys, message):
        patients = self.title.startswith("PR")
        rows = (find_patients if patients else find)(self.title, keys)
        status = 0xB001 if self.title == "WARN" else 0xA900 if rows is None else 0
        rows = rows or []
        if self.title == "REFUSE" and len(rows) > CAP:
            rows, status = [], 0xA700
        if patients or self.title in ("CAP", "ONEDAY", "UNDATED"):
            rows = rows[:CAP]
        if self.title != "FEWER":
            rows = [{t: v for t, v in r.items() if t != N_SERIES} for r in rows]
        base = {0x0002: PATIENT_ROOT + "1" if patients else FIND, 0x0100: 0x8020, 0x0120: message}
        for row in rows:
            self.send_message(context, {**base, 0x0900: 0xFF00},
                              write_row(row, keys[LEVEL]))
        self.send_message(context, {**base, 0x0900: status})

    def serve_get(self, context, keys, message):
        n = length_of_series(self.title)
        uids = [keys[SERIES] + ".%d" % i for i in range(1, n + 1)]
        if SOP in keys:
            uids = [keys[SOP]]
        base = {0x0002: GET, 0x0100: 0x8010, 0x0120: message}
        if not uids[0].startswith(keys[SERIES]):
            return self.send_message(context, {**base, 0x0900: 0})
        n = len(uids)
        if self.title == "FAILED":
            uids = []
        if self.title in ("PARTIAL", "LIAR"):
            uids = uids[:1]
        if self.title == "OTHER":
            uids = [uid + ".9" for uid in uids]
        if self.title == "EXTRA":
            uids = [uids[0] + "9", uids[0], *uids]
        for uid in uids:
            self.store(uid)
        sent = n if self.title == "LIAR" else len(uids)
        failed = max(n - sent, 0)
        return self.send_message(context, {**base, 0x0900: 0xB000 if failed else 0,
                                           0x1021: sent, 0x1022: failed, 0x1023: 0})

    def serve_move(self, context, keys, message):
        """One object, over an association of our own to who asked."""
        name, port = self.title.split(".")
        host = "::1" if name == "MOVE6" else "127.0.0.1"
        to = Peer.__new__(Peer)
        to.request, to.title, to.server = (
            socket.create_connection((host, int(port))), self.title, self.server)

        def item(kind, *parts):
            body = b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)
            return struct.pack(">BBH", kind, 0, len(body)) + body

        to.send_pdu(1, b"\0\1\0\0" + b"VIVOFS".ljust(16) + b"MOVER".ljust(16) + bytes(32)
                    + item(0x10, "1.2.840.10008.3.1.1.1")
                    + item(0x20, b"\1\0\0\0", item(0x30, CT), item(0x40, EXPLICIT))
                    + item(0x50, item(0x51, b"\0\0\x40\0"), item(0x52, "1.2.3")))
        assert to.read_pdu()[0] == 2
        to.contexts = {1: CT}
        to.store(keys[SOP])
        to.send_pdu(5, bytes(4))
        to.read_pdu()
        to.request.close()
        self.send_message(context, {0x0002: GET[:-1] + "2", 0x0100: 0x8021, 0x0120: message,
                                    0x0900: 0, 0x1021: 1, 0x1022: 0, 0x1023: 0})

    def store(self, uid):
        store = next(c for c, a in self.contexts.items() if a == CT)
        rq = {0x0002: CT, 0x0100: 1, 0x0110: 7, 0x0700: 0, 0x1000: uid, 0x0800: 1}
        if self.title == "SLOW":
            time.sleep(0.15)
        if self.title == "ABORT":
            self.send_part(store, write_command(rq), 1)
            self.send_part(store, an_object(uid)[:20000], 0, False)
            self.send_pdu(7, b"\0\0\0\0")
            raise EOFError
        self.send_message(store, rq, an_object(uid + "8" if self.title == "SWAP" else uid))
        kind, body = self.read_pdu()
        if kind == 4 and read_command(body[6:])[0x0100] == 0x0FFF:
            self.note("C-CANCEL")
        if kind != 4:
            raise EOFError


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--log", type=argparse.FileType("a"))
    args = parser.parse_args()
    if args.ipv6:
        Server.address_family = socket.AF_INET6
    server = Server(("::1" if args.ipv6 else "127.0.0.1", 0), Peer)
    server.log = args.log
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = "[::1]" if args.ipv6 else "127.0.0.1"
    print("%s:%d" % (host, server.server_address[1]), flush=True)
    while sys.stdin.buffer.read(4096):
        pass


if __name__ == "__main__":
    main()
