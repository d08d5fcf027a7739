"""Secrets planted wherever a client may put one: they come out in no form and no file."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.inspection import feed
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.feed import DOWN, UP, Missed, Record
from ferryman.inspection.forms import Options, make
from tests.support.inspecting import Said, records, seen, shown
from tests.support.split import cuts

SECRET = "HuShHuSh"
_HEAD = (
    f"POST /login?user=me&access_token={SECRET} HTTP/1.1\r\nHost: h\r\n"
    f"Authorization: Bearer {SECRET}\r\nCookie: a={SECRET}; b={SECRET}\r\n"
    f"X-Registry-Auth: {SECRET}\r\nx-api-key:{SECRET}\r\n"
    f"Referer: https://me:{SECRET}@h/?token={SECRET}\r\n"
    f"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{SECRET}\r\n"
)
_ANSWER = f"HTTP/1.1 302 Found\r\nSet-Cookie: a={SECRET}\r\nLocation: /?token={SECRET}\r\n"
HTTP: Said = [
    (UP, f"{_HEAD}Content-Length: 0\r\n\r\n".encode()),
    (DOWN, f"{_ANSWER}Transfer-Encoding: chunked\r\n\r\n0\r\nX-Token: {SECRET}\r\n\r\n".encode()),
    (UP, f"{_HEAD}Content-Length: 0\r\n\r\n".encode()),
]
BROKEN: Said = [*HTTP, (UP, f"nonsense\r\n{_HEAD}\r\n".encode()), (UP, _HEAD.encode())]
UPGRADED: Said = [
    (UP, f"{_HEAD}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()),
    (DOWN, f"{_ANSWER.replace('302', '101')}Upgrade: tcp\r\n\r\n".encode()),
    (UP, f"\n{_HEAD}\r\n".encode()),
]
TUNNELLED: Said = [
    (UP, f"CONNECT h:80 HTTP/1.1\r\nProxy-Authorization: Basic {SECRET}\r\n\r\n".encode()),
    (DOWN, b"HTTP/1.1 200 OK\r\n\r\n"),
    *HTTP,
]
UNKNOWN: Said = [(UP, f"EHLO x\r\nAUTH {SECRET}\r\n{_HEAD}".encode())]
REDIS: Said = [
    (UP, b"*2\r\n$4\r\nAUTH\r\n$8\r\n" + SECRET.encode() + b"\r\n"),
    (DOWN, b"+OK\r\n"),
    (UP, b"AUTH me " + SECRET.encode() + b"\r\n"),
]
_STARTUP = b"user\0me\0\0"
POSTGRES: Said = [
    (UP, (8 + len(_STARTUP)).to_bytes(4, "big") + b"\0\x03\0\0" + _STARTUP),
    (DOWN, b"R\0\0\0\x08\0\0\0\x03"),
    (UP, b"p" + (5 + len(SECRET)).to_bytes(4, "big") + SECRET.encode() + b"\0"),
]
CONVERSATIONS = {
    "http": HTTP,
    "http that breaks": BROKEN,
    "an upgrade": UPGRADED,
    "a tunnel": TUNNELLED,
    "unknown": UNKNOWN,
    "redis": REDIS,
    "postgresql": POSTGRES,
}
FORMS = [
    (name, Options(verbose=verbose, hexed=hexed))
    for name, verbose, hexed in itertools.product(
        ("pretty", "json", "socat", "raw"), (False, True), (False, True)
    )
]


def _unhidden(out: bytes) -> bool:
    """Whether the secret is in there, as it is or in hexadecimal."""
    return SECRET.encode() in out or SECRET.encode().hex(" ").encode() in out.replace(b"  ", b" ")


@pytest.mark.parametrize("said", CONVERSATIONS.values(), ids=CONVERSATIONS)
@given(cuts, st.sampled_from(("", "reset")))
@settings(max_examples=25, deadline=None)
def test_no_form_shows_a_secret(said: Said, places: list[int], reset: str) -> None:
    given_ = records(said, places, reset=reset)
    for name, options in FORMS:
        out = shown(make(name, options), given_)
        assert not _unhidden(out), (name, options)


@pytest.mark.parametrize("said", CONVERSATIONS.values(), ids=CONVERSATIONS)
@given(cuts, st.integers(0, 50), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_what_is_kept_has_none_even_where_bytes_were_missed(
    said: Said, places: list[int], where: int, lost: int
) -> None:
    given_ = _with_a_hole(records(said, places), where, lost)
    passed = seen(given_)
    kept = b"".join(feed.encode(one) for one in passed if not hasattr(one, "event"))
    assert not _unhidden(kept)
    machine = Assembly()
    assert SECRET not in repr([machine.receive(one) for one in passed])
    assert SECRET not in repr([one for one in passed if hasattr(one, "event")])


def _with_a_hole(given_: list[Record], where: int, lost: int) -> list[Record]:
    """Some chunks in a row could not be kept up with."""
    chunks = [place for place, record in enumerate(given_) if isinstance(record, feed.Chunk)]
    for place in chunks[where % len(chunks) :][:lost]:
        record = given_[place]
        assert isinstance(record, feed.Chunk)
        given_[place] = Missed(record.connection, record.at, record.direction, len(record.data))
    return given_


def test_the_secret_is_found_where_it_is_not_hidden() -> None:
    for name, options in FORMS:
        if name != "pretty" or options.verbose or options.hexed:
            passed = seen(records(HTTP), redact=False, raw=True)
            out = b"".join(map(make(name, options).write, passed))
            if name not in ("json", "pretty") and options.hexed:
                continue  # broken over lines
            assert _unhidden(out), (name, options)
