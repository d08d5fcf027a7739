"""``--only 'method=POST path~/containers status>=400'``: which exchanges are wanted; pure.

Comparisons stand beside one another (that is "and"), are joined by ``or``, turned by ``not`` and
grouped by parentheses. ``=`` and ``!=`` compare (letters' case counts in a path and a query only),
``~`` and ``!~`` look for a regular expression, ``<`` ``<=`` ``>`` ``>=`` compare numbers: sizes may
be written 10k, times 1.5s (``ms`` has milliseconds), and ``status=4xx`` means what one thinks.
Values with spaces go in quotes.

An exchange is judged as soon as possible: True or False, or None while what was asked for may still
come. What is asked for and never comes is equal to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from ferryman.errors import UserError
from ferryman.inspection.events import Facts, Fields
from ferryman.inspection.exchanges import Exchange

KEYS: Mapping[str, str] = {
    "connection": "its number",
    "protocol": "http/1.1, h2, grpc, websocket, redis, postgresql, tls, opaque",
    "listener": "where it came in",
    "client": "who asked",
    "endpoint": "who was asked",
    "method": "GET, POST, …",
    "path": "of a URL, without the query",
    "target": "what stands between method and HTTP/1.1, whole",
    "query": "what follows the path's question mark",
    "host": "who was meant",
    "status": "200, 404, …; of gRPC: grpc",
    "reason": "the words beside the status",
    "type": "the answer's media type, such as application/json",
    "size": "bytes of the answer's body",
    "ms": "milliseconds from the request to the end of the answer",
    "grpc": "a gRPC call's status, by name",
    "messages": "how many of them a gRPC call had",
    "service": "a gRPC call's service",
    "command": "Redis' or PostgreSQL's: SET, SELECT, …",
    "key": "Redis' key",
    "channel": "of a publication or notification",
    "database": "what PostgreSQL's client connected to",
    "user": "as whom",
    "rows": "how many PostgreSQL answered",
    "tag": "what PostgreSQL did: INSERT 0 1, …",
    "sni": "the server name in TLS' ClientHello",
    "alpn": "the protocols that it offers",
    "version": "of TLS",
    "cipher": "that TLS agreed on",
    "opcode": "of a WebSocket message: text, binary, close, ping, pong",
    "error": "why it is not whole, or what went wrong",
}
"""What may be asked for, and what it is; ``header.NAME`` comes beside these."""

_UNSURE = frozenset(("type", "size", "ms", "error"))
"""A request may have them, too, but what is meant is the answer's."""
_CASE_COUNTS = frozenset(("path", "query", "target", "key", "command", "database", "user"))
_LENGTH_LIMIT, _DEPTH_LIMIT = 4096, 40

_TOKEN = re.compile(r"\s*(?:([()])|(and|or|not|&&|\|\||!)(?=[\s()]|$)|(!(?=[\w(])))", re.IGNORECASE)
_COMPARISON = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(!=|!~|<=|>=|==|=|~|<|>)\s*")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|k|kb|kib|mb|mib|gb|gib)?", re.IGNORECASE)
_UNITS = {"": 1.0, "ms": 1.0, "s": 1e3, "k": 1e3, "kb": 1e3, "kib": 1024.0, "mb": 1e6,
          "mib": 1024.0**2, "gb": 1e9, "gib": 1024.0**3}  # fmt: skip
_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)

Verdict = bool | None
_Order = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an exchange. ``complete``: more will not come."""

    facts: Facts
    fields: Sequence[Fields] = ()
    complete: bool = True


_Test = Callable[[Known], Verdict]


class Filter:
    """What ``--only`` says; raises UserError if that makes no sense."""

    def __init__(self, source: str) -> None:
        if len(source) > _LENGTH_LIMIT:
            raise UserError(f"a filter of {len(source)} letters", f"at most {_LENGTH_LIMIT}")
        self._test = _Parser(source).parse()

    def verdict(self, known: Known) -> Verdict:
        """Whether the exchange is wanted; None only while it is not complete."""
        return self._test(known)


def known_of(exchange: Exchange) -> Known:
    """All that a filter may ask for of a finished exchange."""
    sides = [side for side in (exchange.request, exchange.answer) if side]
    facts: dict[str, str | int] = {**exchange.facts, "endpoint": exchange.endpoint}
    if sides:
        facts["size"] = sides[-1].size
        facts["ms"] = (sides[-1].ended - sides[0].began) // 1_000_000
    for side in sides:
        if side.error:
            facts["error"] = side.error
    return Known(facts, [side.fields for side in sides])


def grep(source: str) -> re.Pattern[str]:
    """What ``--grep`` says; raises UserError if it is no regular expression."""
    return _regex(source)


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def parse(self) -> _Test:
        if not self._source.strip():
            raise UserError("an empty filter", "such as 'method=POST status>=400'")
        test = self._or()
        if self._source[self._at :].strip():
            raise self._unexpected()
        return test

    def _or(self) -> _Test:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise UserError("the filter has too many parentheses within one another")
        tests = [self._and()]
        while self._take("or", "||"):
            tests.append(self._and())
        self._depth -= 1
        return tests[0] if len(tests) == 1 else lambda known: _any(tests, known)

    def _and(self) -> _Test:
        tests = [self._not()]
        while self._take("and", "&&") or self._more():
            tests.append(self._not())
        return tests[0] if len(tests) == 1 else lambda known: _all(tests, known)

    def _not(self) -> _Test:
        turned = False
        while self._take("not", "!"):
            turned = not turned
        if self._take("("):
            test = self._or()
            if not self._take(")"):
                raise self._unexpected("')'")
        else:
            test = self._comparison()
        return (lambda known: _turned(test(known))) if turned else test

    def _more(self) -> bool:
        """Whether another comparison, or a group of them, follows."""
        token = _TOKEN.match(self._source, self._at)
        word = (token[1] or token[2] or token[3]).lower() if token else ""
        rest = self._source[self._at :].strip()
        return bool(rest) and word not in (")", "or", "||")

    def _take(self, *words: str) -> bool:
        token = _TOKEN.match(self._source, self._at)
        if token is None or (token[1] or token[2] or token[3]).lower() not in words:
            return False
        self._at = token.end()
        return True

    def _comparison(self) -> _Test:
        found = _COMPARISON.match(self._source, self._at)
        if found is None:
            raise self._unexpected("a comparison such as status>=400")
        self._at = found.end()
        return _compare(_key(found[1]), found[2], self._value())

    def _value(self) -> str:
        quoted = _QUOTED.match(self._source, self._at)
        if quoted:
            self._at = quoted.end()
            return quoted[2] if quoted[1] is None else re.sub(r"\\([\"\\])", r"\1", quoted[1])
        start, depth = self._at, 0
        while self._at < len(self._source):
            letter = self._source[self._at]
            depth += (letter == "(") - (letter == ")")
            if letter.isspace() or depth < 0:
                break
            self._at += 1
        if start == self._at:
            raise self._unexpected("a value; '' for an empty one")
        return self._source[start : self._at]

    def _unexpected(self, expected: str = "") -> UserError:
        rest = self._source[self._at :].strip()[:40]
        what = f"{rest!r} in the filter" if rest else "the filter's end"
        return UserError(f"unexpected: {what}", f"expected {expected}" if expected else "")


def _key(name: str) -> str:
    key = name.lower()
    if key in KEYS or key.startswith("header."):
        return key
    near = get_close_matches(key, KEYS, 1, 0.5)
    guess = f"do you mean {near[0]!r}? " if near else ""
    raise UserError(
        f"a filter cannot ask for {name[:40]!r}",
        f"{guess}It can for {', '.join(KEYS)}, header.NAME",
    )


def _compare(key: str, operator: str, value: str) -> _Test:
    if operator in ("=", "==", "!="):
        test = _equal(key, value)
    elif operator in ("~", "!~"):
        pattern = _regex(value)
        test = _holds(key, lambda fact: pattern.search(str(fact)) is not None)
    else:
        return _ordered(key, operator, value)
    return (lambda known: _turned(test(known))) if operator.startswith("!") else test


def _equal(key: str, value: str) -> _Test:
    hundred = _CLASS.fullmatch(value)
    if key == "status" and hundred:
        return _holds(key, lambda fact: isinstance(fact, int) and fact // 100 == int(hundred[1]))
    if key in _CASE_COUNTS:
        return _holds(key, lambda fact: str(fact) == value)
    folded = value.casefold()
    return _holds(key, lambda fact: str(fact).casefold() == folded)


def _ordered(key: str, operator: str, value: str) -> _Test:
    number = _NUMBER.fullmatch(value)
    unit = (number[2] or "").lower() if number else ""
    if number is None or unit not in _UNITS:
        raise UserError(f"{key}{operator}{value[:40]} compares numbers", "such as 400, 10k, 1.5s")
    bound = float(number[1]) * _UNITS[unit]
    test = _ORDERS[operator]

    def holds(fact: str | int) -> bool:
        try:
            return test(float(fact), bound)
        except ValueError:
            return False

    return _holds(key, holds)


_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _holds(key: str, test: Callable[[str | int], bool]) -> _Test:
    if key.startswith("header."):
        return _header(key.removeprefix("header."), test)

    def judge(known: Known) -> Verdict:
        fact = known.facts.get(key)
        if fact is None or (key in _UNSURE and not known.complete):
            return False if known.complete else None
        return test(fact)

    return judge


def _header(name: str, test: Callable[[str | int], bool]) -> _Test:
    def judge(known: Known) -> Verdict:
        for fields in known.fields:
            if any(key.lower() == name and test(value) for key, value in fields):
                return True
        return False if known.complete else None

    return judge


def _regex(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"{source[:80]!r} is no regular expression: {error}") from error


def _turned(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _all(tests: Sequence[_Test], known: Known) -> Verdict:
    verdicts = [test(known) for test in tests]
    return False if False in verdicts else None if None in verdicts else True


def _any(tests: Sequence[_Test], known: Known) -> Verdict:
    verdicts = [test(known) for test in tests]
    return True if True in verdicts else None if None in verdicts else False
