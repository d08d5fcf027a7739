"""What a URL path means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.status import NotFound
from ferryman.apiserver.paths import Target, resolve
from tests.support.apiserver import BOAT, HARBOUR, NAMESPACE, SCHEME

ROOT = "/apis/ferries.example/v1"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (f"{ROOT}/boats", Target(BOAT)),
        (f"{ROOT}/boats/", Target(BOAT)),
        (f"{ROOT}/namespaces/n/boats", Target(BOAT, "n")),
        (f"{ROOT}/namespaces/n/boats/b", Target(BOAT, "n", "b")),
        (f"{ROOT}/namespaces/n/boats/b/status", Target(BOAT, "n", "b", "status")),
        (f"{ROOT}/namespaces/n/boats/b/anything", Target(BOAT, "n", "b", "anything")),
        (f"{ROOT}/harbours", Target(HARBOUR)),
        (f"{ROOT}/harbours/h", Target(HARBOUR, "", "h")),
        (f"{ROOT}/harbours/namespaces/h", Target(HARBOUR, "", "namespaces", "h")),
        ("/api/v1/namespaces", Target(NAMESPACE)),
        ("/api/v1/namespaces/n", Target(NAMESPACE, "", "n")),
        ("/api/v1/namespaces/n/status", Target(NAMESPACE, "", "n", "status")),
        ("/api/v1/namespaces/n/finalize", Target(NAMESPACE, "", "n", "finalize")),
    ],
)
def test_a_path_means_a_list_an_object_or_a_subresource(path: str, target: Target) -> None:
    assert resolve(SCHEME, path) == target


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/metrics",
        "/api",
        "/api/v1",
        "/api/v2/namespaces",
        "/apis",
        "/apis//v1/namespaces",
        ROOT,
        f"{ROOT}/planes",
        f"{ROOT}/boats/b",
        f"{ROOT}/namespaces/n",
        f"{ROOT}/namespaces/n/harbours",
        f"{ROOT}/namespaces/n/harbours/h",
        f"{ROOT}/namespaces//boats/b",
        f"{ROOT}/namespaces/n/boats//status",
        f"{ROOT}/namespaces/n/boats/b/status/more",
        "/apis/ferries.example/v2/boats",
    ],
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound, match="could not find the requested resource"):
        resolve(SCHEME, path)


@given(st.lists(st.sampled_from(["", "apis", "api", "v1", "namespaces", "boats", "x", "status"])))
def test_any_path_is_found_or_not(parts: list[str]) -> None:
    try:
        target = resolve(SCHEME, "/".join(parts))
    except NotFound:
        return
    assert bool(target.subresource) <= bool(target.name)
    assert not target.namespace or target.kind.resource.namespaced
