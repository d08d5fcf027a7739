"""Which fields are secrets, and where they are in a text or in bytes; pure.

Decoders say where secrets are (``Span``s, overwritten in raw bytes by ``session``) and put
``REDACTED`` into events. ``Scrubber`` is for bytes that no decoder understands (any more): it
masks what looks like a secret in a head, however the bytes are cut.

Of a query string, and of every other value that holds a URL, the parameters named below are
secrets, too, and so is a ``user:password@``'s password: tokens are handed round in redirects and log-in links.
"""

from __future__ import annotations

import re

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

_PARAMETERS = (
    r"(?:[a-z_-]{0,24}(?:token|secret|password|passwd|apikey|api_key|api-key|signature)"
    r"|sig|client_assertion|x-amz-credential)"
)
_IN_TEXT = re.compile(
    rf"(?:^|[?&;#\s\"'<,])(?i:{_PARAMETERS})=([^&;#\s\"'<>,]+)"
    r"|://[^/\s@:?#]{0,256}:([^/\s@?#]{1,1024})@"
    r"|(?i:base64url\.bearer\.authorization\.k8s\.io\.)([^\s,]+)"
)
_SCHEME = re.compile(r"(?i:Basic|Bearer|Digest|Negotiate|NTLM|Token|AWS4-HMAC-SHA256) +(?=\S)")

_OPENER = re.compile(
    rb"\n(?i:(?:proxy-)?authorization|(?:proxy-)?authentication-info|(?:set-)?cookie2?"
    rb"|x-registry-(?:auth|config)|x-ms-authorization-auxiliary|x-forwarded-client-cert"
    rb"|[\w-]{0,40}(?:token|secret|password|passwd|api-?key|auth-key|access-key))[ \t]{0,8}:"
    rb"|\n(?i:AUTH|PASS) "
    rb"|[?&](?i:" + _PARAMETERS.encode() + rb")=|(?i:authorization\.k8s\.io\.)"
)
_CLOSER = {True: re.compile(rb"\n"), False: re.compile(rb"[&;#\s\"'<>,]")}
_LONGEST_OPENER = 80


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
    """Where there are secrets in a text that may hold URLs."""
    return [match.span(match.lastindex or 0) for match in _IN_TEXT.finditer(text)]


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
        self._until: re.Pattern[bytes] | None = _CLOSER[True] if inside else None
        self._before = b"" if inside else b"\n"  # what an opener may have begun with

    def scrub(self, data: bytes) -> bytes:
        """The same number of bytes, without what is secret in them."""
        text = self._before + data
        out: bytearray | None = None
        position = 0
        while True:
            if self._until is None:
                opener = _OPENER.search(text, position)
                if opener is None:
                    break
                self._until = _CLOSER[opener[0][-1:] in b": "]
                position = opener.end()
            closer = self._until.search(text, position)
            end = closer.start() if closer else len(text)
            if end > position:
                out = out if out is not None else bytearray(text)
                out[position:end] = bytes([FILLER]) * (end - position)
            position = end
            if closer is None:
                break
            self._until = None
        before = len(self._before)
        # What was masked can begin no opener; what was not may be the first half of one.
        self._before = b"" if self._until else text[max(position, len(text) - _LONGEST_OPENER) :]
        return data if out is None else bytes(out[before:])
