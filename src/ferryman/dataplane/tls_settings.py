"""SSL contexts for the options of OPENSSL and OPENSSL-LISTEN.

Defaults are socat's: both ends verify the other's certificate unless ``verify=0``. ``tls_side``
speaks with them; ``runtime.tls`` is its counterpart for clusters.
"""

from __future__ import annotations

import ssl

from ferryman.addresses.specs import TlsOptions
from ferryman.errors import UserError

_VERSIONS = {
    "TLS1.0": ssl.TLSVersion.TLSv1,
    "TLS1.1": ssl.TLSVersion.TLSv1_1,
    "TLS1.2": ssl.TLSVersion.TLSv1_2,
    "TLS1.3": ssl.TLSVersion.TLSv1_3,
}


def client(options: TlsOptions, host: str) -> tuple[ssl.SSLContext, str | None]:
    """The context, and the name that is asked for and verified. Raises UserError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name = options.commonname or host
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        name = options.snihost or name
    elif (options.snihost and options.snihost != name) or options.no_sni:
        raise UserError(
            "the name that is asked for must be the one that is verified",
            f"add commonname={options.snihost or name} without no-sni, or verify=0",
        )
    _trust(context, options)
    _show(context, options)
    _limit(context, options)
    return context, None if options.no_sni else name


def server(options: TlsOptions) -> ssl.SSLContext:
    """The context of a listener. Raises UserError."""
    if not options.cert:
        raise UserError("a TLS listener needs a certificate", "add cert=FILE, and key=FILE")
    for given, name in ((options.snihost, "snihost"), (options.commonname, "commonname")):
        if given:
            raise UserError(f"{name} is for connecting, not for listening", "leave it out")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED if options.verify else ssl.CERT_NONE
    _trust(context, options)
    _show(context, options)
    _limit(context, options)
    return context


def _trust(context: ssl.SSLContext, options: TlsOptions) -> None:
    if context.verify_mode == ssl.CERT_NONE:
        return
    if not options.cafile and not options.capath:
        context.load_default_certs(
            ssl.Purpose.CLIENT_AUTH
            if context.protocol == ssl.PROTOCOL_TLS_SERVER
            else ssl.Purpose.SERVER_AUTH
        )
        return
    try:
        context.load_verify_locations(options.cafile or None, options.capath or None)
    except (OSError, ValueError) as cause:  # ssl.SSLError is an OSError
        place = options.cafile or options.capath
        raise UserError(f"cannot use the authorities in {place}: {_why(cause)}") from cause


def _show(context: ssl.SSLContext, options: TlsOptions) -> None:
    if not options.cert:
        return
    try:
        # An encrypted key would make OpenSSL ask at the terminal, and everything wait.
        context.load_cert_chain(options.cert, options.key or None, password=_no_password)
    except (OSError, ValueError) as cause:
        raise UserError(
            f"cannot use the certificate in {options.cert}: {_why(cause)}",
            "" if options.key else "its key is in the same file, or in key=FILE",
        ) from cause


def _no_password() -> str:
    raise ValueError("its key is encrypted")


def _limit(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        if options.ciphers:
            context.set_ciphers(options.ciphers)
        if options.min_version:
            context.minimum_version = _VERSIONS[options.min_version.upper()]
        if options.max_version:
            context.maximum_version = _VERSIONS[options.max_version.upper()]
    except KeyError as error:
        raise UserError(f"no such TLS version: {error}", f"one of {', '.join(_VERSIONS)}") from None
    except (ssl.SSLError, ValueError) as cause:
        raise UserError(f"cannot use these TLS options: {cause}") from cause


def _why(cause: Exception) -> str:
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).lower().replace("_", " ")
    if isinstance(cause, OSError):
        return (cause.strerror or str(cause)).lower()
    return str(cause)
