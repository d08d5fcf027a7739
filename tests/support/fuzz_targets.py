"""What is fuzzed: everything that reads what somebody else wrote, as far as it needs no socket.

Each may raise what its docstring names and nothing else; machines that read a stream have to say
the same however the bytes are cut. The seeds are made by the other end, in memory.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ferryman.access.kubeconfig import load
from ferryman.addresses import parse_any
from ferryman.addresses.keywords import CANONICAL
from ferryman.apiclient.watching import WatchDecoder
from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
from ferryman.protocols import transports
from ferryman.protocols.channels import ChannelsClient, ChannelsServer
from ferryman.protocols.http.client import Client
from ferryman.protocols.http.upgrade import websocket_accept
from ferryman.protocols.multiplex import Opening
from ferryman.protocols.portforward import PortForwardClient, PortForwardServer
from ferryman.protocols.proxy import Proxy, passage
from ferryman.protocols.websocket import Tunnel
from ferryman.runtime.tls import client_context
from tests.support import certificates
from tests.support.fuzz_decoders import decoder_targets
from tests.support.fuzz_sessions import session_target
from tests.support.fuzzing import Target
from tests.support.split import cut, frozen, joined

ACCEPT = b"{accept}"
"""Stands in an input for the answer to the random key of this upgrade."""
PORT = 8000
_PIECES = 6


class Machine(Protocol):
    def receive(self, data: bytes) -> Sequence[Any]: ...

    def data_to_send(self) -> list[bytes | bytearray]: ...


def out(machine: Machine) -> bytes:
    return b"".join(bytes(part) for part in machine.data_to_send())


# -- machines that read a stream --


def machine_target(
    name: str, make: Callable[[], Machine], seeds: Callable[[], list[bytes]]
) -> Target:
    """A protocol machine may raise PeerError, and then it is over."""

    def run(data: bytes) -> str:
        whole, error = _heard(make(), [data])
        chance = random.Random(zlib.crc32(data))
        places = [chance.randrange(len(data) + 1) for _ in range(_PIECES)]
        pieces, again = _heard(make(), cut(data, places) or [b""])
        # A peer that breaks the rules may get away with it if we have reset its stream meanwhile.
        if not error and not again:
            assert joined(whole) == joined(pieces), f"cut at {sorted(places)}"
        return f"{_kinds(joined(whole))} {_gist(error)}"

    return Target(name, run, seeds, _FRAME_WORDS)


def _heard(machine: Machine, pieces: Sequence[bytes]) -> tuple[list[Any], str]:
    events: list[Any] = []
    size = said = 0
    out(machine)  # what it said before anything came
    try:
        for piece in pieces:
            size += len(piece)
            events += frozen(machine.receive(piece))
            said += len(out(machine))
    except PeerError as error:
        return events, error.message or "PeerError"
    finally:
        said += len(out(machine))
    assert said <= 4096 + 16 * size, f"{size} bytes were answered by {said}"
    return events, ""


def _client(tunnel: bool) -> PortForwardClient:
    client = PortForwardClient(Tunnel(client=True)) if tunnel else PortForwardClient()
    for _ in range(3):
        client.send(client.open(PORT), b"hello")
    client.ping()
    return client


def _server(tunnel: bool) -> PortForwardServer:
    return PortForwardServer(Tunnel(client=False)) if tunnel else PortForwardServer()


def _channels() -> ChannelsClient:
    client = ChannelsClient(PORT)
    client.send(client.open(PORT), b"hello")
    return client


def _answers(tunnel: bool) -> list[bytes]:
    """What servers say to ``_client``: a pair that goes well, one that fails, one that is reset."""
    client, server = _client(tunnel), _server(tunnel)
    server.receive(out(client))
    said = [out(server)]
    server.send(1, b"answer " * 20)
    server.finish(1)
    server.succeed(1)
    said.append(out(server))
    server.fail(2, "error forwarding port 8000 to pod x: connection refused")
    said.append(out(server))
    server.reset(3)
    server.ping()
    said.append(out(server))
    server.close()
    said.append(out(server))
    return [b"".join(said[:count]) for count in range(1, len(said) + 1)]


def _questions(tunnel: bool) -> list[bytes]:
    client, server = _client(tunnel), _server(tunnel)
    said = [out(client)]
    server.receive(said[0])
    client.receive(out(server))
    client.send(1, b"more " * 30)
    client.finish(1)
    said.append(out(client))
    client.reset(2)
    client.ping()
    client.close()
    said.append(out(client))
    return [b"".join(said[:count]) for count in range(1, len(said) + 1)]


def _channel_answers() -> list[bytes]:
    server = ChannelsServer([PORT])
    said = [out(server)]
    server.send(1, b"answer " * 20)
    said.append(out(server))
    server.fail(1, "error forwarding port 8000 to pod x: connection refused")
    said.append(out(server))
    return [b"".join(said[:count]) for count in range(1, len(said) + 1)]


def _channel_questions() -> list[bytes]:
    client = _channels()
    said = out(client)
    client.ping()
    client.close()
    return [said, said + out(client)]


_FRAME_WORDS = (
    b"\x80\x03\x00\x01", b"\x80\x03\x00\x02", b"\x80\x03\x00\x03", b"\x80\x03\x00\x04",
    b"\x80\x03\x00\x06", b"\x80\x03\x00\x07", b"\x80\x03\x00\x08", b"\x80\x03\x00\x09",
    b"\x00\x00\x00\x01", b"\x00\x00\x00\x03", b"\x01\x00\x00\x00", b"\x00\xff\xff\xff",
    b"\x82\x7f", b"\x82\x7e\xff\xff", b"\x82\x00", b"\x02\x01", b"\x80\x00", b"\x88\x02\x03\xe8",
    b"\x89\x00", b"\x8a\x04\x00\x00\x00\x01", b"\x81\x01x", b"\xc2\x00", b"\x00\x1f\x40",
)  # fmt: skip


# -- answers to an upgrade, and what comes right after --


def handshake_target(
    name: str, begin: Callable[[], Opening], seeds: Callable[[], list[bytes]]
) -> Target:
    """An answer to an upgrade may raise PeerError; so may the wire with what follows at once."""

    def run(data: bytes) -> str:
        opening = begin()
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", opening.request)
        accept = websocket_accept(key[1].decode()).encode() if key else b""
        try:
            answer = opening.receive(data.replace(ACCEPT, accept))
            if answer is None:
                answer = opening.receive(b"")
        except PeerError as error:
            return f"PeerError {_gist(error.message)}"
        status = getattr(answer, "status", 101)
        return f"{type(answer).__name__} {status if status in _STATUSES else 0}"

    return Target(name, run, seeds, _HTTP_WORDS)


def _websocket_answers(protocol: str, then: bytes) -> list[bytes]:
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: " + protocol.encode()
    )
    return [head + b"\r\n\r\n" + then, head + b"\r\n\r\n", *_refusals()]


def _spdy_answers() -> list[bytes]:
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n"
        b"X-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n"
    )
    return [head, head + _answers(False)[0], *_refusals()]


def _refusals() -> list[bytes]:
    """As Kubernetes and gateways say no."""
    status = {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": 'pods "x"'}
    body = json.dumps(status).encode()
    length = b"Content-Length: %d\r\n" % len(body)
    return [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n" + length + b"\r\n" + body,
        b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n",
        b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    ]


_STATUSES = (101, 200, 400, 401, 403, 404, 429, 502, 503)
_HTTP_WORDS = (
    ACCEPT, b"\r\n", b"\r\n\r\n", b": ", b"HTTP/1.1 ", b"101 ", b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
    b"ffffffff\r\n", b"Retry-After: 999999999\r\n", b"Sec-WebSocket-Extensions: x\r\n", b"\x00",
)  # fmt: skip


_SOCKS_WORDS = (b"\x05\x00", b"\x05\x02", b"\x00\x01", b"\x00\x03", b"\x00\x04", b"\x05\x00\x00")
_JSON_WORDS = (
    b'"type":', b'"object":', b"{}", b"[]", b"null", b"\n", b'"ERROR"', b'"code":', b"1e999", b"-0",
    b'"\\ud800"', b"[" * 2000, b'{"a":' * 500, b'"metadata":', b'"resourceVersion":', b"NaN",
)  # fmt: skip


def _run_http(data: bytes) -> str:
    client = Client()
    client.request("GET", "/", [("host", "x")])
    client.end()
    try:
        events = [*client.receive(data), *client.receive(b"")] if data else []
    except PeerError as error:
        return f"PeerError {_gist(error.message)}"
    return " ".join(type(event).__name__ for event in events[:8])


def _run_proxy(data: bytes) -> str:
    said = []
    for scheme in ("http", "socks5"):
        way = passage(Proxy(scheme, "proxy.example", 3128), "cluster.example", 6443)
        way.data_to_send()
        try:
            said.append("open" if data and way.receive(data) else "waits")
        except (PeerError, Unavailable, UserError) as error:
            said.append(f"{type(error).__name__} {_gist(error.message)}")
        way.data_to_send()
    return " ".join(said)


def _proxy_answers() -> list[bytes]:
    return [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
        b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x05\x05\x00\x03\x04host\x00\x50",
        b"\x05\xff",
    ]


def _run_watch(data: bytes) -> str:
    """A watch may raise FerrymanError: PeerError, or what an ERROR event means."""
    try:
        events = WatchDecoder().receive(data)
    except PeerError as error:
        return f"PeerError {_gist(error.message)}"
    except FerrymanError as error:
        return type(error).__name__  # its message is the server's
    return _kinds(events)


def _watch_events() -> list[bytes]:
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x", "resourceVersion": "7"}}
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    events = [("ADDED", pod), ("MODIFIED", pod), ("DELETED", pod), ("BOOKMARK", pod)]
    lines = [json.dumps({"type": kind, "object": obj}).encode() + b"\n" for kind, obj in events]
    return [
        *lines,
        b"".join(lines),
        json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n",
    ]


# -- kubeconfigs --


def _run_kubeconfig(data: bytes) -> str:
    """Reading one may raise UserError. No credential is asked for: that may start programs."""
    elsewhere = b"s3cret" in _SECRET.sub(b"", data)  # in a place where no secret belongs
    with tempfile.TemporaryDirectory(prefix="ferryman-fuzz-") as folder:
        file = Path(folder, "kubeconfig")
        file.write_bytes(data)
        try:
            access = load(str(file), None, {"HOME": folder, "PATH": os.defpath})
            if access.tls is not None:
                client_context(access.tls)
        except UserError as error:
            text = f"{error.message} {error.hint}".replace(str(file), "FILE")
            assert "s3cret" not in text or elsewhere, text
            return f"UserError {_gist(text)}"
        assert "s3cret" not in repr(access) or elsewhere, repr(access)
        with suppress(UserError):
            assert access.server
    return f"{type(access.credentials).__name__} {access.tls is None} {access.proxy is None}"


_SECRET = re.compile(rb"(?m)^    +((token|password): |proxy-url: \w+://u:)s3cret(?=$|@)")


def _kubeconfigs() -> list[bytes]:
    shown = certificates.loopback()
    data = base64.b64encode(shown.certificate).decode()
    key = base64.b64encode(shown.key).decode()

    def config(cluster: str, user: str) -> bytes:
        return (
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: c\n  cluster:\n"
            f"    server: https://127.0.0.1:6443/prefix\n{cluster}"
            f"users:\n- name: u\n  user:\n{user}"
            "contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: n}\n"
        ).encode()

    return [
        config(f"    certificate-authority-data: {data}\n", "    token: s3cret\n"),
        config(
            "    insecure-skip-tls-verify: true\n    tls-server-name: x\n",
            f"    client-certificate-data: {data}\n    client-key-data: {key}\n",
        ),
        config(
            "    proxy-url: socks5://u:s3cret@p:1080\n", "    username: u\n    password: s3cret\n"
        ),
        config(
            "    certificate-authority: ca.pem\n",
            "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: false\n"
            "      args: [a]\n      env: [{name: A, value: b}]\n      interactiveMode: Never\n",
        ),
        config("", "    tokenFile: token\n    as: somebody\n    as-groups: [g]\n"),
        b'{"apiVersion": "v1", "kind": "Config", "contexts": null, "clusters": [], "users": {}}',
    ]


_YAML_WORDS = (
    b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"!!binary ", b"null", b"~", b"[[[[",
    b"{", b"}", b"- ", b": ", b"\n", b"\n  ", b"|\n", b">-\n", b"---\n", b"...\n", b"\t", b"\x00",
    b"\xff\xfe", "\u2028".encode(), b"'", b'"', b"#", b"1e999", b"0x7f", b"2001-01-01", b"true",
    b"https://", b"http://[::1", b":99999", b"://", b"%zz", b"@", b"current-context: ", b"name: ",
    b"clusters:\n", b"users:\n", b"contexts:\n", b"server: ", b"exec: ", b"token: ", b"proxy-url: ",
    b"certificate-authority-data: ", b"client-key-data: ", b"auth-provider: ",
)  # fmt: skip


def _run_address(data: bytes) -> str:
    """Reading an address, in any grammar, may raise UserError."""
    try:
        found = parse_any(data.decode(errors="surrogateescape"))
    except UserError as error:
        return f"UserError {_gist(error.message)}"
    assert hash(found) == hash(found)
    return f"{type(found).__name__} {_gist(str(found))}"


def _addresses() -> list[bytes]:
    return [
        b"TCP-LISTEN:8080,reuseaddr,fork,max-children=3,range=127.0.0.0/8",
        b"TCP:localhost:8081,retry=2,interval=0.2,bind=[::1]:7",
        b"OPENSSL:h:443,cafile=ca.pem,verify=0!!-",
        b"EXEC:'printf \\\"a b\\\"',pty,raw,echo=0",
        b'SYSTEM:"a(b[c{d}e]f)g"',
        b"UNIX-LISTEN:/run/x.sock,mode=0600,unlink-early",
        b"deploy/web:http,namespace=shop",
        b"[::1]:80",
    ]


_ADDRESS_WORDS = (
    *(name.encode() for name in CANONICAL),
    b"!!", b",", b":", b"=", b"'", b'"', b"(", b")", b"[", b"]", b"{", b"}", b"\\", b"/", b"\x00",
    b"fork", b"mode=", b"retry=0x", b"pf=ip6", b"\xff", b"99999", b"-1", b"x" * 600, b"unix:",
)  # fmt: skip


def _kinds(events: Sequence[Any]) -> str:
    """Of what kinds they are, and about how many of each."""
    counts = Counter(type(event).__name__ for event in events)
    return " ".join(f"{name} {count.bit_length()}" for name, count in sorted(counts.items()))


def _gist(text: str) -> str:
    """The beginning of a message, without what differs from input to input."""
    told = re.sub(r"['\"(].*|[^a-zA-Z ]+", " ", text)
    return " ".join(told.split()[:6])


TARGETS = (
    machine_target("spdy-client", lambda: _client(False), lambda: _answers(False)),
    machine_target("spdy-server", lambda: _server(False), lambda: _questions(False)),
    machine_target("tunnel-client", lambda: _client(True), lambda: _answers(True)),
    machine_target("tunnel-server", lambda: _server(True), lambda: _questions(True)),
    machine_target("channels-client", _channels, _channel_answers),
    machine_target("channels-server", lambda: ChannelsServer([PORT]), _channel_questions),
    handshake_target(
        "tunnel-handshake",
        lambda: transports.tunnel("x:1", "/p"),
        lambda: _websocket_answers(transports.TUNNEL, _answers(True)[0]),
    ),
    handshake_target("spdy-handshake", lambda: transports.spdy("x:1", "/p"), _spdy_answers),
    handshake_target(
        "channels-handshake",
        lambda: transports.channels("x:1", "/p", PORT),
        lambda: _websocket_answers(transports.V4, _channel_answers()[0]),
    ),
    Target("http-answer", _run_http, _refusals, _HTTP_WORDS),
    Target("proxy", _run_proxy, _proxy_answers, (*_HTTP_WORDS, *_SOCKS_WORDS)),
    Target("watch", _run_watch, _watch_events, _JSON_WORDS),
    Target("address", _run_address, _addresses, _ADDRESS_WORDS),
    Target("kubeconfig", _run_kubeconfig, _kubeconfigs, _YAML_WORDS),
    *decoder_targets(),
    session_target(),
)
