import pytest

from ferryman.errors import UserError
from ferryman.kube.ports import Pair, parse_hosts, parse_pair, parse_pairs


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("8080", Pair(8080, 8080)),
        ("8080:8000", Pair(8080, 8000)),
        (":8000", Pair(0, 8000)),
        ("0:8000", Pair(0, 8000)),
        ("8080:http", Pair(8080, "http")),
        (":http", Pair(0, "http")),
        ("http", Pair(None, "http")),
        ("65535:1", Pair(65535, 1)),
    ],
)
def test_a_pair_is_read_as_kubectl_reads_it(text: str, pair: Pair) -> None:
    assert parse_pair(text) == pair


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1:2:3", "invalid port format '1:2:3'"),
        ("8080:", "the remote port is missing"),
        ("", "the remote port is missing"),
        ("x:80", "error parsing local port 'x': invalid syntax"),
        ("-1:80", "error parsing local port '-1': invalid syntax"),
        ("80:-1", "error parsing remote port '-1': invalid syntax"),
        ("70000:80", "error parsing local port '70000': value out of range"),
        ("80:999999", "error parsing remote port '999999': value out of range"),
        ("٣:80", "error parsing local port '٣': invalid syntax"),
        ("8080:0", "remote port must be > 0"),
        ("80a", "error parsing remote port '80a': invalid syntax"),
    ],
)
def test_what_is_no_pair_is_refused_in_kubectls_words(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_pair(text)
    assert error.value.message == message


def test_a_local_port_is_given_away_once_but_random_ones_as_often_as_asked() -> None:
    assert parse_pairs([":80", ":80", "http", "http"]) == [
        Pair(0, 80), Pair(0, 80), Pair(None, "http"), Pair(None, "http"),
    ]  # fmt: skip
    with pytest.raises(UserError, match="8080 is asked for twice"):
        parse_pairs(["8080:80", "8080"])


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("127.0.0.2,localhost", ["127.0.0.1", "127.0.0.2", "::1"]),
        ("::1,127.0.0.1,localhost", ["127.0.0.1", "::1"]),
        ("0:0:0:0:0:0:0:1", ["::1"]),
    ],
)
def test_addresses_come_once_and_in_kubectls_order(text: str, hosts: list[str]) -> None:
    assert parse_hosts(text) == hosts


@pytest.mark.parametrize("text", ["", "example.com", "127.0.0.1,", "127.1", "localhost:1"])
def test_an_address_has_to_be_an_ip(text: str) -> None:
    with pytest.raises(UserError, match="is not a valid IP"):
        parse_hosts(text)
