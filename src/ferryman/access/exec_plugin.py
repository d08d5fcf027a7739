"""Credentials from a program that the kubeconfig names (``users[].user.exec``).

The program gets ``KUBERNETES_EXEC_INFO`` and prints an ExecCredential (v1 or v1beta1) with a token,
a client certificate or both, and perhaps when they expire. It runs when first needed, shortly
before expiry, and after a 401; never twice at a time, and not again and again where that is of no
use: somebody might see a browser window each time. It gets the terminal if it may have it
(interactiveMode) and there is one. ``kubeconfig`` makes the settings.
Source: KEP-541, client-go ``plugin/pkg/client/auth/exec`` (1.36).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ferryman.access.credentials import ClientCertificate, CredentialFailed, Headers, bearer
from ferryman.errors import FerrymanError, Unavailable, UserError
from ferryman.runtime.clock import Clock, SystemClock

InteractiveMode = Literal["Never", "IfAvailable", "Always"]

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

_OUTPUT_BYTES = 1 << 20
_STDERR_BYTES = 4096
_COMPLAINT = 300
_ALONE_SECONDS = 60.0
_WITH_A_PERSON_SECONDS = 300.0  # somebody may have to log in with a browser
_EARLY_SECONDS = 60.0
_CALM_SECONDS = 10.0
"""After a refresh or a failure, so long passes before the program is run for the same cause."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """How to run the program; ``command`` is a path or is looked up in PATH.

    ``env`` is the whole environment; ``cluster`` is told to the program if it asked for it.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_version: str = API_VERSIONS[0]
    interactive: InteractiveMode = "IfAvailable"
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Given:
    headers: Headers
    certificate: ClientCertificate | None
    expires: float | None
    renew: float | None
    """When to ask again: a little before ``expires``."""


class ExecPlugin:
    """Credentials that a program gives."""

    def __init__(self, settings: PluginSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._lock = asyncio.Lock()
        self._given: _Given | None = None
        self._refreshed = -_CALM_SECONDS
        self._failed = -_CALM_SECONDS
        self._failure: CredentialFailed | None = None

    def __repr__(self) -> str:
        return f"<credentials from {self._settings.command}>"

    @property
    def expires(self) -> float | None:
        return self._given.expires if self._given else None

    async def headers(self, refresh: bool = False) -> Headers:
        return (await self._current(refresh)).headers

    async def certificate(self) -> ClientCertificate | None:
        return (await self._current(False)).certificate

    async def _current(self, refresh: bool) -> _Given:
        seen = self._given
        if seen is not None and not refresh and not self._due(seen):
            return seen
        async with self._lock:
            if self._given is not None and self._given is not seen:
                return self._given  # somebody who waited with us has renewed it
            now = self._clock.monotonic()
            if seen is not None and not self._due(seen) and now - self._refreshed < _CALM_SECONDS:
                return seen  # it is new, and refused all the same
            if self._failure is not None and now - self._failed < _CALM_SECONDS:
                raise self._failure.with_traceback(None)
            return await self._renew(refreshing=seen is not None)

    async def _renew(self, *, refreshing: bool) -> _Given:
        try:
            self._given = self._take(await _run(self._settings))
        except FerrymanError as cause:
            error = CredentialFailed(cause.message, cause.hint)
            self._failed, self._failure = self._clock.monotonic(), error
            raise error from cause
        self._failure = None
        if refreshing:
            self._refreshed = self._clock.monotonic()
        return self._given

    def _due(self, given: _Given) -> bool:
        return given.renew is not None and self._clock.now().timestamp() >= given.renew

    def _take(self, output: bytes) -> _Given:
        """What the program's output means; raises UserError."""
        command = self._settings.command
        try:
            answer = json.loads(output)
            status = answer.get("status") or {}
            version = answer.get("apiVersion")
        except (ValueError, AttributeError) as cause:
            raise UserError(f"{command} did not print an ExecCredential: {cause}") from cause
        if answer.get("kind") != "ExecCredential" or version != self._settings.api_version:
            raise UserError(
                f"{command} printed {answer.get('kind')} of {version}, expected ExecCredential of "
                f"{self._settings.api_version}",
                "set the apiVersion that the plugin speaks in the kubeconfig",
            )
        token = status.get("token") or ""
        chain, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if bool(chain) != bool(key) or not (token or chain):
            raise UserError(f"{command} gave neither a token nor a certificate with its key")
        return _Given(
            bearer(str(token)) if token else (),
            (str(chain).encode(), str(key).encode()) if chain else None,
            *self._times(status.get("expirationTimestamp")),
        )

    def _times(self, text: Any) -> tuple[float | None, float | None]:
        if not text:
            return None, None
        try:
            expires = datetime.fromisoformat(str(text)).timestamp()
        except ValueError as cause:
            raise UserError(f"{self._settings.command}: not a time: {text!r}") from cause
        life = expires - self._clock.now().timestamp()
        return expires, expires - min(_EARLY_SECONDS, max(0.0, life / 10))


async def _run(settings: PluginSettings) -> bytes:
    """What the program prints. Cancellation kills it."""
    person = settings.interactive != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if settings.interactive == "Always" and not person:
        raise UserError(f"{settings.command} needs a terminal to log you in, and there is none")
    path = shutil.which(settings.command, path=settings.env.get("PATH"))
    if path is None:
        raise UserError(
            f"the kubeconfig's credential plugin {settings.command} is not installed",
            settings.install_hint.strip(),
        )
    info = {"interactive": person} | ({"cluster": settings.cluster} if settings.cluster else {})
    told = {"kind": "ExecCredential", "apiVersion": settings.api_version, "spec": info}
    loop = asyncio.get_running_loop()
    try:
        transport, said = await loop.subprocess_exec(
            lambda: _Said(loop.create_future(), person),
            path,
            *settings.args,
            stdin=None if person else subprocess.DEVNULL,
            env={**settings.env, "KUBERNETES_EXEC_INFO": json.dumps(told)},
        )
    except OSError as cause:
        raise UserError(f"cannot run {path}: {cause.strerror or cause}") from cause
    try:
        async with asyncio.timeout(_WITH_A_PERSON_SECONDS if person else _ALONE_SECONDS):
            await said.everything.wait()
    except TimeoutError as cause:
        raise Unavailable(f"{settings.command} gave no credentials in time") from cause
    finally:
        transport.close()  # kills it if it still runs
        await said.exited
    return said.outcome(settings.command, transport.get_returncode() or 0)


class _Said(asyncio.SubprocessProtocol):
    """What a program says until it ends, within limits.

    A person sees stderr at once, because it may say "open this page to log in".
    """

    def __init__(self, exited: asyncio.Future[None], person: bool) -> None:
        self.exited = exited
        self.everything = asyncio.Event()
        self._person = person
        self._output = bytearray()
        self._complaint = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._output += data
            if len(self._output) > _OUTPUT_BYTES:
                self.everything.set()
            return
        if self._person:
            os.write(2, data)
        self._complaint = (self._complaint + data)[-_STDERR_BYTES:]

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.everything.set()

    def outcome(self, command: str, code: int) -> bytes:
        """Its output; raises UserError or Unavailable if it failed."""
        if len(self._output) > _OUTPUT_BYTES:
            raise UserError(f"{command} printed more than any credential: over {_OUTPUT_BYTES} B")
        if code != 0:
            how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            complaint = _last_line(self._complaint)
            raise Unavailable(f"{command} {how}" + (f": {complaint}" if complaint else ""))
        return bytes(self._output)


def _last_line(said: bytes) -> str:
    """What a program said last, fit for one line of ours: programs end with why they failed."""
    lines = said.decode(errors="replace").strip().splitlines()
    text = "".join(c if c.isprintable() else " " for c in lines[-1]) if lines else ""
    return text.strip()[:_COMPLAINT]
