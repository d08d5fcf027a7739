"""One client's connection, from accept to close: it waits, dials, carries, and dials again.

``route`` says which endpoint and how long to wait; ``flow`` carries; ``record`` remembers what a
replay would need and ``retry`` judges the loss of a target. States: held (no endpoint), dialling,
open (there is a flow), closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.dataplane.contract import (
    HANGUP,
    READ,
    Client,
    Closed,
    Dial,
    DialFailed,
    DialFailure,
    Endpoint,
    Opened,
    PodAddress,
    Side,
)
from ferryman.dataplane.flow import Flow
from ferryman.dataplane.loop import Timer
from ferryman.dataplane.retry import How, Loss, judge

if TYPE_CHECKING:
    from ferryman.dataplane.keeper import Keeper
    from ferryman.dataplane.patience import Patience
    from ferryman.dataplane.record import Record
    from ferryman.dataplane.valve import Valves
    from ferryman.dataplane.watching import Tap, Watch
    from ferryman.faults import Fault

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 0.6  # what was wrong is gone within a second


class _Begun:
    """Stands for a dial until ``dial`` returns it."""

    def cancel(self) -> None:
        """Nothing to give up yet."""


_BEGUN = _Begun()

SILENCE = 2.0
"""Seconds for which a pod that is going away may stay silent on an unanswered request."""


class Connection:
    """A client and, once there is one, the target that it talks to."""

    __slots__ = (
        "_client_ended",
        "_dial",
        "_flow",
        "_opened_at",
        "_patience",
        "_record",
        "_replays",
        "_route",
        "_said_opened",
        "_since",
        "_target",
        "_timer",
        "_tried",
        "_valves",
        "_wait",
        "_watch",
        "client",
        "endpoint",
        "id",
        "peer",
    )

    def __init__(
        self, route: Keeper, client: Client, peer: str, number: int, watch: Watch | None = None
    ) -> None:
        self.id = number
        self.client = client
        self.peer = peer
        self.endpoint: Endpoint | None = None
        self._route = route
        self._watch = watch
        self._patience: Patience | None = None
        self._since = self._opened_at = route.loop.now()
        self._dial: Dial | None = None
        self._flow: Flow | None = None
        self._target: Side | None = None
        self._record: Record | None = None
        self._timer: Timer | None = None
        self._valves: Valves | None = None
        self._tried: frozenset[str] = frozenset()
        self._wait = _FIRST_WAIT
        self._replays = 0
        self._client_ended = False
        self._said_opened = False

    # -- looking for a target --

    def seek(self) -> None:
        """Find an endpoint and dial it, or wait for one."""
        if self._flow is not None or self._dial is not None:
            return
        self._stop_timer()
        endpoint = self._route.choose(self._tried)
        if endpoint is not None:
            self._start_dial(endpoint)
        elif self._tried:
            self._wait_to_retry()
        elif self._route.hold(self):
            self._watch_client()
            self._timer = self._route.loop.call_at(self._deadline, self._held_too_long)
        else:
            self._give_up("full", "too many connections wait already")

    def news(self) -> None:
        """The endpoints changed: what was learned of the old ones no longer counts."""
        self._tried = frozenset()
        self._wait = _FIRST_WAIT
        self.seek()

    @property
    def _deadline(self) -> float:
        return self._since + self._route.policy.hold

    def _is_final(self) -> bool:
        """Whether there is neither time nor another endpoint left."""
        return self._route.loop.now() >= self._deadline and not self._route.untried(self._tried)

    def _start_dial(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._route.began(self)
        self._dial = _BEGUN
        dial = self._route.dial(endpoint.dial, self._dialled)
        if self._dial is _BEGUN:  # else it has called back already, and much may have followed
            self._dial = dial

    def _dialled(self, result: Side | DialFailure) -> None:
        self._dial = None
        if isinstance(result, DialFailure):
            self._dial_failed(result)
        else:
            self._carry(result)

    def _dial_failed(self, failure: DialFailure) -> None:
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is None:
            return
        self._route.left(self, endpoint)
        self._tried |= {endpoint.id}
        final = self._is_final()
        self._say_failed(endpoint.id, failure.kind, failure.message, final=final)
        if final:
            self._reset(failure.message)
        else:
            self._wait = max(self._wait, failure.wait)
            self.seek()

    def _wait_to_retry(self) -> None:
        """All endpoints were tried: again after a while, or at once when there is news."""
        loop = self._route.loop
        self._route.waiting(self)
        self._watch_client()
        when = min(loop.now() + self._wait, max(loop.now(), self._deadline))
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        self._timer = loop.call_at(when, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._tried = frozenset()
        self.seek()

    def _held_too_long(self) -> None:
        self._give_up("held", f"no endpoint within {self._route.policy.hold:g} s")

    def _give_up(self, kind: str, message: str) -> None:
        self._say_failed("", kind, message, final=True)
        self._reset(message)

    def _watch_client(self) -> None:
        """While there is no target the client is not read; only its departure is of interest."""
        self.client.attach(self._client_stirs)
        self.client.want(0 if self._client_ended else READ)

    def _client_stirs(self, mask: int) -> None:
        if self.client.departed():
            if not self._client_ended or mask & HANGUP:
                self._close()
        else:
            self.client.want(0)

    # -- carrying --

    def _carry(self, target: Side) -> None:
        endpoint, route = self.endpoint, self._route
        if endpoint is None:
            target.abort("the client is gone")
            return
        pod = isinstance(endpoint.dial, PodAddress)
        first = b""
        if self._record is not None:
            first = self._record.unanswered
            self._record.restart()
        elif pod:
            from ferryman.dataplane.record import Record  # a plain relay never needs it

            self._record = Record(route.policy.replay_bytes)
        self._target = target
        self._tried = frozenset()
        self._opened_at = route.loop.now()
        taps: tuple[Tap | None, Tap | None] = (None, None)
        if self._watch is not None:
            self._watch.opened(str(endpoint.dial) if pod else endpoint.id)
            taps = self._watch.up, self._watch.down
        self._flow = Flow(
            route.loop, route.pipes, self, self.client, target, route.meters, watched=pod, taps=taps
        )
        self._said_opened = False
        if not pod:
            self._say_opened(endpoint)
        if self._valves is not None:
            self._flow.disturb(self._valves)
        policy = route.policy
        if policy.oneway:
            self._flow.carry_only(policy.oneway)
        if policy.idle or policy.linger:
            from ferryman.dataplane.patience import Patience  # only socat's -t and -T need it

            self._patience = Patience(
                route.loop, self._flow, policy.idle, policy.linger, self._close
            )
        self._flow.start(first, client_ended=self._client_ended)

    def _say_failed(
        self, endpoint: str, kind: str, message: str, *, final: bool, seconds: float = 0.0
    ) -> None:
        route = self._route
        route.emit(DialFailed(route.name, self.id, endpoint, kind, message, final, seconds))
        if self._watch is not None:
            self._watch.noted(message)

    def _say_opened(self, endpoint: Endpoint) -> None:
        """A wire accepts streams for ports that refuse: there, the first answer is the proof."""
        self._said_opened = True
        route = self._route
        waited = self._opened_at - self._since
        route.emit(Opened(route.name, self.id, self.peer, endpoint.id, waited, self._replays))

    def sent(self, data: memoryview) -> None:
        """From the flow."""
        if self._record is not None:
            self._record.sent(data)

    def received(self, data: memoryview) -> None:
        """From the flow."""
        if self._record is not None:
            self._record.received(data)
        if not self._said_opened and self.endpoint is not None:
            self._say_opened(self.endpoint)
        self._replays = 0  # an answer: what comes next is another request

    def target_ended(self) -> bool:
        """From the flow: the target half-closed."""
        return self._lost("fin", "the pod ended the connection while it was going away")

    def target_failed(self, error: OSError | DialFailure) -> None:
        """From the flow: the target was lost."""
        undelivered = isinstance(error, DialFailure) and not error.delivered
        message = error.message if isinstance(error, DialFailure) else str(error)
        self._lost("undelivered" if undelivered else "reset", message)

    def client_failed(self, error: OSError) -> None:
        """From the flow: the client was lost."""
        self._reset(f"the client is gone: {error.strerror or error}")

    def disturbed(self, why: str) -> None:
        """From the flow: a fault that ends it."""
        self._reset(why)

    def broke(self, error: Exception) -> None:
        """From the flow: a defect. It must be seen, and end nobody else's connection."""
        self._reset(f"a defect in ferry: {type(error).__name__}: {error}")

    def ended(self) -> None:
        """From the flow: both directions are done."""
        self._close()

    def _lost(self, how: How, message: str) -> bool:
        """Judge and act; True if a proper end is to be passed on."""
        record = self._record
        if record is None:
            if how != "fin":
                self._reset(message)
            return how == "fin"
        going = self.endpoint is not None and not self._route.is_active(self.endpoint.id)
        loss = record.loss(how, self._route.policy.ambiguous, going=going, replays=self._replays)
        match judge(loss):
            case "pass":
                return True
            case "redial":
                self._redial(loss, message)
            case "reset":
                self._reset(message)
        return False

    def _redial(self, loss: Loss, message: str) -> None:
        """Leave the target and look for another; the client notices nothing."""
        flow, target, endpoint = self._flow, self._target, self.endpoint
        if flow is None or target is None or endpoint is None:
            return
        self._client_ended = flow.up.eof
        flow.stop()
        self._flow = self._target = None
        target.abort(message)
        self.endpoint = None
        self._route.left(self, endpoint)
        self._tried |= {endpoint.id}
        final = loss.how == "undelivered" and self._is_final()
        kind = "refused" if loss.how == "undelivered" else "ambiguous"
        seconds = self._route.loop.now() - self._opened_at
        self._say_failed(endpoint.id, kind, message, final=final, seconds=seconds)
        if final:
            self._reset(message)
            return
        if loss.how != "undelivered":  # it got through before: it waits anew
            self._since = self._route.loop.now()
            self._replays += loss.said
        self.seek()

    # -- going --

    def endpoint_going(self) -> None:
        """The endpoint drains or is gone: what is open stays, unless nothing comes any more."""
        policy = self._route.policy
        if self._flow is None or self._timer is not None:
            return
        if self._record is not None and self._record.said and not self._record.proven:
            self._timer = self._route.loop.call_later(SILENCE, self._silent)
        elif policy.drain > 0:
            self._timer = self._route.loop.call_later(policy.drain, self._drained)

    def _silent(self) -> None:
        self._timer = None
        record = self._record
        if record is None or self._flow is None or record.proven or not record.said:
            return
        if record.repeatable(self._route.policy.ambiguous) and self._route.untried(frozenset()):
            self._lost("reset", "the pod is going away and does not answer")

    def _drained(self) -> None:
        self._timer = None
        self._reset("the drain timeout has passed")

    # -- faults --

    def drop(self, fault: Fault) -> None:
        """It is one of those that never get anywhere."""
        self._give_up("fault", f"a fault: {fault}")

    def disturb(self, valves: Valves) -> None:
        """What it may read is up to these, from now on."""
        self._valves = valves
        if self._flow is not None:
            self._flow.disturb(valves)

    # -- the end --

    def reset(self, why: str) -> None:
        """End it from outside, with an RST."""
        self._reset(why)

    def _reset(self, why: str) -> None:
        if self._flow is not None:
            self._flow.stop()
        if self._target is not None:
            self._target.abort(why)
        self.client.abort(why)
        self._release(why)

    def _close(self) -> None:
        if self._flow is not None:
            self._flow.stop()
        if self._target is not None:
            self._target.close()
        self.client.close()
        self._release("")

    def _release(self, why: str) -> None:
        self._stop_timer()
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        flow, self._flow, self._target = self._flow, None, None
        endpoint, self.endpoint = self.endpoint, None
        route = self._route
        if endpoint is not None:
            route.left(self, endpoint)
        route.closed(self, failed=bool(why))
        if flow is not None:
            seconds = route.loop.now() - self._opened_at
            name = endpoint.id if endpoint is not None else ""
            route.emit(
                Closed(route.name, self.id, name, flow.up.count, flow.down.count, seconds, why)
            )
        if self._watch is not None:
            self._watch.closed(why)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
