"""WebSocket: recorded with the upgrade, and random traffic with wsproto as the oracle."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
import wsproto.events as ws
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate

from ferryman.inspection import feed
from ferryman.inspection.decoder import Start, Undecodable
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.session import Decoded, Session
from ferryman.inspection.websocket import EXPANDED_LIMIT, WebSocket
from tests.support import transcripts
from tests.support.split import cut, cuts

DEFLATE = (("Sec-WebSocket-Extensions", "permessage-deflate"),)
WITHOUT = (("Sec-WebSocket-Extensions", "x; y, permessage-deflate; server_no_context_takeover"),)


def frame(first: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    if size < 126:
        return bytes([first, size]) + payload
    return bytes([first, 127]) + struct.pack(">Q", size) + payload


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def said(data: bytes, fields: tuple[tuple[str, str], ...] = ()) -> list[str]:
    return transcripts.seen(WebSocket(Start(fields=fields)).receive(DOWN, data))


@pytest.mark.parametrize("name", ["websocket", "websocket_deflate"])
def test_a_recorded_chat_reads_as_it_was_said(name: str) -> None:
    session = Session(1)
    events: list[Event] = []
    for way, data in transcripts.load(name):
        seen = session.receive(feed.Chunk(1, 0, way, data))
        events += [one.event for one in seen if isinstance(one, Decoded)]
    lines = transcripts.seen(events)
    assert lines[:6] == ["http/1.1", "1 > GET /chat", "1 > 0 B", "1 < 101", "1 < 0 B", "websocket"]
    up = [line for line in lines[6:] if " > " in line and "|" not in line]
    assert up[:4] == ['2 > text {"a":1} (alone)', "2 > 7 B", "4 > binary 0001ff (alone)", "4 > 3 B"]
    assert up[-8:-2] == [
        '8 > text {"a":1} (alone)',
        "8 > 7 B",
        "10 > text part one, part two (alone)",
        "10 > 18 B",
        "12 > ping are you there (alone)",
        "12 > 0 B",
    ]
    assert up[-2].endswith("close 1000 bye (alone)")
    assert "hunter2" not in repr(events)


def test_a_title_shows_how_a_message_begins() -> None:
    assert said(frame(0x81, b"a\nb" * 100))[0] == "1 < text " + "a b" * 33 + "… (alone)"
    assert said(frame(0x82, b"\xff" * 40))[0] == "1 < binary " + "ff" * 16 + "… (alone)"
    assert said(frame(0x81, "é".encode() * 99))[0] == "1 < text " + "é" * 80 + " (alone)"
    assert said(frame(0x88, b""))[0] == "1 < close (alone)"
    assert said(frame(0x8A, b"\xfe\xff"))[0] == "1 < pong feff (alone)"


def test_large_messages_may_pass_by_unseen() -> None:
    decoder = WebSocket(Start())
    decoder.receive(UP, b"\x82\xff" + struct.pack(">Q", 90000) + b"abcd" + b"xyz")
    assert decoder.skippable(UP) == 14 + 90000
    assert decoder.skipped(UP, 50000, missed=False) == [
        MessageBegan(1, UP, "binary 191b19", (), {"opcode": "binary"}, alone=True),
        MessageData(1, UP, b"\x19\x1b\x19"),
    ]
    # 50,003 bytes on, the key is to be turned by three.
    assert decoder.receive(UP, b"xyzx") == [MessageData(1, UP, b"\x1c\x18\x18\x1b")]
    assert decoder.skipped(UP, 39993, missed=True) == [MessageEnded(1, UP, 90000, missed=39993)]


def test_a_compressed_message_is_not_skipped() -> None:
    decoder = WebSocket(Start(fields=DEFLATE))
    decoder.receive(DOWN, frame(0xC1, b"", 90000)[:10])
    assert decoder.skippable(DOWN) == 10


def test_what_refers_to_missed_bytes_stays_compressed() -> None:
    decoder = WebSocket(Start(fields=DEFLATE))
    data = deflated(b"hello " * 20)
    decoder.receive(DOWN, frame(0xC1, b"", len(data)))
    lines = transcripts.seen(decoder.skipped(DOWN, len(data), missed=True))
    lines += transcripts.seen(decoder.receive(DOWN, frame(0xC1, data)))
    assert [line for line in lines if "|" not in line] == [
        "1 < text (compressed) (alone)",
        f"1 < {len(data)} B (it refers to compressed bytes that were missed)",
        "2 < text (compressed) (alone)",
        f"2 < {len(data)} B (it refers to compressed bytes that were missed)",
    ]
    alone = WebSocket(Start(fields=WITHOUT))
    alone.receive(DOWN, frame(0xC1, b"", len(data)))
    alone.skipped(DOWN, len(data), missed=True)
    assert transcripts.seen(alone.receive(DOWN, frame(0xC1, data)))[-1] == "2 < 120 B"


def test_a_bomb_is_counted_and_not_told() -> None:
    events = WebSocket(Start(fields=DEFLATE)).receive(DOWN, frame(0xC2, deflated(bytes(1 << 24))))
    assert (
        sum(len(event.data) for event in events if isinstance(event, MessageData)) == EXPANDED_LIMIT
    )
    assert events[-1] == MessageEnded(1, DOWN, 1 << 24)


def test_compression_that_is_none_is_said_to_be() -> None:
    assert said(frame(0xC1, b"\xff\xff"), DEFLATE)[-1].endswith("cannot be read)")


HOSTILE = [
    (b"\xc1\x00", ()),
    (b"\xa1\x00", DEFLATE),
    (b"\x83\x00", ()),
    (b"\x80\x00", ()),
    (b"\x01\x00\x81\x00", ()),
    (b"\x09\x00", ()),
    (b"\x89\x7e\x00\x80", ()),
    (b"\x8b\x00", ()),
    (b"\x01\x00\xc0\x00", DEFLATE),
    (b"\x82\x7f\xff" + b"\0" * 7, ()),
]


@pytest.mark.parametrize(("wire", "fields"), HOSTILE)
def test_what_websocket_does_not_say_is_undecodable(
    wire: bytes, fields: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(Undecodable):
        said(wire, fields)


@settings(max_examples=80)
@given(seed=st.integers(0, 1 << 32), where=cuts, compressed=st.booleans())
def test_random_messages_arrive_as_wsproto_sent_them(
    seed: int, where: list[int], compressed: bool
) -> None:
    chance = random.Random(seed)
    ours = WebSocket(Start(fields=DEFLATE if compressed else ()))
    events: list[Event] = []
    expected: list[tuple[Direction, bytes]] = []
    sides: dict[Direction, Connection] = {}
    for way, kind in ((UP, ConnectionType.CLIENT), (DOWN, ConnectionType.SERVER)):
        extension = PerMessageDeflate()
        if compressed:
            extension.finalize("permessage-deflate")
        sides[way] = Connection(kind, [extension] if compressed else [])
    for _ in range(chance.randrange(1, 8)):
        way = chance.choice((UP, DOWN))
        parts = [
            chance.randbytes(chance.choice((0, 5, 125, 126, 900)))
            for _ in range(chance.randrange(1, 4))
        ]
        wire = b""
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            wire += sides[way].send(ws.BytesMessage(part, message_finished=last))
            if not last:
                wire += sides[way].send(ws.Ping(b"in between"))
        expected.append((way, b"".join(parts)))
        for piece in cut(wire, where):
            events += ours.receive(way, piece)
    told: dict[int, bytes] = {}
    order: list[tuple[Direction, int]] = []
    for event in events:
        if isinstance(event, MessageBegan) and event.facts["opcode"] == "binary":
            told[event.exchange] = b""
        elif isinstance(event, MessageData):
            told[event.exchange] += event.data
        elif isinstance(event, MessageEnded) and event.exchange in told:
            order.append((event.direction, event.exchange))
            assert event.size == len(told[event.exchange])
    assert [(way, told[number]) for way, number in order] == expected
