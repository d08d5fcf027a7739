"""Which fields are secrets, and where they are in a text or in bytes; pure.

Decoders say where secrets are (``Span``s, overwritten in raw bytes by ``session``) and put
``REDACTED`` into events. ``Scrubber`` is for bytes that no decoder understands (any more): it
masks what looks like a secret in a head, however the bytes are cut.

Of a query string, and of every other value that holds a URL, the parameters named below are
secrets, too, and so is a ``user:password@``'s password: tokens are handed round in redirects and
log-in links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

REDACTED = "[redacted]"
FILLER = 0x2A

_NAMES = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "authentication-info",
        "proxy-authentication-info",
        "cookie",
        "cookie2",
        "set-cookie",
        "set-cookie2",
        "x-registry-auth",
        "x-registry-config",
        "x-ms-authorization-auxiliary",
        "x-forwarded-client-cert",
    )
)
_SUFFIXES = ("token", "secret", "password", "passwd", "api-key", "apikey", "auth-key", "access-key")

_PARAMETERS = frozenset(("sig", "client_assertion", "x-amz-credential"))
_PARAMETER_SUFFIXES = (
    "token", "secret", "password", "passwd", "apikey", "api_key", "api-key", "signature",
)  # fmt: skip

_NAME_BEFORE = re.compile(r"[\w.-]+\Z")
_PARAMETER_VALUE = re.compile(r"=([^&;#\s\"'<>,]+)")
_USER_INFO = re.compile(r"://[^/\s@:?#]{0,256}:([^/\s@?#]{1,1024})@")
_BEARER_PROTOCOL = re.compile(r"base64url\.bearer\.authorization\.k8s\.io\.([^\s,]+)")
"""A WebSocket sub-protocol by which browsers log in to Kubernetes."""
_SCHEME = re.compile(r"(?i:Basic|Bearer|Digest|Negotiate|NTLM|Token|AWS4-HMAC-SHA256) +(?=\S)")

_LONGEST_NAME = 48
_SECRET_LINE = re.compile(
    rb"\n(?i:(?:(?:proxy-)?authorization|(?:proxy-)?authentication-info|(?:set-)?cookie2?"
    rb"|x-registry-(?:auth|config)|x-ms-authorization-auxiliary|x-forwarded-client-cert"
    rb"|sec-websocket-protocol"
    rb"|[\w-]{0,40}(?:token|secret|password|passwd|api-?key|auth-key|access-key))[ \t]{0,8}:"
    rb"|(?:AUTH|PASS) )"
)
_REDIS_AUTH = re.compile(rb"\n(?i:AUTH|requirepass|masterauth)\r\n")
_REDIS_COMMAND = re.compile(rb"\n(?=\*)")
_SECRET_PARAMETER = re.compile(
    rb"[?&](?i:[a-z_-]{0,24}(?:token|secret|password|passwd|api[_-]?key|signature)"
    rb"|sig|client_assertion|x-amz-credential)="
)
_LINE_END = re.compile(rb"\n")
_USER = re.compile(rb"://[^/\s@:?#]{0,64}:")
_USER_END = re.compile(rb"[@/\s?#\"'<>]")
_PARAMETER_END = re.compile(rb"[&;#\s\"'<>,]")
_LONGEST_OPENER = 80


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether the whole value of the field of that (lower-case) name is a secret."""
    return name in _NAMES or name.endswith(_SUFFIXES)


def secrets(name: str, value: str) -> list[tuple[int, int]]:
    """Where there are secrets in the value of the field of that (lower-case) name.

    Of a credential, the well-known scheme before it (Basic, Bearer, …) is none.
    """
    if not is_secret(name):
        return in_text(value)
    scheme = _SCHEME.match(value) if name.endswith("authorization") else None
    start = scheme.end() if scheme else 0
    return [(start, len(value))] if start < len(value) else []


def in_text(text: str) -> list[tuple[int, int]]:
    """Where there are secrets in a text that may hold URLs, in order."""
    found = [
        match.span(1)
        for match in (_PARAMETER_VALUE.finditer(text) if "=" in text else ())
        if _names_secret(text, match.start())
    ]
    if "@" in text:
        found += [match.span(1) for match in _USER_INFO.finditer(text)]
    if ".authorization.k8s.io." in text:
        found += [match.span(1) for match in _BEARER_PROTOCOL.finditer(text)]
    return sorted(found)


def _names_secret(text: str, end: int) -> bool:
    """Whether the name that ends there is that of a secret parameter."""
    name = _NAME_BEFORE.search(text, max(0, end - _LONGEST_NAME), end)
    if name is None:
        return False
    lower = name[0].lower()
    return lower in _PARAMETERS or lower.endswith(_PARAMETER_SUFFIXES)


def redacted(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with those parts of it replaced."""
    for start, end in reversed(spans):
        text = text[:start] + REDACTED + text[end:]
    return text


def value(name: str, text: str) -> str:
    """A field's value without secrets; ``name`` in any case, ":path" for a request's target."""
    return redacted(text, secrets(name.lower(), text))


class Scrubber:
    """Masks what looks like a secret in a stream of bytes; holds nothing back.

    ``inside``: its first bytes are taken for the rest of a secret line.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._until: re.Pattern[bytes] | None = _LINE_END if inside else None
        self._before = b"" if inside else b"\n"  # what an opener may have begun with

    def scrub(self, data: bytes) -> bytes:
        """The same number of bytes, without what is secret in them."""
        text = self._before + data
        out: bytearray | None = None
        position = 0
        for opened, until in self._openers(text):
            if opened < position:
                continue  # inside of another one
            closer = until.search(text, opened)
            position = closer.start() if closer else len(text)
            if position > opened:
                out = bytearray(text) if out is None else out
                out[opened:position] = bytes([FILLER]) * (position - opened)
            self._until = None if closer else until
        before = len(self._before)
        # What was masked can begin no opener; what was not may be the first half of one.
        self._before = b"" if self._until else text[max(position, len(text) - _LONGEST_OPENER) :]
        return data if out is None else bytes(out[before:])

    def _openers(self, text: bytes) -> Iterator[tuple[int, re.Pattern[bytes]]]:
        """Where secrets begin, and how each of them ends."""
        if self._until is not None:
            yield 0, self._until
        found = [
            (match.end(), until)
            for opener, until in _OPENERS
            for match in opener.finditer(text)
            if until is not _USER_END or _has_password(text, match.end())
        ]
        yield from sorted(found, key=lambda opener: opener[0])


def _has_password(text: bytes, start: int) -> bool:
    """Whether what follows "://name:" is no port, or may yet turn out to be none."""
    end = _USER_END.search(text, start)
    return end is None or end[0] == b"@"


_OPENERS = (
    (_SECRET_LINE, _LINE_END),
    (_SECRET_PARAMETER, _PARAMETER_END),
    (_REDIS_AUTH, _REDIS_COMMAND),
    (_USER, _USER_END),
)
