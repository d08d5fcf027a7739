"""Kubeconfig files: which cluster, as whom, in which namespace.

Files come from ``--kubeconfig``, else the list in ``$KUBECONFIG``, else ``~/.kube/config``; of a
name in several files the first wins as a whole. ``load`` chooses a context and makes an Access of
it; paths inside a file are relative to that file's folder. ``credentials`` and ``exec_plugin``
prove who we are; ``runtime.tls`` makes the SSL context.
Source: client-go ``tools/clientcmd`` (1.36).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ferryman.access.credentials import (
    Credentials,
    Fixed,
    TokenFile,
    WithHeaders,
    basic,
    bearer,
    impersonation,
)
from ferryman.errors import UserError
from ferryman.runtime.tls import TLSSettings

_LARGEST_FILE = 16 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """All that is needed to speak to one cluster.

    ``server`` is a URL without a trailing slash; ``tls`` is None for plain http.
    """

    context_name: str
    cluster_name: str
    namespace: str
    server: str
    tls: TLSSettings | None
    credentials: Credentials

    async def current_tls(self) -> TLSSettings | None:
        """``tls`` with the client certificate that the credentials bring, if they do.

        Raises as ``Credentials.headers``.
        """
        from dataclasses import replace

        certificate = await self.credentials.certificate()
        if certificate is None or self.tls is None:
            return self.tls
        return replace(self.tls, certificate=certificate[0], key=certificate[1])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named cluster, user or context, and the file that it comes from."""

    value: Mapping[str, Any]
    file: str

    def text(self, key: str) -> str:
        value = self.value.get(key)
        if value is not None and not isinstance(value, str):
            raise UserError(f"{self.file}: {key} has to be a text")
        return value or ""

    def path(self, key: str) -> str:
        """A path in the file, made absolute; empty if there is none."""
        text = self.text(key)
        return os.path.join(os.path.dirname(os.path.abspath(self.file)), text) if text else ""

    def flag(self, key: str) -> bool:
        value = self.value.get(key)
        if not isinstance(value, bool | None):
            raise UserError(f"{self.file}: {key} has to be true or false")
        return bool(value)

    def items(self, key: str) -> list[_Entry]:
        """A list of mappings; empty if there is none."""
        found = self.value.get(key) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise UserError(f"{self.file}: {key} has to be a list of mappings")
        return [_Entry(item, self.file) for item in found]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if there is none."""
        found = self.value.get(key) or []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise UserError(f"{self.file}: {key} has to be a list of texts")
        return tuple(found)

    def inner(self, key: str) -> _Entry | None:
        """A mapping; None if there is none."""
        found = self.value.get(key)
        if not isinstance(found, dict | None):
            raise UserError(f"{self.file}: {key} has to be a mapping")
        return None if found is None else _Entry(found, self.file)

    def pem(self, key: str) -> bytes | None:
        """``key-data`` in base64, else the file that ``key`` names, else None."""
        if data := self.text(f"{key}-data"):
            try:
                return base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as cause:
                raise UserError(f"{self.file}: {key}-data is not base64: {cause}") from cause
        path = self.path(key)
        return _read(path, f"{key} in {self.file}") if path else None


@dataclass(slots=True)
class _Config:
    """All files merged."""

    files: tuple[str, ...]
    current: str
    clusters: dict[str, _Entry]
    users: dict[str, _Entry]
    contexts: dict[str, _Entry]

    @property
    def where(self) -> str:
        return ", ".join(self.files)


def load(path: str | None, context: str | None, environ: Mapping[str, str]) -> Access:
    """The access that a context means; without one, the files' current context.

    Raises UserError, which names the file and the context and says what to do.
    """
    config = _merged(path, environ)
    name = context or config.current
    if not name:
        raise UserError(
            f"no current context in {config.where}",
            f"choose one with --context: {_names(config.contexts)}",
        )
    if name not in config.contexts:
        raise UserError(
            f'context "{name}" does not exist in {config.where}', _near(name, config.contexts)
        )
    chosen = config.contexts[name]
    cluster_name, user_name = chosen.text("cluster"), chosen.text("user")
    if cluster_name not in config.clusters:
        raise UserError(
            f'cluster "{cluster_name}", which context "{name}" names, is not in {config.where}',
            _near(cluster_name, config.clusters),
        )
    if user_name and user_name not in config.users:
        raise UserError(
            f'user "{user_name}", which context "{name}" names, is not in {config.where}',
            _near(user_name, config.users),
        )
    cluster = config.clusters[cluster_name]
    user = config.users.get(user_name) or _Entry({}, cluster.file)
    server, tls = _server(cluster, user)
    credentials = _credentials(user, cluster, environ)
    return Access(
        name, cluster_name, chosen.text("namespace") or "default", server, tls, credentials
    )


def files(path: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files to read, in order; those of a list need not exist."""
    if path:
        return (path,)
    listed = tuple(dict.fromkeys(filter(None, environ.get("KUBECONFIG", "").split(os.pathsep))))
    return listed or (os.path.join(environ.get("HOME") or "~", ".kube", "config"),)


def _merged(path: str | None, environ: Mapping[str, str]) -> _Config:
    names = tuple(os.path.expanduser(name) for name in files(path, environ))
    there = tuple(name for name in names if os.path.exists(name))
    if not there or (path and there != names):
        hint = "name one with --kubeconfig or KUBECONFIG; `ferry demo` makes a cluster to try"
        raise UserError(f"there is no kubeconfig at {', '.join(names)}", hint)
    config = _Config(there, "", {}, {}, {})
    for file in there:
        document = _parse(_read(file, "the kubeconfig"), file)
        top = _Entry(document, file)
        config.current = config.current or top.text("current-context")
        _collect(top, "clusters", "cluster", config.clusters)
        _collect(top, "users", "user", config.users)
        _collect(top, "contexts", "context", config.contexts)
    return config


def _collect(top: _Entry, plural: str, singular: str, into: dict[str, _Entry]) -> None:
    for item in top.items(plural):
        into.setdefault(item.text("name"), item.inner(singular) or _Entry({}, top.file))


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as cause:
        raise UserError(f"cannot read {what}: {path}: {cause.strerror}") from cause
    if len(data) > _LARGEST_FILE:
        raise UserError(f"cannot read {what}: {path} is larger than {_LARGEST_FILE} bytes")
    return data


def _parse(data: bytes, file: str) -> Mapping[str, Any]:
    """YAML or JSON. Only null and booleans are told from text: a token may look like a number."""
    import yaml  # takes 15 ms; whoever only relays never needs it

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # dynamic
        yaml_implicit_resolvers = _RESOLVERS

    try:
        document = yaml.load(data, Loader)  # noqa: S506 - a SafeLoader with fewer types
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise UserError(f"{file} is not YAML: {cause}") from cause
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{file} is not a kubeconfig: it is no mapping")
    return document


def _resolvers() -> dict[str, list[tuple[str, Any]]]:
    import re

    null = re.compile(r"^(?:~|null|Null|NULL|)$")
    boolean = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
    found: dict[str, list[tuple[str, Any]]] = {}
    for first in ("~", "n", "N", ""):
        found.setdefault(first, []).append(("tag:yaml.org,2002:null", null))
    for first in "tTfF":
        found.setdefault(first, []).append(("tag:yaml.org,2002:bool", boolean))
    return found


_RESOLVERS = _resolvers()


def _server(cluster: _Entry, user: _Entry) -> tuple[str, TLSSettings | None]:
    server = cluster.text("server").rstrip("/")
    if not server:
        raise UserError(f"{cluster.file}: the cluster has no server")
    if cluster.text("proxy-url"):
        raise UserError(f"{cluster.file}: clusters behind a proxy (proxy-url) are not supported")
    ca = cluster.pem("certificate-authority")
    if "://" not in server:
        server = ("https://" if ca or user.pem("client-certificate") else "http://") + server
    scheme = server.partition("://")[0].lower()
    if scheme == "http":
        return server, None
    if scheme != "https":
        raise UserError(f"{cluster.file}: server {server} is neither http nor https")
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if (certificate is None) != (key is None):
        missing = "client-key" if key is None else "client-certificate"
        raise UserError(f"{user.file}: the user's {missing} is missing")
    return server, TLSSettings(
        ca,
        certificate,
        key,
        cluster.text("tls-server-name"),
        cluster.flag("insecure-skip-tls-verify"),
    )


def _credentials(user: _Entry, cluster: _Entry, environ: Mapping[str, str]) -> Credentials:
    """As in client-go, a token or a password beats a plugin."""
    extra = user.inner("as-user-extra") or _Entry({}, user.file)
    acting_as = impersonation(
        user.text("as"),
        user.text("as-uid"),
        user.texts("as-groups"),
        [(key, value) for key in extra.value for value in extra.texts(key)],
    )
    credentials = _own_credentials(user, cluster, environ)
    return WithHeaders(credentials, acting_as) if acting_as else credentials


def _own_credentials(user: _Entry, cluster: _Entry, environ: Mapping[str, str]) -> Credentials:
    token, token_file = user.text("token"), user.path("tokenFile")
    username = user.text("username")
    if username and (token or token_file):
        raise UserError(f"{user.file}: a user has either a token or a user name, not both")
    if token_file:
        return TokenFile(token_file, token)
    if token:
        return Fixed(bearer(token))
    if username:
        return Fixed(basic(username, user.text("password")))
    if provider := user.inner("auth-provider"):
        raise UserError(
            f"{user.file}: Kubernetes 1.26 removed the auth-provider {provider.text('name')}",
            "use its exec plugin instead, such as gke-gcloud-auth-plugin or kubelogin",
        )
    plugin = user.inner("exec")
    return Fixed() if plugin is None else _plugin(plugin, cluster, environ)


def _plugin(plugin: _Entry, cluster: _Entry, environ: Mapping[str, str]) -> Credentials:
    from ferryman.access.exec_plugin import API_VERSIONS, ExecPlugin, PluginSettings

    command = plugin.text("command")
    if not command:
        raise UserError(f"{plugin.file}: exec has no command")
    if os.sep in command:
        command = plugin.path("command")
    version = plugin.text("apiVersion")
    if version not in API_VERSIONS:
        raise UserError(
            f"{plugin.file}: exec apiVersion {version or 'is missing'}",
            f"supported are {' and '.join(API_VERSIONS)}",
        )
    mode = plugin.text("interactiveMode") or "IfAvailable"
    if mode not in ("Never", "IfAvailable", "Always"):
        raise UserError(f"{plugin.file}: exec interactiveMode is {mode}")
    added = {variable.text("name"): variable.text("value") for variable in plugin.items("env")}
    settings = PluginSettings(
        command,
        plugin.texts("args"),
        {**environ, **added},
        version,
        "Never" if mode == "Never" else "Always" if mode == "Always" else "IfAvailable",
        plugin.text("installHint"),
        _told(cluster) if plugin.flag("provideClusterInfo") else None,
    )
    return ExecPlugin(settings)


def _told(cluster: _Entry) -> Mapping[str, Any]:
    """The cluster as a plugin learns of it: files as data, its own extension as ``config``."""
    told: dict[str, Any] = {"server": cluster.text("server")}
    if ca := cluster.pem("certificate-authority"):
        told["certificate-authority-data"] = base64.b64encode(ca).decode()
    if name := cluster.text("tls-server-name"):
        told["tls-server-name"] = name
    if cluster.flag("insecure-skip-tls-verify"):
        told["insecure-skip-tls-verify"] = True
    for extension in cluster.items("extensions"):
        if extension.text("name") == "client.authentication.k8s.io/exec":
            told["config"] = extension.value.get("extension")
    return told


def _names(known: Iterable[str]) -> str:
    return ", ".join(sorted(known)) or "there are none"


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known := list(known)), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {_names(known)}"
