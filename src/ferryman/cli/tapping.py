"""``ferry tap SOCKET`` at work: bytes on the main thread, the socket's place with a guardian.

``tap`` parses; ``intercept.tapping`` moves the socket aside and back; here its clients are carried
to the original, and what happens is told. Ends when a signal says so, when somebody else restores
the socket, or, unless it is followed, when the server has gone.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ferryman.cli.lines import Lines, happened
from ferryman.cli.looking import Looking
from ferryman.cli.output import note, result
from ferryman.dataplane.contract import READ, Endpoint, Event, Policy
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.intercept.clients import Doorkeeper
from ferryman.intercept.swap import SAVED
from ferryman.intercept.tapping import Tap, Tapped, Untapped

if TYPE_CHECKING:
    from types import FrameType

_DRAIN = 2.0
_QUEUE = 0.3  # seconds for which clients may still come that had found our socket
_STOPPED = {
    "stopped": "its server has stopped, and there is nothing to put back",
    "replaced": "its server has put a new socket there, which is left alone",
    "restored": "the original is back in its place",
}


class Tapping:
    """One tap, from moving the socket aside to its last line. ``follow`` taps the successor of a
    socket whose server was restarted.
    """

    def __init__(
        self,
        tap: Tap,
        looking: Looking | None,
        *,
        follow: bool,
        any_user: bool,
        quiet: bool,
    ) -> None:
        self._tap = tap
        self._follow = follow
        self._any_user = any_user
        self._quiet = quiet
        self._looking = looking
        self._loop = Loop()
        self._lines = Lines(self._loop)
        self._engine = Engine(self._loop, self._tell)
        self._generation = 0
        self._stops = 0
        self._ending = False
        self._code = 0
        self._dial = ""

    def run(self) -> int:
        """Returns the exit code: 0 if it was ended, 1 if it ended because the server did."""
        tapped = self._tap.start()
        watched = self._tap.fileno()
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
            if not (nohup and number == signal.SIGHUP):
                signal.signal(number, self._signalled)
        looking = self._looking
        if looking is not None:
            looking.observe(self._engine)
        policy = Policy(hold=0, observe=looking.mode if looking is not None else "Off")
        self._engine.policy(self._tap.path, policy, 0)
        self._carry(tapped)
        self._loop.add(watched, READ, lambda _: self._hear(watched))
        say = note if looking is not None and looking.uses_stdout else result
        say(f"Tapping {self._tap.path}; its server is at {self._tap.path}{SAVED} meanwhile")
        if not self._quiet:
            note(
                "Not seen: containers that have the socket mounted already. The server sees our"
                " credentials instead of its clients', and no descriptors that they pass."
            )
        try:
            self._loop.run()
        finally:
            self._lines.close()
            self._loop.close()
        return self._code

    def _carry(self, tapped: Tapped) -> None:
        self._generation += 1
        self._dial = tapped.dial.path
        endpoint = Endpoint(self._tap.path, tapped.dial)
        self._engine.endpoints(self._tap.path, [endpoint], self._generation)
        doorkeeper = Doorkeeper(tapped.mode, any_user=self._any_user, refused=self._lines.add)
        self._engine.adopt(self._tap.path, tapped.listener, doorkeeper)

    def _hear(self, watched: int) -> None:
        for news in self._tap.receive():
            match news:
                case Tapped():
                    self._carry(news)
                    self._lines.add(f"Tapping {self._tap.path} again: its server is back")
                case Untapped(outcome) if not self._ending:
                    self._untapped(outcome)
        if self._tap.fileno() < 0:
            self._loop.remove(watched)

    def _untapped(self, outcome: str) -> None:
        self._lines.add(f"{self._tap.path}: {_STOPPED[outcome]}")
        if outcome != "restored" and not self._stops:
            if self._follow:
                self._lines.add("(waiting for its next socket)")
                return
            self._code = 1
            self._lines.add("(--follow taps its next socket, too)")
        self._ending = True
        self._loop.call_later(_QUEUE, self._stop)

    def _stop(self) -> None:
        self._engine.stop(_DRAIN if self._stops < 2 else 0.0, self._loop.stop)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self._loop.call_threadsafe(self._refuse_to_sleep)
            return
        self._stops += 1
        self._loop.call_threadsafe(self._tap.restore if self._stops == 1 else self._stop)

    def _refuse_to_sleep(self) -> None:
        self._lines.add("Ctrl-Z would hold up every client of the socket; Ctrl-C puts it back")

    def _tell(self, event: Event) -> None:
        if self._looking is not None and self._looking.tells(event):
            return
        line = happened(event, quiet=self._quiet)
        if line:
            self._lines.add(line.replace(self._dial, self._tap.path))
