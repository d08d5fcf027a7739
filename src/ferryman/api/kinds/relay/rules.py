"""What a Relay's fields mean together: defaults that depend on others, and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ferryman import addresses, faults
from ferryman.api.durations import parse_duration
from ferryman.api.kinds.relay.fields import (
    Listen,
    RelaySpec,
    Target,
    Workload,
    listen_hosts,
    spec_of,
)
from ferryman.api.resource import Object
from ferryman.api.selectors import parse_labels
from ferryman.api.status import Cause
from ferryman.api.validation import bad, duplicate, forbidden, port_name, port_number, required
from ferryman.errors import UserError

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9.-]{1,253})?")


def default(relay: Object) -> None:
    """What depends on other fields; the schema has said the rest."""
    spec = relay["spec"]
    workload = spec["target"].get("address", "") == ""
    for port in spec["ports"]:
        listen = port["listen"]
        if not listen.get("address") and "hosts" not in listen:
            listen["hosts"] = ["127.0.0.1", "::1"]
        if workload and port.get("targetPort") is None and listen.get("port"):
            port["targetPort"] = listen["port"]
        if not port.get("name") and len(spec["ports"]) == 1:
            port["name"] = "main"


def validate(relay: Object) -> Iterator[Cause]:
    """What is wrong with the spec."""
    spec = spec_of(relay)
    yield from _target_causes(spec.target)
    yield from _port_causes(spec)
    for field, text in (
        ("spec.hold.timeout", spec.hold.timeout),
        ("spec.drain.timeout", spec.drain.timeout),
    ):
        try:
            parse_duration(text)
        except UserError as error:
            yield bad(field, text, f"not a duration; {error.hint or 'it is too long'}")
    for i, text in enumerate(spec.faults):
        try:
            faults.parse(text)
        except UserError as error:
            yield bad(f"spec.faults[{i}]", text, str(error))


def _target_causes(target: Target) -> Iterator[Cause]:
    given = [
        name
        for name, value in (
            ("workload", target.workload),
            ("discovery", target.discovery),
            ("address", target.address),
        )
        if value
    ]
    if not given:
        yield required("spec.target", "one of workload, discovery and address")
    for name in given[1:]:
        yield forbidden(f"spec.target.{name}", f"may not be set together with {given[0]}")
    if target.workload is not None:
        yield from _workload_causes("spec.target.workload", target.workload)
    if target.discovery is not None and not target.discovery.name:
        yield required("spec.target.discovery.name")
    if target.address:
        yield from _address_causes("spec.target.address", target.address)


def _workload_causes(at: str, workload: Workload) -> Iterator[Cause]:
    if not _KIND.fullmatch(workload.kind):
        yield bad(f"{at}.kind", workload.kind, "must be a kind's name, such as deployment")
    if not workload.selector:
        if not workload.name:
            yield required(f"{at}.name")
        return
    if workload.name:
        yield forbidden(f"{at}.selector", "may not be set together with name")
    if workload.kind != "pod":
        yield bad(f"{at}.kind", workload.kind, "must be pod where there is a selector")
    try:
        empty = not parse_labels(workload.selector)
    except UserError as error:
        yield bad(f"{at}.selector", workload.selector, error.hint or error.message)
    else:
        if empty:
            yield bad(f"{at}.selector", workload.selector, "must select by something")


def _port_causes(spec: RelaySpec) -> Iterator[Cause]:
    names: set[str] = set()
    taken: set[object] = set()
    for i, port in enumerate(spec.ports):
        at = f"spec.ports[{i}]"
        if not port.name:
            yield required(f"{at}.name", "several ports need names")
        elif port.name in names:
            yield duplicate(f"{at}.name", port.name)
        else:
            yield from port_name(f"{at}.name", port.name)
        names.add(port.name)
        yield from _listen_causes(f"{at}.listen", port.listen, taken)
        yield from _target_port_causes(f"{at}.targetPort", port.target_port, spec.target)
        if port.path and not port.path.startswith("/"):
            yield bad(f"{at}.path", port.path, "must start with /")


def _listen_causes(at: str, listen: Listen, taken: set[object]) -> Iterator[Cause]:
    if listen.address:
        for name in ("hosts", "port"):
            if getattr(listen, name):
                yield forbidden(f"{at}.{name}", "may not be set together with address")
        yield from _address_causes(f"{at}.address", listen.address)
        if listen.address in taken:
            yield duplicate(f"{at}.address", listen.address)
        taken.add(listen.address)
        return
    if not listen.hosts:
        yield required(f"{at}.hosts")
    for i, host in enumerate(listen.hosts):
        if not host or any(c in host for c in "[]/% \t\n") or len(host) > 253:
            yield bad(f"{at}.hosts[{i}]", host, "must be an IP address or a host's name")
    if listen.port:
        for host in listen_hosts(listen):
            if (host, listen.port) in taken:
                yield duplicate(f"{at}.port", listen.port)
                break
        taken.update((host, listen.port) for host in listen_hosts(listen))


def _target_port_causes(at: str, port: int | str | None, target: Target) -> Iterator[Cause]:
    if target.address:
        if port is not None:
            yield forbidden(at, "the target's address has the port")
    elif port is None:
        yield required(at, "a random or UNIX listener does not say which port of the target")
    elif isinstance(port, int):
        yield from port_number(at, port, least=0 if target.discovery is not None else 1)
    else:
        yield from port_name(at, port)


def _address_causes(at: str, text: str) -> Iterator[Cause]:
    try:
        addresses.parse(text)
    except UserError as error:
        yield bad(at, text, error.hint or error.message)
