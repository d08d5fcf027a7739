"""Two addresses as one end of a flow, ``A!!B``: A is read, B is written."""

from __future__ import annotations

from collections.abc import Callable

from ferryman.addresses.specs import Dual, Single
from ferryman.dataplane.contract import (
    HANGUP,
    READ,
    WRITE,
    Client,
    Dial,
    DialFailure,
    Dialled,
    ReadyCallback,
    Side,
)

Begin = Callable[[Single, Callable[[Client | DialFailure], None]], Dial]


class DualSide:
    """What is said to A's writing half is nothing, what B says is not heard."""

    fd: int | None = None

    def __init__(self, read: Client, write: Side) -> None:
        self._read = read
        self._write = write
        self.recv_into = read.recv_into
        self.send = write.send
        self.half_closed = read.half_closed
        self.departed = read.departed

    def attach(self, on_ready: ReadyCallback) -> None:
        self._read.attach(lambda mask: on_ready(mask & ~WRITE))
        self._write.attach(lambda mask: on_ready(mask & ~(READ | HANGUP)))

    def want(self, mask: int) -> None:
        self._read.want(mask & READ)
        self._write.want(mask & WRITE)

    def shutdown(self) -> None:
        self._write.shutdown()

    def close(self) -> None:
        self._read.close()
        self._write.close()

    def abort(self, why: str) -> None:
        self._read.abort(why)
        self._write.abort(why)


class Both:
    """``A!!B`` being opened, B once there is A."""

    def __init__(
        self, spec: Dual, begin: Begin, done: Dialled | Callable[[Client | DialFailure], None]
    ) -> None:
        self._spec = spec
        self._begin = begin
        self._done: Dialled | Callable[[Client | DialFailure], None] | None = done
        self._under_way: Dial | None = None
        self._first: Client | None = None

    def start(self) -> Dial:
        """Begin with A."""
        self._continue(self._spec.read, self._opened_first)
        return self

    def cancel(self) -> None:
        """Give up."""
        self._done = None
        if self._under_way is not None:
            self._under_way.cancel()
        if self._first is not None:
            self._first.abort("nobody waits for it any more")

    def _continue(self, spec: Single, then: Callable[[Client | DialFailure], None]) -> None:
        before = self._under_way
        begun = self._begin(spec, then)
        if self._under_way is before:  # else the next one is under way already
            self._under_way = begun

    def _opened_first(self, result: Client | DialFailure) -> None:
        if isinstance(result, DialFailure):
            self._finish(result)
        else:
            self._first = result
            self._continue(self._spec.write, self._opened_second)

    def _opened_second(self, result: Client | DialFailure) -> None:
        first, self._first = self._first, None
        if first is None:
            return
        if isinstance(result, DialFailure):
            first.abort(result.message)
            self._finish(result)
        else:
            self._finish(DualSide(first, result))

    def _finish(self, result: Client | DialFailure) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(result)
