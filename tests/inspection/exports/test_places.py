"""Where packets seem to go: real where that is possible, named where it is not."""

from __future__ import annotations

import pytest

from ferryman.inspection.exports.places import Places, Route


def said(route: Route) -> tuple[str, str, dict[str, str]]:
    ends = [f"{place.host} {place.port}" for place in (route.client, route.server)]
    return ends[0], ends[1], {str(named.host): named.name for named in route.names}


@pytest.mark.parametrize(
    ("client", "server", "protocol", "ends"),
    [
        ("127.0.0.1:40000", "10.0.0.7:8081", "http/1.1", ("127.0.0.1 40000", "10.0.0.7 8081")),
        ("127.0.0.1:40000", "localhost:8081", "http/1.1", ("127.0.0.1 40000", "127.0.0.1 8081")),
        ("[::1]:40000", "localhost:8081", "opaque", ("::1 40000", "::1 8081")),
        ("[::1]:40000", "10.0.0.7:80", "http/1.1", ("::1 40000", "fd66:6572:7279::1 80")),
        ("127.0.0.1:40000", "web-7f:8000", "http/1.1", ("127.0.0.1 40000", "127.102.0.1 8000")),
        ("/run/x.sock", "/run/y.sock", "http/1.1", ("127.102.0.1 20300", "127.102.0.2 80")),
        ("/run/x.sock", "localhost:6379", "redis", ("127.102.0.1 20300", "127.102.0.2 6379")),
        ("@a", "@b", "opaque", ("127.102.0.1 20300", "127.102.0.2 9")),
        ("", "", "", ("127.102.0.1 20300", "127.102.0.2 9")),
        ("1.2.3.4:40000", "1.2.3.4:99999", "opaque", ("1.2.3.4 40000", "127.102.0.1 9")),
    ],
)
def test_ends(client: str, server: str, protocol: str, ends: tuple[str, str]) -> None:
    assert said(Places().route(client, server, protocol))[:2] == ends


@pytest.mark.parametrize(
    ("port", "protocol", "shown"),
    [
        (5432, "postgresql", 5432),
        (15432, "postgresql", 5432),
        (6379, "redis", 6379),
        (6380, "redis", 6379),
        (3000, "http/1.1", 3000),
        (8080, "http/1.1", 8080),
        (9000, "http/1.1", 80),  # Wireshark's s101
        (30080, "http/1.1", 80),  # MRCPv2, and NodePorts
        (443, "http/1.1", 80),
        (50051, "grpc", 80),
        (8443, "tls", 8443),
        (443, "tls", 443),
        (9000, "opaque", 9000),
        (9000, "", 9000),
    ],
)
def test_a_port_is_replaced_only_where_wireshark_would_be_misled(
    port: int, protocol: str, shown: int
) -> None:
    route = Places().route("127.0.0.1:40000", f"127.0.0.1:{port}", protocol)
    assert route.server.port == shown
    remark = () if shown == port else (f"the server's port is really {port}",)
    assert route.remarks == remark


def test_a_name_is_told_once_and_keeps_its_address() -> None:
    places = Places()
    first = places.route("/run/x.sock", "/run/y.sock", "")
    second = places.route("/run/x.sock", "/run/y.sock", "")
    assert said(first)[2] == {"127.102.0.1": "/run/x.sock", "127.102.0.2": "/run/y.sock"}
    assert second.names == ()
    assert second.client.host == first.client.host
    assert second.client.port != first.client.port


def test_two_connections_that_are_open_never_look_the_same() -> None:
    places = Places()
    first = places.route("127.0.0.1:40000", "localhost:8081", "")
    second = places.route("127.0.0.1:40000", "localhost:8081", "")
    assert second.client.port != 40000
    assert second.remarks == ("the client's port is really 40000",)
    places.release(first)
    assert places.route("127.0.0.1:40000", "localhost:8081", "").client.port == 40000


def test_a_client_port_that_another_protocol_claims_is_replaced() -> None:
    route = Places().route("127.0.0.1:44818", "localhost:8081", "http/1.1")  # EtherNet/IP
    assert route.client.port == 20300
    assert route.remarks == ("the client's port is really 44818",)


def test_names_without_end_share_one_address_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferryman.inspection.exports.places._MOST_NAMES", 3)
    places = Places()
    hosts = [str(places.route("127.0.0.1:40000", f"pod-{n}:80", "").server.host) for n in range(5)]
    assert hosts == ["127.102.0.1", "127.102.0.2", "127.102.0.3", "127.102.0.3", "127.102.0.3"]
