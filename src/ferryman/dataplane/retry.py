"""What the loss of a target means for its connection; pure.

The rules (DESIGN, "When a pod dies"): what was certainly not delivered is always dialled again;
what may have been delivered only if repeating it is harmless; a download that may be cut short
must not look whole. ``connection`` gathers the facts and acts on the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MOST_REPLAYS = 3  # of requests that may have been delivered: one that kills its server has to end

How = Literal["fin", "reset", "undelivered"]
Verdict = Literal["redial", "pass", "reset"]
"""Dial again and replay; let the end through as it came; end the client with an RST."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How a target ended.

    ``how``: "fin" came as a proper end, "reset" did not, "undelivered" never reached the
    application. ``going`` says that the endpoint is draining or gone. ``proven`` says that it
    answered since the client last began to speak; ``said`` whether the client has said anything
    since, ``kept`` whether all of that is still at hand, ``harmless`` whether it may be repeated.
    ``complete`` is what the protocol says of the answers so far: all whole, not whole, or None if
    the protocol is not known.
    """

    how: How
    going: bool
    proven: bool
    said: bool
    kept: bool
    harmless: bool
    complete: bool | None
    replays: int


def judge(loss: Loss) -> Verdict:
    """What to do about it."""
    if not loss.proven and _repeatable(loss):
        return "redial"
    if loss.how != "fin":
        return "reset"
    if loss.going and loss.complete is not True:
        return "reset"
    return "pass"


def _repeatable(loss: Loss) -> bool:
    if not loss.said:
        # Nothing to lose. A healthy server that closes an idle connection means it, though.
        return loss.how == "undelivered" or loss.going
    if not loss.kept:
        return False
    return loss.how == "undelivered" or (loss.harmless and loss.replays < MOST_REPLAYS)
