"""GET over real HTTP: objects, lists, tables, discovery, who may ask."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ferryman.runtime.clock import ManualClock
from tests.apiserver.test_negotiation import KUBECTL_DISCOVERY, KUBECTL_GET, PARTIAL
from tests.support.apiserver import BOATS, HARBOURS, Api, boat, serving

ROOT = "/apis/ferries.example/v1"
LIST = f"{ROOT}/namespaces/default/boats"


@pytest.mark.parametrize("path", ["/", "/api", LIST, "/openapi/v3", "/nowhere"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Bearer \xe9", "Token x"])
async def test_without_the_token_there_is_nothing(api: Api, path: str, authorization: str) -> None:
    answer = await api.request("GET", path, authorization=authorization)
    assert answer.status == 401
    assert answer.json["kind"] == "Status"
    assert answer.json["reason"] == "Unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/"])
async def test_anybody_may_ask_how_the_server_is(api: Api, path: str) -> None:
    assert (await api.request("GET", path, authorization="")).status == 200


async def test_the_version_is_one_that_kubectl_parses(api: Api) -> None:
    version = (await api.request("GET", "/version")).json
    assert (version["major"], version["minor"]) == ("1", "37")
    assert version["gitVersion"] == "v1.37.0+ferryman"


async def test_an_object_comes_in_json_in_yaml_or_as_its_metadata(api: Api) -> None:
    created = await api.store.create(BOATS, boat("kestrel"))
    path = f"{LIST}/kestrel"
    assert (await api.request("GET", path)).json == created
    answer = await api.request("GET", path, accept="application/yaml")
    assert answer.header("content-type") == "application/yaml"
    assert yaml.safe_load(answer.body) == created
    partial = (await api.request("GET", path, accept=PARTIAL)).json
    assert partial["kind"] == "PartialObjectMetadata"
    assert partial["metadata"] == created["metadata"]
    assert "spec" not in partial


async def test_what_is_missing_is_a_status_with_details(api: Api) -> None:
    answer = await api.request("GET", f"{LIST}/ghost")
    assert answer.status == 404
    assert answer.json["message"] == 'boats.ferries.example "ghost" not found'
    assert answer.json["details"] == {
        "name": "ghost",
        "group": "ferries.example",
        "kind": "boats",
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"{ROOT}/planes", 404),
        ("GET", f"{LIST}/kestrel/nothing", 404),
        ("GET", "/apis/nowhere", 404),
        ("GET", "/apis/nowhere/v1", 404),
        ("GET", "/openapi/v3/apis/nowhere/v1", 404),
        ("POST", f"{ROOT}/boats", 405),
        ("POST", f"{LIST}/kestrel", 405),
        ("PUT", LIST, 405),
        ("PATCH", LIST, 405),
        ("DELETE", f"{LIST}/kestrel/status", 405),
        ("DELETE", f"{ROOT}/boats", 405),
        ("HEAD", LIST, 405),
        ("BREW", LIST, 405),
    ],
)
async def test_every_refusal_is_a_status(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.request(method, path)
    assert answer.status == status
    if method != "HEAD":
        assert answer.json["kind"] == "Status"
        assert answer.json["code"] == status


async def test_an_unknown_accept_header_is_406(api: Api) -> None:
    answer = await api.request("GET", LIST, accept="text/html")
    assert (answer.status, answer.json["reason"]) == (406, "NotAcceptable")


async def test_a_list_may_be_selected_and_spans_namespaces(api: Api) -> None:
    for name, captain, namespace in (("a", "Ann", "x"), ("b", "Bo", "x"), ("c", "Ann", "y")):
        obj = boat(name, captain, namespace)
        obj["metadata"]["labels"] = {"name": name}
        await api.store.create(BOATS, obj)

    async def names(path: str) -> list[str]:
        listed = (await api.request("GET", path)).json
        assert listed["kind"] == "BoatList"
        return [obj["metadata"]["name"] for obj in listed["items"]]

    assert await names(f"{ROOT}/boats") == ["a", "b", "c"]
    assert await names(f"{ROOT}/boats/") == ["a", "b", "c"]
    assert await names(f"{ROOT}/namespaces/x/boats") == ["a", "b"]
    assert await names(f"{ROOT}/boats?fieldSelector=spec.captain%3DAnn") == ["a", "c"]
    assert await names(f"{ROOT}/boats?labelSelector=name%20in%20(b,c)") == ["b", "c"]
    assert await names(f"{ROOT}/boats?fieldSelector=metadata.namespace%3Dy") == ["c"]
    refused = await api.request("GET", f"{ROOT}/boats?fieldSelector=spec.colour%3Dred")
    assert refused.json["message"] == "field label not supported: spec.colour"


async def test_a_long_list_comes_in_pages(api: Api) -> None:
    for i in range(5):
        await api.store.create(BOATS, boat(f"b{i}"))
    names, path = [], f"{LIST}?limit=2"
    first = (await api.request("GET", path)).json
    assert first["metadata"]["remainingItemCount"] == 3
    while True:
        page = (await api.request("GET", path)).json
        names += [obj["metadata"]["name"] for obj in page["items"]]
        token = page["metadata"].get("continue")
        if not token:
            break
        path = f"{LIST}?limit=2&continue={token}"
    assert names == [f"b{i}" for i in range(5)]


async def test_only_the_present_can_be_asked_for_exactly(api: Api) -> None:
    now = (await api.request("GET", LIST)).json["metadata"]["resourceVersion"]
    exact = f"{LIST}?resourceVersionMatch=Exact&resourceVersion={now}"
    assert (await api.request("GET", exact)).status == 200
    await api.store.create(BOATS, boat("kestrel"))
    gone = await api.request("GET", exact)
    assert (gone.status, gone.json["reason"]) == (410, "Expired")


async def test_kubectl_gets_a_table(tmp_path: Path) -> None:
    clock = ManualClock()
    async with serving(tmp_path, clock=clock) as api:
        await api.store.create(BOATS, boat("kestrel"))
        await clock.advance(3600 * 4)
        shown = (await api.request("GET", LIST, accept=KUBECTL_GET)).json
        assert shown["kind"] == "Table"
        assert shown["rows"][0]["cells"] == ["kestrel", "Ann", 0, "4h", 1]
        assert shown["rows"][0]["object"]["metadata"]["name"] == "kestrel"
        whole = f"{LIST}/kestrel?includeObject=Object"
        one = (await api.request("GET", whole, accept=KUBECTL_GET)).json
        assert one["rows"][0]["object"]["spec"]["captain"] == "Ann"


async def test_scale_and_status_are_read_beside_the_object(api: Api) -> None:
    await api.store.create(BOATS, boat("kestrel", replicas=3))
    scale = (await api.request("GET", f"{LIST}/kestrel/scale")).json
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})
    assert (await api.request("GET", f"{LIST}/kestrel/status")).json["kind"] == "Boat"
    await api.store.create(HARBOURS, {"metadata": {"name": "dover"}})
    assert (await api.request("GET", f"{ROOT}/harbours/dover/scale")).status == 404


async def test_discovery_may_be_kept_until_its_tag_changes(api: Api) -> None:
    answer = await api.request("GET", "/apis", accept=KUBECTL_DISCOVERY)
    assert answer.header("content-type") == KUBECTL_DISCOVERY.rpartition(",")[0]
    assert answer.json["kind"] == "APIGroupDiscoveryList"
    tag = answer.header("etag")
    again = await api.request("GET", "/apis", accept=KUBECTL_DISCOVERY, if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    plain = await api.request("GET", "/apis/", accept="application/json", if_none_match=tag)
    assert plain.json["kind"] == "APIGroupList"
    core = await api.request("GET", "/api", accept=KUBECTL_DISCOVERY)
    assert core.json["items"][0]["versions"][0]["version"] == "v1"
    assert (await api.request("GET", "/api/v1")).json["kind"] == "APIResourceList"
    assert (await api.request("GET", "/apis/ferries.example")).json["kind"] == "APIGroup"
    assert (await api.request("GET", ROOT)).json["groupVersion"] == "ferries.example/v1"


async def test_openapi_is_found_through_its_index(api: Api) -> None:
    index = (await api.request("GET", "/openapi/v3")).json
    url = index["paths"]["apis/ferries.example/v1"]["serverRelativeURL"]
    answer = await api.request("GET", url)
    assert answer.json["openapi"] == "3.0.0"
    tag = answer.header("etag")
    assert (await api.request("GET", url, if_none_match=tag)).status == 304


async def test_the_older_openapi_is_there_and_empty(api: Api) -> None:
    assert (await api.request("GET", "/openapi/v2")).json["definitions"] == {}
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    answer = await api.request("GET", "/openapi/v2", accept=protobuf)
    assert answer.header("content-type") == protobuf.replace("@", ".")
    assert answer.body == b"\n\x032.0"


async def test_the_root_lists_what_there_is(api: Api) -> None:
    paths = (await api.request("GET", "/")).json["paths"]
    assert {"/api/v1", "/apis/ferries.example/v1", "/openapi/v3", "/version"} <= set(paths)


async def test_who_asks_may_learn_who_they_are(api: Api) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    protobuf = "application/vnd.kubernetes.protobuf"
    answer = await api.request("POST", path, b"k8s\0", content_type=protobuf)
    assert answer.status == 201
    assert answer.json["status"]["userInfo"]["username"] == "skipper"
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    spec = {"resourceAttributes": {"verb": "get", "resource": "boats"}}
    review = (await api.request("POST", path, {"spec": spec})).json
    assert (review["spec"], review["status"]["allowed"]) == (spec, True)
