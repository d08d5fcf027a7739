"""The language of --only: what it finds, how early, and what it says of nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import UserError
from ferryman.inspection.events import Facts
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.filters import KEYS, Filter, Known, grep, known_of

FACTS: dict[str, str | int] = {
    "connection": 3,
    "protocol": "http/1.1",
    "method": "POST",
    "path": "/v1/Containers/json",
    "host": "Localhost",
    "status": 404,
    "type": "application/json",
    "size": 1500,
    "ms": 1600,
}
FIELDS = [(("X-Id", "a1"),), (("Server", "x"),)]

JUDGED = [
    ("method=POST", True),
    ("method=post", True),
    ("METHOD==POST", True),
    ("method!=POST", False),
    ("path=/v1/containers/json", False),
    ("path=/v1/Containers/json", True),
    ("path~/Containers", True),
    ("path!~/Containers", False),
    ("path~^/v[0-9]+/(Containers|Images)/", True),
    ("status>=400", True),
    ("status>=400 status<500", True),
    ("status=4xx", True),
    ("status=5xx", False),
    ("status=404 and method=GET", False),
    ("status=404 && method=POST", True),
    ("method=GET or method=POST", True),
    ("method=GET || method=PUT", False),
    ("not method=GET", True),
    ("!method=GET", True),
    ("! method=POST", False),
    ("not not method=POST", True),
    ("not (method=GET or status=404)", False),
    ("(method=GET or status=404) path~json", True),
    ("method=GET status=404 or connection=3", True),
    ("size>1k", True),
    ("size>1.5kB", False),
    ("size<=1500", True),
    ("ms>=1.6s", True),
    ("ms>1600ms", False),
    ("path>5", False),
    ("header.x-id=A1", True),
    ("header.server~x header.x-id~^a", True),
    ("header.nowhere=x", False),
    ("grpc=OK", False),
    ("grpc!=OK", True),
    ("not grpc=OK", True),
    ("host='localhost'", True),
    ('path~"Cont.*json"', True),
    ("query=''", False),
]


@pytest.mark.parametrize(("source", "expected"), JUDGED)
def test_what_it_says_of_an_exchange(source: str, expected: bool) -> None:
    assert Filter(source).verdict(Known(FACTS, FIELDS)) is expected


@pytest.mark.parametrize(("source", "expected"), JUDGED)
def test_what_is_said_early_is_never_taken_back(source: str, expected: bool) -> None:
    request = {key: FACTS[key] for key in ("connection", "protocol", "method", "path", "host")}
    stages: list[Facts] = [{}, request, {**request, "type": "text/plain"}]
    for facts in (*stages, {**request, "status": 404}):
        assert Filter(source).verdict(Known(facts, FIELDS[:1], complete=False)) in (None, expected)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "an empty filter"),
        ("metod=GET", "do you mean 'method'"),
        ("x=1", "It can for connection"),
        ("method", "expected a comparison"),
        ("method=", "expected a value"),
        ("status>=abc", "compares numbers"),
        ("status>=5parsecs", "compares numbers"),
        ("path~(", "no regular expression"),
        ("(method=GET", "expected ')'"),
        ("method=GET)", "unexpected: ')'"),
        ("method=GET or", "expected a comparison"),
        ("or method=GET", "expected a comparison"),
        ("not", "expected a comparison"),
        ("(" * 100 + "method=GET" + ")" * 100, "too many parentheses"),
        ("method=GET " * 1000, "letters"),
        ("path=\"unclosed", ""),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_what_was_expected(source: str, words: str) -> None:
    if not words:
        Filter(source)  # a quote that nothing closes is a letter
        return
    with pytest.raises(UserError) as error:
        Filter(source)
    assert words in str(error.value)


_PIECES = st.sampled_from(
    (*KEYS, "header.x", "=", "!=", "~", "!~", "<", ">=", "(", ")", " ", "and", "or", "not", "!",
     "'", '"', "\\", "400", "4xx", "1k", "[", "*", "x", "&&", "||", "\n", "é")
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=20))
def test_nothing_but_a_user_error_comes_out(source: str) -> None:
    try:
        only = Filter(source)
    except UserError:
        return
    assert only.verdict(Known(FACTS, FIELDS)) is not None
    only.verdict(Known({}, complete=False))


def test_a_finished_exchange_has_size_time_and_error() -> None:
    answer = Message("200", 5_000_000, 9_000_000, facts={"status": 200}, size=7, error="cut off")
    exchange = Exchange(1, 1, "http/1.1", "l", "c", "e", Message("GET /", 0, 0), answer)
    known = known_of(exchange)
    assert Filter("size=7 ms=9 error~cut endpoint=e listener=l client=c").verdict(known)


def test_grep_is_a_regular_expression() -> None:
    assert grep("a.c").search("xabc")
    with pytest.raises(UserError):
        grep("(")
