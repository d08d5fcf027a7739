"""`ferry replay`: real requests to a real server, and what it answers otherwise now."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ferryman.cli import main as cli
from ferryman.inspection.feed import DOWN, UP
from tests.support.recorded import answer, connection, request, write


class Handler(BaseHTTPRequestHandler):
    """Answers what the recorded server answered, but for /changed and /never."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.heard.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        if self.path == "/never":
            self.close_connection = True
            return
        self._answer(b'{"users": [1, 3]}' if self.path == "/changed" else b'{"users":[1,2]}')
        self.close_connection = self.path == "/last"

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    heard: list[tuple[str, dict[str, str]]]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(("127.0.0.1", 0), Handler)
    one.heard = []
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def asked(*paths: str) -> list[tuple[str, bytes]]:
    said = []
    for path in paths:
        said += [("up", request(path)), ("down", answer(b'{"users":[1,2]}'))]
    return said


def recording(tmp_path: Path, *paths: str) -> Path:
    talk = [(UP if way == "up" else DOWN, data) for way, data in asked(*paths)]
    return write(tmp_path / "x.ferry", connection(1, talk))


def replay(capfd: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    assert cli.main(["replay", *map(str, words)]) == code, capfd.readouterr()
    said = capfd.readouterr()
    return said.out, said.err


def test_requests_are_said_in_order_and_their_answers_shown(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    out, err = replay(capfd, recording(tmp_path, "/a", "/b"), "--to", server.address)
    assert [path for path, _ in server.heard] == ["/a", "/b"]
    assert server.heard[0][1] == {"Host": server.address}
    assert "#1 → GET /a  0 B" in out
    assert "#1.2 ← 200 application/json  15 B" in out
    assert "Cookie was redacted when it was kept: said without it" in err
    assert err.endswith("2 said again\n")


def test_secrets_are_given_anew(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ("--header", "Cookie: s=mine")
    out, err = replay(capfd, recording(tmp_path, "/a"), "--to", server.address, "-v", *given)
    assert server.heard[0][1]["Cookie"] == "s=mine"
    assert "mine" not in out
    assert err == "1 said again\n"


def test_a_difference_is_said_and_is_exit_code_1(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, "/a", "/changed")
    out, err = replay(capfd, path, "--to", server.address, "--diff", code=1)
    assert out == "#1.2 GET /changed\n    $.users[1]: 2 → 3\n"
    assert err.endswith("2 said again, 1 answered as before, 1 otherwise\n")
    for choice in (("--only", "path=/a"), ("--grep", "GET /a")):
        out, err = replay(capfd, path, "--to", server.address, "--diff", *choice)
        assert out == ""
        assert err.endswith("1 said again, 1 answered as before, 0 otherwise\n")


def test_a_connection_that_the_server_ended_is_made_again(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, "/last", "/a")
    assert replay(capfd, path, "--to", server.address, "--diff")[0] == ""
    assert [path for path, _ in server.heard] == ["/last", "/a"]


def test_no_answer_is_said_and_the_next_request_still_is(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, "/never", "/a")
    _, err = replay(capfd, path, "--to", server.address, "--diff", code=1)
    assert "#1 GET /never was not answered" in err
    assert err.endswith("2 said again, 1 answered as before, 0 otherwise, 1 not answered\n")


def test_a_body_that_was_cut_is_left_out_and_said(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    talk = [
        (UP, request("/jobs", method="POST", body=b"run it")),
        (DOWN, answer(b"run it")),
        (UP, request("/jobs", method="POST", body=b"run it")[:-2]),
    ]
    path = write(tmp_path / "x.ferry", connection(1, talk))
    _, err = replay(capfd, path, "--to", server.address, "--diff")
    assert "#1.2 POST /jobs is left out: " in err
    assert err.endswith("1 said again, 1 answered as before, 0 otherwise, 1 left out\n")


def test_a_har_is_said_again_too(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    har = tmp_path / "x.har"
    assert cli.main(["show", str(recording(tmp_path, "/a", "/changed")), "-w", str(har)]) == 0
    out, _ = replay(capfd, har, "--to", server.address, "--diff", code=1)
    assert out == "#1.2 GET /changed\n    $.users[1]: 2 → 3\n"


@pytest.fixture
def redis() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each read with +OK, and what it read."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(4096):
                heard.append(data)
                peer.sendall(b"+OK\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", heard
    listener.close()
    thread.join(10)


def test_other_protocols_are_said_as_bytes_each_after_its_answer(
    tmp_path: Path, redis: tuple[str, list[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    place, heard = redis
    commands = [b"*2\r\n$3\r\nGET\r\n$1\r\n%c\r\n" % letter for letter in b"abc"]
    answers = [b"+OK\r\n", b"$3\r\nfoo\r\n", b"+OK\r\n"]
    talk = []
    for command, said in zip(commands, answers, strict=True):
        talk += [(UP, command), (DOWN, said)]
    path = write(tmp_path / "x.ferry", connection(1, talk))
    out, err = replay(capfd, path, "--to", place, "--diff", code=1)
    assert heard == commands
    assert out.startswith("#1.2 GET b\n    answer: string → OK\n")
    assert err == "3 said again, 2 answered as before, 1 otherwise\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--to", "127.0.0.1:0"), 1, "port 0 is no server"),
        (("--to", "x:y"), 1, "not a port"),
        (("--to", "1", "--header", "x"), 2, "not a header"),
        (("--to", "1", "--timeout", "0s"), 2, "--timeout must be more than nothing"),
        (("--to", "./nowhere.sock"), 1, "cannot connect to ./nowhere.sock: No such file"),
    ],
)
def test_mistakes_are_refused_in_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in replay(capfd, recording(tmp_path, "/a"), *words, code=code)[1]
