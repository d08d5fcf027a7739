"""What socat's addresses mean, as data; pure.

One dataclass a kind of address; options that belong together are one dataclass too, named after
socat's own option groups, and a kind has the groups that it honours. ``options`` fills them in,
``socat`` makes the whole; ``dataplane.opening`` opens, listens and dials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["", "4", "6"]
"""IPv4, IPv6 or whichever a name has."""


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """For every socket; None leaves what the system does. Sizes in bytes."""

    keepalive: bool | None = None
    reuseaddr: bool | None = None
    rcvbuf: int | None = None
    sndbuf: int | None = None


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """For TCP sockets; times in seconds."""

    nodelay: bool | None = None
    keepidle: int | None = None
    keepintvl: int | None = None
    keepcnt: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """The local end of an IP socket. ``bind`` is HOST, HOST:PORT or :PORT."""

    bind: str = ""
    source_port: int | None = None
    reuseport: bool | None = None
    v6only: bool | None = None
    family: Family = ""


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """Trying again what failed; times in seconds."""

    retry: int = 0
    forever: bool = False
    interval: float = 1.0


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How long one attempt to connect may take, in seconds; None is ours."""

    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Without ``fork`` one client is served and no other. ``max_children`` 0 is no limit.

    ``accept_timeout`` is how long the first client may keep us waiting, in seconds.
    """

    fork: bool = False
    max_children: int = 0
    backlog: int | None = None
    accept_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class RangeOptions:
    """Whom to serve: ADDRESS/BITS or ADDRESS:MASK; empty is everybody."""

    range: str = ""


@dataclass(frozen=True, slots=True)
class NameOptions:
    """For what has a name in the file system; ``mode`` and ``umask`` are bits.

    ``unlink_close`` None is socat's default: sockets and FIFOs that were made go, files stay.
    """

    mode: int | None = None
    user: str = ""
    group: str = ""
    umask: int | None = None
    unlink_early: bool = False
    unlink_close: bool | None = None


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """Flags of open(2)."""

    rdonly: bool = False
    wronly: bool = False
    rdwr: bool = False
    append: bool = False
    creat: bool = False
    excl: bool = False
    trunc: bool = False
    nofollow: bool = False
    sync: bool = False


@dataclass(frozen=True, slots=True)
class TerminalOptions:
    """Modes of a terminal; None leaves them."""

    raw: bool = False
    rawer: bool = False
    cfmakeraw: bool = False
    echo: bool | None = None
    icanon: bool | None = None
    isig: bool | None = None
    opost: bool | None = None
    onlcr: bool | None = None
    icrnl: bool | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything is asked for."""
        return self != TerminalOptions()


@dataclass(frozen=True, slots=True)
class ProgramOptions:
    """How a program is run. With ``pty`` it talks to a terminal, with ``pipes`` to two pipes."""

    pty: bool = False
    pipes: bool = False
    stderr: bool = False
    setsid: bool = False
    ctty: bool = False
    dash: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Files are PEM. ``verify`` False trusts anybody, and a server asks for no certificate.

    ``commonname`` is the name that the peer's certificate must have instead of the host's.
    """

    cert: str = ""
    key: str = ""
    cafile: str = ""
    capath: str = ""
    verify: bool = True
    snihost: str = ""
    no_sni: bool = False
    commonname: str = ""
    ciphers: str = ""
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True, slots=True)
class TcpConnect:
    host: str
    port: int | str
    family: Family = ""
    sock: SocketOptions = SocketOptions()
    tcp: TcpOptions = TcpOptions()
    place: PlaceOptions = PlaceOptions()
    retry: RetryOptions = RetryOptions()
    connect: ConnectOptions = ConnectOptions()

    def __str__(self) -> str:
        return f"TCP{self.family}:{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class TcpListen:
    port: int | str
    family: Family = ""
    sock: SocketOptions = SocketOptions()
    tcp: TcpOptions = TcpOptions()
    place: PlaceOptions = PlaceOptions()
    listen: ListenOptions = ListenOptions()
    range: RangeOptions = RangeOptions()

    def __str__(self) -> str:
        return f"TCP{self.family}-LISTEN:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixConnect:
    """A leading ``@`` of the path means Linux' abstract namespace, here and below."""

    path: str
    sock: SocketOptions = SocketOptions()
    retry: RetryOptions = RetryOptions()
    connect: ConnectOptions = ConnectOptions()

    def __str__(self) -> str:
        return f"UNIX-CONNECT:{self.path}"


@dataclass(frozen=True, slots=True)
class UnixListen:
    path: str
    sock: SocketOptions = SocketOptions()
    listen: ListenOptions = ListenOptions()
    name: NameOptions = NameOptions()

    def __str__(self) -> str:
        return f"UNIX-LISTEN:{self.path}"


@dataclass(frozen=True, slots=True)
class TlsConnect:
    host: str
    port: int | str
    sock: SocketOptions = SocketOptions()
    tcp: TcpOptions = TcpOptions()
    place: PlaceOptions = PlaceOptions()
    retry: RetryOptions = RetryOptions()
    connect: ConnectOptions = ConnectOptions()
    tls: TlsOptions = TlsOptions()

    def __str__(self) -> str:
        return f"OPENSSL:{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsListen:
    port: int | str
    sock: SocketOptions = SocketOptions()
    tcp: TcpOptions = TcpOptions()
    place: PlaceOptions = PlaceOptions()
    listen: ListenOptions = ListenOptions()
    range: RangeOptions = RangeOptions()
    tls: TlsOptions = TlsOptions()

    def __str__(self) -> str:
        return f"OPENSSL-LISTEN:{self.port}"


@dataclass(frozen=True, slots=True)
class UdpConnect:
    host: str
    port: int | str
    family: Family = ""
    sock: SocketOptions = SocketOptions()
    place: PlaceOptions = PlaceOptions()

    def __str__(self) -> str:
        return f"UDP{self.family}:{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class UdpListen:
    port: int | str
    family: Family = ""
    sock: SocketOptions = SocketOptions()
    place: PlaceOptions = PlaceOptions()
    listen: ListenOptions = ListenOptions()
    range: RangeOptions = RangeOptions()

    def __str__(self) -> str:
        return f"UDP{self.family}-LISTEN:{self.port}"


@dataclass(frozen=True, slots=True)
class Program:
    """EXEC and, with ``shell``, SYSTEM. ``words`` is what is executed, a shell's own included."""

    words: tuple[str, ...]
    shell: bool = False
    program: ProgramOptions = ProgramOptions()
    terminal: TerminalOptions = TerminalOptions()

    def __str__(self) -> str:
        return f"SYSTEM:{self.words[-1]}" if self.shell else f"EXEC:{' '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """STDIO and FD: descriptors that we have already; None where there is none."""

    read: int | None
    write: int | None
    terminal: TerminalOptions = TerminalOptions()

    def __str__(self) -> str:
        if (self.read, self.write) == (0, 1):
            return "STDIO"
        return f"FD:{self.write if self.read is None else self.read}"


@dataclass(frozen=True, slots=True)
class File:
    """OPEN and GOPEN. A ``generic`` one may turn out to be a UNIX socket to connect to, and is
    created if it is not there.
    """

    path: str
    generic: bool = False
    open: OpenOptions = OpenOptions()
    name: NameOptions = NameOptions()
    terminal: TerminalOptions = TerminalOptions()

    def __str__(self) -> str:
        return f"{'GOPEN' if self.generic else 'OPEN'}:{self.path}"


@dataclass(frozen=True, slots=True)
class Create:
    """A new file, or an old one emptied, to be written."""

    path: str
    name: NameOptions = NameOptions()

    def __str__(self) -> str:
        return f"CREATE:{self.path}"


@dataclass(frozen=True, slots=True)
class Pipe:
    """Without a path, what is written is read again: an echo. With one, a FIFO."""

    path: str = ""
    name: NameOptions = NameOptions()

    def __str__(self) -> str:
        return f"PIPE:{self.path}" if self.path else "PIPE"


Single = (
    TcpConnect
    | TcpListen
    | UnixConnect
    | UnixListen
    | TlsConnect
    | TlsListen
    | UdpConnect
    | UdpListen
    | Program
    | Descriptors
    | File
    | Create
    | Pipe
)


@dataclass(frozen=True, slots=True)
class Dual:
    """``A!!B``: reads from the one, writes to the other."""

    read: Single
    write: Single

    def __str__(self) -> str:
        return f"{self.read}!!{self.write}"


Spec = Single | Dual
Listen = TcpListen | UnixListen | TlsListen | UdpListen
LISTENS = (TcpListen, UnixListen, TlsListen, UdpListen)
"""The kinds that wait for somebody; all others are there as soon as they are opened."""


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
