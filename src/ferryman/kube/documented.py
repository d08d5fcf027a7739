"""The ports that a pod documents, and which of them is meant when none is named; pure.

Tilt's rule for a forward without a container port: the documented port equal to the local one,
else the first documented one, else the local port. Only TCP can be forwarded.
"""

from __future__ import annotations

from ferryman.api.resource import Object
from ferryman.errors import UserError


def documented_ports(pod: Object) -> tuple[int, ...]:
    """The TCP ports of a pod's containers, in the order in which they are written."""
    return tuple(
        int(port["containerPort"])
        for container in (pod.get("spec") or {}).get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    )


def documented_port(pod: Object, local: int) -> int:
    """The port that a local one leads to; UserError for a random one if none is documented."""
    documented = documented_ports(pod)
    if local and (local in documented or not documented):
        return local
    if not documented:
        raise UserError(
            f"Pod '{pod['metadata']['name']}' documents no port for a random local one",
            "set containerPort",
        )
    return documented[0]
