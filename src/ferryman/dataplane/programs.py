"""EXEC and SYSTEM: a program as one end of a flow, ended and reaped with it.

It talks to a socket pair (which can be spliced and half-closed), to two pipes, or to a terminal.
When the connection ends the program's input has ended too; it gets ``GRACE`` seconds to end by
itself, then SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import termios

from ferryman.addresses.specs import Program
from ferryman.dataplane import terminals
from ferryman.dataplane.contract import Client
from ferryman.dataplane.descriptors import DescriptorSide
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import FinishingSocket

GRACE = 0.5
TERMINATED = 2.0
"""Seconds that a program gets after SIGTERM."""
HANGUP_AFTER = 5.0
"""Seconds after the last input in which a program at a raw terminal, where no end can be told, may
still answer.
"""
_LOOK = 0.02


class Children:
    """The programs that run; loop thread only."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._ending: set[subprocess.Popen[bytes]] = set()

    @property
    def ending(self) -> bool:
        """Whether there are programs whose connections are over."""
        return bool(self._ending)

    def release(self, process: subprocess.Popen[bytes], *, group: bool) -> None:
        """The program's connection is over; ``group`` says that it leads a group of its own."""
        if process.poll() is None:
            self._ending.add(process)
            now = self._loop.now()
            self._look(process, group, now + GRACE, now + GRACE + TERMINATED)

    def _look(
        self, process: subprocess.Popen[bytes], group: bool, terminate: float, kill: float
    ) -> None:
        if process.poll() is not None:
            self._ending.discard(process)
            return
        now = self._loop.now()
        if now >= kill:
            _send(process, signal.SIGKILL, group=group)
        elif now >= terminate:
            _send(process, signal.SIGTERM, group=group)
            terminate = float("inf")
        self._loop.call_later(_LOOK, lambda: self._look(process, group, terminate, kill))


def start(loop: Loop, children: Children, spec: Program) -> Client:
    """Run it; raises OSError if that cannot be, UserError for modes that cannot be set."""
    if spec.program.pty:
        return _at_terminal(loop, children, spec)
    if spec.program.pipes:
        return _at_pipes(loop, children, spec)
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = _run(spec, theirs.fileno(), theirs.fileno())
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return FinishingSocket(loop, ours, lambda: _release(children, process, spec))


def _at_pipes(loop: Loop, children: Children, spec: Program) -> Client:
    (input_, write), (read, output) = os.pipe(), os.pipe()
    try:
        process = _run(spec, input_, output)
    except OSError:
        os.close(write)
        os.close(read)
        raise
    finally:
        os.close(input_)
        os.close(output)
    for fd in (read, write):
        os.set_blocking(fd, False)
    return DescriptorSide(
        loop, read, write, ours=True, finish=lambda: _release(children, process, spec)
    )


def _at_terminal(loop: Loop, children: Children, spec: Program) -> Client:
    master, slave = os.openpty()
    try:
        terminals.set_modes(slave, spec.terminal)
        process = _run(spec, slave, slave)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    os.set_blocking(master, False)
    hangup: list[Timer] = []

    def end() -> None:
        character = terminals.end_of_file(master)
        if character:
            with contextlib.suppress(BlockingIOError):
                os.write(master, character)
        else:
            leads = spec.program.setsid
            late = loop.call_later(HANGUP_AFTER, lambda: _hang_up(process, group=leads))
            hangup.append(late)

    def finish() -> None:
        for timer in hangup:
            timer.cancel()
        _release(children, process, spec)

    return DescriptorSide(loop, master, master, ours=True, finish=finish, end=end)


def _run(spec: Program, input_: int, output: int) -> subprocess.Popen[bytes]:
    options = spec.program
    name = spec.words[0]
    words = [f"-{os.path.basename(name)}" if options.dash else name, *spec.words[1:]]
    return subprocess.Popen(
        words,
        executable=name,
        stdin=input_,
        stdout=output,
        stderr=output if options.stderr else None,
        env={**os.environ, "PATH": options.path} if options.path else None,
        start_new_session=options.setsid,
        # One system call between fork and exec, which is safe beside threads.
        preexec_fn=_take_terminal if options.ctty else None,
    )


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _release(children: Children, process: subprocess.Popen[bytes], spec: Program) -> None:
    children.release(process, group=spec.program.setsid)


def _hang_up(process: subprocess.Popen[bytes], *, group: bool) -> None:
    if process.poll() is None:
        _send(process, signal.SIGHUP, group=group)


def _send(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
