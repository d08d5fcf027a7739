"""socat's kinds of addresses by all their names, and those of them that Ferryman has; pure.

``CANONICAL`` takes a keyword, in capitals, to the one that ``socat`` knows how to make. The rest
of socat's kinds are in ``OTHERS``, so that they are refused by name and not called unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "TCP": "TCP-CONNECT INET",
    "TCP4": "TCP4-CONNECT INET4",
    "TCP6": "TCP6-CONNECT INET6",
    "TCP-LISTEN": "TCP-L INET-LISTEN INET-L",
    "TCP4-LISTEN": "TCP4-L INET4-LISTEN INET4-L",
    "TCP6-LISTEN": "TCP6-L INET6-LISTEN INET6-L",
    "UNIX": "UNIX-CONNECT UNIX-CLIENT LOCAL",
    "UNIX-LISTEN": "UNIX-L",
    "ABSTRACT": "ABSTRACT-CONNECT ABSTRACT-CLIENT",
    "ABSTRACT-LISTEN": "",
    "OPENSSL": "OPENSSL-CONNECT SSL",
    "OPENSSL-LISTEN": "SSL-L",
    "UDP": "UDP-CONNECT",
    "UDP4": "UDP4-CONNECT",
    "UDP6": "UDP6-CONNECT",
    "UDP-LISTEN": "UDP-L",
    "UDP4-LISTEN": "UDP4-L",
    "UDP6-LISTEN": "UDP6-L",
    "EXEC": "",
    "SYSTEM": "",
    "STDIO": "-",
    "STDIN": "",
    "STDOUT": "",
    "STDERR": "",
    "FD": "",
    "OPEN": "FILE",
    "GOPEN": "",
    "CREATE": "CREAT",
    "PIPE": "FIFO ECHO",
}

CANONICAL: Mapping[str, str] = {
    name: canonical
    for canonical, aliases in _NAMES.items()
    for name in (canonical, *aliases.split())
}

_INSTEAD: Mapping[str, str] = {
    "UDP-LISTEN:PORT,fork serves every peer with a flow of its own": (
        "UDP-RECV UDP-RECVFROM UDP4-RECV UDP4-RECVFROM UDP6-RECV UDP6-RECVFROM"
    ),
    "UDP:HOST:PORT sends to a peer and hears its answers": (
        "UDP-SEND UDP-SENDTO UDP-DATAGRAM UDP-DGRAM UDP4-SEND UDP4-SENDTO UDP4-DATAGRAM UDP4-DGRAM"
        " UDP6-SEND UDP6-SENDTO UDP6-DATAGRAM UDP6-DGRAM"
    ),
    "UNIX-CONNECT and UNIX-LISTEN carry streams": (
        "UNIX-RECV UNIX-RECVFROM UNIX-SEND UNIX-SENDTO ABSTRACT-RECV ABSTRACT-RECVFROM"
        " ABSTRACT-SENDTO"
    ),
    "EXEC:COMMAND,pty gives a program a terminal; for the rest use socat": "PTY",
    "use socat for that": (
        "DATAGRAM DGRAM DTLS DTLS-C DTLS-CLIENT DTLS-CONNECT DTLS-L DTLS-LISTEN DTLS-SERVER IF"
        " INTERFACE IP IP-DATAGRAM IP-DGRAM IP-RECV IP-RECVFROM IP-SEND IP-SENDTO IP4 IP4-DATAGRAM"
        " IP4-DGRAM IP4-RECV IP4-RECVFROM IP4-SEND IP4-SENDTO IP6 IP6-DATAGRAM IP6-DGRAM IP6-RECV"
        " IP6-RECVFROM IP6-SEND IP6-SENDTO OPENSSL-DTLS-CLIENT OPENSSL-DTLS-CONNECT"
        " OPENSSL-DTLS-LISTEN OPENSSL-DTLS-SERVER PROXY PROXY-CONNECT SCTP SCTP-CONNECT SCTP-L"
        " SCTP-LISTEN SCTP4 SCTP4-CONNECT SCTP4-L SCTP4-LISTEN SCTP6 SCTP6-CONNECT SCTP6-L"
        " SCTP6-LISTEN SENDTO SOCKET-CONNECT SOCKET-DATAGRAM SOCKET-LISTEN SOCKET-RECV"
        " SOCKET-RECVFROM SOCKET-SENDTO SOCKS SOCKS4 SOCKS4A TUN VSOCK VSOCK-CONNECT VSOCK-L"
        " VSOCK-LISTEN"
    ),
}

OTHERS: Mapping[str, str] = {
    name: instead for instead, names in _INSTEAD.items() for name in names.split()
}
"""Kinds that socat has and Ferryman has not, each with what to do instead."""


def near(word: str, likeness: float = 0.6) -> str:
    """The known keyword that is most like this one; empty if none is, from 0 to 1, so alike."""
    import difflib  # only a mistake needs it

    names = [keyword for keyword in CANONICAL if keyword != "-"]
    found = difflib.get_close_matches(word.upper(), names, n=1, cutoff=likeness)
    return found[0] if found else ""
