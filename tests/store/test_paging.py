from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ferryman.api.resource import Name, Object
from ferryman.api.status import ApiError, Expired
from ferryman.store.memory import MemoryStore
from ferryman.store.paging import decode_token, encode_token
from tests.support.object_client import WIDGETS, new_store, widget

T = TypeVar("T")
TEXT = st.text(max_size=20)


@given(st.integers(0, 2**60), TEXT, TEXT)
def test_a_token_brings_back_what_it_was_made_of(version: int, name: str, namespace: str) -> None:
    last = Name(name, namespace)
    token = encode_token(version, last)
    assert token.isascii()
    assert decode_token(token) == (version, last)


class PagingMachine(RuleBasedStateMachine):
    """Whatever is written between two pages, all pages together are the list as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.store: MemoryStore = new_store()
        self.token = ""
        self.expected: list[Object] = []
        self.shown: list[Object] = []
        self.writes = 0

    names = st.sampled_from("abcdef")
    namespaces = st.sampled_from(["east", "west"])

    @rule(name=names, namespace=namespaces, colour=st.sampled_from(["red", "green", "gone"]))
    def write(self, name: str, namespace: str, colour: str) -> None:
        try:
            if colour == "gone":
                run(self.store.delete(WIDGETS, name, namespace))
            else:
                body = {"spec": {"colour": colour}}
                run(self.store.patch(WIDGETS, name, "merge", body, namespace))
        except ApiError:
            run(self.store.create(WIDGETS, widget(name, namespace)))
        self.writes += 1

    @rule(limit=st.integers(1, 4))
    def page(self, limit: int) -> None:
        if not self.token:
            self.expected = list(run(self.store.list(WIDGETS)).items)
            self.shown = []
            self.writes = 0
        try:
            page = run(self.store.list(WIDGETS, limit=limit, continue_token=self.token))
        except Expired:
            assert self.writes > 0
            self.token = ""
            return
        self.shown += page.items
        assert self.shown == self.expected[: len(self.shown)]
        assert (page.remaining or 0) == len(self.expected) - len(self.shown)
        assert bool(page.continue_token) == (len(self.shown) < len(self.expected))
        self.token = page.continue_token


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that has nothing to wait for, as none in this store has."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise AssertionError("it waits")


TestPagingMachine = PagingMachine.TestCase
