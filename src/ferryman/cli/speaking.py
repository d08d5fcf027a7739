"""What ``ferry forward`` says while it runs: lines for people, or a JSON object for each event.

``daemon.forward`` tells both sorts of speaker what goes on. ``narration`` chooses the words for
people, ``progress`` is the line at the bottom of a terminal; the JSON is described in
docs/forward.md, and fields are only ever added to it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ferryman.api import codec
from ferryman.api.conditions import find_condition, rfc3339_micro
from ferryman.api.kinds.relay import RelayStatus
from ferryman.cli.narration import Narrator
from ferryman.cli.output import DIM, note, result
from ferryman.cli.progress import Progress
from ferryman.daemon.forward import Wish, is_so
from ferryman.dataplane.contract import Event, Traced
from ferryman.errors import FerrymanError

SOON = 0.5
"""Seconds of waiting that are not worth a line of progress."""


class Speaker:
    """Lines for people: what a script may read goes to ``say``, all else to stderr."""

    def __init__(self, wishes: Sequence[Wish], say: Callable[[str], None] = result) -> None:
        self._narrators = {wish: Narrator(str(wish.target), wish.hold) for wish in wishes}
        self._say_result = say
        self._progress = Progress(sys.stderr)
        self._waits: dict[Wish, str] = {}
        self._since = time.monotonic()
        self._traced_since: float | None = None

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        self._progress.clear()
        for port, (_, remote) in zip(status.ports, wish.ports, strict=True):
            for address in port.addresses:
                self._say_result(f"Forwarding from {address} -> {port.target_port or remote}")

    def status(self, wish: Wish, status: RelayStatus) -> None:
        now = time.monotonic()
        self._say(self._narrators[wish].status(status, now))
        self._show_progress(wish, status, now)

    def event(self, wish: Wish | None, event: Event) -> None:
        if isinstance(event, Traced):
            self._say([self._traced(event)])
            return
        narrator = next(iter(self._narrators.values())) if wish is None else self._narrators[wish]
        self._say(narrator.event(event, time.monotonic()))

    def draining(self, connections: int) -> None:
        are = "1 connection is" if connections == 1 else f"{connections} connections are"
        self._say([f"stopping: {are} still open; Ctrl-C again ends them now"])

    def failed(self, error: FerrymanError) -> None:
        """It ends with an error, which ``main`` is about to tell."""
        del error
        self._progress.clear()

    def ended(self) -> None:
        """Nothing is listened on any more."""
        self._progress.clear()

    def _traced(self, event: Traced) -> str:
        """Seconds since the first line of the trace, whose own time is the wall clock's."""
        if self._traced_since is None:
            self._traced_since = event.at
            note(f"trace begins at {rfc3339_micro(datetime.now(UTC))}; times in seconds from here")
        at = event.at - self._traced_since
        return f"{at:10.6f} wire {event.wire} {event.pod} {event.text}"

    def _show_progress(self, wish: Wish, status: RelayStatus, now: float) -> None:
        if is_so(status, "Ready"):
            self._waits.pop(wish, None)
        else:
            ready = find_condition(status.conditions, "Ready")
            self._waits[wish] = ready.message if ready is not None else "nothing is known yet"
        if not self._waits:
            self._since = now
            self._progress.clear()
        elif now - self._since >= SOON:
            waiting, why = next(iter(self._waits.items()))
            self._progress.show(f"waiting for {waiting.target}, {now - self._since:.0f} s: {why}")

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            self._progress.clear()
            note(line, DIM)


class JsonSpeaker:
    """One JSON object a line on stdout for each event: ``forwarding`` first."""

    def __init__(self, say: Callable[[str], None] = result) -> None:
        self._write = say
        self._begun: set[Wish] = set()
        self._last: dict[Wish, Mapping[str, Any]] = {}

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        self._begun.add(wish)
        ports = [
            {
                "name": port.name,
                "addresses": list(port.addresses),
                "port": port.port,
                "remote": remote,
                "targetPort": port.target_port or None,
            }
            for port, (_, remote) in zip(status.ports, wish.ports, strict=True)
        ]
        self._say("forwarding", wish, {"ports": ports})

    def status(self, wish: Wish, status: RelayStatus) -> None:
        if wish not in self._begun:
            return
        shown = {
            "ready": is_so(status, "Ready"),
            "conditions": [
                {key: c[key] for key in ("type", "status", "reason", "message") if key in c}
                for c in codec.encode(status).get("conditions", ())
            ],
            "endpoints": codec.encode(status).get("endpoints", []),
        }
        if self._last.get(wish) != shown:
            self._last[wish] = shown
            self._say("status", wish, shown)

    def event(self, wish: Wish | None, event: Event) -> None:
        name = type(event).__name__
        self._say(name[0].lower() + name[1:], wish, asdict(event))

    def draining(self, connections: int) -> None:
        self._say("draining", None, {"connections": connections})

    def failed(self, error: FerrymanError) -> None:
        """It ends with an error, which ``main`` also tells on stderr."""
        self._say("error", None, {"message": error.message, "hint": error.hint})

    def ended(self) -> None:
        """Nothing is listened on any more."""
        self._say("ended", None, {})

    def _say(self, event: str, wish: Wish | None, fields: Mapping[str, Any]) -> None:
        said: dict[str, Any] = {"event": event, "time": rfc3339_micro(datetime.now(UTC))}
        if wish is not None:
            said |= {"target": str(wish.target), "namespace": wish.target.namespace}
        self._write(json.dumps(said | dict(fields), ensure_ascii=False))
