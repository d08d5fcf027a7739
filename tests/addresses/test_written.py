import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.addresses import TcpAddress, UnixAddress, parse_any, two
from ferryman.addresses.specs import Descriptors, Dual, File, Program, TcpConnect, TcpListen
from ferryman.addresses.workloads import WorkloadAddress
from ferryman.errors import UserError

DECIDED: list[tuple[str, object]] = [
    ("8080", TcpAddress("", 8080)),
    ("5", TcpAddress("", 5)),  # socat's descriptor 5 is written FD:5
    ("www:80", TcpAddress("www", 80)),
    ("FOO:1", TcpAddress("FOO", 1)),
    ("run/x.sock", UnixAddress("run/x.sock")),
    ("unix:x", UnixAddress("x")),
    ("-", Descriptors(0, 1)),
    ("tcp-listen:80", TcpListen(80)),
    ("TCP:h:80", TcpConnect("h", 80)),
    ("exec:cat", Program(("cat",))),
    ("/tmp/x,rdonly", File),
    ("-!!OPEN:x", Dual),
    ("deploy/web:8000", WorkloadAddress("deploy", "web", 8000)),
    ("SVC/web:http", WorkloadAddress("svc", "web", "http")),
    ("pod/web-7f:80,namespace=shop", WorkloadAddress("pod", "web-7f", 80, "shop")),
    ("sts/db:80,namespace=a,context=b", WorkloadAddress("sts", "db", 80, "a", "b")),
]


@pytest.mark.parametrize(("text", "meant"), DECIDED, ids=[d[0] for d in DECIDED])
def test_which_grammar_a_text_is_in(text: str, meant: object) -> None:
    found = parse_any(text)
    assert isinstance(found, meant) if isinstance(meant, type) else found == meant


REFUSED = [
    ("nonsense", "8080, 127.0.0.1:8080"),
    ("NONSENSE", "as socat has it"),
    ("TCP-LISTN:8080", "did you mean TCP-LISTEN?"),
    ("tcp-listn:8080,fork", "did you mean TCP-LISTEN?"),
    ("8080,fork", "TCP-LISTEN:8080,fork to listen or TCP:localhost:8080,fork to connect"),
    ("h:80,retry=2", "TCP:h:80,retry=2 to connect"),
    ("tcp:80", "TCP:HOST:PORT"),
    ("pod/web", "pod/web:8000"),
    ("pod/:80", "pod/NAME:80"),
    ("deploy/web:80,ns=x", "namespace=NAME"),
    ("deploy/web:0", "from 1 to 65535"),
]


@pytest.mark.parametrize(("text", "hint"), REFUSED, ids=[r[0] for r in REFUSED])
def test_an_error_names_what_is_near(text: str, hint: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_any(text)
    assert hint in refused.value.hint


def test_there_are_two_addresses_and_a_space_beside_a_comma_makes_three() -> None:
    assert two(["a", "b"]) == ("a", "b")
    with pytest.raises(UserError) as refused:
        two(["TCP-LISTEN:8080,", "fork", "TCP:h:80"])
    assert refused.value.message == "exactly 2 addresses required (there are 3)"
    assert refused.value.hint == "no space beside a comma: write TCP-LISTEN:8080,fork TCP:h:80"
    for texts in ([], ["a"], ["a", "b", "c"]):
        with pytest.raises(UserError):
            two(texts)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        parse_any(text)
    except UserError:
        pass
