"""The same kubeconfigs read by Kubernetes' official Python client and by us come to the same.

Compared are host, proxy, verification, authority, client certificate and credential. Where the
official client differs from kubectl we follow kubectl, and the files made here avoid it:
current-context is the last file's there, a token beats its tokenFile, a user's relative paths are
relative to the cluster's file, a password is Latin-1 (UTF-8 in kubectl), and impersonation is not
known.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferryman.access import in_cluster, kubeconfig, proxies
from ferryman.errors import UserError
from ferryman.protocols.proxy import Proxy

pytest.importorskip("kubernetes", reason="pip install kubernetes (part of the [dev] extra)")

from kubernetes import client, config
from kubernetes.config.incluster_config import InClusterConfigLoader

LOAD: Any = config.load_kube_config  # typed in name only
IN_CLUSTER: Any = InClusterConfigLoader

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"


@dataclass(frozen=True)
class Reading:
    """What a kubeconfig comes to."""

    host: str
    proxy: Proxy | None
    verified: bool
    server_name: str
    authority: bytes | None
    certificate: bytes | None
    key: bytes | None
    authorization: str


async def ours(access: kubeconfig.Access) -> Reading:
    headers = dict(await access.credentials.headers())
    tls = await access.current_tls()
    return Reading(
        access.server,
        access.proxy,
        tls is None or not tls.insecure,
        tls.server_name if tls else "",
        tls.ca if tls else None,
        tls.certificate if tls else None,
        tls.key if tls else None,
        headers.get("authorization", ""),
    )


def theirs(found: client.Configuration) -> Reading:
    encrypted = found.host.startswith("https")
    return Reading(
        found.host,
        proxies.parse(found.proxy, "the oracle") if found.proxy else None,
        found.verify_ssl,
        (found.tls_server_name or "") if encrypted else "",
        _content(found.ssl_ca_cert),
        _content(found.cert_file),
        _content(found.key_file),
        found.get_api_key_with_prefix("BearerToken") or "",
    )


def _content(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None


def read_theirs(path: str, context: str, folder: Path) -> client.Configuration:
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    found = client.Configuration()
    LOAD(path, context, found, persist_config=False, temp_file_path=str(temporary))
    return found


def environ_of(path: str) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": path}


@pytest.fixture(autouse=True)
def _no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def single(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://c:6443", **cluster}}],
        "users": [{"name": "u", "user": dict(user)}],
    }


def write(path: str, document: dict[str, Any]) -> None:
    Path(path).write_text(json.dumps(document))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing", {}, {}),
    ("a trailing slash and a path", {"server": "https://rancher/k8s/clusters/c-1/"}, {}),
    ("plain http", {"server": "http://127.0.0.1:8001"}, {"token": "t"}),
    ("an authority as data", {"certificate-authority-data": encoded("ca")}, {}),
    ("an authority in a file beside", {"certificate-authority": "pki/ca"}, {}),
    ("data beats a file", {"certificate-authority": "x", "certificate-authority-data": "Y2E="}, {}),
    ("not verified", {"insecure-skip-tls-verify": True}, {}),
    ("verified, said so", {"insecure-skip-tls-verify": False}, {}),
    ("another name in the certificate", {"tls-server-name": "kubernetes"}, {}),
    ("a proxy", {"proxy-url": "http://jane:s3cret@p:3128"}, {}),
    ("a SOCKS5 proxy", {"proxy-url": "socks5://p:9050"}, {}),
    ("a token", {}, {"token": "t"}),
    ("a token file beside", {}, {"tokenFile": "pki/token"}),
    ("a password", {}, {"username": "u", "password": "p:q"}),
    (
        "a client certificate",
        {},
        {"client-certificate": "pki/crt", "client-key-data": encoded("key")},
    ),
    (
        "a client certificate and a token",
        {},
        {"client-certificate": "pki/crt", "client-key": "pki/key", "token": "t"},
    ),
    (
        "a plugin's token",
        {},
        {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never"}},
    ),
    (
        "a plugin of the older version, told of the cluster, with arguments and variables",
        {"certificate-authority": "pki/ca"},
        {
            "exec": {
                "apiVersion": V1BETA1,
                "command": "./plugin",
                "args": ["one", "two"],
                "env": [{"name": "REGION", "value": "eu"}],
                "provideClusterInfo": True,
            }
        },
    ),
    (
        "a token beats a plugin",
        {},
        {"token": "t", "exec": {"apiVersion": V1, "command": "./nothing"}},
    ),
]


def lay_out(folder: Path) -> None:
    """The files that the cases name."""
    (folder / "pki").mkdir(parents=True)
    for name, text in (("ca", "ca"), ("crt", "crt"), ("key", "key"), ("token", "from-file")):
        (folder / "pki" / name).write_text(text)
    (folder / "plugin").write_text(
        "#!/bin/sh\n"
        'version=$(printf %s "$KUBERNETES_EXEC_INFO" | grep -o "client.[a-z.0-9]*/v1[a-z0-9]*")\n'
        'echo "{\\"kind\\": \\"ExecCredential\\", \\"apiVersion\\": \\"$version\\",'
        ' \\"status\\": {\\"token\\": \\"plugin-$1-$2-$REGION\\"}}"\n'
    )
    (folder / "plugin").chmod(0o700)


@pytest.mark.parametrize(("cluster", "user"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_one_file_is_read_alike(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any]
) -> None:
    folder = tmp_path / "kube"
    lay_out(folder)
    path = str(folder / "config")
    write(path, single(cluster, user))
    expected = theirs(read_theirs(path, "dev", tmp_path))
    assert await ours(kubeconfig.load(path, None, dict(os.environ))) == expected
    assert await ours(kubeconfig.load(None, "dev", environ_of(path))) == expected


async def test_a_plugins_certificate_is_used_alike(tmp_path: Path) -> None:
    status = {"clientCertificateData": "crt", "clientKeyData": "key"}
    credential = {"kind": "ExecCredential", "apiVersion": V1, "status": status}
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    program.chmod(0o700)
    path = str(tmp_path / "config")
    user = {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never"}}
    write(path, single({}, user))
    assert await ours(kubeconfig.load(path, None, dict(os.environ))) == theirs(
        read_theirs(path, "dev", tmp_path)
    )


@pytest.mark.parametrize(("life", "renewed"), [(timedelta(hours=1), False), (-timedelta(1), True)])
async def test_a_plugin_runs_again_for_both_once_its_credential_has_expired(
    tmp_path: Path, life: timedelta, renewed: bool
) -> None:
    expires = (datetime.now(UTC) + life).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = f'{{"token": "token-$runs", "expirationTimestamp": "{expires}"}}'.replace('"', '\\"')
    kind = f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": '.replace('"', '\\"')
    paths = []
    for who in ("ours", "theirs"):
        folder = tmp_path / who
        folder.mkdir()
        program = folder / "plugin"
        program.write_text(
            "#!/bin/sh\n"
            f'echo run >> "{folder}/runs"; runs=$(grep -c run "{folder}/runs")\n'
            f'echo "{kind}{status}}}"\n'
        )
        program.chmod(0o700)
        user = {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never"}}
        paths.append(str(folder / "config"))
        write(paths[-1], single({}, user))
    access = kubeconfig.load(paths[0], None, dict(os.environ))
    found = read_theirs(paths[1], "dev", tmp_path)
    first = dict(await access.credentials.headers())["authorization"]
    assert first == "Bearer token-1"
    second = dict(await access.credentials.headers())["authorization"]
    assert second == found.get_api_key_with_prefix("BearerToken")
    assert (second != first) is renewed


# -- several files --

NAMES = st.sampled_from(["a", "b", "c"])
CLUSTER = st.fixed_dictionaries(
    {"server": st.sampled_from(["https://one:6443", "https://[fd00::1]", "http://plain/", "https://x/y/"])},
    optional={
        "tls-server-name": st.sampled_from(["kubernetes", ""]),
        "proxy-url": st.sampled_from(["http://p:1", "socks5://p", "http://n:p@[::1]:2"]),
        "certificate-authority": st.sampled_from(["pki/ca", "./pki/../pki/ca"]),
        "certificate-authority-data": st.just(encoded("data")),
    },
) | st.fixed_dictionaries(
    {"server": st.just("https://insecure"), "insecure-skip-tls-verify": st.booleans()}
)  # fmt: skip
USER: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"token": st.sampled_from(["t0", "0123", "1e3", "true", "null"])}),
    st.fixed_dictionaries({"username": st.just("jane"), "password": st.sampled_from(["p", "p:q"])}),
    st.fixed_dictionaries(
        {
            "client-certificate-data": st.just(encoded("crt")),
            "client-key-data": st.just(encoded("key")),
        },
        optional={"token": st.just("t1")},
    ),
    st.fixed_dictionaries({"token": st.just("t2"), "as": st.just("jane")}),
)


def named(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.dictionaries(NAMES, values, max_size=3).map(
        lambda found: [{"name": name, kind: value} for name, value in found.items()]
    )


FILE = st.fixed_dictionaries(
    {
        "clusters": named("cluster", CLUSTER),
        "users": named("user", USER),
        "contexts": named(
            "context", st.fixed_dictionaries({"cluster": NAMES, "user": NAMES})
        ),
    }
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(FILE, min_size=1, max_size=3), st.booleans())
async def test_several_files_are_merged_alike(
    tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]], one_is_missing: bool
) -> None:
    folder = tmp_path_factory.mktemp("kube")
    paths = []
    for number, document in enumerate(documents):
        lay_out(folder / str(number))
        for kind in ("ca", "token"):
            (folder / str(number) / "pki" / kind).write_text(f"{kind} of {number}")
        paths.append(str(folder / str(number) / "config"))
        write(paths[-1], document)
    if one_is_missing:
        paths.insert(1, str(folder / "nothing-here"))
    listed = os.pathsep.join(paths)
    for context in ("a", "b", "c"):
        try:
            access = kubeconfig.load(None, context, environ_of(listed))
        except UserError:
            # What is not there is an error for them too, but a missing user, which is none there.
            if _has_user(documents, context):
                with pytest.raises(config.ConfigException):
                    read_theirs(listed, context, folder)
            continue
        assert await ours(access) == theirs(read_theirs(listed, context, folder))


def _has_user(documents: list[dict[str, Any]], context: str) -> bool:
    contexts = [c for d in documents for c in d["contexts"] if c["name"] == context]
    users = {u["name"] for d in documents for u in d["users"]}
    return not contexts or contexts[0]["context"]["user"] in users


# -- in a cluster --


@pytest.mark.parametrize("host", ["10.96.0.1", "fd00::1", "kubernetes.default"])
async def test_a_pods_own_access_is_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (tmp_path / "token").write_text("mounted")
    (tmp_path / "ca.crt").write_text("ca")
    (tmp_path / "namespace").write_text("shop\n")
    monkeypatch.setattr(in_cluster, "MOUNT", str(tmp_path))
    environ = {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": str(tmp_path),
    }
    found = client.Configuration()
    IN_CLUSTER(str(tmp_path / "token"), str(tmp_path / "ca.crt"), environ=environ).load_and_set(
        found
    )
    expected = theirs(found)
    access = kubeconfig.load(None, None, environ)
    assert expected.authorization == "bearer mounted"  # schemes are case-insensitive
    reading = await ours(access)
    assert reading.authorization == "Bearer mounted"
    assert (reading.host, reading.authority, reading.verified) == (
        expected.host,
        expected.authority,
        expected.verified,
    )
    assert (access.context_name, access.namespace) == ("in-cluster", "shop")
