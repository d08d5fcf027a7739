"""Credentials that expire, are refused, or must not be told, with a real `ferry forward`."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import ferry_forward, get

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def kubeconfig(demo: Demo, folder: Path, user: dict[str, Any]) -> str:
    """The demo, as another user."""
    config = yaml.safe_load(Path(demo.kubeconfig).read_text())
    config["users"][0]["user"] = user
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """A credential plugin that notes each run; ``say TOKEN SECONDS`` gives a credential."""
    program = folder / "plugin"
    program.write_text(
        f'#!/bin/sh\necho run >> "{folder}/runs"; runs=$(grep -c run "{folder}/runs")\n'
        "say() {\n"
        '  expires=$(date -u -d "+$2 seconds" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null'
        " || date -u -v+$2S +%Y-%m-%dT%H:%M:%SZ)\n"
        f'  echo "{{\\"kind\\": \\"ExecCredential\\", \\"apiVersion\\": \\"{V1}\\", \\"status\\":'
        ' {\\"token\\": \\"$1\\", \\"expirationTimestamp\\": \\"$expires\\"}}"\n'
        f"}}\n{script}\n"
    )
    program.chmod(0o700)
    return {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never"}}


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_a_credential_that_expires_is_renewed_under_a_running_forward(
    demo: Demo, tmp_path: Path
) -> None:
    user = plugin(tmp_path, f"say {demo.token} 2")
    with ferry_forward(kubeconfig(demo, tmp_path, user), "deploy/example-go", ":8000") as program:
        [port, _] = program.ports(2)
        began = runs(tmp_path)
        deadline = time.monotonic() + 30
        while runs(tmp_path) < began + 2:
            assert get(port).startswith("example-go-")
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert program.stop() == 0


def test_a_credential_that_is_refused_is_asked_for_again(demo: Demo, tmp_path: Path) -> None:
    """The plugin's cache holds a token that was revoked; when run again it has another one."""
    user = plugin(tmp_path, f'[ "$runs" = 1 ] && say revoked 3600 || say {demo.token} 3600')
    with ferry_forward(kubeconfig(demo, tmp_path, user), "deploy/example-go", ":8000") as program:
        [port, _] = program.ports(2)
        assert get(port).startswith("example-go-")
        assert program.stop() == 0
    assert runs(tmp_path) == 2


def test_a_plugin_that_fails_is_told_in_its_own_words(demo: Demo, tmp_path: Path) -> None:
    user = plugin(tmp_path, "echo usage >&2; echo session expired, run sso-login >&2; exit 1")
    with ferry_forward(kubeconfig(demo, tmp_path, user), "deploy/example-go", ":8000") as program:
        assert program.process.wait(30) == 1
    [said] = program.err
    assert said.endswith("/plugin failed with exit code 1: session expired, run sso-login")


def test_a_plugin_that_fails_later_shows_in_status_with_its_reason(
    demo: Demo, tmp_path: Path
) -> None:
    """The cluster no longer takes the first credential, and the plugin has no other."""
    user = plugin(
        tmp_path,
        f'[ "$runs" = 1 ] && {{ say {demo.token} 3600; exit; }}\n'
        f'[ -e "{tmp_path}/mended" ] && {{ say {demo.token} 3600; exit; }}\n'
        "echo session expired >&2; exit 1",
    )
    target = ("deploy/example-go", ":8000", "--output", "json")
    with ferry_forward(kubeconfig(demo, tmp_path, user), *target) as program:
        program.wait_for(lambda: '"ready": true' in "".join(program.out))
        port = json.loads(program.out[0])["ports"][0]["port"]
        demo.expire(2)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            reason = '"reason": "CredentialFailed", "message": '
            said = program.wait_for(lambda: [line for line in program.out if reason in line])
            assert "exit code 1: session expired" in said[0]
            (tmp_path / "mended").touch()
            client.settimeout(30)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert program.stop() == 0


@pytest.mark.parametrize("flags", [(), ("--output", "json"), ("--trace",)])
def test_no_credential_is_told(demo: Demo, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """peers.md: whatever goes into a bug report can be shown to anybody."""
    good = kubeconfig(demo, tmp_path, {"token": demo.token})
    with ferry_forward(good, "deploy/example-go", ":8000", *flags) as program:
        program.wait_for(lambda: len(program.out) >= 1)
        port = int(re.findall(r"\b\d{5}\b", program.out[0])[0])
        assert get(port).startswith("example-go-")
        assert program.stop() == 0
    said = "".join([*program.out, *program.err])
    assert said
    assert demo.token not in said
    bad = kubeconfig(demo, tmp_path, {"username": "jane", "password": "s3cret-password"})
    with ferry_forward(bad, "deploy/example-go", ":8000", *flags) as program:
        assert program.process.wait(30) == 1
    said = "".join([*program.out, *program.err])
    assert "nauthorized" in said
    assert "s3cret" not in said
    assert "amFuZT" not in said  # the same in base64
