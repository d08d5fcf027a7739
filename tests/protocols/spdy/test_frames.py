"""What SPDY/3.1 frames look like, and how they are read from any split of the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.protocols.spdy import frames
from ferryman.protocols.spdy.frames import (
    DataChunk,
    Frame,
    FrameReader,
    GoAway,
    Headers,
    Ping,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
)
from tests.support.split import cut, cuts

FRAMES: list[tuple[frames.Control, str]] = [
    (SynStream(1, b"block"), "80030001 0000000f 00000001 00000000 0000 626c6f636b"),
    (SynStream(3, b"", 0x03, 1, 7), "80030001 0300000a 00000003 00000001 e000"),
    (SynReply(1, b"block", 1), "80030002 01000009 00000001 626c6f636b"),
    (RstStream(3, 5), "80030003 00000008 00000003 00000005"),
    (Settings(((1, 7, 65536),), 1), "80030004 0100000c 00000001 01000007 00010000"),
    (Settings(()), "80030004 00000004 00000000"),
    (Ping(7), "80030006 00000004 00000007"),
    (GoAway(5, 1), "80030007 00000008 00000005 00000001"),
    (Headers(1, b"block", 0), "80030008 00000009 00000001 626c6f636b"),
    (WindowUpdate(0, 4096), "80030009 00000008 00000000 00001000"),
]


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.receive(piece)]


@pytest.mark.parametrize(("frame", "wire"), FRAMES)
def test_each_control_frame_has_its_bytes(frame: frames.Control, wire: str) -> None:
    assert frame.encode() == bytes.fromhex(wire)
    assert read(bytes.fromhex(wire)) == [frame]


@given(cuts)
def test_control_frames_come_out_whole_however_the_bytes_are_split(places: list[int]) -> None:
    wire = b"".join(frame.encode() for frame, _ in FRAMES)
    assert read(*cut(wire, places)) == [frame for frame, _ in FRAMES]


def test_data_is_passed_on_before_its_frame_is_whole() -> None:
    reader = FrameReader()
    size = 8 << 20
    (chunk,) = reader.receive(frames.data_head(3, size, fin=True) + b"x" * 1000)
    assert chunk == DataChunk(3, memoryview(b"x" * 1000), ends_frame=False, fin=False)
    rest = bytes(size - 1000)
    assert reader.receive(rest) == [DataChunk(3, memoryview(rest), ends_frame=True, fin=True)]


def test_unknown_control_frames_are_skipped_at_any_length() -> None:
    unknown = bytes.fromhex("8003000a 00ffffff")
    body = bytes(0xFFFFFF)
    assert read(unknown, body[:5000], body[5000:] + Ping(1).encode()) == [Ping(1)]


def test_reserved_bits_are_ignored() -> None:
    assert read(bytes.fromhex("80030003 00000008 80000003 00000005")) == [RstStream(3, 5)]


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("80020006 00000004 00000001", "SPDY version 2"),
        ("00000000 00000001 00", "stream 0"),
        ("80030001 00000009 00000001 00000000 00", "SYN_STREAM of 9 bytes"),
        ("80030002 00000003 000000", "SYN_REPLY of 3 bytes"),
        ("80030003 00000004 00000001", "RST_STREAM of 4 bytes"),
        ("80030004 00000000", "SETTINGS of 0 bytes"),
        ("80030004 00000004 00000001", "SETTINGS of 4 bytes for 1 entries"),
        ("80030004 00000004 ffffffff", "SETTINGS of 4 bytes for 4294967295 entries"),
        ("80030006 00000005 0000000100", "PING of 5 bytes"),
        ("80030007 00000004 00000001", "GOAWAY of 4 bytes"),
        ("80030008 00000000", "HEADERS of 0 bytes"),
        ("80030009 00000000", "WINDOW_UPDATE of 0 bytes"),
        ("80030001 00010001", "control frame of 65537 bytes"),
    ],
)
def test_a_broken_frame_names_what_is_wrong(wire: str, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        read(bytes.fromhex(wire))


@given(st.binary(max_size=300), cuts)
def test_garbage_is_a_peer_error_or_nothing(garbage: bytes, places: list[int]) -> None:
    try:
        whole = read(*cut(garbage, places))
    except PeerError:
        return
    assert sum(len(f.data) for f in whole if isinstance(f, DataChunk)) <= len(garbage)
