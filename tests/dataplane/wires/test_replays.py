"""A pod dies under a connection: what its client notices, and what it does not.

``test_retry`` has the rules as a table; here they act on real sockets, wires and streams. Pod
``old`` has a client's request when it goes; pod ``new`` echoes, so that a client that hears its
own words knows that they were said again.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ferryman.dataplane import connection, engine
from ferryman.dataplane.contract import DialFailed, Opened, Policy
from tests.support import portforward_server as pods
from tests.support.plane import Forward, read_all, read_exactly
from tests.support.portforward_server import ApiServer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CUT_SHORT = OK[:-1]


@dataclass
class Crossing:
    """A client that has spoken to the pod ``old``, which has not answered yet."""

    forward: Forward
    server: ApiServer
    client: socket.socket

    def say(self, words: bytes) -> None:
        self.client.sendall(words)
        self.wait_until_heard()

    def wait_until_heard(self) -> None:
        """The pod has all that was sent so far: it was written before what is asked now."""
        counters = self.forward.plane.engine.counters
        while not self.server.opened or counters()["forward"].up == 0:
            self.server.call(lambda: None)

    def old_goes(self) -> None:
        """The watch says so; ``new`` is ready."""
        self.forward.lead(
            self.forward.pod(pods.SILENT, "old", going=True), self.forward.pod(pods.ECHO, "new")
        )

    def is_reset(self) -> bool:
        try:
            return read_all(self.client) is None
        except ConnectionResetError:
            return True


@pytest.fixture
def crossing(forward: Forward, server: ApiServer) -> Iterator[Crossing]:
    forward.to(pods.SILENT, "old")
    with forward.connect() as client:
        yield Crossing(forward, server, client)


def test_an_idempotent_request_is_asked_again_of_another_pod(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.old_goes()
    crossing.server.part(b"")  # a clean FIN without a word, as containerd does
    assert read_exactly(crossing.client, len(GET)) == GET
    assert crossing.forward.plane.wait_for(Opened).replays == 1


def test_a_request_with_effects_is_not_and_its_client_is_told(crossing: Crossing) -> None:
    crossing.say(POST)
    crossing.old_goes()
    crossing.server.part(b"")
    assert crossing.is_reset()


def test_unless_the_policy_says_always(crossing: Crossing) -> None:
    crossing.forward.plane.policy("forward", Policy(ambiguous="Always"))
    crossing.say(POST)
    crossing.old_goes()
    crossing.server.part(b"")
    assert read_exactly(crossing.client, len(POST)) == POST


def test_nor_is_anything_if_the_policy_says_never(crossing: Crossing) -> None:
    crossing.forward.plane.policy("forward", Policy(ambiguous="Never"))
    crossing.say(GET)
    crossing.old_goes()
    crossing.server.part(b"")
    assert crossing.is_reset()


def test_a_lost_wire_is_no_different(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.old_goes()
    crossing.server.cut_wires()
    assert read_exactly(crossing.client, len(GET)) == GET


def test_a_pod_that_goes_in_silence_is_not_waited_for(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One or two of a hundred connections hang for 20 s on a real node: nothing ever comes."""
    monkeypatch.setattr(connection, "SILENCE", 0.1)
    crossing.say(GET)
    crossing.old_goes()
    assert read_exactly(crossing.client, len(GET)) == GET


def test_but_a_request_with_effects_waits_for_its_answer(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE", 0.01)
    crossing.say(POST)
    crossing.old_goes()
    with crossing.forward.connect() as another:  # the loop has turned well past the silence
        for _ in range(10):
            another.sendall(b"x")
            assert another.recv(1) == b"x"
        crossing.server.answer(OK)
        assert read_exactly(crossing.client, len(OK)) == OK


def test_an_answer_cut_short_does_not_look_whole(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.old_goes()
    crossing.server.part(CUT_SHORT)
    with pytest.raises(ConnectionResetError):
        read_all(crossing.client)


def test_a_whole_answer_ends_properly(crossing: Crossing) -> None:
    crossing.say(GET.replace(b"Host", b"Connection: close\r\nHost"))
    crossing.old_goes()
    crossing.server.part(OK)
    assert read_all(crossing.client) == OK


def test_bytes_of_an_unknown_protocol_are_never_taken_for_whole(crossing: Crossing) -> None:
    crossing.say(b"PING\r\n")
    crossing.old_goes()
    crossing.server.part(b"+PONG\r\n")
    with pytest.raises(ConnectionResetError):
        read_all(crossing.client)


def test_a_kept_alive_connection_survives_its_pod(crossing: Crossing) -> None:
    """Idle between two exchanges: the pod goes, the next request reaches another."""
    crossing.say(GET)
    crossing.server.answer(OK)
    assert read_exactly(crossing.client, len(OK)) == OK
    crossing.old_goes()
    crossing.server.part(b"")
    crossing.client.sendall(POST)  # with effects, too: nobody has heard it yet
    assert read_exactly(crossing.client, len(POST)) == POST


def test_a_request_on_a_kept_alive_connection_is_asked_again(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.server.answer(OK)
    assert read_exactly(crossing.client, len(OK)) == OK
    crossing.client.sendall(GET)
    counters = crossing.forward.plane.engine.counters
    while counters()["forward"].up < 2 * len(GET):
        crossing.server.call(lambda: None)
    crossing.old_goes()
    crossing.server.part(b"")
    assert read_exactly(crossing.client, len(GET)) == GET


def test_a_half_closed_request_is_replayed_with_its_end(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.client.shutdown(socket.SHUT_WR)
    while crossing.server.half_closed == 0:
        crossing.server.call(lambda: None)
    # SILENT does not answer a half-close: the wire is lost instead
    crossing.old_goes()
    crossing.server.cut_wires()
    assert read_all(crossing.client) == GET


def test_a_client_that_said_nothing_yet_moves_over_unnoticed(crossing: Crossing) -> None:
    while not crossing.server.opened:
        crossing.server.call(lambda: None)
    crossing.old_goes()
    crossing.server.part(b"")
    crossing.client.sendall(b"first words")
    assert read_exactly(crossing.client, 11) == b"first words"


def test_without_another_pod_the_request_waits_for_one(crossing: Crossing) -> None:
    crossing.say(GET)
    crossing.forward.lead(crossing.forward.pod(pods.SILENT, "old", going=True))
    crossing.server.part(b"")
    crossing.forward.plane.wait_for(DialFailed)
    crossing.forward.to(pods.ECHO, "new")
    assert read_exactly(crossing.client, len(GET)) == GET


def test_what_a_pod_left_open_ends_some_time_after_it_is_gone(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wire lives on at the API server and answers PINGs: nothing else would end it."""
    monkeypatch.setattr(engine, "GONE", 0.1)
    crossing.say(POST)
    crossing.old_goes()
    crossing.forward.to(pods.ECHO, "new")
    assert crossing.is_reset()


def test_a_pod_that_is_not_ready_keeps_what_it_has(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GONE", 0.01)
    crossing.say(POST)
    crossing.forward.to(pods.ECHO, "new")
    with crossing.forward.connect() as another:
        for _ in range(10):
            another.sendall(b"x")
            assert another.recv(1) == b"x"
        crossing.server.answer(OK)
        assert read_exactly(crossing.client, len(OK)) == OK


def test_a_healthy_pod_may_end_without_an_answer(forward: Forward) -> None:
    """nginx's 444: a FIN is a FIN, if the request may have had effects."""
    forward.to(pods.FIN)
    with forward.connect() as client:
        client.sendall(POST)
        assert read_all(client) == b""


def test_a_request_that_kills_its_server_is_not_replayed_for_ever(forward: Forward) -> None:
    forward.plane.policy("forward", Policy(hold=60))
    forward.lead(forward.pod(pods.RESET, "a"), forward.pod(pods.RESET, "b"))
    with forward.connect() as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
