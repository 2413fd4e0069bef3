"""The connection to one of the route's brokers: kept up with jittered back-off, and what is in flight on it.

    state        event                         then
    -----------  ----------------------------  ------------------------------------------------------
    down         the retry time has come       connecting
    connecting   Connected                     up
    connecting   nothing for ``connect_ns``    down, back-off
    any          Disconnected                  down, back-off (slow where the peer was refused)
    up           no Acked for ``stall_ns``     down, back-off: alive to pings, dead to publishes
                 while something is in flight
    any          the vehicle was suspended     down, and connecting at once

Endpoints are tried in the policy's order, one attempt each, and never another's. Between two of them the pause is the
first of the back-off; after the last the round is over, and the pause grows with the rounds. The back-off, and with it
the order, starts anew after a connection that was of use: it lasted ``steady_ns``, or the broker took ``useful`` messages
over it, as where a road has coverage for some seconds at a time. One that is dropped at once, again and again, is a failing one.

Of a suspend our clock knows nothing, but the broker's does, and that of every router between that keeps a table of connections:
after one of ``suspend_ns`` nothing from before is trusted, and no pause from before is waited for. For ``awake_ns`` after it
the back-off does not grow: a modem takes a while to be there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fsd_agent.ports.broker import Acked, Broker, Connected, Disconnected, Peer
from fsd_agent.records.delivery import BytesSent
from fsd_agent.records.region import Endpoint, Route
from fsd_agent.rules.uplink.backoff import BackoffPolicy, delay_ns

NETWORK_RETRY = BackoffPolicy(first_ns=1_000_000_000, most_ns=60_000_000_000)
"""After a lost connection or a failed attempt: tunnels and dead zones are short."""
REFUSED_RETRY = BackoffPolicy(first_ns=30_000_000_000, most_ns=3_600_000_000_000)
"""After the wrong broker, or a broker that refused us: a person must act first."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Times, in nanoseconds."""

    connect_ns: int = 30_000_000_000
    stall_ns: int = 60_000_000_000
    """A full window of 64 KiB segments takes this long at 70 kbit/s."""
    steady_ns: int = 30_000_000_000
    useful: int = 16
    """Two windows: more than what a connection that carries nothing gets rid of."""
    suspend_ns: int = 1_000_000_000
    awake_ns: int = 30_000_000_000
    network_retry: BackoffPolicy = NETWORK_RETRY
    refused_retry: BackoffPolicy = REFUSED_RETRY


T = TypeVar("T")


@dataclass(slots=True)
class _Given:
    """To one endpoint so far: counted for each message, which is why nothing is looked up for it."""

    messages: int = 0
    count: int = 0
    """Bytes of payloads."""


class Link(Generic[T]):
    """See the module. ``T`` is what a publish was for."""

    def __init__(self, broker: Broker, limits: LinkLimits, random: Callable[[], float]) -> None:
        self.broker = broker
        self.connected = False
        self.peer: Peer | None = None
        """Who is at the other end, while connected."""
        self.connections = 0
        self.failures = 0
        self.refused = 0
        self.acknowledged = 0
        self._limits = limits
        self._random = random
        self._window = 0
        self._in_flight: dict[int, T] = {}
        self._sent: dict[tuple[str, Endpoint], _Given] = {}
        self._given = _Given()
        """What was given to the endpoint of the connection, or of the newest attempt."""
        self._endpoint: Endpoint | None = None
        self._connecting = False
        self._endpoints = 1
        self._turn = 0
        """Which of the endpoints is tried next."""
        self._rounds = 0
        """Failed since a connection lasted."""
        self._round_refused = False
        """Whether a broker of this round was a stranger, or refused us."""
        self._retry_at_ns = 0
        self._since_ns = 0
        """When the state began, or (up) when the broker last acknowledged or had nothing to acknowledge."""
        self._up_since_ns = 0
        self._taken = 0
        """By the broker, over this connection: acknowledged and not refused."""
        self._suspended_ns: int | None = None
        """In all, at the last look."""
        self._resuming = False
        """The connection's end is not told yet, and the next one is not to wait."""
        self._awake_until_ns = 0
        """The back-off does not grow before this."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the connection, or the newest attempt, goes to."""
        return self._endpoint

    @property
    def room(self) -> int:
        """Publishes that may be made now."""
        return self._window - len(self._in_flight) if self.connected else 0

    @property
    def in_flight(self) -> int:
        """Publishes that are not acknowledged."""
        return len(self._in_flight)

    @property
    def sent(self) -> tuple[BytesSent, ...]:
        """What was given to each endpoint so far."""
        return tuple(
            BytesSent(region_id, endpoint.host, endpoint.port, given.messages, given.count)
            for (region_id, endpoint), given in self._sent.items()
            if given.messages
        )

    def keep(
        self, route: Route, subscriptions: tuple[str, ...], now_ns: int, suspended_ns: int
    ) -> Disconnected | None:
        """Connect when it is time to. A connection that is found dead is dropped and returned as an event.

        ``suspended_ns``: how long the machine was suspended, in all.
        """
        if self._slept(suspended_ns):
            self._awake_until_ns = now_ns + self._limits.awake_ns
            self._start_over()
            if self.connected or self._connecting:
                self._resuming = True
                return self._give_up("the vehicle was suspended")
        waited_ns = now_ns - self._since_ns
        if self._connecting and waited_ns >= self._limits.connect_ns:
            return self._give_up("the broker did not answer the connection request")
        if self.connected and self._in_flight and waited_ns >= self._limits.stall_ns:
            return self._give_up("the broker stopped acknowledging")
        if not self.connected and not self._connecting and now_ns >= self._retry_at_ns:
            self._connecting, self._since_ns = True, now_ns
            endpoints, region_id = route.policy.endpoints, route.policy.region_id
            self._endpoints, self._endpoint = len(endpoints), endpoints[self._turn % len(endpoints)]
            self._given = self._sent.setdefault((region_id, self._endpoint), _Given())
            self.broker.connect(route, self._endpoint, subscriptions)
        return None

    def _slept(self, suspended_ns: int) -> bool:
        """Whether the machine was suspended since the last look, long enough to count."""
        before_ns, self._suspended_ns = self._suspended_ns, suspended_ns
        return before_ns is not None and suspended_ns - before_ns >= self._limits.suspend_ns

    def _give_up(self, reason: str) -> Disconnected:
        self.broker.abandon()
        return Disconnected(reason, refused=False)

    def publish(self, what: T, topic: str, payload: bytes, *, retain: bool, now_ns: int) -> None:
        """Send; only while there is :attr:`room`."""
        self._begin(1, now_ns)
        self._in_flight[self.broker.publish(topic, payload, retain=retain)] = what
        self._given.messages += 1
        self._given.count += len(payload)

    def publish_all(self, whats: Sequence[T], messages: Sequence[tuple[str, bytes]], now_ns: int) -> None:
        """Send as many, each topic and payload; only while there is room for all."""
        self._begin(len(messages), now_ns)
        self._in_flight.update(zip(self.broker.publish_all(messages), whats, strict=True))
        self._given.messages += len(messages)
        self._given.count += sum(len(payload) for _, payload in messages)

    def _begin(self, count: int, now_ns: int) -> None:
        if self.room < count or self._endpoint is None:
            raise AssertionError("publish without room")
        if not self._in_flight:
            self._since_ns = now_ns

    def on_connected(self, event: Connected, now_ns: int) -> None:
        """The broker has accepted us."""
        self.connected, self._connecting, self._window = True, False, event.window
        self.peer = event.peer
        self.connections += 1
        self._since_ns = self._up_since_ns = now_ns
        self._taken = 0

    def on_acked(self, event: Acked, now_ns: int) -> T | None:
        """What the acknowledged publish was for; None when it is not of this connection."""
        self._since_ns = now_ns
        what = self._in_flight.pop(event.token, None)
        self.acknowledged += what is not None
        self._taken += what is not None and not event.refusal
        return what

    def on_disconnected(self, event: Disconnected, now_ns: int) -> None:
        """The connection, or the attempt, is over."""
        of_use = self.connected and self._was_of_use(now_ns)
        if of_use:
            self._rounds, self._round_refused = 0, False
        if now_ns < self._awake_until_ns and not event.refused:
            self._rounds = 0
        pause_ns = 0 if self._resuming else self._pause_ns(event, round_over=of_use)
        self._resuming = False
        self._retry_at_ns = now_ns + pause_ns
        self.failures += 1
        self.refused += event.refused
        self._down()

    def _was_of_use(self, now_ns: int) -> bool:
        return self._taken >= self._limits.useful or now_ns - self._up_since_ns >= self._limits.steady_ns

    def _pause_ns(self, event: Disconnected, *, round_over: bool) -> int:
        """Choose the endpoint that is next, and how long to wait for it."""
        self._round_refused = self._round_refused or event.refused
        if not round_over and self._turn < self._endpoints - 1:
            self._turn += 1
            return delay_ns(self._limits.network_retry, 0, self._random())
        policy = self._limits.refused_retry if self._round_refused else self._limits.network_retry
        pause_ns = delay_ns(policy, self._rounds, self._random())
        self._turn, self._rounds, self._round_refused = 0, self._rounds + 1, False
        return pause_ns

    def close(self) -> None:
        """Disconnect; the next :meth:`keep` connects at once."""
        self.broker.close()
        self._start_over()
        self._down()

    def _start_over(self) -> None:
        """The first endpoint, at once."""
        self._turn = self._rounds = self._retry_at_ns = 0
        self._round_refused = False

    def _down(self) -> None:
        self.connected = self._connecting = False
        self.peer = None
        self._in_flight.clear()

    def next_due_ns(self, now_ns: int) -> int:
        """When :meth:`keep` has something to do, at the latest."""
        if self.connected:
            return self._since_ns + self._limits.stall_ns if self._in_flight else now_ns + 10**12
        return self._since_ns + self._limits.connect_ns if self._connecting else self._retry_at_ns
