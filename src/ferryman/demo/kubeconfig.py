"""Writes the kubeconfig of a demo, and takes it away again.

It has the token in it, so nobody else may read it; it is there whole or not at all. A file that
somebody else wrote is never overwritten: ``--kubeconfig ~/.kube/config`` would cost its owner dear.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from pathlib import Path

from ferryman.errors import UserError

CONTEXT = "ferryman-demo"
_MARK = "# Written by `ferry demo`, which takes it away when it ends.\n"


def render(server: str, authority: bytes, token: str) -> str:
    """The file's text; JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [
            {
                "name": CONTEXT,
                "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"},
            }
        ],
        "preferences": {},
    }
    return _MARK + json.dumps(config, indent=2) + "\n"


def check_writable(path: Path) -> None:
    """Raises UserError if there is a file that is not a demo's, or no folder for it."""
    if path.exists() and path.stat().st_size and not _is_ours(path):
        raise UserError(f"{path} exists and is not a demo's", "name another file with --kubeconfig")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}", "create it first")


def write(path: Path, text: str) -> None:
    """Put the file there, mode 0600; raises UserError."""
    check_writable(path)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)


def remove(path: Path, text: str) -> None:
    """Take the file away if it is still the one that was written."""
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            path.unlink()


def _is_ours(path: Path) -> bool:
    try:
        with path.open() as file:
            return file.readline() == _MARK
    except (OSError, UnicodeDecodeError):
        return False
