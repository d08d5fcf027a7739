"""The pod's end of a forwarded connection: dials, copies, and ends as containerd 2.4 does.

It never half-closes the pod's socket, and gives the other direction one second when one has ended;
failures are told in containerd's words, which clients are known to read. ``portforward`` has the
wire that the pairs share, and everything that clients see of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from ferryman.demo.kubelet.sandbox import Sandbox, Stage
from ferryman.protocols.multiplex import ServerWire

LINGER = 1.0
"""Seconds that one direction may go on after the other has ended (containerd)."""
FRAME = 32768
"""Bytes from the pod in one frame at most, as a node sends them."""
HIGH_WATER = 1 << 20
"""Bytes waiting for a reader on either side before its writer is paused."""

_BUFFER = memoryview(bytearray(262144))
"""What is read is copied into frames before anything else is read: one buffer does for all."""


class Wire(Protocol):
    """What a pair needs of its wire; ``half_close`` carries ends faithfully."""

    machine: ServerWire
    sandbox: Sandbox
    writable: bool
    half_close: bool

    def flush(self) -> None:
        """Write what the machine has to say."""
        ...

    def clogged(self, pair: int, state: bool) -> None:
        """The pod does not read, or reads again."""
        ...

    def dial_failed(self) -> None:
        """Count it."""
        ...

    def drop(self, pair: int) -> None:
        """The pair is over."""
        ...


class PodSide(asyncio.BufferedProtocol):
    """The pod's end of one pair: dials, copies, and ends as containerd does."""

    def __init__(self, wire: Wire, pair: int, port: int) -> None:
        self._wire = wire
        self._pair = pair
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []  # what came before the pod was reached
        self._waiting_size = 0
        self._client_over = False
        self._pod_over = False
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    async def dial(self) -> None:
        """Reach the pod's port, or tell the client why not."""
        sandbox = self._wire.sandbox
        match sandbox.stage:
            case Stage.SILENT:
                return  # seen under load: accepted, and never heard of again
            case Stage.CLOSED:
                self._fail(f'network namespace for sandbox "{sandbox.id}" is closed', gone=True)
                return
            case Stage.GONE:
                self._fail(f'failed to find sandbox "{sandbox.id}" in store: not found', gone=True)
                return
            case Stage.UP:
                pass
        try:
            host, number = sandbox.address(self._port)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, host, number)
        except OSError as error:
            self._fail(_dial_error(sandbox, self._port, error))

    # From the client to the pod.

    def write(self, data: memoryview) -> None:
        """Bytes from the client."""
        if self._over:
            return
        if self._transport is not None:
            self._transport.write(bytes(data))
            return
        self._waiting.append(bytes(data))
        self._waiting_size += len(data)
        if self._waiting_size > HIGH_WATER:
            self._wire.clogged(self._pair, True)

    def client_ended(self, *, reset: bool) -> None:
        """The client's FIN, or its RST, which containerd cannot tell from a FIN."""
        if self._client_over or self._over:
            return
        self._client_over = True
        if self._wire.half_close:
            if reset:
                self.abort()
            elif self._pod_over:
                self._succeed()
            elif self._transport is not None:
                self._transport.write_eof()
            return
        self._one_direction_ended()

    # From the pod to the client: what asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._over:  # the wire ended while this was dialled
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if not self._wire.writable:
            self._transport.pause_reading()
        self._wire.clogged(self._pair, False)  # before writing, which may clog it again
        # Not writelines: up to 3.12.8 and 3.13.1 it never pauses us (CVE-2024-12254).
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        if self._client_over and self._wire.half_close:
            self._transport.write_eof()

    def get_buffer(self, _: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        send = self._wire.machine.send
        for start in range(0, count, FRAME):
            send(self._pair, _BUFFER[start : min(start + FRAME, count)])
        self._wire.flush()

    def eof_received(self) -> bool:
        if self._pod_over:  # asyncio says it again when reading is resumed after it
            return True
        self._pod_over = True
        if self._wire.half_close:
            if self._client_over:
                self._succeed()
            else:
                self._wire.machine.finish(self._pair)
                self._wire.flush()
        else:
            self._one_direction_ended()
        return True  # the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        if self._over:
            return
        if error is None:
            self._succeed()
        else:
            self._fail(_copy_error(self._wire.sandbox, self._port, error))

    def pause_writing(self) -> None:
        self._wire.clogged(self._pair, True)

    def resume_writing(self) -> None:
        self._wire.clogged(self._pair, False)

    # Both.

    def pause_reading(self) -> None:
        """The client does not read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The client reads again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """The wire is gone, or a reset is carried faithfully: RST to the pod."""
        self._finish(_reset)
        self._wire.machine.reset(self._pair)

    def _one_direction_ended(self) -> None:
        if self._client_over and self._pod_over:
            self._succeed()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._succeed)

    def _succeed(self) -> None:
        if not self._over:
            self._finish(_close)
            self._wire.machine.succeed(self._pair)
            self._wire.flush()

    def _fail(self, why: str, *, gone: bool = False) -> None:
        if self._over:
            return
        sandbox = self._wire.sandbox
        self._wire.dial_failed()
        self._finish(_close)
        text = f"error forwarding port {self._port} to pod {sandbox.id}, uid : {why}"
        self._wire.machine.fail(self._pair, text, gone=gone)
        self._wire.flush()

    def _finish(self, close: Callable[[asyncio.Transport], None]) -> None:
        self._over = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            close(self._transport)
        self._wire.drop(self._pair)


def _close(transport: asyncio.Transport) -> None:
    """Close once everything is written."""
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Close with an RST: SO_LINGER with no time."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _dial_error(sandbox: Sandbox, port: int, error: OSError) -> str:
    where = f'network namespace "{sandbox.namespace}"'
    return (
        f"failed to execute portforward in {where}: failed to connect to localhost:{port} inside "
        f'namespace "{sandbox.namespace}", IPv4: dial tcp4 127.0.0.1:{port}: connect: '
        f"{_system_word(error)} IPv6 dial tcp6: address localhost: no suitable address found "
    )


def _copy_error(sandbox: Sandbox, port: int, error: Exception) -> str:
    return (
        f'failed to execute portforward in network namespace "{sandbox.namespace}": '
        f"read tcp4 127.0.0.1->127.0.0.1:{port}: read: {_system_word(error)}"
    )


def _system_word(error: Exception) -> str:
    """The system's own, as Go says it; asyncio puts a text of its own in its place."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)
