"""What it takes to speak to one cluster, wherever that was found.

``kubeconfig`` and ``in_cluster`` find it; ``credentials`` prove who we are.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import Struct

from ferryman.access.credentials import Credentials
from ferryman.protocols.proxy import Proxy
from ferryman.runtime.tls import TLSSettings


class Access(Struct, frozen=True):
    """All that is needed to speak to one cluster.

    ``server`` is a URL without a trailing slash; ``tls`` is None for plain http. With a ``proxy``,
    every connection to the server goes through it. ``fingerprint`` is another one when the
    kubeconfig says something else; in this process only.
    """

    context_name: str
    cluster_name: str
    namespace: str
    server: str
    tls: TLSSettings | None
    credentials: Credentials
    proxy: Proxy | None = None
    fingerprint: int = 0

    async def current_tls(self) -> TLSSettings | None:
        """``tls`` with the client certificate that the credentials bring, if they do.

        Raises as ``Credentials.headers``.
        """
        certificate = await self.credentials.certificate()
        if certificate is None or self.tls is None:
            return self.tls
        return replace(self.tls, certificate=certificate[0], key=certificate[1])
