from __future__ import annotations

import socket
import sys

import pytest

from ferryman.demo.network import PODS, LoopbackNetwork, MappedNetwork, Network
from ferryman.errors import Unavailable

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds all of 127.0.0.0/8")
NETWORKS = [pytest.param(LoopbackNetwork, marks=linux), MappedNetwork]


@pytest.mark.parametrize("make", NETWORKS)
def test_a_pods_port_is_reached_where_its_program_listens(make: type[Network]) -> None:
    network = make()
    try:
        pods = [network.allocate(), network.allocate()]
        assert len(set(pods)) == 2
        for ip in pods:
            with socket.create_server(network.listen(ip, 8000)) as listener:
                found = network.dial(ip, 8000)
                assert found is not None
                with socket.create_connection(found, timeout=5):
                    listener.accept()[0].close()
    finally:
        network.close()


@pytest.mark.parametrize("make", NETWORKS)
def test_two_demos_share_no_address(make: type[Network]) -> None:
    one, other = make(), make()
    try:
        assert one.listen(one.allocate(), 8000) != other.listen(other.allocate(), 8000)
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("make", NETWORKS)
def test_an_address_is_used_again_as_late_as_possible(make: type[Network]) -> None:
    network = make()
    try:
        first = network.allocate()
        network.release(first)
        taken = [network.allocate() for _ in range(PODS)]
        assert taken[-1] == first
        with pytest.raises(Unavailable):
            network.allocate()
    finally:
        network.close()


def test_a_mapped_port_stays_for_the_pods_life_and_no_longer() -> None:
    network = MappedNetwork()
    ip = network.allocate()
    assert network.dial(ip, 80) is None
    where = network.listen(ip, 80)
    assert network.listen(ip, 80) == where == network.dial(ip, 80)
    network.release(ip)
    assert network.dial(ip, 80) is None
