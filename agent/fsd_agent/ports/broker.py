"""One connection to a region's MQTT broker, as events in and publishes out.

Threads. One thread owns the connection and calls every method.

Order. Messages of one topic arrive in the order they were sent. ``publish`` is QoS 1; its token comes back in
an :class:`Acked` when the broker has taken it. **An Acked is not delivery**: only a receipt is.

Size. At most ``window`` publishes may be unacknowledged; the caller keeps the queue. Whatever was
unacknowledged when the connection went is forgotten here: the caller sends it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fsd_agent.records.region import Endpoint, Route


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as it has proved in the TLS handshake."""

    host: str
    """What was dialled."""
    port: int
    identity_uri: str
    """The URI in its certificate."""
    certificate_sha256: bytes
    """Of that certificate, DER."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted the connection; only now may anything be published."""

    window: int
    """Most publishes that may be unacknowledged: min(our window, the broker's Receive Maximum)."""
    peer: Peer
    mqtt: str = "5"
    """The version that is spoken."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; unacknowledged publishes are forgotten."""

    reason: str
    refused: bool
    """The peer is not this region's broker (authority, name or identity), or it refused this vehicle. Not a network
    fault: the status says so, and it is tried again only slowly.
    """


class Acked(NamedTuple):
    """The broker answered this publish. One is made for each segment: a tuple costs a third of what a frozen dataclass does."""

    token: int
    refusal: str = ""
    """Why it did not take it (its rules forbid the topic, a quota is used up); empty when it did."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something arrived on a subscribed topic."""

    topic: str
    payload: bytes
    retained: bool


BrokerEvent = Connected | Disconnected | Acked | Message


class Broker(Protocol):
    """See the module."""

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """Start connecting to one of the route's endpoints; :class:`Connected` or :class:`Disconnected` follows.

        The network connection is made with the route's own trust context; the peer's identity is checked
        before any MQTT byte is sent.
        """
        ...

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send at QoS 1 and return its token. Only between Connected and Disconnected."""
        ...

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """The same of several, each topic and payload, in order; their tokens."""
        ...

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """Wait up to ``timeout_s`` for at least one event and return all there are, in order."""
        ...

    def wake(self) -> None:
        """Make a waiting ``events`` return early. The one method that any thread may call."""
        ...

    def abandon(self) -> None:
        """Drop the connection as it is, at once: what is found dead hears no word more. Else as :meth:`close`."""
        ...

    def close(self) -> None:
        """Disconnect cleanly; no event of the closed connection comes after this.

        Safe to call twice, and :meth:`connect` may follow.
        """
        ...
