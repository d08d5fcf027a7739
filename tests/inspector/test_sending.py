"""Exchanges on their way to the program that asked for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspector.sending import Exchanges, encode

texts = st.text(max_size=20)
fields = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
facts = st.dictionaries(texts, texts | st.integers(0, 2**40), max_size=3)
messages = st.builds(
    Message,
    title=texts,
    began=st.integers(0, 2**62),
    ended=st.integers(0, 2**62),
    fields=fields,
    facts=facts,
    body=st.binary(max_size=50),
    size=st.integers(0, 2**40),
    trailers=fields,
    missed=st.integers(0, 2**40),
    error=texts,
)
exchanges = st.builds(
    Exchange,
    connection=st.integers(1, 2**32),
    number=st.integers(1, 2**32),
    protocol=texts,
    listener=texts,
    client=texts,
    endpoint=texts,
    request=st.none() | messages,
    answer=st.none() | messages,
)


@given(st.lists(exchanges, max_size=4), st.integers(1, 50))
def test_what_is_sent_comes_however_it_is_cut(sent: list[Exchange], step: int) -> None:
    data = b"".join(map(encode, sent))
    reader = Exchanges()
    came = []
    for at in range(0, len(data), step):
        came += list(reader.receive(data[at : at + step]))
    assert came == sent


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\1\0", b"\0\0\0\2hi"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        list(Exchanges().receive(data))
