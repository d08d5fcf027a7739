"""``ferry demo``: a small cluster in a box, and a forward into it.

``demo.cluster`` is the cluster; this verb starts it, writes its kubeconfig, says what can be tried
and waits for Ctrl-C. Nothing is left behind, the kubeconfig included.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from ferryman.cli.output import result
from ferryman.cli.signals import Interrupts

NAME = "demo"
HELP = "Run a small cluster in a box, with a forward into it."
EXAMPLES = """\
examples:
  ferry demo
  ferry demo --cluster-only --kubeconfig ./demo.yaml
  kubectl --kubeconfig ./demo.yaml get pods
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
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
        "--port", metavar="N", type=int, default=0, help="the API's port; any free one by default"
    )
    parser.add_argument(
        "--half-close",
        action="store_true",
        help="carry half-closes through port-forward, which real nodes do not",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    with ExitStack() as stack:
        path = args.kubeconfig
        if path is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-demo-"))
            path = Path(folder) / "kubeconfig"
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
                async with asyncio.TaskGroup() as tasks:
                    work = tasks.create_task(_work(cluster, path))
                    await interrupts.stopping.wait()
                    work.cancel()
            finally:
                kubeconfig.remove(path, text)


async def _work(cluster: object, path: Path) -> None:
    from ferryman.demo.cluster import Cluster

    assert isinstance(cluster, Cluster)
    await cluster.ready()
    result(f"demo cluster ready: {path}")
