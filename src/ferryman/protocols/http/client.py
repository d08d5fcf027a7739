"""The client's end of an HTTP/1.1 connection, on h11: requests, streamed bodies; sans-IO.

``upgrade`` builds on it for connections that become something else. h11 keeps to RFC 9112; here
its errors become ours and its events plain ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import h11

from ferryman.errors import PeerError, UserError

HEAD_LIMIT = 65536
"""Bytes that the head of an answer may have."""

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Responded:
    """The head of the answer; header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def header(self, name: str) -> str:
        """The first header of that (lower-case) name, or empty."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole. ``reusable``: another request may follow on this connection."""

    reusable: bool


@dataclass(frozen=True, slots=True)
class Switched:
    """101, or 2xx to CONNECT: from here on the connection speaks something else; ``early`` came
    already.
    """

    head: Responded
    early: bytes


Event = Responded | Body | Ended | Switched


class Client:
    """One connection. Requests follow one another: the next after Ended(reusable=True)."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._hung_up = False

    def request(self, method: str, target: str, headers: Headers) -> bytes:
        """The head of a request; ``headers`` must name the host, and the body's length or chunks.

        Raises UserError if they cannot be said in HTTP, for example a token with a line break.
        """
        try:
            request = h11.Request(
                method=method,
                target=target,
                headers=[(name.encode(), value.encode()) for name, value in headers],
            )
        except h11.LocalProtocolError:
            # h11 quotes what it does not like, which may be a secret: it is no cause to show.
            raise UserError(
                f"{method} {target!r} cannot be said in HTTP",
                "its path or one of its headers holds a character that is not allowed there",
            ) from None
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        return self._said(request)

    def body(self, data: bytes) -> bytes:
        """A part of the request's body, as it goes out."""
        return self._said(h11.Data(data=data))

    def end(self) -> bytes:
        """The end of the request's body."""
        return self._said(h11.EndOfMessage())

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes of the answer, ``b""`` for the end of the connection.

        Raises PeerError if they are not HTTP, or end before the answer does.
        """
        events: list[Event] = []
        try:
            self._hung_up = not data
            self._h11.receive_data(bytes(data))
            while True:
                event = self._h11.next_event()
                if not isinstance(event, h11.Event) or self._take(event, events):
                    return events
        except h11.RemoteProtocolError as cause:
            raise PeerError(f"not an answer in HTTP: {cause}") from cause

    def _take(self, event: h11.Event, events: list[Event]) -> bool:
        """Translate one event; True if nothing more is to be read now."""
        if isinstance(event, h11.InformationalResponse):
            if event.status_code != 101:
                return False
            events.append(self._switched(event))
            return True
        if isinstance(event, h11.Response):
            if self._h11.their_state is h11.SWITCHED_PROTOCOL:
                events.append(self._switched(event))
                return True
            events.append(_head(event))
        elif isinstance(event, h11.Data):
            events.append(Body(bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            states = (self._h11.our_state, self._h11.their_state)
            unasked = self._h11.trailing_data[0]  # would pass for the answer to the next request
            whole = states == (h11.DONE, h11.DONE)
            events.append(Ended(whole and not self._hung_up and not unasked))
        return isinstance(event, h11.EndOfMessage | h11.ConnectionClosed)

    def _switched(self, event: h11.Response | h11.InformationalResponse) -> Switched:
        early, _ = self._h11.trailing_data
        return Switched(_head(event), bytes(early))

    def _said(self, event: h11.Event) -> bytes:
        said = self._h11.send(event)
        return said if said is not None else b""


def _head(event: h11.Response | h11.InformationalResponse) -> Responded:
    return Responded(
        event.status_code,
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers),
    )
