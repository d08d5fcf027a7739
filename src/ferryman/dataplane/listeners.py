"""Listening sockets, by bind address: opened, handed over, and closed after a linger.

A listener belongs to its address, not to the object that asked for it. One that a snapshot no
longer has lingers for two seconds, not accepting: delete-then-create, a rename or a hand-over
finds it still bound, and clients that come meanwhile wait in its backlog. ``route`` gets what is
accepted.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.dataplane import sockets
from ferryman.dataplane.contract import READ, Applied, Bind, Bound, Client, DialFailure, NotBound
from ferryman.dataplane.holder import holder_of
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import SocketSide
from ferryman.errors import UserError

if TYPE_CHECKING:
    from ferryman.addresses.specs import Spec
    from ferryman.dataplane.dialling import Dialler

LINGER = 2.0
_BATCH = 16
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.1
_RANDOM_TRIES = 20

Accept = Callable[[Client, str], None]


class Told(Protocol):
    """What becomes of a listener, besides clients."""

    def __call__(self, why: DialFailure | None, /, *, over: bool) -> None:
        """Somebody could not be taken, and why; ``over`` says that nobody else will come."""
        ...


Label = Callable[[socket.socket, object], str]
"""Who connected, for people: of the new socket and the peer's address. OSError turns it away."""


class Listens(Protocol):
    """Whatever clients come from: a bound socket, or what ``opening`` makes of an address."""

    bind: Bind
    linger: Timer | None

    @property
    def address(self) -> Address | Spec:
        """Where it listens, with the real port."""
        ...

    def lead_to(self, accept: Accept | None) -> None:
        """Hand new clients to ``accept``, or leave them waiting."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Listener:
    """One bound socket; ``accept`` is where its clients go, None while it lingers.

    An ``adopted`` one was bound by somebody else, whose business its path is.
    """

    def __init__(
        self,
        loop: Loop,
        bind: Bind,
        sock: socket.socket,
        label: Label = sockets.peer_label,
        *,
        address: Address | Spec | None = None,
        adopted: bool = False,
    ) -> None:
        self.bind = bind
        self.address = sockets.bound_address(sock, address or bind.address)
        self.linger: Timer | None = None
        self._loop = loop
        self._sock = sock
        self._label = label
        self._accept: Accept | None = None
        self._inode = None if adopted else _inode(self.address)

    def lead_to(self, accept: Accept | None) -> None:
        """Hand new clients to ``accept``, or leave them in the backlog."""
        if accept is not None and self._accept is None:
            self._loop.add(self._sock.fileno(), READ, self._ready)
        elif accept is None and self._accept is not None:
            self._loop.remove(self._sock.fileno())
        self._accept = accept

    def close(self) -> None:
        """Stop listening; clients in the backlog are reset. A UNIX path goes if it is ours."""
        self.lead_to(None)
        if self.linger is not None:
            self.linger.cancel()
        if self._inode is not None and self._inode == _inode(self.address):
            _unlink(str(self.address))
        self._sock.close()

    def _ready(self, _: int) -> None:
        for _ in range(_BATCH):
            if self._accept is None:
                return  # it was the last one for now
            try:
                client, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._pause()
                    return
                continue  # that client is gone already (ECONNABORTED)
            try:
                sockets.accepted(client)
                label = self._label(client, address)
            except OSError:
                client.close()
                continue
            self._came(client, label)

    def _came(self, client: socket.socket, label: str) -> None:
        """Hand a new client on."""
        if self._accept is not None:
            self._accept(SocketSide(self._loop, client), label)

    def _pause(self) -> None:
        """Out of descriptors: without a pause, readiness would spin until one is free."""
        accept = self._accept
        self.lead_to(None)
        self._loop.call_later(_PAUSE, lambda: self._resume(accept))

    def _resume(self, accept: Accept | None) -> None:
        if self._accept is None and self.linger is None and self._sock.fileno() >= 0:
            self.lead_to(accept)


class Listeners:
    """All of them; loop thread only."""

    def __init__(
        self, loop: Loop, dialler: Dialler, tell: Callable[[Bind, DialFailure | None, bool], None]
    ) -> None:
        self._loop = loop
        self._dialler = dialler
        self._tell = tell
        self._open: dict[Bind, Listens] = {}
        self._adopted: dict[str, Listener] = {}

    def adopt(self, name: str, sock: socket.socket, accept: Accept, label: Label) -> None:
        """Take over a socket that listens already, instead of an earlier one of this name.

        It is non-blocking, ours to close, and not touched by ``apply``. Its path is not unlinked.
        """
        bind = Bind(UnixAddress(str(sock.getsockname())))
        before = self._adopted.get(name)
        if before is not None:
            before.close()
        self._adopted[name] = listener = Listener(self._loop, bind, sock, label, adopted=True)
        listener.lead_to(accept)

    def apply(self, wanted: Mapping[Bind, Accept]) -> Applied:
        """Make it so: bind what is new, hand over what is there, let the rest linger."""
        applied: dict[Bind, Bound | NotBound] = {}
        for bind in wanted:
            if bind not in self._open:
                failure = self._bind(bind, [b for b in wanted if bind.tag and b.tag == bind.tag])
                if failure is not None:
                    applied[bind] = failure
        for bind, listener in list(self._open.items()):
            accept = wanted.get(bind)
            if accept is None:
                self._let_linger(listener)
                continue
            if listener.linger is not None:
                listener.linger.cancel()
                listener.linger = None
            listener.lead_to(accept)
            applied[bind] = Bound(listener.address)
        return applied

    def close(self) -> None:
        """Close all, at once."""
        for listener in (*self._open.values(), *self._adopted.values()):
            listener.close()
        self._open.clear()
        self._adopted.clear()

    def _bind(self, bind: Bind, group: list[Bind]) -> NotBound | None:
        self._close_lingering(bind.address)
        if not isinstance(bind.address, (TcpAddress, UnixAddress)):
            return self._open_spec(bind, bind.address)
        if isinstance(bind.address, TcpAddress) and bind.address.port == 0 and bind.tag:
            return self._bind_random(group)
        try:
            self._open[bind] = Listener(self._loop, bind, sockets.listen(bind.address))
        except OSError as error:
            return _not_bound(bind.address, error)
        return None

    def _open_spec(self, bind: Bind, spec: Spec) -> NotBound | None:
        from ferryman.dataplane import opening  # a plain relay never needs it

        def told(why: DialFailure | None, /, *, over: bool) -> None:
            self._tell(bind, why, over)

        try:
            self._open[bind] = opening.listener(self._dialler, bind, spec, told)
        except UserError as error:
            return NotBound(error.message)
        except OSError as error:
            return _not_bound(opening.place_of(spec), error)
        return None

    def _bind_random(self, group: list[Bind]) -> NotBound | None:
        """Give all binds of a group the same free port: the one that the first of them has."""
        for _ in range(_RANDOM_TRIES):
            ports = [address.port for address in self._bound_addresses(group)]
            fresh: list[Listener] = []
            try:
                for bind in group:
                    if bind not in self._open and isinstance(bind.address, TcpAddress):
                        address = TcpAddress(bind.address.host, ports[0] if ports else 0)
                        listener = Listener(self._loop, bind, sockets.listen(address))
                        fresh.append(listener)
                        ports.append(_port(listener.address))
            except OSError as error:
                for listener in fresh:
                    listener.close()
                if error.errno != errno.EADDRINUSE or len(fresh) != len(ports):
                    return _not_bound(bind.address, error)
                continue
            self._open.update({listener.bind: listener for listener in fresh})
            return None
        return NotBound("no port is free on all addresses")

    def _bound_addresses(self, group: Iterable[Bind]) -> list[TcpAddress]:
        found = (self._open[b].address for b in group if b in self._open)
        return [a for a in found if isinstance(a, TcpAddress)]

    def _close_lingering(self, address: Address | Spec) -> None:
        """A fixed port may still linger as somebody's random one."""
        for bind, listener in list(self._open.items()):
            if listener.linger is not None and listener.address == address:
                listener.close()
                del self._open[bind]

    def _let_linger(self, listener: Listens) -> None:
        if listener.linger is None:
            listener.lead_to(None)
            listener.linger = self._loop.call_later(LINGER, lambda: self._close(listener))

    def _close(self, listener: Listens) -> None:
        if self._open.get(listener.bind) is listener:
            del self._open[listener.bind]
            listener.close()


def _port(address: Address | Spec) -> int:
    return address.port if isinstance(address, TcpAddress) else 0


def _not_bound(address: Address | Spec, error: OSError) -> NotBound:
    text = (os.strerror(error.errno) if error.errno else str(error)).lower()
    taken = error.errno == errno.EADDRINUSE
    holder = ""
    if taken and isinstance(address, (TcpAddress, UnixAddress)):
        holder = holder_of(address)
    absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return NotBound(f"{text} on {address}", holder, absent)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _inode(address: Address | Spec) -> tuple[int, int] | None:
    """Identifies a UNIX socket's file; None for what has none."""
    if not isinstance(address, UnixAddress) or address.path.startswith("@"):
        return None
    try:
        found = os.lstat(address.path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
