"""KubernetesDiscovery: Tilt's acceptance list, and the defects that are not to come back.

Where our design does more than Tilt's, the case is kept and its docstring says what holds instead.
Not here: ``a log stream per pod, removed with it``. PodLogStream is a kind of its own, and comes
with the kinds of logs; a template for it is accepted and kept (tests/api/kinds/test_tilt_kinds.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferryman.api.kinds.annotations import VIEW
from ferryman.api.kinds.cluster import CLUSTERS
from ferryman.api.kinds.kubernetesdiscovery import (
    KUBERNETES_DISCOVERIES,
    Expression,
    LabelSelector,
    Running,
    Watch,
)
from ferryman.api.kinds.portforward import PORT_FORWARDS, Forward, spec_of
from ferryman.api.kinds.relay import RELAYS, Discovery, Hold, Target
from ferryman.api.status import Forbidden
from ferryman.controllers.kubernetesdiscovery.reconciler import AGAIN
from ferryman.errors import Unavailable
from ferryman.kube.resources import DEPLOYMENTS, PODS, REPLICASETS
from tests.support.tilt import FIRST_RANDOM, World, running

ONE = Forward(local_port=8080, container_port=8000)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as world:
        yield world


async def web(world: World, *names: str, **more: Any) -> Watch:
    """A deployment with pods of these names; how to watch it."""
    owner, owned = await world.cluster.deployment()
    for name in names:
        await world.cluster.pod(name, owner=owned, **more)
    await world.settle()
    return Watch(uid=owner["metadata"]["uid"], namespace="n", name="web")


# -- discovery and forwards --


async def test_a_template_makes_one_relay_and_the_port_forward_that_tilt_would_make(
    world: World,
) -> None:
    annotations = {"ferryman.dev/hold": "5s", "tilt.dev/resource": "web", "other": "x"}
    await world.discover("go", await web(world, "web-1"), forwards=[ONE], annotations=annotations)
    relay = await world.relay("go")
    assert relay.target == Target(discovery=Discovery(name="go"))
    assert relay.hold == Hold(timeout="5s")
    assert world.plane.bound == {"go": {"127.0.0.1:8080", "[::1]:8080"}}
    assert world.plane.leads("go/forward-1") == {"web-1:8000": "Active"}
    assert await world.forwards() == ["go-web-1"]
    view = await world.store.get(PORT_FORWARDS, "go-web-1")
    shown = spec_of(view)
    assert (shown.pod_name, shown.namespace, shown.cluster) == ("web-1", "n", "default")
    assert shown.forwards == (ONE,)
    assert view["metadata"]["annotations"] == {VIEW: "go", "tilt.dev/resource": "web"}
    [status] = await world.statuses("go-web-1")
    assert (status.local_port, status.addresses) == (8080, ("127.0.0.1", "::1"))
    assert status.error == ""
    assert await world.relay_names() == ["go"]  # the view binds nothing itself


async def test_a_changed_template_changes_both(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    first = (await world.store.get(PORT_FORWARDS, "go-web-1"))["metadata"]["uid"]
    forwards = [{"localPort": 8080, "containerPort": 8001}, {"localPort": 8082, "name": "b"}]
    await world.change("go", {"portForwardTemplateSpec": {"forwards": forwards}})
    assert world.plane.leads("go/forward-1") == {"web-1:8001": "Active"}
    view = await world.store.get(PORT_FORWARDS, "go-web-1")
    assert view["metadata"]["uid"] == first
    assert [f.container_port for f in spec_of(view).forwards] == [8001, 8000]
    assert [s.local_port for s in await world.statuses("go-web-1")] == [8080, 8082]


async def test_it_is_idempotent(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    names = [(KUBERNETES_DISCOVERIES, "go"), (RELAYS, "go"), (PORT_FORWARDS, "go-web-1")]
    before = [await world.store.get(*name) for name in names]
    await world.settle(3600)
    await world.cluster.say("web-1")
    await world.store.patch(
        KUBERNETES_DISCOVERIES, "go", "merge", {"metadata": {"labels": {"a": "b"}}}
    )
    await world.settle()
    after = [await world.store.get(*name) for name in names]
    assert [o.get("spec") for o in after] == [o.get("spec") for o in before]
    assert [o.get("status") for o in after] == [o.get("status") for o in before]
    assert after[1:] == before[1:]


async def test_a_template_that_is_removed_takes_both_away(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    await world.change("go", {"portForwardTemplateSpec": None})
    assert await world.forwards() == []
    assert await world.relay_names() == []
    assert world.plane.bound == {}
    assert await world.pods("go") == ["web-1"]


async def test_a_deleted_owner_takes_both_away(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    await world.store.delete(KUBERNETES_DISCOVERIES, "go")
    await world.settle()
    assert await world.forwards() == []
    assert await world.relay_names() == []
    assert world.plane.bound == {}
    assert world.cluster.watching == []


async def test_there_is_no_forward_while_the_pod_is_pending(world: World) -> None:
    """The PortForward is not there, as in Tilt; the Relay listens already, so that a browser that
    is too early waits and is not turned away.
    """
    watch = await web(world, "web-1", phase="Pending", ready=False)
    await world.discover("go", watch, forwards=[ONE])
    assert await world.forwards() == []
    assert world.plane.bound == {"go": {"127.0.0.1:8080", "[::1]:8080"}}
    assert world.plane.leads("go/forward-1") == {}
    await world.cluster.say("web-1")
    await world.settle()
    assert await world.forwards() == ["go-web-1"]
    assert world.plane.leads("go/forward-1") == {"web-1:8000": "Active"}


# -- discovery --


async def test_a_pod_is_found_by_its_exact_uid(world: World) -> None:
    uid = await world.cluster.pod("web-1")
    await world.cluster.pod("web-2")
    await world.discover("go", Watch(uid=uid, namespace="n"))
    [pod] = (await world.found("go")).pods
    assert (pod.name, pod.uid, pod.ancestor_uid, pod.owner) == ("web-1", uid, uid, None)


async def test_ancestor_and_owner_are_filled_in_and_another_uid_clears(world: World) -> None:
    watch = await web(world, "web-1")
    await world.discover("go", watch)
    found = await world.found("go")
    assert found.running == Running(start_time="2026-01-01T00:00:00Z")
    assert found.monitor_start_time == "2026-01-01T00:00:00.000000Z"
    assert found.waiting is None
    [pod] = found.pods
    assert pod.ancestor_uid == watch.uid
    assert pod.owner is not None
    assert (pod.owner.kind, pod.owner.name, pod.owner.api_version) == (
        "ReplicaSet", "web-1", "apps/v1",
    )  # fmt: skip
    assert pod.owner.creation_timestamp == "2026-01-01T00:00:00Z"
    await world.settle(5)
    await world.change("go", {"watches": [{"uid": "another", "namespace": "n"}]})
    found = await world.found("go")
    assert found.pods == ()
    assert found.monitor_start_time == "2026-01-01T00:00:05.000000Z"


async def test_a_pod_that_was_seen_before_the_spec_is_found(world: World) -> None:
    uid = await world.cluster.pod("web-1")
    await world.discover("early", Watch(uid="x", namespace="n"))  # its watch sees the pod
    assert await world.pods("early") == []
    await world.discover("late", Watch(uid=uid, namespace="n"))
    assert await world.pods("late") == ["web-1"]
    await world.change("early", {"watches": [{"uid": uid, "namespace": "n"}]})
    assert await world.pods("early") == ["web-1"]


async def test_a_selector_needs_all_its_labels_and_an_ancestor_wins(world: World) -> None:
    watch = await web(world, "owned", labels={"app": "x", "tier": "back"})
    await world.cluster.pod("both", labels={"app": "x", "tier": "back"})
    await world.cluster.pod("one", labels={"app": "x"})
    both = LabelSelector(
        match_labels={"app": "x"},
        match_expressions=(Expression(key="tier", operator="In", values=("back", "mid")),),
    )
    await world.discover("go", watch, extra_selectors=(both,))
    found = {pod.name: pod.ancestor_uid for pod in (await world.found("go")).pods}
    assert found == {"owned": watch.uid, "both": ""}


async def test_selectors_are_asked_again_when_labels_or_selectors_change(world: World) -> None:
    await world.cluster.pod("web-1", labels={"app": "y"})
    selector = LabelSelector(match_labels={"app": "x"})
    await world.discover("go", Watch(namespace="n"), extra_selectors=(selector,))
    assert await world.pods("go") == []
    for label, found in (("x", ["web-1"]), ("y", []), ("x", ["web-1"])):
        body = {"metadata": {"labels": {"app": label}}}
        await world.cluster.store.patch(PODS, "web-1", "merge", body, "n")
        await world.settle()
        assert await world.pods("go") == found
    await world.change("go", {"extraSelectors": [{"matchLabels": {"app": "z"}}]})
    assert await world.pods("go") == []


async def test_one_pod_may_be_in_two_discoveries(world: World) -> None:
    watch = await web(world, "web-1")
    await world.discover("a", watch)
    await world.discover("b", watch)
    await world.cluster.say("web-1", ready=False)
    await world.settle()
    for name in ("a", "b"):
        [pod] = (await world.found(name)).pods
        assert [c.status for c in pod.conditions] == ["False"]
    assert world.cluster.watching == [("pods", "n")]
    await world.store.delete(KUBERNETES_DISCOVERIES, "a")
    await world.settle()
    assert world.cluster.watching == [("pods", "n")]
    assert await world.pods("b") == ["web-1"]


async def test_a_managed_forward_resolves_its_port_and_goes_with_the_pod(world: World) -> None:
    watch = await web(world, "web-1", ports=(9000, 8081))
    forwards = [Forward(local_port=8080), Forward(local_port=8081), Forward()]
    await world.discover("go", watch, forwards=forwards)
    [view] = (await world.store.list(PORT_FORWARDS)).items
    assert [f.container_port for f in spec_of(view).forwards] == [9000, 8081, 9000]
    leads = [world.plane.leads(f"go/forward-{n}") for n in (1, 2, 3)]
    assert [list(lead) for lead in leads] == [["web-1:9000"], ["web-1:8081"], ["web-1:9000"]]
    statuses = await world.statuses("go-web-1")
    assert [s.local_port for s in statuses] == [8080, 8081, FIRST_RANDOM]
    assert [s.container_port for s in statuses] == [9000, 8081, 9000]
    await world.cluster.gone("web-1")
    await world.settle()
    assert await world.forwards() == []
    assert "go" in world.plane.bound  # the listener waits for the next pod


async def test_a_port_that_no_pod_documents_is_the_local_one(world: World) -> None:
    watch = await web(world, "web-1", ports=())
    await world.discover("go", watch, forwards=[Forward(local_port=8080), Forward()])
    assert world.plane.leads("go/forward-1") == {"web-1:8080": "Active"}
    [view] = (await world.store.list(PORT_FORWARDS)).items
    assert [f.container_port for f in spec_of(view).forwards] == [8080]
    relay = await world.store.get(RELAYS, "go")
    assert "documents no port" in relay["status"]["ports"][1]["error"]


async def test_a_cluster_error_is_waiting_and_what_was_known_stays_in_use(world: World) -> None:
    """Tilt forgets the pods of a cluster that is in error. Ours stay known, because connections to
    them may work on, and the Relay has nothing else to go by.
    """
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    world.cluster.fail()
    await world.settle()
    found = await world.found("go")
    assert found.waiting is not None
    assert found.waiting.reason == "ClusterUnavailable"
    assert found.running is None
    assert await world.pods("go") == ["web-1"]
    assert world.plane.leads("go/forward-1") == {"web-1:8000": "Active"}
    assert await world.errors("go-web-1") == ["the connection broke"]
    world.cluster.heal()
    await world.settle(6)
    found = await world.found("go")
    assert found.waiting is None
    assert found.running == Running(start_time="2026-01-01T00:00:00Z")
    assert await world.errors("go-web-1") == [""]


async def test_a_cluster_that_is_missing_is_waiting_and_its_coming_noticed_at_once(
    world: World,
) -> None:
    await world.discover("go", Watch(namespace="n", name="web-1"), cluster="west", forwards=[ONE])
    found = await world.found("go")
    assert found.waiting is not None
    relay = await world.store.get(RELAYS, "go")
    said = {c["type"]: c["message"] for c in relay["status"]["conditions"]}
    assert said["Reachable"] == 'clusters.tilt.dev "west" not found'
    west = await world.named("west", "w")
    await west.pod("web-1")
    await world.settle()
    assert (await world.found("go")).waiting is None
    assert await world.pods("go") == ["web-1"]
    assert world.plane.leads("go/forward-1") == {"web-1:8000": "Active"}
    await world.store.delete(CLUSTERS, "west")
    await world.settle()
    assert (await world.found("go")).waiting is not None
    assert "go" in world.plane.bound


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_completed_and_deleted_pod_is_kept_while_it_is_alone(
    world: World, phase: str
) -> None:
    watch = await web(world, "job-1")
    await world.discover("go", watch, forwards=[ONE])
    await world.cluster.say("job-1", phase=phase)
    await world.settle()
    await world.cluster.gone("job-1")
    await world.settle()
    [pod] = (await world.found("go")).pods
    assert (pod.name, pod.phase) == ("job-1", phase)
    assert await world.forwards() == []
    owned = await world.cluster.store.get(REPLICASETS, "web-1", "n")
    await world.cluster.pod("job-2", owner=owned)
    await world.settle()
    assert await world.pods("go") == ["job-2"]


async def test_a_completed_and_deleted_pod_of_another_spec_is_not_kept(world: World) -> None:
    selector = LabelSelector(match_labels={"app": "web"})
    await world.cluster.pod("job-1", phase="Succeeded")
    await world.discover("go", Watch(namespace="n"), extra_selectors=(selector,))
    await world.cluster.gone("job-1")
    await world.settle()
    assert await world.pods("go") == ["job-1"]
    await world.change("go", {"extraSelectors": [{"matchLabels": {"app": "other"}}]})
    assert await world.pods("go") == []


async def test_a_pod_that_ran_and_was_deleted_is_not_kept(world: World) -> None:
    await world.discover("go", await web(world, "web-1"))
    await world.cluster.gone("web-1")
    await world.settle()
    assert await world.pods("go") == []


# -- the defects --


async def test_selectors_match_no_pods_of_namespaces_that_others_watch(world: World) -> None:
    await world.cluster.pod("mine", namespace="n")
    await world.cluster.pod("theirs", namespace="default")
    selector = LabelSelector(match_labels={"app": "web"})
    await world.discover("b", Watch(namespace="default"), extra_selectors=(selector,))
    await world.discover("a", Watch(namespace="n"), extra_selectors=(selector,))
    assert await world.pods("a") == ["mine"]
    assert await world.pods("b") == ["theirs"]
    await world.discover("none", extra_selectors=(selector,))  # the cluster's default namespace
    assert await world.pods("none") == ["mine"]


async def test_a_deleted_pod_is_told_from_its_namesake_in_another_cluster(world: World) -> None:
    west = await world.named("west", "w")
    await world.cluster.pod("web-1")
    await west.pod("web-1")
    watch = Watch(namespace="n", name="web-1")
    await world.discover("east", watch, forwards=[ONE])
    await world.discover("west", watch, cluster="west", forwards=[Forward(local_port=8081)])
    await world.cluster.gone("web-1")
    await world.settle()
    assert await world.pods("east") == []
    assert await world.pods("west") == ["web-1"]
    assert await world.forwards() == ["west-web-1"]
    assert world.plane.leads("west/forward-1") == {"web-1:8000": "Active"}


async def test_the_forward_moves_to_a_new_pod_only_when_that_is_ready(world: World) -> None:
    """Tilt moves to the newest at once, and fails 20 requests in a rollout."""
    watch = await web(world, "web-1")
    await world.discover("go", watch, forwards=[ONE])
    owned = await world.cluster.store.get(REPLICASETS, "web-1", "n")
    await world.settle(10)
    await world.cluster.pod("web-2", owner=owned, ready=False)
    await world.settle()
    assert await world.pods("go") == ["web-1", "web-2"]
    assert await world.forwards() == ["go-web-1"]
    assert world.plane.leads("go/forward-1") == {"web-1:8000": "Active"}
    await world.cluster.say("web-2")
    await world.settle()
    assert await world.forwards() == ["go-web-2"]
    assert list(world.plane.leads("go/forward-1")) == ["web-2:8000", "web-1:8000"]
    await world.cluster.leave("web-2")
    await world.settle()
    assert world.plane.leads("go/forward-1") == {
        "web-1:8000": "Active", "web-2:8000": "Draining",
    }  # fmt: skip
    assert await world.forwards() == ["go-web-1"]


async def test_of_equals_the_greatest_name_is_the_best_as_in_tilt(world: World) -> None:
    await world.discover("go", await web(world, "web-1", "web-3", "web-2"), forwards=[ONE])
    assert await world.forwards() == ["go-web-3"]
    assert next(iter(world.plane.leads("go/forward-1"))) == "web-3:8000"


async def test_a_pod_on_its_way_out_is_shown_while_there_is_no_other(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    await world.cluster.leave("web-1")
    await world.settle()
    assert await world.forwards() == ["go-web-1"]
    [pod] = (await world.found("go")).pods
    assert pod.deleting
    [error] = await world.errors("go-web-1")
    assert "going away" in error


# -- what is ours --


async def test_a_watch_without_uid_finds_a_workload_by_name_and_its_successor(
    world: World,
) -> None:
    await web(world, "web-1")
    await world.discover("go", Watch(namespace="n", name="web"), forwards=[ONE])
    assert await world.pods("go") == ["web-1"]
    await world.cluster.gone("web-1")
    await world.cluster.store.delete(DEPLOYMENTS, "web", "n")
    await world.cluster.store.delete(REPLICASETS, "web-1", "n")
    await web(world, "web-2")
    assert await world.pods("go") == ["web-2"]


async def test_owners_are_asked_once_for_all_pods(world: World) -> None:
    watch = await web(world, "web-1", "web-2", "web-3")
    await world.discover("a", watch)
    await world.discover("b", watch)
    assert world.cluster.requests.count("get replicasets") == 1
    assert world.cluster.requests.count("get deployments") == 1
    assert world.cluster.requests.count("list pods") == 1


async def test_owners_that_may_not_be_read_end_the_line_and_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    watch = await web(world, "web-1")
    world.cluster.refused["replicasets"] = Forbidden(
        'replicasets.apps "web-1" is forbidden: User "jane" cannot get resource "replicasets" in '
        'API group "apps" in the namespace "n"'
    )
    await world.discover("go", watch)
    assert await world.pods("go") == []
    assert "kubectl create role" in caplog.text
    owned = await world.cluster.store.get(REPLICASETS, "web-1", "n")
    await world.change("go", {"watches": [{"uid": owned["metadata"]["uid"], "namespace": "n"}]})
    assert await world.pods("go") == ["web-1"]


async def test_owners_that_cannot_be_asked_now_are_asked_again(world: World) -> None:
    watch = await web(world, "web-1")
    world.cluster.refused["replicasets"] = Unavailable("overloaded")
    await world.discover("go", watch)
    found = await world.found("go")
    assert found.waiting is not None
    world.cluster.refused.clear()
    await world.settle(AGAIN)
    assert await world.pods("go") == ["web-1"]


async def test_pods_that_may_not_be_read_are_said_with_the_rule_that_is_missing(
    world: World,
) -> None:
    watch = await web(world, "web-1")
    world.cluster.refused["pods"] = Forbidden(
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the '
        'namespace "n"'
    )
    await world.discover("go", watch, forwards=[ONE])
    found = await world.found("go")
    assert found.waiting is not None
    relay = await world.store.get(RELAYS, "go")
    said = {c["type"]: c for c in relay["status"]["conditions"]}
    assert said["Ready"]["reason"] == "Forbidden"
    assert 'user "jane" may not list pods' in said["Ready"]["message"]
    world.cluster.refused.clear()
    await world.settle(6)
    assert await world.errors("go-web-1") == [""]


async def test_a_relay_of_somebody_elses_is_left_alone_and_named(world: World) -> None:
    await world.forward("x", Forward(local_port=1, container_port=1))
    await world.discover("pf-x", await web(world, "web-1"), forwards=[ONE])
    assert await world.errors("pf-x-web-1") == [
        'relays.ferryman.dev "pf-x" exists already and belongs to somebody else'
    ]
    await world.store.delete(KUBERNETES_DISCOVERIES, "pf-x")
    await world.settle()
    assert await world.relay_names() == ["pf-x"]


async def test_the_global_switch_disables_discoveries_too() -> None:
    async with running(World(enabled=False)) as world:
        await world.discover("go", await web(world, "web-1"), forwards=[ONE])
        assert world.plane.bound == {}
        assert await world.errors("go-web-1") == ["suspended: nothing is listened on"]


async def test_a_view_that_somebody_deletes_or_changes_comes_back(world: World) -> None:
    await world.discover("go", await web(world, "web-1"), forwards=[ONE])
    await world.edit("go-web-1", podName="other")
    view = await world.store.get(PORT_FORWARDS, "go-web-1")
    assert spec_of(view).pod_name == "web-1"
    await world.store.delete(PORT_FORWARDS, "go-web-1")
    await world.settle()
    assert await world.forwards() == ["go-web-1"]


async def test_news_of_strangers_costs_nothing(world: World) -> None:
    await world.discover("go", await web(world, "web-1"))
    await world.cluster.pod("stranger", labels={"app": "x"})
    await world.settle()
    asked = len(world.cluster.requests)
    version = (await world.store.get(KUBERNETES_DISCOVERIES, "go"))["metadata"]["resourceVersion"]
    for ready in (True, False, True):
        await world.cluster.say("stranger", ready=ready)
        await world.settle()
    assert len(world.cluster.requests) == asked
    found = await world.store.get(KUBERNETES_DISCOVERIES, "go")
    assert found["metadata"]["resourceVersion"] == version
