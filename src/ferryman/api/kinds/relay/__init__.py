"""Relay: the one native kind for everything that listens and carries.

``controllers.relay`` turns it into listeners and endpoints of the data plane, and writes its
status. ``fields`` are its spec and status, ``rules`` its defaults and what cannot be, ``columns``
how it is shown.
"""

from __future__ import annotations

from ferryman.api.kinds.relay.columns import COLUMNS
from ferryman.api.kinds.relay.fields import (
    RELAYS,
    Balance,
    Connections,
    Discovery,
    Drain,
    EndpointState,
    EndpointStatus,
    Hold,
    Inspect,
    Listen,
    Port,
    PortStatus,
    RelaySpec,
    RelayStatus,
    Retry,
    Target,
    Workload,
    listen_hosts,
    new_relay,
    spec_of,
    status_of,
)
from ferryman.api.kinds.relay.rules import default, validate
from ferryman.api.openapi import object_schema
from ferryman.api.scheme import Kind

__all__ = [
    "RELAY",
    "RELAYS",
    "Balance",
    "Connections",
    "Discovery",
    "Drain",
    "EndpointState",
    "EndpointStatus",
    "Hold",
    "Inspect",
    "Listen",
    "Port",
    "PortStatus",
    "RelaySpec",
    "RelayStatus",
    "Retry",
    "Target",
    "Workload",
    "listen_hosts",
    "new_relay",
    "spec_of",
    "status_of",
]

RELAY = Kind(
    resource=RELAYS,
    singular="relay",
    short_names=("rl",),
    categories=("all", "ferryman"),
    columns=COLUMNS,
    schema=object_schema(RELAYS, RelaySpec, RelayStatus, "Carries connections to a target."),
    default=default,
    validate=validate,
)
