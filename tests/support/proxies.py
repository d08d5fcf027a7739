"""Real proxies on loopback, HTTP CONNECT (with TLS, too) and SOCKS5, each in a thread; for tests of
clients.

    with connect_proxy({"cluster.test": port}) as proxy:
        ...  # proxy.url, proxy.asked

``names`` are the hosts that the proxy can look up, with the loopback port behind each: nothing ever
leaves loopback, and whoever reaches one of them has come through the proxy.
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.support import certificates


@dataclass
class RunningProxy:
    """``asked`` are the targets that clients named, in order; ``proof`` is name and password."""

    scheme: str
    names: Mapping[str, int]
    proof: tuple[str, str] | None
    context: ssl.SSLContext | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its URL, with the proof that it asks for."""
        proof = "{}:{}@".format(*self.proof) if self.proof else ""
        return f"{self.scheme}://{proof}127.0.0.1:{self.port}"

    @property
    def bare_url(self) -> str:
        """Its URL without the proof."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def dial(self, host: str, port: int) -> socket.socket | None:
        """The far end; None if it cannot be reached. Loopback addresses lead to themselves."""
        self.asked.append(f"{host}:{port}")
        try:
            return socket.create_connection(("127.0.0.1", self.names.get(host, port)))
        except OSError:
            return None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, handler: type[socketserver.BaseRequestHandler], proxy: RunningProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), handler)
        proxy.port = self.server_address[1]


class _Handler(socketserver.BaseRequestHandler):
    far: socket.socket | None = None

    @property
    def sock(self) -> socket.socket:
        return cast(socket.socket, self.request)

    @property
    def proxy(self) -> RunningProxy:
        return cast(_Server, self.server).proxy

    def setup(self) -> None:
        if self.proxy.context is not None:
            self.request = self.proxy.context.wrap_socket(
                self.sock, server_side=True, do_handshake_on_connect=False
            )

    def finish(self) -> None:
        self.sock.close()
        if self.far is not None:
            self.far.close()  # also if the client went before it could be told of it

    def dial(self, host: str, port: int) -> socket.socket | None:
        self.far = self.proxy.dial(host, port)
        return self.far

    def handle(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.do_handshake()
            far = self.negotiate()
            if far is not None:
                with far:
                    _carry(self.sock, far)

    def negotiate(self) -> socket.socket | None:
        raise NotImplementedError

    def read(self, count: int) -> bytes:
        """Exactly so many bytes: what follows is not the proxy's."""
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


class _Connect(_Handler):
    def negotiate(self) -> socket.socket | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        first, *lines = head.decode().rstrip().split("\r\n")
        method, authority, _ = first.split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        if method != "CONNECT":
            return self._refused(405)
        if self.proxy.proof is not None:
            wanted = base64.b64encode(":".join(self.proxy.proof).encode()).decode()
            if headers.get("proxy-authorization") != f"Basic {wanted}":
                return self._refused(407)
        host, _, port = authority.rpartition(":")
        far = self.dial(host.strip("[]"), int(port))
        if far is None:
            return self._refused(502)
        self.sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return far

    def _refused(self, status: int) -> socket.socket | None:
        self.sock.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        return None


class _Socks5(_Handler):
    def negotiate(self) -> socket.socket | None:
        version, count = self.read(2)
        methods = self.read(count)
        assert version == 5
        wanted = 2 if self.proxy.proof is not None else 0
        if wanted not in methods:
            self.sock.sendall(b"\x05\xff")
            return None
        self.sock.sendall(bytes((5, wanted)))
        if self.proxy.proof is not None and not self._let_in(self.proxy.proof):
            return None
        _, command, _, kind = self.read(4)
        assert command == 1
        if kind == 3:
            host = self.read(self.read(1)[0]).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self.read(length))
        (port,) = struct.unpack("!H", self.read(2))
        far = self.dial(host, port)
        self.sock.sendall(bytes((5, 5 if far is None else 0, 0, 1)) + bytes(6))
        return far

    def _let_in(self, proof: tuple[str, str]) -> bool:
        _, length = self.read(2)
        name = self.read(length).decode()
        password = self.read(self.read(1)[0]).decode()
        right = (name, password) == proof
        self.sock.sendall(bytes((1, 0 if right else 1)))
        return right


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Until either side ends."""
    other = {near: far, far: near}
    while True:
        decrypted = isinstance(near, ssl.SSLSocket) and near.pending()
        for ready in [near] if decrypted else select.select(list(other), [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            other[ready].sendall(data)


@contextlib.contextmanager
def _running(handler: type[_Handler], proxy: RunningProxy) -> Iterator[RunningProxy]:
    with _Server(handler, proxy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def connect_proxy(
    names: Mapping[str, int] | None = None, proof: tuple[str, str] | None = None
) -> contextlib.AbstractContextManager[RunningProxy]:
    """An HTTP proxy that knows CONNECT only."""
    return _running(_Connect, RunningProxy("http", names or {}, proof))


def tls_proxy(
    names: Mapping[str, int] | None = None, proof: tuple[str, str] | None = None
) -> contextlib.AbstractContextManager[RunningProxy]:
    """An HTTP proxy that speaks TLS itself, with the certificate of ``certificates.loopback``."""
    context = certificates.loopback().server_context()
    return _running(_Connect, RunningProxy("https", names or {}, proof, context))


def trust_tls_proxies(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this system know who signed their certificate."""
    roots = folder / "roots.pem"
    roots.write_bytes(certificates.loopback().certificate)
    patch.setenv("SSL_CERT_FILE", str(roots))


def socks5_proxy(
    names: Mapping[str, int] | None = None, proof: tuple[str, str] | None = None
) -> contextlib.AbstractContextManager[RunningProxy]:
    """A SOCKS5 proxy."""
    return _running(_Socks5, RunningProxy("socks5", names or {}, proof))
