"""Events put together: when an exchange is finished, and what is kept of it."""

from __future__ import annotations

import pytest

from ferryman.inspection import assembly
from ferryman.inspection.assembly import OPEN_LIMIT, Assembly
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded, Undecoded
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.feed import DOWN, UP, Closed, Opened
from ferryman.inspection.session import Decoded
from tests.support.inspecting import Said, records, seen

ASK = MessageBegan(1, UP, "GET /", (("Host", "h"),), {"method": "GET"})
ASKED = MessageEnded(1, UP, 0)
ANSWER = MessageBegan(1, DOWN, "200", facts={"status": 200})
ANSWERED = MessageEnded(1, DOWN, 5, facts={"grpc": "OK"}, trailers=(("a", "b"),))


def heard(*events: Event, body_limit: int = 100) -> list[Exchange]:
    machine = Assembly(body_limit)
    machine.receive(Opened(1, 0, "l", "c", "e"))
    return [it for at, event in enumerate(events) for it in machine.receive(Decoded(1, at, event))]


def test_an_exchange_is_finished_when_both_sides_are() -> None:
    events = (
        ASK,
        ASKED,
        ANSWER,
        MessageData(1, DOWN, b"he"),
        MessageData(1, DOWN, b"llo"),
        ANSWERED,
    )
    assert heard(*events) == [
        Exchange(1, 1, "", "l", "c", "e",
            Message("GET /", 0, 1, (("Host", "h"),), {"method": "GET"}),
            Message("200", 2, 5, (), {"status": 200, "grpc": "OK"}, b"hello", 5, (("a", "b"),)),
        )
    ]  # fmt: skip


def test_an_answer_may_be_whole_before_its_request_is() -> None:
    assert heard(ASK, ANSWER, ANSWERED) == []
    (exchange,) = heard(ASK, ANSWER, ANSWERED, ASKED)
    assert exchange.answer is not None


def test_an_interim_answer_finishes_nothing() -> None:
    interim = MessageBegan(1, DOWN, "100", facts={"status": 100})
    assert heard(ASK, ASKED, interim, MessageEnded(1, DOWN, 0)) == []
    (exchange,) = heard(ASK, ASKED, interim, MessageEnded(1, DOWN, 0), ANSWER, ANSWERED)
    assert exchange.answer is not None
    assert exchange.answer.title == "200"


def test_what_stands_alone_is_finished_by_itself() -> None:
    alone = MessageBegan(1, UP, "text", alone=True)
    (exchange,) = heard(alone, ASKED)
    assert (exchange.request is not None, exchange.answer) == (True, None)


def test_an_answer_that_never_began_says_why() -> None:
    (exchange,) = heard(ASK, ASKED, MessageEnded(1, DOWN, 0, error="no answer"))
    assert exchange.answer == Message("", 2, 2, error="no answer")


def test_bodies_are_kept_up_to_the_limit() -> None:
    data = MessageData(1, DOWN, b"x" * 80)
    (exchange,) = heard(ASK, ASKED, ANSWER, data, data, MessageEnded(1, DOWN, 160))
    assert exchange.answer is not None
    assert (len(exchange.answer.body), exchange.answer.size) == (100, 160)
    assert not exchange.answer.whole


@pytest.mark.parametrize("end", [Closed(1, 9, 1, 1, "boom"), Decoded(1, 9, Undecoded("boom"))])
def test_what_is_unfinished_when_it_is_over_says_why(end: Closed | Decoded) -> None:
    machine = Assembly()
    for event in (ASK, ASKED, ANSWER, MessageData(1, DOWN, b"he")):
        machine.receive(Decoded(1, 0, event))
    (exchange,) = machine.receive(end)
    assert exchange.request is not None
    assert exchange.request.error == ""
    assert exchange.answer == Message("200", 0, 9, (), {"status": 200}, b"he", 2, error="boom")
    assert machine.receive(Closed(1, 10, 1, 1, "")) == []


def test_the_end_of_the_feed_finishes_all() -> None:
    machine = Assembly()
    machine.receive(Decoded(1, 0, ASK))
    machine.receive(Decoded(2, 0, ASK))
    assert [exchange.connection for exchange in machine.finish(1)] == [1, 2]
    assert machine.finish(2) == []


def test_what_there_is_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "TOTAL_LIMIT", 100)
    machine = Assembly()
    for number in range(OPEN_LIMIT + 5):
        machine.receive(Decoded(1, 0, MessageBegan(number, UP, "x")))
    assert machine.dropped == 5
    for number in range(3):
        machine.receive(Decoded(1, 0, MessageData(number, UP, b"x" * 60)))
    assert machine.dropped == 5 + 120
    assert len(machine.receive(Closed(1, 1, 0, 0, ""))) == OPEN_LIMIT
    machine.receive(Decoded(2, 0, ASK))
    machine.receive(Decoded(2, 0, MessageData(1, UP, b"x" * 60)))
    assert machine.dropped == 5 + 120  # there is room again


def test_a_real_conversation() -> None:
    answers = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No\r\n\r\nb"
    said: Said = [(UP, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), (DOWN, answers)]
    machine = Assembly()
    exchanges = [it for one in seen(records(said)) for it in machine.receive(one)]
    bodies = [(it.number, it.protocol, it.answer.body if it.answer else b"") for it in exchanges]
    assert bodies == [(1, "http/1.1", b"a"), (2, "http/1.1", b"b")]
    assert exchanges[1].facts["status"] == 404
