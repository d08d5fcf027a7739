"""How a command learns of its private socket."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ferryman.cli.handing import environment, words

PRIVATE = "/tmp/ferry-1/"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/run/docker.sock", {"DOCKER_HOST": "unix://{}"}),
        ("/run/podman/podman.sock", {"CONTAINER_HOST": "unix://{}", "DOCKER_HOST": "unix://{}"}),
        ("/run/containerd/containerd.sock", {"CONTAINERD_ADDRESS": "{}"}),
        ("/run/mysqld/mysqld.sock", {"MYSQL_UNIX_PORT": "{}"}),
        ("/run/postgresql/.s.PGSQL.5433", {"PGHOST": "/tmp/ferry-1", "PGPORT": "5433"}),
        ("/run/redis/redis.sock", {}),
    ],
)
def test_a_socket_is_known_by_its_name(path: str, expected: Mapping[str, str]) -> None:
    private = PRIVATE + path.rpartition("/")[2]
    wanted = {name: value.format(private) for name, value in expected.items()}
    assert environment(path, path, private, {}) == {"FERRY_SOCKET": private, **wanted}


@pytest.mark.parametrize(
    ("value", "changed"),
    [
        ("/run/agent", "/tmp/ferry-1/agent"),
        ("agent", "/tmp/ferry-1/agent"),
        ("unix:///run/agent", "unix:///tmp/ferry-1/agent"),
        ("unix:path=/run/agent", "unix:path=/tmp/ferry-1/agent"),
        ("/run/agents", None),
        ("http://example.com/run/agent", None),
    ],
)
def test_a_variable_that_leads_to_the_socket_leads_to_the_private_one(
    value: str, changed: str | None
) -> None:
    found = environment("agent", "/run/agent", PRIVATE + "agent", {"SSH_AUTH_SOCK": value})
    assert found.get("SSH_AUTH_SOCK") == changed


def test_the_placeholder_is_the_socket_wherever_it_stands() -> None:
    assert words(["redis-cli", "-s", "{socket}", "--x={socket}", "{}"], "/p") == [
        "redis-cli",
        "-s",
        "/p",
        "--x=/p",
        "{}",
    ]
