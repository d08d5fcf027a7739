"""Redis: transcripts of redis-cli, and what a server may say besides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.inspection.decoder import Start, Undecodable
from ferryman.inspection.events import MessageBegan, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.redis import Redis
from ferryman.inspection.redis.answers import LEAF_LIMIT
from ferryman.inspection.redis.commands import quoted
from ferryman.inspection.redis.waiting import AHEAD_LIMIT
from tests.support import transcripts
from tests.support.transcripts import Transcript


def said(*transcript: tuple[Direction, bytes], redact: bool = True) -> list[str]:
    decoder = Redis(Start(redact=redact))
    return transcripts.seen([e for way, data in transcript for e in decoder.receive(way, data)])


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def answer(wire: bytes) -> list[str]:
    """How the answer to some command is told, less what is the same for all."""
    return [line[4:] for line in said((UP, command(b"X")), (DOWN, wire))[2:]]


def test_what_redis_cli_says_reads_like_redis_cli() -> None:
    lines = transcripts.seen(transcripts.play(Redis(Start()), transcripts.load("redis_resp2")))
    assert lines[:9] == [
        "1 > SET user:1",
        """1 > | b'{"a":1}'""",
        "1 > 7 B",
        "1 < OK",
        "1 < 0 B",
        "2 > GET user:1",
        "2 > 0 B",
        "2 < string",
        """2 < | b'{"a":1}'""",
    ]
    assert "6 < (error) WRONGTYPE Operation against a key holding the wrong kind of value" in lines
    assert r"""11 < | b'1) OK\n2) "7"\n'""" in lines
    assert "15 > ACL SETUSER bob on >[redacted] ~* +@all" in lines


def test_published_messages_and_monitored_commands_come_unasked() -> None:
    lines = transcripts.seen(transcripts.play(Redis(Start()), transcripts.load("redis_inline")))
    assert "4 < subscribe news 1" in lines
    assert "6 < message news (alone)" in lines
    assert "6 < | b'hello'" in lines
    assert [line for line in lines if line.startswith("8 < unsubscribe ")]
    assert lines[-2].endswith('"SET" "k" "v" (alone)')


ANSWERS = [
    (b":5\r\n", ["(integer) 5", "0 B"]),
    (b"$-1\r\n", ["(nil)", "0 B"]),
    (b"*-1\r\n", ["(nil)", "0 B"]),
    (b"_\r\n", ["(nil)", "0 B"]),
    (b"#t\r\n", ["(true)", "0 B"]),
    (b",3.14\r\n", ["(double) 3.14", "0 B"]),
    (b"(12345678901234567890\r\n", ["(big number) 12345678901234567890", "0 B"]),
    (b"=7\r\ntxt:abc\r\n", ["string", "| b'abc'", "3 B"]),
    (b"!9\r\nERR wrong\r\n", ["(error) ERR wrong", "0 B"]),
    (b"$0\r\n\r\n", ["string", "0 B"]),
    (b"*0\r\n", ["array of 0", "0 B"]),
    (b"~1\r\n+a\r\n", ["set of 1", r"| b'1~ a\n'", "5 B"]),
    (b"%1\r\n+k\r\n*2\r\n:1\r\n*0\r\n", ["map of 1",
     r"| b'1# k =>\n   1) (integer) 1\n   2) (empty array)\n'", "46 B"]),
    (b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", ["string", "| b'v'", "1 B"]),
    (b"*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:1\r\n:2\r\n",
     ["array of 2", r"| b'1) (integer) 1\n2) (integer) 2\n'", "30 B"]),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "lines"), ANSWERS)
def test_every_type_of_answer_has_its_line(wire: bytes, lines: list[str]) -> None:
    assert answer(wire) == lines


def test_pipelined_commands_get_their_answers_in_order() -> None:
    lines = said((UP, command(b"GET", b"a") + command(b"GET", b"b")), (DOWN, b"$1\r\n1\r\n:2\r\n"))
    assert lines[4:] == ["1 < string", "1 < | b'1'", "1 < 1 B", "2 < (integer) 2", "2 < 0 B"]


def test_a_push_of_resp3_answers_nobody() -> None:
    invalidated = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
    lines = said((UP, command(b"GET", b"k")), (DOWN, invalidated + b"+v\r\n"))
    assert lines[2:] == ["2 < invalidate k (alone)", "2 < 0 B", "1 < v", "1 < 0 B"]


def test_a_push_of_resp3_that_confirms_answers() -> None:
    pushes = b">3\r\n+subscribe\r\n+c\r\n:1\r\n>3\r\n+message\r\n+c\r\n$2\r\nhi\r\n"
    lines = said((UP, command(b"SUBSCRIBE", b"c")), (DOWN, pushes))
    assert lines[2:] == [
        "1 < subscribe c 1",
        "1 < 0 B",
        "2 < message c (alone)",
        "2 < | b'hi'",
        "2 < 2 B",
    ]


def test_answers_that_the_client_wants_none_of_are_not_waited_for() -> None:
    commands = [
        command(b"CLIENT", b"REPLY", b"OFF"),
        command(b"SET", b"a", b"1"),
        command(b"CLIENT", b"REPLY", b"ON"),
        command(b"CLIENT", b"REPLY", b"SKIP"),
        command(b"GET", b"b"),
        command(b"GET", b"c"),
    ]
    lines = said((UP, b"".join(commands)), (DOWN, b"+OK\r\n$1\r\nc\r\n"))
    assert [line for line in lines if " < " in line] == [
        "3 < OK",
        "3 < 0 B",
        "6 < string",
        "6 < | b'c'",
        "6 < 1 B",
    ]


SECRETS: list[tuple[bytes, str, list[bytes]]] = [
    (command(b"AUTH", b"pw"), "AUTH [redacted]", [b"pw"]),
    (command(b"auth", b"bob", b"pw"), "auth bob [redacted]", [b"pw"]),
    (b"AUTH 'p w'\r\n", "AUTH [redacted]", [b"'p w'"]),
    (b"AUTH p'w' x\r\n", "AUTH [redacted] [redacted]", [b"p'w'", b"x"]),
    (
        command(b"HELLO", b"3", b"AUTH", b"bob", b"pw", b"SETNAME", b"n"),
        "HELLO 3 AUTH bob [redacted] SETNAME n",
        [b"pw"],
    ),
    (
        command(b"CONFIG", b"SET", b"maxmemory", b"1", b"RequirePass", b"pw"),
        "CONFIG SET maxmemory 1 RequirePass [redacted]",
        [b"pw"],
    ),
    (
        command(b"MIGRATE", b"h", b"1", b"k", b"0", b"9", b"COPY", b"AUTH", b"pw", b"KEYS", b"a"),
        "MIGRATE h 1 k 0 9 COPY AUTH [redacted] KEYS a",
        [b"pw"],
    ),
    (
        command(b"MIGRATE", b"h", b"1", b"k", b"0", b"9", b"AUTH2", b"bob", b"pw"),
        "MIGRATE h 1 k 0 9 AUTH2 bob [redacted]",
        [b"pw"],
    ),
    (
        command(b"ACL", b"SETUSER", b"bob", b"on", b">pw", b"<old", b"#d1", b"!d2", b"~*"),
        "ACL SETUSER bob on >[redacted] <[redacted] #[redacted] ![redacted] ~*",
        [b"pw", b"old", b"d1", b"d2"],
    ),
    (
        command(b"SENTINEL", b"SET", b"main", b"auth-pass", b"pw"),
        "SENTINEL SET main auth-pass [redacted]",
        [b"pw"],
    ),
    (command(b"AUTH", b"p" * 600), "AUTH [redacted]", [b"p" * 600]),
]


@pytest.mark.parametrize(("wire", "title", "secrets"), SECRETS)
def test_passwords_are_known_by_their_place(wire: bytes, title: str, secrets: list[bytes]) -> None:
    decoder = Redis(Start())
    events = decoder.receive(UP, wire)
    assert isinstance(events[0], MessageBegan)
    assert events[0].title == title
    assert [wire[span.start : span.end] for span in decoder.secrets(UP)] == secrets


def test_without_redaction_passwords_are_told_and_still_marked() -> None:
    decoder = Redis(Start(redact=False))
    events = decoder.receive(UP, command(b"AUTH", b"pw"))
    assert transcripts.seen(events)[0] == "1 > AUTH pw"
    assert len(decoder.secrets(UP)) == 1


def test_a_generated_password_is_not_told() -> None:
    assert said((UP, command(b"ACL", b"GENPASS")), (DOWN, b"$3\r\nabc\r\n"))[2:] == [
        "1 < string",
        "1 < | b'[redacted]'",
        "1 < 10 B",
    ]


def test_a_password_on_its_way_is_not_examined() -> None:
    decoder = Redis(Start())
    wire = command(b"AUTH", b"secret")
    decoder.receive(UP, wire[:-4])
    assert decoder.examined(UP) <= wire.index(b"secret")


def test_large_strings_may_pass_by_unseen() -> None:
    decoder = Redis(Start())
    head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000\r\n"
    decoder.receive(UP, head + b"x")
    assert decoder.skippable(UP) == len(head) + 9000
    assert decoder.skipped(UP, 5000, missed=False) == []
    assert decoder.skipped(UP, 3999, missed=True) == []
    assert decoder.receive(UP, b"\r\n")[-1] == MessageEnded(1, UP, 9000, missed=3999)
    assert decoder.skippable(UP) == len(head) + 9002
    with pytest.raises(Undecodable):
        decoder.skipped(UP, 1, missed=True)


def test_a_large_member_is_told_by_its_size() -> None:
    size = LEAF_LIMIT + 1
    wire = b"*2\r\n$%d\r\n%s\r\n:1\r\n" % (size, b"x" * size)
    assert answer(wire)[1] == rf"| b'1) ({size} bytes)\n2) (integer) 1\n'"


def test_commands_too_far_ahead_are_counted() -> None:
    more = AHEAD_LIMIT + 5
    lines = said((UP, command(b"GET", b"k") * more), (DOWN, b":1\r\n" * more))
    assert len(lines) == AHEAD_LIMIT * 4 + 2
    assert lines[-2].endswith("5 more commands, too far ahead of their answers to be shown (alone)")
    lines = said((UP, command(b"GET", b"k") * more), (DOWN, b":1\r\n" * more), (UP, b"PING\r\n"))
    assert lines[-2] == f"{AHEAD_LIMIT + 2} > PING"


HOSTILE: list[Transcript] = [
    [(UP, b"*1\r\n:1\r\n")],
    [(UP, b"*x\r\n")],
    [(UP, b"*1\r\n$-5\r\n")],
    [(UP, b"*1\r\n$3\r\nGETxx")],
    [(UP, b"*1\r\n$9999\r\n")],
    [(UP, b"x" * 70000)],
    [(UP, command(b"CONFIG", *[b"x"] * 1100))],
    [(DOWN, b"@1\r\n")],
    [(DOWN, b"\r\n")],
    [(DOWN, b"*1\r\n" * 40)],
    [(DOWN, b"$" + b"9" * 30 + b"\r\n")],
    [(UP, command(b"PSYNC", b"?", b"-1")), (DOWN, b"+FULLRESYNC x 0\r\n$5\r\nREDIS")],
]


@pytest.mark.parametrize("transcript", HOSTILE)
def test_what_redis_does_not_say_is_undecodable(transcript: Transcript) -> None:
    with pytest.raises(Undecodable):
        said(*transcript)


values = st.recursive(
    st.integers(-9, 9**9) | st.binary(max_size=12) | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def encoded(value: Any) -> bytes:
    match value:
        case None:
            return b"_\r\n"
        case bool():
            return b"#t\r\n" if value else b"#f\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(value), value)
        case list():
            return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))
    pairs = b"".join(encoded(key) + encoded(inner) for key, inner in value.items())
    return b"%%%d\r\n" % len(value) + pairs


def shown(value: Any, indent: str = "") -> str:
    """As the documentation of redis-cli has it, written the other way round: recursively."""
    match value:
        case None:
            return "(nil)\n"
        case bool():
            return "(true)\n" if value else "(false)\n"
        case int():
            return f"(integer) {value}\n"
        case bytes():
            return quoted(value) + "\n"
        case []:
            return "(empty array)\n"
        case list():
            lines = []
            for n, inner in enumerate(value, 1):
                label = f"{n}) "
                deeper = indent + " " * len(label)
                lines.append((indent if n > 1 else "") + label + shown(inner, deeper))
            return "".join(lines)
    if not value:
        return "(empty hash)\n"
    lines = []
    for n, (key, inner) in enumerate(value.items(), 1):
        deeper = indent + "   "
        nested = isinstance(inner, list | dict) and inner
        text = "\n" + deeper + shown(inner, deeper) if nested else " " + shown(inner)
        lines.append((indent if n > 1 else "") + f"{n}# {quoted(key)} =>" + text)
    return "".join(lines)


@settings(max_examples=200)
@given(
    st.lists(values, min_size=1, max_size=4)
    | st.dictionaries(st.binary(max_size=3), values, min_size=1, max_size=4)
)
def test_any_nest_is_shown_as_it_is(value: Any) -> None:
    decoder = Redis(Start())
    decoder.receive(UP, command(b"X"))
    events = transcripts.joined(decoder.receive(DOWN, encoded(value)))
    assert events[1].data.decode() == shown(value)  # type: ignore[union-attr]  # MessageData
