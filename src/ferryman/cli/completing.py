"""What a shell may complete beside options: kinds, names, ports, namespaces, contexts.

Names come from the cluster, which gets a second to answer; without an answer there is nothing to
complete. argcomplete calls these with the arguments as far as they are typed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterable

from ferryman.api.resource import Object, Resource
from ferryman.errors import FerrymanError
from ferryman.kube import resources, targets

PATIENCE = 1.0


def targets_and_ports(prefix: str, args: argparse.Namespace) -> list[str]:
    """``kind/``, then ``kind/name``, then the ports that the target has."""
    kind, slash, _ = prefix.partition("/")
    if slash:
        return [f"{kind}/{name}" for name in _objects(args, _resource(kind))]
    words = [word for word in getattr(args, "words", None) or () if "/" in word]
    kinds = [f"{known}/" for known in targets.KINDS if known.startswith(prefix)]
    if not words:
        return kinds
    kind, _, name = words[-1].partition("/")
    return [*_ports(_objects(args, _resource(kind), name).get(name)), *kinds]


def namespaces(prefix: str, args: argparse.Namespace) -> list[str]:
    """Those of the cluster."""
    del prefix  # argcomplete leaves out what does not begin so
    return list(_objects(args, resources.NAMESPACES))


def contexts(prefix: str, args: argparse.Namespace) -> list[str]:
    """Those of the kubeconfig."""
    del prefix
    from ferryman.access.kubeconfig import context_names

    try:
        return list(context_names(getattr(args, "kubeconfig", None), os.environ))
    except FerrymanError:
        return []


def _resource(kind: str) -> Resource | None:
    try:
        return targets.Target(targets.parse_kind(kind), "", "").resource
    except FerrymanError:
        return None


def _objects(
    args: argparse.Namespace, resource: Resource | None, name: str = ""
) -> dict[str, Object]:
    """Objects by name, or the one; none if they cannot be had at once."""
    if resource is None:
        return {}
    try:
        return asyncio.run(_read(args, resource, name))
    except (FerrymanError, TimeoutError):
        return {}


async def _read(args: argparse.Namespace, resource: Resource, name: str) -> dict[str, Object]:
    from ferryman.access.kubeconfig import load
    from ferryman.apiclient.http_client import HttpClient

    access = load(getattr(args, "kubeconfig", None), getattr(args, "context", None), os.environ)
    namespace = (getattr(args, "namespace", None) or access.namespace) * resource.namespaced
    async with asyncio.timeout(PATIENCE), HttpClient(access) as client:
        if name:
            return {name: await client.get(resource, name, namespace)}
        page = await client.list(resource, namespace, limit=500)
    return {str(obj["metadata"]["name"]): obj for obj in page.items}


def _ports(target: Object | None) -> Iterable[str]:
    """Names and numbers of a target's ports, as they stand in it."""
    spec = (target or {}).get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or spec
    written = [(p, p.get("port")) for p in spec.get("ports") or ()]
    for container in pod.get("containers") or ():
        written += [(p, p.get("containerPort")) for p in container.get("ports") or ()]
    for port, number in written:
        yield from (str(value) for value in (number, port.get("name")) if value)
