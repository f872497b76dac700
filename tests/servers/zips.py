# SPDX-License-Identifier: Apache-2.0
"""A zip as servers stream it: made while it is sent, without a length, the sizes behind its
members; with faults behind knobs. For the servers beside this file."""
import zipfile

import dicomweb_server as base

base.DEFAULTS.update({
    "no_zip": 0,            # this status instead of a zip
    "zip_short": 0,         # so many members are missing in a zip that looks whole
    "zip_cut": 0,           # ... or so many bytes of its last one
    "zip_stall": 0,         # nothing more after so many, until it is turned off
})


def answer(handler, members, how=zipfile.ZIP_DEFLATED, headers=()):
    """members: (name, bytes) of each."""
    k, out = handler.k, base.Unseekable()
    with handler.server.lock:
        handler.server.retrieved += 1
    if k["no_zip"]:
        return handler.answer(k["no_zip"], "text/html", b"<html>no</html>", headers)
    with zipfile.ZipFile(out, "w", how) as z:
        chosen = list(members)[k["zip_short"]:]
        for n, (name, data) in enumerate(chosen, 1):
            if n == len(chosen) and k["zip_cut"]:
                data = data[:-k["zip_cut"]]
            z.writestr(name, data)
            if n == k["zip_stall"]:
                k["stall"] = len(out.getvalue())
    handler.k = dict(k, chunked=1)
    return handler.answer(200, "application/zip", out.getvalue(), headers)
