"""The inspector as a process, told by a real engine what real sockets say."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import Closed, InspectorLost, Observe, Policy
from ferryman.inspector.files import Files
from ferryman.inspector.seeing import Seeing
from ferryman.inspector.sending import Exchanges
from ferryman.inspector.spawn import Inspector
from tests.support.plane import Plane


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"name": "Ada"}' if self.path == "/users" else b"x" * 3_000_000
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "session=hunter2")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[TcpAddress]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as one:
        one.daemon_threads = False
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield TcpAddress("127.0.0.1", one.server_port)
        one.shutdown()
        thread.join()


class Relayed:
    """A relay to the server whose inspector writes into a file."""

    def __init__(self, folder: Path, seeing: Seeing, *, sending: bool = False) -> None:
        self.plane = Plane()
        self._shown = folder / "shown"
        self._out = os.open(self._shown, os.O_WRONLY | os.O_CREAT, 0o600)
        os.set_inheritable(self._out, True)
        files = Files.make(seeing.files)
        self.inspector = Inspector(
            lambda: json.dumps(seeing.as_json()), files, out=self._out, sending=sending
        )
        self._client: http.client.HTTPConnection | None = None
        self._full: Observe = "Full" if seeing.needs_bodies else "Summary"

    def open(self, server: TcpAddress) -> http.client.HTTPConnection:
        self.plane.call(lambda: self.plane.engine.observe(self.inspector.start))
        listen = TcpAddress("127.0.0.1", 0)
        address = self.plane.relay(listen, server, policy=Policy(hold=0, observe=self._full))
        assert isinstance(address, TcpAddress)
        self._client = http.client.HTTPConnection(address.host, address.port, timeout=10)
        return self._client

    def end(self) -> str:
        """What was shown, once the client is gone and all is written."""
        if self._client is not None and self._client.sock is not None:
            self._client.close()
            self.plane.wait_for(Closed)
        self.plane.close()
        self.inspector.finish()
        os.close(self._out)
        return self._shown.read_text()


def get(client: http.client.HTTPConnection, path: str) -> bytes:
    client.request("GET", path, headers={"Authorization": "Bearer hunter2"})
    return client.getresponse().read()


def test_a_line_for_each_thing_that_happens_and_bodies_are_only_counted(
    tmp_path: Path, server: TcpAddress
) -> None:
    relayed = Relayed(tmp_path, Seeing())
    client = relayed.open(server)
    assert get(client, "/users") == b'{"name": "Ada"}'
    assert len(get(client, "/large")) == 3_000_000
    client.close()
    relayed.plane.wait_for(Closed)
    lines = relayed.end().splitlines()
    assert lines[0].endswith(f"→ {server}")
    assert lines[1].startswith("#1 → GET /users  0 B")
    assert lines[2].startswith("#1 ← 200 application/json  15 B")
    assert lines[3].startswith("#1.2 → GET /large  0 B")
    assert lines[4].startswith("#1.2 ← 200 application/json  3.0 MB")
    assert "closed: " in lines[5]


def test_heads_and_bodies_without_their_secrets(tmp_path: Path, server: TcpAddress) -> None:
    relayed = Relayed(tmp_path, Seeing(verbose=True))
    get(relayed.open(server), "/users")
    text = relayed.end()
    assert '"name": "Ada"' in text
    assert "Authorization" in text
    assert "hunter2" not in text


def test_only_what_was_asked_for(tmp_path: Path, server: TcpAddress) -> None:
    relayed = Relayed(tmp_path, Seeing(only="path~large"))
    client = relayed.open(server)
    get(client, "/users")
    get(client, "/large")
    text = relayed.end()
    assert "/large" in text
    assert "/users" not in text


@pytest.mark.parametrize("kind", ["ferry", "pcapng", "har"])
def test_files_are_written_and_are_their_owners(
    tmp_path: Path, server: TcpAddress, kind: str
) -> None:
    path = tmp_path / f"kept.{kind}"
    relayed = Relayed(tmp_path, Seeing(files=(str(path),)))
    get(relayed.open(server), "/users")
    relayed.end()
    assert b"Ada" in path.read_bytes()
    assert b"hunter2" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_exchanges_are_sent_back(tmp_path: Path, server: TcpAddress) -> None:
    relayed = Relayed(tmp_path, Seeing(verbose=True), sending=True)
    get(relayed.open(server), "/users")
    reader = Exchanges()
    came = list(reader.receive(os.read(relayed.inspector.exchanges, 65536)))
    os.close(relayed.inspector.exchanges)
    relayed.end()
    (one,) = came
    assert one.facts["path"] == "/users"
    assert one.answer is not None
    assert one.answer.body == b'{"name": "Ada"}'
    assert ("Set-Cookie", "[redacted]") in one.answer.fields


def test_an_inspector_that_dies_harms_no_connection(tmp_path: Path, server: TcpAddress) -> None:
    relayed = Relayed(tmp_path, Seeing())
    client = relayed.open(server)
    get(client, "/large")  # so much is told at once
    assert relayed.inspector.pid
    os.kill(relayed.inspector.pid, signal.SIGKILL)
    relayed.plane.wait_for(InspectorLost)
    assert len(get(client, "/large")) == 3_000_000
    relayed.end()


def test_nothing_is_started_while_there_is_nothing_to_tell(
    tmp_path: Path, server: TcpAddress
) -> None:
    path = tmp_path / "kept.ferry"
    relayed = Relayed(tmp_path, Seeing(files=(str(path),)))
    relayed.open(server)
    assert relayed.end() == ""
    assert not relayed.inspector.pid
    assert not path.exists()
