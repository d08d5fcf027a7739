"""Opens what socat's grammar can say: listens on it, or dials it. Loaded when it is first needed.

``listener`` makes what clients come from (``admitting``, ``udp``); ``dial`` a side: a socket that
is connected (``dialling``), TLS around one, a program (``programs``), files and descriptors
(``files``), one client of a listener, or two of these back to back.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from typing import TYPE_CHECKING

from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.addresses.specs import (
    LISTENS,
    Create,
    Descriptors,
    Dual,
    File,
    Listen,
    Pipe,
    Program,
    RetryOptions,
    Single,
    Spec,
    TcpConnect,
    TcpListen,
    TlsConnect,
    TlsListen,
    UdpConnect,
    UdpListen,
    UnixConnect,
    UnixListen,
)
from ferryman.dataplane import sockets, tuning
from ferryman.dataplane.admitting import Admitting, OneClient, Opened, Terms
from ferryman.dataplane.contract import Bind, Client, Dial, DialFailure, Dialled, Side
from ferryman.dataplane.dialling import CONNECT_TIMEOUT, Dialler, How, Places, literal, resolve
from ferryman.dataplane.listeners import Listens, Told
from ferryman.dataplane.loop import Timer
from ferryman.errors import UserError

if TYPE_CHECKING:
    import ssl


def listener(dialler: Dialler, bind: Bind, spec: Spec, told: Told) -> Listens:
    """What clients of this address come from; ``told`` hears of the others.

    Raises OSError if it cannot be listened on, UserError for options that cannot be meant.
    """
    if not isinstance(spec, LISTENS):
        return OneClient(dialler.loop, bind, spec, lambda done: dial(dialler, spec, done), told)
    if isinstance(spec, UdpListen):
        return _udp_listener(dialler, bind, spec, told)
    terms = Terms(
        listen=spec.listen,
        served=None if isinstance(spec, UnixListen) else tuning.served(spec.range),
        tune=lambda sock: _tune(sock, spec),
        tls=_server_context(spec) if isinstance(spec, TlsListen) else None,
        keep_path=isinstance(spec, UnixListen) and spec.name.unlink_close is False,
    )
    place = place_of(spec)
    sock = _unix_listener(spec) if isinstance(spec, UnixListen) else _tcp_listener(spec)
    return Admitting(dialler.loop, bind, sock, place, terms, told)


def place_of(spec: Listen | Spec) -> Address:
    """Where a spec listens, for people and for holders; raises UserError, OSError."""
    match spec:
        case TcpListen() | TlsListen() | UdpListen():
            host, port = tuning.place(spec.place, "tcp")
            if port:
                raise UserError(f"{spec}: a listener's port is not bind's", "write bind=HOST")
            family = _family(spec, host)
            number = tuning.port_number(spec.port, "tcp")
            return TcpAddress(tuning.numeric(host, family), number)
        case UnixListen():
            return UnixAddress(spec.path)
    raise UserError(f"{spec} does not listen")


def dial(dialler: Dialler, spec: Spec, done: Dialled | Opened) -> Dial:
    """Connect, open or start it; ``done`` may be called before this returns."""
    if isinstance(spec, Dual):
        from ferryman.dataplane.dual import Both

        return Both(spec, lambda single, then: dial(dialler, single, then), done).start()
    return _Opening(dialler, spec, done).start()


class _Opening:
    """One address being opened, as often as ``retry`` says."""

    def __init__(self, dialler: Dialler, spec: Single, done: Dialled | Opened) -> None:
        self._dialler = dialler
        self._spec = spec
        self._done: Dialled | Opened | None = done
        self._retry: RetryOptions = getattr(spec, "retry", RetryOptions())
        self._failures = 0
        self._under_way: Dial | None = None
        self._timer: Timer | None = None

    def start(self) -> Dial:
        self._timer = self._under_way = None
        try:
            begun = self._open(self._spec)
            self._under_way = self._under_way or begun  # TLS may have begun already
        except UserError as error:
            self._failures = self._retry.retry  # no use to try again
            self._retry = RetryOptions()
            self._finish(DialFailure("unavailable", str(error), delivered=False))
        except OSError as error:
            self._finish(_failure(self._spec, error))
        return self

    def cancel(self) -> None:
        self._done = None
        if self._under_way is not None:
            self._under_way.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _open(self, spec: Single) -> Dial | None:
        """Begin; ``_finish`` is called now or later. Raises UserError, OSError."""
        dialler, loop = self._dialler, self._dialler.loop
        match spec:
            case TcpConnect() | TlsConnect():
                address = TcpAddress(spec.host, tuning.port_number(spec.port, "tcp"))
                return dialler.connect(address, self._connected, _how(spec))
            case UnixConnect():
                return dialler.connect(UnixAddress(spec.path), self._connected, _how(spec))
            case UdpConnect():
                return self._open_udp(spec)
            case Program():
                from ferryman.dataplane import programs

                if dialler.children is None:
                    dialler.children = programs.Children(loop)
                self._finish(programs.start(loop, dialler.children, spec))
            case Descriptors() | File() | Create() | Pipe():
                from ferryman.dataplane import files

                opened = files.open_side(loop, spec)
                if isinstance(opened, UnixConnect):  # GOPEN found a socket
                    return dialler.connect(UnixAddress(opened.path), self._connected)
                self._finish(opened)
            case TcpListen() | UnixListen() | TlsListen() | UdpListen():
                waiting = _Waiting(dialler, spec, self._finish)
                waiting.start()
                return waiting
        return None

    def _open_udp(self, spec: UdpConnect) -> Dial | None:
        from ferryman.dataplane.udp import UdpSide

        address = TcpAddress(spec.host, tuning.port_number(spec.port, "udp"))
        family = tuning.family_number(spec.family or spec.place.family)

        def resolved(places: Places | DialFailure) -> None:
            if isinstance(places, DialFailure):
                self._finish(places)
                return
            try:
                self._finish(UdpSide(self._dialler.loop, _udp_socket(spec, places)))
            except UserError as error:
                self._finish(DialFailure("unavailable", str(error), delivered=False))
            except OSError as error:
                self._finish(_failure(spec, error))

        if found := literal(address, family):
            resolved(found)
        else:
            resolve(self._dialler.loop, address, resolved, family)
        return None

    def _connected(self, result: Side | DialFailure) -> None:
        if isinstance(result, DialFailure) or not isinstance(result, sockets.SocketSide):
            self._finish(_as_failure(result))
        elif isinstance(self._spec, TlsConnect):
            self._secure(self._spec, result.sock)
        else:
            self._finish(result)

    def _secure(self, spec: TlsConnect, sock: socket.socket) -> None:
        from ferryman.dataplane import tls_settings
        from ferryman.dataplane.tls_side import TlsSide

        try:
            context, name = tls_settings.client(spec.tls, spec.host)
            side = TlsSide(self._dialler.loop, sock, context, name, _nothing)
        except (UserError, ValueError) as error:
            sock.close()
            self._finish(DialFailure("unavailable", f"{spec}: {error}", delivered=False))
            return
        self._under_way = side
        side.secure(self._finish)

    def _finish(self, result: Client | DialFailure) -> None:
        if self._done is None:
            if not isinstance(result, DialFailure):
                result.abort("nobody waits for it any more")
            return
        if isinstance(result, DialFailure) and self._may_retry():
            self._failures += 1
            self._timer = self._dialler.loop.call_later(self._retry.interval, self.start)
            return
        done, self._done = self._done, None
        done(result)

    def _may_retry(self) -> bool:
        return self._retry.forever or self._failures < self._retry.retry


class _Waiting:
    """A listener as a target: the first client that comes is the side."""

    def __init__(self, dialler: Dialler, spec: Listen, done: Opened) -> None:
        once = dataclasses.replace(spec.listen, fork=False, max_children=0)
        self._spec = dataclasses.replace(spec, listen=once)
        self._dialler = dialler
        self._done: Opened | None = done
        self._listener: Listens | None = None

    def start(self) -> None:
        """Raises OSError, UserError."""
        bind = Bind(self._spec)
        self._listener = listener(self._dialler, bind, self._spec, self._told)
        self._listener.lead_to(self._came)

    def cancel(self) -> None:
        self._done = None
        self._close()

    def _came(self, client: Client, label: str) -> None:
        del label
        self._dialler.loop.call_soon(self._close)  # once it has done all about this client
        done, self._done = self._done, None
        if done is not None:
            done(client)
        else:
            client.abort("nobody waits for it any more")

    def _told(self, why: DialFailure | None, /, *, over: bool) -> None:
        if not over:
            return
        done, self._done = self._done, None
        if done is not None:
            done(_as_failure(why))

    def _close(self) -> None:
        listener_, self._listener = self._listener, None
        if listener_ is not None:
            listener_.close()


# -- sockets --


def _how(spec: TcpConnect | TlsConnect | UnixConnect) -> How:
    timeout = spec.connect.timeout or CONNECT_TIMEOUT
    if isinstance(spec, UnixConnect):
        return How(timeout, prepare=lambda sock: tuning.tune(sock, spec.sock))
    family = "" if isinstance(spec, TlsConnect) else spec.family
    local = tuning.place(spec.place, "tcp")

    def prepare(sock: socket.socket) -> None:
        tuning.tune(sock, spec.sock)
        tuning.tune_tcp(sock, spec.tcp)
        tuning.bind_place(sock, spec.place, local)

    return How(timeout, tuning.family_number(family or spec.place.family), prepare)


def _udp_socket(spec: UdpConnect, places: Places) -> socket.socket:
    family, place = places[0]
    local = tuning.place(spec.place, "udp")
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        tuning.tune(sock, spec.sock)
        tuning.bind_place(sock, spec.place, local)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _tcp_listener(spec: TcpListen | TlsListen) -> socket.socket:
    place = place_of(spec)
    assert isinstance(place, TcpAddress)
    sock = socket.socket(_number(place.host), socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _tune(sock, spec)
        _bind(sock, spec, place)
        sock.listen(spec.listen.backlog or sockets.BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _unix_listener(spec: UnixListen) -> socket.socket:
    named = not spec.path.startswith("@")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        tuning.tune(sock, spec.sock)
        if named:
            tuning.unlink_early(spec.path, spec.name)
        with tuning.umask(spec.name):
            sockets.bind_unix(sock, spec.path)
        if named:
            tuning.own(spec.path, spec.name)  # nobody can connect before it listens
        sock.listen(spec.listen.backlog or sockets.BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _udp_listener(dialler: Dialler, bind: Bind, spec: UdpListen, told: Told) -> Listens:
    from ferryman.dataplane.udp import UdpListener

    network = tuning.served(spec.range)
    place = place_of(spec)
    assert isinstance(place, TcpAddress)
    sock = socket.socket(_number(place.host), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        tuning.tune(sock, spec.sock)
        _bind(sock, spec, place)
    except BaseException:
        sock.close()
        raise
    return UdpListener(
        dialler.loop,
        bind,
        sock,
        dataclasses.replace(spec, port=sock.getsockname()[1]),
        fork=spec.listen.fork,
        most=spec.listen.max_children,
        served=lambda address: tuning.is_served(network, address),
        told=told,
    )


def _bind(sock: socket.socket, spec: TcpListen | TlsListen | UdpListen, place: TcpAddress) -> None:
    if spec.place.reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if spec.place.v6only is not None and sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(spec.place.v6only))
    sock.bind((place.host, place.port))


def _tune(sock: socket.socket, spec: TcpListen | TlsListen | UnixListen) -> None:
    tuning.tune(sock, spec.sock)
    if not isinstance(spec, UnixListen):
        tuning.tune_tcp(sock, spec.tcp)


def _server_context(spec: TlsListen) -> ssl.SSLContext:
    from ferryman.dataplane import tls_settings

    return tls_settings.server(spec.tls)


def _family(spec: TcpListen | TlsListen | UdpListen, host: str) -> int:
    """The keyword's, else the option's, else that of ``bind``, else IPv4: as socat listens."""
    said = "" if isinstance(spec, TlsListen) else spec.family
    number = tuning.family_number(said or spec.place.family)
    return number or (0 if host else int(socket.AF_INET))


def _number(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _failure(spec: Spec, error: OSError) -> DialFailure:
    kind = "refused" if isinstance(error, (ConnectionRefusedError, FileNotFoundError)) else ""
    text = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return DialFailure(kind or "unavailable", f"{spec}: {text}", delivered=False)


def _as_failure(result: object) -> DialFailure:
    if isinstance(result, DialFailure):
        return result
    return DialFailure("unavailable", "the connection was not made", delivered=False)


def _nothing() -> None:
    """Nobody waits for the end of a side that was dialled."""
