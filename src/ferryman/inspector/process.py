"""The inspector's process: reads the feed, until it ends, and does what was asked for.

``python -m ferryman.inspector.process SEEING FEED COMMANDS OUT EXCHANGES [DESCRIPTOR=FILE…]``:
``spawn`` gives it the descriptors. What it shows it writes as a whole once a read of the feed is
worked off; while nobody takes that, it stands still, and the data plane counts what it misses. It
gives way to the data plane, which is why it is nice.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable

from ferryman.errors import PeerError
from ferryman.inspection import feed
from ferryman.inspection.exchanges import Exchange
from ferryman.inspector.files import Files
from ferryman.inspector.keeping import keepings
from ferryman.inspector.pipeline import Pipeline
from ferryman.inspector.seeing import Seeing

NICENESS = 5
_READ = 1 << 20
_NOBODY = (errno.EPIPE, errno.EIO, errno.EBADF)


def main(words: list[str]) -> int:
    """Run until the feed ends; 1 if what was shown or kept is not whole."""
    os.nice(NICENESS)
    text, numbers, names = words[0], [int(word) for word in words[1:5]], words[5:]
    source, commands, out, exchanges = numbers
    seeing = Seeing.from_json(json.loads(text))
    files = Files({path: int(n) for n, _, path in (name.partition("=") for name in names)})
    kept = keepings(files, started=time.time_ns(), redacted=seeing.redact)
    shown = Output(out) if out >= 0 else None
    tell = _sender(exchanges) if exchanges >= 0 else None
    os.set_blocking(commands, False)
    pipeline = Pipeline(seeing, shown.add if shown else None, kept, tell)
    try:
        return _run(source, commands, pipeline, shown)
    except OSError as error:
        if error.errno not in _NOBODY:
            raise
        return 1  # the reader is gone: then nobody needs us


class Output:
    """Collects what is shown, and writes it at once; blocks while nobody takes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pieces: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Write it with the next ``flush``."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Write all; raises OSError when nobody reads."""
        view = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # a terminal that somebody else made non-blocking
                time.sleep(0.01)


def _run(source: int, commands: int, pipeline: Pipeline, shown: Output | None) -> int:
    frames = feed.Frames()
    code = 0
    while data := os.read(source, _READ):
        try:
            for record in frames.receive(data):
                pipeline.receive(record)
        except PeerError as error:
            _complain(str(error))
            return 1
        _command(commands, pipeline.commands())
        code = _flush(pipeline, shown) or code
    pipeline.finish()
    return _flush(pipeline, shown) or code


def _flush(pipeline: Pipeline, shown: Output | None) -> int:
    if shown is not None:
        shown.flush()
    failed = pipeline.flush()
    for message in failed:
        _complain(message)
    return bool(failed)


def _command(descriptor: int, commands: list[feed.Command]) -> None:
    """Ask to be spared what nobody needs; a command that is lost only costs time."""
    for command in commands:
        try:
            os.write(descriptor, feed.encode_command(command))
        except (BlockingIOError, BrokenPipeError):  # it is busy, or stops: there is a rest to read
            return


def _sender(descriptor: int) -> Callable[[Exchange], None]:
    from ferryman.inspector.sending import encode

    output = Output(descriptor)

    def send(exchange: Exchange) -> None:
        output.add(encode(exchange))
        output.flush()

    return send


def _complain(message: str) -> None:
    os.write(2, f"ferry: {message}\n".encode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
