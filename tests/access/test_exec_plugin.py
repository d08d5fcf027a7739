"""Credential plugins as real programs; each writes a line to ``runs`` when it is run."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ferryman.access.credentials import CredentialFailed
from ferryman.access.exec_plugin import API_VERSIONS
from ferryman.access.kubeconfig import Access, load
from ferryman.runtime.clock import ManualClock

V1, V1BETA1 = API_VERSIONS

Plugin = Callable[..., Access]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Make an access whose credentials come from a shell script."""

    def make(script: str, cluster: dict[str, Any] | None = None, **settings: Any) -> Access:
        program = tmp_path / "plugin"
        program.write_text(f'#!/bin/sh\necho run >> "{tmp_path}/runs"\n{script}\n')
        program.chmod(0o700)
        execute = {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never"} | settings
        config = {
            "current-context": "dev",
            "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://c"} | (cluster or {})}],
            "users": [{"name": "u", "user": {"exec": execute}}],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        return load(str(tmp_path / "config"), None, dict(os.environ))

    return make


def prints(status: dict[str, Any], version: str = V1) -> str:
    credential = {"kind": "ExecCredential", "apiVersion": version, "status": status}
    return f"cat <<'END'\n{json.dumps(credential)}\nEND"


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text().splitlines())


async def test_a_plugin_beside_the_kubeconfig_gives_a_token_once(
    plugin: Plugin, tmp_path: Path
) -> None:
    access = plugin(prints({"token": "t"}))
    for _ in range(2):
        assert await access.credentials.headers() == (("authorization", "Bearer t"),)
    assert runs(tmp_path) == 1
    assert access.credentials.expires is None
    await access.credentials.headers(refresh=True)
    assert runs(tmp_path) == 2


async def test_a_credential_that_is_refused_again_at_once_is_not_renewed_again_at_once(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run may open a browser window."""
    clock = ManualClock()
    monkeypatch.setattr("ferryman.access.exec_plugin.SystemClock", lambda: clock)
    access = plugin(prints({"token": "t"}))
    await access.credentials.headers()
    for _ in range(5):
        await access.credentials.headers(refresh=True)
        await clock.advance(1)
    assert runs(tmp_path) == 2
    await clock.advance(5)
    await access.credentials.headers(refresh=True)
    assert runs(tmp_path) == 3


async def test_a_plugin_that_fails_is_left_alone_for_a_while(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr("ferryman.access.exec_plugin.SystemClock", lambda: clock)
    access = plugin(f'test -e "{tmp_path}/mended" || exit 1\n' + prints({"token": "t"}))
    for _ in range(5):
        with pytest.raises(CredentialFailed, match="exit code 1"):
            await access.credentials.headers()
        await clock.advance(1)
    assert runs(tmp_path) == 1
    (tmp_path / "mended").touch()
    await clock.advance(5)
    assert await access.credentials.headers() == (("authorization", "Bearer t"),)


LOGS_IN = """
import asyncio, os, sys
from ferryman.access.kubeconfig import load
print(asyncio.run(load(sys.argv[1], None, dict(os.environ)).credentials.headers()))
"""


@pytest.mark.parametrize("mode", ["IfAvailable", "Always"])
def test_a_plugin_that_wants_a_terminal_gets_it_to_log_somebody_in(
    plugin: Plugin, tmp_path: Path, mode: str
) -> None:
    plugin(
        f'echo "$KUBERNETES_EXEC_INFO" > "{tmp_path}/info"\n'
        "echo 'your password?' >&2; read password\n"
        + prints({"token": "$password"}).replace("'END'", "END"),
        interactiveMode=mode,
    )
    terminal, other_end = pty.openpty()
    try:
        program = subprocess.Popen(
            [sys.executable, "-c", LOGS_IN, str(tmp_path / "config")],
            stdin=other_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert program.stderr is not None
        assert program.stderr.readline() == "your password?\n"
        os.write(terminal, b"fr0mtty\n")
        out, _ = program.communicate(timeout=30)
    finally:
        os.close(terminal)
        os.close(other_end)
    assert "Bearer fr0mtty" in out
    assert json.loads((tmp_path / "info").read_text())["spec"]["interactive"] is True


async def test_a_terminal_is_not_missed_where_none_is_needed(
    plugin: Plugin, tmp_path: Path
) -> None:
    access = plugin(
        f'echo "$KUBERNETES_EXEC_INFO" > "{tmp_path}/info"\n' + prints({"token": "t"}),
        interactiveMode="IfAvailable",
    )
    await access.credentials.headers()
    assert json.loads((tmp_path / "info").read_text())["spec"]["interactive"] is False
    plugin("", interactiveMode="Always")  # only its run needs the terminal


async def test_many_that_ask_at_once_share_one_run(plugin: Plugin, tmp_path: Path) -> None:
    access = plugin(prints({"token": "t"}))
    await asyncio.gather(*(access.credentials.headers() for _ in range(5)))
    await asyncio.gather(*(access.credentials.headers(refresh=True) for _ in range(5)))
    assert runs(tmp_path) == 2


async def test_a_client_certificate_joins_the_tls_settings(plugin: Plugin) -> None:
    access = plugin(
        prints({"clientCertificateData": "crt", "clientKeyData": "key"}, V1BETA1),
        apiVersion=V1BETA1,
    )
    tls = await access.current_tls()
    assert tls is not None
    assert (tls.certificate, tls.key) == (b"crt", b"key")
    assert await access.credentials.headers() == ()


async def test_a_token_is_renewed_shortly_before_it_expires(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr("ferryman.access.exec_plugin.SystemClock", lambda: clock)
    expires = clock.now() + timedelta(hours=1)
    text = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    access = plugin(prints({"token": "t", "expirationTimestamp": text}))
    await access.credentials.headers()
    assert access.credentials.expires == expires.timestamp()
    await clock.advance(3600 - 61)
    await access.credentials.headers()
    assert runs(tmp_path) == 1
    await clock.advance(2)
    await access.credentials.headers()
    assert runs(tmp_path) == 2


async def test_the_plugin_learns_what_it_asked_for(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("the ca")
    access = plugin(
        f'echo "$KUBERNETES_EXEC_INFO" > "{tmp_path}/info"; echo "$1 $REGION" > "{tmp_path}/args"\n'
        + prints({"token": "t"}),
        cluster={
            "certificate-authority": "ca",
            "extensions": [
                {
                    "name": "client.authentication.k8s.io/exec",
                    "extension": {
                        "audience": "x",
                        "port": 8080,
                        "ratio": 0.5,
                        "zip": "0123",
                        "on": True,
                        "none": None,
                        "list": [1],
                    },
                }
            ],
        },
        provideClusterInfo=True,
        args=["get-token"],
        env=[{"name": "REGION", "value": "eu"}],
    )
    await access.credentials.headers()
    assert json.loads((tmp_path / "info").read_text()) == {
        "kind": "ExecCredential",
        "apiVersion": V1,
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://c",
                "certificate-authority-data": "dGhlIGNh",
                "config": {
                    "audience": "x",
                    "port": 8080,
                    "ratio": 0.5,
                    "zip": "0123",
                    "on": True,
                    "none": None,
                    "list": [1],
                },
            },
        },
    }
    assert (tmp_path / "args").read_text() == "get-token eu\n"


@pytest.mark.parametrize(
    ("script", "settings", "message"),
    [
        ("echo please log in >&2; exit 3", {}, "exit code 3: please log in"),
        (
            "printf 'Traceback\\n  at x\\n\\033[31mexpired: run sso-login\\n\\n' >&2; exit 1",
            {},
            "exit code 1: [31mexpired: run sso-login",
        ),
        ("kill -9 $$", {}, "was ended by signal 9"),
        ("echo hello", {}, "did not print an ExecCredential"),
        ("echo '[]'", {}, "did not print an ExecCredential"),
        ("head -c 2000000 /dev/zero", {}, "more than any credential"),
        (prints({"token": "t"}, V1BETA1), {}, "expected ExecCredential of " + V1),
        (prints({}), {}, "neither a token nor a certificate"),
        (prints({"clientCertificateData": "x"}), {}, "neither a token nor"),
        (prints({"token": "t", "expirationTimestamp": "soon"}), {}, "not a time"),
        ("", {"interactiveMode": "Always"}, "needs a terminal"),
        (
            "",
            {"command": "no-such-plugin", "installHint": "get it at x"},
            "credential plugin no-such-plugin is not installed; get it at x",
        ),
    ],
)
async def test_a_plugin_that_fails_is_named_with_what_it_said(
    plugin: Plugin, script: str, settings: Any, message: str
) -> None:
    with pytest.raises(CredentialFailed) as error:
        await plugin(script, **settings).credentials.headers()
    assert message in str(error.value)


async def test_a_plugin_that_hangs_is_killed_in_the_end(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.access.exec_plugin._ALONE_SECONDS", 0.2)
    access = plugin(f'echo $$ > "{tmp_path}/pid"; exec sleep 600')
    with pytest.raises(CredentialFailed, match="gave no credentials in time"):
        await access.credentials.headers()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_cancellation_kills_the_plugin(plugin: Plugin, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")
    access = plugin(f'echo $$ > "{tmp_path}/pid"; echo > "{tmp_path}/started"; exec sleep 600')
    async with asyncio.TaskGroup() as group:
        task = group.create_task(access.credentials.headers())
        await asyncio.to_thread((tmp_path / "started").read_text)
        task.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
