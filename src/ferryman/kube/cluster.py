"""From access to a cluster to what the data plane needs to open wires into its pods."""

from __future__ import annotations

from urllib.parse import urlsplit

from ferryman.access.kubeconfig import Access
from ferryman.dataplane.contract import ClusterSettings
from ferryman.errors import UserError


async def cluster_settings(key: str, access: Access, refresh: bool = False) -> ClusterSettings:
    """Settings with credentials of now; ``refresh`` because the last ones were refused.

    Raises UserError if the server's URL or the credentials are of no use, Unavailable if
    credentials cannot be had now.
    """
    try:
        url = urlsplit(access.server)
        host, port = url.hostname, url.port
    except ValueError as cause:
        raise UserError(f"not a server's URL: {access.server}") from cause
    if not host:
        raise UserError(f"not a server's URL: {access.server}")
    headers = await access.credentials.headers(refresh)  # first: it may bring a new certificate
    return ClusterSettings(
        key,
        host,
        port or (443 if url.scheme == "https" else 80),
        await access.current_tls(),
        url.path.rstrip("/"),
        headers,
        access.credentials.expires,
        access.proxy,
    )
