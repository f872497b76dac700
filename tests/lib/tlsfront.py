# SPDX-License-Identifier: Apache-2.0
"""TLS in front of a server that has none, on a free port of loopback, with a certificate
of its own.

    with TlsFront(folder, port) as front:
        front.port, front.cafile
"""
import os
import socket
import ssl
import subprocess
import threading


def certificate(folder, name, of):
    """Key and certificate, self-signed, for the host `of`; their paths."""
    key, cert = (os.path.join(folder, name + end) for end in (".key", ".pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=" + of],
                   check=True, capture_output=True)
    return key, cert


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class TlsFront:
    def __init__(self, folder, port, of="IP:127.0.0.1"):
        key, self.cafile = certificate(str(folder), "front", of)
        self.to = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cafile, key)

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def run(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            peer = self.context.wrap_socket(peer, server_side=True)
            server = socket.create_connection(("127.0.0.1", self.to))
        except OSError:     # ssl.SSLError is one
            peer.close()
            return
        threading.Thread(target=pump, args=(peer, server), daemon=True).start()
        pump(server, peer)
