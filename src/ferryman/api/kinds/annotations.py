"""What Tilt's kinds cannot say of a Relay, said by annotations; pure.

``ferryman.dev/hold`` (a duration), ``ferryman.dev/balance`` and ``ferryman.dev/inspect`` on a
PortForward or KubernetesDiscovery mean what the Relay's fields of these names mean. One that means
nothing is refused with the object: nobody would look for it in a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast, get_args

from msgspec import Struct

from ferryman.api.durations import parse_duration
from ferryman.api.kinds.relay import Balance, Hold, Inspect
from ferryman.api.resource import Object
from ferryman.api.status import Cause
from ferryman.api.validation import bad, unsupported
from ferryman.errors import UserError

PREFIX = "ferryman.dev/"
HOLD = PREFIX + "hold"
BALANCE = PREFIX + "balance"
INSPECT = PREFIX + "inspect"
VIEW = PREFIX + "view-of"
"""On a PortForward that binds nothing itself: the name of the Relay that it shows."""

InspectMode = Literal["Off", "Summary", "Full"]


class Treatment(Struct, frozen=True):
    """How the Relay treats its connections; the Relay's defaults where nothing is said."""

    hold: Hold = Hold()
    balance: Balance = "Newest"
    inspect: Inspect = Inspect()


def treatment(obj: Object) -> Treatment:
    """What the annotations of an object that was validated say."""
    said = _annotations(obj)
    return Treatment(
        Hold(timeout=said[HOLD]) if HOLD in said else Hold(),
        cast(Balance, said.get(BALANCE, "Newest")),
        Inspect(mode=cast(InspectMode, said.get(INSPECT, "Off"))),
    )


def annotation_causes(obj: Object) -> Iterator[Cause]:
    """What is wrong with them; an unknown key is perhaps a newer Ferryman's, and left alone."""
    said = _annotations(obj)
    if HOLD in said:
        try:
            parse_duration(said[HOLD])
        except UserError as error:
            why = f"not a duration; {error.hint or 'it is too long'}"
            yield bad(_at(HOLD), said[HOLD], why)
    yield from _one_of(said, BALANCE, get_args(Balance))
    yield from _one_of(said, INSPECT, get_args(InspectMode))


def _one_of(said: Mapping[str, str], key: str, allowed: Iterable[str]) -> Iterator[Cause]:
    if key in said and said[key] not in allowed:
        yield unsupported(_at(key), said[key], allowed)


def _annotations(obj: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def _at(key: str) -> str:
    return f"metadata.annotations[{key}]"
