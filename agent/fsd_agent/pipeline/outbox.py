"""Small messages that overtake clips: the newest of each topic, until the broker has taken it.

Bounded by topics: when one more topic than ``topics_max`` comes, the topic that waited longest is dropped and
counted. A message whose topic is not of the vehicle and region that we are connected to is dropped and counted
too: it was made for another route.

Threads: any.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fsd_agent.wire.transfer import Topics

TOPICS_MAX = 64
"""A vehicle has one status topic; this leaves room and still bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class SmallMessage:
    """One message; compared by identity, so that an acknowledgement can't be taken for a newer one's."""

    topic: str
    payload: bytes = field(repr=False)
    retain: bool


class Outbox:
    """See the module."""

    def __init__(self, topics_max: int = TOPICS_MAX) -> None:
        self._lock = threading.Lock()
        self._topics_max = topics_max
        self._waiting: dict[str, SmallMessage] = {}
        self._sent: dict[str, SmallMessage] = {}
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Messages given up so far."""
        with self._lock:
            return self._dropped

    @property
    def pending(self) -> int:
        """Messages that the broker has not taken yet."""
        with self._lock:
            return len(self._waiting) + len(self._sent)

    def put(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send this as soon as possible, in place of an earlier message of that topic."""
        with self._lock:
            if topic not in self._waiting and len(self._waiting) >= self._topics_max:
                del self._waiting[next(iter(self._waiting))]
                self._dropped += 1
            self._waiting[topic] = SmallMessage(topic, payload, retain)

    def take(self, topics: Topics) -> SmallMessage | None:
        """The next message to publish; it is kept until :meth:`settled`."""
        with self._lock:
            while self._waiting:
                topic = next(iter(self._waiting))
                message = self._waiting.pop(topic)
                if topic.startswith(topics.base):
                    self._sent[topic] = message
                    return message
                self._dropped += 1
        return None

    def settled(self, message: SmallMessage, *, taken: bool) -> None:
        """The broker has taken it, or will not."""
        with self._lock:
            if self._sent.get(message.topic) is message:
                del self._sent[message.topic]
            self._dropped += not taken

    def interrupted(self) -> None:
        """The connection is gone: what was not settled is sent again, unless something newer waits."""
        with self._lock:
            self._waiting = self._sent | self._waiting
            self._sent = {}
