"""What controllers may do with the clusters that a kubeconfig's contexts name.

``daemon.clusters`` opens them and keeps them open; a context is one connection, however many
objects name it. An empty context is the kubeconfig's current one.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ferryman.api.client import ObjectClient
from ferryman.apiclient.sharing import SharedInformers
from ferryman.kube.kinds import Kinds, ReadRaw


class Connection(Struct, frozen=True):
    """A context that was read: nothing is asked of its cluster before somebody uses it.

    ``cluster`` and ``config_path`` are the kubeconfig's words; ``get_raw`` gives the body at a
    path of the API, such as ``/version``, in an accepted type.
    """

    context: str
    cluster: str
    namespace: str
    config_path: str
    client: ObjectClient
    informers: SharedInformers
    kinds: Kinds
    get_raw: ReadRaw


class Connections(Protocol):
    """All of them."""

    def get(self, context: str) -> Connection | None:
        """One that is open already."""
        ...

    async def open(self, context: str) -> Connection:
        """The connection of a context. Raises UserError if the kubeconfig has no (usable) one."""
        ...
