"""One observed connection: from what the data plane tells to what was said; pure.

The first bytes are held until ``detect`` knows the protocol; then its decoder is loaded and fed.
Raw bytes go through a ``Curtain``, which overwrites secrets and holds back what the decoder has not
examined yet. A decoder that fails, however it does, ends in Undecoded: from there on the connection
is bytes. ``sessions`` keeps many connections apart, ``assembly`` makes exchanges of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ferryman.inspection import detect, feed
from ferryman.inspection.curtain import Carried, Curtain
from ferryman.inspection.decoder import FOREVER, Decoder, Start, Switch, Undecodable
from ferryman.inspection.events import Event, MessageData, MessageEnded, Recognised, Undecoded
from ferryman.inspection.feed import DOWN, UP, Direction

SKIP_WORTH = 16384
"""Bytes of a body that must still come before it pays to ask that they be not copied."""
_EARLY_LIMIT = 65536
_BODIES_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Decoded:
    """An event of a connection; ``at`` is when its last byte was carried."""

    connection: int
    at: int
    event: Event


Seen = feed.Record | Decoded
"""What leaves a session. The bytes of a Chunk are masked; those of an opaque connection follow its
``Recognised("opaque")`` or ``Undecoded``. Bytes come before the events that they mean.
"""


class Session:
    """Feed it the records of one connection, beginning with its Opened.

    ``raw``: all bytes are wanted, not only those of opaque connections. ``body_limit``: how many
    bytes of each body are wanted; with 0, opaque bytes are not wanted either. What is not wanted
    is asked to be skipped, and counted.
    """

    def __init__(
        self, connection: int, *, redact: bool = True, raw: bool = False, body_limit: int = 1 << 20
    ) -> None:
        self._connection = connection
        self._redact = redact
        self._raw = raw
        self._body_limit = body_limit
        self._bytes = raw or body_limit > 0  # whether any may be shown
        self._protocol = ""
        self._decoder: Decoder | None = None
        self._early: list[feed.Record] | None = []  # while the protocol is not known
        self._start_at = Start(redact=redact)
        self._at = 0
        self._missed = False  # bytes that a decoder may have needed
        self._ended: set[Direction] = set()
        self._offsets: dict[Direction, int] = {UP: 0, DOWN: 0}
        self._curtains = {UP: Curtain(redact=redact), DOWN: Curtain(redact=redact)}
        self._shown: dict[tuple[int, Direction], int] = {}  # bytes of unfinished bodies
        self._last: dict[Direction, tuple[int, Direction]] = {}  # the body that spoke last
        self._commands: list[feed.Command] = []
        self._asked: dict[Direction, int | None] = {UP: 0, DOWN: 0}

    @property
    def protocol(self) -> str:
        """What it speaks, "opaque" if nobody knows, "" if it has said too little."""
        return self._protocol

    def commands(self) -> list[feed.Command]:
        """What the data plane is to be told since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def receive(self, record: feed.Record) -> list[Seen]:
        """What this record shows, maybe together with earlier ones. Never raises."""
        self._at = record.at
        match record:
            case feed.Chunk():
                seen = self._carried(record, len(record.data))
            case feed.Skipped() | feed.Missed():
                seen = self._carried(record, record.count)
            case feed.Ended():
                return [*self._end(record.direction, ""), record]
            case feed.Closed():
                return [*self._end(UP, record.reset), *self._end(DOWN, record.reset), record]
            case _:
                return [record]
        self._ask(record.direction)
        return seen

    def _carried(self, record: Carried, count: int) -> list[Seen]:
        direction = record.direction
        self._offsets[direction] += count
        self._missed |= isinstance(record, feed.Missed)
        if self._bytes or not isinstance(record, feed.Chunk):
            self._curtains[direction].hold(record, self._offsets[direction])
        if self._early is None:
            return self._feed(record)
        self._early.append(record)
        return self._detect(hopeless=not isinstance(record, feed.Chunk))

    def _end(self, direction: Direction, reset: str) -> list[Seen]:
        """The direction ends; after a reset nothing unfinished passes for whole."""
        if direction in self._ended:
            return []
        self._ended.add(direction)
        seen: list[Seen] = []
        if self._early:
            seen = self._detect(hopeless=True)
        said = self._step(lambda it: it.ended(direction))
        seen += [_cut_off(one, reset) for one in said] if reset else said
        curtain = self._curtains[direction]
        return [*seen, *self._wanted(curtain.lift(self._examined(direction)))]

    # -- while the protocol is not known --

    def _detect(self, *, hopeless: bool) -> list[Seen]:
        """Find out; ``hopeless``: now or never."""
        early = self._early or []
        up, down = (
            b"".join(it.data for it in early if isinstance(it, feed.Chunk) and it.direction == way)
            for way in (UP, DOWN)
        )
        protocol = detect.detect(up, down) if up or down else None
        if protocol is None:
            if not hopeless and len(up) + len(down) < _EARLY_LIMIT:
                return []
            protocol = detect.OPAQUE
        self._early = None
        if protocol == detect.OPAQUE and any(isinstance(it, feed.Missed) for it in early):
            self._protocol = protocol
            reason = "its first bytes could not be kept up with" + (_HIDDEN if self._redact else "")
            seen = [self._said(Recognised(protocol)), self._said(Undecoded(reason)), *self._hide()]
        else:
            seen = self._start(protocol, self._start_at)
        for record in early:
            self._at = record.at
            seen += self._feed(record)
        return seen

    def _start(self, protocol: str, start: Start) -> list[Seen]:
        """The connection speaks this from here on."""
        failure = ""
        try:
            self._decoder = detect.load(protocol, start)
        except Exception as error:  # noqa: BLE001  # whatever it is, the stream goes on
            self._decoder, failure = None, _mistake(error)
        self._protocol = protocol if self._decoder is not None else detect.OPAQUE
        seen: list[Seen] = [self._said(Recognised(self._protocol))]
        if failure:
            seen.append(self._said(Undecoded(failure)))
        if self._decoder is None:
            seen += self._scrub({UP: self._offsets[UP], DOWN: self._offsets[DOWN]})
        return seen

    # -- when it is --

    def _feed(self, record: feed.Record) -> list[Seen]:
        match record:
            case feed.Chunk(direction=direction, data=data):
                step: _Step = lambda it: it.receive(direction, data)  # noqa: E731
            case feed.Skipped(direction=direction, count=count):
                step = lambda it: it.skipped(direction, count, missed=False)  # noqa: E731
            case feed.Missed(direction=direction, count=count):
                step = lambda it: it.skipped(direction, count, missed=True)  # noqa: E731
            case _:
                return []
        if self._decoder is None:
            return self._wanted(self._curtains[direction].release(self._offsets[direction]))
        return self._step(step)

    def _step(self, step: _Step) -> list[Seen]:
        """One step of the decoder, whose failure is nobody else's."""
        if self._decoder is None:
            return []
        events: Iterable[Event] = ()
        try:
            events = step(self._decoder)
            switch = self._decoder.switched()
            seen = self._uncover(self._decoder, switch)
        except Undecodable as error:
            return self._give_up(self._decoder, [*events, *error.events], str(error))
        except Exception as error:  # noqa: BLE001  # a decoder's mistake is no reason to stop
            return self._give_up(self._decoder, events, _mistake(error))
        seen += self._told(events)
        return seen if switch is None else [*seen, *self._go_on(switch)]

    def _uncover(self, decoder: Decoder, switch: Switch | None) -> list[Seen]:
        """The bytes that the decoder has examined."""
        seen: list[Seen] = []
        for direction in _DIRECTIONS:
            curtain = self._curtains[direction]
            spans = decoder.secrets(direction)
            if not curtain.holds:
                continue
            curtain.mask(spans)
            examined = decoder.examined(direction)
            if switch is not None:  # the rest is for the successor to examine
                start = switch.start
                examined = min(examined, start.up if direction == UP else start.down)
            seen += self._wanted(curtain.release(examined))
        return seen

    def _go_on(self, switch: Switch) -> list[Seen]:
        """The protocol changes; what the old decoder has in hand belongs to the new one."""
        hands: list[feed.Record] = [
            feed.Chunk(self._connection, self._at, direction, data)
            for direction, data in ((UP, switch.up), (DOWN, switch.down))
            if data
        ]
        self._decoder = None
        if not switch.protocol:
            self._protocol, self._start_at, self._early = "", switch.start, hands
            return self._detect(hopeless=False) if hands else []
        seen = self._start(switch.protocol, switch.start)
        for record in hands:
            seen += self._feed(record)
        return seen

    def _give_up(self, decoder: Decoder, events: Iterable[Event], reason: str) -> list[Seen]:
        """From here on the connection is bytes."""
        examined: dict[Direction, int] = {}
        for direction in _DIRECTIONS:
            try:
                self._curtains[direction].mask(decoder.secrets(direction))
                examined[direction] = decoder.examined(direction)
            except Exception:  # noqa: BLE001  # it has failed already: mask all there is
                examined[direction] = 0
        self._decoder, self._protocol = None, detect.OPAQUE
        hides = self._missed and self._redact
        return [
            *self._told(events),
            self._said(Undecoded(f"{reason}{_HIDDEN}" if hides else reason)),
            *(self._hide() if hides else self._scrub(examined)),
        ]

    # -- what is wanted --

    def _hide(self) -> list[Seen]:
        seen: list[Seen] = []
        for direction in _DIRECTIONS:
            seen += self._wanted(self._curtains[direction].hide())
        return seen

    def _scrub(self, examined: Mapping[Direction, int]) -> list[Seen]:
        seen: list[Seen] = []
        for direction in _DIRECTIONS:
            seen += self._wanted(self._curtains[direction].scrub(examined[direction]))
        return seen

    def _wanted(self, records: Sequence[Carried]) -> list[Seen]:
        """Of a decoded connection's bytes nothing, unless they are asked for."""
        opaque = self._decoder is None and self._early is None
        if self._raw or (opaque and self._body_limit):
            return list(records)
        return [record for record in records if not isinstance(record, feed.Chunk)]

    def _told(self, events: Iterable[Event]) -> list[Seen]:
        """The events, with as much of bodies as is wanted."""
        seen: list[Seen] = []
        for event in events:
            told: Event | None = event
            if isinstance(event, MessageData):
                told = self._body(event)
            elif isinstance(event, MessageEnded):
                self._shown.pop((event.exchange, event.direction), None)
            elif isinstance(event, Recognised):
                told = None if event == Recognised(self._protocol) else event
                self._protocol = event.protocol
            if told is not None:
                seen.append(self._said(told))
        return seen

    def _body(self, event: MessageData) -> MessageData | None:
        key = (event.exchange, event.direction)
        self._last[event.direction] = key
        shown = self._shown.get(key, 0)
        left = self._body_limit - shown
        if len(self._shown) >= _BODIES_LIMIT:
            self._shown.clear()  # then a few of them show more than their share
        self._shown[key] = shown + len(event.data)
        if left >= len(event.data):
            return event
        return replace(event, data=event.data[:left]) if left > 0 else None

    def _ask(self, direction: Direction) -> None:
        """Ask to be spared what nobody wants."""
        asked = self._asked[direction]
        if self._raw or self._early is not None or asked is None:
            return
        until = self._skippable(direction)
        offset = self._offsets[direction]
        if until is None or until >= max(asked, offset + SKIP_WORTH):
            until = None if until is None or until >= FOREVER else until
            self._asked[direction] = until
            self._commands.append(feed.Skip(self._connection, direction, until))

    def _skippable(self, direction: Direction) -> int | None:
        """Up to which offset nothing is wanted; None: for ever."""
        if self._decoder is None:
            return 0 if self._body_limit else None
        try:
            until = self._decoder.skippable(direction)
        except Exception:  # noqa: BLE001  # then nothing is skipped
            return 0
        last = self._last.get(direction)
        full = last is not None and self._shown.get(last, 0) >= self._body_limit
        return until if until is None or full or not self._body_limit else 0

    def _examined(self, direction: Direction) -> int:
        if self._decoder is None:
            return self._offsets[direction]
        try:
            return self._decoder.examined(direction)
        except Exception:  # noqa: BLE001  # then all that is held is masked
            return 0

    def _said(self, event: Event) -> Decoded:
        return Decoded(self._connection, self._at, event)


_HIDDEN = "; its bytes are hidden, as nobody can tell which are secrets"
_Step = Callable[[Decoder], list[Event]]
_DIRECTIONS: tuple[Direction, Direction] = (UP, DOWN)


def _mistake(error: Exception) -> str:
    """The kind only: its text may quote what was said."""
    return f"the decoder failed: {type(error).__name__}"


def _cut_off(seen: Seen, reset: str) -> Seen:
    if isinstance(seen, Decoded) and isinstance(seen.event, MessageEnded) and not seen.event.error:
        return replace(seen, event=replace(seen.event, error=reset))
    return seen
