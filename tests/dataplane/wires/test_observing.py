"""What the inspector is told of a connection into pods, when one pod takes over from another."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ferryman.dataplane.contract import Policy
from ferryman.inspection import feed
from ferryman.inspection.feed import DOWN, UP
from tests.support import portforward_server as pods
from tests.support.feeds import Listener, listening
from tests.support.plane import Forward, read_all, read_exactly
from tests.support.portforward_server import ApiServer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def inspector(forward: Forward) -> Iterator[Listener]:
    forward.plane.policy("forward", Policy(observe="Full"))
    with listening(forward.plane) as one:
        yield one


def test_a_forward_is_told_like_any_relay(forward: Forward, inspector: Listener) -> None:
    forward.to(pods.ECHO, "web-1")
    with forward.connect() as client:
        client.sendall(GET)
        assert read_exactly(client, len(GET)) == GET
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    closed = inspector.wait_for(feed.Closed)
    opened = inspector.wait_for(feed.Opened)
    assert opened.endpoint == f"pod/web-1:{pods.ECHO}"
    assert inspector.said(UP) == inspector.said(DOWN) == [GET]
    assert (closed.up, closed.down, closed.reset) == (len(GET), len(GET), "")
    ended = [r.direction for r in inspector.records if isinstance(r, feed.Ended)]
    assert sorted(ended) == [DOWN, UP]


def test_bytes_that_are_replayed_are_told_once(
    forward: Forward, server: ApiServer, inspector: Listener
) -> None:
    forward.to(pods.SILENT, "old")
    with forward.connect() as client:
        client.sendall(GET)
        inspector.wait_for(feed.Chunk)
        while not server.opened:
            server.call(lambda: None)
        forward.lead(forward.pod(pods.SILENT, "old", going=True), forward.pod(pods.ECHO, "new"))
        server.part(b"")
        assert read_exactly(client, len(GET)) == GET
        client.sendall(b"more")
        assert read_exactly(client, 4) == b"more"
    closed = inspector.wait_for(feed.Closed)
    endpoints = [r.endpoint for r in inspector.records if isinstance(r, feed.Opened)]
    assert endpoints == [f"pod/old:{pods.SILENT}", f"pod/new:{pods.ECHO}"]
    assert inspector.wait_for(feed.Noted).connection == closed.connection
    assert inspector.said(UP) == inspector.said(DOWN) == [GET + b"more"]
    assert closed.up == closed.down == len(GET) + 4


def test_a_skip_holds_in_a_forward(forward: Forward, inspector: Listener) -> None:
    forward.to(pods.ECHO, "web-1")
    with forward.connect() as client:
        client.sendall(GET)
        assert read_exactly(client, len(GET)) == GET
        number = inspector.wait_for(feed.Chunk, 2).connection
        inspector.skip(number, UP, len(GET) + 5000)
        inspector.skip(number, DOWN, None)
        forward.plane.call(lambda: None)
        client.sendall(bytes(5000) + b"heard")
        assert read_exactly(client, 5005) == bytes(5000) + b"heard"
    inspector.wait_for(feed.Closed)
    assert inspector.said(UP) == [GET, 5000, b"heard"]
    assert inspector.said(DOWN) == [GET, 5005]
