"""`ferry forward` and its rivals as real processes, and a steady load of requests through them.

``Load`` sends one GET every 20 ms, whether the last one has ended or not, as many browsers would:
with a new connection each, or over kept-alive connections. What fails is kept with its times, so
that a test can tell what was under way when something happened from what came later.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

FERRY = (sys.executable, "-m", "ferryman.cli.main")
START = 20.0
STOP = 15.0
EVERY = 0.02
PATIENCE = 25.0
"""Seconds that one request may take: shorter than a connection is held, so that a hang shows."""


@dataclass
class Program:
    """A running program; ``out`` and ``err`` are its lines so far."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, found: Callable[[], Any], seconds: float = START) -> Any:
        """Return what ``found`` returns once it is true of the lines; fails after a while."""
        with self.changed:
            result = self.changed.wait_for(
                lambda: found() or self.process.poll() is not None, seconds
            )
            assert found(), f"{result}: {self.out} {self.err}"
            return found()

    def said(self, text: str, seconds: float = START) -> str:
        """The first line on stderr that has the text in it, once there is one."""
        line: str = self.wait_for(lambda: next((e for e in self.err if text in e), ""), seconds)
        return line

    def ports(self, lines: int) -> list[int]:
        """The local ports of its ``Forwarding from`` lines, once there are so many."""
        found = re.compile(r"Forwarding from \S+:(\d+) -> \d+")
        self.wait_for(lambda: len(self.out) >= lines)
        return [int(m[1]) for line in self.out if (m := found.match(line))]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP)


@contextlib.contextmanager
def running(command: Sequence[str], **environment: str) -> Iterator[Program]:
    """Start a program and read its lines; ends it in the end, whatever it says."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    program = Program(process)
    readers = [
        threading.Thread(target=_read, args=(process.stdout, program.out, program)),
        threading.Thread(target=_read, args=(process.stderr, program.err, program)),
    ]
    for reader in readers:
        reader.start()
    try:
        yield program
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for reader in readers:
            reader.join(STOP)


def ferry_forward(kubeconfig: str, *arguments: str) -> contextlib.AbstractContextManager[Program]:
    """``ferry forward`` on a cluster."""
    return running([*FERRY, "forward", *arguments, "--kubeconfig", kubeconfig])


def _read(stream: Any, into: list[str], program: Program) -> None:
    with stream:
        for line in stream:
            with program.changed:
                into.append(line.rstrip("\n"))
                program.changed.notify_all()
    with program.changed:
        program.changed.notify_all()


@contextlib.contextmanager
def looping(command: Sequence[str]) -> Iterator[None]:
    """``while true; do command; done``."""
    stopped = threading.Event()
    current: list[subprocess.Popen[bytes]] = []

    def loop() -> None:
        while not stopped.is_set():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            current[:] = [process]
            process.wait()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        while thread.is_alive():
            for process in current:
                process.kill()
            thread.join(0.05)


@dataclass(frozen=True)
class Request:
    """One request that has ended; ``error`` is empty if it went well, ``answer`` what came."""

    began: float
    ended: float
    answer: str
    error: str


class Load:
    """While entered, sends a request every 20 ms; ``requests`` has those that have ended."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", connections: int = 0) -> None:
        self.requests: list[Request] = []
        self.begun = 0
        self._port = port
        self._host = host
        self._connections = connections
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more, and let those under way end."""
        self._stopped.set()
        self._thread.join()

    @property
    def failed(self) -> list[Request]:
        """Those that went wrong."""
        return [request for request in self.requests if request.error]

    def failed_after(self, moment: float) -> list[Request]:
        """Those that went wrong though they began after a moment (``time.monotonic``)."""
        return [request for request in self.failed if request.began > moment]

    def answers(self) -> list[str]:
        """Who answered, each once, in order."""
        return list(dict.fromkeys(r.answer for r in self.requests if not r.error))

    async def _run(self) -> None:
        if self._connections:
            await asyncio.gather(*(self._keep_alive() for _ in range(self._connections)))
            return
        async with asyncio.TaskGroup() as group:
            due = time.monotonic()
            while not self._stopped.is_set():
                group.create_task(self._one())
                due += EVERY
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one(self) -> None:
        began = time.monotonic()
        self.begun += 1
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    answer = await _get(reader, writer, "close")
                finally:
                    writer.close()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self._note(began, "", f"{type(error).__name__}: {error}")
        else:
            self._note(began, answer, "")

    async def _keep_alive(self) -> None:
        """Requests one after the other on one connection; a new one only if that was closed
        properly, before anything was sent.
        """
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stopped.is_set():
            began = time.monotonic()
            self.begun += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    if streams is None or streams[0].at_eof():
                        if streams is not None:
                            streams[1].close()
                        streams = await asyncio.open_connection(self._host, self._port)
                    answer = await _get(*streams, "keep-alive")
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self._note(began, "", f"{type(error).__name__}: {error}")
                if streams is not None:
                    streams[1].close()
                streams = None
            else:
                self._note(began, answer, "")
            await asyncio.sleep(EVERY)
        if streams is not None:
            streams[1].close()

    def _note(self, began: float, answer: str, error: str) -> None:
        self.requests.append(Request(began, time.monotonic(), answer, error))


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: str) -> str:
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, _, fields = head.partition("\r\n")
    if " 200 " not in f"{status} ":
        raise ValueError(status)
    length = re.search(r"(?im)^content-length: *(\d+)", fields)
    if length is None:
        raise ValueError(f"no length: {head!r}")
    return (await reader.readexactly(int(length[1]))).decode().strip()


def free_port() -> int:
    """A port that is free on both loopbacks now, for programs that have to be told one."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        port: int = six.getsockname()[1]
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    return free_port()


def get(port: int, host: str = "127.0.0.1", path: str = "/") -> str:
    """One request, one connection; the body."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode().strip()
        assert answer.status == 200, (answer.status, body)
        return body
    finally:
        connection.close()
