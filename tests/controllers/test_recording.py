from datetime import timedelta

from ferryman.api.kinds.event import EVENT, EVENTS
from ferryman.api.kinds.relay import RELAY
from ferryman.api.resource import Object
from ferryman.api.scheme import Scheme
from ferryman.controllers.recording import MOST_EVENTS, Recorder
from ferryman.runtime.clock import ManualClock
from ferryman.store.memory import MemoryStore

SUBJECT: Object = {
    "apiVersion": "ferryman.dev/v1alpha1",
    "kind": "Relay",
    "metadata": {"name": "web", "uid": "u-1", "resourceVersion": "7"},
}


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(Scheme([RELAY, EVENT]), self.clock)
        self.recorder = Recorder(self.store, self.clock, "here")

    async def record(self, reason: str, message: str, *, warning: bool = False) -> None:
        await self.recorder.record("relay-controller", SUBJECT, reason, message, warning=warning)

    async def events(self) -> list[Object]:
        return list((await self.store.list(EVENTS)).items)


async def test_an_event_names_its_object_and_who_saw_it() -> None:
    world = World()
    await world.record("PodChosen", "connections go to pod/web-1", warning=True)
    [event] = await world.events()
    assert event["involvedObject"] == {
        "apiVersion": "ferryman.dev/v1alpha1", "kind": "Relay", "name": "web", "namespace": "",
        "uid": "u-1", "resourceVersion": "7",
    }  # fmt: skip
    assert event["metadata"]["namespace"] == "default"
    assert event["source"] == {"component": "relay-controller", "host": "here"}
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "PodChosen", 1)


async def test_the_same_again_counts_up_and_another_is_new() -> None:
    world = World()
    await world.record("DialRefused", "port 80")
    began = world.clock.now()
    await world.clock.advance(5)
    await world.record("DialRefused", "port 80")
    await world.record("DialRefused", "port 81")
    again, other = await world.events()
    assert (again["count"], other["count"]) == (2, 1)
    assert again["firstTimestamp"] == began.strftime("%Y-%m-%dT%H:%M:%SZ")
    later = began + timedelta(seconds=5)
    assert again["lastTimestamp"] == later.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_only_so_many_are_kept_and_the_oldest_go() -> None:
    world = World()
    for number in range(MOST_EVENTS + 3):
        await world.record("Bound", f"listening on {number}")
    messages = [event["message"] for event in await world.events()]
    assert len(messages) == MOST_EVENTS
    assert messages[0] == "listening on 3"


async def test_an_event_that_somebody_deleted_is_written_anew() -> None:
    world = World()
    await world.record("Bound", "here")
    [event] = await world.events()
    await world.store.delete(EVENTS, event["metadata"]["name"], "default")
    await world.record("Bound", "here")  # counts up what is gone: dropped, and no error
    await world.record("Bound", "here")
    [event] = await world.events()
    assert event["count"] == 1
