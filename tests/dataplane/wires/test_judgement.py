import pytest

from ferryman.dataplane.wires import judgement
from ferryman.protocols.multiplex import Rejected
from tests.support.portforward_server import GONE_TEXT, REFUSED_TEXT, RESET_TEXT

CLOSED = (
    "error forwarding port 80 to pod 3f2a, uid : failed to execute portforward in network "
    'namespace "/var/run/netns/cni-1": network namespace for sandbox "3f2a" is closed'
)


@pytest.mark.parametrize(
    ("text", "kind", "delivered"),
    [
        (REFUSED_TEXT, "refused", False),
        (CLOSED, "gone", False),
        (GONE_TEXT, "gone", False),
        ("timed out waiting for streams", "unavailable", False),
        (RESET_TEXT, "ambiguous", True),
        ("the application said: connection refused", "ambiguous", True),
        ("", "ambiguous", True),
    ],
)
def test_only_what_is_certain_was_not_delivered(text: str, kind: str, delivered: bool) -> None:
    failure = judgement.refused_in_pod(text)
    assert (failure.kind, failure.delivered) == (kind, delivered)


@pytest.mark.parametrize(("flushed", "delivered"), [(True, True), (False, False)])
def test_a_lost_wire_is_ambiguous_once_something_was_flushed(
    flushed: bool, delivered: bool
) -> None:
    assert judgement.wire_lost("it broke", flushed=flushed).delivered == delivered


FORBIDDEN = 'pods "web" is forbidden: User "u" cannot create resource "pods/portforward"'


@pytest.mark.parametrize(
    ("answer", "transport", "kind", "final"),
    [
        (Rejected(403, FORBIDDEN, fall_back=True), "tunnel", "forbidden", False),
        (Rejected(403, FORBIDDEN, fall_back=True), "spdy", "forbidden", True),
        (Rejected(403, "HTTP status 403", fall_back=True), "spdy", "forbidden", False),
        (Rejected(404, 'pods "web" not found'), "tunnel", "gone", True),
        (Rejected(400, "…", fall_back=True), "tunnel", "unavailable", False),
        (Rejected(503, "…", fall_back=True), "tunnel", "unavailable", True),
        (Rejected(401, "Unauthorized"), "tunnel", "unauthorized", True),
        (Rejected(101, "wrong protocol", fall_back=True), "tunnel", "unavailable", False),
    ],
)
def test_a_refusal_has_a_kind_and_may_leave_another_transport_to_try(
    answer: Rejected, transport: str, kind: str, final: bool
) -> None:
    failure = judgement.rejected(answer)
    assert failure.kind == kind
    assert not failure.delivered
    assert judgement.final(answer, transport) == final


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Rejected(429, "", 7.0), 7.0),
        (Rejected(429, ""), 1.0),
        (Rejected(503, "", 0.0), 1.0),
        (Rejected(500, "", 7.0), 0.0),
    ],
)
def test_only_a_busy_server_is_waited_for(answer: Rejected, wait: float) -> None:
    assert judgement.rejected(answer).wait == wait


def test_a_peers_text_is_cut_to_one_clean_line() -> None:
    assert judgement.brief("a\x1b[31mb\r\n\tc") == "a [31mb c"
    assert len(judgement.brief("x" * 10_000)) == 300
