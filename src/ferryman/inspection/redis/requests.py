"""The commands that a Redis client sends; pure.

``commands`` says what the arguments are, ``waiting`` matches the answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import UP
from ferryman.inspection.machine import Report, Window
from ferryman.inspection.redaction import REDACTED
from ferryman.inspection.redis.commands import WORD_LIMIT, Command, spoken
from ferryman.inspection.redis.reading import CUT, LINE_LIMIT, Reader, integer
from ferryman.inspection.redis.waiting import Waiting

_ARGUMENTS_LIMIT = 1024  # of commands whose arguments have to be known one by one
_INLINE_WORD = re.compile(rb"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s"'])+""", re.DOTALL)


@dataclass(slots=True)
class _Sent:
    """The command that is being sent; ``number`` is 0 if it is not told of."""

    command: Command
    number: int
    began: bool = False
    payload: bool = False
    size: int = 0
    missed: int = 0


class Requests(Reader):
    """What goes up."""

    def __init__(self, window: Window, report: Report, waiting: Waiting) -> None:
        super().__init__(window, report)
        self._waiting = waiting
        self._sent = _Sent(Command(0), 0)

    def _element(self, window: Window) -> bool:
        sent = self._sent
        multibulk, start = window[0] == 0x2A, window.position
        line = window.line(LINE_LIMIT)
        if line is None:
            return False
        if sent.command.count:
            self._argument(line, sent)
        elif multibulk:
            self._sent = self._new(max(0, integer(line[1:])))
        else:
            self._inline(line, start)
        return True

    def _new(self, count: int) -> _Sent:
        """A command of so many arguments; the server passes over one that has none."""
        return _Sent(Command(count), self._waiting.number() if count else 0)

    def _inline(self, line: bytes, start: int) -> None:
        words = list(_INLINE_WORD.finditer(line))
        if not words:
            return
        sent = self._sent = self._new(len(words))
        for match in words:
            raw, place = match[0], start + match.start()
            if sent.command.name == b"AUTH":  # the server may split its arguments another way
                self._window.secret(place, place + len(raw))
                sent.command.add(raw, self._shown(raw))
                continue
            word = raw[1:].removesuffix(raw[:1]) if raw[:1] in (b'"', b"'") else raw
            self._add(sent.command, word, place + (word is not raw))
        self._finish(sent)

    def _argument(self, line: bytes, sent: _Sent) -> None:
        size = integer(line[1:]) if line[:1] == b"$" else -1
        if size < 0:
            raise Undecodable("a command whose arguments are not strings")
        if sent.command.has_payload(size):
            self._begin(sent)
            if sent.payload:
                self._payload(b"\n", 1, 0)
            sent.payload = True
            self._pass(size)
        elif sent.command.seen > _ARGUMENTS_LIMIT or (size > WORD_LIMIT and not sent.command.seen):
            raise Undecodable("a command that Redis does not have")
        elif size > WORD_LIMIT:  # of a command with secrets: none of its names is that long
            self._pass(size, secret=True)
        else:
            self._await(size)

    def _string(self, data: bytes, place: int) -> None:
        self._add(self._sent.command, data, place)
        self._may_finish()

    def _add(self, command: Command, word: bytes, place: int) -> None:
        end = place + len(word)
        start = 0 if command.secret() else command.secret_from(word)
        if start is None:
            command.add(word, spoken(word))
            return
        self._window.secret(place + start, end)
        shown = spoken(word[:start]) if start else ""
        command.add(word, shown + self._shown(word[start:]))

    def _payload(self, data: bytes, count: int, missed: int) -> None:
        sent = self._sent
        if not sent.payload:
            return
        sent.size += count
        sent.missed += missed
        if data and sent.number:
            self._report.say(MessageData(sent.number, UP, data))

    def _passed(self, secret: bool) -> None:
        command = self._sent.command
        if secret:
            command.add(b"", REDACTED)
        else:
            command.seen += 1
        self._may_finish()

    def _begin(self, sent: _Sent) -> None:
        if not sent.began and sent.number:
            command = sent.command
            self._report.say(MessageBegan(sent.number, UP, command.text, (), command.facts))
        sent.began = True

    def _may_finish(self) -> None:
        if self._sent.command.seen == self._sent.command.count:
            self._finish(self._sent)

    def _finish(self, sent: _Sent) -> None:
        self._begin(sent)
        self._sent = _Sent(Command(0), 0)
        if sent.number:
            self._report.say(MessageEnded(sent.number, UP, sent.size, missed=sent.missed))
        self._waiting.asked(sent.number, [word.upper() for word in sent.command.words[:3]])

    def ended(self) -> None:
        """See ``Reader``."""
        sent = self._sent
        if sent.began and sent.number:
            ended = MessageEnded(sent.number, UP, sent.size, missed=sent.missed, error=CUT)
            self._report.say(ended)
