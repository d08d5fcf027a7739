"""Files, FIFOs, descriptors and pairs of addresses as ends of a flow."""

from __future__ import annotations

import os
import socket
import stat
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import Closed, DialFailed, Exhausted
from tests.support.plane import Plane, accept, address_of, connect, listen, read_all, read_exactly
from tests.support.written import LISTEN, front, relay_written

FORK = f"{LISTEN},fork"
ANY = TcpAddress("127.0.0.1", 0)


def test_a_file_is_read_to_its_end(plane: Plane, tmp_path: Path) -> None:
    payload = os.urandom(2 << 20)
    (tmp_path / "big").write_bytes(payload)
    with connect(front(plane, FORK, f"OPEN:{tmp_path}/big,rdonly")) as client:
        assert read_all(client) == payload


def test_an_upload_becomes_a_file(plane: Plane, tmp_path: Path) -> None:
    payload = os.urandom(2 << 20)
    with connect(front(plane, FORK, f"CREATE:{tmp_path}/new,mode=0640")) as client:
        client.sendall(payload)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert (tmp_path / "new").read_bytes() == payload
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("options", "expected"),
    [(",append", b"oldnew"), (",wronly", b"new"), (",wronly,trunc", b"new"), ("", b"oldnew")],
)
def test_flags_of_open_are_honoured(
    plane: Plane, tmp_path: Path, options: str, expected: bytes
) -> None:
    """Without any, it is read and written: what is written stands behind what was read."""
    (tmp_path / "f").write_bytes(b"old")
    with connect(front(plane, FORK, f"OPEN:{tmp_path}/f{options}")) as client:
        if options == "":
            assert read_exactly(client, 3) == b"old"
        client.sendall(b"new")
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    plane.wait_for(Closed)
    assert (tmp_path / "f").read_bytes() == expected


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("OPEN:{}/none", "no such file"),
        ("OPEN:{}", "is a directory"),
        ("OPEN:{}/f,creat,excl", "file exists"),
        ("OPEN:{}/link,nofollow", "too many levels"),
        ("OPEN:{}/f,user=no-such-user", "no such user: no-such-user"),
        ("OPEN:{}/f,raw", "is no terminal"),
        ("FD:987", "bad file descriptor"),
    ],
)
def test_what_cannot_be_opened_is_a_failed_dial(
    plane: Plane, tmp_path: Path, target: str, words: str
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    place = front(plane, FORK, target.format(tmp_path))
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    assert words in plane.wait_for(DialFailed).message


def test_gopen_connects_to_a_socket_and_appends_to_a_file(plane: Plane, tmp_path: Path) -> None:
    echo = relay_written(plane, f"UNIX-LISTEN:{tmp_path}/s,fork", "PIPE")
    assert str(echo.address) == f"{tmp_path}/s"  # type: ignore[union-attr]  # it listens
    with connect(front(plane, FORK, f"GOPEN:{tmp_path}/s")) as client:
        client.sendall(b"echo")
        assert read_exactly(client, 4) == b"echo"
    plane.wait_for(Closed, 2)
    for number, part in enumerate((b"one", b"two"), start=3):
        with connect(front(plane, FORK, f"GOPEN:{tmp_path}/log")) as client:
            client.sendall(part)
            client.shutdown(socket.SHUT_WR)
        plane.wait_for(Closed, number)  # a file's end comes before ours
    assert (tmp_path / "log").read_bytes() == b"onetwo"


def test_an_echo_ends_when_it_has_said_all(plane: Plane) -> None:
    with connect(front(plane, FORK, "PIPE")) as client:
        client.sendall(b"x" * 50_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"x" * 50_000


def test_a_fifo_is_made_with_its_mode_and_goes(plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    with connect(front(plane, FORK, f"PIPE:{path},mode=0600")) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    plane.wait_for(Closed)
    assert not path.exists()


def test_one_is_read_and_another_written(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"said")
    target = f"OPEN:{tmp_path}/in,rdonly!!CREATE:{tmp_path}/out"
    with connect(front(plane, FORK, target)) as client:
        client.sendall(b"heard")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"said"
    plane.wait_for(Closed)
    assert (tmp_path / "out").read_bytes() == b"heard"


def test_a_pair_whose_second_cannot_be_opened_fails(plane: Plane, tmp_path: Path) -> None:
    place = front(plane, FORK, f"PIPE!!OPEN:{tmp_path}/none")
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    assert "no such file" in plane.wait_for(DialFailed).message


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """Two pipes: what we write comes at the first descriptor, what is written at the fourth."""
    (inner_read, outer_write), (outer_read, inner_write) = os.pipe(), os.pipe()
    yield inner_read, outer_write, outer_read, inner_write
    for fd in (inner_read, outer_write, outer_read, inner_write):
        try:
            os.close(fd)
        except OSError:
            pass


def test_inherited_pipes_stay_blocking_and_pass_on_ends(
    plane: Plane, pipes: tuple[int, int, int, int]
) -> None:
    inner_read, outer_write, outer_read, inner_write = pipes
    with listen(ANY) as server:
        relay_written(plane, f"FD:{inner_read}!!FD:{inner_write}", str(address_of(server)))
        with accept(server) as behind:
            os.write(outer_write, b"question")
            assert read_exactly(behind, 8) == b"question"
            behind.sendall(b"x" * 300_000)
            behind.shutdown(socket.SHUT_WR)
            with os.fdopen(os.dup(outer_read), "rb") as heard:
                assert heard.read() == b"x" * 300_000  # to its end: ours became /dev/null
            os.write(outer_write, b"more")
            assert read_exactly(behind, 4) == b"more"
            os.close(outer_write)
            assert read_all(behind) == b""
        assert os.get_blocking(inner_read)
        plane.wait_for(Exhausted)


def test_an_inherited_socket_is_a_socket_and_blocks_again_in_the_end(plane: Plane) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, listen(ANY) as server:
        ours.settimeout(10)
        relay_written(plane, f"FD:{theirs.fileno()}", str(address_of(server)))
        with accept(server) as behind:
            ours.sendall(b"up")
            assert read_exactly(behind, 2) == b"up"
            ours.shutdown(socket.SHUT_WR)
            assert read_all(behind) == b""
            behind.sendall(b"down")
        assert read_exactly(ours, 4) == b"down"
        plane.wait_for(Exhausted)
        assert os.get_blocking(theirs.fileno())


def test_a_terminals_modes_are_set_and_put_back_when_the_other_end_has_ended(plane: Plane) -> None:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    try:
        with listen(ANY) as server:
            relay_written(plane, f"FD:{slave},raw,echo=0", str(address_of(server)))
            with accept(server) as behind:
                assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO)
                os.write(master, b"\x03\r")
                assert read_exactly(behind, 2) == b"\x03\r"
                behind.sendall(b"\n")
                assert os.read(master, 10) == b"\n"
                behind.shutdown(socket.SHUT_WR)
                plane.wait_for(Exhausted)
                assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)
