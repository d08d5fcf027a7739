"""A pod's place: its address, how its ports are dialled, and how it goes away.

The stages and their times are those seen with containerd 2.4 under load
(``portforward`` says what a client is told in each): while the container is stopped dials are
refused, then for a moment they are not answered at all, then the network namespace is closed, then
the sandbox is not found.
"""

from __future__ import annotations

import errno
import secrets
import socket
from enum import Enum

from ferryman.demo.network import Network
from ferryman.runtime.clock import Clock


class Stage(Enum):
    """How far a sandbox is on its way out."""

    UP = "up"
    SILENT = "silent"
    CLOSED = "closed"
    GONE = "gone"


REFUSING = 0.075
SILENT = 0.01
CLOSED = 0.05
"""Seconds that a sandbox without containers refuses, is silent, is closed."""


class Sandbox:
    """Where a pod's containers live; one for the pod's whole life."""

    def __init__(self, network: Network) -> None:
        self.id = secrets.token_hex(32)
        token = secrets.token_hex(16)
        self.namespace = "/var/run/netns/cni-" + "-".join(
            (token[:8], token[8:12], token[12:16], token[16:20], token[20:])
        )
        self.stage = Stage.UP
        self._network = network
        self.ip = network.allocate()

    def listen(self, port: int) -> tuple[str, int]:
        """Where the program has to listen for a container's port."""
        return self._network.listen(self.ip, port)

    def address(self, port: int) -> tuple[str, int]:
        """Where to dial a port; raises ConnectionRefusedError if nothing can be there."""
        found = self._network.dial(self.ip, port)
        if found is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return found

    def socket_for(self, port: int) -> tuple[socket.socket, tuple[str, int]]:
        """A new socket, and where to connect it for a port of the pod."""
        address = self.address(port)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM), address

    async def tear_down(self, clock: Clock) -> None:
        """Go away as containerd does, once the containers have stopped."""
        await clock.sleep(REFUSING)
        self.stage = Stage.SILENT
        await clock.sleep(SILENT)
        self.stage = Stage.CLOSED
        await clock.sleep(CLOSED)
        self.release()

    def release(self) -> None:
        """Give the address back; idempotent."""
        if self.stage is not Stage.GONE:
            self.stage = Stage.GONE
            self._network.release(self.ip)
