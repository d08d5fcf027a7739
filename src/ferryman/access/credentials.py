"""Credentials: what a request carries so that a cluster knows who asks.

``kubeconfig`` chooses one of these, ``exec_plugin`` has the one that runs a program; ``apiclient``
and the daemon ask for headers before each connection and again, with ``refresh``, after a 401.
Secrets never show in a repr.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Protocol

from ferryman.errors import Unavailable, UserError
from ferryman.runtime.clock import Clock, SystemClock

Headers = tuple[tuple[str, str], ...]
"""Names in lower case."""

ClientCertificate = tuple[bytes, bytes]
"""Certificate chain and private key, both PEM."""

# client-go reads a token file again after a minute; a kubelet rotates one well before it expires.
_TOKEN_FILE_SECONDS = 60.0
_TOKEN_FILE_BYTES = 1 << 20


class CredentialFailed(Unavailable):
    """There is no proof of who we are: a plugin failed, a file cannot be read. A person can mend
    that (log in, say) without anybody starting anew.
    """


class Credentials(Protocol):
    """Proof of who we are; safe to share between tasks."""

    @property
    def expires(self) -> float | None:
        """When what was given last expires, in seconds since the epoch; None if not known."""
        ...

    async def headers(self, refresh: bool = False) -> Headers:
        """The headers to send; with ``refresh`` because the last ones were refused.

        Raises CredentialFailed if they cannot be had; UserError if they can be of no use.
        """
        ...

    async def certificate(self) -> ClientCertificate | None:
        """The client certificate that comes with them, if any; errors as ``headers``."""
        ...


class Fixed:
    """Headers that never change: a token, a password, or none at all."""

    expires: float | None = None

    def __init__(self, headers: Headers = ()) -> None:
        self._headers = headers

    def __repr__(self) -> str:
        return f"<credentials in {len(self._headers)} fixed headers>"

    async def headers(self, refresh: bool = False) -> Headers:  # noqa: ARG002 - the contract's
        return self._headers

    async def certificate(self) -> ClientCertificate | None:
        return None


class TokenFile:
    """A bearer token in a file that somebody else keeps fresh.

    ``fallback`` is used as long as the file cannot be read, as in client-go.
    """

    expires: float | None = None

    def __init__(self, path: str, fallback: str = "", clock: Clock | None = None) -> None:
        self._path = path
        self._token = fallback
        self._read_at: float | None = None
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"<token from {self._path}>"

    async def headers(self, refresh: bool = False) -> Headers:
        now = self._clock.monotonic()
        if refresh or self._read_at is None or now - self._read_at >= _TOKEN_FILE_SECONDS:
            self._token = await self._read()
            self._read_at = now
        return bearer(self._token)

    async def certificate(self) -> ClientCertificate | None:
        return None

    async def _read(self) -> str:
        try:
            text = await asyncio.to_thread(_read_token, self._path)
        except (OSError, UnicodeDecodeError) as cause:
            if self._token:
                return self._token
            raise CredentialFailed(f"cannot read the token file {self._path}: {cause}") from cause
        if not text:
            raise CredentialFailed(f"the token file {self._path} is empty")
        return text


class Replaceable:
    """Other credentials, until they are replaced: somebody logged in anew while these were used."""

    def __init__(self, inner: Credentials) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return repr(self.inner)

    @property
    def expires(self) -> float | None:
        return self.inner.expires

    async def headers(self, refresh: bool = False) -> Headers:
        return await self.inner.headers(refresh)

    async def certificate(self) -> ClientCertificate | None:
        return await self.inner.certificate()


class WithHeaders:
    """Other credentials plus fixed headers (impersonation)."""

    def __init__(self, inner: Credentials, extra: Headers) -> None:
        self._inner = inner
        self._extra = extra

    def __repr__(self) -> str:
        return f"<{self._inner!r} and {', '.join(name for name, _ in self._extra)}>"

    @property
    def expires(self) -> float | None:
        return self._inner.expires

    async def headers(self, refresh: bool = False) -> Headers:
        return (*await self._inner.headers(refresh), *self._extra)

    async def certificate(self) -> ClientCertificate | None:
        return await self._inner.certificate()


def bearer(token: str) -> Headers:
    """The header for a bearer token; raises UserError if no header can carry it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UserError("the token has characters that no token can have")
    return (("authorization", f"Bearer {token}"),)


def basic(username: str, password: str) -> Headers:
    """The header for a user name and a password."""
    return (
        ("authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()),
    )


def impersonation(
    user: str, uid: str, groups: Sequence[str], extra: Sequence[tuple[str, str]]
) -> Headers:
    """The headers that ask to act as somebody else; raises UserError without a user."""
    from urllib.parse import quote

    if not user:
        if uid or groups or extra:
            raise UserError("as-groups, as-uid and as-user-extra need a user to act as: set `as`")
        return ()
    headers = [("impersonate-user", user)]
    headers += [("impersonate-uid", uid)] if uid else []
    headers += [("impersonate-group", group) for group in groups]
    headers += [(f"impersonate-extra-{quote(key.lower(), safe='')}", v) for key, v in extra]
    for name, value in headers:
        if not value.isprintable():
            raise UserError(f"no header can carry the value of {name}: {value!r}")
    return tuple(headers)


def _read_token(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(_TOKEN_FILE_BYTES).strip()
