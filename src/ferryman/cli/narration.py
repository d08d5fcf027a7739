"""What ``ferry forward`` tells a person while it runs: one line for each event that matters.

Gets the relay's status whenever it changes and the data plane's events, and returns lines; keeps
no time and does no I/O. What heals within a second is not worth a line, and what happens a
thousand times is worth one now and then, with a count.
"""

from __future__ import annotations

from collections.abc import Mapping

from ferryman.api.conditions import Condition, find_condition
from ferryman.api.kinds.relay import EndpointStatus, RelayStatus
from ferryman.dataplane.contract import Closed, DialFailed, Event, Opened, WireLost

PATIENCE = 1.0
"""Seconds for which a dial may go on failing before it is worth a line."""
AGAIN = 5.0
"""Seconds between two lines of the same sort."""

_MOST = 256
"""How many names, sorts and episodes are remembered before all are forgotten."""
_OF_NO_INTEREST = ("the client is gone", "ferry stops")
"""How the causes of resets begin that a person has brought about."""
_UNREACHABLE = (
    "ClusterUnreachable",
    "ClusterBusy",
    "CredentialFailed",
    "Unauthorized",
    "Forbidden",
)


class Narrator:
    """Tells the story of one relay. ``now`` is monotonic seconds everywhere.

    ``target`` is what a person called it, ``hold`` how long connections wait, as text.
    """

    def __init__(self, target: str, hold: str) -> None:
        self._target = target
        self._hold = hold
        self._endpoints: Mapping[str, EndpointStatus] = {}
        self._chosen = ""
        self._waiting = _Repeated()
        self._cluster_error = ""
        self._failing: dict[tuple[str, str], _Episode] = {}
        self._names: dict[str, str] = {}
        self._said: dict[str, _Repeated] = {}

    def status(self, status: RelayStatus, now: float) -> list[str]:
        """The relay's status, changed or not: call it now and then while connections wait."""
        lines = [*self._cluster(find_condition(status.conditions, "Reachable"), status.endpoints)]
        lines += self._departures(status.endpoints)
        lines += self._choice(status, now)
        return lines

    def event(self, event: Event, now: float) -> list[str]:
        """Something happened in the data plane."""
        match event:
            case Opened():
                for key in [k for k in self._failing if k[0] == event.endpoint]:
                    del self._failing[key]
                return []
            case Closed(reset=why) if why and not why.startswith(_OF_NO_INTEREST):
                return self._sparingly(
                    f"reset {event.endpoint}",
                    f"a connection to {self._name(event.endpoint)} was reset: {why}",
                    now,
                )
            case DialFailed(kind="held"):
                return self._sparingly(
                    "held", f"a connection waited {self._hold} for {self._target}: reset", now
                )
            case DialFailed(final=True):
                return self._sparingly(
                    f"final {event.kind}", f"a connection was reset: {self._why(event)}", now
                )
            case DialFailed():
                return self._dial_failed(event, now)
            case WireLost(dead=True):
                return self._sparingly(
                    "dead", f"the way to {event.pod} is dead ({event.message}): trying again", now
                )
            case _:
                return []

    def _cluster(self, reachable: Condition | None, known: tuple[EndpointStatus, ...]) -> list[str]:
        wrong = reachable is not None and reachable.reason in _UNREACHABLE
        error = reachable.message if reachable is not None and wrong else ""
        before, self._cluster_error = self._cluster_error, error
        if error and not before:
            return [
                f"{error}: {'the pods known so far stay in use' if known else 'waiting for it'}"
            ]
        if before and not error:
            return ["the cluster can be reached again"]
        return []

    def _departures(self, endpoints: tuple[EndpointStatus, ...]) -> list[str]:
        before, self._endpoints = self._endpoints, {e.uid: e for e in endpoints}
        if len(self._names) > _MOST:
            self._names.clear()
        self._names.update({e.uid: e.pod for e in endpoints if e.pod})
        lines = []
        for uid, old in before.items():
            new = self._endpoints.get(uid)
            if old.state != "Active" or (new is not None and new.state == "Active"):
                continue
            if new is None or new.state == "Draining":
                lines.append(f"{old.pod} is going away")
            else:
                lines.append(f"{old.pod} is {new.reason}")
        return lines

    def _choice(self, status: RelayStatus, now: float) -> list[str]:
        chosen = next((e for e in status.endpoints if e.state == "Active"), None)
        if chosen is not None:
            waited = self._waiting.at is not None
            before, self._chosen = self._chosen, chosen.uid
            self._waiting = _Repeated()
            if waited or (before and chosen.uid != before):
                return [f"now forwarding to {chosen.pod}"]
            return []
        ready = find_condition(status.conditions, "TargetReady")
        if ready is None or ready.status != "False":
            return []
        last = self._waiting
        if last.at is not None and (ready.message == last.text or now - last.at < AGAIN):
            return []
        self._waiting = _Repeated(now, ready.message)
        what = f"no ready pod for {self._target}"
        if last.at is not None:
            return [f"still {what}: {ready.message}"]
        return [f"{what}: connections wait (up to {self._hold}); {ready.message}"]

    def _dial_failed(self, event: DialFailed, now: float) -> list[str]:
        """Worth a line if it goes on: what fails while a pod is replaced does so for moments."""
        key = (event.endpoint, event.kind)
        episode = self._failing.get(key)
        if episode is None or now - episode.last > 2 * AGAIN:
            if len(self._failing) > _MOST:
                self._failing.clear()
            self._failing[key] = _Episode(now)
            return []
        episode.last = now
        if now - episode.first < PATIENCE:
            return []
        return self._sparingly(f"dial {key}", f"{self._why(event)}; trying again", now)

    def _why(self, event: DialFailed) -> str:
        """Who failed, and how. What a node says of a refused port fills five lines."""
        if not event.endpoint:
            return event.message
        name, port = self._name(event.endpoint), event.endpoint.rpartition(":")[2]
        if event.kind == "refused":
            return f"{name} refuses connections on port {port}"
        return f"{name}: {event.message}"

    def _sparingly(self, sort: str, line: str, now: float) -> list[str]:
        """The line, unless one of its sort was said a moment ago; then it is counted instead."""
        last = self._said.get(sort)
        if last is not None and last.at is not None and now - last.at < AGAIN:
            last.more += 1
            return []
        if len(self._said) > _MOST:
            self._said.clear()
        self._said[sort] = _Repeated(now, line)
        return [f"{line} (and {last.more} more like it)" if last and last.more else line]

    def _name(self, endpoint: str) -> str:
        """The pod of an endpoint, whose id begins with the pod's UID."""
        return self._names.get(endpoint.partition(":")[0], self._target)


class _Episode:
    """From the first failure in a row to the last so far."""

    __slots__ = ("first", "last")

    def __init__(self, now: float) -> None:
        self.first = self.last = now


class _Repeated:
    """When something was said last, if ever, and how often it was left unsaid since."""

    __slots__ = ("at", "more", "text")

    def __init__(self, at: float | None = None, text: str = "") -> None:
        self.at = at
        self.text = text
        self.more = 0
