"""TLS settings as plain data, and the SSL context that they mean.

``access`` makes them from a kubeconfig; ``dataplane`` and ``apiclient`` dial with them. ``ssl`` is
imported on first use only: a plain relay never needs it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ferryman.errors import UserError

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """How to speak TLS to a server; all certificates are PEM.

    ``server_name`` overrides the name that the certificate is checked against (SNI too).
    Without ``ca`` the system's roots are trusted, and with ``system`` beside it too; ``insecure``
    trusts anybody.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""
    insecure: bool = False
    system: bool = False


def to_proxy(settings: TLSSettings | None) -> TLSSettings:
    """How to speak TLS to the proxy on the way to a server.

    Whoever the server's settings trust is trusted, as by kubectl, and so are the system's roots:
    kubectl cannot use a public certificate before a cluster with an authority of its own. Our
    client certificate is the server's business only.
    """
    settings = settings or TLSSettings()
    return replace(settings, certificate=None, key=None, server_name="", system=True)


def client_context(settings: TLSSettings) -> ssl.SSLContext:
    """The SSL context for these settings.

    Raises UserError if a certificate or key cannot be used.
    """
    import ssl

    try:
        context = ssl.create_default_context(
            cadata=settings.ca.decode() if settings.ca is not None else None
        )
        if settings.system and settings.ca is not None:
            context.load_default_certs()
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as cause:
        raise UserError(f"the cluster's certificate authority is not usable: {cause}") from cause
    # As kubectl verifies, whatever this Python's defaults are: an intermediate in the kubeconfig is
    # an anchor, and clusters' certificates may lack the key identifiers that Python 3.13 asks for
    # (EKS: kubernetes-client/python#2394).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.certificate is not None and settings.key is not None:
        _load_client_certificate(context, settings.certificate, settings.key)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL's Python binding loads from files only: one that exists as briefly as possible."""
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="ferryman-", suffix=".pem")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(path)
    except (OSError, ValueError) as cause:  # ssl.SSLError is an OSError
        raise UserError(f"the client certificate or its key is not usable: {cause}") from cause
    finally:
        os.unlink(path)
