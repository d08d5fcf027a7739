"""What the decoders of framed protocols share: windows, bodies, secrets and numbers; pure.

A ``Machine`` keeps of each direction the bytes that make no whole element yet (``Window``) and
asks the protocol for one step after another. Bodies are not kept: their pieces are handed on as
they come, and may be skipped. ``redis``, ``http2``, ``websocket``, ``postgres`` and ``tls`` say
what the elements mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ferryman.inspection.decoder import Span, Start, Switch, Undecodable
from ferryman.inspection.events import Event, Facts, Fields, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.titles import LIMIT, title


def line(text: str | bytes, limit: int = LIMIT) -> str:
    """A ``title`` of text that may have line ends, or that is still bytes."""
    if isinstance(text, bytes):
        text = text[: limit * 4 + 4].decode(errors="replace")
    return title(" ".join(text.split()) if not text.isprintable() else text, limit)


class Window:
    """The bytes of one direction that are not understood yet; ``position`` is the first's offset.

    ``body`` is how many bytes of a body come next: they need only be counted.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.body = 0
        self.secrets: list[Span] = []
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def __getitem__(self, index: int) -> int:
        return self._bytes[index]

    def feed(self, data: bytes) -> None:
        """Append what came."""
        self._bytes += data

    def find(self, what: bytes, start: int = 0) -> int:
        """The index of the first occurrence; -1 if there is none."""
        return self._bytes.find(what, start)

    def startswith(self, what: bytes) -> bool:
        """Whether the next bytes are these."""
        return self._bytes.startswith(what)

    def peek(self, start: int, end: int) -> bytes:
        """Bytes that stay where they are."""
        return bytes(self._bytes[start:end])

    def secret(self, start: int, end: int, filler: int = 0x2A) -> None:
        """Bytes between these offsets are a secret; they have been taken, or will be at once."""
        if end > start:
            self.secrets.append(Span(start, end, filler))

    def take(self, count: int) -> bytes:
        """The next bytes; there must be so many."""
        if count == len(self._bytes):
            taken, self._bytes = bytes(self._bytes), bytearray()
        else:
            taken = bytes(self._bytes[:count])
            del self._bytes[:count]
        self.position += count
        return taken

    def line(self, limit: int) -> bytes | None:
        """The next line without its CR LF, or None if it is not whole; too long is Undecodable."""
        end = self._bytes.find(b"\n", 0, limit)
        if end < 0:
            if len(self._bytes) >= limit:
                raise Undecodable(f"a line of more than {limit} bytes")
            return None
        return self.take(end + 1)[:-1].removesuffix(b"\r")


class Reader:
    """Takes a message's payload apart; what is not there is Undecodable."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> bytes:
        """What is left."""
        return self._data[self._at :]

    def take(self, count: int) -> bytes:
        """So many bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise Undecodable("a message that is shorter than it says")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, count: int) -> int:
        """A signed number of so many octets."""
        return int.from_bytes(self.take(count), "big", signed=True)

    def text(self) -> bytes:
        """Bytes up to a NUL."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise Undecodable("a text without an end")
        taken = self._data[self._at : end]
        self._at = end + 1
        return taken


class Report:
    """What is told: events in their order, each exchange with a number of its own."""

    def __init__(self, start: Start) -> None:
        self.redact = start.redact
        self.events: list[Event] = []
        self.next = start.exchange

    def number(self) -> int:
        """The number of a new exchange."""
        self.next += 1
        return self.next - 1

    def say(self, event: Event) -> None:
        """Tell this next."""
        self.events.append(event)

    def alone(
        self,
        direction: Direction,
        text: str,
        *,
        body: bytes = b"",
        fields: Fields = (),
        facts: Facts | None = None,
    ) -> None:
        """A whole message that neither asks nor answers."""
        number = self.number()
        self.say(MessageBegan(number, direction, line(text), fields, facts or {}, alone=True))
        if body:
            self.say(MessageData(number, direction, body))
        self.say(MessageEnded(number, direction, len(body)))


class Machine(ABC):
    """A ``decoder.Decoder`` but for what the protocol's elements mean."""

    def __init__(self, start: Start) -> None:
        self._windows: dict[Direction, Window] = {UP: Window(start.up), DOWN: Window(start.down)}
        self._report = Report(start)
        self._switch: Switch | None = None
        self._woken = False
        self._opaque = False  # nothing that follows is to be decoded

    @abstractmethod
    def _step(self, direction: Direction, window: Window, /) -> bool:
        """Take one element, if it is whole; False: it is not."""

    @abstractmethod
    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        """So many bytes of the body came; ``data`` is them, or empty if they were skipped."""

    def _body_ended(self, direction: Direction) -> None:  # noqa: B027 - many have nothing to do
        """All bytes of the window's body were there."""

    @abstractmethod
    def _ended(self, direction: Direction) -> None:
        """No more bytes will come."""

    def receive(self, direction: Direction, data: bytes) -> list[Event]:
        """See ``decoder.Decoder``."""
        window = self._windows[direction]
        window.feed(data)
        return self._run(direction, window)

    def skipped(self, direction: Direction, count: int, *, missed: bool) -> list[Event]:
        """See ``decoder.Decoder``."""
        window = self._windows[direction]
        if self._opaque:
            window.position += count
            return []
        if len(window) or count > window.body:
            raise Undecodable(f"{count} bytes could not be kept up with")
        window.position += count
        window.body -= count
        self._piece(direction, b"", count, missed=missed)
        if not window.body:
            self._body_ended(direction)
        return self._run(direction, window)

    def ended(self, direction: Direction) -> list[Event]:
        """See ``decoder.Decoder``."""
        self._ended(direction)
        return self._said()

    def examined(self, direction: Direction) -> int:
        """See ``decoder.Decoder``."""
        return self._windows[direction].position

    def secrets(self, direction: Direction) -> list[Span]:
        """See ``decoder.Decoder``."""
        window = self._windows[direction]
        found, window.secrets = window.secrets, []
        return found

    def skippable(self, direction: Direction) -> int | None:
        """See ``decoder.Decoder``."""
        if self._opaque:
            return None
        window = self._windows[direction]
        return window.position + window.body

    def switched(self) -> Switch | None:
        """See ``decoder.Decoder``."""
        return self._switch

    def _wake(self) -> None:
        """What the other direction has in hand can be understood after all."""
        self._woken = True

    def _run(self, direction: Direction, window: Window) -> list[Event]:
        try:
            self._steps(direction, window)
            while self._woken:  # it said so first: what it has in hand goes before the rest
                self._woken = False
                other = DOWN if direction is UP else UP
                self._steps(other, self._windows[other])
                self._steps(direction, window)
        except Undecodable as error:
            raise Undecodable(str(error), self._said()) from None
        if self._opaque:
            for each in self._windows.values():
                each.take(len(each))
        return self._said()

    def _steps(self, direction: Direction, window: Window) -> None:
        while not (self._opaque or self._woken or self._switch):
            if window.body:
                if not len(window):
                    break
                data = window.take(min(window.body, len(window)))
                window.body -= len(data)
                self._piece(direction, data, len(data), missed=False)
                if not window.body:
                    self._body_ended(direction)
            elif not self._step(direction, window):
                break

    def _said(self) -> list[Event]:
        said, self._report.events = self._report.events, []
        return said
