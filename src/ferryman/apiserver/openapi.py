"""OpenAPI v3: one document for each group and version, found through an index; pure.

kubectl reads it before ``create`` and ``apply`` (does PATCH know ``fieldValidation``? which kinds
of patch are there, and how do lists merge?) and for ``explain``. Components are the schemas of the
kinds; ``registry`` goes by the same. Source: Kubernetes' ``api/openapi-spec/v3`` (1.36).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ferryman.api import codec
from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Kind
from ferryman.apiserver.negotiation import JSON, YAML

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
VERSION_2_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Asked for with an ``@`` in it, which Go does not take in an answer."""
VERSION_2_PROTOBUF = b"\x0a\x032.0"
"""``swagger: "2.0"`` as gnostic's ``openapi.v2.Document``, the only form that kubectl reads.

It asks for version 2 to check files with ``kind: List``, and skips what it does not find there.
"""
_TYPE_META = {
    "apiVersion": {
        "type": "string",
        "description": "APIVersion defines the versioned schema of this representation.",
    },
    "kind": {
        "type": "string",
        "description": "Kind is a string value representing the resource this object represents.",
    },
}
_LIST_META: Object = {
    "type": "object",
    "properties": {
        "resourceVersion": {"type": "string"},
        "continue": {"type": "string"},
        "remainingItemCount": {"type": "integer", "format": "int64"},
        "selfLink": {"type": "string"},
    },
}
_ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_LIST_PARAMETERS = (
    ("labelSelector", "string"),
    ("fieldSelector", "string"),
    ("limit", "integer"),
    ("continue", "string"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("watch", "boolean"),
    ("allowWatchBookmarks", "boolean"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
)
_WRITE_PARAMETERS = (
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
)
_DELETE_PARAMETERS = (
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)


class OpenAPI:
    """The documents, encoded; made on first use, because most servers are never asked."""

    def __init__(self, kinds: Iterable[Kind], version: str) -> None:
        self._version = version
        self._kinds: dict[str, list[Kind]] = {}
        for kind in kinds:
            self._kinds.setdefault(_root(kind.resource), []).append(kind)
        self._documents: dict[str, bytes] = {}

    def index(self) -> Object:
        """``/openapi/v3``: where each document is; its hash is part of the address."""
        return {
            "paths": {
                root: {"serverRelativeURL": f"/openapi/v3/{root}?hash={self.hash(root)}"}
                for root in self._kinds
            }
        }

    def hash(self, root: str) -> str:
        """Changes when the document does."""
        return hashlib.sha256(self.document(root) or b"").hexdigest()[:32].upper()

    def document(self, root: str) -> bytes | None:
        """The document of ``api/v1`` or ``apis/GROUP/VERSION`` in JSON; None if unknown."""
        kinds = self._kinds.get(root)
        if kinds is None:
            return None
        if root not in self._documents:
            self._documents[root] = codec.to_json(_document(kinds, self._version))
        return self._documents[root]

    def version_2(self) -> Object:
        """``/openapi/v2``, which knows nothing: version 3 says it all."""
        info = {"title": "Ferryman", "version": self._version}
        return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}


def _root(resource: Resource) -> str:
    return f"{'apis' if resource.group else 'api'}/{resource.api_version}"


def _document(kinds: Iterable[Kind], version: str) -> Object:
    paths: Object = {}
    schemas: Object = {
        f"{_META}.ObjectMeta": OBJECT_META,
        f"{_META}.ListMeta": _LIST_META,
        f"{_META}.DeleteOptions": _ANYTHING,
        f"{_META}.Patch": _ANYTHING,
        f"{_META}.Status": _ANYTHING,
    }
    for kind in kinds:
        paths.update(_paths(kind))
        schemas.update(_schemas(kind))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Ferryman", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schemas(kind: Kind) -> Object:
    resource = kind.resource
    schema = kind.schema or _ANYTHING
    properties = {**schema.get("properties", {}), **_TYPE_META}
    properties["metadata"] = _reference(f"{_META}.ObjectMeta")
    return {
        _name(resource): {
            **schema,
            "properties": properties,
            "x-kubernetes-group-version-kind": [_group_version_kind(resource)],
        },
        f"{_name(resource)}List": {
            "type": "object",
            "description": f"{resource.kind}List is a list of {resource.kind}.",
            "required": ["items"],
            "properties": {
                **_TYPE_META,
                "metadata": _reference(f"{_META}.ListMeta"),
                "items": {"type": "array", "items": _reference(_name(resource))},
            },
            "x-kubernetes-group-version-kind": [
                {**_group_version_kind(resource), "kind": f"{resource.kind}List"}
            ],
        },
    }


def _paths(kind: Kind) -> Object:
    resource = kind.resource
    root = f"/{_root(resource)}"
    collection = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    collection = f"{collection}/{resource.plural}"
    scope = [_path_parameter("namespace")] if resource.namespaced else []
    named = [_path_parameter("name"), *scope]
    paths: Object = {
        collection: {
            "parameters": scope,
            "get": _operation(kind, "list", _LIST_PARAMETERS, answer="List"),
            "post": _operation(kind, "post", _WRITE_PARAMETERS, body=(JSON, YAML)),
            "delete": _operation(
                kind, "deletecollection", _LIST_PARAMETERS + _DELETE_PARAMETERS, answer="List"
            ),
        },
        f"{collection}/{{name}}": {
            "parameters": named,
            **_changes(kind),
            "delete": _operation(kind, "delete", _DELETE_PARAMETERS),
        },
    }
    if resource.namespaced:
        everywhere = _operation(kind, "list", _LIST_PARAMETERS, answer="List")
        paths[f"{root}/{resource.plural}"] = {"get": everywhere}
    if "status" in kind.subresources:
        paths[f"{collection}/{{name}}/status"] = {"parameters": named, **_changes(kind)}
    return paths


def _changes(kind: Kind) -> Object:
    patches = (("force", "boolean"), *_WRITE_PARAMETERS)
    return {
        "get": _operation(kind, "get", ()),
        "put": _operation(kind, "put", _WRITE_PARAMETERS, body=(JSON, YAML)),
        "patch": _operation(kind, "patch", patches, body=_PATCHES),
    }


def _operation(
    kind: Kind,
    action: str,
    parameters: Iterable[tuple[str, str]],
    *,
    body: tuple[str, ...] = (),
    answer: str = "",
) -> Object:
    """One verb; what a PATCH accepts tells kubectl which kinds of patch there are."""
    resource = kind.resource
    content = {
        media: {"schema": _reference(f"{_name(resource)}{answer}")} for media in (JSON, YAML)
    }
    operation: Object = {
        "operationId": f"{action}_{resource.group}_{resource.version}_{resource.plural}",
        "tags": [resource.api_version],
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": kind_of}, "uniqueItems": True}
            for name, kind_of in parameters
        ],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _group_version_kind(resource),
    }
    if body:
        sent = f"{_META}.Patch" if action == "patch" else _name(resource)
        content = {media: {"schema": _reference(sent)} for media in body}
        operation["requestBody"] = {"content": content, "required": True}
    return operation


def _path_parameter(name: str) -> Object:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _reference(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}


def _name(resource: Resource) -> str:
    """As Kubernetes builds names of components: the reversed domain, the version, the kind."""
    group = ".".join(reversed(resource.group.split("."))) if resource.group else "io.k8s.api.core"
    return f"{group}.{resource.version}.{resource.kind}"


def _group_version_kind(resource: Resource) -> Mapping[str, Any]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}
