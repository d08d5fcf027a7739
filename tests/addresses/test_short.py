from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.addresses import Address, TcpAddress, UnixAddress, loopbacks, parse, parse_any
from ferryman.errors import UserError

FORMS: list[tuple[str, Address]] = [
    ("8080", TcpAddress("", 8080)),
    (":8080", TcpAddress("", 8080)),
    (":0", TcpAddress("", 0)),
    ("127.0.0.1:8080", TcpAddress("127.0.0.1", 8080)),
    ("localhost:8081", TcpAddress("localhost", 8081)),
    ("my-host.example:80", TcpAddress("my-host.example", 80)),
    ("[::1]:80", TcpAddress("::1", 80)),
    ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
    ("/run/x.sock", UnixAddress("/run/x.sock")),
    ("./x.sock", UnixAddress("./x.sock")),
    ("unix:x.sock", UnixAddress("x.sock")),
    ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
    ("@abstract", UnixAddress("@abstract")),
]


@pytest.mark.parametrize(("text", "address"), FORMS, ids=[f[0] for f in FORMS])
def test_the_forms(text: str, address: Address) -> None:
    assert parse(text) == address
    assert parse_any(text) == address, "the short form comes first"


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:http", ":", "::1:80", "::1", "[::1]", "[::1", "[host]:80",
     "1:2:3", "host:65536", "-1", "host:-1", "٣", "8080 ", "/" + "x" * 107, "/x\0y", "unix:"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(text)
    assert refused.value.hint


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        parse(text)
    except UserError:
        pass


@pytest.mark.parametrize("text", [f[0] for f in FORMS if f[0] not in ("8080", ":8080", ":0")])
def test_an_address_reads_back_as_it_prints(text: str) -> None:
    address = parse(text)
    printed = str(address)
    assert parse(printed if "/" in printed or ":" in printed else f"unix:{printed}") == address


def test_no_host_and_localhost_mean_the_loopback_of_both_families() -> None:
    both = (TcpAddress("127.0.0.1", 80), TcpAddress("::1", 80))
    assert loopbacks(TcpAddress("", 80)) == both
    assert loopbacks(TcpAddress("localhost", 80)) == both
    assert loopbacks(TcpAddress("::1", 80)) == (TcpAddress("::1", 80),)
    assert loopbacks(UnixAddress("/x")) == (UnixAddress("/x"),)
