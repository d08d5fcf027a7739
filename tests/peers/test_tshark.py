"""Wireshark's own reader on our pcapng: it decodes what was said and complains of nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ferryman.inspection import feed
from ferryman.inspection.events import Recognised
from ferryman.inspection.exports.pcapng import Pcapng
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.session import Decoded
from ferryman.inspection.sessions import Sessions
from tests.support import peers, transcripts

AT = 1_795_424_948_123_456_789
Talk = Sequence[tuple[Direction, bytes | int]]
"""What each side says; a number: so many bytes that were not copied."""

GET: Talk = [
    (UP, b"GET /v1/users?token=pl4nted HTTP/1.1\r\nHost: api\r\nCookie: s=pl4nted\r\n\r\n")
]
ANSWER: Talk = [
    (DOWN, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"),
    (DOWN, b'{"a": 1}\n'),
]
LARGE: Talk = [
    *GET,
    (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 1_000_000),
    (DOWN, b"y" * 2_000_000),
]
POSTGRES: Talk = [
    (UP, b"\x00\x00\x00\x1f\x00\x03\x00\x00user\0bob\0database\0app\0\0"),
    (DOWN, b"R\0\0\0\x08\0\0\0\x03"),
    (UP, b"p\0\0\0\x0cpl4nted\0"),
    (DOWN, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"),
    (UP, b"Q\0\0\0\x0dSELECT 1\0"),
    (DOWN, b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"),
    (DOWN, b"D\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I"),
    (UP, b"X\0\0\0\x04"),
]
UPGRADE: Talk = [
    (UP, b"GET /chat HTTP/1.1\r\nHost: api\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"),
    (UP, b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    (DOWN, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"),
    (DOWN, b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
    (UP, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),  # RFC 6455, 5.7
    (DOWN, b"\x81\x05Hello"),
]
FIELDS = (
    "frame.protocols", "frame.comment", "frame.interface_name", "frame.time_epoch", "ip.src_host",
    "ip.dst_host", "tcp.analysis.flags", "tcp.checksum.status", "ip.checksum.status",
    "_ws.expert.severity", "_ws.malformed", "http.request.uri", "http.response.code",
    "http2.headers.path", "http2.headers.status", "resp.bulk_string.value", "pgsql.query",
    "websocket.payload.text", "tcp.stream",
)  # fmt: skip
GOOD_SUM, NOTE = "1", 0x400000


@dataclass
class Capture:
    """A file in the making, and what tshark reads in it."""

    path: Path
    connections: int = 0
    at: int = AT
    records: list[feed.Record] = field(default_factory=list)

    def connection(
        self,
        talk: Talk,
        listener: str = "127.0.0.1:8080",
        client: str = "127.0.0.1:50000",
        endpoint: str = "localhost:8081",
        reset: str = "",
        missed: bool = False,
    ) -> None:
        """Have one, from its opening to its end."""
        self.connections += 1
        number = self.connections
        host, colon, port = client.rpartition(":")
        if colon:
            client = f"{host}:{int(port) + number}"
        self._add(feed.Opened(number, self.at, listener, client, endpoint))
        for direction, said in talk:
            if isinstance(said, bytes):
                self._add(feed.Chunk(number, self.at, direction, said))
            elif missed:
                self._add(feed.Missed(number, self.at, direction, said))
            else:
                self._add(feed.Skipped(number, self.at, direction, said))
        if not reset:
            self._add(feed.Ended(number, self.at, UP))
            self._add(feed.Ended(number, self.at, DOWN))
        self._add(feed.Closed(number, self.at, 0, 0, reset))

    def packets(self) -> list[dict[str, str]]:
        """Each packet's fields, those that it has."""
        self._write()
        arguments = [word for name in FIELDS for word in ("-e", name)]
        sums = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
        command = [peers.require("tshark"), "-r", str(self.path), *sums, "-Nn", "-T", "fields"]
        run = subprocess.run(
            [*command, "-E", "separator=|", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said = [line for line in run.stderr.splitlines() if "Running as user" not in line]
        assert said == []
        lines = [line.split("|") for line in run.stdout.splitlines()]
        return [{k: v for k, v in zip(FIELDS, line, strict=True) if v} for line in lines]

    def _add(self, record: feed.Record) -> None:
        self.records.append(record)
        self.at += 1_000_001

    def _write(self) -> None:
        sessions, file = Sessions(raw=True), Pcapng("0.1.0")
        with self.path.open("wb") as out:
            out.write(file.begin())
            for record in self.records:
                for seen in sessions.receive(record):
                    if not isinstance(seen, Decoded):
                        out.write(file.record(seen))
                    elif isinstance(seen.event, Recognised):
                        out.write(file.recognised(seen.connection, seen.event.protocol))
            out.write(file.finish() + file.tail)


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    return Capture(tmp_path / "x.pcapng")


def transcript(name: str) -> Talk:
    return list(transcripts.load(name))


def has(packets: Iterable[dict[str, str]], name: str) -> list[str]:
    """All that was found under the name."""
    return [packet[name] for packet in packets if name in packet]


def assert_clean(packets: Sequence[dict[str, str]]) -> None:
    """No wrong sum, no doubt about TCP's numbers, nothing malformed, no warning."""
    assert packets
    for packet in packets:
        assert "tcp.analysis.flags" not in packet, packet
        assert "_ws.malformed" not in packet, packet
        assert packet.get("ip.checksum.status", GOOD_SUM) == GOOD_SUM, packet
        severities = [int(s) for s in packet.get("_ws.expert.severity", "0").split(",")]
        assert max(severities) <= NOTE, packet


def test_every_protocol_decodes_without_being_told_and_nothing_is_complained_of(
    capture: Capture,
) -> None:
    capture.connection([*GET, *ANSWER, *GET, *ANSWER])
    capture.connection([*LARGE, *GET, *ANSWER], client="[::1]:50000")
    capture.connection(transcript("h2_curl"), endpoint="localhost:9999")
    capture.connection(transcript("redis_resp2"), endpoint="localhost:16379")
    capture.connection(POSTGRES, endpoint="db-0:15432")
    capture.connection(UPGRADE, endpoint="localhost:9000")
    capture.connection([(UP, b"\x00\x01\x02"), (DOWN, b"whatever")], endpoint="10.0.0.7:4000")
    packets = capture.packets()
    assert_clean(packets)
    assert set(has(packets, "tcp.checksum.status")) == {GOOD_SUM}
    uris = has(packets, "http.request.uri")
    assert uris.count("/v1/users?token=*******") == 4
    assert "/chat" in uris
    assert has(packets, "http.response.code").count("200") == 4
    assert has(packets, "http2.headers.status") == ["200"]
    assert len(has(packets, "http2.headers.path")) == 1
    assert any(b"user:1".hex() in values for values in has(packets, "resp.bulk_string.value"))
    assert has(packets, "pgsql.query") == ["SELECT 1"]
    assert has(packets, "websocket.payload.text") == ["Hello", "Hello"]
    assert len(set(has(packets, "tcp.stream"))) == 7
    kept = capture.path.read_bytes()
    for secret in (b"pl4nted", b"hunter2", b"s3cret", b"wr0ng"):
        assert secret not in kept


def test_unix_sockets_and_pods_have_names_and_comments_and_real_times(capture: Capture) -> None:
    capture.connection([*GET, *ANSWER], "/run/docker.sock", "/run/docker.sock", "/run/orig.sock")
    capture.connection([*GET, *ANSWER], endpoint="web-7f:8000")
    packets = capture.packets()
    assert_clean(packets)
    first, second = (packets[n] for n in (0, len(packets) // 2))
    assert (first["ip.src_host"], first["ip.dst_host"]) == ("/run/docker.sock", "/run/orig.sock")
    assert first["frame.interface_name"] == "/run/docker.sock"
    assert (
        first["frame.comment"] == "#1 /run/docker.sock -> /run/orig.sock through /run/docker.sock"
    )
    assert first["frame.time_epoch"] == "1795424948.123456789"
    assert (second["ip.src_host"], second["ip.dst_host"]) == ("127.0.0.1", "web-7f")


@pytest.mark.parametrize("missed", [False, True])
def test_what_was_not_copied_is_a_short_packet_and_the_next_exchange_decodes(
    capture: Capture, missed: bool
) -> None:
    head = (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
    capture.connection([*GET, head, (DOWN, 300_000), *GET, *ANSWER], missed=missed)
    packets = capture.packets()
    assert_clean(packets)
    assert len(has(packets, "http.request.uri")) == 2
    assert "200" in has(packets, "http.response.code")
    why = "missed: could not be kept up with" if missed else "not copied: only counted"
    assert f"300000 bytes {why}" in has(packets, "frame.comment")


def test_a_reset_is_one_and_says_why(capture: Capture) -> None:
    capture.connection(GET, reset="the pod died")
    last = capture.packets()[-1]
    assert last["frame.comment"].endswith("reset: the pod died")
    assert "tcp.analysis.flags" not in last


def test_a_file_that_is_still_written_is_read_as_far_as_it_is(capture: Capture) -> None:
    capture.connection([*GET, *ANSWER])
    closed = len(capture.packets())
    capture.records = capture.records[:-3]
    assert 0 < len(capture.packets()) < closed
