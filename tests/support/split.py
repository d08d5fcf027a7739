"""Any split of the bytes: what the tests of sans-IO machines feed their input with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from ferryman.protocols.multiplex import Data


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The pieces of ``data`` between these places; places outside wrap around."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


cuts = st.lists(st.integers(min_value=0, max_value=1 << 20), max_size=24)
"""Where to cut; small enough that most pieces hold several messages, some only a byte."""


def feed(receive: Callable[[bytes], Sequence[Any]], pieces: Iterable[bytes]) -> list[Any]:
    """All events of the pieces, one after another; Data of a pair is joined and made bytes."""
    return joined(event for piece in pieces for event in frozen(receive(piece)))


def frozen(events: Iterable[Any]) -> list[Any]:
    """The events with their views copied, because a buffer may be used again."""
    return [
        Data(event.pair, memoryview(bytes(event.data))) if isinstance(event, Data) else event
        for event in events
    ]


def joined(events: Iterable[Any]) -> list[Any]:
    """The events with neighbouring Data of one pair made one: chunks mean nothing."""
    out: list[Any] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Data) and isinstance(last, Data) and last.pair == event.pair:
            out[-1] = Data(event.pair, memoryview(bytes(last.data) + bytes(event.data)))
        else:
            out.append(event)
    return out
