"""An asynchronous context manager for programs without asyncio: it lives in a thread of its own.

``InThread`` has the thread and its event loop; a ``Session`` is what a library function returns so
that ``async with`` and ``with`` both enter it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class LeftError(RuntimeError):
    """The block that something belongs to has been left."""

    def __init__(self) -> None:
        super().__init__("its block has been left")


class InThread(Generic[T]):
    """``enter`` starts a thread and enters the context manager there, ``leave`` leaves it and ends
    the thread; each waits for that, and raises what went wrong. ``open_`` is called in the thread.
    """

    def __init__(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_
        self._entered: Future[T] = Future()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The thread's, as long as calls may be made; behind the lock."""
        self._leaving: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ferryman library", daemon=True)

    def enter(self) -> T:
        """What the context manager gives; raises what it raises, and then there is no thread."""
        self._thread.start()
        try:
            return self._entered.result()
        except BaseException:
            self.leave()
            raise

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        """Run it there and wait for it. Raises LeftError once it was left, meanwhile too."""
        with self._lock:
            if self._loop is None:
                work.close()
                raise LeftError
            outcome = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return outcome.result()
        except CancelledError as error:
            raise LeftError from error

    def iterate(self, begin: Callable[[], AsyncIterator[R]]) -> Iterator[R]:
        """What an asynchronous iterator gives, which begins there now; each step waits."""

        async def begun() -> AsyncIterator[R]:
            return begin()

        async def following() -> R:
            return await anext(reading)

        reading = self.call(begun())

        def rest() -> Iterator[R]:
            while True:
                try:
                    yield self.call(following())
                except (StopAsyncIteration, LeftError):
                    return

        return rest()

    def leave(self) -> None:
        """Leave the context manager; raises what went wrong inside or while leaving. Idempotent."""
        with self._lock:
            if self._loop is not None and self._leaving is not None:
                self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001  it belongs to the other thread
            if self._entered.done():
                self._error = error
            else:
                self._entered.set_exception(error)

    async def _live(self) -> None:
        self._leaving = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            async with self._open() as entered:
                self._entered.set_result(entered)
                await self._leaving.wait()
        finally:
            with self._lock:
                self._loop = None
            await asyncio.sleep(0)  # calls that came before that are tasks then, and cancelled


A = TypeVar("A")
B = TypeVar("B")


class Session(Generic[A, B]):
    """Enter it once: with ``async with``, or without asyncio with ``with``, in a thread then.

    ``blocking`` makes what ``with`` gives of what ``async with`` would.
    """

    def __init__(
        self,
        open_: Callable[[], AbstractAsyncContextManager[A]],
        blocking: Callable[[A, InThread[Any]], B],
    ) -> None:
        self._open = open_
        self._blocking = blocking
        self._entered: AbstractAsyncContextManager[A] | None = None
        self._thread: InThread[A] | None = None

    async def __aenter__(self) -> A:
        self._entered = self._open()
        return await self._entered.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            await self._entered.__aexit__(kind, error, trace)

    def __enter__(self) -> B:
        self._thread = InThread(self._open)
        return self._blocking(self._thread.enter(), self._thread)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.leave()
