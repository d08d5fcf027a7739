"""What a client accepts, and what it sent: media types; pure.

An answer has a ``Form``: JSON or YAML, of the object itself, of its metadata only, or of a table.
``responses`` writes it. Protobuf is never answered: clients that ask for it accept JSON beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ferryman.api.client import PatchType
from ferryman.api.status import NotAcceptable, UnsupportedMediaType

Encoding = Literal["json", "yaml"]
View = Literal["object", "table", "metadata"]
BodyType = Literal["json", "yaml", "protobuf"]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_ENCODINGS: dict[str, Encoding] = {
    JSON: "json",
    "*/*": "json",
    "application/*": "json",
    YAML: "yaml",
    "application/x-yaml": "yaml",
}
_VIEWS: dict[str, View] = {
    "": "object",
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}
_BODIES: dict[str, BodyType] = {
    "": "json",  # the Python kubernetes client names none
    JSON: "json",
    YAML: "yaml",
    "application/x-yaml": "yaml",
    PROTOBUF: "protobuf",
}
_PATCHES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_MOST_MEDIA_TYPES = 32


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type of a header, with its parameters, in lower-case names."""

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is to be written; ``version`` is that of ``meta.k8s.io`` for other views."""

    encoding: Encoding = "json"
    view: View = "object"
    version: str = "v1"


def accepted(header: str) -> Form:
    """The first form in an Accept header that we can write; raises NotAcceptable."""
    if not header.strip():
        return Form()
    for media in _preferred(header):
        encoding = _ENCODINGS.get(media.name)
        view = _VIEWS.get(media.parameters.get("as", ""))
        if encoding is None or view is None:
            continue
        if view == "object":
            return Form(encoding)
        version = media.parameters.get("v", "")
        if media.parameters.get("g") == "meta.k8s.io" and version in ("v1", "v1beta1"):
            return Form(encoding, view, version)
    raise NotAcceptable(
        f"only the following media types are accepted: {JSON}, {JSON};as=Table;v=v1;g=meta.k8s.io, "
        f"{YAML}"
    )


def accepts_aggregated_discovery(header: str) -> bool:
    """Whether discovery is best answered as one document."""
    for media in _preferred(header):
        wanted = media.parameters
        if media.name == JSON and wanted.get("as") == "APIGroupDiscoveryList":
            if wanted.get("g") == "apidiscovery.k8s.io" and wanted.get("v") == "v2":
                return True
        elif media.name in _ENCODINGS and "as" not in wanted:
            return False
    return False


def body_type(content_type: str) -> BodyType:
    """What a request's body is; raises UnsupportedMediaType."""
    found = _BODIES.get(_media_type(content_type).name)
    if found is None:
        raise _unsupported(content_type, (JSON, YAML))
    return found


def patch_type(content_type: str) -> PatchType:
    """Which kind of patch a request's body is; raises UnsupportedMediaType."""
    found = _PATCHES.get(_media_type(content_type).name)
    if found is None:
        raise _unsupported(content_type, tuple(_PATCHES))
    return found


def _unsupported(content_type: str, known: tuple[str, ...]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        f"{', '.join(known)}; not {content_type!r}"
    )


def _preferred(header: str) -> Iterator[MediaType]:
    """The media types of an Accept header, the most wanted first."""
    listed = [_media_type(part) for part in header.split(",", _MOST_MEDIA_TYPES)]
    wanted = [(_quality(media), media) for media in listed[:_MOST_MEDIA_TYPES]]
    wanted.sort(key=lambda pair: -pair[0])
    return (media for quality, media in wanted if quality > 0)


def _quality(media: MediaType) -> float:
    try:
        return float(media.parameters.get("q", "1"))
    except ValueError:
        return 0


def _media_type(text: str) -> MediaType:
    name, *parameters = text.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return MediaType(
        name.strip().lower(),
        {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs},
    )
