import asyncio
import signal
import sys

import pytest

from ferryman.api.kinds.relay import PortStatus, RelayStatus
from ferryman.cli.command import Command, environment
from ferryman.cli.program import NOT_FOUND, NOT_STARTED, CommandFailed
from ferryman.daemon.forward import Wish
from ferryman.kube.targets import Target

PYTHON = [sys.executable, "-c"]


def wish(name: str, *remotes: int | str, hosts: tuple[str, ...] = ("127.0.0.1",)) -> Wish:
    return Wish(Target("deployment", "default", name), tuple((0, r) for r in remotes), hosts)


def status(*ports: tuple[int, int]) -> RelayStatus:
    return RelayStatus(
        ports=tuple(PortStatus(name="p", port=local, target_port=port) for local, port in ports)
    )


def test_every_port_is_in_the_environment_by_its_remote_name_and_number() -> None:
    found = environment(
        {
            wish("web", "http-alt", 9090): status((40001, 8080), (40002, 9090)),
            wish("db", 5432, 9090): status((40003, 5432), (40004, 9090)),
        }
    )
    assert found == {
        "FERRY_HOST": "127.0.0.1",
        "FERRY_PORT": "40001",
        "FERRY_PORTS": "40001,40002,40003,40004",
        "FERRY_PORT_HTTP_ALT": "40001",
        "FERRY_PORT_8080": "40001",
        "FERRY_PORT_9090": "40002",  # the first that was asked for
        "FERRY_PORT_5432": "40003",
    }


@pytest.mark.parametrize(("host", "reachable"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_wildcard_is_no_place_to_connect_to(host: str, reachable: str) -> None:
    found = environment({wish("web", 80, hosts=(host,)): status((1, 80))})
    assert found["FERRY_HOST"] == reachable


async def test_the_exit_code_and_the_environment_are_the_commands() -> None:
    code = "import os, sys; sys.exit(int(os.environ['FERRY_PORT']))"
    assert await Command([*PYTHON, code]).run({"FERRY_PORT": "42"}) == 42


async def test_an_end_by_a_signal_is_told_as_a_shell_does() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert await Command([*PYTHON, code]).run({}) == 128 + signal.SIGKILL


async def test_a_signal_is_passed_on_while_it_runs_only() -> None:
    command = Command([*PYTHON, "import time; time.sleep(60)"])
    assert not command.signal(signal.SIGTERM)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(command.run({}))
        await command.started.wait()
        assert command.signal(signal.SIGTERM)
        assert await running == 128 + signal.SIGTERM
    assert not command.signal(signal.SIGTERM)


async def test_it_ends_with_whoever_waits_for_it() -> None:
    command = Command([*PYTHON, "import time; time.sleep(60)"])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(command.run({}))
        await command.started.wait()
        running.cancel()
    assert not command.signal(signal.SIGTERM)  # there is nobody left


@pytest.mark.parametrize(("program", "code"), [("/nonsense/x", NOT_FOUND), ("/", NOT_STARTED)])
async def test_a_program_that_cannot_be_run_has_a_shells_exit_code(program: str, code: int) -> None:
    with pytest.raises(CommandFailed) as error:
        await Command([program]).run({})
    assert error.value.code == code
