"""HTTP/1.1 as transcripts: what went over the wire, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.decoder import FOREVER, Start, Switch, Undecodable
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.http1 import PIPELINE_LIMIT, Http1, decoder
from ferryman.inspection.http1.side import HEAD_LIMIT
from tests.support.split import cut, cuts

Wire = Sequence[tuple[Direction, bytes]]
MARKS: dict[str, Direction] = {">": UP, "<": DOWN}


def wire(*lines: str) -> list[tuple[Direction, bytes]]:
    """Lines such as "> GET / HTTP/1.1||": "|" is a line end, the rest is Latin-1."""
    return [(MARKS[line[0]], line[2:].replace("|", "\r\n").encode("latin-1")) for line in lines]


def told(events: Iterable[Event]) -> list[str]:
    """The events in short, with neighbouring data joined."""
    out: list[str] = []
    for event in events:
        match event:
            case MessageBegan(exchange, direction, title):
                out.append(f"{exchange}{'>' if direction == UP else '<'} {title}")
            case MessageData(exchange, direction, data):
                mark = f"{exchange}{'>' if direction == UP else '<'} data "
                if out and out[-1].startswith(mark):
                    out[-1] += data.decode("latin-1")
                else:
                    out.append(mark + data.decode("latin-1"))
            case MessageEnded(exchange, direction, size, error=error):
                mark = f"{exchange}{'>' if direction == UP else '<'}"
                out.append(f"{mark} end {size}{' ' + error if error else ''}")
    return out


def heard(machine: Http1, said: Wire) -> list[Event]:
    return [event for direction, data in said for event in machine.receive(direction, data)]


OK = "< HTTP/1.1 200 OK|Content-Length: 0||"
TRANSCRIPTS = [
    (
        "a request and its answer",
        wire("> GET /v1 HTTP/1.1|Host: a||", "< HTTP/1.1 200 OK|Content-Length: 2||hi"),
        ["1> GET /v1", "1> end 0", "1< 200", "1< data hi", "1< end 2"],
    ),
    (
        "pipelined requests are answered in their order, also those after all of them were sent",
        wire(
            "> GET /1 HTTP/1.1||HEAD /2 HTTP/1.1||POST /3 HTTP/1.1|Content-Length: 3||abc",
            "< HTTP/1.1 200 OK|Content-Length: 1||1HTTP/1.1 200 OK|Content-Length: 9||",
            "< HTTP/1.1 204 No Content||",
        ),
        ["1> GET /1", "1> end 0", "2> HEAD /2", "2> end 0", "3> POST /3", "3> data abc", "3> end 3",
         "1< 200", "1< data 1", "1< end 1", "2< 200", "2< end 0", "3< 204", "3< end 0"],
    ),
    (
        "chunks, an extension and trailers",
        wire(
            "> GET / HTTP/1.1||",
            "< HTTP/1.1 200 OK|Transfer-Encoding: chunked||3;x=y|abc|A|0123456789|0|Sum: 1||",
        ),
        ["1> GET /", "1> end 0", "1< 200", "1< data abc0123456789", "1< end 13"],
    ),
    (
        "an interim answer is followed by the real one, and the body comes after it",
        wire(
            "> POST / HTTP/1.1|Expect: 100-continue|Content-Length: 2||",
            "< HTTP/1.1 100 Continue||",
            "> ab",
            OK,
        ),
        ["1> POST /", "1< 100", "1< end 0", "1> data ab", "1> end 2", "1< 200", "1< end 0"],
    ),
    (
        "a body until the end of the connection",
        wire("> GET / HTTP/1.0||", "< HTTP/1.0 200 OK||abc", "< def"),
        ["1> GET /", "1> end 0", "1< 200", "1< data abcdef", "1< end 6"],
    ),
    (
        "304 has no body, whatever it says of its length",
        wire("> GET / HTTP/1.1||", "< HTTP/1.1 304 Not Modified|Content-Length: 5||", "> GET /2"
             " HTTP/1.1||", OK),
        ["1> GET /", "1> end 0", "1< 304", "1< end 0", "2> GET /2", "2> end 0", "2< 200",
         "2< end 0"],
    ),
    (
        "an answer that nobody asked for stands alone",
        wire("< HTTP/1.1 408 Request Timeout|Content-Length: 0||"),
        ["1< 408", "1< end 0"],
    ),
    (
        "a connection that ends before its answer does",
        wire("> GET / HTTP/1.1||", "< HTTP/1.1 200 OK|Content-Length: 10||abc"),
        ["1> GET /", "1> end 0", "1< 200", "1< data abc", "1< end 3 cut off"],
    ),
    (
        "no answer",
        wire("> GET /1 HTTP/1.1||GET /2 HTTP/1.1||"),
        ["1> GET /1", "1> end 0", "2> GET /2", "2> end 0", "1< end 0 no answer",
         "2< end 0 no answer"],
    ),
    (
        "bare line feeds, empty lines before a request, folded fields",
        wire("> |\nGET / HTTP/1.1\nX: a\n  b\n\n", "< HTTP/1.1 200 OK\nContent-Length: 1\n\nx"),
        ["1> GET /", "1> end 0", "1< 200", "1< data x", "1< end 1"],
    ),
    (
        "an upgrade that is refused: what the client said meanwhile is HTTP",
        wire(
            "> GET /1 HTTP/1.1|Connection: Upgrade|Upgrade: h2c||GET /2 HTTP/1.1||",
            OK,
            OK,
        ),
        ["1> GET /1", "1> end 0", "1< 200", "1< end 0", "2> GET /2", "2> end 0", "2< 200",
         "2< end 0"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"), [case[1:] for case in TRANSCRIPTS], ids=[case[0] for case in TRANSCRIPTS]
)
def test_a_transcript(said: Wire, expected: list[str]) -> None:
    machine = decoder(Start())
    events = heard(machine, said) + machine.ended(UP) + machine.ended(DOWN)
    assert told(events) == expected


@given(st.sampled_from(TRANSCRIPTS), cuts)
def test_cutting_the_bytes_anywhere_changes_nothing(
    case: tuple[str, Wire, list[str]], places: list[int]
) -> None:
    _, said, expected = case
    machine = decoder(Start())
    pieces = [(way, piece) for way, data in said for piece in cut(data, places)]
    events = heard(machine, pieces) + machine.ended(UP) + machine.ended(DOWN)
    assert told(events) == expected
    assert machine.examined(UP) == sum(len(data) for way, data in said if way == UP)


def test_the_head_of_a_message_gives_fields_and_facts() -> None:
    machine = decoder(Start())
    (began, _) = machine.receive(
        UP,
        b"GET http://user@h:1/p/a?q=1 HTTP/1.1\r\nHost: other\r\nX-N:  v \r\nX-N: \xc3\xa4\r\n\r\n",
    )
    assert began == MessageBegan(
        1,
        UP,
        "GET http://user@h:1/p/a?q=1",
        (("Host", "other"), ("X-N", "v"), ("X-N", "ä")),
        {
            "method": "GET",
            "path": "/p/a",
            "host": "h:1",
            "query": "q=1",
            "target": "http://user@h:1/p/a?q=1",
        },
    )
    answer = (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: Text/HTML; charset=x\r\nContent-Length: 0\r\n\r\n"
    )
    (began, _) = machine.receive(DOWN, answer)
    assert isinstance(began, MessageBegan)
    assert began.facts == {"status": 404, "reason": "Not Found", "type": "text/html"}


def test_trailers_come_with_the_end() -> None:
    machine = decoder(Start())
    machine.receive(UP, b"GET / HTTP/1.1\r\n\r\n")
    events = machine.receive(
        DOWN, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nB: 2\r\n\r\n"
    )
    assert events[-1] == MessageEnded(1, DOWN, 0, trailers=(("A", "1"), ("B", "2")))


GARBAGE = [
    (UP, b"\x16\x03\x01"),
    (UP, b"hello\n"),
    (UP, b"GET / HTTP/2.0\r\n\r\n"),
    (UP, b"GET /" + b"x" * HEAD_LIMIT),
    (UP, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000),
    (UP, b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
    (UP, b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    (UP, b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (UP, b"GET / HTTP/1.1\r\n\r\n" * (PIPELINE_LIMIT + 1)),
    (UP, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    (UP, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
    (UP, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9000),
    (UP, b"CONNECT a:1 HTTP/1.1\r\n\r\n" + b"x" * 70000),
    (DOWN, b"HTTP/1.1 2000 OK\r\n\r\n"),
    (DOWN, b"SSH-2.0-OpenSSH\r\n"),
]


@pytest.mark.parametrize(("direction", "data"), GARBAGE)
def test_what_is_not_http_is_undecodable_however_it_is_cut(
    direction: Direction, data: bytes
) -> None:
    with pytest.raises(Undecodable) as whole:
        decoder(Start()).receive(direction, data)
    size = max(1, len(data) // 100)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    machine = decoder(Start())
    events: list[Event] = []
    with pytest.raises(Undecodable) as cut_up:  # noqa: PT012  # one of them raises, none knows which
        for piece in pieces:
            events += machine.receive(direction, piece)
    assert told([*events, *cut_up.value.events]) == told(whole.value.events)


UPGRADES = [
    ("websocket", "websocket", "Upgrade: websocket", "101 Switching Protocols"),
    ("h2c", "h2", "Upgrade: h2c", "101 Switching Protocols"),
    ("docker's hijack", "opaque", "Upgrade: tcp", "101 UPGRADED"),
]


@pytest.mark.parametrize(("protocol", "field", "status"), [it[1:] for it in UPGRADES],
                         ids=[it[0] for it in UPGRADES])  # fmt: skip
@given(cuts)
def test_an_upgrade_hands_on_what_follows(
    protocol: str, field: str, status: str, places: list[int]
) -> None:
    ask = f"POST /p HTTP/1.1\r\nConnection: Upgrade\r\n{field}\r\nContent-Length: 2\r\n\r\n{{}}"
    answer = f"HTTP/1.1 {status}\r\nConnection: Upgrade\r\n{field}\r\nSec: x\r\n\r\n"
    machine = decoder(Start())
    for piece in cut(ask.encode() + b"early", places):
        machine.receive(UP, piece)
    switch: Switch | None = None
    pieces = cut(answer.encode() + b"frames", places)
    while switch is None:
        machine.receive(DOWN, pieces.pop(0))
        switch = machine.switched()
    assert switch.protocol == protocol
    assert switch.up == b"early"
    assert switch.down + b"".join(pieces) == b"frames"
    assert (switch.start.up, switch.start.down) == (len(ask), len(answer))
    assert switch.start.exchange == 2
    assert switch.start.answers == (1 if protocol == "h2" else 0)
    assert ("Sec", "x") in switch.start.fields
    assert switch.start.facts["path"] == "/p"


def test_a_tunnel_is_to_be_found_out() -> None:
    machine = decoder(Start())
    heard(machine, wire("> CONNECT a:443 HTTP/1.1||", "< HTTP/1.1 200 Connection established||"))
    switch = machine.switched()
    assert switch is not None
    assert switch.protocol == ""


def test_dockers_older_hijack_is_bytes_both_ways() -> None:
    machine = decoder(Start())
    kind = "application/vnd.docker.raw-stream"
    heard(machine, wire("> POST /exec HTTP/1.1||", f"< HTTP/1.1 200 OK|Content-Type: {kind}||out"))
    switch = machine.switched()
    assert switch is not None
    assert (switch.protocol, switch.down) == ("opaque", b"out")


def test_bodies_may_be_skipped_and_are_counted() -> None:
    machine = decoder(Start())
    machine.receive(UP, b"GET / HTTP/1.1\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    machine.receive(DOWN, head + b"x" * 10)
    assert machine.skippable(DOWN) == len(head) + 1000
    assert machine.skipped(DOWN, 490, missed=False) == []
    assert machine.skipped(DOWN, 500, missed=True) == [MessageEnded(1, DOWN, 1000, missed=500)]
    assert machine.skippable(DOWN) == len(head) + 1000
    assert machine.examined(DOWN) == len(head) + 1000


def test_a_body_without_end_may_be_skipped_for_ever() -> None:
    machine = decoder(Start())
    machine.receive(UP, b"GET / HTTP/1.0\r\n\r\n")
    machine.receive(DOWN, b"HTTP/1.0 200 OK\r\n\r\n")
    assert machine.skippable(DOWN) == FOREVER
    machine.skipped(DOWN, 5000, missed=False)
    assert machine.ended(DOWN) == [MessageEnded(1, DOWN, 5000)]


def test_after_a_hole_it_goes_on_with_the_next_that_begins_like_a_message() -> None:
    machine = decoder(Start())
    events = machine.receive(UP, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HT")
    events += machine.skipped(UP, 300, missed=True)
    events += machine.receive(UP, b"Authorization: Basic c2VjcmV0\r\n\r\n")
    events += machine.receive(DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    events += machine.receive(UP, b"GET /3 HTTP/1.1\r\n\r\n")
    events += machine.receive(DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    missed = "bytes that could not be kept up with"
    assert told(events) == ["1> GET /1", "1> end 0", f"1< end 0 {missed}", "2> GET /3", "2> end 0",
                            "2< 200", "2< end 0"]  # fmt: skip
    spans = machine.secrets(UP)
    assert spans[-1].end - spans[-1].start == len(b"Authorization: Basic c2VjcmV0\r\n\r\n")


def test_a_hole_in_an_answer_leaves_the_requests_that_come_after_it() -> None:
    machine = decoder(Start())
    events = machine.receive(UP, b"GET /1 HTTP/1.1\r\n\r\n")
    events += machine.receive(DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123")
    events += machine.skipped(DOWN, 300, missed=True)
    events += machine.receive(UP, b"GET /2 HTTP/1.1\r\n\r\n")
    events += machine.receive(DOWN, b"HTTP/1.1 204 OK\r\n\r\n")
    assert told(events)[-4:] == ["2> GET /2", "2> end 0", "2< 204", "2< end 0"]


_BEARER = b"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: v4, base64url.bearer.authorization.k8s.io."
SECRETS = [
    (b"GET /x?access_token=HUSH&a=1 HTTP/1.1\r\n\r\n", b"access_token=****&a=1 "),
    (b"GET http://me:HUSH@h/ HTTP/1.1\r\n\r\n", b""),
    (b"GET / HTTP/1.1\r\nAuthorization: Bearer HUSH\r\n\r\n", b"Bearer ****"),
    (b"GET / HTTP/1.1\r\nauthorization:HUSH\r\n\r\n", b"authorization:****"),
    (b"GET / HTTP/1.1\r\nCookie: a=HUSH; b=HUSH\r\n\r\n", b""),
    (b"GET / HTTP/1.1\r\nCookie : a=HUSH; b=HUSH\r\n\r\n", b""),
    (b"GET / HTTP/1.1\r\nX-Registry-Auth: HUSH\r\nHost: a\r\n\r\n", b"Host: a"),
    (b"GET / HTTP/1.1\r\nX-Api-Key: a\r\n HUSH\r\n\r\n", b""),
    (b"GET / HTTP/1.1\nX-My-Token: HUSH\n\n", b""),
    (b"GET / HTTP/1.1\r\nReferer: https://a/?token=HUSH\r\n\r\n", b"token=****"),
    (_BEARER + b"HUSH\r\n\r\n", b"v4, base64url"),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Auth-Token: HUSH\r\n\r\n", b""),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kept"), SECRETS)
@given(cuts)
def test_secrets_are_known_in_events_and_in_bytes(
    request_: bytes, kept: bytes, places: list[int]
) -> None:
    machine, raw, spans = decoder(Start()), bytearray(request_), []
    events: list[Event] = []
    for piece in cut(request_, places):
        events += machine.receive(UP, piece)
        spans += machine.secrets(UP)
        assert all(span.end <= machine.examined(UP) for span in spans)
    for span in spans:
        raw[span.start : span.end] = bytes([span.filler]) * (span.end - span.start)
    assert b"HUSH" not in raw
    assert "HUSH" not in repr(events)
    assert "[redacted]" in repr(events)
    assert kept.replace(b"HUSH", b"****") in raw.replace(b"HUSH", b"****")
    again = decoder(Start())
    assert told(again.receive(UP, bytes(raw))) == told(events)
    plain = decoder(Start(redact=False))
    assert "HUSH" in repr(plain.receive(UP, request_))
