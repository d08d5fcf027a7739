"""PostgreSQL: transcripts of psql and psycopg 3, and what they did not happen to say."""

from __future__ import annotations

import struct
import time

import pytest

from ferryman.inspection.decoder import Start, Undecodable
from ferryman.inspection.events import MessageBegan, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.postgres import Postgres, sql
from ferryman.inspection.postgres.answering import HELD_LIMIT
from tests.support import transcripts
from tests.support.transcripts import Transcript

STARTUP = b"\0\0\0\x12\0\3\0\0user\0bob\0\0"
READY = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"


def message(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack(">I", len(payload) + 4) + payload


def query(text: bytes) -> bytes:
    return message(b"Q", text + b"\0")


def row(*values: bytes | None) -> bytes:
    cells = [
        b"\xff\xff\xff\xff" if value is None else struct.pack(">I", len(value)) + value
        for value in values
    ]
    return message(b"D", struct.pack(">H", len(values)) + b"".join(cells))


def done(tag: bytes) -> bytes:
    return message(b"C", tag + b"\0")


def error(code: bytes, text: bytes) -> bytes:
    return message(b"E", b"SERROR\0VERROR\0C" + code + b"\0M" + text + b"\0Dmore\0\0")


IDLE = message(b"Z", b"I")


def started(*, redact: bool = True) -> Postgres:
    decoder = Postgres(Start(redact=redact))
    decoder.receive(UP, STARTUP)
    decoder.receive(DOWN, READY)
    return decoder


def said(*transcript: tuple[Direction, bytes], redact: bool = True) -> list[str]:
    decoder = started(redact=redact)
    return transcripts.seen([e for way, data in transcript for e in decoder.receive(way, data)])


def played(name: str) -> list[str]:
    return transcripts.seen(transcripts.play(Postgres(Start()), transcripts.load(name)))


def test_psql_is_read_as_it_was_typed() -> None:
    lines = played("pg_psql")
    assert lines[:8] == [
        "1 > SSLRequest",
        "1 > 0 B",
        "1 < refused",
        "1 < 0 B",
        "2 > startup user=admin database=postgres",
        "2 > 0 B",
        "2 < ready",
        "2 < 0 B",
    ]
    assert r"5 < | b'id\tname\tnote\n1\tone\tNULL\n2\ttwo\\tand\t\\x00ff\n'" in lines
    assert "7 < SELECT 1, SELECT 1" in lines
    assert '8 < ERROR 42703 column "nonsense" does not exist' in lines
    assert (
        "12 > alter role bob with encrypted password $$[redacted]$$ valid until '2030-01-01'"
        in lines
    )
    assert "14 > 18 B" in lines
    assert "13 < COPY 2" in lines
    assert "18 < NOTIFY news (alone)" in lines


def test_the_server_tells_of_itself_when_it_starts() -> None:
    events = transcripts.play(Postgres(Start()), transcripts.load("pg_psql"))
    ready = next(e for e in events if isinstance(e, MessageBegan) and e.title == "ready")
    fields = dict(ready.fields)
    assert fields["authentication"] == "SCRAM-SHA-256"
    assert fields["server_encoding"] == "SQL_ASCII"


def test_the_extended_protocol_is_read_by_its_executions() -> None:
    lines = played("pg_extended")
    assert "2 > prepare _pg3_0: select id, name from t where id < $1 order by id" in lines
    assert "2 < prepared" in lines
    assert lines.count("4 < SELECT 2") == 1
    assert "10 < passed over" in lines
    assert r"14 < | b'int4\n77\n'" in lines
    events = transcripts.play(Postgres(Start()), transcripts.load("pg_extended"))
    bound = [e for e in events if isinstance(e, MessageBegan) and e.fields and e.exchange == 4]
    assert bound[0].fields == (("$1", "3"),)
    assert bound[0].facts == {"command": "SELECT"}


@pytest.mark.parametrize(("name", "method"), [("pg_md5", "md5"), ("pg_clear", "password")])
def test_passwords_are_hidden_however_they_are_sent(name: str, method: str) -> None:
    whole = transcripts.load(name)
    decoder = Postgres(Start())
    events = transcripts.play(decoder, whole)
    ready = next(e for e in events if isinstance(e, MessageBegan) and e.title == "ready")
    assert dict(ready.fields)["authentication"] == method
    hidden = transcripts.masked(Postgres(Start()), whole)[UP]
    place = hidden.index(b"p\0\0\0")
    size = struct.unpack_from(">I", hidden, place + 1)[0]
    assert set(hidden[place + 5 : place + size]) == {0x2A}
    assert hidden[place + size] == 0


def test_a_wrong_password_is_the_end_of_the_start() -> None:
    lines = played("pg_wrong")
    assert lines[-2] == ('2 < FATAL 28P01 password authentication failed for user "clear"')


def test_a_cancellation_names_the_process_and_not_its_key() -> None:
    assert played("pg_cancel")[0].startswith("1 > cancel process ")
    lines = played("pg_cancelled")
    assert lines[-2].endswith("ERROR 57014 canceling statement due to user request")
    wire = transcripts.load("pg_cancel")
    assert transcripts.masked(Postgres(Start()), wire)[UP].endswith(b"****")


def test_after_a_grant_the_connection_is_tls() -> None:
    transcript = transcripts.load("pg_tls")
    decoder = Postgres(Start())
    events = decoder.receive(*transcript[0])
    events += decoder.receive(DOWN, b"S" + b"behind")
    switch = decoder.switched()
    assert switch is not None
    assert (switch.protocol, switch.start.up, switch.start.down) == ("tls", 8, 1)
    assert (switch.down, switch.start.exchange) == (b"behind", 2)
    assert transcripts.seen(events)[2] == "1 < granted"


def test_many_rows_are_told_as_they_come() -> None:
    decoder = started()
    decoder.receive(UP, query(b"select *"))
    events = decoder.receive(DOWN, row(b"x" * 100) * (HELD_LIMIT // 100))
    assert transcripts.seen(events)[0] == "2 < rows"
    ended = decoder.receive(DOWN, done(b"SELECT 163") + IDLE)[-1]
    assert isinstance(ended, MessageEnded)
    assert ended.facts == {"rows": HELD_LIMIT // 100, "tag": "SELECT 163"}
    assert ended.size == 101 * (HELD_LIMIT // 100)


def test_an_error_after_rows_says_that_they_are_not_all() -> None:
    rows = row(b"x" * 100) * 200
    lines = said((UP, query(b"select *")), (DOWN, rows + error(b"57014", b"cancelled") + IDLE))
    assert lines[-1].endswith("(ERROR 57014 cancelled)")


def test_a_row_that_is_too_large_is_told_by_its_size_and_may_pass_unseen() -> None:
    decoder = started()
    decoder.receive(UP, query(b"select *"))
    wire = row(b"x" * 100000)
    decoder.receive(DOWN, wire[:50])
    assert decoder.skippable(DOWN) == len(READY) + len(wire)
    decoder.skipped(DOWN, len(wire) - 50, missed=False)
    lines = transcripts.seen(decoder.receive(DOWN, done(b"SELECT 1") + IDLE))
    assert lines[1] == r"2 < | b'(a row of 100006 bytes)\n'"


def test_the_data_of_a_copy_are_counted() -> None:
    decoder = started()
    decoder.receive(UP, query(b"copy t from stdin"))
    decoder.receive(DOWN, message(b"G", b"\0\0\0"))
    wire = message(b"d", b"x" * 90000)
    events = decoder.receive(UP, wire[:105])
    events += decoder.skipped(UP, 80000, missed=True)
    events += decoder.receive(UP, wire[80105:] + message(b"f", b"no more\0"))
    assert events[-1] == MessageEnded(3, UP, 90000, missed=80000, error="no more")


def test_a_sync_before_the_data_of_a_copy_is_passed_over() -> None:
    lines = said(
        (UP, message(b"P", b"\0copy t from stdin\0\0\0") + message(b"B", b"\0" * 8)),
        (UP, message(b"E", b"\0\0\0\0\0") + message(b"S", b"")),
        (DOWN, message(b"1", b"") + message(b"2", b"") + message(b"G", b"\0\0\0")),
        (UP, message(b"d", b"1\n") + message(b"c", b"") + message(b"S", b"")),
        (DOWN, done(b"COPY 1") + IDLE),
        (UP, query(b"select 1")),
        (DOWN, done(b"SELECT 1") + IDLE),
    )
    assert [line for line in lines if " < " in line and " B" not in line] == [
        "2 < COPY 1",
        "4 < SELECT 1",
    ]


def test_replication_streams_both_ways() -> None:
    lines = said(
        (UP, query(b"START_REPLICATION 0/0")),
        (DOWN, message(b"W", b"\0\0\0") + message(b"d", b"wal")),
        (UP, message(b"d", b"status") + message(b"c", b"")),
        (DOWN, message(b"c", b"") + done(b"COPY 0") + IDLE),
    )
    assert "2 < | b'wal'" in lines
    assert "3 > | b'status'" in lines


PASSWORDS = [
    (b"ALTER ROLE x PASSWORD 'pw'", [b"pw"]),
    (b"create user x encrypted password E'p\\'w''s'", [b"p\\'w''s"]),
    (b"alter role x password $a$p$w$a$ nologin", [b"p$w"]),
    (b"alter role x password /* not this */ 'pw'", [b"pw"]),
    (b"alter role x password null", []),
    (b"create subscription s connection 'host=h password=pw user=u'", [b"pw"]),
    (b"create user mapping for u server s options (user 'u', password 'pw')", [b"pw"]),
    (b"select * from users where password = 'pw' and \"password\"='p2'", [b"pw", b"p2"]),
    (b"alter role x password 'unfinished", [b"unfinished"]),
    (b"select password, name from t", []),
]


@pytest.mark.parametrize(("text", "secrets"), PASSWORDS)
def test_passwords_in_statements_are_found(text: bytes, secrets: list[bytes]) -> None:
    spans, done_with = sql.passwords(text, last=True)
    assert [text[start:end] for start, end in spans] == secrets
    assert done_with == len(text)


@pytest.mark.parametrize("before", [65536 - 300, 65536 - 20, 65536 - 12, 65536 - 5])
def test_a_password_across_the_parts_of_a_long_statement_is_found(before: int) -> None:
    text = b"-" * before + b" password 'hunter2' " + b"-" * 70000
    decoder = started()
    wire = query(text)
    events = decoder.receive(UP, wire)
    assert b"hunter2" not in repr(events).encode()
    masked = bytearray(STARTUP + wire)
    transcripts.cover(masked, decoder.secrets(UP))
    assert masked == (STARTUP + wire).replace(b"hunter2", b"*******")
    assert decoder.examined(UP) == len(masked)
    body = b"".join(e.data for e in events if hasattr(e, "data"))
    assert body == text.replace(b"hunter2", b"[redacted]")


def test_without_redaction_statements_are_told_whole() -> None:
    assert said((UP, query(b"alter role x password 'pw'")), redact=False)[0].endswith("'pw'")


def test_no_statement_takes_long_to_search() -> None:
    for piece in (b"password /*", b"password '", b"password $a", b"password --", b"password  =  "):
        text = piece * (65536 // len(piece))
        began = time.monotonic()
        sql.passwords(text, last=True)
        assert time.monotonic() - began < 5


HOSTILE: list[Transcript] = [
    [(UP, b"!\0\0\0\4")],
    [(UP, b"E\0\0\0\2")],
    [(UP, b"B\xff\xff\xff\xff")],
    [(UP, message(b"B", b"no end"))],
    [(UP, message(b"p", b"x" * 300000))],
    [(DOWN, b"!\0\0\0\4")],
    [(DOWN, message(b"T", b"\0\5"))],
    [(DOWN, message(b"D", b"\0\1\0\0\1\0x"))],
    [(DOWN, message(b"N", b"Mno end"))],
    [(UP, query(b"password '" + b"x" * 140000))],
]


@pytest.mark.parametrize("transcript", HOSTILE)
def test_what_postgresql_does_not_say_is_undecodable(transcript: Transcript) -> None:
    with pytest.raises(Undecodable):
        said(*transcript)


@pytest.mark.parametrize("wire", [b"\0\0\0\4\0\3\0\0", b"\0\0\0\x09\0\4\0\0x", b"\1\0\0\0\0\3\0\0"])
def test_a_start_that_is_none_is_undecodable(wire: bytes) -> None:
    with pytest.raises(Undecodable):
        Postgres(Start()).receive(UP, wire)
