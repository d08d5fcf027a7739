"""What is true of every decoder, on what real programs said and on what became of that."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferryman.inspection import detect
from ferryman.inspection.decoder import Decoder, Start, Undecodable
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from tests.support import transcripts
from tests.support.fuzzing import changed
from tests.support.split import cut, cuts
from tests.support.transcripts import Transcript

RECORDED = {
    "redis_resp2": "redis",
    "redis_resp3": "redis",
    "redis_inline": "redis",
    "h2_curl": "h2",
    "h2_push": "h2",
    "grpc": "h2",
    **dict.fromkeys(("pg_psql", "pg_extended", "pg_md5", "pg_clear", "pg_wrong"), "postgresql"),
    **dict.fromkeys(("pg_cancel", "pg_cancelled"), "postgresql"),
    "pg_tls": "postgresql",
    "websocket": "websocket",
    "websocket_deflate": "websocket",
}
SECRETS = (b"hunter2", b"s3cret", b"wr0ng")
by_name = pytest.mark.parametrize("name", RECORDED)


def load(name: str) -> Transcript:
    """What was said in the protocol, after an upgrade to it if it took one."""
    whole = transcripts.load(name)
    return whole[2:] if RECORDED[name] == "websocket" else whole


def start(name: str) -> Decoder:
    fields = (("Sec-WebSocket-Extensions", "permessage-deflate"),) if "deflate" in name else ()
    decoder = detect.load(RECORDED[name], Start(fields=fields))
    assert decoder is not None
    return decoder


def recut(transcript: Transcript, where: Sequence[int]) -> list[tuple[Direction, bytes]]:
    """The same bytes in the same order, each chunk cut anew."""
    return [(way, piece) for way, data in transcript for piece in cut(data, where) if piece]


def outcome(decoder: Decoder, transcript: Transcript) -> tuple[list[Event], str]:
    """All that it says, up to where it gives up, if it does."""
    events: list[Event] = []
    fed = {UP: 0, DOWN: 0}
    try:
        for way, data in transcript:
            fed[way] += len(data)
            events += decoder.receive(way, data)
            last = 0
            for span in decoder.secrets(way):
                assert last <= span.start < span.end <= decoder.examined(way) <= fed[way]
                last = span.end
            until = decoder.skippable(way)
            assert until is None or until >= decoder.examined(way)
        for way in (UP, DOWN):
            events += decoder.ended(way)
    except Undecodable as error:
        return transcripts.joined([*events, *error.events]), str(error)
    return transcripts.joined(events), ""


def check(events: Sequence[Event]) -> None:
    """Messages begin, then have data, then end; titles are a line; sizes are true."""
    open_: dict[tuple[int, Direction], int] = {}
    for event in events:
        match event:
            case MessageBegan(exchange, direction, title):
                assert title.isprintable()
                assert len(title) <= 200
                assert (exchange, direction) not in open_
                open_[exchange, direction] = 0
            case MessageData(exchange, direction, data):
                open_[exchange, direction] += len(data)
            case MessageEnded(exchange, direction, size):
                assert open_.pop((exchange, direction)) == size


def shape(said: tuple[Sequence[Event], str]) -> list[tuple[object, ...]]:
    """What is said but for texts."""
    events = [event for event in said[0] if isinstance(event, MessageBegan | MessageEnded)]
    return [(type(event), event.exchange, event.direction) for event in events]


@by_name
def test_a_recorded_conversation_is_understood_to_its_end(name: str) -> None:
    events, failure = outcome(start(name), load(name))
    assert failure == ""
    check(events)


@by_name
@settings(max_examples=30)
@given(where=cuts)
def test_what_is_said_does_not_depend_on_how_the_bytes_are_cut(name: str, where: list[int]) -> None:
    whole = load(name)
    assert outcome(start(name), recut(whole, where)) == outcome(start(name), whole)


@by_name
def test_a_byte_at_a_time_says_the_same(name: str) -> None:
    whole = load(name)
    bytewise = [(way, data[i : i + 1]) for way, data in whole for i in range(len(data))]
    assert outcome(start(name), bytewise) == outcome(start(name), whole)


@by_name
def test_no_secret_leaves_by_events_or_by_bytes(name: str) -> None:
    whole = load(name)
    events, _ = outcome(start(name), whole)
    bytes_ = transcripts.masked(start(name), whole)
    for secret in SECRETS:
        assert secret not in repr(events).encode()
        assert secret not in bytes_[UP] + bytes_[DOWN]


@by_name
def test_masked_bytes_mean_the_same(name: str) -> None:
    """What stands in for a secret keeps the protocol whole: Wireshark can read on."""
    whole = load(name)
    bytes_ = transcripts.masked(start(name), whole)
    place = {UP: 0, DOWN: 0}
    covered: list[tuple[Direction, bytes]] = []
    for way, data in whole:
        covered.append((way, bytes_[way][place[way] : place[way] + len(data)]))
        place[way] += len(data)
    assert shape(outcome(start(name), covered)) == shape(outcome(start(name), whole))


@by_name
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32))
def test_hostile_bytes_are_undecodable_at_worst(name: str, seed: int) -> None:
    chance = random.Random(seed)
    whole = load(name)
    pool = [data for _, data in whole]
    spoiled = [(way, changed(chance, [data, data, *pool], ()) or b"?") for way, data in whole]
    events, failure = outcome(start(name), spoiled)
    check(events)
    again = outcome(start(name), recut(spoiled, [chance.randrange(9999) for _ in range(9)]))
    if "deflate" in name:  # zlib keeps to itself what it had expanded when it fails
        assert (shape(again), again[1]) == (shape((events, failure)), failure)
    else:
        assert again == (events, failure)
