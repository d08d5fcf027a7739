"""Asks whether an address takes connections now: dials it as a connection would, and says nothing.

For a port that refused somebody who has given up since: nobody else would find out that it no
longer does. The program there sees a connection that ends without a word, as from a TCP readiness
probe. ``controllers.relay.probing`` says when to ask.
"""

from __future__ import annotations

from collections.abc import Callable

from ferryman.dataplane.contract import READ, Dial, DialFailure, Dialled, Side
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import SocketSide

Answered = Callable[[DialFailure | None], None]


class Probe:
    """One question. ``done`` is called once, with why the address cannot be reached or None.

    A wire says nothing of a pod that accepts: it does when no refusal has come in ``patience``
    seconds, or when the pod speaks or ends the connection.
    """

    def __init__(self, loop: Loop, patience: float, done: Answered) -> None:
        self._loop = loop
        self._patience = patience
        self._done = done
        self._side: Side | None = None
        self._timer: Timer | None = None

    def start(self, dial: Callable[[Dialled], Dial]) -> None:
        """Dial. The dial ends by itself, within the limits that all dials have."""
        dial(self._dialled)

    def _dialled(self, result: Side | DialFailure) -> None:
        if isinstance(result, DialFailure):
            self._done(result)
        elif isinstance(result, SocketSide):
            result.close()
            self._done(None)
        else:
            self._side = result
            self._timer = self._loop.call_later(self._patience, lambda: self._finish(None))
            result.attach(self._stirs)
            result.want(READ)

    def _stirs(self, _: int) -> None:
        if self._side is None:
            return
        try:
            self._side.recv_into(memoryview(bytearray(1)))
        except BlockingIOError:
            return
        except DialFailure as failure:
            self._finish(failure)
        except OSError:
            self._finish(None)  # it was reset by whoever had accepted it
        else:
            self._finish(None)

    def _finish(self, failure: DialFailure | None) -> None:
        side, self._side = self._side, None
        if self._timer is not None:
            self._timer.cancel()
        if side is not None:
            side.close()
            self._done(failure)
