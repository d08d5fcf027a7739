"""Runs the command after ``--``, as a shell would, for as long as the forward lasts.

It begins once connections get through, finds the ports in its environment, gets the signals that
we get, and its exit code becomes ours. It stays in our process group, so that an interactive
program has the terminal; Ctrl-C there reaches it without us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence

from ferryman.api.kinds.relay import RelayStatus
from ferryman.cli.program import LAST_WORDS, SIGNALLED, CommandFailed, has_terminal
from ferryman.daemon.forward import Wish


class Command:
    """One command; ``run`` it once."""

    def __init__(self, words: Sequence[str]) -> None:
        self.started = asyncio.Event()
        self._words = words
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, environment: Mapping[str, str]) -> int:
        """Start it, wait for its end and return the exit code. If cancelled, it is terminated.

        Raises UserError if there is no such program.
        """
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._words, env={**os.environ, **environment}
            )
        except OSError as cause:
            raise CommandFailed(self._words[0], cause) from cause
        self.started.set()
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                await _end(process)
        return code if code >= 0 else SIGNALLED - code

    def signal(self, number: signal.Signals) -> bool:
        """Pass a signal on; whether there is somebody to pass it to."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if number != signal.SIGINT or not has_terminal():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        return True


def environment(statuses: Mapping[Wish, RelayStatus]) -> dict[str, str]:
    """What the command is told: the first port, every port by its remote name, all in order."""
    found: dict[str, str] = {}
    every: list[str] = []
    for wish, status in statuses.items():
        for port, (_, remote) in zip(status.ports, wish.ports, strict=True):
            every.append(str(port.port))
            found.setdefault("FERRY_PORT", every[0])
            for name in (str(remote), str(port.target_port)):
                key = re.sub(r"[^A-Z0-9]", "_", name.upper())
                found.setdefault(f"FERRY_PORT_{key}", str(port.port))
        found.setdefault("FERRY_HOST", _reachable(wish.hosts[0]))
    return {**found, "FERRY_PORTS": ",".join(every)}


def _reachable(host: str) -> str:
    """Where a client finds what listens there: nobody connects to a wildcard."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(LAST_WORDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
