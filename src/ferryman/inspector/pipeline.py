"""From what was carried to what is shown, kept and sent: the way of every record; no I/O but files.

Each record goes to its connection's session; what leaves that goes to the files and to the
exchanges that a program asked for, and past the selection (``--only``, ``--grep``) to the form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ferryman.inspection import feed, forms
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.events import Recognised
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.filters import Filter, grep
from ferryman.inspection.selection import Selection
from ferryman.inspection.session import Decoded, Seen
from ferryman.inspection.sessions import Sessions
from ferryman.inspector.keeping import Keeping
from ferryman.inspector.seeing import Seeing

Show = Callable[[bytes], None]
"""Writes what is shown; raises OSError when nobody reads it any more."""


class Pipeline:
    """``tell`` is given every exchange that was selected, once it is over; ``show`` may be None."""

    def __init__(
        self,
        seeing: Seeing,
        show: Show | None,
        keepings: Sequence[Keeping] = (),
        tell: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._keepings = list(keepings)
        self._show = show
        self._tell = tell
        selects = bool(seeing.only or seeing.grep)
        self._form = forms.make(
            seeing.format,
            forms.Options(
                verbose=seeing.verbose,
                hexed=seeing.hexadecimal,
                max_body=seeing.shown_body,
                colour=seeing.colour,
                connections=not selects,
            ),
        )
        raw = (show is not None and self._form.raw) or any(k.raw for k in self._keepings)
        limit = seeing.body_limit
        if show is not None:
            limit = max(limit, self._form.body_limit)
        self._selection = _selection(seeing) if selects else None
        if self._selection is not None:
            limit = max(limit, self._selection.body_limit)
        self._sessions = Sessions(redact=seeing.redact, raw=raw, body_limit=limit)
        assembles = tell is not None or any(k.exchanges for k in self._keepings)
        self._assembly = Assembly(limit) if assembles else None
        self._at = 0

    def receive(self, record: feed.Record) -> None:
        """One record. Raises OSError when nobody reads what is shown."""
        for seen in self._sessions.receive(record):
            self.take(seen)

    def take(self, seen: Seen) -> None:
        """What a session has told, or a file that has no bytes. Raises OSError as ``receive``."""
        self._at = seen.at
        self._keep(seen)
        self._present(seen)

    def commands(self) -> list[feed.Command]:
        """What the data plane is to be told since the last call."""
        return self._sessions.commands()

    def flush(self) -> list[str]:
        """Write what waits for company; says which files ended early, once."""
        failed = []
        for keeping in list(self._keepings):
            keeping.flush()
            if keeping.error:
                failed.append(keeping.error)
                self._keepings.remove(keeping)
        return failed

    def finish(self) -> None:
        """Nothing more comes: what is unfinished is told as such, files are closed."""
        if self._assembly is not None:
            self._finished(self._assembly.finish(self._at))
        for keeping in self._keepings:
            keeping.close()
        if self._show is not None:
            for seen in self._selection.finish(self._at) if self._selection is not None else ():
                self._show(self._form.write(seen))
            self._show(self._form.finish())

    def _keep(self, seen: Seen) -> None:
        if isinstance(seen, Decoded):
            if isinstance(seen.event, Recognised):
                for keeping in self._keepings:
                    keeping.recognised(seen.connection, seen.event.protocol)
        else:
            for keeping in self._keepings:
                keeping.record(seen)
        if self._assembly is not None:
            self._finished(self._assembly.receive(seen))

    def _finished(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in filter(self._wants, exchanges):
            for keeping in self._keepings:
                keeping.exchange(exchange)
            if self._tell is not None:
                self._tell(exchange)

    def _wants(self, exchange: Exchange) -> bool:
        return self._selection is None or self._selection.wants(exchange)

    def _present(self, seen: Seen) -> None:
        if self._show is None:
            return
        chosen = (seen,) if self._selection is None else self._selection.receive(seen)
        for one in chosen:
            if text := self._form.write(one):
                self._show(text)


def _selection(seeing: Seeing) -> Selection:
    only = Filter(seeing.only) if seeing.only else None
    return Selection(only, grep(seeing.grep) if seeing.grep else None)
