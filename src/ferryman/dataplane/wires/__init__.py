"""Connections into pods: upgraded connections to API servers (*wires*) and the streams on them.

``engine`` holds a ``Wires`` and gives it every dial to a pod. In order: ``cluster`` asks ``pool``
which wire a connection takes; ``handshake`` makes one over a ``link``; ``wire`` moves its bytes; a
``stream`` on it is the flow's ``Side``.
"""

from __future__ import annotations

from ferryman.dataplane.wires.wires import Wires

__all__ = ["Wires"]
