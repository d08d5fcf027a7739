import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.api.kinds.relay import Listen, Port, RelaySpec, Target
from ferryman.controllers.relay.claims import Claimant, binds, claims, keeping
from ferryman.dataplane.contract import Bind, Bound, NotBound

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
V4, V6 = Bind(TcpAddress("127.0.0.1", 8080)), Bind(TcpAddress("::1", 8080))


def relay(name: str, *listens: Listen, created: str = OLD, suspend: bool = False) -> Claimant:
    ports = tuple(Port(name=f"p{i}", listen=listen) for i, listen in enumerate(listens))
    spec = RelaySpec(ports=ports, target=Target(address="localhost:1"), suspend=suspend)
    return Claimant(name, created, spec)


def at(port: int, *hosts: str) -> Listen:
    return Listen(hosts=hosts, port=port)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (at(8080, "127.0.0.1", "::1"), (V4, V6)),
        (at(8080, "localhost"), (V4, V6)),
        (at(8080), (V4, V6)),
        (at(8080, "::1", "localhost"), (V6, V4)),
        (Listen(address="8080"), (V4, V6)),
        (Listen(address="[::1]:8080"), (V6,)),
        (Listen(address="/run/x.sock"), (Bind(UnixAddress("/run/x.sock")),)),
        (
            at(0, "127.0.0.1", "::1"),
            (Bind(TcpAddress("127.0.0.1", 0), "r/p"), Bind(TcpAddress("::1", 0), "r/p")),
        ),
        (
            Listen(address=":0"),
            (Bind(TcpAddress("127.0.0.1", 0), "r/p"), Bind(TcpAddress("::1", 0), "r/p")),
        ),
    ],
)
def test_a_port_asks_for_addresses(listen: Listen, expected: tuple[Bind, ...]) -> None:
    assert binds("r", Port(name="p", listen=listen)) == expected


# relays, who wins each address, and who lost what to whom
CASES = {
    "alone": (
        [relay("a", at(8080, "127.0.0.1", "::1"))],
        {V4: "a/p0", V6: "a/p0"},
        {},
    ),
    "the older wins, whatever its name": (
        [relay("a", at(8080, "127.0.0.1"), created=NEW), relay("b", at(8080, "127.0.0.1"))],
        {V4: "b/p0"},
        {"a/p0": {V4: "b"}},
    ),
    "of equal age, the first by name": (
        [relay("b", at(8080, "127.0.0.1")), relay("a", at(8080, "127.0.0.1"))],
        {V4: "a/p0"},
        {"b/p0": {V4: "a"}},
    ),
    "an address is lost, its neighbour is not": (
        [relay("a", at(8080, "127.0.0.1")), relay("b", at(8080, "127.0.0.1", "::1"))],
        {V4: "a/p0", V6: "b/p0"},
        {"b/p0": {V4: "a"}},
    ),
    "a suspended relay releases": (
        [relay("a", at(8080, "::1"), suspend=True), relay("b", at(8080, "::1"))],
        {V6: "b/p0"},
        {},
    ),
    "a wildcard has every address of its family": (
        [relay("a", at(8080, "0.0.0.0")), relay("b", at(8080, "127.0.0.1", "::1"))],
        {Bind(TcpAddress("0.0.0.0", 8080)): "a/p0", V6: "b/p0"},
        {"b/p0": {V4: "a"}},
    ),
    "a wildcard comes too late": (
        [relay("a", at(8080, "::1")), relay("b", at(8080, "::"))],
        {V6: "a/p0"},
        {"b/p0": {Bind(TcpAddress("::", 8080)): "a"}},
    ),
    "other ports do not matter": (
        [relay("a", at(8080, "0.0.0.0")), relay("b", at(8081, "127.0.0.1"))],
        {
            Bind(TcpAddress("0.0.0.0", 8080)): "a/p0",
            Bind(TcpAddress("127.0.0.1", 8081)): "b/p0",
        },
        {},
    ),
    "random ports never meet": (
        [relay("a", at(0, "::1"), at(0, "::1")), relay("b", at(0, "::1"))],
        {Bind(TcpAddress("::1", 0), f"{name}"): name for name in ("a/p0", "a/p1", "b/p0")},
        {},
    ),
    "one relay may lose to itself": (
        [relay("a", at(8080, "::1"), Listen(address="[::1]:8080"))],
        {V6: "a/p0"},
        {"a/p1": {V6: "a"}},
    ),
    "a UNIX socket has one owner too": (
        [relay("a", Listen(address="/x.sock")), relay("b", Listen(address="unix:/x.sock"))],
        {Bind(UnixAddress("/x.sock")): "a/p0"},
        {"b/p0": {Bind(UnixAddress("/x.sock")): "a"}},
    ),
}


@pytest.mark.parametrize(("relays", "won", "lost"), CASES.values(), ids=CASES)
def test_each_address_has_one_winner(
    relays: list[Claimant], won: dict[Bind, str], lost: dict[str, dict[Bind, str]]
) -> None:
    outcome = claims(relays)
    assert (outcome.won, outcome.lost) == (won, lost)


LISTENS = st.builds(
    at, st.sampled_from([0, 80, 81]), st.sampled_from(["127.0.0.1", "0.0.0.0", "::1", "::"])
)
RELAYS = st.lists(
    st.builds(
        lambda name, listens, created, suspend: relay(
            name, *listens, created=created, suspend=suspend
        ),
        st.sampled_from("abcdef"),
        st.lists(LISTENS, min_size=1, max_size=3),
        st.sampled_from([OLD, NEW]),
        st.booleans(),
    ),
    unique_by=lambda relay: relay.name,
)


@given(RELAYS, st.randoms())
def test_the_outcome_does_not_depend_on_the_order_and_leaves_nothing_out(
    relays: list[Claimant], random: object
) -> None:
    outcome = claims(relays)
    assert claims(reversed(relays)) == outcome
    for one in relays:
        for port in () if one.spec.suspend else one.spec.ports:
            name = f"{one.name}/{port.name}"
            for bind in binds(one.name, port):
                assert (outcome.won.get(bind) == name) != (bind in outcome.lost.get(name, {}))


@given(RELAYS)
def test_when_the_losers_alone_are_left_they_win(relays: list[Claimant]) -> None:
    winners = {name.rpartition("/")[0] for name in claims(relays).won.values()}
    losers = [one for one in relays if one.name not in winners and not one.spec.suspend]
    assert bool(claims(losers).won) == bool(losers)


NEXT = Bind(TcpAddress("127.0.0.1", 9090))


@pytest.mark.parametrize(
    ("wanted", "current", "applied", "expected"),
    [
        ({V4: "a/p"}, {V4: "a/p"}, {V4: Bound(V4.address)}, {V4: "a/p"}),
        ({NEXT: "a/p"}, {V4: "a/p"}, {V4: Bound(V4.address)}, {NEXT: "a/p", V4: "a/p"}),
        ({NEXT: "a/p"}, {V4: "a/p"}, {V4: NotBound("in use")}, {NEXT: "a/p"}),
        ({NEXT: "a/p", V4: "b/p"}, {V4: "a/p"}, {V4: Bound(V4.address)}, {NEXT: "a/p", V4: "b/p"}),
        ({}, {V4: "a/p"}, {V4: Bound(V4.address)}, {}),
        (
            {NEXT: "a/p"},
            {V4: "a/p", NEXT: "a/p"},
            {V4: Bound(V4.address), NEXT: Bound(NEXT.address)},
            {NEXT: "a/p"},
        ),
    ],
    ids=[
        "nothing moves",
        "what moves keeps the old until the new is there",
        "what never was cannot be kept",
        "what somebody else gets is not kept",
        "what goes goes",
        "the old goes once the new is there",
    ],
)
def test_the_new_address_is_bound_before_the_old_one_closes(
    wanted: dict[Bind, str],
    current: dict[Bind, str],
    applied: dict[Bind, Bound | NotBound],
    expected: dict[Bind, str],
) -> None:
    assert keeping(wanted, current, applied) == expected
