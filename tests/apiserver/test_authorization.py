import pytest

from ferryman.api.scheme import Scheme
from ferryman.apiserver.authentication import User
from ferryman.apiserver.authorization import Attributes, attributes, refusal
from ferryman.demo.kinds import SCHEME
from ferryman.kube.rbac import Rule, missing

PODS = "/api/v1/namespaces/shop/pods"


def asked(method: str, path: str, query: bytes = b"", kinds: Scheme = SCHEME) -> Attributes | None:
    return attributes(kinds, {"method": method, "path": path, "query_string": query})


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "resource"),
    [
        ("GET", PODS, b"", "list", "pods"),
        ("GET", PODS, b"limit=1&watch=true", "watch", "pods"),
        ("GET", f"{PODS}/x", b"", "get", "pods"),
        ("POST", PODS, b"", "create", "pods"),
        ("PUT", f"{PODS}/x/status", b"", "update", "pods/status"),
        ("PATCH", f"{PODS}/x", b"", "patch", "pods"),
        ("DELETE", f"{PODS}/x", b"", "delete", "pods"),
        ("DELETE", PODS, b"", "deletecollection", "pods"),
        ("POST", f"{PODS}/x/portforward", b"", "create", "pods/portforward"),
    ],
)
def test_what_a_request_does_is_told_as_rbac_has_it(
    method: str, path: str, query: bytes, verb: str, resource: str
) -> None:
    found = asked(method, path, query)
    assert found is not None
    assert (found.verb, found.resource, found.namespace) == (verb, resource, "shop")


@pytest.mark.parametrize("path", ["/version", "/api", "/apis/apps/v1", "/demo/stats", "/nonsense"])
def test_what_is_about_no_object_needs_no_rule(path: str) -> None:
    assert asked("GET", path) is None


@pytest.mark.parametrize(
    ("attributes", "rule"),
    [
        (Attributes("list", "", "pods", "shop"), Rule(("list",), "pods", "", "shop")),
        (
            Attributes("create", "", "pods/portforward", "shop", "x"),
            Rule(("create",), "pods/portforward", "", "shop"),
        ),
        (Attributes("get", "apps", "deployments"), Rule(("get",), "deployments", "apps", "")),
    ],
)
def test_a_refusal_names_the_rule_that_is_missing(attributes: Attributes, rule: Rule) -> None:
    error = refusal(User("somebody"), attributes)
    assert missing(error.message) == rule
    assert error.code == 403
