"""Query parameters, as Kubernetes reads them."""

from __future__ import annotations

import pytest

from ferryman.api.selectors import Requirement
from ferryman.api.status import ApiError, BadRequest, Invalid
from ferryman.apiserver.parameters import dry_run, list_options, propagation, write_options
from ferryman.errors import UserError

WAIT = {
    "watch": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
    "timeoutSeconds": "30",
}


def test_nothing_said_is_a_plain_list() -> None:
    options = list_options({})
    assert (options.watch, options.limit, options.timeout, options.exact) == (False, 0, 0, False)
    assert options.include == "Metadata"


def test_kubectl_wait_asks_for_initial_events_and_bookmarks() -> None:
    options = list_options(WAIT)
    assert options.watch
    assert options.initial_events
    assert options.bookmarks
    assert options.timeout == 30


def test_a_name_in_the_path_is_one_more_field_to_match() -> None:
    options = list_options({"fieldSelector": "metadata.namespace=n"}, frozenset(), "x")
    assert options.selector.fields[-1] == Requirement("metadata.name", "in", ("x",))


@pytest.mark.parametrize("truth", ["true", "1", "", "True", "yes"])
def test_a_flag_is_true_unless_it_says_otherwise(truth: str) -> None:
    assert list_options({"watch": truth}).watch


@pytest.mark.parametrize("lie", ["false", "0", "False"])
def test_a_flag_may_say_otherwise(lie: str) -> None:
    assert not list_options({"watch": lie}).watch


def test_only_what_a_kind_says_may_be_selected_by() -> None:
    query = {"fieldSelector": "spec.captain=Ann,metadata.name!=x"}
    assert len(list_options(query, frozenset({"spec.captain"})).selector.fields) == 2
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.captain"):
        list_options(query)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": "many"}, BadRequest),
        ({"limit": "-1"}, BadRequest),
        ({"limit": "9" * 19}, BadRequest),
        ({"timeoutSeconds": "1.5"}, BadRequest),
        ({"labelSelector": "a in b"}, UserError),
        ({"labelSelector": "a" * 20_000}, BadRequest),
        ({"fieldSelector": "metadata.name in (x)(", "watch": "1"}, UserError),
        ({"includeObject": "Everything"}, Invalid),
        ({"resourceVersionMatch": "Sometimes"}, Invalid),
        ({"resourceVersionMatch": "Exact"}, Invalid),
        ({"sendInitialEvents": "true"}, Invalid),
        ({"watch": "1", "sendInitialEvents": "true"}, Invalid),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, Invalid),
    ],
)
def test_what_makes_no_sense_is_refused(query: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        list_options(query)


def test_a_write_names_its_manager_or_is_its_programs() -> None:
    assert write_options({"fieldManager": "me"}, "kubectl/v1.37 (linux)").manager == "me"
    assert write_options({}, "kubectl/v1.37 (linux)").manager == "kubectl"
    assert write_options({}).validation == "Warn"
    assert write_options({"fieldValidation": "Strict"}).validation == "Strict"
    with pytest.raises(Invalid, match='supported values: "Warn", "Ignore", "Strict"'):
        write_options({"fieldValidation": "Maybe"})


def test_a_dry_run_is_all_or_nothing() -> None:
    assert dry_run("All")
    assert not dry_run("")
    with pytest.raises(ApiError, match="dryRun") as refused:
        dry_run("Some")
    assert refused.value.causes[0].reason == "FieldValueNotSupported"


def test_propagation_has_an_older_name_too() -> None:
    assert propagation("") == "Background"
    assert propagation("", orphan=True) == "Orphan"
    assert propagation("Foreground", orphan=True) == "Foreground"
    with pytest.raises(Invalid):
        propagation("Sideways")
