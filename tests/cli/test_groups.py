import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.cli.groups import Group, groups, mark_selectors, split_command
from ferryman.cli.output import UsageError

TARGETS = st.from_regex(r"[a-z]{1,5}/[a-z]{1,5}", fullmatch=True)
PORTS = st.lists(
    st.from_regex(r"([0-9]{1,4}:)?([a-z]{1,5}|[0-9]{1,4})", fullmatch=True), min_size=1
)


def parsed(*words: str) -> list[Group]:
    return groups(mark_selectors(words))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["deploy/web", "8080:80"], [Group("deploy/web", ("8080:80",))]),
        (["web-1", "8080", "http"], [Group("web-1", ("8080", "http"))]),
        (
            ["deploy/web", "8080", "sts/db", ":5432", "9121"],
            [Group("deploy/web", ("8080",)), Group("sts/db", (":5432", "9121"))],
        ),
        (["-l", "app=web", "80"], [Group("app=web", ("80",), selector=True)]),
        (["-lapp=web", "80"], [Group("app=web", ("80",), selector=True)]),
        (["--selector=app=web", "80"], [Group("app=web", ("80",), selector=True)]),
        (
            ["deploy/web", "80", "-l", "a.b/c in (d,e)", "81", "svc/x", "82"],
            [
                Group("deploy/web", ("80",)),
                Group("a.b/c in (d,e)", ("81",), selector=True),
                Group("svc/x", ("82",)),
            ],
        ),
        (["deploy/web", "80", "svc/x", "1", "deploy/web", "81"],
         [Group("deploy/web", ("80", "81")), Group("svc/x", ("1",))]),
    ],
)  # fmt: skip
def test_ports_belong_to_the_target_before_them(words: list[str], found: list[Group]) -> None:
    assert parsed(*words) == found


@given(st.dictionaries(TARGETS, PORTS, min_size=1, max_size=4))
def test_what_is_written_out_is_read_back(wanted: dict[str, list[str]]) -> None:
    words = [word for target, ports in wanted.items() for word in (target, *ports)]
    assert parsed(*words) == [Group(target, tuple(ports)) for target, ports in wanted.items()]


@pytest.mark.parametrize(
    "words", [[], ["deploy/web"], ["deploy/web", "svc/x", "80"], ["deploy/web", "80", "-l", "a=b"]]
)
def test_a_target_without_ports_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="TYPE/NAME and list of ports are required"):
        parsed(*words)


def test_a_selector_that_is_missing_is_told() -> None:
    with pytest.raises(UsageError, match="-l needs a label selector"):
        mark_selectors(["deploy/web", "80", "-l"])


def test_what_comes_after_two_dashes_is_a_command() -> None:
    assert split_command(["a/b", "80", "--", "psql", "--", "-l"]) == (
        ["a/b", "80"],
        ["psql", "--", "-l"],
    )
    assert split_command(["a/b", "80"]) == (["a/b", "80"], None)
    assert split_command(["a/b", "80", "--"]) == (["a/b", "80"], [])
