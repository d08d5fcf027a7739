"""Who listens on an address, for the error that says it is taken; best effort, Linux only.

Source: proc(5), ``/proc/net/tcp`` and ``/proc/net/unix``. Another user's process cannot be named
without privileges; then nobody is.
"""

from __future__ import annotations

import os
import socket
import struct

from ferryman.addresses import Address, TcpAddress, UnixAddress

_LISTEN = "0A"


def holder_of(address: Address) -> str:
    """Such as ``socat (pid 123)``; empty if it cannot be known."""
    try:
        if isinstance(address, UnixAddress):
            inodes = _unix_inodes(address.path)
        else:
            inodes = _tcp_inodes(address)
        return _process_with(inodes) if inodes else ""
    except OSError:
        return ""


def _tcp_inodes(address: TcpAddress) -> set[str]:
    """Of listeners on the address itself, or on a wildcard that covers it."""
    inodes = set()
    places = _in_proc(address.host)
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file]
        except FileNotFoundError:
            continue
        for row in rows[1:]:
            place, _, port = row[1].rpartition(":")
            if row[3] == _LISTEN and int(port, 16) == address.port and place in places:
                inodes.add(row[9])
    return inodes


def _in_proc(host: str) -> set[str]:
    """The addresses that stand in the way of one on ``host``, in hexadecimal words of the machine's
    byte order: itself, and the wildcards (that of IPv6 may take IPv4, too).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return {"".join(f"{word:08X}" for word in words), "0" * 2 * len(packed), "0" * 32}


def _unix_inodes(path: str) -> set[str]:
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(maxsplit=7) for line in file]
    return {row[6] for row in rows[1:] if len(row) == 8 and row[7].rstrip("\n") == path}


def _process_with(inodes: set[str]) -> str:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in wanted:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        return f"{file.read().strip()} (pid {pid})"
        except OSError:
            continue  # not ours to look at, or gone
    return ""
