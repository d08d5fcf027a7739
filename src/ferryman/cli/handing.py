"""How a command is told to use another socket than the one it knows; pure.

``beside`` runs the command. By what the socket is called, its clients' own variable is set; a
variable that leads to the socket now leads to the other one; and there is always FERRY_SOCKET.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

PLACEHOLDER = "{socket}"
_FORMS = ("", "unix://", "unix:path=")  # as SSH_AUTH_SOCK, DOCKER_HOST and D-Bus have it
_POSTGRESQL = re.compile(r"\.s\.PGSQL\.(\d{1,5})")
_BY_NAME = (
    ("podman", "CONTAINER_HOST", "unix://"),
    ("podman", "DOCKER_HOST", "unix://"),
    ("docker", "DOCKER_HOST", "unix://"),
    ("containerd", "CONTAINERD_ADDRESS", ""),
    ("mysql", "MYSQL_UNIX_PORT", ""),
    ("mariadb", "MYSQL_UNIX_PORT", ""),
)


def environment(asked: str, path: str, private: str, present: Mapping[str, str]) -> dict[str, str]:
    """What to change in a command's environment, which is now ``present``, so that it uses
    ``private``. The socket is ``path``, as it was ``asked`` for.
    """
    found = {"FERRY_SOCKET": private}
    for name, value in present.items():
        for form in _FORMS:
            if value in (form + asked, form + path):
                found[name] = form + private
    postgresql = _POSTGRESQL.fullmatch(os.path.basename(path))
    if postgresql:
        found |= {"PGHOST": os.path.dirname(private), "PGPORT": postgresql[1]}
    for word, variable, scheme in _BY_NAME:
        if word in os.path.basename(path):
            found[variable] = scheme + private
    return found


def words(command: Sequence[str], private: str) -> list[str]:
    """The command with the socket where the placeholder was."""
    return [word.replace(PLACEHOLDER, private) for word in command]
