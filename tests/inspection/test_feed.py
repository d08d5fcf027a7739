"""The feed between the data plane and whoever decodes: any record, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.inspection import feed

connections = st.integers(0, 0xFFFFFFFF)
times = st.integers(0, 2**62)
directions = st.sampled_from((feed.UP, feed.DOWN))
counts = st.integers(0, 2**63)
texts = st.text(max_size=50).map(lambda t: t.replace("\0", ""))
records = st.one_of(
    st.builds(feed.Opened, connections, times, texts, texts, texts),
    st.builds(feed.Chunk, connections, times, directions, st.binary(max_size=300)),
    st.builds(feed.Skipped, connections, times, directions, counts),
    st.builds(feed.Missed, connections, times, directions, counts),
    st.builds(feed.Ended, connections, times, directions),
    st.builds(feed.Closed, connections, times, counts, counts, texts),
    st.builds(feed.Noted, connections, times, texts),
)


@given(st.lists(records, max_size=8), st.integers(1, 40))
def test_what_is_encoded_comes_out_however_it_is_cut(said: list[feed.Record], step: int) -> None:
    data = b"".join(map(feed.encode, said))
    frames = feed.Frames()
    heard: list[feed.Record] = []
    for at in range(0, len(data), step):
        heard += frames.receive(data[at : at + step])
    assert heard == said
    assert frames.incomplete == 0


def test_a_chunk_may_be_written_as_header_and_bytes() -> None:
    chunk = feed.Chunk(7, 12, feed.DOWN, b"hello")
    assert feed.chunk_header(7, 12, feed.DOWN, 5) + b"hello" == feed.encode(chunk)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_or_incomplete(data: bytes) -> None:
    try:
        list(feed.Frames().receive(data))
    except PeerError:
        pass


def test_a_frame_beyond_the_limit_is_refused_before_it_is_awaited() -> None:
    header = feed.chunk_header(1, 1, feed.UP, feed.FRAME_LIMIT + 1)
    with pytest.raises(PeerError):
        list(feed.Frames().receive(header))


@given(st.lists(st.builds(feed.Skip, connections, directions, st.none() | st.integers(0, 2**62))))
def test_commands_come_back(commands: list[feed.Command]) -> None:
    data = b"".join(map(feed.encode_command, commands))
    assert len(data) == feed.COMMAND_SIZE * len(commands)
    assert list(feed.decode_commands(data)) == commands
