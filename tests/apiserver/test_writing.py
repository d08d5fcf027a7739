"""POST, PUT, PATCH and DELETE over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferryman.api.resource import Object
from ferryman.api.status import NotFound
from ferryman.apiserver.bodies import MOST_BYTES
from tests.apiserver.test_protobuf import envelope, field
from tests.support.apiserver import BOATS, HARBOURS, Answer, Api, boat

ROOT = "/apis/ferries.example/v1"
LIST = f"{ROOT}/namespaces/default/boats"
ONE = f"{LIST}/kestrel"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def causes(answer: Answer) -> dict[str, str]:
    return {c["field"]: c["reason"] for c in answer.json["details"]["causes"]}


async def test_a_new_object_is_201_with_what_the_server_gave_it(api: Api) -> None:
    obj = boat("kestrel")
    del obj["metadata"]["namespace"], obj["kind"], obj["apiVersion"]
    answer = await api.request("POST", LIST, obj)
    assert answer.status == 201
    assert answer.json["kind"] == "Boat"
    assert answer.json["metadata"]["namespace"] == "default"
    assert answer.json["metadata"]["uid"]
    assert answer.json == await api.store.get(BOATS, "kestrel", "default")
    again = await api.request("POST", LIST, obj)
    assert (again.status, again.json["reason"]) == (409, "AlreadyExists")


async def test_a_name_may_be_generated(api: Api) -> None:
    obj = boat("")
    obj["metadata"] = {"generateName": "gull-"}
    answer = await api.request("POST", LIST, obj)
    assert answer.status == 201
    assert answer.json["metadata"]["name"].startswith("gull-")


async def test_yaml_is_read_as_well(api: Api) -> None:
    text = b"kind: Boat\nmetadata: {name: kestrel}\nspec: {captain: on}"
    answer = await api.request("POST", LIST, text, content_type="application/yaml")
    assert answer.json["spec"]["captain"] == "on"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"{", "application/json", 400, "JSON"),
        (b"[" * 100_000, "application/json", 400, ""),
        (b"[]", "application/json", 400, "an object expected"),
        (b"\xff\xfe", "application/json", 400, "JSON"),
        (b"a: [", "application/yaml", 400, "YAML"),
        (b'{"metadata":[]}', "application/json", 400, "metadata"),
        (b'{"metadata":{"namespace":"other"}}', "application/json", 400, "does not match"),
        (b'{"kind":"Harbour","metadata":{"name":"x"}}', "application/json", 400, "kind"),
        (b"x", "text/plain", 415, "unknown format"),
        (b"k8s\0", "application/vnd.kubernetes.protobuf", 415, "protobuf"),
        (b"", "application/json", 400, "JSON"),
    ],
)
async def test_a_body_that_is_no_object_is_refused(
    api: Api, body: bytes, content_type: str, status: int, words: str
) -> None:
    headers = {"content_length": "0"} if not body else {}
    answer = await api.request("POST", LIST, body, content_type=content_type, **headers)
    assert answer.status == status
    assert words in answer.json["message"]


async def test_a_body_beyond_the_limit_is_413_before_it_is_read(api: Api) -> None:
    async with api.connection() as connection:
        sent = f"POST {LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-for-tests\r\n"
        connection.writer.write(f"{sent}Content-Length: {MOST_BYTES + 1}\r\n\r\n".encode())
        assert (await connection.reader.readline()).startswith(b"HTTP/1.1 413")


async def test_a_body_of_unknown_length_has_the_same_limit(api: Api) -> None:
    async with api.connection() as connection:
        sent = f"POST {LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-for-tests\r\n"
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        connection.writer.write(f"{sent}Transfer-Encoding: chunked\r\n\r\n".encode())

        async def send() -> None:
            while True:
                connection.writer.write(chunk)
                await connection.writer.drain()

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            assert (await connection.reader.readline()).startswith(b"HTTP/1.1 413")
            sending.cancel()


async def test_every_cause_is_said_at_once(api: Api) -> None:
    obj = boat("kestrel", captain="", berths=[{"name": "a", "beds": 0}, {"name": "b", "beds": 0}])
    answer = await api.request("POST", LIST, obj)
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert causes(answer) == {
        "spec.captain": "FieldValueRequired",
        "spec.berths[0].beds": "FieldValueInvalid",
        "spec.berths[1].beds": "FieldValueInvalid",
    }


TWICE = b'{"metadata":{"name":"kestrel"},"spec":{"captain":"Bo","captain":"Ann","colour":"red"}}'


async def test_strict_validation_refuses_unknown_and_duplicate_fields(api: Api) -> None:
    answer = await api.request("POST", f"{LIST}?fieldValidation=Strict", TWICE)
    assert answer.status == 400
    assert answer.json["message"].endswith(
        'strict decoding error: duplicate field "captain", unknown field "spec.colour"'
    )


async def test_otherwise_they_are_a_warning_or_nothing(api: Api) -> None:
    answer = await api.request("POST", LIST, TWICE)
    assert answer.status == 201
    assert '299 - "duplicate field \\"captain\\""' in answer.header("warning")
    assert '299 - "unknown field \\"spec.colour\\""' in answer.header("warning")
    path = f"{ONE}?fieldValidation=Ignore"
    answer = await api.request(
        "PATCH", path, {"spec": {"colour": "blue\r\nX: y"}}, content_type=MERGE
    )
    assert not answer.header("warning")
    hostile = {"spec": {'c"o\r\nX: y\u2028': 1}}
    answer = await api.request("PATCH", ONE, hostile, content_type=MERGE)
    assert answer.header("warning") == '299 - "unknown field \\"spec.c\\"o??X: y?\\""'


async def test_a_refused_object_warns_too(api: Api) -> None:
    answer = await api.request("POST", LIST, {"metadata": {"name": "x"}, "spec": {"captian": ""}})
    assert answer.status == 422
    assert "captian" in answer.header("warning")


async def test_strict_patches_are_held_against_the_schema_too(api: Api) -> None:
    await api.store.create(BOATS, boat("kestrel"))
    path = f"{ONE}?fieldValidation=Strict"
    removed: Object = {"spec": {"colour": None, "$setElementOrder/berths": [], "captain": "Bo"}}
    assert (await api.request("PATCH", path, removed, content_type=STRATEGIC)).status == 200
    unknown = {"spec": {"colour": "red"}}
    assert (await api.request("PATCH", path, unknown, content_type=STRATEGIC)).status == 400


async def test_an_update_needs_the_version_that_was_read(api: Api) -> None:
    obj = await api.store.create(BOATS, boat("kestrel"))
    obj["spec"]["captain"] = "Bo"
    answer = await api.request("PUT", ONE, obj)
    assert (answer.status, answer.json["metadata"]["generation"]) == (200, 2)
    stale = await api.request("PUT", ONE, obj)
    assert (stale.status, stale.json["reason"]) == (409, "Conflict")
    obj["metadata"]["name"] = "gull"
    assert (await api.request("PUT", ONE, obj)).status == 400
    assert (await api.request("PUT", f"{LIST}/gull", obj)).status == 404


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (MERGE, {"spec": {"captain": "Bo"}}),
        (STRATEGIC, {"spec": {"captain": "Bo"}}),
        (
            "application/json-patch+json",
            [{"op": "replace", "path": "/spec/captain", "value": "Bo"}],
        ),
    ],
)
async def test_every_kind_of_patch_changes_what_it_says(
    api: Api, content_type: str, patch: Any
) -> None:
    await api.store.create(BOATS, boat("kestrel", berths=[{"name": "bow"}]))
    answer = await api.request("PATCH", ONE, patch, content_type=content_type)
    assert answer.status == 200
    assert answer.json["spec"]["captain"] == "Bo"
    assert answer.json["spec"]["berths"] == [{"name": "bow"}]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (MERGE, b"[]", 400),
        (MERGE, b"{", 400),
        (STRATEGIC, b"3", 400),
        ("application/json-patch+json", b"{}", 400),
        ("application/json-patch+json", b"[" + b"{}," * 10_000 + b"{}]", 413),
        ("application/json", b"{}", 415),
        ("", b"{}", 415),
        ("application/apply-patch+yaml", b"spec: {}", 422),
    ],
)
async def test_what_is_no_patch_is_refused(
    api: Api, content_type: str, body: bytes, status: int
) -> None:
    await api.store.create(BOATS, boat("kestrel"))
    answer = await api.request("PATCH", ONE, body, content_type=content_type)
    assert answer.status == status


async def test_status_is_written_beside_the_rest(api: Api) -> None:
    obj = await api.store.create(BOATS, boat("kestrel"))
    change = {"spec": {"captain": "Bo"}, "status": {"afloat": True}}
    patched = await api.request("PATCH", f"{ONE}/status", change, content_type=MERGE)
    assert patched.json["status"] == {"afloat": True}
    assert patched.json["spec"] == obj["spec"]
    put = {**patched.json, "status": {"afloat": False}}
    assert (await api.request("PUT", f"{ONE}/status", put)).json["status"] == {"afloat": False}
    ignored = await api.request("PATCH", ONE, {"status": {"afloat": 1}}, content_type=MERGE)
    assert ignored.json["status"] == {"afloat": False}


async def test_scale_changes_the_replicas(api: Api) -> None:
    await api.store.create(BOATS, boat("kestrel"))
    answer = await api.request(
        "PATCH", f"{ONE}/scale", {"spec": {"replicas": 4}}, content_type=MERGE
    )
    assert (answer.json["kind"], answer.json["spec"]) == ("Scale", {"replicas": 4})
    scale = {**answer.json, "spec": {"replicas": 5}}
    assert (await api.request("PUT", f"{ONE}/scale", scale)).status == 200
    assert (await api.request("PUT", f"{ONE}/scale", scale)).status == 409
    assert (await api.store.get(BOATS, "kestrel", "default"))["spec"]["replicas"] == 5


async def test_a_dry_run_leaves_no_trace(api: Api) -> None:
    answer = await api.request("POST", f"{LIST}?dryRun=All", boat("kestrel"))
    assert answer.status == 201
    with pytest.raises(NotFound):
        await api.store.get(BOATS, "kestrel", "default")
    await api.store.create(BOATS, boat("kestrel"))
    change = {"spec": {"captain": "Bo"}}
    answer = await api.request("PATCH", f"{ONE}?dryRun=All", change, content_type=MERGE)
    assert answer.json["spec"]["captain"] == "Bo"
    assert (await api.request("DELETE", f"{ONE}?dryRun=All")).status == 200
    assert (await api.request("DELETE", ONE, {"dryRun": ["All"]})).status == 200
    assert (await api.store.get(BOATS, "kestrel", "default"))["spec"]["captain"] == "Ann"


async def test_a_deleted_object_is_a_status_with_its_uid(api: Api) -> None:
    obj = await api.store.create(BOATS, boat("kestrel"))
    answer = await api.request("DELETE", ONE)
    assert answer.json["status"] == "Success"
    assert answer.json["details"]["uid"] == obj["metadata"]["uid"]
    assert (await api.request("DELETE", ONE)).status == 404


async def test_an_object_that_something_holds_is_answered_with_itself(api: Api) -> None:
    obj = boat("kestrel")
    obj["metadata"]["finalizers"] = ["ferries.example/unload"]
    await api.store.create(BOATS, obj)
    answer = await api.request("DELETE", ONE, {"propagationPolicy": "Background"})
    assert (answer.status, answer.json["kind"]) == (200, "Boat")
    assert answer.json["metadata"]["deletionTimestamp"]


async def test_preconditions_hold_or_it_is_a_conflict(api: Api) -> None:
    obj = await api.store.create(BOATS, boat("kestrel"))
    refused = await api.request("DELETE", ONE, {"preconditions": {"uid": "another"}})
    assert (refused.status, refused.json["reason"]) == (409, "Conflict")
    options = envelope(field(2, field(1, obj["metadata"]["uid"])))
    protobuf = "application/vnd.kubernetes.protobuf"
    assert (await api.request("DELETE", ONE, options, content_type=protobuf)).status == 200


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", {"propagationPolicy": "Sideways"}, 422),
        ("", {"gracePeriodSeconds": "soon"}, 400),
        ("", {"preconditions": []}, 400),
        ("", {"dryRun": ["Some"]}, 422),
        ("", [], 400),
        ("?gracePeriodSeconds=soon", None, 400),
        ("?propagationPolicy=Sideways", None, 422),
    ],
)
async def test_delete_options_that_make_no_sense_delete_nothing(
    api: Api, query: str, body: Any, status: int
) -> None:
    await api.store.create(BOATS, boat("kestrel"))
    assert (await api.request("DELETE", f"{ONE}{query}", body)).status == status
    await api.store.get(BOATS, "kestrel", "default")


async def test_orphans_are_asked_for_in_the_query_or_the_body(api: Api) -> None:
    for name, query, body in (
        ("a", "?propagationPolicy=Orphan", None),
        ("b", "?orphanDependents=true", None),
        ("c", "", {"orphanDependents": True}),
    ):
        await api.store.create(BOATS, boat(name))
        answer = await api.request("DELETE", f"{LIST}/{name}{query}", body)
        assert answer.json["metadata"]["finalizers"] == ["orphan"]


async def test_a_collection_is_deleted_by_its_selector(api: Api) -> None:
    for i in range(3):
        await api.store.create(BOATS, boat(f"b{i}", "Ann" if i else "Bo"))
    await api.store.create(HARBOURS, {"metadata": {"name": "dover"}})
    answer = await api.request("DELETE", f"{LIST}?fieldSelector=spec.captain%3DAnn")
    assert [obj["metadata"]["name"] for obj in answer.json["items"]] == ["b1", "b2"]
    assert [o["metadata"]["name"] for o in (await api.store.list(BOATS)).items] == ["b0"]
    assert (await api.request("DELETE", f"{ROOT}/harbours")).status == 200
    assert (await api.store.list(HARBOURS)).items == ()
