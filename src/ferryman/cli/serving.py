"""A forward in this process, with all that a person sees of it: words, signals, a command.

``forward`` has parsed; ``daemon.forward`` forwards; ``speaking`` finds the words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

from ferryman.access.kubeconfig import Access
from ferryman.api.kinds.relay import RelayStatus
from ferryman.cli.command import Command, environment
from ferryman.cli.output import note
from ferryman.cli.signals import Interrupts
from ferryman.cli.speaking import JsonSpeaker, Speaker
from ferryman.daemon.forward import Wish, forward, innermost, is_so
from ferryman.dataplane.contract import Event
from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from ferryman.cli.looking import Looking

INTERRUPTED = 130
"""The exit code if a stop was asked for before the command could begin."""


async def serve(
    access: Access,
    wishes: Sequence[Wish],
    words: Sequence[str] | None,
    *,
    json: bool,
    trace: bool,
    leave: Callable[[], None] | None,
    looking: Looking | None = None,
) -> int:
    """Forward until Ctrl-C or SIGTERM, or until the command of these words has ended.

    Returns the exit code; raises FerrymanError if it cannot begin. ``leave`` is called once
    everything is forwarded. ``looking`` is told of the connections that the wishes have inspected.
    """
    inspector = looking.inspector.start if looking is not None else None
    command = Command(words) if words is not None else None
    # The command's standard output is its own: somebody may be piping it.
    lines = {} if command is None else {"say": note}
    speaker = JsonSpeaker(**lines) if json else Speaker(wishes, **lines)
    milestones = Milestones(speaker, wishes, leave)
    with Interrupts(command.signal) if command is not None else Interrupts() as interrupts:
        try:
            if command is None:
                await forward(
                    access, wishes, milestones, interrupts, trace=trace, inspector=inspector
                )
                return 0
            running = forward(
                access, wishes, milestones, interrupts, trace=trace, inspector=inspector
            )
            return await _beside(command, running, milestones, interrupts)
        except FerrymanError as error:
            speaker.failed(error)
            raise
        finally:
            speaker.ended()


async def _beside(
    command: Command,
    forwarding: Coroutine[None, None, None],
    milestones: Milestones,
    interrupts: Interrupts,
) -> int:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(forwarding)
            either = [
                group.create_task(event.wait()) for event in (milestones.ready, interrupts.stopping)
            ]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in either:
                task.cancel()
            code = INTERRUPTED
            if not interrupts.stopping.is_set():
                code = await command.run(environment(milestones.statuses))
            interrupts.stopping.set()
            interrupts.now.set()  # whoever used it is gone
        return code
    except BaseExceptionGroup as errors:
        raise innermost(errors) from None


class Milestones:
    """Passes on to a speaker what it observes, and notes how far all of the wishes are."""

    def __init__(
        self,
        speaker: Speaker | JsonSpeaker,
        wishes: Sequence[Wish],
        begun: Callable[[], None] | None,
    ) -> None:
        self.ready = asyncio.Event()
        """Set once connections get through to every target."""
        self._speaker = speaker
        self._begun = begun
        self._statuses: dict[Wish, RelayStatus | None] = dict.fromkeys(wishes)
        self._waiting = set(wishes)

    @property
    def statuses(self) -> dict[Wish, RelayStatus]:
        """The last of each wish that has any, in the order of the wishes."""
        return {wish: status for wish, status in self._statuses.items() if status is not None}

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        self._speaker.forwarding(wish, status)
        self._waiting.discard(wish)
        if not self._waiting and self._begun is not None:
            self._begun()

    def status(self, wish: Wish, status: RelayStatus) -> None:
        self._statuses[wish] = status
        self._speaker.status(wish, status)
        if not self._waiting and all(s and is_so(s, "Ready") for s in self._statuses.values()):
            self.ready.set()

    def event(self, wish: Wish | None, event: Event) -> None:
        self._speaker.event(wish, event)

    def draining(self, connections: int) -> None:
        self._speaker.draining(connections)
