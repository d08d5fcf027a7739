import pytest
import yaml

from ferryman.api.status import Forbidden
from ferryman.kube.rbac import Rule, explain, missing, needed
from ferryman.kube.targets import parse

LIST = (
    'pods is forbidden: User "jane" cannot list resource "pods" in API group "" '
    'in the namespace "shop"'
)
WIRE = (
    'pods "web-1" is forbidden: User "jane" cannot create resource "pods/portforward" '
    'in API group "" in the namespace "shop"'
)
CLUSTER = (
    'deployments.apps is forbidden: User "system:anonymous" cannot watch resource "deployments" '
    'in API group "apps" at the cluster scope'
)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (LIST, Rule(("list",), "pods", "", "shop")),
        (WIRE, Rule(("create",), "pods/portforward", "", "shop")),
        (CLUSTER, Rule(("watch",), "deployments", "apps", "")),
        ('admission webhook "no" denied the request', None),
    ],
)
def test_the_servers_sentence_names_the_rule(message: str, rule: Rule | None) -> None:
    assert missing(message) == rule


def test_what_is_suggested_has_all_the_verbs_that_the_forward_needs() -> None:
    error = explain(Forbidden(WIRE), needed(parse("deploy/web", "shop")))
    assert error.message == 'user "jane" may not create pods/portforward in the namespace "shop"'
    assert (
        "kubectl create role ferryman-pods-portforward -n shop"
        " --verb=get,create --resource=pods/portforward"
    ) in error.hint
    assert 'apiGroups: [""], resources: [pods/portforward], verbs: [get, create]' in error.hint


def test_a_rule_of_another_group_and_of_the_whole_cluster_is_named_in_full() -> None:
    error = explain(CLUSTER)
    assert error.message.endswith("may not watch deployments.apps in the whole cluster")
    assert "create clusterrole ferryman-deployments --verb=watch --resource=deployments.apps" in (
        error.hint
    )


def test_a_refusal_in_other_words_is_passed_on_with_what_is_needed() -> None:
    error = explain("denied by policy", needed(parse("web-0", "shop")))
    assert error.message == "the cluster refused it: denied by policy"
    assert "get, list, watch pods" in error.hint
    assert "get, create pods/portforward" in error.hint


def test_a_rule_is_valid_yaml() -> None:
    rule = Rule(("get", "create"), "pods/portforward", "", "shop")
    assert yaml.safe_load(rule.yaml()) == [
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}
    ]


def test_a_service_needs_reading_itself_a_pod_does_not_need_it_twice() -> None:
    assert [r.resource for r in needed(parse("svc/web", "shop"))] == [
        "services", "pods", "pods/portforward",
    ]  # fmt: skip
    assert [r.resource for r in needed(parse("web-0", "shop"))] == ["pods", "pods/portforward"]
