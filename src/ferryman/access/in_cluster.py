"""Access from inside a pod: the API server that the kubelet names, the mounted token and CA.

``kubeconfig`` falls back to it where there is no kubeconfig. The kubelet rotates the token;
``credentials.TokenFile`` reads it again. Source: client-go ``rest.InClusterConfig`` (1.36).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ferryman.access import proxies
from ferryman.access.access import Access
from ferryman.access.credentials import TokenFile
from ferryman.access.document import read
from ferryman.errors import UserError
from ferryman.runtime.tls import TLSSettings

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAME = "in-cluster"
"""The context's and the cluster's name, since nobody gave them one."""


def possible(environ: Mapping[str, str]) -> bool:
    """Whether this is a pod that was given a service account."""
    named = environ.get("KUBERNETES_SERVICE_HOST") and environ.get("KUBERNETES_SERVICE_PORT")
    return bool(named) and os.path.isfile(os.path.join(MOUNT, "token"))


def load(environ: Mapping[str, str]) -> Access:
    """The pod's own access; raises UserError if what is mounted is of no use."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        namespace = read(os.path.join(MOUNT, "namespace"), "the pod's namespace").decode().strip()
    except (UserError, UnicodeDecodeError):
        namespace = ""  # a mount without it: kubectl takes the default too
    return Access(
        NAME,
        NAME,
        namespace or "default",
        server,
        TLSSettings(read(os.path.join(MOUNT, "ca.crt"), "the service account's authority")),
        TokenFile(os.path.join(MOUNT, "token")),
        proxies.choose(server, environ),
    )
