"""TLS: what OpenSSL says, both ends in memory, and psql's after its SSLRequest."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings

from ferryman.inspection import feed
from ferryman.inspection.decoder import Start, Undecodable
from ferryman.inspection.events import Event, MessageBegan, Recognised
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.session import Decoded, Session
from ferryman.inspection.tls import Tls
from tests.support import transcripts
from tests.support.certificates import loopback
from tests.support.split import cut, cuts

SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


def handshake(
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    alpn: tuple[str, ...] = (),
    name: str | None = "api.example",
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
) -> list[tuple[Direction, bytes]]:
    """What both ends say, as far as they get."""
    server = loopback().server_context()
    server.minimum_version = lowest
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1_2, version
    client.set_ciphers(":".join(SUITE))
    if alpn:
        client.set_alpn_protocols(list(alpn))
        server.set_alpn_protocols([alpn[-1]])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    )
    said: list[tuple[Direction, bytes]] = []
    ways: tuple[tuple[Direction, ssl.MemoryBIO], ...] = ((UP, up), (DOWN, down))
    for _ in range(4):
        for end, (way, wire) in zip(ends, ways, strict=True):
            try:
                end.do_handshake()
            except ssl.SSLError:
                pass  # it wants more, or refuses what it got
            data = wire.read()
            wire.write(data)
            said += [(way, data)] if data else []
    return said


def told(transcript: list[tuple[Direction, bytes]]) -> list[Event]:
    return transcripts.play(Tls(Start()), transcript)


def test_a_client_says_whom_it_wants_and_a_server_what_it_chose() -> None:
    events = told(handshake(alpn=("http/1.1", "h2")))
    facts = {"version": "TLS 1.3", "sni": "api.example", "alpn": "http/1.1,h2"}
    assert events[0] == Recognised("tls", facts)
    lines = transcripts.seen(events[1:])
    assert lines[0] == "1 > ClientHello api.example http/1.1,h2 TLS 1.3"
    assert lines[2].startswith("1 < ServerHello TLS 1.3 TLS_")
    assert len(lines) == 4


def test_tls_1_2_says_the_protocol_that_was_chosen() -> None:
    events = told(handshake(ssl.TLSVersion.TLSv1_2, alpn=("http/1.1", "h2")))
    began = [event for event in events if isinstance(event, MessageBegan)]
    assert began[1].facts["version"] == "TLS 1.2"
    assert began[1].facts["alpn"] == "h2"
    assert str(began[1].facts["cipher"]).endswith("_WITH_AES_128_GCM_SHA256")


def test_who_names_nobody_is_told_without_a_name() -> None:
    assert transcripts.seen(told(handshake(name=None)))[1] == "1 > ClientHello TLS 1.3"


def test_a_refusal_is_an_answer() -> None:
    said = handshake(ssl.TLSVersion.TLSv1_2, lowest=ssl.TLSVersion.TLSv1_3)
    assert transcripts.seen(told(said))[-2] == "1 < alert protocol_version"


@settings(max_examples=20)
@given(where=cuts)
def test_a_hello_may_come_in_many_records_and_pieces(where: list[int]) -> None:
    whole = handshake()
    hello = whole[0][1]
    size = int.from_bytes(hello[3:5], "big")
    parts = cut(hello[5 : 5 + size], where)
    records = b"".join(hello[:3] + len(part).to_bytes(2, "big") + part for part in parts)
    spread: list[tuple[Direction, bytes]] = [(UP, piece) for piece in cut(records, where)]
    spread += [(DOWN, piece) for piece in cut(whole[1][1], where)]
    assert told(spread) == told(whole[:2])


def test_after_the_hellos_nothing_is_of_interest() -> None:
    decoder = Tls(Start())
    whole = handshake()
    decoder.receive(*whole[0])
    assert decoder.skippable(UP) == len(whole[0][1])
    decoder.receive(*whole[1])
    assert decoder.skippable(UP) is decoder.skippable(DOWN) is None
    assert decoder.receive(DOWN, b"anything") == decoder.skipped(UP, 9, missed=True) == []
    assert decoder.examined(UP) == len(whole[0][1]) + 9


def test_a_server_may_ask_for_another_hello() -> None:
    whole = handshake()
    hello = whole[0][1]
    random = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    body = b"\3\3" + random + b"\0\x13\x01\0" + b"\0\6\0\x2b\0\2\3\4"
    retry = b"\x16\3\3\0" + bytes([len(body) + 4]) + b"\2\0\0" + bytes([len(body)]) + body
    lines = transcripts.seen(told([(UP, hello), (DOWN, retry), (UP, hello), whole[1]]))
    titles = [line for line in lines if "Hello" in line]
    assert titles[1] == "1 < HelloRetryRequest"
    assert titles[2].startswith("2 > ClientHello")
    assert titles[3].startswith("2 < ServerHello")


def test_psql_asks_for_tls_and_gets_it() -> None:
    session = Session(1)
    events: list[Event] = []
    for way, data in transcripts.load("pg_tls"):
        seen = session.receive(feed.Chunk(1, 0, way, data))
        events += [one.event for one in seen if isinstance(one, Decoded)]
    lines = transcripts.seen(events)
    assert lines[:6] == ["postgresql", "1 > SSLRequest", "1 > 0 B", "1 < granted", "1 < 0 B", "tls"]
    assert lines[7].startswith("2 > ClientHello")
    assert lines[9] == "2 < HelloRetryRequest"
    assert lines[-2].startswith("3 < ServerHello TLS 1.3")


HOSTILE: list[tuple[Direction, bytes]] = [
    (UP, b"GET / HTTP/1.1\r\n"),
    (DOWN, b"HTTP/1.1 400 Bad Request\r\n"),
    (UP, b"\x16\3\1\xff\xff"),
    (UP, b"\x16\3\1\0\4\2\0\0\0"),
    (UP, b"\x16\3\1\0\4\1\xff\0\0"),
    (UP, b"\x16\3\1\0\5\1\0\0\1\3"),
    (DOWN, b"\x15\3\1\0\1\2"),
]


@pytest.mark.parametrize(("way", "wire"), HOSTILE)
def test_what_tls_does_not_say_is_undecodable(way: Direction, wire: bytes) -> None:
    with pytest.raises(Undecodable):
        Tls(Start()).receive(way, wire)
