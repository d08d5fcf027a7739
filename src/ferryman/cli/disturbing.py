"""``--fault``: what ``relay`` and ``forward`` may do to connections on purpose."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.faults import Fault


def add_fault_argument(parser: argparse.ArgumentParser) -> None:
    """Define the option."""
    parser.add_argument(
        "--fault",
        metavar="FAULT",
        action="append",
        default=[],
        help="disturb connections, repeatable: latency=200ms±50, rate=64k, reset@1KB, slice=1, "
        "drop=5%%, stall=5s, blackhole; then ,up or ,down for one direction and ,share=10%% of "
        "the connections",
    )


def faults_of(args: argparse.Namespace) -> tuple[Fault, ...]:
    """What was asked for; raises UserError."""
    if not args.fault:
        return ()
    from ferryman import faults  # nobody else pays for it

    return faults.parse_all(args.fault)
