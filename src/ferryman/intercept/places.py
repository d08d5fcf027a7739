"""Where the journal is; all that a command needs to see that there is nothing to repair.

Imports next to nothing, because every verb begins with it.
"""

from __future__ import annotations

import contextlib
import os

SUFFIX = ".tap"


def folder() -> str:
    """Where the entries are. A home that is not ours (as sudo may leave it) is not used."""
    state = os.environ.get("FERRY_HOME")
    if not state:
        base = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):
            base = os.path.join(_home(), ".local", "state")
        state = os.path.join(base, "ferryman")
    return os.path.join(os.path.abspath(state), "taps")


def names() -> list[str]:
    """The files there are; costs one call to the system if nothing was ever tapped."""
    try:
        return sorted(name for name in os.listdir(folder()) if name.endswith(SUFFIX))
    except OSError:
        return []


def _home() -> str:
    home = os.environ.get("HOME", "")
    with contextlib.suppress(OSError):
        if os.stat(home).st_uid == os.geteuid():
            return home
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_dir
