"""How a connection to the API server becomes a wire into a pod; with the rules for falling back.

The SPDY tunnel in a WebSocket first, then SPDY itself, then v4 channels, each on a connection of
its own; what worked last for the cluster comes first. A 401 asks for a new credential, once. What
a refusal means is ``judgement``'s; ``link`` connects and remembers; ``cluster`` owns the result.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from msgspec import Struct

from ferryman.dataplane.contract import READ, WRITE, Dial, DialFailure, PodAddress
from ferryman.dataplane.loop import Timer
from ferryman.dataplane.wires import judgement
from ferryman.dataplane.wires.link import CredentialWait, Link
from ferryman.dataplane.wires.transport import Transport
from ferryman.errors import PeerError, UserError
from ferryman.protocols import transports
from ferryman.protocols.multiplex import (
    ClientWire,
    Established,
    Event,
    Opening,
    Rejected,
    Trace,
)

TRANSPORTS = ("tunnel", "spdy", "channels")
TIMEOUT = 15.0
"""Seconds for connecting and for the answer to the upgrade, of one transport."""
_CHUNK = 16384


class Upgraded(Struct, frozen=True):
    """A wire; ``events`` came with the answer already. Only ``shareable`` ones can be kept."""

    transport: Transport
    wire: ClientWire
    events: list[Event]
    shareable: bool


class PortWanted(Struct, frozen=True):
    """Only v4 channels may be left to try, and they dial at the upgrade: say which port."""


class Unreached(Struct, frozen=True):
    """It failed before it came to the pod: the API server, or what stands before it, is away."""

    failure: DialFailure


Outcome = Upgraded | PortWanted | Unreached | DialFailure


class Handshake:
    """One wire in the making. ``done`` is called once, never before ``start`` returns.

    ``port`` is given where the wire is for one dial only; without it v4 channels are not tried.
    """

    def __init__(
        self,
        link: Link,
        pod: PodAddress,
        port: int | None,
        done: Callable[[Outcome], None],
        trace: Trace | None = None,
    ) -> None:
        self.began = 0.0
        self._link = link
        self._pod = pod
        self._port = port
        self._done: Callable[[Outcome], None] | None = done
        self._trace = trace
        self._left = [t for t in (link.preferred(), *TRANSPORTS) if t]
        self._trying = ""
        self._generation = link.generation
        self._asked = False
        self._failure: DialFailure | None = None
        self._gateway = False  # it was not the API server that refused last
        self._connecting: Dial | None = None
        self._transport: Transport | None = None
        self._opening: Opening | None = None
        self._unsent: memoryview = memoryview(b"")
        self._timer: Timer | None = None
        self._credential: CredentialWait | None = None

    def start(self) -> None:
        """Begin, in the loop's next turn."""
        self.began = self._link.loop.now()
        self._link.loop.call_soon(self._start)

    def cancel(self) -> None:
        """Give up; ``done`` is not called any more."""
        self._done = None
        self._release()

    def _start(self) -> None:
        if self._done is None:
            return
        if self._link.expires <= self._link.loop.now():
            self._need_credential("the credential has expired")
        else:
            self._try_next()

    # -- one transport --

    def _try_next(self) -> None:
        if not self._left:
            self._link.spoken = ""  # whatever worked once does no more
            failure = self._failure or DialFailure("unavailable", "", delivered=False)
            self._finish(Unreached(failure) if self._gateway else failure)
            return
        self._trying = self._left.pop(0)
        self._left = [t for t in self._left if t != self._trying]
        if self._trying == "channels" and self._port is None:
            self._finish(PortWanted())
            return
        self._attempt()

    def _attempt(self) -> None:
        self._tell(f"> {self._trying}: connecting to {self._link.authority}")
        self._generation = self._link.generation
        self._timer = self._link.loop.call_later(TIMEOUT, self._timed_out)
        self._connecting = self._link.connect(self._connected)

    def _connected(self, result: Transport | DialFailure) -> None:
        self._connecting = None
        if isinstance(result, DialFailure):
            self._finish(Unreached(result))
            return
        self._transport = result
        self._tell(f"> {self._trying}: upgrade, pod {self._pod.name} (uid {self._pod.uid})")
        try:
            self._opening = self._begin()
        except UserError as error:
            self._finish(DialFailure("unavailable", str(error), delivered=False))
            return
        self._unsent = memoryview(self._opening.request)
        self._link.loop.add(result.fd, READ | WRITE, lambda _: self._move())

    def _begin(self) -> Opening:
        link, pod = self._link, self._pod
        path = (
            f"{link.settings.path}/api/v1/namespaces/{quote(pod.namespace, safe='')}"
            f"/pods/{quote(pod.name, safe='')}/portforward"
        )
        headers = link.settings.headers
        if self._trying == "tunnel":
            return transports.tunnel(link.authority, path, headers)
        if self._trying == "spdy":
            return transports.spdy(link.authority, path, headers)
        return transports.channels(link.authority, path, self._port or 0, headers)

    def _move(self) -> None:
        transport, opening = self._transport, self._opening
        if transport is None or opening is None:
            return
        try:
            if self._write(transport):
                self._read(transport, opening)
        except (OSError, PeerError) as error:
            text = f"the API server broke off the upgrade: {judgement.brief(str(error))}"
            self._finish(Unreached(DialFailure("unavailable", text, delivered=False)))

    def _write(self, transport: Transport) -> bool:
        """Whether all of the request is out."""
        while self._unsent:
            sent = transport.send(self._unsent)
            if sent is None:
                self._link.loop.modify(transport.fd, transport.write_waits)
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _read(self, transport: Transport, opening: Opening) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        while (count := transport.recv_into(buffer)) is not None:
            answer = opening.receive(bytes(buffer[:count]))
            if answer is not None:
                self._answered(answer)
                return
            if count == 0:
                raise PeerError("it hung up")
        self._link.loop.modify(transport.fd, transport.read_waits)

    # -- what came of it --

    def _answered(self, answer: Established | Rejected) -> None:
        if isinstance(answer, Established):
            self._established(answer)
            return
        self._tell(
            f"< {self._trying}: refused with {answer.status}: {judgement.brief(answer.message)}"
        )
        self._release()
        if answer.status == 401 and not self._asked:
            self._need_credential(judgement.brief(answer.message) or "401 Unauthorized")
            return
        self._gateway = answer.status in judgement.GATEWAY
        # Of several refusals SPDY's is the most telling: v4's have no body.
        if self._failure is None or self._trying != "channels":
            self._failure = judgement.rejected(answer)
        if judgement.final(answer, self._trying):
            self._finish(self._failure)
        else:
            self._try_next()

    def _established(self, answer: Established) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._link.loop.remove(transport.fd)
        self._link.remember(self._trying, transport)
        self._tell(f"< {self._trying}: upgraded")
        shareable = self._trying != "channels"
        self._finish(Upgraded(transport, answer.wire, answer.events, shareable))

    def _need_credential(self, why: str) -> None:
        self._asked = True
        self._failure = DialFailure("unauthorized", why, delivered=False)
        self._credential = self._link.need_credentials(self._generation, why, self._renewed)

    def _renewed(self, there_is_one: bool) -> None:
        self._credential = None
        if not there_is_one:
            self._finish(self._failure or DialFailure("unauthorized", "", delivered=False))
        elif self._trying:
            self._attempt()
        else:
            self._try_next()

    def _timed_out(self) -> None:
        text = f"API server {self._link.authority}: no answer within {TIMEOUT:.0f} s"
        self._finish(Unreached(DialFailure("timeout", text, delivered=False)))

    def _tell(self, text: str) -> None:
        if self._trace is not None:
            self._trace(text)

    def _finish(self, outcome: Outcome) -> None:
        if isinstance(outcome, Unreached):
            self._tell(f"{self._trying}: {outcome.failure.message}")
        done, self._done = self._done, None
        self._release()
        if done is not None:
            done(outcome)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._credential is not None:
            self._link.forget(self._credential)
            self._credential = None
        if self._transport is not None:
            self._link.loop.remove(self._transport.fd)
            self._transport.close()
            self._transport = None
        self._opening = None
