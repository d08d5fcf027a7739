"""What a connection into a pod remembers: enough for a replay, and no more."""

from __future__ import annotations

from ferryman.dataplane.record import Record

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def record(*, limit: int = 65536) -> Record:
    return Record(limit)


def say(one: Record, data: bytes) -> None:
    one.sent(memoryview(data))


def hear(one: Record, data: bytes) -> None:
    one.received(memoryview(data))


def test_a_request_is_kept_until_it_is_answered() -> None:
    one = record()
    say(one, GET[:10])
    say(one, GET[10:])
    assert (one.said, one.proven, one.kept, one.unanswered) == (True, False, True, GET)
    hear(one, OK[:5])
    assert (one.proven, one.kept, one.unanswered) == (True, False, b"")
    assert not one.complete


def test_each_exchange_is_proven_anew() -> None:
    one = record()
    say(one, GET)
    hear(one, OK)
    assert (one.idle, one.said, one.proven, one.complete) == (True, False, False, True)
    say(one, POST)
    assert (one.idle, one.said, one.proven, one.unanswered) == (False, True, False, POST)


def test_a_connection_that_was_announced_to_end_is_never_idle() -> None:
    one = record()
    say(one, GET)
    hear(one, OK.replace(b"Content", b"Connection: close\r\nContent"))
    assert (one.idle, one.proven, one.complete) == (False, True, True)


def test_too_much_is_not_kept() -> None:
    one = record(limit=10)
    say(one, b"0123456789")
    assert one.kept
    say(one, b"x")
    assert (one.kept, one.unanswered, one.repeatable("Always")) == (False, b"", False)


def test_only_idempotent_http_is_harmless() -> None:
    for data, harmless in [(GET, True), (POST, False), (GET + POST, False), (b"PING\r\n", False)]:
        one = record()
        say(one, data)
        assert one.repeatable("IdempotentHTTP") is harmless, data
        assert one.repeatable("Always")
        assert not one.repeatable("Never")


def test_an_unknown_protocol_is_proven_once_and_for_all() -> None:
    one = record()
    say(one, b"PING\r\n")
    hear(one, b"+PONG\r\n")
    say(one, b"PING\r\n")
    assert (one.idle, one.proven, one.kept, one.complete) == (False, True, False, None)


def test_a_replay_counts_from_what_was_not_answered() -> None:
    one = record()
    say(one, GET)
    one.restart()
    assert (one.said, one.unanswered) == (True, GET)
    hear(one, OK)
    assert one.idle
    one.restart()  # its pod went while nothing was asked
    assert (one.said, one.proven, one.unanswered) == (False, False, b"")
    say(one, GET)
    hear(one, OK)
    assert one.idle


def test_nothing_is_proven_by_silence() -> None:
    one = record()
    assert (one.said, one.proven, one.kept) == (False, False, True)
    assert not one.repeatable("IdempotentHTTP")
