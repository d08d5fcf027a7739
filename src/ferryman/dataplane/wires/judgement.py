"""What a refusal, a text on the error stream, or the loss of a wire means for a dial; pure.

``handshake`` asks about answers to the upgrade, ``stream`` about what came later. The texts are
those of Kubernetes 1.36 with containerd 2.4; what is not known for certain not to have been
delivered is ambiguous.
"""

from __future__ import annotations

import re

from ferryman.dataplane.contract import DialFailure
from ferryman.protocols.multiplex import Rejected

# `error forwarding port 8999 to pod …: … failed to connect to localhost:8999 inside namespace …
# connect: connection refused`; the pod's own RST reads `read: connection reset by peer`.
_REFUSED = re.compile(r"connect: connection refused|failed to connect to localhost:\d+ inside")
# `… network namespace for sandbox "…" is closed`, `failed to find sandbox "…" in store: not found`
_GONE = re.compile(r"network namespace for sandbox .* is closed|failed to find sandbox")
# The node never saw both streams of the pair, so it did not dial.
_UNPAIRED = re.compile(r"timed out waiting for streams")

_FEW = 300

GATEWAY = (502, 504)
"""What stands before the API server says so when that is away."""


def refused_in_pod(text: str) -> DialFailure:
    """What the error stream said before the pod did."""
    if _GONE.search(text):
        return DialFailure("gone", brief(text), delivered=False)
    if _REFUSED.search(text):
        return DialFailure("refused", brief(text), delivered=False)
    if _UNPAIRED.search(text):
        return DialFailure("unavailable", brief(text), delivered=False)
    return DialFailure("ambiguous", brief(text), delivered=True)


def wire_lost(why: str, *, flushed: bool) -> DialFailure:
    """The wire ended under a stream from whose pod nothing had come.

    ``flushed`` says whether anything of the stream was given to the network.
    """
    if flushed:
        return DialFailure("ambiguous", why, delivered=True)
    return DialFailure("unavailable", why, delivered=False)


def rejected(answer: Rejected) -> DialFailure:
    """The failure of a dial whose upgrade was refused for good.

    A ``wait`` above zero asks to try again later (429, 503).
    """
    message = brief(answer.message) or f"the API server answered {answer.status}"
    kind = {401: "unauthorized", 403: "forbidden", 404: "gone"}.get(answer.status, "unavailable")
    wait = 0.0
    if answer.status in (429, 503):
        wait = max(1.0, answer.retry_after or 0.0)
    return DialFailure(kind, message, delivered=False, wait=wait)


def final(answer: Rejected, transport: str) -> bool:
    """Whether no further transport is to be tried after this answer to one of them.

    A 403 of the WebSocket's GET is not final: whoever may only ``create`` gets through with SPDY's
    POST. One of that POST, in the words of Kubernetes' RBAC, is.
    """
    if answer.status in (429, 503):
        return True
    if answer.status == 403 and transport == "spdy" and "forbidden" in answer.message:
        return True
    return not answer.fall_back


def brief(text: str) -> str:
    """A peer's text made fit for one line of ours: no control characters, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * _FEW])
    line = " ".join(line.split())
    return line if len(line) <= _FEW else line[: _FEW - 1] + "…"
