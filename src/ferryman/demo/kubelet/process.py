"""One run of a container: a process of ``apps.program``, its log, its end.

Standard input is a pipe that is never written: when this process is gone, however it went, its end
tells the program to go too. Programs are in a process group of their own, so that Ctrl-C in the
demo's terminal is the demo's to handle.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from ferryman.demo.kubelet.logs import Log
from ferryman.runtime.clock import Clock

PROGRAM = Path(__file__).parent.parent / "apps" / "program.py"
IMAGES = ("example-go", "web", "cache")
"""The programs there are; an image is one of them by its last part."""


def program_of(image: str) -> str | None:
    """The program that an image stands for: ``registry/x/web:2`` is ``web``."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return name if name in IMAGES else None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: ``code`` as a shell shows it, 137 for SIGKILL."""

    code: int
    started: datetime
    finished: datetime


class Process(asyncio.SubprocessProtocol):
    """A running program. ``exited`` is done when it has ended and its output is read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transport: asyncio.SubprocessTransport | None = None
        self.log = Log()
        self.started = clock.now()
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(
        cls,
        clock: Clock,
        program: str,
        addresses: Mapping[int, tuple[str, int]],
        environment: Mapping[str, str],
    ) -> Process:
        """Start a program that listens at ``addresses``, by container port.

        Raises OSError if the machine cannot start one more.
        """
        ports = [f"{port}={host}:{number}" for port, (host, number) in addresses.items()]
        process = cls(clock)
        await asyncio.get_running_loop().subprocess_exec(
            lambda: process,
            *(sys.executable, "-S", "-E", str(PROGRAM), program, *ports),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.defpath, **environment},
            process_group=0,
        )
        return process

    @property
    def pid(self) -> int:
        """The process' number on this machine."""
        return cast(asyncio.SubprocessTransport, self._transport).get_pid()

    def terminate(self) -> None:
        """SIGTERM; nothing if it has ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; nothing if it has ended."""
        self._signal(signal.SIGKILL)

    async def stop(self, grace: float) -> Exit:
        """SIGTERM, then SIGKILL after so many seconds. Cancellation kills at once."""
        self.terminate()
        try:
            async with asyncio.timeout(grace):
                return await asyncio.shield(self.exited)
        except TimeoutError:
            self.kill()
            return await asyncio.shield(self.exited)
        except asyncio.CancelledError:
            self.kill()
            raise

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._transport is not None and self._transport.get_returncode() is None:
                self._transport.send_signal(number)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, _: int, data: bytes) -> None:
        self.log.feed(data, self._clock.now())

    def connection_lost(self, _: Exception | None) -> None:
        """The process has ended and all its pipes are closed."""
        transport = cast(asyncio.SubprocessTransport, self._transport)
        code = transport.get_returncode() or 0
        now = self._clock.now()
        self.log.end(now)
        if not self.exited.done():
            self.exited.set_result(Exit(code if code >= 0 else 128 - code, self.started, now))
        transport.close()
