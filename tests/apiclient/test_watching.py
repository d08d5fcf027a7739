import json

import pytest
from hypothesis import given

from ferryman.api.client import Added, Bookmark, Deleted, Modified
from ferryman.api.status import Expired, Forbidden
from ferryman.apiclient import watching
from ferryman.apiclient.watching import WatchDecoder
from ferryman.errors import PeerError
from tests.support.split import cut, cuts

POD = {"metadata": {"name": "a", "namespace": "ns", "resourceVersion": "7"}}
END = {"metadata": {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}}
SENT = [
    ("ADDED", POD, Added(POD)),
    ("MODIFIED", POD, Modified(POD)),
    ("BOOKMARK", {"metadata": {"resourceVersion": "8"}}, Bookmark("8")),
    ("BOOKMARK", END, Bookmark("9", initial_end=True)),
    ("DELETED", POD, Deleted(POD)),
]


def line(kind: str, obj: object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


STREAM = b"".join(line(kind, obj) for kind, obj, _ in SENT)


@given(cuts)
def test_events_come_out_whole_however_the_bytes_were_split(places: list[int]) -> None:
    decoder = WatchDecoder()
    events = [event for part in cut(STREAM, places) for event in decoder.receive(part)]
    assert events == [event for _, _, event in SENT]


def test_the_rest_of_a_line_waits_for_its_end_and_empty_lines_mean_nothing() -> None:
    decoder = WatchDecoder()
    assert decoder.receive(b"\r\n\n" + STREAM[:-1] + b"") == [e for _, _, e in SENT[:-1]]
    assert decoder.receive(b"\n") == [SENT[-1][2]]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ({"code": 410, "reason": "Expired", "message": "too old resource version"}, Expired),
        ({"code": 410, "reason": "Gone", "message": "too old"}, Expired),
        ({"code": 403, "reason": "Forbidden", "message": "no"}, Forbidden),
    ],
)
def test_an_error_event_raises_what_it_means(status: object, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        WatchDecoder().receive(line("ERROR", status))


@pytest.mark.parametrize(
    "said",
    [
        b"<html>\n",
        b"[]\n",
        b"{}\n",
        line("ADDED", None),
        line("ADDED", {}),
        line("ADDED", {"metadata": {"name": 5}}),
        line("ADDED", {"metadata": {"name": "a", "namespace": []}}),
        line("CHANGED", POD),
    ],
)
def test_what_is_no_event_is_the_servers_fault(said: bytes) -> None:
    with pytest.raises(PeerError):
        WatchDecoder().receive(said)


def test_a_line_that_never_ends_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LARGEST_EVENT", 100)
    decoder = WatchDecoder()
    decoder.receive(b" " * 100)
    with pytest.raises(PeerError, match="larger than any object"):
        decoder.receive(b" ")
