"""Lines about connections rather than what they say: opened, closed, missed, noted; pure."""

from __future__ import annotations

from collections import OrderedDict

from ferryman.inspection import feed
from ferryman.inspection.events import Recognised, Undecoded
from ferryman.inspection.forms import Options, words
from ferryman.inspection.session import Decoded, Seen
from ferryman.inspection.titles import printable, title

_LIMIT = 20_000


class Notes:
    """Remembers when connections opened, no more."""

    def __init__(self, options: Options) -> None:
        self._connections = options.connections
        self._paint = words.Paint(options.colour)
        self._opened: OrderedDict[int, int] = OrderedDict()

    def write(self, seen: Seen) -> bytes:
        """The line for it, or nothing."""
        text = self._line(seen)
        return f"{text}\n".encode() if text else b""

    def _line(self, seen: Seen) -> str:
        match seen:
            case feed.Opened():
                return self._open(seen)
            case feed.Closed():
                return self._close(seen)
            case feed.Missed():
                way = words.arrow(seen.direction)
                text = f"{words.size(seen.count)} could not be kept up with"
                return self._paint(f"#{seen.connection} {way} {text}", "yellow")
            case feed.Noted():
                number = f"#{seen.connection} " if seen.connection else ""
                return self._paint(number + printable(seen.text), "yellow")
            case Decoded(event=Undecoded() as event):
                text = f"#{seen.connection} goes on as bytes: {title(event.reason)}"
                return self._paint(text, "yellow")
            case Decoded(event=Recognised() as event) if event.facts:
                facts = " ".join(f"{name}={title(str(fact))}" for name, fact in event.facts.items())
                return f"#{seen.connection} {event.protocol} {facts}"
        return ""

    def _open(self, seen: feed.Opened) -> str:
        self._opened.setdefault(seen.connection, seen.at)
        if len(self._opened) > _LIMIT:
            self._opened.popitem(last=False)
        if not self._connections:
            return ""
        text = f"#{seen.connection} {title(seen.client)} → {title(seen.endpoint)}"
        return self._paint(text, "dim")

    def _close(self, seen: feed.Closed) -> str:
        opened = self._opened.pop(seen.connection, None)
        if not (self._connections or seen.reset):
            return ""
        parts = [f"{words.size(seen.up)} up", f"{words.size(seen.down)} down"]
        if opened is not None:
            parts.append(words.duration(seen.at - opened))
        end = f"reset: {title(seen.reset)}" if seen.reset else "closed"
        text = f"#{seen.connection} {end}: {', '.join(parts)}"
        return self._paint(text, "red" if seen.reset else "dim")
