"""``ferry socat`` beside socat itself: the same command lines, the same bytes and dumps."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from ferryman.addresses import TcpAddress
from tests.support.peers import require
from tests.support.plane import accept, address_of, listen, read_all, read_exactly

pytestmark = pytest.mark.peer

PATIENCE = 20
_STAMP = re.compile(rb"([<>]) \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.000\d{6}  ")


def verbs() -> list[list[str]]:
    return [[require("socat")], [sys.executable, "-m", "ferryman.cli.main", "socat"]]


def both(words: Sequence[str], said: bytes) -> list[subprocess.CompletedProcess[bytes]]:
    """What socat and we do of the same command line, with the same input."""
    return [
        subprocess.run([*verb, *words], input=said, capture_output=True, timeout=PATIENCE)
        for verb in verbs()
    ]


@pytest.mark.parametrize("options", [["-v"], ["-x"], ["-v", "-x"], ["-v", "-b", "5"]])
def test_dumps_are_the_same_to_the_byte(options: list[str]) -> None:
    said = b"GET / HTTP/1.0\r\n\r\n\x00\x07\\tab\there\xff"
    theirs, ours = both([*options, "-", "PIPE"], said)
    assert ours.stdout == theirs.stdout == said
    assert (ours.returncode, theirs.returncode) == (0, 0)
    assert _stamped(ours.stderr) == _stamped(theirs.stderr)


def _stamped(dump: bytes) -> list[bytes]:
    """By direction: which of them is read first is chance."""
    pieces = re.split(rb"(?=[<>] STAMP  )", _STAMP.sub(rb"\1 STAMP  ", dump))
    return sorted(pieces, key=lambda piece: piece[:1])


@pytest.mark.parametrize(
    "words",
    [
        ["-u", "-", "-"],
        ["-", "EXEC:cat"],
        ["-", "SYSTEM:tr a-z A-Z"],
        ["-t", "3", "-", "SYSTEM:cat; sleep 0.7; echo late"],
    ],
)
def test_the_same_bytes_come_out(words: list[str]) -> None:
    theirs, ours = both(words, b"hello\n")
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)


@pytest.mark.parametrize(
    "words",
    [["-", "8080"], ["-", "TCP:localhost:1"], ["-"], ["-Z", "-", "-"], ["-L", "x", "-", "-"]],
)
def test_what_cannot_be_fails_with_words(words: list[str]) -> None:
    ours = subprocess.run([*verbs()[1], *words], input=b"", capture_output=True, timeout=PATIENCE)
    assert ours.returncode != 0
    assert ours.stderr


def test_a_listener_forks_and_a_silent_connection_ends() -> None:
    with listen(TcpAddress("127.0.0.1", 0)) as server, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        words = [*verbs()[1], "-T", "0.2", "-d", "-d"]
        words += [f"TCP-LISTEN:{port},reuseaddr,fork,bind=127.0.0.1", f"TCP:{address_of(server)}"]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert b" N listening on " in process.stderr.readline()
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                    with accept(server) as behind:
                        client.sendall(b"hi")
                        assert read_exactly(behind, 2) == b"hi"
                        assert read_all(client) == b""
            process.terminate()
            assert process.wait(PATIENCE) == 143
