"""What may be said again, and which exchanges are whole: tables, splits, h11 as an oracle."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.protocols.http.framing import (
    HEAD_LIMIT,
    LINES_LIMIT,
    PIPELINE_LIMIT,
    REPLAY_LIMIT,
    Exchanges,
    replayable,
)
from tests.support.split import cut, cuts

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
PUT = POST.replace(b"POST", b"PUT")
CHUNKED_PUT = (
    b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n"
)
HELLO = bytes.fromhex("1603010200010001fc0303")

REPLAYABLE = [
    (GET, True),
    (GET * 3, True),
    (HEAD + GET + PUT + CHUNKED_PUT + GET, True),
    (b"DELETE /x HTTP/1.0\r\n\r\n", True),
    (b"OPTIONS * HTTP/1.1\r\n\r\n", True),
    (b"GET http://x/ HTTP/1.1\r\n\r\n", True),
    (b"TRACE / HTTP/1.1\r\n\r\n", True),
    (b"\r\n" + GET, True),
    # incomplete
    (GET[:-2], True),
    (b"GET / HTT", True),
    (b"GET /", True),
    (GET + b"HEAD /ind", True),
    (PUT[:-1], True),
    (CHUNKED_PUT[:-9], True),
    (b"GET ", False),
    (b"GE", False),
    (b"GET x", False),
    (b"POST /", False),
    (GET + b"PO", False),
    (GET + b"\r\n", True),
    # not idempotent
    (POST, False),
    (GET + POST, False),
    (b"PATCH / HTTP/1.1\r\n\r\n", False),
    (b"CONNECT x:1 HTTP/1.1\r\n\r\n", False),
    (b"get / HTTP/1.1\r\n\r\n", False),
    # not HTTP/1.x, or not clearly
    (b"", False),
    (b"\r\n", False),
    (HELLO, False),
    (b"*1\r\n$4\r\nPING\r\n", False),
    (b"GET key\r\n", False),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False),
    (b"GET / HTTP/2\r\n\r\n", False),
    (b"GET / HTTP/1.1\n\n", False),
    (GET + HELLO, False),
    (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x81\x85", False),
    (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", False),
    (b"PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", False),
    (b"PUT / HTTP/1.1\r\nContent-Length:\r\n 1\r\n\r\na", False),
    (b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", False),
    (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False),
    # large
    (b"GET /" + b"x" * (REPLAY_LIMIT - 5), True),
    (b"GET /" + b"x" * (REPLAY_LIMIT - 4), False),
]


@pytest.mark.parametrize(("data", "expected"), REPLAYABLE, ids=lambda value: repr(value)[:40])
def test_only_idempotent_http_may_be_said_again(data: bytes, expected: bool) -> None:
    assert replayable(data) is expected


def test_the_limit_is_the_callers() -> None:
    assert replayable(GET, limit=len(GET))
    assert not replayable(GET, limit=len(GET) - 1)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"
)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nsome of it"

EXCHANGES = [
    ("nothing was said", b"", b"", None),
    ("answered with a length", GET, OK, True),
    ("answered in chunks", GET, CHUNKED, True),
    ("answered without a body", GET, NO_CONTENT, True),
    ("not modified", GET, b"HTTP/1.1 304 NM\r\nContent-Length: 9\r\n\r\n", True),
    ("a head only", HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True),
    ("an interim answer first", POST, CONTINUE + OK, True),
    ("no reason", GET, b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
    (
        "it will close, but is whole",
        GET,
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        True,
    ),
    ("two of two", GET + PUT, OK + CHUNKED, True),
    ("a body that was not sent whole", PUT[:-1], OK, True),
    ("an empty line after a body", POST + b"\r\n", OK, True),
    ("not yet answered", GET, b"", False),
    ("only the interim answer", POST, CONTINUE, False),
    ("one of two", GET + GET, OK, False),
    ("half a status line", GET, b"HTT", False),
    ("half a head", GET, OK[:20], False),
    ("half a body", GET, OK[:-1], False),
    ("half a chunk", GET, CHUNKED[:-15], False),
    ("no last chunk", GET, CHUNKED[:-11], False),
    ("half a trailer", GET, CHUNKED[:-2], False),
    ("only the connection's end can end it", GET, UNTIL_CLOSE, False),
    ("half a request", GET[:-1], b"", False),
    ("a whole one and a half", GET + GET[:5], OK, False),
    ("the next answer has begun", GET + GET, OK + b"H", False),
    ("a TLS hello", HELLO, b"", None),
    ("an inline command of redis", b"GET key\r\n", b"", None),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", None),
    ("a tunnel", b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"", None),
    ("an upgrade", GET, b"HTTP/1.1 101 Switching\r\n\r\n", None),
    ("an answer to nothing", b"", OK, None),
    ("one answer too many", GET, OK + OK, None),
    ("not an answer", GET, b"SSH-2.0-x\r\n", None),
    ("a length that is none", GET, OK.replace(b"5", b"five"), None),
    ("two lengths", GET, OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), None),
    ("a chunk size that is none", GET, CHUNKED.replace(b"5\r\n", b"-5\r\n"), None),
    ("a bare line feed", GET, OK.replace(b"OK\r", b"OK"), None),
]


def watched(sent: list[bytes], received: list[bytes]) -> Exchanges:
    exchanges = Exchanges()
    for piece in sent:
        exchanges.sent(memoryview(piece))
    for piece in received:
        exchanges.received(memoryview(piece))
    return exchanges


@pytest.mark.parametrize(
    ("sent", "received", "expected"),
    [row[1:] for row in EXCHANGES],
    ids=[row[0] for row in EXCHANGES],
)
@given(up=cuts, down=cuts)
def test_an_exchange_is_whole_or_not_however_it_is_split(
    sent: bytes, received: bytes, expected: bool | None, up: list[int], down: list[int]
) -> None:
    assert watched([sent], [received]).complete is expected
    assert watched(cut(sent, up), cut(received, down)).complete is expected


def test_a_connection_that_is_kept_alive_turns_with_each_exchange() -> None:
    exchanges = Exchanges()
    for _ in range(3):
        exchanges.sent(GET)
        assert exchanges.complete is False
        exchanges.received(OK[:-1])
        assert exchanges.complete is False
        exchanges.received(OK[-1:])
        assert exchanges.complete is True


@pytest.mark.parametrize(
    ("sent", "received", "expected"),
    [
        (GET, b"", True),
        (GET, OK, True),
        (GET.replace(b"Host: x", b"Connection: close"), b"", False),
        (GET.replace(b"Host: x", b"CONNECTION: te,\tClose , x"), b"", False),
        (GET.replace(b"Host: x", b"Connection: not-close"), b"", True),
        (GET.replace(b"1.1", b"1.0"), b"", False),
        (GET.replace(b"1.1", b"1.0").replace(b"Host: x", b"Connection: Keep-Alive"), b"", True),
        (GET, OK.replace(b"\r\n\r\n", b"\r\nconnection:close\r\n\r\n"), False),
        (GET, OK.replace(b"1.1", b"1.0"), False),
        (POST, CONTINUE.replace(b"1.1", b"1.0") + OK, True),
        (GET.replace(b"Host: x", b"Connection: close") + GET, OK + OK, False),
    ],
)
def test_a_connection_persists_unless_either_side_says_that_it_ends(
    sent: bytes, received: bytes, expected: bool
) -> None:
    assert watched([sent], [received]).persistent is expected


def test_what_is_not_http_is_not_looked_at_again() -> None:
    exchanges = watched([HELLO], [])
    assert not exchanges.watching
    exchanges.sent(GET)
    exchanges.received(OK)
    assert exchanges.complete is None


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"GET / HTTP/1.1\r\nx: " + b"x" * HEAD_LIMIT, b""),
        (GET, b"HTTP/1.1 200 OK\r\nx: " + b"x" * HEAD_LIMIT + b"\r\n\r\n"),
        (GET * (PIPELINE_LIMIT + 1), b""),
        (CHUNKED_PUT.replace(b"5;x=y\r\n", b"5;" + b"x" * 9000), b""),
        (GET, CHUNKED.replace(b"A: b", b"A: " + b"b" * 9000)),
        (GET, CHUNKED.replace(b"5\r\nhello\r\n", b"1\r\nx\r\n" * LINES_LIMIT)),
    ],
)
def test_what_would_cost_too_much_is_given_up(sent: bytes, received: bytes) -> None:
    exchanges = watched(cut(sent, range(0, len(sent), 5000)), [received])
    assert exchanges.complete is None
    assert not exchanges.watching


def test_the_largest_head_is_read() -> None:
    filler = HEAD_LIMIT - len(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: \r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: " + b"x" * filler + b"\r\n\r\n"
    assert len(head) == HEAD_LIMIT
    assert watched([GET], [head]).complete is True
    assert watched([GET], [head.replace(b"x: ", b"x: x")]).complete is None


def test_a_body_is_counted_however_large() -> None:
    exchanges = watched([GET], [b"HTTP/1.1 200 OK\r\nContent-Length: 1073741825\r\n\r\n"])
    mebibyte = memoryview(bytes(1 << 20))
    for _ in range(1024):
        exchanges.received(mebibyte)
    assert exchanges.complete is False
    exchanges.received(b"!")
    assert exchanges.complete is True


BODIES = st.lists(st.binary(max_size=100), max_size=4)


@given(st.lists(st.tuples(BODIES, st.booleans()), min_size=1, max_size=4), cuts)
def test_h11s_answers_are_whole_at_their_last_byte_only(
    answers: list[tuple[list[bytes], bool]], places: list[int]
) -> None:
    server, exchanges = h11.Connection(h11.SERVER), Exchanges()
    for body, chunked in answers:
        exchanges.sent(GET)
        server.receive_data(GET)
        while not isinstance(server.next_event(), h11.EndOfMessage):
            pass
        headers = [("content-length", str(len(b"".join(body))))]
        if chunked:
            headers = [("transfer-encoding", "chunked")]
        said: list[h11.Event] = [h11.Response(status_code=200, headers=headers)]
        said += [h11.Data(data=part) for part in body]
        wire = b"".join(server.send(event) or b"" for event in [*said, h11.EndOfMessage()])
        for piece in cut(wire[:-1], places):
            exchanges.received(piece)
            assert exchanges.complete is False
        exchanges.received(wire[-1:])
        assert exchanges.complete is True
        server.start_next_cycle()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_is_unknown_or_unfinished(up: bytes, down: bytes) -> None:
    replayable(up)
    watched([up, GET], [down])
