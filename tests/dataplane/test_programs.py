"""EXEC and SYSTEM as targets, and as the one client: bytes, ends, terminals, and no leftovers."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import Closed, DialFailed, Exhausted, Opened
from tests.support.plane import Plane, accept, address_of, connect, listen, read_all, read_exactly
from tests.support.written import LISTEN, front, relay_written

FORK = f"{LISTEN},fork"


def gone(pid: int) -> bool:
    """Whether there is no such process; a zombie still is one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.01)


@pytest.mark.parametrize("options", ["", ",pipes"])
def test_a_program_hears_the_end_and_answers_after_it(plane: Plane, options: str) -> None:
    place = front(plane, FORK, f'SYSTEM:"cat; echo done"{options}')
    payload = os.urandom(3 << 20)
    with connect(place) as client:
        heard = bytearray()
        client.setblocking(False)
        sent = 0
        deadline = time.monotonic() + 20
        while sent < len(payload):  # cat answers while it is spoken to: both ways at once
            assert time.monotonic() < deadline
            try:
                sent += client.send(payload[sent : sent + 65536])
            except BlockingIOError:
                pass
            try:
                heard += client.recv(1 << 20)
            except BlockingIOError:
                pass
        client.settimeout(10)
        client.shutdown(socket.SHUT_WR)
        heard += read_all(client)
    assert heard == payload + b"done\n"


def test_words_are_executed_without_a_shell_and_many_at_once(plane: Plane) -> None:
    place = front(plane, FORK, "EXEC:printf %s|%s \\'a $HOME\\' \\\"b  c\\\"")
    clients = [connect(place) for _ in range(8)]
    for client in clients:
        with client:
            assert read_all(client) == b"a $HOME|b  c"


def test_stderr_is_the_programs_own_unless_it_is_asked_for(plane: Plane) -> None:
    place = front(plane, FORK, "SYSTEM:'echo out; echo err >&2',stderr")
    with connect(place) as client:
        assert sorted(read_all(client).split()) == [b"err", b"out"]


def test_a_program_that_is_not_there_is_a_failed_dial(plane: Plane) -> None:
    place = front(plane, FORK, "EXEC:no-such-program-anywhere")
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    failed = plane.wait_for(DialFailed)
    assert failed.message == "EXEC:no-such-program-anywhere: no such file or directory"


@pytest.mark.parametrize("options", ["", ",pipes", ",setsid", ",pty,setsid"])
def test_a_program_that_ignores_its_end_is_terminated_and_reaped(
    plane: Plane, options: str
) -> None:
    place = front(plane, FORK, f"SYSTEM:'echo $$; exec sleep 60'{options}")
    with connect(place) as client:
        pid = int(client.recv(100))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until_gone(pid)


def test_stopping_ends_programs_that_ignore_sigterm_too(plane: Plane) -> None:
    place = front(plane, FORK, "SYSTEM:'trap \"\" TERM; echo $$; while :; do sleep 0.05; done'")
    with connect(place) as client:
        pid = int(client.recv(100))
        plane.close()
        assert gone(pid)


def test_a_program_at_a_terminal_has_one_and_hears_end_of_file(plane: Plane) -> None:
    place = front(plane, FORK, "SYSTEM:'tty >/dev/null && cat',pty,echo=0,onlcr=0")
    with connect(place) as client:
        client.sendall(b"hello\n")
        assert read_exactly(client, 6) == b"hello\n"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert plane.wait_for(Closed).reset == ""


def test_a_terminal_is_controlling_if_that_is_asked_for(plane: Plane) -> None:
    place = front(plane, FORK, "SYSTEM:'echo ok >/dev/tty',pty,setsid,ctty,raw")
    with connect(place) as client:
        assert read_all(client) == b"ok\n"


def test_path_and_dash_are_honoured(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("#!/bin/sh\necho $0 $1\n")
    (tmp_path / "hello").chmod(0o700)
    with connect(front(plane, FORK, f"EXEC:hello x,path={tmp_path}:/bin:/usr/bin")) as client:
        assert read_all(client) == f"{tmp_path}/hello x\n".encode()
    with connect(front(plane, FORK, "EXEC:sh -c \\'echo $0\\',dash")) as client:
        assert read_all(client) == b"-sh\n"


def test_a_program_as_the_one_client_and_then_no_more(plane: Plane) -> None:
    with listen(TcpAddress("127.0.0.1", 0)) as server:
        relay_written(plane, 'SYSTEM:"echo said"', str(address_of(server)))
        with accept(server) as behind:
            assert read_all(behind) == b"said\n"
        assert plane.wait_for(Opened).client == "SYSTEM:echo said"
        assert plane.wait_for(Exhausted)
        assert plane.wait_for(Closed).up == 5


def test_a_program_that_cannot_be_the_one_client_is_told(plane: Plane) -> None:
    relay_written(plane, "EXEC:no-such-program-anywhere", "PIPE")
    assert "no such file or directory" in plane.wait_for(DialFailed).message
    plane.wait_for(Exhausted)
