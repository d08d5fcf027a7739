"""HARs: they pass the schema, are whole at any time, and come back as what they were."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import UserError
from ferryman.inspection import feed
from ferryman.inspection.events import Facts
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.exports.har import Har
from ferryman.inspection.exports.har_reading import from_har
from tests.support.har_schema import complaints

AT = 1_795_424_948_123_456_789


def asked(path: str = "/v1/users?page=2", body: bytes = b"", more: Facts | None = None) -> Message:
    path, _, query = path.partition("?")
    return Message(
        title=f"GET {path}",
        began=AT,
        ended=AT + 1_000_000,
        fields=(("Host", "api:8081"), ("Cookie", "a=1; b=2"), ("Content-Type", "text/plain")),
        facts={
            "method": "GET",
            "path": path,
            **({"query": query} if query else {}),
            "host": "api:8081",
            "type": "text/plain",
            **(more or {}),
        },
        body=body,
        size=len(body),
    )


def said(body: bytes = b'{"a": 1}', coding: str = "", status: int = 200) -> Message:
    fields = [("Content-Type", "application/json"), ("Set-Cookie", "s=[redacted]")]
    return Message(
        title=str(status),
        began=AT + 15_000_000,
        ended=AT + 16_000_000,
        fields=(*fields, ("Content-Encoding", coding)) if coding else tuple(fields),
        facts={"status": status, "reason": "OK", "type": "application/json"},
        body=body,
        size=len(body),
    )


def exchange(request: Message | None = None, answer: Message | None = None) -> Exchange:
    return Exchange(
        connection=3,
        number=2,
        protocol="http/1.1",
        listener="127.0.0.1:8080",
        client="127.0.0.1:40000",
        endpoint="127.0.0.1:8081",
        request=request or asked(),
        answer=answer,
    )


def written(*happened: Exchange | feed.Record) -> dict[str, Any]:
    har = Har("0.1.0")
    data = har.begin()
    json.loads(data + har.tail)
    for one in happened:
        data += har.exchange(one) if isinstance(one, Exchange) else har.record(one)
        json.loads(data + har.tail)  # whole at any time
    data += har.finish() + har.tail
    whole: dict[str, Any] = json.loads(data)
    assert list(complaints(whole)) == []
    return whole


def entry(happened: Exchange) -> dict[str, Any]:
    (one,) = written(happened)["log"]["entries"]
    return dict(one)


def came_back(*happened: Exchange | feed.Record) -> list[Exchange]:
    return from_har(json.dumps(written(*happened)).encode(), redact=False)


def test_an_exchange_is_an_entry_with_its_times() -> None:
    one = entry(exchange(answer=said()))
    assert one["startedDateTime"] == "2026-11-23T09:09:08.123456Z"
    unknown = dict.fromkeys(("blocked", "dns", "connect", "ssl"), -1)
    assert one["timings"] == {**unknown, "send": 1.0, "wait": 14.0, "receive": 1.0}
    assert one["time"] == 16.0
    assert one["request"]["url"] == "http://api:8081/v1/users?page=2"
    assert one["request"]["queryString"] == [{"name": "page", "value": "2"}]
    assert one["request"]["cookies"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    assert "postData" not in one["request"]
    assert (one["response"]["status"], one["response"]["statusText"]) == (200, "OK")
    content = {"size": 8, "mimeType": "application/json", "text": '{"a": 1}'}
    assert one["response"]["content"] == content
    assert (one["serverIPAddress"], one["connection"]) == ("127.0.0.1", "3")


def test_a_coded_body_is_kept_expanded() -> None:
    coded = gzip.compress(b"hello " * 1000)
    content = entry(exchange(answer=said(coded, "gzip")))["response"]["content"]
    assert content["text"] == "hello " * 1000
    assert (content["size"], content["compression"]) == (6000, 6000 - len(coded))
    (back,) = came_back(exchange(answer=said(coded, "gzip")))
    assert back.answer is not None
    assert back.answer.body == b"hello " * 1000
    assert back.answer.whole
    assert "Content-Encoding" not in dict(back.answer.fields)


def test_a_coding_that_nobody_knows_stays() -> None:
    one = exchange(answer=said(b"\xff\x00", "middle-out"))
    content = entry(one)["response"]["content"]
    assert (content["text"], content["encoding"]) == ("/wA=", "base64")
    assert "middle-out" in content["comment"]
    assert came_back(one) == [one]


def test_a_body_that_is_no_text_is_base64_both_ways() -> None:
    one = exchange(asked(body=b"\xff\xfe"), said(b"\x00\xff"))
    assert entry(one)["request"]["postData"]["_encoding"] == "base64"
    assert came_back(one) == [one]


@pytest.mark.parametrize(
    ("change", "comment"),
    [
        ({"size": 20}, "only the first 8 of 20 bytes were kept"),
        ({"size": 20, "missed": 12}, "12 of 20 bytes could not be kept up with"),
    ],
)
def test_what_is_missing_of_a_body_is_said(change: dict[str, int], comment: str) -> None:
    one = exchange(answer=replace(said(), **change))  # type: ignore[arg-type]  # numbers all
    assert entry(one)["response"]["content"]["comment"] == comment
    assert came_back(one) == [one]


def test_a_beginning_that_expands_to_more_than_the_whole_was_is_not_whole() -> None:
    coded = gzip.compress(b"hello " * 1000)
    (back,) = came_back(exchange(answer=replace(said(coded[:-9], "gzip"), size=len(coded))))
    assert back.answer is not None
    assert len(back.answer.body) > len(coded)
    assert not back.answer.whole


def test_a_request_without_an_answer_is_an_entry_with_status_0() -> None:
    one = entry(exchange())
    assert (one["response"]["status"], one["response"]["_error"]) == (0, "no answer was seen")
    assert came_back(exchange()) == [exchange()]


def test_what_is_not_http_is_left_out() -> None:
    command = replace(exchange(), protocol="redis", request=Message("GET a", AT, AT))
    assert written(command, replace(exchange(), request=None))["log"]["entries"] == []


@pytest.mark.parametrize(
    ("path", "more", "url"),
    [
        ("/x", {"target": "/" + "x" * 300}, "http://api:8081/" + "x" * 300),
        ("/x", {"target": "http://other/y"}, "http://other/y"),
        ("*", {}, "http://api:8081/*"),
        ('/ü"<>?é', {}, "http://api:8081/%C3%BC%22%3C%3E?%C3%A9"),
        ("/x?y", {"host": ""}, "http://localhost/x?y"),
        ("/\udcff", {}, "http://api:8081/%EF%BF%BD"),
    ],
)
def test_urls_are_urls(path: str, more: Facts, url: str) -> None:
    assert entry(exchange(asked(path, more=more)))["request"]["url"] == url


def websocket(number: int, body: bytes, *, up: bool, opcode: str = "text") -> Exchange:
    facts = {"opcode": opcode}
    message = Message(opcode, AT + number * 10**9, AT + number * 10**9, (), facts, body, len(body))
    bare = replace(exchange(), protocol="websocket", number=number, request=None)
    return replace(bare, request=message) if up else replace(bare, answer=message)


UPGRADE = exchange(answer=replace(said(b"", status=101)))
CLOSED = feed.Closed(3, AT, 1, 1, "")


def test_websocket_messages_are_in_the_entry_of_their_upgrade_as_chrome_has_them() -> None:
    messages = [
        websocket(3, b"hi", up=True),
        websocket(4, b"\xff", up=False, opcode="binary"),
    ]
    whole = written(UPGRADE, *messages, CLOSED, exchange(answer=said()))
    first, second = whole["log"]["entries"]
    assert first["_resourceType"] == "websocket"
    assert first["_webSocketMessages"] == [
        {"type": "send", "time": AT / 1e9 + 3, "opcode": 1, "data": "hi"},
        {"type": "receive", "time": AT / 1e9 + 4, "opcode": 2, "data": "/w=="},
    ]
    assert second["response"]["status"] == 200
    back = came_back(UPGRADE, *messages)
    bodies = [(e.request and e.request.body, e.answer and e.answer.body) for e in back]
    assert [(e.protocol, *both) for e, both in zip(back, bodies, strict=True)] == [
        ("http/1.1", b"", b""),
        ("websocket", b"hi", None),
        ("websocket", None, b"\xff"),
    ]  # fmt: skip


def test_websocket_messages_without_end_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferryman.inspection.exports.har._HELD_PER_CONNECTION", 1000)
    messages = [websocket(n, b"x" * 100, up=True) for n in range(3, 13)]
    (one,) = written(UPGRADE, *messages)["log"]["entries"]
    assert len(one["_webSocketMessages"]) == 3
    assert one["comment"] == "7 more WebSocket messages were not kept"


CHROME = {
    "startedDateTime": "2026-11-23T10:00:00.5+01:00",
    "time": 5,
    "request": {
        "method": "POST",
        "url": "https://example.test/a?b=c",
        "httpVersion": "h2",
        "headers": [{"name": ":path", "value": "/a?b=c"}],
        "postData": {"mimeType": "text/plain", "text": "hé"},
    },
    "response": {
        "status": 404,
        "statusText": "",
        "headers": [{"name": "content-encoding", "value": "br"}],
        "content": {"size": 2, "mimeType": "text/html; charset=utf-8", "text": "no"},
    },
    "timings": {"send": 1, "wait": 2.5, "receive": 1.5},
}


def test_a_har_of_somebody_else_is_read() -> None:
    (one,) = from_har(json.dumps({"log": {"entries": [CHROME]}}).encode())
    assert one.protocol == "h2"
    assert one.request is not None
    assert one.answer is not None
    assert one.request.title == "POST /a?b=c"
    assert one.request.body == "hé".encode()
    assert one.request.began == 1_795_424_400_500_000_000
    assert one.request.facts == {
        "method": "POST", "path": "/a", "query": "b=c", "host": "example.test", "type": "text/plain"
    }  # fmt: skip
    assert one.answer.facts == {"status": 404, "type": "text/html"}
    assert (one.answer.body, one.answer.fields) == (b"no", ())
    assert one.answer.ended - one.request.began == 5_000_000


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"log": 1}', b'{"log": {"entries": {}}}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_har_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="this is no HAR"):
        from_har(data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def mixed(known: object) -> st.SearchStrategy[object]:
    """An entry's skeleton in which anything may stand in anything's place."""
    if isinstance(known, dict):
        made = st.fixed_dictionaries({}, optional={k: mixed(v) for k, v in known.items()})
        return made | anything
    if isinstance(known, list):
        return st.lists(st.one_of(*map(mixed, known)), max_size=2) | anything
    return st.just(known) | anything


SOCKET = {"_webSocketMessages": [{"type": "send", "time": 1.5, "opcode": 2, "data": "!"}]}
OURS = {"_ferry": {"connection": 1, "exchange": 2, "request": {"whole": False, "size": 9}}}


@given(st.lists(mixed(CHROME | SOCKET | OURS), max_size=2))
def test_any_entries_are_read_or_passed_over(entries: list[object]) -> None:
    for one in from_har(json.dumps({"log": {"entries": entries}}).encode()):
        assert one.request is not None or one.answer is not None


texts = st.text(max_size=12)
fields = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
facts = st.dictionaries(st.sampled_from(("path", "query", "host", "target", "reason")), texts)
messages = st.builds(
    Message,
    title=texts,
    began=st.integers(0, 2**62),
    ended=st.integers(0, 2**62),
    fields=fields,
    facts=facts,
    body=st.binary(max_size=20),
    size=st.integers(0, 30),
    trailers=fields,
    missed=st.integers(0, 3),
    error=texts,
)


@given(messages, st.none() | messages, st.integers(0, 999))
def test_any_exchange_passes_the_schema(
    request: Message, answer: Message | None, status: int
) -> None:
    request = replace(request, facts={**request.facts, "method": "GET"})
    if answer is not None:
        answer = replace(answer, facts={**answer.facts, "status": status})
    written(exchange(request, answer))


def test_secrets_of_somebody_elses_har_do_not_come_out_unless_asked_for() -> None:
    headers = [
        {"name": "authorization", "value": "Bearer pl4nted"},
        {"name": "Cookie", "value": "s=pl4nted"},
    ]
    url = "https://bob:pl4nted@example.test/a?token=pl4nted"
    request = {"method": "GET", "url": url, "headers": headers}
    response = {"status": 200, "headers": [{"name": "Set-Cookie", "value": "s=pl4nted"}]}
    har = json.dumps({"log": {"entries": [{"request": request, "response": response}]}}).encode()
    assert "pl4nted" not in repr(from_har(har))
    assert repr(from_har(har, redact=False)).count("pl4nted") >= 5
