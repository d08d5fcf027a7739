"""A relay whose every byte is told to another process, which takes the frames apart.

``python observed_relay.py LISTEN TARGET`` serves until it is killed: our data plane as an inspected
relay uses it, with the cheapest inspector that there can be, one that counts. What that has counted
is printed when a connection closes: bytes shown, and bytes missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from ferryman import addresses
from ferryman.dataplane.contract import Bind, Endpoint, Policy
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.inspection import feed


def serve(listen: str, target: str) -> None:
    """Relay, with an inspector of its own."""
    loop = Loop()
    engine = Engine(loop, lambda _event: None)
    engine.observe(_inspector)
    engine.policy("bench", Policy(hold=0, observe="Full"), 0)
    address = addresses.parse(target)
    engine.endpoints("bench", [Endpoint(target, address)], 0)
    engine.apply({Bind(addresses.parse(listen)): "bench"})
    loop.run()


def count() -> None:
    """The inspector: read frames from stdin, and say what they came to."""
    frames, shown, missed = feed.Frames(), Counter[int](), Counter[int]()
    buffer = memoryview(bytearray(1 << 20))
    while size := os.readv(0, [buffer]):
        for record in frames.receive(buffer[:size]):
            if isinstance(record, feed.Chunk):
                shown[record.connection] += len(record.data)
            elif isinstance(record, feed.Missed):
                missed[record.connection] += record.count
            elif isinstance(record, feed.Closed):
                number = record.connection
                print(f"shown {shown.pop(number, 0)} missed {missed.pop(number, 0)}", flush=True)


def _inspector() -> tuple[int, int]:
    records, commands = os.pipe(), os.pipe()
    with subprocess.Popen(
        [sys.executable, __file__], stdin=records[0], pass_fds=[commands[1]]
    ) as process:
        process.returncode = 0  # nobody waits for it: it ends when the pipe does
    os.close(records[0])
    os.close(commands[1])
    return records[1], commands[0]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], sys.argv[2])
    else:
        count()
