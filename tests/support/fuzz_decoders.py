"""The decoders of ``inspection`` as things to be fuzzed: whole conversations, spoilt.

An input is a sequence of turns: an octet that says whose (its lowest bit) and whether the bytes
are carried, skipped or missed; two for the length; the bytes. Whatever it is, only Undecodable may
come out, no secret lies beyond what is examined, and how the bytes are cut makes no difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from ferryman.inspection import detect
from ferryman.inspection.decoder import Decoder, Start, Undecodable
from ferryman.inspection.events import Event, MessageBegan, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from tests.support import transcripts
from tests.support.fuzzing import Target

Turn = tuple[Direction, int, bytes]
_CARRIED, _SKIPPED, _MISSED = range(3)

_RECORDED: dict[str, tuple[str, ...]] = {
    "redis": ("redis_resp2", "redis_resp3", "redis_inline"),
    "h2": ("h2_curl", "h2_push", "grpc"),
    "postgresql": ("pg_psql", "pg_extended", "pg_md5", "pg_cancel", "pg_cancelled", "pg_tls"),
    "websocket": ("websocket",),
    "tls": ("pg_tls",),
}
_WORDS: dict[str, tuple[bytes, ...]] = {
    "redis": (
        b"*1\r\n",
        b"$-1\r\n",
        b"%1\r\n",
        b"|1\r\n",
        b">2\r\n",
        b"AUTH",
        b"SUBSCRIBE",
        b"\r\n",
    ),
    "h2": (
        b"\0\0\0\x01\x05\0\0\0\x01",
        b"\0\0\0\x09\x04\0\0\0\x01",
        b"\x82",
        b"\x40",
        b"\x3f\xe1\x1f",
    ),
    "postgresql": (
        b"password '",
        b"Z\0\0\0\x05I",
        b"S\0\0\0\x04",
        b"\0\0\0\x08\x04\xd2\x16/",
        b"C",
    ),
    "websocket": (b"\x81\x00", b"\x01\x02hi", b"\x80\x00", b"\x89\x00", b"\x82\x7f"),
    "tls": (b"\x16\x03\x01", b"\x01\0\0", b"\x15\x03\x03\0\x02\x02\x28", b"\0\x10", b"\0\0"),
}


def decoder_targets() -> tuple[Target, ...]:
    """One for each protocol."""
    return tuple(_target(protocol) for protocol in _RECORDED)


def _target(protocol: str) -> Target:
    def start() -> Decoder:
        decoder = detect.load(protocol, Start())
        assert decoder is not None
        return decoder

    def run(data: bytes) -> str:
        turns = list(_turns(data))
        whole = _outcome(start, turns)
        chance = random.Random(data)
        cut = [piece for turn in turns for piece in _cut(turn, chance)]
        assert _outcome(start, cut) == whole
        events, failure = whole
        kinds = [f"{type(e).__name__[7:9]}{_gist(e)}" for e in events][:40]
        return " ".join([*kinds, failure])

    def seeds() -> Sequence[bytes]:
        return [_written(_recorded(protocol, name)) for name in _RECORDED[protocol]]

    return Target(f"decoder-{protocol}", run, seeds, _WORDS[protocol])


def _recorded(protocol: str, name: str) -> transcripts.Transcript:
    """What was said in that protocol: after the upgrade, or after the SSLRequest."""
    whole = transcripts.load(name)
    return whole[2:] if protocol in ("websocket", "tls") else whole


def _gist(event: Event) -> str:
    if isinstance(event, MessageBegan):
        return f"{event.direction}{len(event.fields)}{event.alone}{len(event.facts)}"
    return f"{bool(event.error)}{bool(event.trailers)}" if isinstance(event, MessageEnded) else ""


def _turns(data: bytes) -> Iterator[Turn]:
    at = 0
    while at + 3 <= len(data):
        head, size = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        how = {0xF0: _SKIPPED, 0xF2: _MISSED}.get(head & 0xFE, _CARRIED)
        if piece := data[at + 3 : at + 3 + size]:
            yield (DOWN if head & 1 else UP), how, piece
        at += 3 + size


def _written(transcript: transcripts.Transcript) -> bytes:
    return b"".join(
        bytes([way == DOWN]) + len(data).to_bytes(2, "big") + data
        for way, chunk in transcript
        for data in (chunk[i : i + 4096] for i in range(0, len(chunk), 4096))
    )


def _cut(turn: Turn, chance: random.Random) -> Iterator[Turn]:
    way, how, data = turn
    if how != _CARRIED:
        yield turn
        return
    while data:
        size = chance.choice((1, 2, 7, 64, 4096))
        yield way, how, data[:size]
        data = data[size:]


def _outcome(start: Callable[[], Decoder], turns: Sequence[Turn]) -> tuple[list[Event], str]:
    decoder, events = start(), list[Event]()
    end = {UP: 0, DOWN: 0}
    try:
        for way, how, data in turns:
            end[way] += len(data)
            if how == _CARRIED:
                events += decoder.receive(way, data)
            else:
                events += decoder.skipped(way, len(data), missed=how == _MISSED)
            if decoder.switched() is not None:
                return transcripts.joined(events), "switched"
            for span in decoder.secrets(way):
                assert 0 <= span.start < span.end <= decoder.examined(way) <= end[way]
            decoder.skippable(way)
        for way in (UP, DOWN):
            events += decoder.ended(way)
    except Undecodable as error:
        return transcripts.joined([*events, *error.events]), str(error)
    return transcripts.joined(events), ""
