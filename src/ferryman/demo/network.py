"""Addresses for pods, on this machine only.

On Linux every address of 127.0.0.0/8 can be bound, so a demo takes a whole 127.a.b.0/24 and each
pod listens on an address of its own, on the very ports that its containers name. Elsewhere only
127.0.0.1 is there: pods get addresses that lead nowhere, and a map leads from each of their ports
to a port of 127.0.0.1. Two demos live side by side in either case.
"""

from __future__ import annotations

import errno
import random
import socket
import sys
from typing import Protocol

from ferryman.errors import Unavailable

PODS = 250
_LOCK_PORT = 10250  # a kubelet's own port; whoever has it bound owns the range
_TRIES = 64


class Network(Protocol):
    """Where pods are."""

    node_ip: str

    def allocate(self) -> str:
        """A pod's address, longest unused first; raises Unavailable when all are taken."""
        ...

    def release(self, pod_ip: str) -> None:
        """The pod is gone."""
        ...

    def listen(self, pod_ip: str, port: int) -> tuple[str, int]:
        """Where on this machine the pod's program has to listen for that port."""
        ...

    def dial(self, pod_ip: str, port: int) -> tuple[str, int] | None:
        """Where to dial a pod's port; None if nothing can be listening there."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class _Pool:
    """Addresses in turn, so that a dead pod's is used again as late as possible."""

    def __init__(self, prefix: str) -> None:
        self._free = [f"{prefix}.{n}" for n in range(2, 2 + PODS)]

    def take(self) -> str:
        if not self._free:
            raise Unavailable(f"all {PODS} pod addresses of the demo are taken")
        return self._free.pop(0)

    def give(self, address: str) -> None:
        self._free.append(address)


class LoopbackNetwork:
    """A free 127.a.b.0/24, owned by a bound socket: it is free again when this process ends."""

    def __init__(self) -> None:
        self._lock, prefix = _claim_range()
        self.node_ip = f"{prefix}.1"
        self._pool = _Pool(prefix)

    def allocate(self) -> str:
        return self._pool.take()

    def release(self, pod_ip: str) -> None:
        self._pool.give(pod_ip)

    def listen(self, pod_ip: str, port: int) -> tuple[str, int]:
        return pod_ip, port

    def dial(self, pod_ip: str, port: int) -> tuple[str, int] | None:
        return pod_ip, port

    def close(self) -> None:
        self._lock.close()


class MappedNetwork:
    """Made-up addresses whose ports lead to random ports of 127.0.0.1."""

    def __init__(self) -> None:
        self.node_ip = "127.0.0.1"
        self._pool = _Pool("10.244.0")
        self._ports: dict[tuple[str, int], int] = {}

    def allocate(self) -> str:
        return self._pool.take()

    def release(self, pod_ip: str) -> None:
        for key in [key for key in self._ports if key[0] == pod_ip]:
            del self._ports[key]
        self._pool.give(pod_ip)

    def listen(self, pod_ip: str, port: int) -> tuple[str, int]:
        """The same port after a restart of the container."""
        if (pod_ip, port) not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._ports[pod_ip, port] = probe.getsockname()[1]
        return "127.0.0.1", self._ports[pod_ip, port]

    def dial(self, pod_ip: str, port: int) -> tuple[str, int] | None:
        mapped = self._ports.get((pod_ip, port))
        return ("127.0.0.1", mapped) if mapped else None

    def close(self) -> None:
        self._ports.clear()


def open_network() -> Network:
    """The best that this machine can do."""
    return LoopbackNetwork() if sys.platform == "linux" else MappedNetwork()


def _claim_range() -> tuple[socket.socket, str]:
    for _ in range(_TRIES):
        prefix = f"127.{random.randint(64, 250)}.{random.randint(1, 254)}"  # noqa: S311  # no secret
        lock = socket.socket()
        try:
            lock.bind((f"{prefix}.1", _LOCK_PORT))
            return lock, prefix
        except OSError as error:
            lock.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise Unavailable("no free 127.a.b.0/24 for the demo's pods was found")
