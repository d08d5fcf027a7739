"""TLS on a test's own end of a socket: blocking, with the loopback certificate."""

from __future__ import annotations

import ssl
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
