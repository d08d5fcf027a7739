"""``ferry relay LISTEN deploy/web:8000``: a relay whose target is a workload, so that it heals.

What ``ferry forward`` does (``serving``), with one listener that is written as for a relay.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.addresses.specs import (
    ListenOptions,
    PlaceOptions,
    SocketOptions,
    Spec,
    TcpListen,
    UnixListen,
)
from ferryman.addresses.workloads import WorkloadAddress
from ferryman.daemon.forward import Wish
from ferryman.errors import UserError

if TYPE_CHECKING:
    from ferryman.cli.looking import Looking

Listen = TcpAddress | UnixAddress | Spec


def run(
    listen: Listen,
    target: WorkloadAddress,
    *,
    hold: str,
    faults: tuple[str, ...],
    looking: Looking | None,
) -> int:
    """Forward until a signal says stop; 0 then. Raises FerrymanError."""
    import asyncio
    import logging

    from ferryman.access.kubeconfig import load
    from ferryman.cli.serving import serve

    logging.getLogger("ferryman").setLevel(logging.ERROR)  # what heals, the narration tells
    access = load(None, target.context or None, os.environ)
    wish = wished(listen, target, access.namespace, hold=hold, faults=faults)
    if looking is not None:
        wish = replace(wish, inspect=looking.mode)
    serving = serve(access, [wish], None, json=False, trace=False, leave=None, looking=looking)
    return asyncio.run(serving)


def wished(
    listen: Listen,
    target: WorkloadAddress,
    namespace: str,
    *,
    hold: str = "30s",
    faults: tuple[str, ...] = (),
) -> Wish:
    """What to forward; raises UserError for a listener that cannot stand before a workload."""
    from ferryman.kube import ports, targets

    meant = targets.parse(f"{target.kind}/{target.name}", target.namespace or namespace)
    address, hosts, port = "", "localhost", 0
    match listen:
        case TcpAddress():
            hosts, port = listen.host or "localhost", listen.port
        case UnixAddress():
            address = listen.path
        case TcpListen():
            _check(listen, TcpListen(listen.port, listen.family))
            hosts = listen.place.bind or ("::" if listen.family == "6" else "0.0.0.0")
            port = _number(listen)
        case UnixListen():
            _check(listen, UnixListen(listen.path))
            address = listen.path
        case _:
            hint = "a port, HOST:PORT, a path, TCP-LISTEN or UNIX-LISTEN can"
            raise UserError(f"{listen} cannot stand before a workload", hint)
    return Wish(
        target=meant,
        ports=((port, target.port),),
        hosts=() if address else tuple(ports.parse_hosts(hosts.strip("[]"))),
        hold=hold,
        address=address,
        faults=faults,
    )


def _number(listen: TcpListen) -> int:
    if isinstance(listen.port, int):
        return listen.port
    raise UserError(f"{listen}: not a port's number", "write the number before a workload")


def _check(listen: TcpListen | UnixListen, plain: TcpListen | UnixListen) -> None:
    """Whether it asks for nothing but what is done anyway: any other option would be ignored."""
    if not listen.listen.fork:
        raise UserError(f"{listen} would serve one client only", "before a workload, add fork")
    done = {
        "listen": ListenOptions(fork=True),
        "sock": SocketOptions(reuseaddr=True),
        "place": PlaceOptions(bind=listen.place.bind) if isinstance(listen, TcpListen) else None,
    }
    for group in dataclasses.fields(listen):
        asked, default = getattr(listen, group.name), getattr(plain, group.name)
        base = done.get(group.name) or default
        if asked in (default, base):
            continue
        names = [name for name in type(asked).__slots__ if _differ(asked, base, name)]
        raise UserError(
            f"{', '.join(names)} of {listen} is not supported before a workload",
            "it honours fork, reuseaddr and bind",
        )


def _differ(one: object, other: object, field: str) -> bool:
    return bool(getattr(one, field) != getattr(other, field))
