"""Relays of a plane under test between addresses as people write them."""

from __future__ import annotations

import itertools

from ferryman.addresses import Address, TcpAddress, UnixAddress, parse_any
from ferryman.addresses.specs import Spec, UdpListen
from ferryman.addresses.workloads import WorkloadAddress
from ferryman.dataplane.contract import Bind, Bound, Endpoint, NotBound, Policy
from tests.support.plane import Plane

_names = (f"w{number}" for number in itertools.count())
LISTEN = "TCP-LISTEN:0,bind=127.0.0.1"


def meant(text: str) -> Address | Spec:
    found = parse_any(text)
    assert not isinstance(found, WorkloadAddress)
    return found


def relay_written(
    plane: Plane, listen: str, target: str, policy: Policy | None = None
) -> Bound | NotBound:
    """Lead the one to the other; what is listened on, or why it cannot be."""
    name = next(_names)
    bind, dial = Bind(meant(listen), tag=name), meant(target)
    plane.policy(name, policy or Policy(hold=0))
    plane.call(lambda: plane.engine.endpoints(name, [Endpoint(str(dial), dial)], 0))
    plane.listening[bind] = name
    found = plane.apply(plane.listening)[bind]
    if isinstance(found, NotBound):
        del plane.listening[bind]
    return found


def front(plane: Plane, listen: str, target: str, policy: Policy | None = None) -> Address:
    """As ``relay_written``, for what is known to listen: where to connect to."""
    found = relay_written(plane, listen, target, policy)
    assert isinstance(found, Bound), found
    if isinstance(found.address, UdpListen):
        assert isinstance(found.address.port, int)
        return TcpAddress("127.0.0.1", found.address.port)
    assert isinstance(found.address, (TcpAddress, UnixAddress))
    return found.address
