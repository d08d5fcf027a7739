"""The process that takes a socket's place and puts it back, whatever happens to the one it serves.

``tapping`` starts it, in a session of its own, so that neither Ctrl-C nor a lost terminal reaches
it, and speaks with it over its standard input (``messages``). The end of that connection means that
the main process is gone: the original is restored, then those who were in the queue of the
listening socket meanwhile are served from here, so that no connect is refused or lost.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferryman.addresses import UnixAddress
from ferryman.dataplane.contract import READ, Endpoint, Policy
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.errors import FerrymanError, UserError
from ferryman.intercept import messages
from ferryman.intercept.clients import Doorkeeper
from ferryman.intercept.entry import Entry, Identity
from ferryman.intercept.journal import Journal
from ferryman.intercept.messages import Command, Said
from ferryman.intercept.swap import Place

if TYPE_CHECKING:
    from types import FrameType

    from ferryman.intercept.verdict import Outcome

LOOK = 0.2
"""Seconds between two looks at who has the path."""
QUEUE = 0.5
"""Seconds for which the queue of a socket that has lost its name is served: a client may have been
on its way into it."""
_FOREVER = 1e9


class Guardian:
    """Watches over one socket; ``loop`` runs until there is nothing left to watch or to carry."""

    def __init__(
        self, loop: Loop, place: Place, control: socket.socket, *, follow: bool, any_user: bool
    ) -> None:
        self._loop = loop
        self._place = place
        self._control = control
        self._follow = follow
        self._any_user = any_user
        self._main = os.getppid()
        self._journal: Journal | None = None
        self._entry: Entry | None = None  # while it is tapped
        self._outcome: Outcome = "restored"  # of the last time that it was put right
        self._listener: socket.socket | None = None
        self._original: int | None = None
        self._mode = 0
        self._missing = False
        self._alone = False

    def start(self) -> None:
        """Tap it, or say why not."""
        self._loop.add(self._control.fileno(), READ, self._heard)
        try:
            self._tap()
        except FerrymanError as error:
            self._tell(messages.failed(error))
            self._loop.stop()
        else:
            self._loop.call_later(LOOK, self._look)

    def restore(self) -> None:
        """Put the original back, tap no successor, and say what became of it."""
        self._follow = False
        self._put_right()

    def close(self) -> None:
        """Leave nothing behind."""
        self._put_right()
        self._let_go()

    # -- taking the place --

    def _tap(self) -> None:
        self._let_go()
        self._journal = journal = Journal.open(self._place.path)
        try:
            left = journal.read()
            if left is not None:
                self._place.restore(left)
            self._move_aside(journal)
        except BaseException:
            if self._entry is not None:
                self._place.restore(self._entry)
            self._forget()
            self._let_go()
            raise

    def _move_aside(self, journal: Journal) -> None:
        original = self._place.inspect()
        entry = Entry(
            path=self._place.path,
            original=Identity.of(original),
            mode=original.st_mode,
            uid=original.st_uid,
            gid=original.st_gid,
            main=self._main,
            guardian=os.getpid(),
            since=time.time(),
        )
        try:
            self._listener, ours = self._place.stage(original)
            self._entry = entry.taken(ours)
            journal.write(self._entry)
            self._place.expose(entry.original)
            self._original = self._place.open_original()
        except PermissionError as cause:
            raise UserError(
                f"moving {entry.path} aside is not permitted",
                f"sudo ferry tap {entry.path}; ferry tap {entry.path} -- COMMAND moves nothing",
            ) from cause
        except OSError as cause:
            raise UserError(f"cannot move {entry.path} aside: {cause.strerror}") from cause
        descriptors = [self._listener.fileno()]
        if self._original is not None:
            descriptors.append(self._original)
        self._mode = entry.mode
        self._tell({"said": "tapped", "mode": f"{entry.mode:o}"}, descriptors)

    # -- what happens --

    def _heard(self, _: int) -> None:
        try:
            commands = self._control.recv(64)
        except BlockingIOError:
            return
        except OSError:
            commands = b""
        if not commands:
            self._orphaned()
            return
        if Command.RESTORE.value in commands:
            self.restore()
        if Command.LEAVE.value in commands:
            self._loop.stop()

    def _look(self) -> None:
        """Whether our socket still has the path, and the main process still lives: something that
        it started may hold the other end of our connection open.
        """
        if self._main != os.getppid():
            self._orphaned()
        if self._alone:
            return
        if self._entry is not None:
            self._look_at_ours(self._entry)
        elif self._follow:
            self._try_successor()
        self._loop.call_later(LOOK, self._look)

    def _look_at_ours(self, entry: Entry) -> None:
        now = self._place.identity()
        if now == entry.ours:
            self._missing = False
        elif now is None and not self._missing:
            self._missing = True  # a server that stops removes the name first: let it
        else:
            self._put_right()

    def _try_successor(self) -> None:
        """Tap the server's next socket, once there is one; until then nothing is said."""
        if self._place.identity() is None:
            return
        try:
            self._tap()
        except FerrymanError:
            return

    def _orphaned(self) -> None:
        """The main process is gone without a word."""
        if self._alone:
            return
        self._alone = True
        self._loop.remove(self._control.fileno())
        self._put_right()
        listener, self._listener = self._listener, None
        if listener is None:
            self._loop.stop()
        else:
            self._serve_queue(listener)

    def _serve_queue(self, listener: socket.socket) -> None:
        name, original = self._place.path, self._original
        target = UnixAddress(name if original is None else f"/proc/self/fd/{original}")
        engine = Engine(self._loop, lambda _: None)
        engine.policy(name, Policy(hold=0), 0)
        engine.endpoints(name, [Endpoint(name, target)], 0)
        engine.adopt(name, listener, Doorkeeper(self._mode, any_user=self._any_user))
        self._loop.call_later(QUEUE, lambda: engine.stop(_FOREVER, self._loop.stop))

    # -- putting it back --

    def _put_right(self) -> None:
        """Restore what is tapped, if it is, and say how. Those in the queue stay in it."""
        if self._entry is not None:
            self._outcome = self._place.restore(self._entry)
            self._forget()
        self._tell({"said": self._outcome})

    def _forget(self) -> None:
        """Nothing is moved aside any more."""
        self._entry = None
        self._missing = False
        if self._journal is not None:
            self._journal.remove()
            self._journal = None

    def _let_go(self) -> None:
        """Close what the main process has, too."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._original is not None:
            os.close(self._original)
            self._original = None

    def _tell(self, message: Said, descriptors: Sequence[int] = ()) -> None:
        try:
            messages.send(self._control, message, descriptors)
        except OSError:
            pass  # it is gone, which ``_heard`` will see


def main(words: Sequence[str]) -> int:
    """``PATH [--follow] [--any-user]``: guard it for whoever is at the other end of stdin."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    control.setblocking(False)
    loop = Loop()
    try:
        with Place(words[0]) as place:
            guardian = Guardian(
                loop, place, control, follow="--follow" in words, any_user="--any-user" in words
            )

            def terminated(_: int, __: FrameType | None) -> None:
                loop.call_threadsafe(guardian.restore)

            signal.signal(signal.SIGTERM, terminated)
            try:
                guardian.start()
                loop.run()
            finally:
                guardian.close()
    except FerrymanError as error:
        messages.send(control, messages.failed(error), ())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
