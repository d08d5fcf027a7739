"""What a HAR says, told again: the same exchanges come out of it as went in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection import feed
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.exports.retelling import retell


def exchange(number: int, at: int, took: int, body: bytes, connection: int = 1) -> Exchange:
    request = Message("GET /", at, at + 1, (("Host", "x"),), {"method": "GET"}, b"", 0)
    end = at + 2 + took
    answer = Message("200", at + 2, end, (), {"status": 200}, body, len(body) + 1)
    return Exchange(connection, number, "http/1.1", "l", "c", "e", request, answer)


exchanges = st.lists(
    st.builds(
        exchange,
        number=st.integers(1, 9),
        at=st.integers(1, 99),
        took=st.integers(0, 50),
        body=st.binary(max_size=9),
        connection=st.integers(1, 3),
    ),
    unique_by=lambda one: (one.connection, one.number),
    max_size=6,
)


@given(exchanges)
def test_exchanges_come_back_from_what_is_told(said: list[Exchange]) -> None:
    assembly, heard = Assembly(), []
    told = retell(said)
    for seen in told:
        heard += assembly.receive(seen)
    key = lambda one: (one.connection, one.number)  # noqa: E731  # a name for two uses
    assert sorted(heard, key=key) == sorted(said, key=key)
    assert [seen.at for seen in told] == sorted(seen.at for seen in told)


def test_a_connection_opens_before_and_closes_after_what_it_said() -> None:
    told = retell([exchange(1, 10, 5, b"hello")])
    assert told[0] == feed.Opened(1, 10, "l", "c", "e")
    assert told[-1] == feed.Closed(1, 17, 0, 6, "")


def test_a_request_without_an_answer_stays_one() -> None:
    one = replace(exchange(1, 10, 5, b""), answer=None)
    assembly, heard = Assembly(), []
    for seen in retell([one]):
        heard += assembly.receive(seen)
    assert heard == [one]
