"""The wires to all clusters: what ``engine`` sees of this package."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ferryman.dataplane.contract import (
    ClusterSettings,
    Dial,
    DialFailure,
    Dialled,
    Event,
    PodAddress,
)
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.wires.actions import Counts
from ferryman.dataplane.wires.cluster import Cluster
from ferryman.dataplane.wires.wire import SCRATCH


class Wires:
    """Loop thread only, but for ``counts``. ``emit`` is called on the loop and must not block;
    ``wall`` gives seconds since the epoch, in which credentials expire.
    """

    def __init__(
        self,
        loop: Loop,
        emit: Callable[[Event], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._wall = wall
        self._scratch = memoryview(bytearray(SCRATCH))
        self._clusters: dict[str, Cluster] = {}

    def cluster(self, settings: ClusterSettings) -> None:
        """How wires are opened from now on. If the server or its TLS changed, those that there
        are take no new connections.
        """
        known = self._clusters.get(settings.key)
        if known is not None:
            known.configure(settings)
            return
        self._clusters[settings.key] = Cluster(
            self._loop, settings, self._emit, self._scratch, wall=self._wall
        )

    def credentials(
        self, cluster: str, headers: tuple[tuple[str, str], ...], expires: float | None
    ) -> None:
        """The answer to NeedCredentials: handshakes that wait for it go on."""
        known = self._clusters.get(cluster)
        if known is not None:
            known.renew(headers, expires)

    def dial(self, address: PodAddress, done: Dialled) -> Dial:
        """A stream to a pod's port. It may be handed out before the pod has accepted: that it
        did not shows as DialFailure from ``recv_into``.
        """
        known = self._clusters.get(address.cluster)
        if known is None:
            text = f"no such cluster: {address.cluster}"
            done(DialFailure("unavailable", text, delivered=False))
            return _NoDial()
        return known.dial(address, done)

    def drain(self, uid: str) -> None:
        """A pod is going away: its connections stay, no new ones on its wires, no spares."""
        for cluster in self._clusters.values():
            cluster.drain(uid)

    def forget(self, uid: str) -> None:
        """A pod is gone: its wires would never say so. What is open on them ends."""
        for cluster in self._clusters.values():
            cluster.forget(uid)

    def suspect(self) -> None:
        """The clock jumped or the network changed: every wire has to answer a PING now."""
        for cluster in self._clusters.values():
            cluster.suspect()

    def reachable(self) -> None:
        """Somebody else got through to the API servers: no handshake need wait."""
        for cluster in self._clusters.values():
            cluster.reachable()

    def counts(self) -> Mapping[str, Counts]:
        """What there is, by cluster; may be called from another thread."""
        return {key: cluster.counts() for key, cluster in list(self._clusters.items())}

    def close(self) -> None:
        """End everything: wires with all their streams, handshakes, dials."""
        for cluster in self._clusters.values():
            cluster.close()
        self._clusters.clear()


class _NoDial:
    def cancel(self) -> None:
        """It has failed already."""
