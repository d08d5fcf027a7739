from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ferryman.api.status import BadRequest
from ferryman.demo.kubelet.logs import MAX_BYTES, MAX_LINE, Log, LogOptions
from ferryman.demo.logs import log_options

START = datetime(2026, 1, 1, tzinfo=UTC)


async def text(log: Log, **options: object) -> bytes:
    return b"".join([chunk async for chunk in log.read(LogOptions(**options))])  # type: ignore[arg-type]  # a table's


def three_lines() -> Log:
    log = Log()
    for second, line in enumerate((b"one\n", b"two\n", b"three\n")):
        log.feed(line, START + timedelta(seconds=second))
    return log


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, b"one\ntwo\nthree\n"),
        ({"tail": 1}, b"three\n"),
        ({"tail": 0}, b""),
        ({"tail": 9}, b"one\ntwo\nthree\n"),
        ({"since": START + timedelta(seconds=1)}, b"two\nthree\n"),
        ({"since": START + timedelta(seconds=1), "tail": 1}, b"three\n"),
        ({"limit": 5}, b"one\nt"),
        ({"tail": 1, "timestamps": True}, b"2026-01-01T00:00:02.000000Z three\n"),
    ],
)
async def test_what_is_asked_for_is_shown(options: dict[str, object], shown: bytes) -> None:
    assert await text(three_lines(), **options) == shown


async def test_lines_are_whole_however_they_come() -> None:
    log = Log()
    for piece in (b"he", b"llo\nwor", b"ld"):
        log.feed(piece, START)
    assert await text(log) == b"hello\n"
    log.end(START)
    assert await text(log) == b"hello\nworld\n"


async def test_a_line_without_end_is_cut() -> None:
    log = Log()
    log.feed(b"x" * (MAX_LINE + 1), START)
    assert await text(log) == b"x" * MAX_LINE + b"\n"


async def test_only_the_newest_megabyte_is_kept() -> None:
    log = Log()
    for number in range(300):
        log.feed(b"%d " % number + b"x" * 8000 + b"\n", START)
    shown = await text(log)
    assert len(shown) <= MAX_BYTES
    assert shown.endswith(b"299 " + b"x" * 8000 + b"\n")
    assert not shown.startswith(b"0 ")


async def test_following_goes_on_until_the_container_ends() -> None:
    log, seen = three_lines(), bytearray()
    some = asyncio.Event()

    async def follow() -> None:
        async for chunk in log.read(LogOptions(follow=True, tail=0)):
            seen.extend(chunk)
            some.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(follow())
        await asyncio.sleep(0)
        log.feed(b"four\n", START)
        await some.wait()
        assert seen == b"four\n"
        log.feed(b"five", START)
        log.end(START)
    assert seen == b"four\nfive\n"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, LogOptions()),
        ({"follow": "true", "tailLines": "3"}, LogOptions(follow=True, tail=3)),
        ({"sinceSeconds": "60"}, LogOptions(since=START - timedelta(minutes=1))),
        ({"sinceTime": "2026-01-01T00:00:00Z"}, LogOptions(since=START)),
        ({"timestamps": "1", "limitBytes": "10"}, LogOptions(timestamps=True, limit=10)),
    ],
)
def test_options_are_read_from_the_query(query: dict[str, str], options: LogOptions) -> None:
    assert log_options(query, START) == options


@pytest.mark.parametrize(
    "query",
    [
        {"tailLines": "-1"},
        {"tailLines": "x"},
        {"sinceTime": "yesterday"},
        {"sinceSeconds": "1e99"},
        {"sinceSeconds": "9" * 30},
    ],
)
def test_options_that_make_no_sense_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        log_options(query, START)
