"""The little protobuf that is read: DeleteOptions in Kubernetes' envelope."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.status import BadRequest
from ferryman.apiserver.protobuf import delete_options


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value % 2**64)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def envelope(raw: bytes) -> bytes:
    type_meta = field(1, "v1") + field(2, "DeleteOptions")
    return b"k8s\0" + field(1, type_meta) + field(2, raw) + field(3, "") + field(4, "")


def test_delete_options_read_as_in_json() -> None:
    raw = (
        field(1, 30)
        + field(2, field(1, "u-1") + field(2, "17"))
        + field(3, 1)
        + field(4, "Foreground")
        + field(5, "All")
    )
    assert delete_options(envelope(raw)) == {
        "gracePeriodSeconds": 30,
        "preconditions": {"uid": "u-1", "resourceVersion": "17"},
        "orphanDependents": True,
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_numbers_have_signs_and_unknown_fields_are_passed_over() -> None:
    raw = varint(9 << 3 | 1) + bytes(8) + varint(10 << 3 | 5) + bytes(4) + field(1, -1)
    assert delete_options(envelope(raw)) == {"gracePeriodSeconds": -1}
    assert delete_options(envelope(b"")) == {}
    assert delete_options(b"k8s\0") == {}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"kind":"DeleteOptions"}', "magic"),
        (envelope(field(4, b"\xff")), "UTF-8"),
        (envelope(varint(4 << 3 | 2) + varint(99)), "cut short"),
        (envelope(varint(1 << 3) + b"\xff" * 10), "cut short"),
        (envelope(varint(1 << 3 | 3)), "wire type"),
        (envelope(field(7, 0) * 100), "too many"),
    ],
)
def test_anything_else_is_a_bad_request(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        delete_options(body)


@given(st.binary())
def test_hostile_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(delete_options(envelope(body)), dict)
