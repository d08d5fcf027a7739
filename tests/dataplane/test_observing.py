"""What the inspector is told of bytes that pass, spliced or copied, and that they pass anyway."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ferryman.addresses import Address, TcpAddress
from ferryman.dataplane.contract import Closed, DialFailed, InspectorLost, Policy
from ferryman.inspection import feed
from ferryman.inspection.feed import DOWN, UP
from tests.support.feeds import FULL, Listener, listening
from tests.support.plane import (
    Plane,
    accept,
    address_of,
    connect,
    listen,
    read_all,
    read_exactly,
    reset,
)

ANY = TcpAddress("127.0.0.1", 0)
MUCH = 24 << 20


@dataclass
class Talk:
    """An observed connection: the client, its server, and who listens in."""

    plane: Plane
    inspector: Listener
    server_socket: socket.socket
    front: Address
    client: socket.socket
    server: socket.socket

    def ask(self, question: bytes = b"question") -> None:
        self.client.sendall(question)
        assert read_exactly(self.server, len(question)) == question

    def answer(self, answer: bytes = b"answer") -> None:
        self.server.sendall(answer)
        assert read_exactly(self.client, len(answer)) == answer

    def carry(self, data: bytes) -> None:
        """Upwards, and check that it came."""
        sender = threading.Thread(target=self.client.sendall, args=(data,))
        sender.start()
        came = read_exactly(self.server, len(data))
        sender.join()
        assert hashlib.sha256(came).digest() == hashlib.sha256(data).digest()

    @property
    def number(self) -> int:
        return self.inspector.wait_for(feed.Opened).connection

    def end(self) -> feed.Closed:
        self.client.close()
        self.server.close()
        return self.inspector.wait_for(feed.Closed)


@pytest.fixture
def inspector(plane: Plane) -> Iterator[Listener]:
    with listening(plane) as one:
        yield one


@pytest.fixture
def talk(plane: Plane, inspector: Listener) -> Iterator[Talk]:
    server_socket = listen(ANY)
    front = plane.relay(ANY, address_of(server_socket), policy=FULL)
    client = connect(front)
    server = accept(server_socket)
    yield Talk(plane, inspector, server_socket, front, client, server)
    for sock in (client, server, server_socket):
        sock.close()


def test_a_connection_is_told_from_its_opening_to_its_end(talk: Talk) -> None:
    talk.ask()
    talk.answer()
    talk.client.shutdown(socket.SHUT_WR)
    assert read_all(talk.server) == b""
    talk.answer(b" and more")
    talk.server.close()
    assert read_all(talk.client) == b""
    talk.inspector.wait_for(feed.Closed)
    host, port = talk.client.getsockname()
    opened, *rest = talk.inspector.records
    number, began = talk.number, opened.at
    assert opened == feed.Opened(
        number, began, "r", f"{host}:{port}", str(address_of(talk.server_socket))
    )
    times = [record.at for record in talk.inspector.records]
    assert times == sorted(times)
    assert rest == [
        feed.Chunk(number, rest[0].at, UP, b"question"),
        feed.Chunk(number, rest[1].at, DOWN, b"answer"),
        feed.Ended(number, rest[2].at, UP),
        feed.Chunk(number, rest[3].at, DOWN, b" and more"),
        feed.Ended(number, rest[4].at, DOWN),
        feed.Closed(number, rest[5].at, 8, 15, ""),
    ]


def test_bulk_is_told_byte_for_byte_or_its_holes_are(talk: Talk) -> None:
    data = os.urandom(MUCH)
    talk.carry(data)
    closed = talk.end()
    at = 0
    for said in talk.inspector.said(UP):
        if isinstance(said, bytes):
            assert data[at : at + len(said)] == said
        at += said if isinstance(said, int) else len(said)
    assert at == closed.up == MUCH


def test_frames_are_no_larger_than_they_may_be(talk: Talk) -> None:
    talk.carry(bytes(MUCH))
    talk.end()
    chunks = [r for r in talk.inspector.records if isinstance(r, feed.Chunk)]
    assert max(len(chunk.data) for chunk in chunks) <= feed.FRAME_LIMIT


def test_an_inspector_that_does_not_read_holds_nothing_up(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    talk.inspector.reads.clear()
    talk.carry(os.urandom(2 * MUCH))  # one read may have been under way; that much fits nowhere
    talk.inspector.reads.set()
    missed = talk.inspector.wait_for(feed.Missed)
    assert (missed.connection, missed.direction) == (talk.number, UP)
    talk.answer()
    talk.inspector.wait(lambda _: talk.inspector.said(DOWN) == [b"answer"])
    talk.ask(b"once more")
    closed = talk.end()
    said = talk.inspector.said(UP)
    assert isinstance(said[-1], bytes)
    assert said[-1].endswith(b"once more")
    assert sum(s if isinstance(s, int) else len(s) for s in said) == closed.up


def test_connections_that_an_inspector_is_too_slow_for_are_counted(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    with monkeypatch.context() as full:
        full.setattr("ferryman.dataplane.feedpipe.LIMIT", 0)
        with connect(talk.front) as unseen, accept(talk.server_socket) as server:
            unseen.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
    talk.ask(b"go on")
    noted = talk.inspector.wait_for(feed.Noted)
    assert noted.connection == 0
    assert noted.text == "1 connections were not watched: the inspector was behind"
    with connect(talk.front) as seen, accept(talk.server_socket):
        seen.sendall(b"x")
        talk.inspector.wait_for(feed.Opened, 2)


def test_nothing_is_told_of_connections_that_are_not_to_be_observed(
    plane: Plane, inspector: Listener
) -> None:
    with listen(ANY) as server_socket:
        front = plane.relay(ANY, address_of(server_socket))
        with connect(front) as client, accept(server_socket) as server:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
        plane.wait_for(Closed)
    plane.close()
    assert inspector.starts == 0


def test_skipped_bytes_are_counted_and_the_next_is_told(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    talk.inspector.skip(talk.number, UP, 1000)
    talk.plane.call(lambda: None)  # the loop has polled since, and so read the command
    talk.plane.call(lambda: None)
    data = bytes(992) + b"heard"
    talk.carry(data)
    talk.end()
    assert talk.inspector.said(UP) == [b"question", 992, b"heard"]


@pytest.mark.parametrize("beyond", [0, 1, 100, 200_000])
def test_a_skip_ends_at_its_byte_in_the_midst_of_bulk(talk: Talk, beyond: int) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    until = 8 + MUCH // 2 + 12_345
    talk.inspector.skip(talk.number, UP, until)
    talk.plane.call(lambda: None)
    talk.plane.call(lambda: None)
    data = os.urandom(until - 8 + beyond)
    talk.carry(data)
    skipped = talk.inspector.wait_for(feed.Skipped)
    assert skipped.count == until - 8
    closed = talk.end()
    assert closed.up == 8 + len(data)
    assert talk.inspector.said(UP) == [b"question", until - 8] + [data[-beyond:]] * bool(beyond)


def test_an_opaque_direction_is_only_counted(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    talk.inspector.skip(talk.number, UP, None)
    talk.plane.call(lambda: None)
    talk.plane.call(lambda: None)
    talk.carry(os.urandom(MUCH))
    talk.answer()
    talk.end()
    assert talk.inspector.said(UP) == [b"question", MUCH]
    assert talk.inspector.said(DOWN) == [b"answer"]


def test_commands_may_come_in_pieces_late_or_for_nobody(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    command = feed.encode_command(feed.Skip(talk.number, DOWN, 3))
    late = feed.encode_command(feed.Skip(talk.number, UP, 2))
    nobody = feed.encode_command(feed.Skip(talk.number + 1000, UP, None))
    talk.inspector.say(late + nobody + command[:5])
    talk.plane.call(lambda: None)
    talk.inspector.say(command[5:])
    talk.plane.call(lambda: None)
    talk.plane.call(lambda: None)
    talk.answer()
    talk.ask(b"more")
    talk.end()
    assert talk.inspector.said(UP) == [b"questionmore"]
    assert talk.inspector.said(DOWN) == [3, b"wer"]


def test_a_reset_is_told_with_its_reason(talk: Talk) -> None:
    talk.ask()
    reset(talk.server)
    closed = talk.inspector.wait_for(feed.Closed)
    assert "reset" in closed.reset.lower()


def test_a_dial_that_failed_is_noted(plane: Plane, inspector: Listener) -> None:
    with listen(ANY) as nobody:
        target = address_of(nobody)
    front = plane.relay(ANY, target, policy=FULL)
    with pytest.raises(ConnectionResetError), connect(front) as client:
        client.recv(1)
    failed = plane.wait_for(DialFailed)
    inspector.wait_for(feed.Closed)
    noted, closed = inspector.records
    assert noted == feed.Noted(failed.connection, noted.at, failed.message)
    assert closed == feed.Closed(failed.connection, closed.at, 0, 0, failed.message)


def test_a_dead_inspector_is_told_and_the_stream_goes_on(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    talk.inspector.die()
    lost = talk.plane.wait_for(InspectorLost)
    assert lost.message == "the inspector is lost: it has ended"
    talk.carry(os.urandom(MUCH))
    talk.answer()
    with connect(talk.front) as another, accept(talk.server_socket) as server:
        another.sendall(b"x")
        assert read_exactly(server, 1) == b"x"


def test_an_inspector_that_closes_the_feed_is_lost(plane: Plane) -> None:
    records, commands = os.pipe(), os.pipe()
    os.close(records[0])
    plane.call(lambda: plane.engine.observe(lambda: (records[1], commands[0])))
    with listen(ANY) as server_socket:
        front = plane.relay(ANY, address_of(server_socket), policy=FULL)
        with connect(front) as client, accept(server_socket) as server:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
            plane.wait_for(InspectorLost)
            client.sendall(b"y")
            assert read_exactly(server, 1) == b"y"
    os.close(commands[1])


@pytest.mark.parametrize("fails", [True, False])
def test_an_inspector_that_cannot_be_started_is_lost(plane: Plane, fails: bool) -> None:
    def start() -> None:
        if fails:
            raise FileNotFoundError(2, "No such file or directory")

    plane.call(lambda: plane.engine.observe(start))
    with listen(ANY) as server_socket:
        front = plane.relay(ANY, address_of(server_socket), policy=FULL)
        with connect(front) as client, accept(server_socket) as server:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
            why = "No such file or directory" if fails else "there is none"
            assert plane.wait_for(InspectorLost).message == f"the inspector is lost: {why}"
            client.sendall(b"y")
            assert read_exactly(server, 1) == b"y"


def test_another_inspector_may_take_over(talk: Talk) -> None:
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    with listening(talk.plane) as successor:
        with connect(talk.front) as client, accept(talk.server_socket):
            client.sendall(b"x")
            assert successor.wait_for(feed.Chunk).data == b"x"
        talk.ask(b"old ones are told to nobody")
        assert talk.inspector.said(UP) == [b"question"]


def test_what_is_left_is_told_before_the_engine_stops(talk: Talk) -> None:
    talk.ask()
    talk.plane.close()
    talk.inspector.close()
    assert talk.inspector.said(UP) == [b"question"]
    assert isinstance(talk.inspector.records[-1], feed.Closed)


def test_an_engine_does_not_wait_for_an_inspector_that_sleeps(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.dataplane.observing.PATIENCE", 0.05)
    talk.ask()
    talk.inspector.wait_for(feed.Chunk)
    talk.inspector.reads.clear()
    talk.carry(bytes(MUCH))
    talk.plane.close()
    talk.inspector.reads.set()


def test_summaries_are_told_alike(plane: Plane, inspector: Listener) -> None:
    with listen(ANY) as server_socket:
        policy = Policy(hold=0, observe="Summary")
        front = plane.relay(ANY, address_of(server_socket), policy=policy)
        with connect(front) as client, accept(server_socket):
            client.sendall(b"x")
            assert inspector.wait_for(feed.Chunk).data == b"x"
