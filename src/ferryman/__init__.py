"""Carries sockets across: relays, Kubernetes forwards that heal, and an API for both.

``forward``, ``relay`` and ``tap`` are the library; they are loaded when they are first used,
because ``import ferryman`` has to cost nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know better; importing typing takes longer than all else
if TYPE_CHECKING:
    from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
    from ferryman.intercept.library import BlockingTap, TapHere, tap
    from ferryman.library import (
        BlockingForward,
        BlockingRelay,
        Event,
        Forward,
        Relay,
        StatusChanged,
        forward,
        relay,
    )

__version__ = "0.1.0"

__all__ = [
    "BlockingForward",
    "BlockingRelay",
    "BlockingTap",
    "Event",
    "FerrymanError",
    "Forward",
    "PeerError",
    "Relay",
    "StatusChanged",
    "TapHere",
    "Unavailable",
    "UserError",
    "forward",
    "relay",
    "tap",
]

_ERRORS = frozenset({"FerrymanError", "PeerError", "Unavailable", "UserError"})

_INTERCEPT = frozenset({"BlockingTap", "TapHere", "tap"})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = "ferryman.errors" if name in _ERRORS else "ferryman.library"
    if name in _INTERCEPT:
        module = "ferryman.intercept.library"
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value
