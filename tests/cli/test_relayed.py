import pytest

from ferryman.addresses import parse_place
from ferryman.addresses.workloads import WorkloadAddress
from ferryman.cli.relayed import wished
from ferryman.errors import UserError

WEB = WorkloadAddress("deploy", "web", "http")
BOTH = ("127.0.0.1", "::1")

LISTENERS = [
    ("8080", BOTH, 8080, ""),
    (":0", BOTH, 0, ""),
    ("0.0.0.0:80", ("0.0.0.0",), 80, ""),
    ("[::1]:80", ("::1",), 80, ""),
    ("/run/x.sock", (), 0, "/run/x.sock"),
    ("@name", (), 0, "@name"),
    ("TCP-LISTEN:8080,reuseaddr,fork", ("0.0.0.0",), 8080, ""),
    ("TCP4-LISTEN:80,fork,bind=127.0.0.1", ("127.0.0.1",), 80, ""),
    ("TCP6-LISTEN:80,fork", ("::",), 80, ""),
    ("TCP-LISTEN:80,fork,bind=[::1]", ("::1",), 80, ""),
    ("UNIX-LISTEN:/run/x.sock,fork", (), 0, "/run/x.sock"),
]


@pytest.mark.parametrize(("listen", "hosts", "port", "address"), LISTENERS)
def test_what_is_listened_on(listen: str, hosts: tuple[str, ...], port: int, address: str) -> None:
    wish = wished(parse_place(listen), WEB, "shop", hold="1m")
    assert (wish.hosts, wish.ports, wish.address) == (hosts, ((port, "http"),), address)
    assert (str(wish.target), wish.target.namespace, wish.hold) == ("deployment/web", "shop", "1m")


def test_a_namespace_of_its_own_comes_before_the_kubeconfigs() -> None:
    other = WorkloadAddress("svc", "web", 80, "elsewhere")
    assert wished(parse_place("8080"), other, "shop").target.namespace == "elsewhere"


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("TCP-LISTEN:80", "would serve one client only"),
        ("TCP-LISTEN:80,fork,backlog=3", "backlog of TCP-LISTEN:80 is not supported"),
        ("TCP-LISTEN:80,fork,nodelay=0", "nodelay of TCP-LISTEN:80 is not supported"),
        ("TCP-LISTEN:80,fork,sp=3,bind=::1", "source_port of TCP-LISTEN:80"),
        ("UNIX-LISTEN:/x,fork,mode=777", "mode of UNIX-LISTEN:/x is not supported"),
        ("OPENSSL-LISTEN:443,fork", "cannot stand before a workload"),
        ("-", "STDIO cannot stand before a workload"),
        ("www.example:80", "is not a valid IP"),
    ],
)
def test_what_is_refused_and_not_ignored(listen: str, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", "\\(")):
        wished(parse_place(listen), WEB, "shop")
