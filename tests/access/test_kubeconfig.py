import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.access import in_cluster
from ferryman.access.kubeconfig import Access, files, load
from ferryman.errors import UserError
from ferryman.protocols.proxy import Proxy
from ferryman.runtime.tls import TLSSettings


def config(**changes: Any) -> dict[str, Any]:
    """A config of one context ``dev``; a cluster, user or context of it can be changed."""
    return {
        "current-context": changes.get("current", "dev"),
        "contexts": [
            {"name": "dev", "context": {"cluster": "c", "user": "u"} | changes.get("context", {})}
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://c:6443"} | changes.get("cluster", {})}
        ],
        "users": [{"name": "u", "user": changes.get("user", {})}],
    }


def write(path: Path, content: dict[str, Any] | str) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def access(tmp_path: Path, **changes: Any) -> Access:
    return load(write(tmp_path / "config", config(**changes)), None, {})


async def test_a_usual_config_gives_server_namespace_and_token(tmp_path: Path) -> None:
    found = access(tmp_path, context={"namespace": "shop"}, user={"token": "t0ken"})
    assert (found.context_name, found.cluster_name, found.namespace) == ("dev", "c", "shop")
    assert found.server == "https://c:6443"
    assert found.tls == TLSSettings()
    assert await found.credentials.headers() == (("authorization", "Bearer t0ken"),)


def test_the_namespace_is_default_if_none_is_said(tmp_path: Path) -> None:
    assert access(tmp_path).namespace == "default"


async def test_yaml_is_read_without_guessing_types(tmp_path: Path) -> None:
    text = """
apiVersion: v1
kind: Config
current-context: 007
contexts: [{name: 007, context: {cluster: on, user: 2026-01-01, namespace: 1e3}}]
clusters: [{name: on, cluster: {server: "https://h", insecure-skip-tls-verify: true}}]
users: [{name: 2026-01-01, user: {token: 0123, username: null}}]
"""
    found = load(write(tmp_path / "config", text), None, {})
    assert (found.context_name, found.cluster_name, found.namespace) == ("007", "on", "1e3")
    assert found.tls is not None
    assert found.tls.insecure
    assert await found.credentials.headers() == (("authorization", "Bearer 0123"),)


def test_files_are_relative_to_the_kubeconfigs_folder_and_data_beats_files(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    for name in ("ca", "crt", "key"):
        (tmp_path / "pki" / name).write_text(f"the {name}")
    found = access(
        tmp_path,
        cluster={"certificate-authority": "pki/ca", "tls-server-name": "kubernetes"},
        user={
            "client-certificate": "pki/crt",
            "client-key": str(tmp_path / "pki" / "key"),
            "client-certificate-data": base64.b64encode(b"embedded").decode(),
        },
    )
    assert found.tls == TLSSettings(b"the ca", b"embedded", b"the key", "kubernetes")
    assert "the key" not in repr(found)


def test_plain_http_needs_no_tls(tmp_path: Path) -> None:
    found = access(tmp_path, cluster={"server": "http://127.0.0.1:8001/"})
    assert (found.server, found.tls) == ("http://127.0.0.1:8001", None)
    assert access(tmp_path, cluster={"server": "127.0.0.1:8001"}).server == "http://127.0.0.1:8001"


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ({"username": "u", "password": "p"}, [("authorization", "Basic dTpw")]),
        (
            {"token": "t", "as": "jane", "as-groups": ["a", "b"], "as-user-extra": {"X/y": ["1"]}},
            [
                ("authorization", "Bearer t"),
                ("impersonate-user", "jane"),
                ("impersonate-group", "a"),
                ("impersonate-group", "b"),
                ("impersonate-extra-x%2Fy", "1"),
            ],
        ),
        ({}, []),
    ],
)
async def test_each_kind_of_user_has_its_headers(
    tmp_path: Path, user: dict[str, Any], headers: list[tuple[str, str]]
) -> None:
    assert list(await access(tmp_path, user=user).credentials.headers()) == headers


async def test_a_token_file_is_relative_and_beats_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    found = access(tmp_path, user={"token": "t", "tokenFile": "token"})
    assert await found.credentials.headers() == (("authorization", "Bearer from-file"),)


def test_a_proxy_comes_from_the_kubeconfig_before_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config(cluster={"proxy-url": "socks5://own"}))
    environ = {"HTTPS_PROXY": "http://all"}
    assert load(path, None, environ).proxy == Proxy("socks5", "own", 1080)
    path = write(tmp_path / "config", config())
    assert load(path, None, environ).proxy == Proxy("http", "all", 80)
    assert load(path, None, {}).proxy is None


def in_a_pod(folder: Path) -> dict[str, str]:
    """The environment of a pod whose service account is mounted at the folder."""
    for name, text in (("token", "mounted"), ("ca.crt", "the ca")):
        (folder / name).write_text(text)
    return {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": str(folder),
    }


async def test_a_pods_token_is_read_again_as_it_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_cluster, "MOUNT", str(tmp_path))
    found = load(None, None, in_a_pod(tmp_path))
    assert found.tls == TLSSettings(b"the ca")
    assert found.namespace == "default"  # none is mounted
    assert await found.credentials.headers() == (("authorization", "Bearer mounted"),)
    (tmp_path / "token").write_text("rotated")
    assert await found.credentials.headers(refresh=True) == (("authorization", "Bearer rotated"),)


def test_a_kubeconfig_beats_the_pod_that_we_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_cluster, "MOUNT", str(tmp_path))
    environ = in_a_pod(tmp_path)
    path = write(tmp_path / "config", config())
    assert load(None, None, {**environ, "KUBECONFIG": path}).context_name == "dev"
    assert load(path, None, environ).context_name == "dev"
    with pytest.raises(UserError, match="there is no kubeconfig"):
        load(None, "dev", environ)  # a context was asked for, so a kubeconfig is meant
    with pytest.raises(UserError, match="there is no kubeconfig"):
        load(None, None, {"HOME": str(tmp_path)})
    (tmp_path / "token").unlink()
    with pytest.raises(UserError, match="there is no kubeconfig"):
        load(None, None, environ)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    for user in (
        {"token": "s3cret", "as": "jane"},
        {"username": "u", "password": "s3cret"},
        {"token": "s3cret", "tokenFile": "x"},
        {"client-certificate-data": "YQ==", "client-key-data": "czNjcmV0"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x",
                  "env": [{"name": "A", "value": "s3cret"}]}},
    ):  # fmt: skip
        found = access(tmp_path, user=user, cluster={"proxy-url": "http://u:s3cret@p"})
        assert "s3cret" not in f"{found!r} {found}"
        assert "s3cret" in f"{found.proxy and found.proxy.password}"


@pytest.mark.parametrize(
    "changes",
    [
        {"user": {"token": "s3cret a"}},
        {"user": {"token": "s3cret", "username": "u"}},
        {"user": {"token": ["s3cret"]}},
        {"user": {"password": {"a": "s3cret"}, "username": "u"}},
        {"user": {"client-key-data": "s3cret!", "client-certificate-data": "YQ=="}},
        {"cluster": {"proxy-url": "ftp://u:s3cret@p"}},
        {"cluster": {"proxy-url": "http://u:s3cret@p:port"}},
        {"cluster": {"server": "ftp://u:s3cret@h"}},
    ],
)
def test_secrets_do_not_show_in_errors(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        access(tmp_path, **changes)
    chain: BaseException | None = error.value
    while chain is not None:
        assert "s3cret" not in f"{chain} {chain!r}"
        chain = chain.__cause__


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current": ""}, "no current context in"),
        ({"current": "dve"}, 'context "dve" does not exist in'),
        ({"context": {"cluster": "d"}}, 'cluster "d", which context "dev" names, is not in'),
        ({"context": {"user": "v"}}, 'user "v", which context "dev" names, is not in'),
        ({"cluster": {"server": ""}}, "the cluster has no server"),
        ({"cluster": {"server": "ftp://x"}}, "server ftp:// is neither http nor https"),
        ({"cluster": {"server": ["x"]}}, "server has to be a text"),
        (
            {"cluster": {"insecure-skip-tls-verify": True, "certificate-authority-data": "YQ=="}},
            "root certificates file with the insecure flag is not allowed",
        ),
        ({"cluster": {"insecure-skip-tls-verify": "x"}}, "has to be true or false"),
        ({"cluster": {"proxy-url": "ftp://p"}}, "proxies of type ftp are not supported"),
        ({"cluster": {"proxy-url": "http://"}}, "the proxy's URL has no host"),
        ({"cluster": {"proxy-url": "http://p:x"}}, "proxy-url: not a proxy's URL"),
        ({"cluster": {"certificate-authority": "nope"}}, "cannot read certificate-authority in"),
        ({"cluster": {"certificate-authority-data": "%"}}, "certificate-authority-data is not"),
        ({"user": {"client-certificate-data": "YQ=="}}, "the user's client-key is missing"),
        ({"user": {"token": "a b"}}, "the token has characters"),
        ({"user": {"token": "a\nx: y"}}, "the token has characters"),
        ({"user": {"token": "a", "username": "b"}}, "either a token or a user name"),
        ({"user": {"as-groups": ["a"]}}, "need a user to act as"),
        ({"user": {"as": "a\r\nx: y"}}, "no header can carry the value of impersonate-user"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "the auth-provider gcp is not supported"),
        ({"user": {"exec": "x"}}, "exec has to be a mapping"),
        ({"user": {"exec": {}}}, "exec has no command"),
        ({"user": {"exec": {"command": "x"}}}, "exec apiVersion is missing"),
        ({"user": {"exec": {"command": "x", "apiVersion": "v9"}}}, "exec apiVersion v9"),
        (
            {"user": {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1",
                               "interactiveMode": "Maybe"}}},
            "exec interactiveMode is Maybe",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        access(tmp_path, **changes)
    assert message in str(error.value)


def test_a_mistyped_context_gets_a_near_name(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config())
    with pytest.raises(UserError) as error:
        load(path, "dve", {})
    assert error.value.message == f'context "dve" does not exist in {path}'
    assert error.value.hint == "did you mean dev?"
    with pytest.raises(UserError, match="there are: dev"):
        load(path, "production", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("- a", "it is no mapping"),
        ("contexts: {a: b}", "contexts has to be a list of mappings"),
        ("users: [{name: a, user: b}]", "user has to be a mapping"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("", "no current context"),
        ("clusters: null\ncontexts: null\ncurrent-context: ''", "there are none"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write(tmp_path / "config", text), None, {})


def test_the_option_beats_the_list_beats_the_home_folder() -> None:
    environ = {"KUBECONFIG": "/a::/b:/a", "HOME": "/home/jane"}
    assert files("/x", environ) == ("/x",)
    assert files(None, environ) == ("/a", "/b")
    assert files(None, {"KUBECONFIG": "", "HOME": "/home/jane"}) == ("/home/jane/.kube/config",)


def test_without_any_file_the_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no kubeconfig at .*/.kube/config"):
        load(None, None, {"HOME": str(tmp_path)})
    with pytest.raises(UserError, match=r"there is no kubeconfig at .*/nope"):
        load(str(tmp_path / "nope"), None, {})


async def test_of_several_files_the_first_to_name_something_wins(tmp_path: Path) -> None:
    first = config(current="", user={"username": "a"}, cluster={"server": "https://first"})
    second = config(user={"token": "b"}, cluster={"server": "https://second"})
    second["contexts"].append({"name": "prod", "context": {"cluster": "p", "user": "u"}})
    second["clusters"].append({"name": "p", "cluster": {"server": "https://prod"}})
    listed = ":".join(
        [
            str(tmp_path / "missing"),
            write(tmp_path / "1", first),
            write(tmp_path / "2", second),
        ]
    )
    found = load(None, None, {"KUBECONFIG": listed})
    assert found.server == "https://first"  # the current context is the second file's
    assert await found.credentials.headers() == (("authorization", "Basic YTo="),)
    assert load(None, "prod", {"KUBECONFIG": listed}).server == "https://prod"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot read the kubeconfig: {tmp_path}"):
        load(str(tmp_path), None, {})


def test_a_file_that_is_no_yaml_is_not_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "config", "users:\n- token: s3cret: s3cret\n")
    with pytest.raises(UserError, match="is not YAML at line 2: mapping values are not") as error:
        load(path, None, {})
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99999) | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "server", "proxy-url", "exec", "command", "env", "token", "as"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["cluster", "user", "context"], JSONISH)))
def test_whatever_stands_in_a_kubeconfig_it_is_an_access_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Any]
) -> None:
    content = config()
    for key, value in entries.items():
        place = content[f"{key}s"][0]
        place[key] = {**place[key], **value} if isinstance(value, dict) else value
    try:
        load(write(tmp_path_factory.getbasetemp() / "made-up", content), None, {})
    except UserError:
        pass


@given(st.binary(max_size=60) | st.text("[]{}:-&*! \n'\"#a1", max_size=60).map(str.encode))
def test_whatever_bytes_a_kubeconfig_has_they_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    try:
        load(str(path), None, {})
    except UserError:
        pass
