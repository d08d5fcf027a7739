"""Streams on real wires: bytes both ways, back-pressure, and what every kind of end looks like."""

from __future__ import annotations

import hashlib

import pytest

from ferryman.dataplane.contract import WRITE, DialFailure, WireLost
from ferryman.dataplane.wires import stream, wire
from ferryman.dataplane.wires.stream import StreamSide
from tests.support import portforward_server as pods
from tests.support.portforward_server import ApiServer, pattern
from tests.support.wires import Bench, Client


def test_bytes_go_to_the_pod_and_come_back(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    client.send(b"over the river")
    bench.until(lambda: client.data == b"over the river")
    assert server.protocols[0] == "SPDY/3.1+portforward.k8s.io"


def test_a_pod_may_speak_first(bench: Bench) -> None:
    client = bench.connect(pods.HELLO)
    bench.until(lambda: client.data == b"hello")


def test_an_end_is_passed_on_after_the_last_byte(bench: Bench) -> None:
    client = bench.ask(pods.HALF, b"?")
    assert (bytes(client.data), client.ended) == (b"all", True)


def test_a_half_closed_client_still_gets_its_answer(bench: Bench) -> None:
    client = bench.connect(pods.DIGEST)
    assert client.side is not None
    client.send(b"abc")
    client.side.shutdown()
    bench.until(lambda: client.ended)
    assert client.data.decode() == f"3 {hashlib.sha256(b'abc').hexdigest()}"


def test_much_comes_down_whole(bench: Bench) -> None:
    size = 8 << 20
    client = bench.ask(pods.FLOOD, str(size).encode())
    begin = len(str(size))
    assert client.ended
    assert hashlib.sha256(client.data).digest() == hashlib.sha256(pattern(size, begin)).digest()


def test_much_goes_up_whole_and_waits_when_it_has_to(bench: Bench) -> None:
    size, blocked = 8 << 20, 0
    client = bench.connect(pods.DIGEST)
    side = client.side
    assert side is not None
    data = memoryview(pattern(size))
    while data:
        try:
            data = data[side.send(data[: 128 * 1024]) :]
        except BlockingIOError:
            blocked += 1
            bench.loop.turn(0.01)
    side.shutdown()
    bench.until(lambda: client.ended)
    assert client.data.decode() == f"{size} {hashlib.sha256(pattern(size)).hexdigest()}"
    assert blocked


def test_a_wire_that_takes_bytes_again_says_so(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    side = client.side
    assert side is not None
    server.stop_reading()
    bench.fill(side)
    seen: list[int] = []
    side.attach(seen.append)
    side.want(WRITE)
    bench.settle()
    assert not seen
    server.read_again()
    bench.until(lambda: seen)
    assert seen[0] == WRITE


@pytest.mark.parametrize(
    ("port", "kind", "delivered"),
    [
        (pods.REFUSE, "refused", False),
        (pods.GONE, "gone", False),
        (pods.RESET, "ambiguous", True),
        (pods.CUT, "ambiguous", True),
    ],
    ids=["refused", "gone", "reset", "cut"],
)
def test_a_loss_before_the_first_byte_tells_whether_the_pod_may_have_heard(
    bench: Bench, port: int, kind: str, delivered: bool
) -> None:
    client = bench.ask(port, b"?")
    assert isinstance(client.failure, DialFailure)
    assert (client.failure.kind, client.failure.delivered) == (kind, delivered)


def test_an_error_behind_bytes_is_a_reset_that_says_why(bench: Bench) -> None:
    client = bench.ask(pods.TEXT, b"?")
    assert client.data == b"half an"
    assert isinstance(client.failure, ConnectionResetError)
    assert "connection reset by peer" in str(client.failure)
    assert isinstance(client.side, StreamSide)
    assert "connection reset by peer" in client.side.error


def test_an_error_belongs_to_its_own_connection(bench: Bench) -> None:
    well = bench.connect(pods.ECHO)
    assert isinstance(bench.ask(pods.REFUSE, b"?").failure, DialFailure)
    well.send(b"still here")
    bench.until(lambda: well.data == b"still here")


def test_a_fin_without_a_byte_is_an_end_and_says_that_nothing_was_received(bench: Bench) -> None:
    client = bench.ask(pods.FIN, b"?")
    assert client.ended
    assert isinstance(client.side, StreamSide)
    assert not client.side.received


def test_a_fin_waits_for_the_error_stream_but_not_for_ever(bench: Bench, server: ApiServer) -> None:
    server.no_error_end = True
    client = bench.dial(pods.HALF, say=b"?")
    bench.until(lambda: client.data == b"all")
    bench.settle()
    assert not client.ended
    bench.advance(stream.GRACE)
    bench.until(lambda: client.ended)


def test_a_lost_wire_takes_its_streams_with_it_and_says_so(bench: Bench, server: ApiServer) -> None:
    proven = bench.connect(pods.ECHO)
    proven.send(b"x")
    bench.until(lambda: proven.data)
    server.cut_wires()
    bench.until(lambda: proven.over)
    assert isinstance(proven.failure, ConnectionResetError)
    assert any(isinstance(e, WireLost) and e.pod == "web-1" for e in bench.events)


def test_what_was_never_flushed_was_not_delivered(bench: Bench, server: ApiServer) -> None:
    first = bench.connect(pods.ECHO)
    first.send(b"x")
    bench.until(lambda: first.data)
    assert first.side is not None
    first.side.close()
    bench.until(lambda: not bench.counts["lingering"])
    server.cut_wires()  # the loop has not noticed yet
    client = bench.dial(pods.ECHO, say=b"?")
    assert client.side is not None
    bench.until(lambda: client.over)
    assert isinstance(client.failure, DialFailure)
    assert not client.failure.delivered


def test_sending_on_a_failed_stream_blocks_so_that_the_failure_is_read(bench: Bench) -> None:
    client = bench.connect(pods.REFUSE, reading=False)
    bench.until(lambda: client.hung_up)
    assert client.side is not None
    with pytest.raises(BlockingIOError):
        client.side.send(memoryview(b"x"))
    client.read()
    bench.until(lambda: client.failure)


def test_both_directions_over_is_a_hangup_like_a_sockets(bench: Bench) -> None:
    client = bench.ask(pods.HALF, b"?")
    bench.until(lambda: client.hung_up)
    assert client.side is not None
    with pytest.raises(BrokenPipeError):
        client.side.send(memoryview(b"too late"))


def test_an_abort_reaches_the_node_as_a_reset(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    client.send(b"x")
    bench.until(lambda: client.data)
    assert client.side is not None
    client.side.abort("gone")
    bench.until(lambda: server.resets == 1)
    bench.until(lambda: bench.counts["lingering"] == 0)


def test_what_comes_for_a_client_that_is_gone_is_discarded_and_then_refused(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.FLOOD)
    client.send(b"100000000")
    bench.until(lambda: client.data)
    assert client.side is not None
    client.side.close()
    bench.until(lambda: server.resets == 1)


def test_a_pair_that_the_node_does_not_end_is_reset_after_a_while(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.LATE)
    client.send(b"x")
    bench.until(lambda: client.data)
    assert client.side is not None
    client.side.close()
    bench.settle()
    assert bench.counts["lingering"] == 1
    bench.advance(stream.LINGER)
    bench.until(lambda: server.resets == 1)
    assert bench.counts["lingering"] == 0


# -- clients that do not read --


def test_a_slow_client_alone_stops_its_wire_and_loses_nothing(
    bench: Bench, server: ApiServer
) -> None:
    size = 24 << 20
    slow = bench.connect(pods.FLOOD)
    slow.send(str(size).encode())
    bench.until(lambda: slow.data)
    assert isinstance(slow.side, StreamSide)
    slow.reading = False
    slow.side.want(0)
    bench.settle(100)
    assert slow.side.waiting < wire.PAUSE_AT + wire.SCRATCH + 1
    bench.advance(60)  # not being read, it cannot answer PINGs, and must not be given up for it
    bench.advance(60)
    slow.read()
    bench.until(lambda: slow.over)
    begin = len(str(size))
    assert slow.ended, slow.failure
    assert hashlib.sha256(slow.data).digest() == hashlib.sha256(pattern(size, begin)).digest()


def test_a_client_that_does_not_read_leaves_a_neighbour_alone(bench: Bench) -> None:
    slow = bench.connect(pods.FLOOD, reading=False)
    slow.send(b"50000000")
    bench.settle(100)
    fast = bench.ask(pods.FLOOD, b"3000000")
    assert len(fast.data) == 3_000_000


def _share(bench: Bench, server: ApiServer, count: int) -> list[Client]:
    """So many connections, all on the pod's first wire."""
    first = bench.connect(pods.FLOOD, reading=False)
    bench.until(lambda: not bench.counts["opening"])
    server.refuse = lambda _: pods.status(429, "too many requests", "", "Retry-After: 30")
    clients = [first]
    while len(clients) < count + bench.counts["wires"] - 1:
        clients.append(bench.dial(pods.FLOOD, reading=False))
        bench.until(lambda: clients[-1].side)
    return clients


def test_on_a_shared_wire_a_slow_client_is_reset_and_its_neighbours_go_on(
    bench: Bench, server: ApiServer
) -> None:
    clients = _share(bench, server, 3)
    wires = [c.side._wire for c in clients if isinstance(c.side, StreamSide)]
    shared = next(w for w in wires if wires.count(w) > 1)
    slow, fast = (c for c, w in zip(clients, wires, strict=True) if w is shared)
    slow.send(b"50000000")
    fast.send(b"3000000")
    fast.read()
    bench.until(lambda: slow.hung_up and fast.over)
    assert len(fast.data) == 3_000_000
    slow.read()
    bench.until(lambda: slow.failure)
    assert isinstance(slow.failure, ConnectionResetError)
    assert "shared wire" in str(slow.failure)
    assert len(slow.data) < wire.SHARED_LIMIT + wire.SCRATCH + 1
    assert bench.counts["evicted"] == 1
