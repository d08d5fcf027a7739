"""What a Redis server answers, and what it says unasked; pure.

``waiting`` says whose answer it is, ``tree`` writes nested ones as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN
from ferryman.inspection.machine import Report, Window, line
from ferryman.inspection.redaction import REDACTED
from ferryman.inspection.redis.commands import SECRET_SETTINGS, quoted, spoken
from ferryman.inspection.redis.reading import CUT, LINE_LIMIT, Reader, integer
from ferryman.inspection.redis.tree import Tree
from ferryman.inspection.redis.waiting import PUBLISHED, Asked, Waiting

LEAF_LIMIT = 16384
"""Bytes of a member of an answer that is shown; of larger ones, only the size is."""
_DEPTH_LIMIT = 32
_PUSH_LIMIT = 8  # members of a push that is put into its title
_FLUSH = 16384  # characters of text that are said at once

_DIGEST = re.compile(rb"[0-9a-f]{64}")  # an ACL's password, as SHA-256
_SCALARS = {
    "+": ("status", "{}"),
    "-": ("error", "(error) {}"),
    ":": ("integer", "(integer) {}"),
    "_": ("null", "(nil)"),
    ",": ("double", "(double) {}"),
    "#": ("boolean", "({})"),
    "(": ("number", "(big number) {}"),
}
_STRINGS = {"$": "string", "=": "string", "!": "error"}
_NESTED = {"*": "array", "~": "set", "%": "map", ">": "push", "|": ""}
_BOOLEANS = {"t": "true", "f": "false"}


@dataclass(slots=True)
class _Answer:
    """The answer that is being given, from its first line on."""

    kind: str = ""
    count: int = 0
    asked: Asked | None = None
    number: int | None = None  # None: not known yet whose it is; 0: it is not told of
    open: list[tuple[int, bool]] = field(default_factory=list)  # members to come; of an attribute?
    before: bytes = b""  # the member before: it may say that this one is a secret
    words: list[bytes] | None = None  # of a push, which are few and become its title
    tree: Tree = field(default_factory=Tree)
    text: list[str] = field(default_factory=list)
    length: int = 0
    passed: int = 0
    size: int = 0
    missed: int = 0

    @property
    def hidden(self) -> bool:
        """Whether the next member belongs to an attribute."""
        return any(attribute for _, attribute in self.open)


class Answers(Reader):
    """What comes down."""

    def __init__(self, window: Window, report: Report, waiting: Waiting) -> None:
        super().__init__(window, report)
        self._waiting = waiting
        self._answer = _Answer()

    def _element(self, window: Window) -> bool:
        line = window.line(LINE_LIMIT)
        if line is None:
            return False
        kind, rest = line[:1].decode("latin-1"), line[1:]
        answer = self._answer
        if not answer.open:
            answer.kind = kind
        if kind in _SCALARS:
            self._leaf(_scalar(kind, rest), rest)
        elif kind in _NESTED and kind:
            self._nested(kind, integer(rest))
        elif kind in _STRINGS and kind:
            self._begin_string(kind, integer(rest))
        else:
            raise Undecodable("an answer that Redis does not give")
        return True

    def _nested(self, kind: str, count: int) -> None:
        answer = self._answer
        outermost, hidden = not answer.open, kind == "|" or answer.hidden
        if len(answer.open) >= _DEPTH_LIMIT:
            raise Undecodable(f"an answer more than {_DEPTH_LIMIT} deep")
        if count < 0:
            self._leaf("(nil)", b"")
            return
        if not hidden and outermost:
            answer.count = count
            if kind in "*>" and 0 < count <= _PUSH_LIMIT:
                answer.words = []
        if not hidden and not (outermost and count):
            self._claim(b"", "")
        if not hidden and (count or not outermost):
            self._write(answer.tree.opened(kind, count))
        if count:
            answer.open.append((count * 2 if kind in "%|" else count, kind == "|"))
        elif kind != "|":
            self._member_ended()

    def _begin_string(self, kind: str, size: int) -> None:
        answer = self._answer
        if size < 0:
            self._leaf("(nil)", b"")
        elif kind == "$" and not answer.open:
            self._claim(b"", "")
            asked = answer.asked
            self._pass(size, secret=asked is not None and asked.name == b"ACL GENPASS")
        elif size <= LEAF_LIMIT:
            self._await(size)
        else:
            self._claim(b"", "")
            self._pass(size, secret=answer.before in SECRET_SETTINGS)

    def _string(self, data: bytes, place: int) -> None:
        shown, redact = data, self._report.redact
        if self._answer.before in SECRET_SETTINGS:
            self._window.secret(place, place + len(data))
            shown = REDACTED.encode() if redact else data
        elif self._waiting.digests:
            for match in _DIGEST.finditer(data):
                self._window.secret(place + match.start(), place + match.end())
            shown = _DIGEST.sub(REDACTED.encode(), data) if redact else data
        answer = self._answer
        if answer.open:
            self._leaf(quoted(shown), shown)
        elif answer.kind == "!":
            self._leaf(_scalar("-", data), data)
        else:  # a verbatim string begins with its format, such as "txt:"
            self._claim(b"", "")
            self._write(shown[4:].decode(errors="replace"))
            self._member_ended()

    def _payload(self, data: bytes, count: int, missed: int) -> None:
        answer = self._answer
        answer.missed += missed
        if answer.open:
            answer.passed += count
            return
        answer.size += count
        if data and answer.number:
            self._report.say(MessageData(answer.number, DOWN, data))

    def _passed(self, secret: bool) -> None:
        answer = self._answer
        hidden = secret and self._report.redact
        if answer.open:
            text = REDACTED if hidden else f"({answer.passed} bytes)"
            answer.passed = 0
            self._leaf(text, b"")
            return
        if hidden:
            answer.size = 0
            self._write(REDACTED)
        self._member_ended()

    def _leaf(self, text: str, raw: bytes) -> None:
        """A member without members; ``raw`` is its value."""
        answer = self._answer
        if not answer.hidden:
            self._claim(raw, text)
            if answer.words is not None and len(answer.words) < _PUSH_LIMIT:
                answer.words.append(raw or text.encode())
            if answer.open:
                self._write(answer.tree.leaf(text))
        answer.before = raw[:64].lower()
        self._member_ended()

    def _member_ended(self) -> None:
        answer = self._answer
        while answer.open:
            left, attribute = answer.open.pop()
            if left > 1:
                answer.open.append((left - 1, attribute))
                return
            if attribute:  # it belongs to the member that follows
                return
        self._finish()

    def _claim(self, first: bytes, text: str) -> None:
        """Find out whose answer it is; say that it begins, unless it is a push of few words."""
        answer = self._answer
        if answer.number is not None:
            return
        first = first.lower()
        answer.asked = asked = self._waiting.answered(answer.kind, first, text)
        answer.number = self._report.number() if asked is None else asked.number
        if asked is not None and not self._waiting.confirms(asked, first):
            answer.words = None
        if answer.words is None:
            self._begin(text, first)
        if asked is not None and asked.name in (b"SYNC", b"PSYNC") and answer.kind != "-":
            raise Undecodable("a replica is fed from here on")

    def _begin(self, text: str, first: bytes) -> None:
        answer, kind = self._answer, self._answer.kind
        if not answer.number:
            return
        facts: dict[str, str | int] = {}
        if kind in _NESTED and text != "(nil)":
            text = f"{_NESTED[kind]} of {answer.count}"
        if kind in "-!":
            facts["error"] = line(first.upper().split(b" ", 1)[0])
        text, alone = line(text or _type(kind, text)), answer.asked is None
        self._report.say(MessageBegan(answer.number, DOWN, text, (), facts, alone=alone))

    def _write(self, text: str) -> None:
        answer = self._answer
        if answer.words is None and text:
            answer.text.append(text)
            answer.length += len(text)
            if answer.length >= _FLUSH:
                self._flush(answer)

    def _flush(self, answer: _Answer) -> None:
        data = "".join(answer.text).encode()
        answer.text.clear()
        answer.length = 0
        answer.size += len(data)
        if data and answer.number:
            self._report.say(MessageData(answer.number, DOWN, data))

    def _finish(self, error: str = "") -> None:
        answer, self._answer = self._answer, _Answer()
        number = answer.number or 0
        self._flush(answer)
        if answer.words is not None and number:
            self._say_push(answer, number, answer.words)
        elif number:
            self._report.say(MessageEnded(number, DOWN, answer.size, (), {}, answer.missed, error))

    def _say_push(self, answer: _Answer, number: int, words: list[bytes]) -> None:
        payload = words.pop() if words[0] in PUBLISHED and len(words) > 1 else b""
        facts = {"channel": line(words[1])} if len(words) > 1 else {}
        text, alone = line(" ".join(map(spoken, words))), answer.asked is None
        self._report.say(MessageBegan(number, DOWN, text, (), facts, alone=alone))
        if payload:
            self._report.say(MessageData(number, DOWN, payload))
        self._report.say(MessageEnded(number, DOWN, len(payload)))

    def ended(self) -> None:
        """See ``Reader``."""
        if self._answer.number and self._answer.words is None:
            self._finish(CUT)


def _scalar(kind: str, value: bytes) -> str:
    text = value.decode(errors="replace")
    return _SCALARS[kind][1].format(_BOOLEANS.get(text, text) if kind == "#" else text)


def _type(kind: str, text: str) -> str:
    if text == "(nil)":
        return "null"
    return _SCALARS[kind][0] if kind in _SCALARS else (_STRINGS | _NESTED)[kind]
