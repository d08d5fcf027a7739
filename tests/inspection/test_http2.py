"""HTTP/2: curl, nghttp and gRPC as recorded; hpack and h2 as oracles on random traffic."""

from __future__ import annotations

import random

import h2.config
import h2.connection
import h2.events
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.inspection import bodies, feed, grpc
from ferryman.inspection.decoder import Start, Undecodable
from ferryman.inspection.events import MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.http2 import PREFACE, Http2
from ferryman.inspection.http2.hpack import BLOCK_LIMIT, HeaderBlocks
from ferryman.inspection.http2.streams import OPEN_LIMIT
from ferryman.inspection.session import Decoded, Session
from tests.support import transcripts
from tests.support.split import cut, cuts

REQUEST = [(":method", "GET"), (":path", "/a"), (":scheme", "http"), (":authority", "h")]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload).to_bytes(3, "big")
    return size + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def said(*transcript: tuple[Direction, bytes]) -> list[str]:
    decoder = Http2(Start())
    events = decoder.receive(UP, PREFACE)
    for way, data in transcript:
        events += decoder.receive(way, data)
    return transcripts.seen(events)


def block(*fields: tuple[str, str], huffman: bool = False) -> bytes:
    return hpack.Encoder().encode(fields, huffman=huffman)


def test_what_curl_asks_is_told_without_its_secrets() -> None:
    events = transcripts.play(Http2(Start()), transcripts.load("h2_curl"))
    began = events[0]
    assert isinstance(began, MessageBegan)
    assert began.title == "POST /echo?access_token=[redacted]"
    fields = dict(began.fields)
    assert fields["authorization"] == "Bearer [redacted]"
    assert fields["cookie"] == fields["x-registry-auth"] == "[redacted]"
    assert began.facts["path"] == "/echo"
    assert began.facts["type"] == "application/json"


def test_secrets_in_the_huffman_code_are_hidden_by_stars_in_it() -> None:
    whole = transcripts.load("h2_curl")
    hidden = transcripts.masked(Http2(Start()), whole)[UP]
    events = transcripts.play(Http2(Start(redact=False)), [(UP, hidden)])
    assert isinstance(events[0], MessageBegan)
    assert set(dict(events[0].fields)["cookie"]) == {"*"}


def test_a_push_is_a_request_that_the_client_need_not_make() -> None:
    lines = transcripts.seen(transcripts.play(Http2(Start()), transcripts.load("h2_push")))
    assert "4 > GET /style.css (pushed)" in lines
    assert "4 < | b'b{}\\n'" in lines


def test_grpc_has_names_a_status_and_messages() -> None:
    events = transcripts.play(Http2(Start()), transcripts.load("grpc"))
    lines = transcripts.seen(events)
    assert lines[0] == "grpc"
    assert "2 > helloworld.Greeter/Count" in lines
    assert "3 < 200 NOT_FOUND no such thing" in lines
    began = next(event for event in events if isinstance(event, MessageBegan))
    assert began.facts["service"] == "helloworld.Greeter"
    assert began.facts["method"] == "SayHello"
    ended = [e for e in events if isinstance(e, MessageEnded) and e.direction == DOWN]
    assert [event.facts["messages"] for event in ended] == [1, 3, 0, 0]
    assert ended[1].facts["grpc"] == "OK"


def test_a_message_of_protocol_buffers_is_shown_by_its_numbers() -> None:
    message = b"\n\x05world\x10\x96\x01\x1a\x02\x08\x01\x22\x01\xff\x2d\x01\x00\x00\x00"
    body = b"\0\0\0\0" + bytes([len(message)]) + message + b"\1\0\0\0\1z"
    assert grpc.text(body).splitlines() == [
        "message 1, 22 bytes",
        "  1: 'world'",
        "  2: 150",
        "  3:",
        "    1: 1",
        r"  4: b'\xff'",
        "  5: 1",
        "message 2, 1 bytes, compressed",
        "  'z'",
    ]


def test_a_body_of_grpc_is_text() -> None:
    body = b"\0\0\0\0\x02\x08\x03"
    assert bodies.text(body, "application/grpc+proto") == "message 1, 2 bytes\n  1: 3\n"
    assert bodies.text(body, "application/octet-stream") is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_shown_as_messages(data: bytes) -> None:
    grpc.dump(data)
    grpc.text(data)


def test_trailers_come_after_the_body() -> None:
    lines = said(
        (UP, frame(1, 4, 1, block(*REQUEST)) + frame(0, 0, 1, b"abc")),
        (UP, frame(1, 5, 1, block(("x-sum", "6")))),
    )
    assert lines == ["1 > GET /a", "1 > | b'abc'", "1 > 3 B x-sum: 6"]


def test_an_interim_answer_is_followed_by_another() -> None:
    lines = said(
        (UP, frame(1, 5, 1, block(*REQUEST))),
        (
            DOWN,
            frame(1, 4, 1, block((":status", "103"))) + frame(1, 5, 1, block((":status", "204"))),
        ),
    )
    assert lines[2:] == ["1 < 103", "1 < 0 B", "1 < 204", "1 < 0 B"]


def test_padding_priority_and_continuation_are_no_content() -> None:
    head = block(*REQUEST)
    lines = said(
        (UP, frame(1, 0x28, 1, b"\x04" + b"\0\0\0\0\x10" + head[:3] + b"\0\0\0\0")),
        (UP, frame(9, 0, 1, head[3:4]) + frame(9, 4, 1, head[4:])),
        (UP, frame(0, 9, 1, b"\x02abc\0\0")),
    )
    assert lines == ["1 > GET /a", "1 > | b'abc'", "1 > 3 B"]


def test_a_secret_spread_over_frames_is_hidden_in_each() -> None:
    head = block(*REQUEST, ("authorization", "hunter2"))
    place = head.index(b"hunter2")
    wire = frame(1, 1, 1, head[: place + 3]) + frame(9, 4, 1, head[place + 3 :])
    decoder = Http2(Start())
    decoder.receive(UP, PREFACE + wire[: 9 + place + 3])
    assert decoder.examined(UP) == len(PREFACE)
    decoder.receive(UP, wire[9 + place + 3 :])
    found = decoder.secrets(UP)
    assert [(PREFACE + wire)[span.start : span.end] for span in found] == [b"hun", b"ter2"]


def test_a_reset_ends_both_sides() -> None:
    lines = said((UP, frame(1, 4, 1, block(*REQUEST))), (UP, frame(3, 0, 1, b"\0\0\0\x08")))
    assert lines == [
        "1 > GET /a",
        "1 > 0 B (reset by the client: CANCEL)",
        "1 < reset by the client: CANCEL",
        "1 < 0 B (reset by the client: CANCEL)",
    ]


def test_the_server_says_goodbye() -> None:
    lines = said((DOWN, frame(7, 0, 0, b"\0\0\0\1\0\0\0\x0btoo many pings")))
    assert lines[0] == "1 < GOAWAY ENHANCE_YOUR_CALM too many pings (alone)"
    assert said((UP, frame(7, 0, 0, b"\0\0\0\1\0\0\0\0"))) == []


def test_large_frames_may_pass_by_unseen() -> None:
    decoder = Http2(Start())
    decoder.receive(UP, PREFACE + frame(1, 4, 1, block(*REQUEST)))
    data = frame(0, 1, 1, b"x" * 20000)
    decoder.receive(UP, data[:109])
    at = decoder.examined(UP)
    assert decoder.skippable(UP) == at + 19900
    assert decoder.skipped(UP, 19000, missed=False) == []
    ended = decoder.skipped(UP, 900, missed=True)[-1]
    assert ended == MessageEnded(1, UP, 20000, missed=900)
    with pytest.raises(Undecodable):
        decoder.skipped(UP, 1, missed=True)


def test_too_many_open_streams_are_not_told_of() -> None:
    encoder = hpack.Encoder()
    many = range(1, 2 * OPEN_LIMIT + 11, 2)
    heads = b"".join(frame(1, 5, number, encoder.encode(REQUEST)) for number in many)
    assert len(said((UP, heads))) == 2 * OPEN_LIMIT


HOSTILE = [
    b"GET / HTTP/1.1\r\n",
    PREFACE + frame(9, 4, 1, b""),
    PREFACE + frame(1, 0, 1, b"") + frame(0, 0, 1, b""),
    PREFACE + frame(1, 0, 1, b"") + frame(9, 0, 3, b""),
    PREFACE + frame(1, 4, 1, b"\x80"),
    PREFACE + frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    PREFACE + frame(1, 4, 1, b"\x40\x05ab"),
    PREFACE + frame(1, 4, 1, b"\x3f\xff\xff\xff\x7f"),
    PREFACE + frame(1, 0xC, 1, b"\x05"),
    PREFACE + frame(0, 8, 1, b"\x05"),
    PREFACE + frame(1, 0, 1, b"x" * 60000) + frame(9, 4, 1, b"x" * 60000),
    PREFACE + frame(1, 4, 1, b"\x40\x01a\x7f\x81\x7f" + b"b" * 256 + b"\xbe" * 400),
    PREFACE + frame(1, 4, 1, b"x" * (BLOCK_LIMIT + 1)),
    PREFACE + frame(1, 0, 1, b"") + frame(9, 0, 1, b"") * 2000,
]


@pytest.mark.parametrize("wire", HOSTILE)
def test_what_http_2_does_not_say_is_undecodable(wire: bytes) -> None:
    with pytest.raises(Undecodable):
        Http2(Start()).receive(UP, wire)


names = st.sampled_from([b"x-a", b"x-b", b"accept", b":path", b"content-type", b"content-length"])
field = st.tuples(names, st.binary(max_size=24))


@settings(max_examples=150)
@given(
    blocks=st.lists(
        st.tuples(st.lists(field, max_size=8), st.booleans(), st.none() | st.integers(0, 4096)),
        max_size=8,
    )
)
def test_header_blocks_are_read_as_the_hpack_library_reads_them(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]],
) -> None:
    encoder, ours, theirs = hpack.Encoder(), HeaderBlocks(), hpack.Decoder()
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        wire = encoder.encode(fields, huffman=huffman)
        read = [(name, value) for name, value in theirs.decode(wire, raw=True)]
        assert [(name.decode(), value.decode(errors="replace")) for name, value in read] == [
            (field.name, field.value) for field in ours.decode(wire)
        ]


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_header_block_is_read_or_refused_as_the_library_does(wire: bytes) -> None:
    theirs = hpack.Decoder()
    try:
        expected = [(name, value) for name, value in theirs.decode(wire, raw=True)]
    except hpack.HPACKError:
        return  # it is stricter about where a table's size may stand
    decoder = HeaderBlocks(redact=False)
    ours = decoder.decode(wire)
    assert [field.name.encode() for field in ours] == [
        name.decode(errors="replace").encode() for name, _ in expected
    ]


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32), where=cuts)
def test_random_traffic_is_understood_as_h2_understands_it(seed: int, where: list[int]) -> None:
    chance = random.Random(seed)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    ours = Http2(Start())
    events = []
    bodies: dict[tuple[int, Direction], bytes] = {}
    exchanges: dict[int, int] = {}
    client.initiate_connection()
    server.initiate_connection()

    def carry() -> None:
        for way, source, sink in ((UP, client, server), (DOWN, server, client)):
            wire = source.data_to_send()
            for piece in cut(wire, where):
                events.extend(ours.receive(way, piece))
            for event in sink.receive_data(wire) if wire else ():
                if isinstance(event, h2.events.DataReceived):
                    key = (exchanges[event.stream_id], way)
                    bodies[key] = bodies.get(key, b"") + event.data
                    sink.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    carry()
    carry()
    for number in range(1, chance.randrange(2, 6)):
        stream = client.get_next_available_stream_id()
        exchanges[stream] = number
        client.send_headers(stream, [*REQUEST, ("x-n", str(chance.random()))])
        for way, side in ((UP, client), (DOWN, server)):
            if way == DOWN:
                carry()
                server.send_headers(
                    stream, [(":status", "200"), ("x-n", "a" * chance.randrange(99))]
                )
            for _ in range(chance.randrange(4)):
                padding = chance.choice((None, 0, 7))
                side.send_data(stream, chance.randbytes(chance.randrange(900)), pad_length=padding)
            side.end_stream(stream)
            carry()
    told = {
        (event.exchange, event.direction): event
        for event in events
        if isinstance(event, MessageEnded)
    }
    assert len(told) == 2 * len(exchanges)
    for key, event in told.items():
        assert event.size == len(bodies.get(key, b""))
    for piece in transcripts.joined(events):
        if isinstance(piece, MessageData):
            assert piece.data == bodies[piece.exchange, piece.direction]


def test_after_an_upgrade_the_first_answer_is_the_requests() -> None:
    """h2c, from HTTP/1.1's request on, through a whole session."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    settings_ = client.initiate_upgrade_connection()
    assert settings_ is not None
    server.initiate_upgrade_connection(settings_)
    request = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    request += b"Upgrade: h2c\r\nHTTP2-Settings: " + settings_ + b"\r\n\r\n"
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    server.send_headers(1, [(":status", "200")])
    server.send_data(1, b"hello", end_stream=True)
    client.send_headers(3, REQUEST, end_stream=True)
    session = Session(1)
    carried: list[tuple[Direction, bytes]] = [
        (UP, request),
        (DOWN, answer + server.data_to_send()),
        (UP, client.data_to_send()),
    ]
    seen = [one for way, data in carried for one in session.receive(feed.Chunk(1, 0, way, data))]
    lines = transcripts.seen([one.event for one in seen if isinstance(one, Decoded)])
    assert lines == [
        "http/1.1",
        "1 > GET /a",
        "1 > 0 B",
        "1 < 101",
        "1 < 0 B",
        "h2",
        "1 < 200",
        "1 < | b'hello'",
        "1 < 5 B",
        "2 > GET /a",
        "2 > 0 B",
    ]
