"""Wires against a real server: how they are made, used again, suspected, and closed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from ferryman.dataplane.contract import (
    ClusterReached,
    DialFailure,
    NeedCredentials,
    PodAddress,
    WireLost,
)
from ferryman.dataplane.wires import handshake, heartbeat, link, stream
from ferryman.dataplane.wires.stream import StreamSide
from ferryman.dataplane.wires.transport import Transport
from ferryman.dataplane.wires.wire import Wire
from ferryman.runtime.tls import TLSSettings
from tests.support import portforward_server as pods
from tests.support.portforward_server import ApiServer, Request, status
from tests.support.wires import Bench, Client

BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
TUNNEL, SPDY, V4 = "SPDY/3.1+portforward.k8s.io", "SPDY/3.1", "v4.channel.k8s.io"


def without(*transports: str) -> Callable[[Request], bytes | None]:
    """A server that knows only the other transports."""

    def refuse(request: Request) -> bytes | None:
        spoken = request.headers.get("sec-websocket-protocol", SPDY)
        return status(400, "unable to upgrade", "BadRequest") if spoken in transports else None

    return refuse


def wire_of(client: Client) -> Wire:
    assert isinstance(client.side, StreamSide)
    assert isinstance(client.side._wire, Wire)
    return client.side._wire


class Spy:
    """Stands before a transport, counts its writes, and may let them fail or get no answer."""

    def __init__(self, transport: Transport, *, fails: bool, stuck: bool) -> None:
        self._transport = transport
        self._fails = fails
        self.stuck = lambda: stuck
        self.writes: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def send(self, data: bytes) -> int | None:
        if self._fails:
            raise BrokenPipeError
        self.writes.append(len(data))
        return self._transport.send(data)


def spy_on(client: Client, *, fails: bool = False, stuck: bool = False) -> list[int]:
    """The sizes of what the client's wire writes from now on."""
    wire = wire_of(client)
    spy = Spy(wire._transport, fails=fails, stuck=stuck)
    wire._transport = spy  # type: ignore[assignment]
    return spy.writes


# -- one wire for many connections --


def test_connections_one_after_the_other_need_no_more_than_a_wire_and_its_spare(
    bench: Bench, server: ApiServer
) -> None:
    for _ in range(50):
        client = bench.connect(pods.LATE)  # the node keeps every pair open behind them
        client.send(b"x")
        bench.until(partial(_has_answer, client))
        assert client.side is not None
        client.side.shutdown()
    assert bench.counts["lingering"] == 50
    assert server.accepted == 2
    bench.until(lambda: server.half_closed == 50)
    server.end_pairs()
    bench.until(lambda: not bench.counts["lingering"])


def _has_answer(client: Client) -> bool:
    return bool(client.data)


def test_a_half_closed_client_that_is_brought_much_keeps_its_wire_to_itself(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.FLOOD)
    client.send(b"20000000")
    assert client.side is not None
    client.side.shutdown()
    assert bench.counts["live"] == 0
    bench.until(lambda: bench.counts["live"] == 1)
    client.side.want(0)  # else it may have been brought everything before the other is connected
    assert wire_of(bench.connect(pods.ECHO)) is not wire_of(client)
    client.read()
    bench.until(lambda: client.over)
    assert len(client.data) == 20_000_000


def test_a_dial_on_a_warm_wire_is_answered_before_it_returns(bench: Bench) -> None:
    bench.ask(pods.HALF, b"?")
    assert bench.dial(pods.ECHO).side is not None


def test_two_at_once_have_a_wire_each(bench: Bench) -> None:
    first, second = bench.connect(pods.ECHO), bench.connect(pods.ECHO)
    assert wire_of(first) is not wire_of(second)


def test_syns_and_first_data_leave_in_one_write(bench: Bench) -> None:
    bench.ask(pods.HALF, b"?")
    bench.until(lambda: bench.counts["wires"] == 2)
    client = bench.dial(pods.ECHO)
    writes = spy_on(client)
    bench.loop.call_soon(lambda: client.send(b"first"))  # as the flow would, a turn later
    bench.until(lambda: client.data == b"first")
    assert len(writes) == 1


def test_a_client_that_gives_up_waiting_is_not_called(bench: Bench, server: ApiServer) -> None:
    server.unanswered = True
    client = Client()
    dial = bench.wires.dial(
        PodAddress("test", "default", "web-1", "uid-web-1", pods.ECHO), client.dialled
    )
    bench.until(lambda: server.requests)
    dial.cancel()
    dial.cancel()
    server.unanswered = False
    bench.settle()
    assert client.calls == 0


# -- transports --


@pytest.mark.parametrize(
    ("missing", "spoken", "asked"),
    [((), TUNNEL, 1), ((TUNNEL,), SPDY, 2), ((TUNNEL, SPDY), V4, 3)],
    ids=["tunnel", "spdy", "v4"],
)
def test_the_transport_that_works_is_found_and_remembered(
    bench: Bench, server: ApiServer, missing: tuple[str, ...], spoken: str, asked: int
) -> None:
    server.refuse = without(*missing)
    client = bench.ask(pods.HALF, b"?")
    assert client.data == b"all", client.failure
    assert server.protocols[0] == spoken
    assert [r.method for r in server.requests][:asked] == ["GET", "POST", "GET"][:asked]
    before = len(server.requests)
    bench.connect(pods.ECHO)
    bench.connect(pods.ECHO)
    assert set(server.protocols) == {spoken}
    assert len(server.requests) - before <= 3


def test_v4_dials_at_the_upgrade_and_is_neither_kept_nor_shared(
    bench: Bench, server: ApiServer
) -> None:
    server.refuse = without(TUNNEL, SPDY)
    clients = [bench.connect(pods.ECHO) for _ in range(3)]
    assert len({id(wire_of(c)) for c in clients}) == 3
    assert "?ports=1001" in server.requests[-1].path
    for client in clients:
        client.send(b"x")
    bench.until(lambda: all(c.data == b"x" for c in clients))
    assert clients[0].side is not None
    clients[0].side.close()
    bench.until(lambda: bench.counts["wires"] == 2)
    bench.until(lambda: server.wires == 2)


def test_v4_gives_a_client_that_has_spoken_its_last_as_long_as_a_node_would(
    bench: Bench, server: ApiServer
) -> None:
    server.refuse = without(TUNNEL, SPDY)
    client = bench.connect(pods.ECHO)
    client.send(b"x")
    assert client.side is not None
    client.side.shutdown()
    bench.until(lambda: client.data == b"x")
    bench.advance(stream.SILENCE)
    bench.settle()
    assert not client.ended  # something came meanwhile
    bench.advance(stream.SILENCE)
    bench.until(lambda: client.ended)
    bench.until(lambda: not server.wires)


@pytest.mark.parametrize(("port", "kind"), [(pods.REFUSE, "refused"), (pods.CUT, "ambiguous")])
def test_v4_tells_losses_as_the_others_do(
    bench: Bench, server: ApiServer, port: int, kind: str
) -> None:
    server.refuse = without(TUNNEL, SPDY)
    client = bench.ask(port, b"?" * (port == pods.CUT))
    assert isinstance(client.failure, DialFailure)
    assert client.failure.kind == kind


def test_plain_http_is_spoken_where_the_settings_have_no_tls(bench: Bench) -> None:
    with ApiServer(tls=False) as plain:
        bench.wires.cluster(plain.settings("plain"))
        client = bench.dial(pods.FLOOD, cluster="plain", say=b"5000000")
        bench.until(lambda: client.over)
        assert len(client.data) == 5_000_000
        bench.wires.close()


def test_tls_sessions_are_resumed(bench: Bench, server: ApiServer) -> None:
    bench.connect(pods.ECHO)
    bench.until(lambda: bench.counts["wires"] == 2)
    assert server.resumed == 1


# -- refusals --


def refusal(bench: Bench, server: ApiServer, answer: bytes) -> DialFailure:
    server.refuse = lambda _: answer
    client = bench.dial(pods.ECHO)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert not client.failure.delivered
    return client.failure


def test_a_missing_pod_is_gone_and_asked_for_once(bench: Bench, server: ApiServer) -> None:
    failure = refusal(bench, server, status(404, 'pods "web-1" not found', "NotFound"))
    assert (failure.kind, failure.message) == ("gone", 'pods "web-1" not found')
    assert len(server.requests) == 1


def test_a_pending_pod_is_unavailable(bench: Bench, server: ApiServer) -> None:
    text = "pod web-1 does not have a host assigned"
    failure = refusal(bench, server, status(400, text, "BadRequest"))
    assert (failure.kind, failure.message) == ("unavailable", text)


def test_who_may_do_nothing_is_told_so_after_both_verbs(bench: Bench, server: ApiServer) -> None:
    text = 'pods "web-1" is forbidden: User "u" cannot create resource "pods/portforward"'
    failure = refusal(bench, server, status(403, text, "Forbidden"))
    assert (failure.kind, failure.message) == ("forbidden", text)
    assert [r.method for r in server.requests] == ["GET", "POST"]


def test_a_server_that_knows_no_transport_is_unavailable_with_spdys_words(
    bench: Bench, server: ApiServer
) -> None:
    failure = refusal(bench, server, status(400, "unable to upgrade", "BadRequest"))
    assert (failure.kind, failure.message) == ("unavailable", "unable to upgrade")
    assert [r.method for r in server.requests][:3] == ["GET", "POST", "GET"]


def test_a_server_that_hangs_up_on_the_request_is_unavailable(
    bench: Bench, server: ApiServer
) -> None:
    assert refusal(bench, server, b"").kind == "unavailable"


def test_a_credential_that_cannot_be_said_is_an_error_without_the_secret(
    bench: Bench, server: ApiServer
) -> None:
    bench.wires.cluster(server.settings(token="se\ncret"))
    client = bench.dial(pods.ECHO)
    bench.until(lambda: client.failure)
    assert "cret" not in str(client.failure)


def test_new_settings_with_another_credential_only_renew_it(
    bench: Bench, server: ApiServer
) -> None:
    server.refuse = lambda r: (
        None if r.headers["authorization"] == "Bearer new" else status(401, "Unauthorized")
    )
    client = bench.dial(pods.ECHO)
    bench.until(lambda: bench.events)
    bench.wires.cluster(server.settings(token="new"))
    bench.until(lambda: client.side)


def test_who_may_only_create_gets_through_with_spdy(bench: Bench, server: ApiServer) -> None:
    server.refuse = lambda r: status(403, "forbidden: get") if r.method == "GET" else None
    assert bench.ask(pods.HALF, b"?").data == b"all"


def test_a_refused_credential_is_renewed_and_tried_once_more(
    bench: Bench, server: ApiServer
) -> None:
    server.refuse = lambda r: (
        None if r.headers["authorization"] == "Bearer new" else status(401, "Unauthorized")
    )
    clients = [bench.dial(pods.ECHO) for _ in range(3)]
    bench.until(lambda: bench.events)
    bench.settle()
    assert bench.events == [NeedCredentials("test", "Unauthorized")]
    bench.wires.credentials("test", (("authorization", "Bearer new"),), None)
    bench.until(lambda: all(c.side for c in clients))


def test_a_credential_that_stays_refused_is_unauthorized(bench: Bench, server: ApiServer) -> None:
    server.refuse = lambda _: status(401, "Unauthorized")
    client = bench.dial(pods.ECHO)
    bench.until(lambda: bench.events)
    bench.wires.credentials("test", (("authorization", "Bearer new"),), None)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert client.failure.kind == "unauthorized"


def test_nobody_waits_for_ever_for_a_credential(bench: Bench, server: ApiServer) -> None:
    server.refuse = lambda _: status(401, "Unauthorized")
    client = bench.dial(pods.ECHO)
    bench.until(lambda: bench.events)
    bench.advance(link.CREDENTIALS_TIMEOUT)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)


def test_an_expired_credential_is_renewed_before_it_is_used(
    bench: Bench, server: ApiServer
) -> None:
    bench.wires.cluster(server.settings(expires=bench.wall - 1))
    client = bench.dial(pods.ECHO)
    bench.until(lambda: bench.events)
    assert bench.events == [NeedCredentials("test", "the credential has expired")]
    assert not server.requests
    bench.wires.credentials("test", (("authorization", "Bearer new"),), bench.wall + 3600)
    bench.until(lambda: client.side)


def test_a_wire_is_not_used_for_new_connections_after_its_credential_expired(
    bench: Bench, server: ApiServer
) -> None:
    bench.wires.cluster(server.settings(expires=bench.wall + 100))
    old = bench.connect(pods.ECHO)
    bench.until(lambda: bench.counts["wires"] == 2)
    bench.advance(101)
    client = bench.dial(pods.ECHO)
    bench.until(lambda: bench.events)
    bench.wires.credentials("test", (("authorization", "Bearer new"),), None)
    bench.until(lambda: client.side)
    assert server.requests[-1].headers["authorization"] == "Bearer new"
    old.send(b"still open")
    bench.until(lambda: old.data)


def test_a_busy_server_is_asked_again_when_it_said(bench: Bench, server: ApiServer) -> None:
    server.refuse = lambda _: status(429, "slow down", "TooManyRequests", "Retry-After: 3")
    client = bench.dial(pods.ECHO)
    bench.until(lambda: server.requests)
    bench.settle()
    server.refuse = lambda _: None
    bench.advance(2.5)
    bench.settle()
    assert len(server.requests) == 1
    bench.advance(0.5)
    bench.until(lambda: client.side)


def test_a_busy_server_makes_connections_share(bench: Bench, server: ApiServer) -> None:
    clients = [bench.connect(pods.ECHO), bench.connect(pods.ECHO)]
    server.refuse = lambda _: status(503, "busy", "ServiceUnavailable", "Retry-After: 3")
    clients += [bench.dial(pods.ECHO) for _ in range(6)]
    bench.until(lambda: all(c.side for c in clients))
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    bench.until(lambda: all(c.data == b"%d" % n for n, c in enumerate(clients)))


def test_an_answer_that_does_not_come_is_a_timeout(bench: Bench, server: ApiServer) -> None:
    server.unanswered = True
    client = bench.dial(pods.ECHO)
    bench.until(lambda: server.requests)
    bench.advance(handshake.TIMEOUT)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert (client.failure.kind, client.failure.delivered) == ("timeout", False)


def test_an_answer_that_is_none_is_an_error_of_that_dial_only(
    bench: Bench, server: ApiServer
) -> None:
    failure = refusal(bench, server, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    assert failure.kind == "unavailable"
    server.refuse = lambda _: None
    assert bench.ask(pods.HALF, b"?").data == b"all"


def test_a_certificate_of_another_authority_is_named_as_the_cause(
    bench: Bench, server: ApiServer
) -> None:
    bench.wires.cluster(replace(server.settings("other"), tls=TLSSettings()))
    client = bench.dial(pods.ECHO, cluster="other")
    bench.until(lambda: client.failure)
    assert "its certificate is not trusted" in str(client.failure)
    assert not server.requests


def test_an_unusable_authority_is_an_error_of_the_dial(bench: Bench, server: ApiServer) -> None:
    settings = replace(server.settings("other"), tls=TLSSettings(ca=b"nonsense"))
    bench.wires.cluster(settings)
    client = bench.dial(pods.ECHO, cluster="other")
    bench.until(lambda: client.failure)
    assert "certificate authority" in str(client.failure)


def test_an_api_server_that_is_not_there_is_unavailable_not_refused(bench: Bench) -> None:
    with ApiServer() as gone:
        settings = gone.settings("gone")
    bench.wires.cluster(settings)
    client = bench.dial(pods.ECHO, cluster="gone")
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert client.failure.kind == "unavailable"
    assert "connection refused" in client.failure.message


def test_a_cluster_that_nobody_told_of_is_unavailable(bench: Bench) -> None:
    client = bench.dial(pods.ECHO, cluster="nowhere")
    assert isinstance(client.failure, DialFailure)


# -- signs of life --


def test_a_wire_that_answers_lives_and_one_that_does_not_is_lost(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.ECHO)
    client.send(b"x")
    bench.until(lambda: client.data)
    for _ in range(3):
        bench.advance(heartbeat.INTERVAL)
        bench.settle()
    server.mute = True
    bench.advance(heartbeat.INTERVAL)
    bench.settle()
    assert not client.over
    bench.advance(heartbeat.DEADLINE)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, ConnectionResetError)
    assert "PING" in str(client.failure)
    assert any(isinstance(e, WireLost) for e in bench.events)


def test_a_suspect_wire_has_to_answer_at_once(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    bench.settle()
    bench.wires.suspect()
    bench.settle()
    bench.advance(heartbeat.DEADLINE)
    bench.settle()
    assert not client.over
    server.mute = True
    bench.wires.suspect()
    bench.advance(heartbeat.DEADLINE)
    bench.until(lambda: client.failure)


def test_whoever_comes_after_a_jump_waits_for_no_answer(bench: Bench, server: ApiServer) -> None:
    bench.connect(pods.ECHO)
    bench.settle()
    server.mute = True  # what is open is dead
    before = server.accepted
    bench.wires.suspect()
    client = bench.dial(pods.HALF, say=b"?")
    bench.until(lambda: client.side)
    assert server.accepted > before
    assert bench.counts["live"] == 2


def test_a_handshake_from_before_a_jump_is_begun_anew(bench: Bench, server: ApiServer) -> None:
    server.unanswered = True
    client = bench.dial(pods.HALF, say=b"?")
    bench.until(lambda: server.requests)
    server.unanswered = False
    bench.settle()
    assert not client.over
    bench.wires.suspect()
    bench.until(lambda: client.over)
    assert client.data == b"all"


def test_a_handshake_that_hangs_is_begun_anew_when_others_get_through(
    bench: Bench, server: ApiServer
) -> None:
    server.unanswered = True
    client = bench.dial(pods.HALF, say=b"?")
    bench.until(lambda: server.requests)
    server.unanswered = False
    bench.wires.reachable()  # it may not hang at all
    bench.settle()
    assert len(server.requests) == 1
    bench.advance(2.0)
    bench.wires.reachable()
    bench.until(lambda: client.over)
    assert client.data == b"all"


def test_it_is_told_when_wires_can_be_opened_again(bench: Bench, server: ApiServer) -> None:
    def told() -> int:
        return sum(isinstance(event, ClusterReached) for event in bench.events)

    bench.connect(pods.ECHO)
    bench.settle()
    assert told() == 0
    server.refuse = lambda _: BAD_GATEWAY
    failed = bench.dial(pods.ECHO, "web-2")
    bench.until(lambda: failed.failure)
    server.refuse = lambda _: None
    bench.connect(pods.ECHO, "web-2")
    assert told() == 1
    bench.connect(pods.ECHO, "web-3")
    assert told() == 1


def test_a_bad_minute_of_a_gateway_does_not_decide_the_transport_for_good(
    bench: Bench, server: ApiServer
) -> None:
    server.refuse = lambda _: BAD_GATEWAY
    failed = bench.dial(pods.ECHO)
    bench.until(lambda: failed.failure)
    server.refuse = without(TUNNEL, SPDY)
    bench.ask(pods.HALF, b"?")
    assert server.protocols[-1] == V4
    server.refuse = lambda _: None
    bench.ask(pods.HALF, b"?")
    assert server.protocols[-1] == V4
    bench.advance(link.SPOKEN)
    bench.ask(pods.HALF, b"?")
    assert server.protocols[-1] == TUNNEL


def test_a_pod_that_does_not_read_does_not_cost_its_wire(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.DIGEST)
    side = client.side
    assert side is not None
    server.stop_reading()
    sent = bench.fill(side)
    for _ in range(10):
        bench.advance(heartbeat.INTERVAL)
        bench.settle(5)
    assert not client.over
    server.read_again()
    side.shutdown()
    bench.until(lambda: client.ended)
    assert client.data.decode().startswith(f"{sent} ")


def test_but_a_host_that_answers_nothing_does_cost_it(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.DIGEST)
    assert client.side is not None
    server.stop_reading()
    bench.fill(client.side)
    spy_on(client, stuck=True)
    bench.advance(heartbeat.INTERVAL)
    assert not client.over
    bench.advance(heartbeat.DEADLINE)
    bench.until(lambda: client.failure)


def test_a_new_dial_does_not_take_a_wire_that_was_lost(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    client.send(b"x")
    bench.until(lambda: client.data)
    server.cut_wires()
    bench.until(lambda: client.over)
    assert bench.ask(pods.HALF, b"?").data == b"all"


# -- going --


def test_a_server_that_says_goodbye_to_idle_wires_is_no_news(
    bench: Bench, server: ApiServer
) -> None:
    bench.ask(pods.HALF, b"?")
    bench.until(lambda: bench.counts["wires"] == 2)
    server.say(lambda wire: wire.close())
    bench.until(lambda: server.accepted == 3)  # a new spare
    assert bench.events == []


def test_bytes_that_mean_nothing_end_their_wire_and_no_other(
    bench: Bench, server: ApiServer
) -> None:
    with ApiServer() as other:
        bench.wires.cluster(other.settings("other"))
        well = bench.dial(pods.ECHO, cluster="other")
        ill = bench.connect(pods.ECHO)
        ill.send(b"x")
        bench.until(lambda: ill.data and well.side)
        server.say(lambda _: None, b"\xff" * 64)
        bench.until(lambda: ill.over)
        assert isinstance(ill.failure, ConnectionResetError)
        assert "protocol" in str(ill.failure)
        well.send(b"still here")
        bench.until(lambda: well.data == b"still here")
        bench.wires.close()


def test_what_a_server_said_before_it_hung_up_is_read_though_we_cannot_write(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.ECHO)
    client.send(b"x")
    bench.until(lambda: client.data == b"x")
    server.part(b"parting words")
    spy_on(client, fails=True)
    client.send(b"y")
    bench.until(lambda: client.over)
    assert (bytes(client.data), client.ended) == (b"xparting words", True)


def test_idle_wires_close_after_a_minute_and_the_spare_after_five(
    bench: Bench, server: ApiServer
) -> None:
    clients = [bench.connect(pods.ECHO) for _ in range(3)]
    bench.until(lambda: bench.counts["wires"] == 4)
    for client in clients:
        assert client.side is not None
        client.side.close()
    bench.until(lambda: not bench.counts["lingering"])
    for _ in range(7):
        bench.advance(9)
        bench.settle()
    assert bench.counts["wires"] == 1
    bench.until(lambda: server.goodbyes == 3)
    for _ in range(28):
        bench.advance(9)
        bench.settle(5)
    bench.until(lambda: not bench.counts["wires"])
    assert not any(isinstance(e, WireLost) for e in bench.events)


def test_a_draining_pod_keeps_its_connections_and_its_wires_end_with_them(
    bench: Bench, server: ApiServer
) -> None:
    client = bench.connect(pods.ECHO)
    bench.until(lambda: bench.counts["wires"] == 2)
    bench.wires.drain("uid-web-1")
    assert bench.counts["wires"] == 1
    client.send(b"last words")
    bench.until(lambda: client.data == b"last words")
    assert client.side is not None
    client.side.shutdown()
    bench.until(lambda: client.ended)
    bench.until(lambda: not server.wires)


def test_a_forgotten_pod_loses_what_is_open_and_a_namesake_gets_a_wire_of_its_own(
    bench: Bench, server: ApiServer
) -> None:
    other = bench.connect(pods.ECHO, "web-2")
    client = bench.connect(pods.SILENT)
    client.send(b"x")
    bench.settle()
    bench.wires.forget("uid-web-1")
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert client.failure.delivered
    other.send(b"x")
    bench.until(lambda: other.data)


def test_another_server_for_the_cluster_gets_the_new_connections(
    bench: Bench, server: ApiServer
) -> None:
    old = bench.connect(pods.ECHO)
    with ApiServer() as other:
        bench.wires.cluster(other.settings())
        client = bench.connect(pods.ECHO)
        client.send(b"x")
        bench.until(lambda: client.data)
        assert other.opened == [pods.ECHO]
        old.send(b"x")
        bench.until(lambda: old.data)
        bench.wires.close()


def test_close_ends_everything_and_everybody_is_told(bench: Bench, server: ApiServer) -> None:
    client = bench.connect(pods.ECHO)
    server.unanswered = True
    waiting = bench.dial(pods.ECHO, "web-2")
    bench.wires.close()
    bench.until(lambda: client.failure)
    assert isinstance(waiting.failure, DialFailure)
    bench.until(lambda: not server.wires)


def test_ssl_is_imported_only_for_tls() -> None:
    program = (
        "import sys, ferryman.dataplane.wires.cluster as _;"
        "sys.exit('ssl' in sys.modules or 'asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
