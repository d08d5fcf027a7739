"""A body as a person reads it: content codings undone, JSON indented, text decoded; pure.

What comes is untrusted: no more than ``limit`` bytes come out of any coding, however much they
would expand to. brotli and zstandard are imported when a body needs them.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from ferryman.inspection import grpc
from ferryman.inspection.events import Fields
from ferryman.inspection.exchanges import Message

LIMIT = 1 << 20
_CODINGS_LIMIT = 4  # RFC 9110 has no limit on how many are put upon one another
_JSON = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json(?:-seq)?\Z")
_TEXT = re.compile(
    r"text/|application/(?:[\w.-]+\+)?(?:json|xml|x-www-form-urlencoded|javascript|graphql|x-ndjson"
    r"|yaml|x-yaml|sql|toml)\b|image/svg"
)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_WINDOW = 1 << 27  # what a peer may make us allocate for zstd
_SIP = 64
_DEEPEST = 32  # levels that are indented
_INDENT_LIMIT = 1 << 18  # a larger JSON text is shown as it came


@dataclass(frozen=True, slots=True)
class Content:
    """What a body holds. ``expanded``: a coding was undone; ``whole``: it ended properly, within
    the limit; ``problem``: what a person should know of it.
    """

    data: bytes
    expanded: bool = False
    whole: bool = True
    problem: str = ""


def content(message: Message, limit: int = LIMIT) -> Content:
    """What a message's body holds, without its content coding."""
    return expand(message.body, field(message.fields, "content-encoding"), limit)


def field(fields: Fields, name: str) -> str:
    """The values of the field of that (lower-case) name, as a list, or empty."""
    return ", ".join(value for key, value in fields if key.lower() == name)


def expand(data: bytes, coding: str, limit: int = LIMIT) -> Content:
    """Undo a Content-Encoding, such as "gzip" or "br, gzip". What was cut off gives its beginning.

    Data in a coding that is not known, whose library is not here, or that are not in it after all,
    stay as they are.
    """
    names = [name.strip().lower() for name in coding.split(",")]
    names = [name for name in reversed(names) if name not in ("", "identity")]
    if len(names) > _CODINGS_LIMIT:
        return Content(data, problem=f"{len(names)} codings upon one another")
    whole = True
    for number, name in enumerate(names):
        undo = _UNDO.get(name)
        if undo is None:
            return Content(data, number > 0, whole, f"content coding {name[:40]!r} is not known")
        try:
            data, ended = undo(data, limit) if data else (data, True)
        except ImportError:
            library = "brotli" if name == "br" else "zstandard"
            return Content(data, number > 0, whole, f"to expand {name}: pip install {library}")
        except Exception:  # noqa: BLE001  # each library has errors of its own; all mean this
            return Content(data, number > 0, whole, f"not in its content coding {name}")
        whole = whole and ended
    return Content(data, bool(names), whole)


def text(data: bytes, content_type: str) -> str | None:
    """The data as text, if that is what they are: by their type, or by their looks.

    Messages of gRPC are shown by their fields' numbers.
    """
    if data and grpc.is_grpc({"content-type": content_type.lower()}):
        return grpc.text(data)
    charset = _CHARSET.search(content_type)
    if charset:
        try:
            return data.decode(charset[1], errors="replace")
        except (LookupError, ValueError):
            pass
    if _TEXT.match(content_type.strip().lower()):
        return data.decode(errors="replace")
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # A body that was cut off may end within a letter.
        return data[: error.start].decode() if error.start >= len(data) - 3 > 0 else None


def indented(source: str, content_type: str = "") -> str:
    """JSON with two spaces of indentation; anything else, or too much of it, as it is.

    Numbers and strings stay as they were written: 1.10 is not 1.1 to everybody.
    """
    kind = content_type.partition(";")[0].strip().lower()
    looks = source.lstrip()[:1] in ("{", "[")
    if not (_JSON.match(kind) or (not kind and looks)) or len(source) > _INDENT_LIMIT:
        return source
    try:
        json.loads(source)
    except (ValueError, RecursionError):
        return source
    return _laid_out(_TOKEN.findall(source))


def hex_head(data: bytes, limit: int = 64) -> str:
    """The first bytes of what is no text."""
    more = f" … {len(data) - limit} more bytes" if len(data) > limit else ""
    return data[:limit].hex(" ") + more


def _laid_out(tokens: list[str]) -> str:
    out: list[str] = []
    depth, before = 0, ""
    for mark in tokens:
        if mark in ("]", "}"):
            depth -= 1
        empty = before in ("[", "{") and mark in ("]", "}")
        if before in ("[", "{", ",") or (before and mark in ("]", "}")):
            out.append("" if empty else "\n" + "  " * min(depth, _DEEPEST))
        out.append(": " if mark == ":" else mark)
        if mark in ("[", "{"):
            depth += 1
        before = mark
    return "".join(out)


def _gzip(data: bytes, limit: int) -> tuple[bytes, bool]:
    return _inflate(data, limit, 31)


def _deflate(data: bytes, limit: int) -> tuple[bytes, bool]:
    """Some servers send it without zlib's header (RFC 9110, 8.4.1.2)."""
    try:
        return _inflate(data, limit, 15)
    except zlib.error:
        return _inflate(data, limit, -15)


def _inflate(data: bytes, limit: int, window: int) -> tuple[bytes, bool]:
    out = bytearray()
    while data and len(out) < limit:  # gzip may have several members (RFC 1952, 2.2)
        machine = zlib.decompressobj(window)
        out += machine.decompress(data, limit - len(out))
        if not machine.eof:
            return bytes(out), False
        data = machine.unused_data
    return bytes(out), not data


def _brotli(data: bytes, limit: int) -> tuple[bytes, bool]:
    import brotli

    machine = brotli.Decompressor()
    out = bytearray(machine.process(data, output_buffer_limit=limit))
    while len(out) < limit and not machine.is_finished():
        more = machine.process(b"", output_buffer_limit=limit - len(out))
        if not more:
            break
        out += more
    return bytes(out[:limit]), machine.is_finished() and len(out) <= limit


def _zstd(data: bytes, limit: int) -> tuple[bytes, bool]:
    import zstandard

    out = bytearray()
    while data:  # frame after frame (RFC 8878, 3)
        machine = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        position = 0
        while position < len(data) and not machine.eof:
            # It has no limit of its own, but a block is at most 128 KiB and at least 4 bytes.
            out += machine.decompress(data[position : position + _SIP])
            position += _SIP
            if len(out) > limit:
                return bytes(out[:limit]), False
        if not machine.eof:
            return bytes(out), False
        data = machine.unused_data + data[position:]
    return bytes(out), True


_UNDO: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
