"""`.ferry` files: what was kept comes back, whole or as far as it is whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import UserError
from ferryman.inspection import feed
from ferryman.inspection.exports.recording import MAGIC, Header, Reader, Recording

HEADER = Header("0.1.0", 1_795_424_948_000_000_000, ("127.0.0.1:8080", "./ünï.sock"))
SAID: list[feed.Record] = [
    feed.Opened(1, 10, "127.0.0.1:8080", "127.0.0.1:5000", "localhost:8081"),
    feed.Chunk(1, 11, feed.UP, b"GET / HTTP/1.1\r\n\r\n"),
    feed.Missed(1, 12, feed.DOWN, 70),
    feed.Ended(1, 13, feed.UP),
    feed.Closed(1, 14, 18, 70, "the pod died"),
    feed.Noted(0, 15, "nobody listens there"),
]


def written(records: list[feed.Record], header: Header = HEADER) -> bytes:
    recording = Recording(header)
    parts = [recording.begin(), *map(recording.record, records)]
    return b"".join([*parts, recording.finish(), recording.tail])


def read(data: bytes, step: int = 1 << 20) -> tuple[Reader, list[feed.Record]]:
    reader = Reader()
    heard: list[feed.Record] = []
    for at in range(0, len(data), step):
        heard += reader.receive(data[at : at + step])
    reader.finish()
    return reader, heard


@given(st.integers(1, 200))
def test_what_was_kept_comes_back_however_it_is_cut(step: int) -> None:
    reader, heard = read(written(SAID), step)
    assert (reader.header, heard, reader.damage) == (HEADER, SAID, "")


@given(st.integers(0, len(written(SAID)) - 1))
def test_a_file_that_was_cut_short_is_read_as_far_as_it_is_whole(end: int) -> None:
    whole = written(SAID)
    try:
        reader, heard = read(whole[:end])
    except UserError:
        assert end <= whole.index(b"\n")
        return
    assert heard == SAID[: len(heard)]
    assert len(written(heard)) <= end
    assert bool(reader.damage) == (len(written(heard)) < end)


def test_a_torn_end_is_said_with_what_was_whole() -> None:
    reader, heard = read(written(SAID)[:-3])
    assert heard == SAID[:-1]
    assert reader.damage.startswith("it was cut short after 5 records")


def test_damage_in_the_middle_ends_the_reading_and_is_said() -> None:
    data = bytearray(written(SAID))
    damaged = len(written(SAID[:2])) + 4
    data[damaged] = 0xFF  # no such kind of record
    reader, heard = read(bytes(data), 7)
    assert heard == SAID[:2]
    assert reader.damage == "it is damaged after 2 records; what follows is lost"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "this file is empty"),
        (b"\n", "this is no recording of ferry's"),
        (b"ferry-rec", "this is no recording of ferry's"),
        (b"\x0a\x0d\x0d\x0a a pcapng", "this is no recording of ferry's"),
        (b"\xd4\xc3\xb2\xa1" * 100, "this is no recording of ferry's"),
        (b"x" * 100_000, "this is no recording of ferry's"),
        (MAGIC + b"1 " + b"x" * 100_000, "this is no recording of ferry's"),
        (MAGIC + b"1 {}\n", "this recording's first line is damaged"),
        (MAGIC + b'1 {"tool": 1, "started": "x", "listeners": 1}\n', "first line is damaged"),
        (MAGIC + b"2 {}\n", "this recording is of version 2, and version 1 is known here"),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_foreign_files_are_refused_in_words(data: bytes, said: str, step: int) -> None:
    with pytest.raises(UserError) as refused:
        read(data, step)
    assert said in refused.value.message


@given(st.binary(max_size=300))
def test_any_bytes_after_the_first_line_are_records_or_damage(data: bytes) -> None:
    reader, heard = read(written([]) + data)
    assert bool(reader.damage) or written(heard) == written([]) + data


def test_a_chunk_too_large_for_a_frame_is_cut() -> None:
    data = bytes(range(256)) * 8200
    _, heard = read(written([feed.Chunk(1, 5, feed.DOWN, data)]))
    chunks = [record for record in heard if isinstance(record, feed.Chunk)]
    assert len(chunks) == 3
    assert b"".join(chunk.data for chunk in chunks) == data
    assert {(c.connection, c.at, c.direction) for c in chunks} == {(1, 5, feed.DOWN)}
