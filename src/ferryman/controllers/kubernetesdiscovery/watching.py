"""What a KubernetesDiscovery watches now, and which news of pods concern it.

All discoveries of a namespace share one watch of its pods (``apiclient.sharing``); each hears of
every pod there, and only asks to be looked at for those that it has, may have, or has not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from ferryman.api.client import Bookmark, Deleted, WatchEvent
from ferryman.api.kinds.kubernetesdiscovery import KubernetesDiscoverySpec
from ferryman.api.resource import Object
from ferryman.apiclient.sharing import Lease
from ferryman.controllers.connections import Connection
from ferryman.controllers.kubernetesdiscovery.membership import Member, namespaces, selector
from ferryman.errors import FerrymanError
from ferryman.kube.resources import PODS


class Watching:
    """``look`` asks for the discovery to be looked at; ``since`` is when this spec came."""

    def __init__(
        self, spec: KubernetesDiscoverySpec, since: datetime, look: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.since = since
        self.default_namespace = ""
        self._look = look
        self._selectors = [selector(s) for s in spec.extra_selectors]
        self._connection: Connection | None = None
        self._leases: dict[str, Lease] = {}
        self._members: frozenset[str] = frozenset()
        self._strangers: dict[str, tuple[str, ...]] = {}

    @property
    def synced(self) -> bool:
        """Whether all pods have been seen at least once."""
        return bool(self._leases) and all(lease.synced for lease in self._leases.values())

    @property
    def error(self) -> FerrymanError | None:
        """Why what is known may be out of date."""
        return next((e for lease in self._leases.values() if (e := lease.error) is not None), None)

    @property
    def pods(self) -> list[Object]:
        """All pods of the namespaces, as last seen."""
        return [pod for lease in self._leases.values() for pod in lease.objects.values()]

    def watch(self, connection: Connection | None, default_namespace: str) -> None:
        """Watch the spec's namespaces there; new ones before old ones are left."""
        self.default_namespace = default_namespace
        before = self._leases
        self._leases = {}
        wanted = namespaces(self.spec, default_namespace) if connection is not None else ()
        for namespace in wanted:
            kept = before.pop(namespace, None) if connection is self._connection else None
            assert connection is not None
            self._leases[namespace] = kept or connection.informers.lease(
                PODS, namespace, self._heard, self._look
            )
        self._connection = connection
        for lease in before.values():
            lease.close()

    def judged(self, members: Iterable[Member]) -> None:
        """Remember which pods belong, and which do not for as long as their owners stay."""
        self._members = frozenset(_uid(member.pod) for member in members)
        self._strangers = {
            uid: _owners(pod) for pod in self.pods if (uid := _uid(pod)) not in self._members
        }

    def close(self) -> None:
        """Watch no more."""
        self.watch(None, "")

    def _heard(self, event: WatchEvent) -> None:
        if isinstance(event, Bookmark):
            return
        uid = _uid(event.object)
        gone = isinstance(event, Deleted)
        if uid in self._members or (not gone and self._may_belong(uid, event.object)):
            self._look()

    def _may_belong(self, uid: str, pod: Object) -> bool:
        return self._strangers.get(uid) != _owners(pod) or any(
            s.matches(pod) for s in self._selectors
        )


def _uid(pod: Object) -> str:
    return str(pod["metadata"].get("uid", ""))


def _owners(pod: Object) -> tuple[str, ...]:
    return tuple(str(r.get("uid", "")) for r in pod["metadata"].get("ownerReferences") or ())
