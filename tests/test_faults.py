"""How a person writes a fault, and what is said about a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman import faults
from ferryman.errors import UserError
from ferryman.faults import Fault

MEANT = {
    "latency=200ms": Fault("latency", 0.2),
    "latency=200ms±50,down": Fault("latency", 0.2, jitter=0.05, direction="down"),
    "latency=1s+-200ms": Fault("latency", 1.0, jitter=0.2),
    "latency=1.5m": Fault("latency", 90.0),
    "rate=64k": Fault("rate", 64_000),
    "rate=64KiB/s,up": Fault("rate", 65_536, direction="up"),
    "rate=1.5MB": Fault("rate", 1_500_000),
    "reset": Fault("reset"),
    "reset@1KB": Fault("reset", after=1000),
    "reset@0": Fault("reset"),
    "slice=1": Fault("slice", 1),
    "drop=5%": Fault("drop", share=0.05),
    "stall=5s": Fault("stall", 5.0),
    "stall=5s@1MiB,both": Fault("stall", 5.0, after=1 << 20),
    "blackhole": Fault("blackhole"),
    " blackhole@10 , share=0.5% , up ": Fault("blackhole", after=10, direction="up", share=0.005),
}


@pytest.mark.parametrize(("text", "meant"), MEANT.items())
def test_a_fault_is_read(text: str, meant: Fault) -> None:
    assert faults.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no such fault: ''; there are latency, rate, reset, slice, drop, stall and blackhole"),
        ("latncy=1s", "no such fault: 'latncy'; did you mean latency?"),
        ("latency", "not a time: ''; write 200ms, 1.5s or 2m"),
        ("latency=200", "not a time: '200'; write 200ms, 1.5s or 2m"),
        ("latency=-1s", "not a time: '-1s'; write 200ms, 1.5s or 2m"),
        ("latency=2h", "not a time: '2h'; write 200ms, 1.5s or 2m"),
        ("stall=61m", "too long a time: '61m'; an hour is the longest"),
        ("rate=0", "0 bytes cannot be: '0'; from 1 to 1099511627776"),
        ("rate=64q", "not a number of bytes: '64q'; write 500, 64k, 1.5MB or 1MiB"),
        ("rate=64k@3", "rate begins at once: 'rate=64k@3'; @ is for reset, stall and blackhole"),
        ("slice=٣", "not a number of bytes: '٣'; write 500, 64k, 1.5MB or 1MiB"),
        ("reset=3", "reset has no amount: '3'; such as " + faults.EXAMPLES),
        ("reset,down,share", "no such part of a fault: 'share'; did you mean share?"),
        ("reset,donw", "no such part of a fault: 'donw'; did you mean down?"),
        ("reset,share=0%", "not a share of the connections: '0%'; write 5%, 0.1% or 100%"),
        ("drop=5", "not a share of the connections: '5'; write 5%, 0.1% or 100%"),
        ("drop=5%,up", "drop has a share only, not 'up'; such as drop=5%"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_may_be_meant(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        faults.parse(text)
    assert str(refused.value) == said


def test_several_keep_their_order() -> None:
    assert faults.parse_all(["slice=1", "reset"]) == (Fault("slice", 1), Fault("reset"))


times = st.integers(0, 3_600_000_000).map(lambda microseconds: microseconds / 1e6)
options = {
    "direction": st.sampled_from(["up", "down", "both"]),
    "share": st.integers(1, 10**8).map(lambda parts: parts / 10**8),
}
after = st.integers(0, faults.MOST)
amounts = st.integers(1, faults.MOST).map(float)
any_fault = st.one_of(
    st.builds(Fault, st.just("latency"), times, times, **options),
    st.builds(Fault, st.just("stall"), times, after=after, **options),
    st.builds(Fault, st.sampled_from(["rate", "slice"]), amounts, **options),
    st.builds(Fault, st.sampled_from(["reset", "blackhole"]), after=after, **options),
    st.builds(Fault, st.just("drop"), share=options["share"]),
)


@given(any_fault)
def test_what_is_written_is_read_as_the_same(fault: Fault) -> None:
    assert faults.parse(str(fault)) == fault


@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(text: str) -> None:
    try:
        faults.parse(text)
    except UserError:
        pass
