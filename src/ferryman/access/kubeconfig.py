"""Kubeconfig files: which cluster, as whom, in which namespace.

Files come from ``--kubeconfig``, else the list in ``$KUBECONFIG``, else ``~/.kube/config``; of a
name in several files the first wins as a whole. ``load`` chooses a context and makes an Access of
it; without any file, but inside a pod, that of ``in_cluster``. ``document`` reads files,
``credentials`` and ``exec_plugin`` prove who we are, ``proxies`` knows the way; ``runtime.tls``
makes the SSL context.
Source: client-go ``tools/clientcmd`` (1.36).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from ferryman.access import in_cluster, proxies
from ferryman.access.access import Access
from ferryman.access.credentials import (
    Credentials,
    Fixed,
    TokenFile,
    WithHeaders,
    basic,
    bearer,
    impersonation,
)
from ferryman.access.document import Entry, parse, plain, read
from ferryman.errors import UserError
from ferryman.protocols.proxy import Proxy
from ferryman.runtime.tls import TLSSettings

__all__ = ["Access", "context_names", "files", "load"]


class _Config(Struct):
    """All files merged."""

    files: tuple[str, ...]
    current: str
    clusters: dict[str, Entry]
    users: dict[str, Entry]
    contexts: dict[str, Entry]

    @property
    def where(self) -> str:
        return ", ".join(self.files)


def load(path: str | None, context: str | None, environ: Mapping[str, str]) -> Access:
    """The access that a context means; without one, the files' current context.

    Raises UserError, which names the file and the context and says what to do.
    """
    if not path and not context and (inside := _inside_a_pod(environ)) is not None:
        return inside
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
    user = config.users.get(user_name) or Entry({}, cluster.file)
    server, tls = _server(cluster, user)
    return Access(
        name,
        cluster_name,
        chosen.text("namespace") or "default",
        server,
        tls,
        _credentials(user, cluster, environ),
        _proxy(cluster, server, environ),
        _fingerprint(chosen, cluster, user),
    )


def _fingerprint(*entries: Entry) -> int:
    """Of what the files say. Python's hash has a key of this process, so that nobody can try out
    passwords on a fingerprint that gets into a log.
    """
    return hash(repr([(entry.file, entry.value) for entry in entries]))


def context_names(path: str | None, environ: Mapping[str, str]) -> list[str]:
    """The contexts that there are, in order; raises UserError."""
    return sorted(_merged(path, environ).contexts)


def _inside_a_pod(environ: Mapping[str, str]) -> Access | None:
    """The pod's own access, if there is no kubeconfig."""
    if any(os.path.exists(os.path.expanduser(name)) for name in files(None, environ)):
        return None
    return in_cluster.load(environ) if in_cluster.possible(environ) else None


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
        document = parse(read(file, "the kubeconfig"), file)
        top = Entry(document, file)
        config.current = config.current or top.text("current-context")
        _collect(top, "clusters", "cluster", config.clusters)
        _collect(top, "users", "user", config.users)
        _collect(top, "contexts", "context", config.contexts)
    return config


def _collect(top: Entry, plural: str, singular: str, into: dict[str, Entry]) -> None:
    for item in top.items(plural):
        into.setdefault(item.text("name"), item.inner(singular) or Entry({}, top.file))


def _server(cluster: Entry, user: Entry) -> tuple[str, TLSSettings | None]:
    server = cluster.text("server").rstrip("/")
    if not server:
        raise UserError(f"{cluster.file}: the cluster has no server")
    ca = cluster.pem("certificate-authority")
    if "://" not in server:
        server = ("https://" if ca or user.pem("client-certificate") else "http://") + server
    scheme, _, rest = server.partition("://")
    if "@" in rest.partition("/")[0]:
        raise UserError(
            f"{cluster.file}: a server's URL cannot have a user name or a password",
            "put them under users: username, password",
        )
    if scheme.lower() == "http":
        return server, None
    if scheme.lower() != "https":
        # Not the whole: who knows what was pasted there.
        raise UserError(f"{cluster.file}: server {scheme[:16]}:// is neither http nor https")
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if (certificate is None) != (key is None):
        missing = "client-key" if key is None else "client-certificate"
        raise UserError(f"{user.file}: the user's {missing} is missing")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure and ca is not None:  # one of them is a mistake, and only a person knows which
        raise UserError(
            f"{cluster.file}: specifying a root certificates file with the insecure flag is "
            "not allowed",
            "remove certificate-authority or insecure-skip-tls-verify",
        )
    return server, TLSSettings(ca, certificate, key, cluster.text("tls-server-name"), insecure)


def _proxy(cluster: Entry, server: str, environ: Mapping[str, str]) -> Proxy | None:
    if url := cluster.text("proxy-url"):
        return proxies.parse(url, f"{cluster.file}: proxy-url")
    return proxies.choose(server, environ)


def _credentials(user: Entry, cluster: Entry, environ: Mapping[str, str]) -> Credentials:
    """As in client-go, a token or a password beats a plugin."""
    extra = user.inner("as-user-extra") or Entry({}, user.file)
    acting_as = impersonation(
        user.text("as"),
        user.text("as-uid"),
        user.texts("as-groups"),
        [(key, value) for key in extra.value for value in extra.texts(key)],
    )
    credentials = _own_credentials(user, cluster, environ)
    return WithHeaders(credentials, acting_as) if acting_as else credentials


def _own_credentials(user: Entry, cluster: Entry, environ: Mapping[str, str]) -> Credentials:
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
            f"{user.file}: the auth-provider {provider.text('name')} is not supported; Kubernetes "
            "has replaced these by exec plugins",
            "use its exec plugin, such as gke-gcloud-auth-plugin or kubelogin",
        )
    plugin = user.inner("exec")
    return Fixed() if plugin is None else _plugin(plugin, cluster, environ)


def _plugin(plugin: Entry, cluster: Entry, environ: Mapping[str, str]) -> Credentials:
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


def _told(cluster: Entry) -> Mapping[str, Any]:
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
            told["config"] = plain(extension.value.get("extension"))
    return told


def _names(known: Iterable[str]) -> str:
    return ", ".join(sorted(known)) or "there are none"


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known := list(known)), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {_names(known)}"
