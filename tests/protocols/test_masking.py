from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferryman.protocols import masking

keys = st.binary(min_size=4, max_size=4)


def by_definition(data: bytes, key: bytes) -> bytes:
    """RFC 6455, 5.3."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


@given(st.binary(max_size=200), keys, st.integers(0, 20))
def test_both_ways_of_masking_are_the_rfc_s(data: bytes, key: bytes, start: int) -> None:
    for mask in (masking.mask, masking.mask_slowly):
        buffer = bytearray(data)
        mask(buffer, key, start)
        assert buffer == data[:start] + by_definition(data[start:], key)
        mask(buffer, key, start)
        assert buffer == data


def test_the_compiled_routine_is_found_where_its_wheel_is_installed() -> None:
    assert masking._compiled is not None
