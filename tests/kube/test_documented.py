"""Tilt's rule for a forward that names no container port."""

from __future__ import annotations

import pytest

from ferryman.api.resource import Object
from ferryman.errors import UserError
from ferryman.kube.dialspec import resolve_found
from ferryman.kube.documented import documented_port, documented_ports


def pod(*ports: int | Object, name: str = "web-1", namespace: str = "n") -> Object:
    written = [{"containerPort": p} if isinstance(p, int) else p for p in ports]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}"},
        "spec": {"containers": [{"name": f"c{i}", "ports": [p]} for i, p in enumerate(written)]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@pytest.mark.parametrize(
    ("documented", "local", "meant"),
    [
        ((80, 8080), 8080, 8080),
        ((80, 81), 8080, 80),
        ((), 8080, 8080),
        ((80, 8080), 0, 80),
    ],
    ids=["the one equal to the local port", "else the first", "else the local port", "random"],
)
def test_the_documented_port_is(documented: tuple[int, ...], local: int, meant: int) -> None:
    assert documented_port(pod(*documented), local) == meant


def test_a_random_port_of_a_pod_that_documents_none_cannot_be_guessed() -> None:
    with pytest.raises(UserError, match="documents no port"):
        documented_port(pod(), 0)


def test_only_tcp_counts() -> None:
    assert documented_ports(pod({"containerPort": 53, "protocol": "UDP"}, 80)) == (80,)
    assert documented_ports({"metadata": {"name": "x"}}) == ()


def test_each_pod_is_dialled_at_the_port_that_it_documents_itself() -> None:
    found = resolve_found("ctx", [pod(8000, name="a"), pod(9000, name="b", namespace="m")], 0, 8080)
    assert [str(endpoint.dial) for endpoint in found.endpoints] == ["pod/b:9000", "pod/a:8000"]
    assert {getattr(e.dial, "namespace", "") for e in found.endpoints} == {"n", "m"}


def test_of_equals_the_greatest_name_is_chosen_as_in_tilt() -> None:
    found = resolve_found("ctx", [pod(80, name=name) for name in ("a", "c", "b")], 80, 0)
    assert [place.pod for place in found.places] == ["c", "b", "a"]
