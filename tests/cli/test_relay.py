"""`ferry relay` as its user meets it: a process, its lines, its signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress, UnixAddress
from tests.support.plane import accept, address_of, connect, listen, read_all, read_exactly

ANY = TcpAddress("127.0.0.1", 0)


class Relay:
    """A running `ferry relay` and the addresses that it said it listens on."""

    def __init__(self, process: subprocess.Popen[str], lines: int) -> None:
        self.process = process
        assert process.stdout is not None
        self.said = [process.stdout.readline().rstrip("\n") for _ in range(lines)]
        words = [line.split() for line in self.said]
        self.places = [w[2] for w in words]

    @property
    def front(self) -> TcpAddress:
        host, _, port = self.places[0].rpartition(":")
        return TcpAddress(host.strip("[]"), int(port))

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> str:
        """What it said on stderr, once it has ended by itself with 0."""
        _, errors = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, errors
        return errors


@contextmanager
def relay(*arguments: str, lines: int = 1) -> Iterator[Relay]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ferryman.cli.main", "relay", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Relay(process, lines)
    finally:
        process.kill()
        process.communicate()


def wait_until_refused(address: TcpAddress) -> None:
    """Return once nobody listens there; what waits in a backlog meanwhile is reset."""
    while True:
        try:
            connect(address).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass


def test_a_port_listens_on_both_families_and_says_so() -> None:
    with listen(ANY) as server, relay("0", str(address_of(server)), lines=2) as one:
        port = one.front.port
        target = address_of(server)
        assert one.said == [
            f"Listening on 127.0.0.1:{port} -> {target}",
            f"Listening on [::1]:{port} -> {target}",
        ]
        for host in ("127.0.0.1", "::1"):
            with connect(TcpAddress(host, port)) as client, accept(server) as behind:
                client.sendall(b"hi")
                assert read_exactly(behind, 2) == b"hi"


def test_every_connection_gets_a_line_when_it_opens_and_when_it_closes() -> None:
    with listen(ANY) as server, relay("127.0.0.1:0", str(address_of(server))) as one:
        with connect(one.front) as client, accept(server) as behind:
            name = "{}:{}".format(*client.getsockname())
            client.sendall(b"x" * 1200)
            client.shutdown(socket.SHUT_WR)
            assert len(read_all(behind)) == 1200
            behind.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        one.interrupt()
        opened, closed = one.end().splitlines()
        assert opened == f"#1 {name} → {address_of(server)}"
        assert closed.startswith("#1 closed: 1.2 kB up, 0 B down, ")


def test_quiet_says_errors_only() -> None:
    with listen(ANY) as server:
        target = str(address_of(server))
        with relay("127.0.0.1:0", target, "-q") as one:
            with connect(one.front), accept(server):
                pass
            server.close()
            with pytest.raises(ConnectionResetError), connect(one.front) as client:
                client.recv(1)
            one.interrupt()
            assert one.end() == f"#2 reset: {target}: connection refused\n"


def test_clients_wait_for_a_server_that_restarts_if_asked_to() -> None:
    with listen(ANY) as server:
        target = address_of(server)
    with relay("127.0.0.1:0", str(target), "--hold", "30s") as one, connect(one.front) as client:
        client.sendall(b"patience")
        assert one.process.stderr is not None
        assert one.process.stderr.readline() == f"#1 {target}: connection refused\n"
        with listen(target) as server, accept(server) as behind:
            assert read_exactly(behind, 8) == b"patience"


def test_unix_sockets_both_ways_and_nothing_left_behind(tmp_path: Path) -> None:
    behind = UnixAddress(str(tmp_path / "behind.sock"))
    front = tmp_path / "front.sock"
    with listen(behind) as server, relay(str(front), behind.path) as one:
        assert one.said == [f"Listening on {front} -> {behind.path}"]
        with connect(UnixAddress(str(front))) as client, accept(server) as other:
            client.sendall(b"hi")
            assert read_exactly(other, 2) == b"hi"
        one.interrupt()
        one.end()
        assert not front.exists()


def test_a_taken_port_is_an_error_that_names_the_process() -> None:
    with listen(ANY) as taken:
        address = str(address_of(taken))
        done = subprocess.run(
            [sys.executable, "-m", "ferryman.cli.main", "relay", address, "localhost:1"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    assert done.returncode == 1
    assert f"address already in use on {address}" in done.stderr
    if os.path.exists("/proc/net/tcp"):
        assert f"(pid {os.getpid()})" in done.stderr


def test_the_first_ctrl_c_lets_connections_end_the_second_does_not() -> None:
    with listen(ANY) as server, relay("127.0.0.1:0", str(address_of(server))) as one:
        with connect(one.front) as client, accept(server) as behind:
            client.sendall(b"a")
            assert read_exactly(behind, 1) == b"a"
            one.interrupt()
            behind.sendall(b"b")
            assert read_exactly(client, 1) == b"b"
            wait_until_refused(one.front)
            one.interrupt()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        one.end()


def test_a_terminal_that_is_stopped_does_not_stop_the_bytes() -> None:
    """Nobody reads stderr, its pipe is full: as after Ctrl-S."""
    with listen(ANY) as server, relay("127.0.0.1:0", str(address_of(server))) as one:
        for _ in range(2500):  # of two lines, some 40 bytes each: more than a pipe's 64 KiB
            with connect(one.front) as client, accept(server) as behind:
                client.sendall(b"x")
                assert read_exactly(behind, 1) == b"x"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["8080", "0"], "port 0 is no target"),
        (["8080", "TCP:localhost:0"], "port 0 is no target"),
        (["8080"], "exactly 2 addresses required (there are 1)"),
        (["TCP-LISTEN:0,", "fork", "TCP:h:1"], "write TCP-LISTEN:0,fork TCP:h:1"),
        (["TCP-LISTEN:0,frok", "8081"], "did you mean fork?"),
        (["TCP-LISTEN:0,tcpwrap", "8081"], 'option "tcpwrap" is not supported'),
        (["PROXY:a:b:1", "8081"], "PROXY is not supported by ferry"),
        (["deploy/web:80", "8081"], "deploy/web:80 cannot be listened on"),
        (["8080", "deploy/web"], "deploy/web needs a port"),
        (["OPENSSL-LISTEN:0", "8081"], "a TLS listener needs a certificate"),
        (["nonsense", "8080"], "not an address: 'nonsense'"),
        (["::1:80", "8080"], "write an IPv6 address as [::1]:80"),
        (["8080", "99999"], "not a port: '99999'"),
        (["8080", "8081", "--hold", "soon"], "soon"),
    ],
)
def test_bad_input_is_refused_in_words(arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ferryman.cli.main", "relay", *arguments],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode != 0
    assert complaint in done.stderr


def test_socats_own_line_works_and_says_that_it_is_for_all(tmp_path: Path) -> None:
    with listen(ANY) as server:
        target = f"TCP:{address_of(server)}"
        with relay("TCP-LISTEN:0,reuseaddr,fork", target) as one:
            assert one.said == [f"Listening on 0.0.0.0:{one.front.port} -> {target}"]
            for _ in range(2):
                with connect(TcpAddress("127.0.0.1", one.front.port)) as client:
                    with accept(server) as behind:
                        client.sendall(b"hi")
                        assert read_exactly(behind, 2) == b"hi"
            one.interrupt()
            assert one.end().startswith("on all addresses of this machine, as socat does")


def test_without_fork_it_ends_with_its_one_client() -> None:
    with relay("TCP-LISTEN:0,bind=127.0.0.1", "PIPE") as one:
        with connect(one.front) as client:
            client.sendall(b"echo")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"echo"
        opened, closed = one.end().splitlines()
        assert opened.endswith("→ PIPE")
        assert closed.startswith("#1 closed: 4 B up, 4 B down")


def run(*arguments: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "ferryman.cli.main", "relay", *arguments]
    return subprocess.run(line, input=said, capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize("target", ["PIPE", 'SYSTEM:"cat"', "EXEC:cat,pipes"])
def test_our_own_stdin_and_stdout_carry_bytes_and_nothing_else(target: str) -> None:
    said = os.urandom(300_000)
    done = run("-", target, said=said)
    assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert done.stderr.startswith(b"Relaying STDIO -> ")


def test_files_come_from_the_shell_as_well(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        line = [sys.executable, "-m", "ferryman.cli.main", "relay", "-", "PIPE"]
        done = subprocess.run(line, stdin=source, stdout=sink, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == b"from a file"


def test_a_single_client_that_cannot_be_served_is_a_failure() -> None:
    with listen(ANY) as server:
        target = str(address_of(server))
    done = run("STDIO", target)
    assert done.returncode == 1
    assert f"{target}: connection refused".encode() in done.stderr


def test_a_program_may_be_the_client() -> None:
    with listen(ANY) as server:
        line = [sys.executable, "-m", "ferryman.cli.main", "relay", "EXEC:echo hi"]
        with subprocess.Popen([*line, str(address_of(server))], stdout=subprocess.DEVNULL) as one:
            with accept(server) as behind:
                assert read_all(behind) == b"hi\n"
            assert one.wait(10) == 0


def test_it_imports_neither_asyncio_nor_ssl() -> None:
    code = (
        "import sys; from ferryman.cli.main import main; import ferryman.cli.relay as relay;"
        "from ferryman import addresses; from ferryman.dataplane.engine import Engine;"
        "from ferryman.dataplane.loop import Loop; from ferryman.dataplane.contract import Bind;"
        "addresses.parse_workload('./x.sock');"
        "places = [addresses.parse_place(text) for text in ('localhost:0', './x.sock', ':0')];"
        "Engine(Loop(), print).apply({Bind(places[2]): 'x'});"
        "print(*sorted({'asyncio', 'ssl', 'msgspec', 'yaml', 'h11', 'logging', 'subprocess',"
        "'ferryman.addresses.socat', 'ferryman.addresses.specs', 'ferryman.addresses.workloads',"
        "'ferryman.dataplane.opening', 'ferryman.dataplane.udp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
