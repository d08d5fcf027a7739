"""What real programs said to each other: recorded once, kept as text, played to decoders.

A transcript has a line a chunk, ``up b'PING\\r\\n'``, in the order in which a relay saw them.
``Recorder`` is that relay; ``seen`` is what a decoder makes of a transcript, in few words.
"""

from __future__ import annotations

import ast
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ferryman.inspection.decoder import Decoder, Span
from ferryman.inspection.events import (
    Event,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
)
from ferryman.inspection.feed import DOWN, UP, Direction

FOLDER = Path(__file__).parents[1] / "inspection" / "transcripts"
Transcript = Sequence[tuple[Direction, bytes]]


def load(name: str) -> list[tuple[Direction, bytes]]:
    """A recorded one."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in lines if not line.startswith("#"))
    return [(UP if way == "up" else DOWN, ast.literal_eval(data)) for way, data in pairs]


def save(name: str, origin: str, transcript: Transcript) -> None:
    """Keep one; ``origin`` says what was run, with which version."""
    FOLDER.mkdir(exist_ok=True)
    lines = [f"# {origin}", *(f"{way} {data!r}" for way, data in transcript)]
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def play(decoder: Decoder, transcript: Transcript) -> list[Event]:
    """All that the decoder says of it, its neighbouring pieces of bodies joined."""
    events: list[Event] = []
    for direction, data in transcript:
        events += decoder.receive(direction, data)
    for direction in (UP, DOWN):
        events += decoder.ended(direction)
    return joined(events)


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with the pieces of each body made one, where it began: pieces mean nothing."""
    out: list[Event] = []
    places: dict[tuple[int, Direction], int] = {}
    for event in events:
        if isinstance(event, MessageData):
            key = (event.exchange, event.direction)
            place = places.setdefault(key, len(out))
            if place == len(out):
                out.append(event)
                continue
            before = out[place]
            assert isinstance(before, MessageData)
            out[place] = MessageData(*key, before.data + event.data)
        else:
            out.append(event)
    return out


def seen(events: Iterable[Event]) -> list[str]:
    """The events as lines: ``1 > GET a`` began, ``1 > | b'body'``, ``1 > 4 B`` ended."""
    return [_words(event) for event in joined(events)]


def _words(event: Event) -> str:
    match event:
        case Recognised():
            return " ".join([event.protocol, *_facts(event.facts)])
        case Undecoded():
            return f"undecoded: {event.reason}"
    way = ">" if event.direction == UP else "<"
    start = f"{event.exchange} {way}"
    match event:
        case MessageBegan():
            return f"{start} {event.title}" + (" (alone)" if event.alone else "")
        case MessageData():
            return f"{start} | {event.data!r}"
        case MessageEnded():
            trailers = [f"{name}: {value}" for name, value in event.trailers]
            error = [f"({event.error})"] if event.error else []
            words = [f"{event.size} B", *_facts(event.facts), *trailers, *error]
            return " ".join([start, *words])


def _facts(facts: object) -> list[str]:
    assert isinstance(facts, dict)
    return [f"{name}={value}" for name, value in facts.items()]


def masked(decoder: Decoder, transcript: Transcript) -> dict[Direction, bytes]:
    """Each direction's bytes, its secrets overwritten."""
    text = {UP: bytearray(), DOWN: bytearray()}
    for direction, data in transcript:
        decoder.receive(direction, data)
        text[direction] += data
    for direction, spans in ((way, decoder.secrets(way)) for way in (UP, DOWN)):
        cover(text[direction], spans)
    return {direction: bytes(data) for direction, data in text.items()}


def cover(data: bytearray, spans: Iterable[Span]) -> None:
    """Overwrite the secrets."""
    for span in spans:
        data[span.start : span.end] = bytes([span.filler]) * (span.end - span.start)


class Recorder:
    """A relay on loopback, or on UNIX sockets, that remembers what it carried."""

    def __init__(self, target: int | str, listen: str | None = None) -> None:
        self._target = target
        family = socket.AF_INET if listen is None else socket.AF_UNIX
        self._listener = socket.socket(family)
        self._listener.bind(("127.0.0.1", 0) if listen is None else listen)
        self._listener.listen(16)
        self.connections: list[list[tuple[Direction, bytes]]] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:  # it grows no more once the first has ended
            thread.join(20)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            family = socket.AF_INET if isinstance(self._target, int) else socket.AF_UNIX
            server = socket.socket(family)
            where = ("127.0.0.1", self._target) if isinstance(self._target, int) else self._target
            server.connect(where)
            said: list[tuple[Direction, bytes]] = []
            self.connections.append(said)
            lock = threading.Lock()
            left = [2]
            ways: list[tuple[Direction, socket.socket, socket.socket]]
            ways = [(UP, client, server), (DOWN, server, client)]
            for way, source, sink in ways:
                thread = threading.Thread(target=_copy, args=(way, source, sink, said, lock, left))
                self._threads.append(thread)
                thread.start()


def _copy(
    way: Direction,
    source: socket.socket,
    sink: socket.socket,
    said: list[tuple[Direction, bytes]],
    lock: threading.Lock,
    left: list[int],
) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            with lock:
                said.append((way, data))
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
    with lock:
        left[0] -= 1
        last = not left[0]
    if last:
        source.close()
        sink.close()
