"""What is a secret in a head, and in bytes that nobody understands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection import redaction
from ferryman.inspection.redaction import REDACTED, Scrubber
from tests.support.split import cut, cuts

VALUES = [
    ("authorization", "Bearer abc", "Bearer [redacted]"),
    ("Authorization", "Basic dXNlcjpwYXNz", "Basic [redacted]"),
    ("authorization", "abc", REDACTED),
    ("authorization", "abc def", REDACTED),
    ("Proxy-Authorization", "Digest user=x, response=y", "Digest [redacted]"),
    ("Cookie", "a=1; b=2", REDACTED),
    ("X-Registry-Auth", "eyJ", REDACTED),
    ("X-GitLab-Token", "x", REDACTED),
    ("X-Amz-Security-Token", "x", REDACTED),
    ("X-Api-Key", "x", REDACTED),
    ("Cookie", "", ""),
    (":path", "/a?access_token=x&b=1", "/a?access_token=[redacted]&b=1"),
    (":path", "/a?b=1&X-Amz-Signature=x#f", "/a?b=1&X-Amz-Signature=[redacted]#f"),
    ("Location", "https://h/cb?id_token=x", "https://h/cb?id_token=[redacted]"),
    ("Referer", "https://me:pass@h/", "https://me:[redacted]@h/"),
    ("Sec-WebSocket-Protocol", "v4, base64url.bearer.authorization.k8s.io.x",
     "v4, base64url.bearer.authorization.k8s.io.[redacted]"),
    ("Content-Type", "text/html; charset=utf-8", "text/html; charset=utf-8"),
    ("Sec-WebSocket-Key", "dGhl", "dGhl"),
    ("Cache-Control", "max-age=0", "max-age=0"),
    ("Host", "me@h", "me@h"),
    (":path", "/tokens?page_size=5&tokenize=1", "/tokens?page_size=5&tokenize=1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), VALUES)
def test_a_fields_value_without_its_secrets(name: str, value: str, expected: str) -> None:
    assert redaction.value(name, value) == expected


@pytest.mark.parametrize(("name", "value", "expected"), VALUES)
def test_to_redact_again_changes_nothing(name: str, value: str, expected: str) -> None:
    assert redaction.value(name, expected) == expected


SCRUBBED = [
    (b"Authorization: Bearer HUSH\r\nHost: h\r\n", b"Authorization:", b"\nHost: h\r\n"),
    (b"x\nset-cookie: HUSH\r\n\r\n", b"x\nset-cookie:", b"\n\r\n"),
    (b"GET /?a=1&token=HUSH&b=2 HTTP/1.1\r\n", b"GET /?a=1&token=", b"&b=2 HTTP/1.1\r\n"),
    (b"AUTH HUSH\r\n+OK\r\n", b"AUTH ", b"\n+OK\r\n"),
    (b"?sig=HUSH&secret=HUSH ", b"?sig=", b"&secret="),
    (b"X-My-Secret: ?token=HUSH\nend", b"X-My-Secret:", b"\nend"),
]


@pytest.mark.parametrize(("data", "before", "after"), SCRUBBED)
@given(cuts)
def test_what_looks_like_a_secret_is_scrubbed_however_it_is_cut(
    data: bytes, before: bytes, after: bytes, places: list[int]
) -> None:
    scrubber = Scrubber()
    out = b"".join(scrubber.scrub(piece) for piece in cut(data, places))
    assert len(out) == len(data)
    assert b"HUSH" not in out
    assert out.startswith(before)
    assert after in out


_WORDS = st.sampled_from(
    (b"\n", b"\r\n", b"cookie", b"Authorization", b":", b" ", b"?", b"&", b"token", b"=", b"x",
     b"-", b"AUTH ", b"password", b"\x00\xff", b"a" * 45)
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40).map(b"".join), cuts, st.booleans())
def test_scrubbing_does_not_depend_on_cuts(data: bytes, places: list[int], inside: bool) -> None:
    scrubber = Scrubber(inside=inside)
    out = b"".join(scrubber.scrub(piece) for piece in cut(data, places))
    assert out == Scrubber(inside=inside).scrub(data)
    assert len(out) == len(data)


def test_the_rest_of_a_secret_line_is_one() -> None:
    assert Scrubber(inside=True).scrub(b"HUSH\nrest") == b"****\nrest"
