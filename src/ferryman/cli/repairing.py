"""Says what was put back at the start of a command: ``intercept.repair`` does it."""

from __future__ import annotations

from ferryman.cli.output import complain, note
from ferryman.intercept import messages
from ferryman.intercept import repair as repairs

_SAID = {
    "restored": "put {} back, which a killed `ferry tap` had moved aside",
    "stopped": "cleared {}, which a killed `ferry tap` had moved aside: its server has stopped",
    "replaced": "cleared what a killed `ferry tap` had left beside {}, which its server has again",
}


def repair() -> None:
    """Repair what there is to repair; what cannot be is said and does not end the command."""
    for said in repairs.repair():
        if said["said"] == "failed":
            complain(messages.failure(said))
        else:
            note(_SAID[said["said"]].format(said["path"]))
