"""Which wire a connection takes, as transcripts; and what holds whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ferryman.dataplane.wires.actions import Action, Assign, Close, Open, Refuse
from ferryman.dataplane.wires.books import NEVER
from ferryman.dataplane.wires.limits import Bucket, Limits
from ferryman.dataplane.wires.pool import Pool

LIMITS = Limits()


class Story:
    """A pool told in short sentences; every sentence returns what the pool decided."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.pool = Pool(limits, draw=lambda: 0.5)
        self.now = 100.0

    def __call__(self) -> list[Action]:
        return self.pool.decide(self.now)

    def dial(self, dial: int, pod: str = "a") -> list[Action]:
        self.pool.dial(dial, pod, self.now)
        return self()

    def opened(self, wire: int, *, shareable: bool = True, expires: float = NEVER) -> list[Action]:
        self.pool.opened(wire, self.now, expires, shareable=shareable)
        return self()

    def failed(self, wire: int) -> list[Action]:
        self.pool.failed(wire, self.now)
        return self()

    def busy(self, wire: int, wait: float = 5.0) -> list[Action]:
        self.pool.busy(wire, self.now, wait)
        return self()

    def lingers(self, wire: int) -> list[Action]:
        self.pool.lingers(wire)
        return self()

    def ended(self, wire: int, *, lingered: bool = True) -> list[Action]:
        self.pool.ended(wire, self.now, lingered=lingered)
        return self()

    def lost(self, wire: int) -> list[Action]:
        self.pool.lost(wire)
        return self()

    def drain(self, pod: str = "a") -> list[Action]:
        self.pool.drain(pod)
        return self()

    def after(self, seconds: float) -> list[Action]:
        self.now += seconds
        return self()

    def used(self, connections: int = 1, pod: str = "a") -> Story:
        """So many live connections, each on a wire of its own; with the spare."""
        for dial in range(1, connections + 1):
            left = self.dial(dial, pod)
            while left:
                action = left.pop(0)
                if isinstance(action, Open):
                    left += self.opened(action.wire)
        return self


def unreached(story: Story, wire: int) -> list[Action]:
    story.pool.unreached(wire, story.now)
    return story()


def test_while_the_server_is_away_one_handshake_at_a_time_finds_out_whether_it_still_is() -> None:
    story = Story()
    for dial in range(1, 4):
        story.dial(dial)
    assert unreached(story, 1) == []
    assert unreached(story, 2) == []  # each of those under way may still tell otherwise
    assert unreached(story, 3) == [Refuse(dial, "failed") for dial in (1, 2, 3)]
    waits = []
    for round_ in range(8):
        for dial in range(3):
            assert story.dial(10 * round_ + dial) == []
        waits.append(until_it_opens(story))
        [wire] = story.pool._wires  # for all three
        assert len(unreached(story, wire)) == 3
    assert waits == sorted(waits)
    assert waits[0] <= 2 * LIMITS.first_wait
    assert LIMITS.longest_wait / 2 < waits[-1] <= LIMITS.longest_wait


def until_it_opens(story: Story) -> float:
    """Let time pass until exactly one handshake is begun; how much that was."""
    began, actions = story.now, story()
    while not actions:
        actions = story.after(max(story.pool.wake(story.now) - story.now, 1e-6))
    [action] = actions
    assert isinstance(action, Open)
    return story.now - began


def away(story: Story) -> None:
    """Many handshakes in a row have not reached the server."""
    for dial in range(100, 110):
        actions = story.dial(dial) or story.after(LIMITS.longest_wait)
        [action] = actions
        assert isinstance(action, Open)
        assert unreached(story, action.wire) == [Refuse(dial, "failed")]


def test_a_handshake_that_works_ends_the_wait_for_all() -> None:
    story = Story()
    away(story)
    assert [story.dial(dial) for dial in (1, 2, 3)] == [[], [], []]
    [found] = story.after(LIMITS.longest_wait)
    assert isinstance(found, Open)
    assert [a for a in story.opened(found.wire) if isinstance(a, Open)]  # for the others


def test_word_from_elsewhere_that_the_server_is_back_ends_the_wait() -> None:
    story = Story()
    away(story)
    assert story.dial(1) == []
    story.pool.reachable()
    assert [type(action) for action in story()] == [Open]


def test_what_the_server_asked_for_is_kept_to_whoever_else_got_through() -> None:
    story = Story()
    story.dial(1)
    story.busy(1, wait=5.0)
    story.pool.reachable()
    assert story() == []
    assert story.after(5.0) == [Open(2, "a")]


def test_a_wire_in_doubt_gets_nothing_new_until_it_has_answered() -> None:
    story = Story().used()
    for wire in (1, 2):
        story.pool.doubts(wire, doubted=True)
    assert story.dial(2) == [Open(3, "a")]  # nobody waits for the answer
    story.pool.doubts(2, doubted=False)
    assert story() == [Assign(2, 2)]


def no_spare(limits: Limits = LIMITS) -> Limits:
    return replace(limits, warm=0.0)


def test_nothing_is_opened_before_first_use_and_then_there_is_a_spare() -> None:
    story = Story()
    assert story() == []
    assert story.dial(1) == [Open(1, "a")]
    assert story.opened(1) == [Assign(1, 1), Open(2, "a")]
    assert story.opened(2) == []


def test_the_spare_takes_the_next_connection_and_is_replaced() -> None:
    story = Story().used()
    assert story.dial(2) == [Assign(2, 2), Open(3, "a")]


def test_a_wire_is_free_again_as_soon_as_its_client_has_spoken_its_last() -> None:
    story = Story(no_spare()).used()
    assert story.lingers(1) == []
    assert story.dial(2) == [Assign(2, 1)]
    assert story.lingers(1) == []
    assert story.dial(3) == [Assign(3, 1)]
    assert story.pool.counts().lingering == 2


def test_of_two_free_wires_the_one_where_nothing_lingers_is_taken() -> None:
    story = Story().used()
    story.lingers(1)
    assert story.dial(2) == [Assign(2, 2)]


def test_a_connection_that_is_still_busy_takes_its_wire_back() -> None:
    story = Story(no_spare()).used()
    story.lingers(1)
    story.pool.revives(1)
    assert story.dial(2) == [Open(2, "a")]


def test_lingering_is_bounded_on_each_wire() -> None:
    story = Story(replace(no_spare(), lingering=2)).used()
    for dial in (2, 3):
        story.lingers(1)
        assert story.dial(dial) in ([Assign(dial, 1)], [Open(2, "a")])
    assert story.pool.counts().waiting == 1
    story.opened(2)
    assert story.pool.counts().waiting == 0


def test_parallel_dials_get_a_handshake_each() -> None:
    story = Story(no_spare())
    assert story.dial(1) == [Open(1, "a")]
    assert story.dial(2) == [Open(2, "a")]
    assert story.opened(2) == [Assign(1, 2)]
    assert story.opened(1) == [Assign(2, 1)]


def test_a_dial_that_has_waited_long_enough_shares() -> None:
    story = Story(no_spare()).used()
    assert story.dial(2) == [Open(2, "a")]
    assert story.after(0.2) == []
    assert story.pool.wake(story.now) == pytest.approx(100.25)
    assert story.after(0.05) == [Assign(2, 1)]
    assert story.opened(2) == []  # in time for the next one
    assert story.dial(3) == [Assign(3, 2)]


def test_sharing_chooses_the_wire_with_the_fewest_and_not_one_that_is_stalled() -> None:
    story = Story(replace(no_spare(), pod_wires=2)).used(2)
    story.pool.stalls(1, stalled=True)
    assert [story.dial(d) for d in (3, 4)] == [[Assign(3, 2)], [Assign(4, 2)]]
    story.pool.stalls(1, stalled=False)
    assert story.dial(5) == [Assign(5, 1)]


def test_at_the_pods_cap_connections_share_at_once_until_all_are_full_and_then_wait() -> None:
    story = Story(replace(no_spare(), pod_wires=2, live=3)).used(2)
    assert [a for d in range(3, 7) for a in story.dial(d)] == [
        Assign(3, 1),
        Assign(4, 2),
        Assign(5, 1),
        Assign(6, 2),
    ]
    assert story.dial(7) == []
    assert story.ended(1, lingered=False) == [Assign(7, 1)]


def test_at_the_clusters_cap_an_idle_wire_to_another_pod_makes_room() -> None:
    story = Story(replace(no_spare(), cluster_wires=2))
    story.used(pod="a")
    story.used(pod="b")
    story.lingers(1)
    assert story.dial(2, "c") == []  # something lingers on a's
    assert story.ended(1) == [Close(1), Open(3, "c")]


def test_handshakes_are_limited_at_once() -> None:
    story = Story(replace(no_spare(), handshakes=2))
    actions = [a for d in (1, 2, 3) for a in story.dial(d)]
    assert actions == [Open(1, "a"), Open(2, "a")]
    assert story.opened(1) == [Assign(1, 1), Open(3, "a")]


def test_handshakes_are_limited_in_rate_after_a_burst() -> None:
    story = Story(replace(no_spare(), burst=2, rate=20.0, patience=9.0))
    for dial, pod in enumerate("abc"):
        story.dial(dial, pod)
    assert story.pool.counts().opening == 2
    assert story.pool.wake(story.now) == pytest.approx(100.05)
    assert story.after(0.05) == [Open(3, "c")]


def test_a_busy_server_is_left_alone_for_as_long_as_it_says() -> None:
    story = Story(no_spare())
    story.dial(1)
    assert story.busy(1, 5.0) == []
    assert story.dial(2) == []
    assert story.after(4.9) == []
    assert story.pool.wake(story.now) == pytest.approx(105)
    assert story.after(0.1) == [Open(2, "a")]  # is it still busy?
    assert story.opened(2) == [Assign(1, 2), Assign(2, 2)]  # both have waited for long enough


def test_while_the_server_is_busy_connections_share() -> None:
    story = Story(no_spare()).used()
    assert story.dial(2) == [Open(2, "a")]
    assert story.busy(2) == [Assign(2, 1)]
    assert story.dial(3) == [Assign(3, 1)]


def test_a_failed_handshake_refuses_those_who_cannot_share() -> None:
    story = Story(no_spare())
    story.dial(1)
    story.dial(2)
    assert story.failed(1) == []  # another one is on its way
    assert story.dial(3) == []
    assert story.failed(2) == [Refuse(d, "failed") for d in (1, 2, 3)]
    assert story.dial(4) == [Open(3, "a")]


def test_after_one_failure_a_success_lets_all_go_on() -> None:
    story = Story(no_spare())
    story.dial(1)
    story.dial(2)
    story.failed(1)
    assert story.opened(2) == [Assign(1, 2), Open(3, "a")]


def test_after_a_failed_handshake_those_who_can_share_do() -> None:
    story = Story(no_spare()).used()
    story.dial(2)
    assert story.failed(2) == [Assign(2, 1)]


def test_a_spare_that_failed_is_not_tried_again_at_once() -> None:
    story = Story()
    story.dial(1)
    story.opened(1)
    assert story.failed(2) == []
    assert story() == []
    assert story.after(LIMITS.spare_backoff) == [Open(3, "a")]


def test_a_dial_waits_only_so_long() -> None:
    story = Story(no_spare())
    story.dial(1)
    assert story.after(29.9) == []
    assert story.after(0.1) == [Refuse(1, "timeout")]


def test_only_so_many_dials_wait() -> None:
    story = Story(replace(no_spare(), dials=1))
    story.dial(1)
    assert story.dial(2) == [Refuse(2, "full")]


def test_a_cancelled_dial_leaves_its_handshake_to_others() -> None:
    story = Story(no_spare())
    story.dial(1)
    story.pool.cancel(1)
    assert story() == []
    assert story.opened(1) == []
    assert story.dial(2) == [Assign(2, 1)]


def test_idle_wires_close_but_for_a_spare_while_the_pod_was_used_of_late() -> None:
    story = Story().used(3)  # four wires with the spare
    for wire in (1, 2, 3):
        story.ended(wire, lingered=False)
    assert story.pool.wake(story.now) == 160
    assert story.after(59.9) == []
    assert len(story.after(0.1)) == 3
    assert story.pool.counts().wires == 1
    assert story.pool.wake(story.now) == 400
    (last,) = story.after(240)
    assert isinstance(last, Close)
    assert not story.pool.knows("a")
    assert story.pool.wake(story.now) == NEVER


def test_a_wire_takes_nothing_new_after_its_time_and_closes_when_it_is_idle() -> None:
    story = Story(no_spare()).used()
    story.after(3600)
    story.lingers(1)
    assert story.dial(2) == [Open(2, "a")]
    assert story.ended(1) == [Close(1)]


def test_wires_retire_at_different_times() -> None:
    ages = []
    for drawn in (0.0, 0.999999):
        pool = Pool(no_spare(replace(LIMITS, idle=1e6)), draw=iter([drawn]).__next__)
        pool.dial(1, "a", 0.0)
        pool.decide(0.0)
        pool.opened(1, 0.0)
        pool.decide(0.0)
        pool.ended(1, 0.0, lingered=False)
        pool.decide(0.0)
        ages.append(pool.wake(0.0))
    assert ages == [pytest.approx(2880), pytest.approx(4320, abs=0.1)]


def test_a_wire_takes_nothing_new_once_its_credential_has_expired() -> None:
    story = Story(no_spare())
    story.dial(1)
    story.opened(1, expires=160)
    story.lingers(1)
    assert story.after(60) == []
    assert story.dial(2) == [Open(2, "a")]


def test_a_draining_pod_keeps_what_it_has_and_gets_nothing_new() -> None:
    story = Story(replace(LIMITS, pod_wires=2)).used()
    assert story.drain() == [Close(2)]
    assert story.lingers(1) == []
    assert story.ended(1) == [Close(1)]


def test_a_pod_that_is_chosen_again_drains_no_more() -> None:
    story = Story(no_spare()).used()
    story.lingers(1)
    story.drain()
    assert story.dial(2) == [Assign(2, 1)]


def test_draining_gives_up_handshakes_and_refuses_who_waits() -> None:
    story = Story()
    story.dial(1)
    assert story.drain() == [Refuse(1, "draining"), Close(1)]


def test_another_way_to_the_cluster_retires_every_wire() -> None:
    story = Story(no_spare()).used()
    story.dial(2)
    story.pool.retire(story.now)
    assert story() == [Close(2), Open(3, "a")]
    story.opened(3)
    assert story.ended(1, lingered=False) == [Close(1)]


def test_v4_wires_are_opened_for_a_dial_never_kept_warm_and_never_shared() -> None:
    story = Story()
    story.dial(1)
    story.pool.withdrawn(1, per_dial=True)
    assert story() == [Open(2, "a", 1)]
    assert story.dial(2) == [Open(3, "a", 2)]
    assert story.opened(3, shareable=False) == [Assign(2, 3)]
    assert story.after(1) == []
    assert story.opened(2, shareable=False) == [Assign(1, 2)]
    assert story.lost(2) == []
    assert story.pool.counts().wires == 1


def test_a_v4_handshake_whose_dial_is_cancelled_is_given_up() -> None:
    story = Story()
    story.pool.per_dial = True
    assert story.dial(1) == [Open(1, "a", 1)]
    story.pool.cancel(1)
    assert story() == [Close(1)]


def test_a_server_that_learned_better_than_v4_is_believed() -> None:
    story = Story(no_spare())
    story.pool.per_dial = True
    story.dial(1)
    assert story.opened(1) == [Assign(1, 1)]
    story.lingers(1)
    assert story.dial(2) == [Assign(2, 1)]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=20.0, burst=16)
    assert sum(bucket.take(5.0) for _ in range(20)) == 16
    assert bucket.ready_at(5.0) == pytest.approx(5.05)
    assert sum(bucket.take(5.0 + 0.01 * t) for t in range(1, 101)) == 20


OUTCOMES = ["opened", "failed", "unreached", "busy", "v4"]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order: the limits hold, and nobody is forgotten."""

    limits = Limits(pod_wires=3, cluster_wires=5, handshakes=2, burst=4, live=2, lingering=3)

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool = Pool(self.limits, draw=lambda: 0.5)
        self.next = 0
        self.waiting: dict[int, str] = {}
        self.opening: dict[int, tuple[str, int | None]] = {}
        self.wires: dict[int, str] = {}
        self.retires: dict[int, float] = {}
        self.live: dict[int, int] = {}
        self.lingering: dict[int, int] = {}
        self.draining: set[str] = set()
        self.handshakes: list[float] = []
        self.mine: set[int] = set()  # wires of v4
        self.doubted: set[int] = set()

    def decide(self) -> None:
        for action in self.pool.decide(self.now):
            match action:
                case Open(wire, pod, dial):
                    assert pod not in self.draining
                    assert dial is None or dial in self.waiting
                    self.opening[wire] = (pod, dial)
                    self.handshakes.append(self.now)
                case Assign(dial, wire):
                    assert self.waiting.pop(dial) == self.wires[wire]
                    assert self.wires[wire] not in self.draining
                    assert self.now < self.retires[wire]
                    assert self.lingering[wire] < self.limits.lingering
                    assert wire not in self.mine or not self.live[wire]
                    assert wire not in self.doubted
                    self.live[wire] += 1
                case Close(wire):
                    if self.opening.pop(wire, None) is None:
                        assert not self.live[wire]
                        assert not self.lingering[wire]
                        self.forget(wire)
                case Refuse(dial, _):
                    self.waiting.pop(dial)
        wake = self.pool.wake(self.now)
        assert wake > self.now
        assert not self.waiting or wake < NEVER

    def forget(self, wire: int) -> None:
        del self.wires[wire], self.retires[wire], self.live[wire], self.lingering[wire]
        self.mine.discard(wire)
        self.doubted.discard(wire)

    @rule(pod=st.sampled_from("abc"))
    def dial(self, pod: str) -> None:
        self.next += 1
        self.waiting[self.next] = pod
        self.draining.discard(pod)
        self.pool.dial(self.next, pod, self.now)
        self.decide()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        dial = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[dial]
        self.pool.cancel(dial)
        self.decide()

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def handshake_ends(self, data: st.DataObject, outcome: str) -> None:
        wire = data.draw(st.sampled_from(sorted(self.opening)))
        pod, dial = self.opening.pop(wire)
        if outcome == "opened" or (outcome == "v4" and dial is not None):
            self.wires[wire] = pod
            self.retires[wire] = min(self.now + 3600, self.now + 50)
            self.live[wire] = self.lingering[wire] = 0
            if outcome == "v4":
                self.mine.add(wire)
            self.pool.opened(wire, self.now, self.now + 50, shareable=outcome == "opened")
        elif outcome == "v4":
            self.pool.withdrawn(wire, per_dial=True)
        elif outcome == "failed":
            self.pool.failed(wire, self.now)
        elif outcome == "unreached":
            self.pool.unreached(wire, self.now)
        else:
            self.pool.busy(wire, self.now, 3.0)
        self.decide()

    @precondition(lambda self: self.wires)
    @rule(data=st.data(), what=st.sampled_from(["lingers", "revives", "ends", "gone", "lost"]))
    def wire_changes(self, data: st.DataObject, what: str) -> None:
        wire = data.draw(st.sampled_from(sorted(self.wires)))
        if what == "lingers" and self.live[wire]:
            self.pool.lingers(wire)
            self.live[wire] -= 1
            self.lingering[wire] += 1
        elif what == "revives" and self.lingering[wire]:
            self.pool.revives(wire)
            self.lingering[wire] -= 1
            self.live[wire] += 1
        elif what == "ends" and self.live[wire]:
            self.pool.ended(wire, self.now, lingered=False)
            self.live[wire] -= 1
        elif what == "gone" and self.lingering[wire]:
            self.pool.ended(wire, self.now, lingered=True)
            self.lingering[wire] -= 1
        elif what == "lost":
            self.pool.lost(wire)
            self.forget(wire)
        self.decide()

    @precondition(lambda self: self.wires)
    @rule(data=st.data(), doubted=st.booleans())
    def doubts(self, data: st.DataObject, doubted: bool) -> None:
        wire = data.draw(st.sampled_from(sorted(self.wires)))
        self.doubted = self.doubted | {wire} if doubted else self.doubted - {wire}
        self.pool.doubts(wire, doubted=doubted)
        self.decide()

    @rule()
    def reachable(self) -> None:
        self.pool.reachable()
        self.decide()

    @rule(pod=st.sampled_from("abc"))
    def drain(self, pod: str) -> None:
        if self.pool.knows(pod):
            self.draining.add(pod)
        self.pool.drain(pod)
        self.decide()

    @rule(seconds=st.sampled_from([0.01, 0.25, 1.0, 12.0, 31.0, 61.0, 301.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.decide()

    @invariant()
    def limits_hold(self) -> None:
        pods = [pod for pod, _ in self.opening.values()] + list(self.wires.values())
        assert len(self.opening) <= self.limits.handshakes
        assert len(pods) <= self.limits.cluster_wires
        assert all(pods.count(pod) <= self.limits.pod_wires for pod in "abc")
        recent = [t for t in self.handshakes if t > self.now - 1]
        assert len(recent) <= self.limits.burst + self.limits.rate

    @invariant()
    def both_count_alike(self) -> None:
        counts = self.pool.counts()
        assert counts.opening == len(self.opening)
        assert counts.wires == len(self.wires)
        assert counts.live == sum(self.live.values())
        assert counts.lingering == sum(self.lingering.values())
        assert counts.waiting == len(self.waiting)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(stateful_step_count=60)
