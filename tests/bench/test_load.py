"""The traffic makers against the backend, both real, so that a figure means what it says."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import backend, load
from bench.load import Address, Clients, clients
from bench.programs import Failed, free_port, running

MIB = 1 << 20


@pytest.fixture(scope="module")
def pool() -> Iterator[Clients]:
    with clients() as started:
        yield started


@pytest.fixture(scope="module", params=["TCP", "UNIX"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Address]:
    if request.param == "TCP":
        host, port = "127.0.0.1", free_port()
        where: Address = (host, port)
        text = f"{host}:{port}"
    else:
        where = text = str(tmp_path_factory.mktemp("backend") / "socket")
    with running([sys.executable, backend.__file__, text]) as program:
        assert program.wait_listening(where) > 0
        yield where


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("connections", [1, 16])
def test_bulk_moves_all_its_bytes(
    pool: Clients, address: Address, up: bool, connections: int
) -> None:
    assert pool.bulk(address, up, 16 * MIB, connections) > MIB


def test_connections_are_counted_by_the_second(pool: Clients, address: Address) -> None:
    assert pool.rate(address, 2, 0.2) > 10


def test_exchanges_come_back_sorted(pool: Clients, address: Address) -> None:
    seconds = pool.exchange(address, 1024, 100)
    assert len(seconds) == 100
    assert seconds == sorted(seconds)


def test_held_connections_are_open_and_idle(address: Address) -> None:
    held = load.hold(address, 20)
    for sock in held:
        sock.sendall(b"?")
        assert sock.recv(1) == b"?"
        sock.close()


@pytest.mark.parametrize(("share", "value"), [(0.5, 5.0), (0.51, 6.0), (0.99, 10.0), (1.0, 10.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert load.percentile([float(n) for n in range(1, 11)], share) == value


def test_a_program_that_ends_early_is_quoted() -> None:
    speaks_and_ends = [sys.executable, "-c", "print('out of order')"]
    with running(speaks_and_ends) as program:
        program.wait_ended()
        with pytest.raises(Failed, match="out of order"):
            program.wait_listening(("127.0.0.1", free_port()))


BURN = """
import time
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
"""
PARENT = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN!r}])
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in "ab"]
print("done", flush=True)
try:
    time.sleep(60)
finally:
    for child in children:
        child.kill()
        child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tree_of_processes_is_weighed_as_a_whole() -> None:
    end_by_exception = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: exit())\n"
    with running([sys.executable, "-c", end_by_exception + PARENT]) as program:
        program.wait_for("done")
        assert program.cpu() > 0.25  # the ended child's
        assert program.memory() > 3 * MIB  # three interpreters share most of their pages
        assert program.peak_memory() > MIB
    assert not Path(f"/proc/{program.pid}").exists()
