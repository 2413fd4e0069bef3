"""A broker in memory that behaves like one: topics, wildcards, retained messages, sessions, windows, and faults.

:class:`MemoryBroker` is the server, with the region's side attached as listeners. :class:`MemoryConnection` is a
vehicle's :class:`~fsd_agent.ports.broker.Broker`, dialling servers by the endpoint. Answers to a client that is
away are kept for it, as a broker keeps a session's. What a server takes, it acknowledges: also what it then
loses, when it is told to (``forget``).
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message, Peer
from fsd_agent.records.region import Endpoint, Route

Listener = Callable[[str, bytes], Iterable[tuple[str, bytes]]]
"""The region's side: takes a message and gives what is to be published."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a vehicle published, as the server saw it."""

    client: str
    topic: str
    payload: bytes
    retained: bool


def matches(pattern: str, topic: str) -> bool:
    """MQTT 5, section 4.7: ``+`` is one level, a final ``#`` is all below and the level itself."""
    wanted, given = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in {"+", given[index]}:
            return False
    return len(wanted) == len(given)


class MemoryBroker:
    """One region's server. Any thread."""

    def __init__(self, *, receive_maximum: int = 65535) -> None:
        self.receive_maximum = receive_maximum
        self.published: list[Published] = []
        self.refuse: str = ""
        """While set, connections are refused with this reason, as by the wrong broker."""
        self.unreachable = False
        """While set, nobody answers."""
        self.silent = False
        """While set, publishes are neither taken nor acknowledged."""
        self.forbid: Callable[[str], bool] = lambda _topic: False
        """Topics whose publishes are answered with a refusal."""
        self.forget: Callable[[str], bool] = lambda _topic: False
        """Topics whose publishes are acknowledged and then lost."""
        self._lock = threading.RLock()
        self._listeners: list[tuple[str, Listener]] = []
        self._retained: dict[str, bytes] = {}
        self._sessions: dict[str, tuple[str, ...]] = {}
        self._away: dict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=1000))
        self._clients: dict[str, MemoryConnection] = {}

    def listen(self, pattern: str, listener: Listener) -> None:
        """Attach the region's side of ``pattern``."""
        with self._lock:
            self._listeners.append((pattern, listener))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """A message from the region."""
        with self._lock:
            if retain:
                self._retained[topic] = payload
            for client, patterns in self._sessions.items():
                if any(matches(pattern, topic) for pattern in patterns):
                    self._deliver(client, Message(topic, payload, retained=False))

    def cut(self, reason: str = "cut") -> None:
        """Break every connection."""
        with self._lock:
            for connection in tuple(self._clients.values()):
                connection.lost(reason)
            self._clients.clear()

    def attach(self, client: str, connection: MemoryConnection, patterns: tuple[str, ...]) -> None:
        """A client has connected and subscribed; it gets what was kept for it, then what is retained."""
        with self._lock:
            self._clients[client] = connection
            self._sessions[client] = patterns
            for message in self._away.pop(client, ()):
                connection.push(message)
            for topic, payload in self._retained.items():
                if any(matches(pattern, topic) for pattern in patterns):
                    connection.push(Message(topic, payload, retained=True))

    def detach(self, client: str, connection: MemoryConnection) -> None:
        """A client is gone; its session stays."""
        with self._lock:
            if self._clients.get(client) is connection:
                del self._clients[client]

    def take(self, published: Published) -> None:
        """A vehicle's message: log it, keep it if it is to be retained, and tell the region's side."""
        with self._lock:
            self.published.append(published)
            if self.forget(published.topic):
                return
            if published.retained:
                self._retained[published.topic] = published.payload
            for pattern, listener in tuple(self._listeners):
                if matches(pattern, published.topic):
                    for topic, payload in listener(published.topic, published.payload):
                        self.publish(topic, payload)

    def _deliver(self, client: str, message: Message) -> None:
        connection = self._clients.get(client)
        if connection is None:
            self._away[client].append(message)
        else:
            connection.push(message)


def peer_of(route: Route, endpoint: Endpoint) -> Peer:
    """What the broker at this endpoint of the route proves to be."""
    policy = route.policy
    certificate = hashlib.sha256(f"certificate of {policy.region_id}".encode()).digest()
    return Peer(endpoint.host, endpoint.port, policy.identity_uri, certificate)


class MemoryConnection:
    """See :class:`fsd_agent.ports.broker.Broker`. Dials ``servers`` by (host, port)."""

    def __init__(self, servers: Mapping[tuple[str, int], MemoryBroker], *, window: int = 8) -> None:
        self.dialled: list[tuple[str, Endpoint]] = []
        """Every attempt: the route's region, and where it went."""
        self._servers = servers
        self._window = window
        self._ready = threading.Condition(threading.RLock())
        self._events: deque[BrokerEvent] = deque()
        self._woken = False
        self._server: MemoryBroker | None = None
        self._client = ""
        self._token = 0
        self._in_flight: set[int] = set()
        self._limit = 0

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """See the port."""
        self.close()
        self.dialled.append((route.policy.region_id, endpoint))
        server = self._servers.get((endpoint.host, endpoint.port))
        if server is None or server.unreachable:
            self.push(Disconnected("nobody answers", refused=False))
        elif server.refuse:
            self.push(Disconnected(server.refuse, refused=True))
        else:
            self._server, self._client = server, route.registration.vehicle
            self._limit = min(self._window, server.receive_maximum)
            self.push(Connected(self._limit, peer_of(route, endpoint)))
            server.attach(self._client, self, subscriptions)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See the port; raises ``AssertionError`` beyond the window."""
        self._token += 1
        if self._server is None:
            return self._token
        if len(self._in_flight) >= self._limit:
            raise AssertionError(f"more than {self._limit} publishes in flight")
        self._in_flight.add(self._token)
        if self._server.silent:
            return self._token
        refusal = "not authorized" if self._server.forbid(topic) else ""
        self.push(Acked(self._token, refusal))
        if not refusal:
            self._server.take(Published(self._client, topic, payload, retain))
        return self._token

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """See the port."""
        return [self.publish(topic, payload) for topic, payload in messages]

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See the port."""
        with self._ready:
            self._ready.wait_for(lambda: self._events or self._woken, timeout_s)
            self._woken = False
            found = tuple(self._events)
            self._events.clear()
        self._in_flight -= {event.token for event in found if isinstance(event, Acked)}
        return found

    def wake(self) -> None:
        """See the port."""
        with self._ready:
            self._woken = True
            self._ready.notify_all()

    def abandon(self) -> None:
        """See the port; here nobody has to wait for a word."""
        self.close()

    def close(self) -> None:
        """See the port."""
        if self._server is not None:
            self._server.detach(self._client, self)
        self._server = None
        self._in_flight.clear()
        with self._ready:
            self._events.clear()

    def push(self, event: BrokerEvent) -> None:
        """Called by the server: something happened."""
        with self._ready:
            self._events.append(event)
            self._ready.notify_all()

    def lost(self, reason: str) -> None:
        """Called by the server: the connection broke, with everything that was in flight."""
        self._server = None
        self._in_flight.clear()
        with self._ready:
            kept = [event for event in self._events if not isinstance(event, Acked)]
            self._events.clear()
            self._events.extend(kept)
        self.push(Disconnected(reason, refused=False))
