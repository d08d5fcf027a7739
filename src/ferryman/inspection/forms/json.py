"""One JSON object a line, for programs; pure.

Every object has ``type``, ``connection`` and ``time`` (seconds since the epoch), and more by type:

- ``open``: ``listener``, ``client``, ``endpoint``.
- ``exchange``, when it is finished: ``id`` ("3.2"), ``protocol``, ``listener``, ``client``,
  ``endpoint``, ``ms`` (from its first to its last byte), ``request`` and ``answer``, each missing
  if there was none. These have ``title``, ``time``, ``ms``, ``size``, the facts of their protocol
  (``method``, ``path``, ``host``, ``status``, …), and if there are any ``missed``, ``error``; with
  -v ``fields`` and ``trailers`` (lists of [name, value]) and the body, content codings undone:
  ``body`` as text or ``body_base64``, and ``body_whole``: whether that is all of it.
- ``bytes``, of a connection whose protocol is not known, with -v: ``direction`` ("up" or "down"),
  ``data`` as text or ``data_base64``.
- ``protocol``: ``protocol`` and its facts. ``undecoded``: ``reason``.
- ``missed``: ``direction``, ``count`` of bytes that could not be kept up with.
- ``note``: ``text``.
- ``close``: ``up`` and ``down`` in bytes; ``reset`` if there was one.

Everything but ASCII is escaped, so that no line does anything to a terminal.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from ferryman.inspection import bodies, feed
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.events import Recognised, Undecoded, is_opaque
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.forms import Options
from ferryman.inspection.session import Decoded, Seen


def form(options: Options) -> Json:
    """For ``make``."""
    return Json(options)


class Json:
    """A Form."""

    raw = False

    def __init__(self, options: Options) -> None:
        self._verbose = options.verbose
        self._connections = options.connections
        self.body_limit = options.max_body if options.verbose else 0
        self._assembly = Assembly(self.body_limit)
        self._opaque: set[int] = set()
        self._at = 0

    def write(self, seen: Seen) -> bytes:
        """The lines for it and for the exchanges that it finishes."""
        self._at = seen.at
        self._follow(seen)
        out = [_line(exchange_object(it, self._verbose)) for it in self._assembly.receive(seen)]
        if (said := self._own(seen)) is not None:
            kind, more = said
            head = {"type": kind, "connection": seen.connection, "time": seen.at / 1e9}
            out.append(_line(head | more))
        return b"".join(out)

    def finish(self) -> bytes:
        """The exchanges that are not finished."""
        rest = self._assembly.finish(self._at)
        return b"".join(_line(exchange_object(exchange, self._verbose)) for exchange in rest)

    def _follow(self, seen: Seen) -> None:
        """Whose bytes are to be shown: others may want those of all connections."""
        if isinstance(seen, feed.Closed):
            self._opaque.discard(seen.connection)
        elif isinstance(seen, Decoded) and is_opaque(seen.event):
            self._opaque.add(seen.connection)

    def _own(self, seen: Seen) -> tuple[str, dict[str, Any]] | None:
        match seen:
            case feed.Opened() if self._connections:
                places = {"listener": seen.listener, "client": seen.client}
                return "open", {**places, "endpoint": seen.endpoint}
            case feed.Closed() if self._connections or seen.reset:
                reset = {"reset": seen.reset} if seen.reset else {}
                return "close", {"up": seen.up, "down": seen.down, **reset}
            case feed.Missed():
                return "missed", {"direction": seen.direction, "count": seen.count}
            case feed.Noted():
                return "note", {"text": seen.text}
            case feed.Chunk() if self._verbose and seen.connection in self._opaque:
                return "bytes", {"direction": seen.direction, **_data("data", seen.data)}
            case Decoded(event=Recognised() as event) if self._connections or event.facts:
                return "protocol", {"protocol": event.protocol, **event.facts}
            case Decoded(event=Undecoded() as event):
                return "undecoded", {"reason": event.reason}
        return None


def exchange_object(exchange: Exchange, verbose: bool) -> dict[str, Any]:
    """An exchange as the documented object."""
    sides = [side for side in (exchange.request, exchange.answer) if side]
    began = min((side.began for side in sides), default=0)
    ended = max((side.ended for side in sides), default=0)
    said: dict[str, Any] = {
        "type": "exchange",
        "connection": exchange.connection,
        "time": began / 1e9,
        "id": f"{exchange.connection}.{exchange.number}",
        "protocol": exchange.protocol,
        "listener": exchange.listener,
        "client": exchange.client,
        "endpoint": exchange.endpoint,
        "ms": (ended - began) / 1e6,
    }
    if exchange.request:
        said["request"] = _message(exchange.request, verbose)
    if exchange.answer:
        said["answer"] = _message(exchange.answer, verbose)
    return said


def _message(message: Message, verbose: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        **message.facts,
        "title": message.title,
        "time": message.began / 1e9,
        "ms": (message.ended - message.began) / 1e6,
        "size": message.size,
    }
    if message.missed:
        said["missed"] = message.missed
    if message.error:
        said["error"] = message.error
    if verbose:
        said["fields"] = message.fields
        if message.trailers:
            said["trailers"] = message.trailers
        content = bodies.content(message)
        said |= _data("body", content.data)
        said["body_whole"] = message.whole and content.whole
    return said


def _data(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _line(said: dict[str, Any]) -> bytes:
    text = json.dumps(said, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode() + b"\n"
