"""TLS on a test's own end of a socket: blocking, with the loopback certificate."""

from __future__ import annotations

import select
import ssl
import time
from pathlib import Path

from tests.support import certificates


def files(folder: Path) -> tuple[str, str]:
    """The loopback certificate with its key, and what trusts it, as files."""
    shown = certificates.loopback()
    both, trusted = folder / "both.pem", folder / "ca.pem"
    both.write_bytes(shown.certificate + shown.key)
    trusted.write_bytes(shown.certificate)
    return str(both), str(trusted)


def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Trusts the loopback certificate; speaks this version only."""
    data = certificates.loopback().certificate.decode()
    context = ssl.create_default_context(cadata=data)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = context.maximum_version = version
    return context


def exchange(sock: ssl.SSLSocket, data: bytes, count: int) -> bytes:
    """Send the data while so many bytes are heard, in one thread: OpenSSL's objects want that."""
    sock.setblocking(False)
    heard, sent = bytearray(), 0
    deadline = time.monotonic() + 20
    while sent < len(data) or len(heard) < count:
        assert time.monotonic() < deadline, f"{sent} bytes sent, {len(heard)} heard"
        stuck = 0
        try:
            sent += sock.send(data[sent : sent + 65536]) if sent < len(data) else 0
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            stuck += 1
        try:
            heard += sock.recv(1 << 20) if len(heard) < count else b""
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            stuck += 1
        if stuck == 2:
            select.select([sock], [sock], [], 0.01)
    sock.settimeout(10)
    return bytes(heard)
