"""`ferry forward` to a cluster that only a proxy reaches: the API and the wires both go through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, ferry_forward, get, running
from tests.support.proxies import (
    RunningProxy,
    connect_proxy,
    socks5_proxy,
    tls_proxy,
    trust_tls_proxies,
)

MakeProxy = Callable[..., AbstractContextManager[RunningProxy]]
NAME = "cluster.test"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def far_kubeconfig(demo: Demo, folder: Path, proxy: str = "") -> str:
    """The demo under a name that nobody but a proxy can look up."""
    config = yaml.safe_load(Path(demo.kubeconfig).read_text())
    cluster = config["clusters"][0]["cluster"]
    cluster |= {"server": f"https://{NAME}:6443", "tls-server-name": "localhost"}
    cluster |= {"proxy-url": proxy} if proxy else {}
    path = folder / "far"
    path.write_text(json.dumps(config))
    return str(path)


def behind(demo: Demo) -> dict[str, int]:
    return {NAME: urlsplit(demo.server).port or 0}


@pytest.mark.parametrize("make", [connect_proxy, tls_proxy, socks5_proxy])
def test_a_forward_goes_through_the_proxy_of_the_kubeconfig(
    demo: Demo, tmp_path: Path, make: MakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that speaks TLS has a certificate from another authority than the cluster's."""
    trust_tls_proxies(tmp_path, monkeypatch)
    with make(behind(demo), ("jane", "s3cret")) as proxy:
        kubeconfig = far_kubeconfig(demo, tmp_path, proxy.url)
        with ferry_forward(kubeconfig, "deploy/example-go", ":8000") as program:
            [port, _] = program.ports(2)
            before = len(proxy.asked)
            assert get(port).startswith("example-go-")
            assert len(proxy.asked) > before  # the wire went through too
            assert set(proxy.asked) == {f"{NAME}:6443"}
            assert program.stop() == 0
        assert "s3cret" not in "".join([*program.out, *program.err])


def test_a_forward_goes_through_the_proxy_of_the_environment(demo: Demo, tmp_path: Path) -> None:
    kubeconfig = far_kubeconfig(demo, tmp_path)
    command = [*FERRY, "forward", "deploy/example-go", ":8000", "--kubeconfig", kubeconfig]
    with connect_proxy(behind(demo)) as proxy:
        with running(command, HTTPS_PROXY=proxy.url, NO_PROXY="other.test") as program:
            [port, _] = program.ports(2)
            assert get(port).startswith("example-go-")
            assert program.stop() == 0


def test_a_proxy_that_does_not_let_us_in_ends_the_forward_without_its_password(
    demo: Demo, tmp_path: Path
) -> None:
    with connect_proxy(behind(demo), ("jane", "s3cret")) as proxy:
        kubeconfig = far_kubeconfig(demo, tmp_path, proxy.url.replace("s3cret", "wr0ng"))
        with ferry_forward(kubeconfig, "deploy/example-go", ":8000") as program:
            program.said("does not let us in")
            assert program.process.wait(30) == 1
        assert "wr0ng" not in "".join([*program.out, *program.err])
