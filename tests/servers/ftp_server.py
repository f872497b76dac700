#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An FTP server for tests, over pyftpdlib: anonymous or with a login, with or without
MLSD, and breaking off when told to.

Prints its base URL as its first line and serves until its standard input ends.

    ftp_server.py FOLDER | --make P,T,S,I  [--login USER:PASSWORD] [--no-mlsd]
                  [--dos] [--cut BYTES] [--stray COMMAND] [--log FILE]

--log FILE gets each command as it comes. --stray: the first COMMAND of all gets an answer
that belongs to none before its own, as pyftpdlib gives one now and then to whoever breaks
transfers off. Source: RFC 959, RFC 3659.
"""
import argparse
import logging
import os
import sys
import tempfile
import threading
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
warnings.filterwarnings("ignore")

import pyftpdlib.authorizers as authorizers  # noqa: E402
import pyftpdlib.filesystems as filesystems  # noqa: E402
import pyftpdlib.handlers as handlers  # noqa: E402
import pyftpdlib.servers as servers  # noqa: E402

import web_server  # noqa: E402
import synthetic  # noqa: E402

logging.disable(logging.CRITICAL)


class Breaking(handlers.DTPHandler):
    """Closes the connection after so many bytes, and says that it was cut."""
    cut = -1

    def send(self, data):
        if self.cut < 0 or self.file_obj is None:
            return super().send(data)
        n = super().send(data[:self.cut])
        self._resp = ("426 Connection closed; transfer aborted.", logging.debug)
        self.close()
        return n


class Dos(filesystems.AbstractedFS):
    def format_list(self, basedir, listing, ignore_err=True):
        for name in listing:
            path = os.path.join(basedir, name)
            size = "<DIR>" if os.path.isdir(path) else str(os.path.getsize(path))
            yield ("01-02-20  03:04PM %20s %s\r\n" % (size, name)).encode("utf8")


def main():
    parser = argparse.ArgumentParser()
    synthetic.add_arguments(parser)
    parser.add_argument("--login")
    parser.add_argument("--no-mlsd", action="store_true")
    parser.add_argument("--dos", action="store_true")
    parser.add_argument("--cut", type=int, default=-1)
    parser.add_argument("--stray")
    parser.add_argument("--log")
    args = parser.parse_args()
    Breaking.cut = args.cut
    with tempfile.TemporaryDirectory(prefix="vivo-ftp-") as temporary:
        folder = synthetic.folder_of(args, temporary)
        if folder == temporary:
            web_server.lay_out(folder)

        class Handler(handlers.FTPHandler):
            def pre_process_command(self, line, cmd, arg):
                if args.log:
                    with open(args.log, "a", encoding="utf8") as f:
                        f.write(line.replace(args.login or "\0", "-") + "\n")
                if cmd == args.stray:
                    args.stray = None
                    self.respond("226 Transfer complete.")
                if args.no_mlsd and cmd == "MLSD":
                    return self.respond("500 Command not understood.")
                return super().pre_process_command(line, cmd, arg)

        users = authorizers.DummyAuthorizer()
        if args.login:
            users.add_user(*args.login.split(":", 1), folder)
        else:
            users.add_anonymous(folder)
        Handler.authorizer = users
        Handler.dtp_handler = Breaking
        Handler.use_sendfile = args.cut < 0
        Handler.auth_failed_timeout = 0
        if args.dos:
            Handler.abstracted_fs = Dos
        server = servers.FTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.01},
                         daemon=True).start()
        print("ftp://127.0.0.1:%d/" % server.address[1], flush=True)
        while sys.stdin.buffer.read(4096):
            pass
        server.close_all()


if __name__ == "__main__":
    main()
