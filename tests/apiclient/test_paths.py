import pytest

from ferryman.apiclient.paths import Query, path, with_query
from ferryman.errors import UserError
from ferryman.kube.resources import DEPLOYMENTS, NAMESPACES, PODS


def test_the_paths_of_lists_objects_and_subresources() -> None:
    assert path(PODS) == "/api/v1/pods"
    assert path(PODS, "ns") == "/api/v1/namespaces/ns/pods"
    assert path(PODS, "ns", "a", "log") == "/api/v1/namespaces/ns/pods/a/log"
    assert path(DEPLOYMENTS, "ns", "a") == "/apis/apps/v1/namespaces/ns/deployments/a"
    assert path(NAMESPACES, "", "ns", "status") == "/api/v1/namespaces/ns/status"
    assert path(NAMESPACES, "ignored", "ns") == "/api/v1/namespaces/ns"


def test_a_name_never_leaves_its_place_in_the_path() -> None:
    assert path(PODS, "a/b", "c?d#é") == "/api/v1/namespaces/a%2Fb/pods/c%3Fd%23%C3%A9"
    for name in (".", ".."):
        with pytest.raises(UserError, match="not a name"):
            path(PODS, "ns", name)
        with pytest.raises(UserError, match="not a name"):
            path(PODS, name)


def test_a_query_has_only_what_is_said() -> None:
    assert with_query("/p", [("a", ""), ("b", 0), ("c", False), ("d", None)]) == "/p"
    said: Query = [("labelSelector", "a in (b,c)"), ("limit", 500), ("watch", True)]
    assert with_query("/p", said) == "/p?labelSelector=a+in+%28b%2Cc%29&limit=500&watch=true"
