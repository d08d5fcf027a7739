"""The documents that clients read first: discovery, OpenAPI, and the tables they print."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ferryman.api.scheme import Column, Kind
from ferryman.apiserver.discovery import Discovery, Shown, served
from ferryman.apiserver.openapi import OpenAPI
from ferryman.apiserver.tables import bookmark_table, columns, table
from tests.support.apiserver import BOAT, HARBOUR, NAMESPACE, SCHEME, boat

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@pytest.fixture
def discovery() -> Discovery:
    radio = Shown(("create", "get"), "Message", "ferries.example", "v1")
    return Discovery(served(kind, {"radio": radio} if kind is BOAT else {}) for kind in SCHEME)


def test_aggregated_discovery_says_everything_about_a_resource(discovery: Discovery) -> None:
    named = discovery.aggregated(legacy=False)
    assert named["kind"] == "APIGroupDiscoveryList"
    assert [item["metadata"]["name"] for item in named["items"]] == ["ferries.example"]
    boats = named["items"][0]["versions"][0]["resources"][0]
    assert boats["resource"] == "boats"
    assert boats["responseKind"] == {"group": "ferries.example", "version": "v1", "kind": "Boat"}
    assert (boats["scope"], boats["singularResource"]) == ("Namespaced", "boat")
    assert (boats["shortNames"], boats["categories"]) == (("bt",), ("all",))
    assert {s["subresource"]: s["responseKind"]["kind"] for s in boats["subresources"]} == {
        "radio": "Message",
        "scale": "Scale",
        "status": "Boat",
    }


def test_the_core_group_has_its_own_place(discovery: Discovery) -> None:
    core = discovery.aggregated(legacy=True)
    plurals = [r["resource"] for r in core["items"][0]["versions"][0]["resources"]]
    assert plurals == ["namespaces", "events"]
    assert discovery.versions()["versions"] == ["v1"]


def test_without_core_kinds_the_core_group_has_no_version() -> None:
    alone = Discovery([served(HARBOUR, {})])
    assert alone.aggregated(legacy=True)["items"] == []
    assert alone.versions()["versions"] == []
    assert alone.resources("", "v1") is None


def test_the_older_lists_say_the_same(discovery: Discovery) -> None:
    assert [g["name"] for g in discovery.groups()["groups"]] == ["ferries.example"]
    listed = discovery.resources("ferries.example", "v1")
    assert listed is not None
    assert listed["groupVersion"] == "ferries.example/v1"
    names = [r["name"] for r in listed["resources"]]
    assert names == ["boats", "boats/scale", "boats/status", "boats/radio", "harbours"]
    assert listed["resources"][0]["namespaced"]
    assert not listed["resources"][-1]["namespaced"]
    group = discovery.group("ferries.example")
    assert group is not None
    assert group["preferredVersion"]["groupVersion"] == "ferries.example/v1"
    assert discovery.group("") is None
    assert discovery.group("nowhere") is None
    assert discovery.resources("ferries.example", "v2") is None


@pytest.fixture
def openapi() -> OpenAPI:
    return OpenAPI(SCHEME, "v1.37.0")


def test_the_index_finds_every_document_by_its_hash(openapi: OpenAPI) -> None:
    paths = openapi.index()["paths"]
    assert set(paths) == {"api/v1", "apis/ferries.example/v1"}
    url = paths["apis/ferries.example/v1"]["serverRelativeURL"]
    assert url == f"/openapi/v3/apis/ferries.example/v1?hash={openapi.hash(url[12:].split('?')[0])}"
    assert openapi.document("apis/nowhere/v1") is None


def test_a_document_says_what_kubectl_looks_for(openapi: OpenAPI) -> None:
    document = msgspec.json.decode(openapi.document("apis/ferries.example/v1") or b"")
    collection = "/apis/ferries.example/v1/namespaces/{namespace}/boats"
    assert {"get", "post", "delete"} <= set(document["paths"][collection])
    one = document["paths"][f"{collection}/{{name}}"]
    patch = one["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Boat"
    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert "/apis/ferries.example/v1/harbours/{name}" in document["paths"]
    assert f"{collection}/{{name}}/status" in document["paths"]
    schema = document["components"]["schemas"]["example.ferries.v1.Boat"]
    assert schema["properties"]["spec"]["properties"]["captain"]["description"] == "Who steers."
    assert schema["x-kubernetes-group-version-kind"][0]["kind"] == "Boat"


def test_every_reference_in_every_document_leads_somewhere(openapi: OpenAPI) -> None:
    for root in openapi.index()["paths"]:
        document = msgspec.json.decode(openapi.document(root) or b"")
        references = set(_references(document))
        assert references
        for reference in references:
            assert reference.rpartition("/")[2] in document["components"]["schemas"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for inner in value.values() for r in _references(inner)]
    if isinstance(value, list):
        return [r for inner in value for r in _references(inner)]
    return []


def test_a_table_has_name_first_age_after_and_wide_columns_last() -> None:
    assert [c.name for c in columns(BOAT)] == ["Name", "Captain", "Berths", "Age", "Sails"]
    assert [c.name for c in columns(HARBOUR)] == ["Name", "Age"]
    own = Kind(
        resource=NAMESPACE.resource,
        columns=(Column("Age", lambda *_: "old"), Column("Name", lambda *_: "n", wide=True)),
    )
    assert [c.name for c in columns(own)] == ["Age", "Name"]


def test_rows_carry_cells_and_as_much_of_the_object_as_asked() -> None:
    obj = boat("kestrel", berths=[{"name": "bow"}])
    obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    rendered = table(BOAT, [obj], NOW, metadata={"resourceVersion": "7"})
    assert rendered["metadata"] == {"resourceVersion": "7"}
    assert [d["priority"] for d in rendered["columnDefinitions"]] == [0, 0, 0, 0, 1]
    assert rendered["columnDefinitions"][0]["format"] == "name"
    row = rendered["rows"][0]
    assert row["cells"] == ["kestrel", "Ann", 1, "60s", 0]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert "spec" not in row["object"]
    assert table(BOAT, [obj], NOW, include="None")["rows"][0]["object"] is None
    assert table(BOAT, [obj], NOW, include="Object")["rows"][0]["object"] == obj


def test_a_watchs_later_tables_have_no_header_and_bookmarks_no_cells() -> None:
    assert table(BOAT, [], NOW, header=False)["columnDefinitions"] == []
    mark = bookmark_table({"metadata": {"resourceVersion": "9"}}, version="v1beta1")
    assert mark["apiVersion"] == "meta.k8s.io/v1beta1"
    assert mark["metadata"]["resourceVersion"] == "9"
    assert mark["rows"][0]["cells"] == []
