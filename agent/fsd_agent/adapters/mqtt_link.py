"""One MQTT connection over TLS, in version 5 or 3.1.1 (:mod:`fsd_agent.rules.uplink.versions`), driven by its owner's thread.

paho-mqtt is used for the protocol alone; what it says is turned into events by :mod:`.mqtt_session`. What it would do by itself is
kept away from it:

- The socket is ours: dialled here, with TCP_NODELAY (without it 64 KiB messages crawl), the TLS handshake and the
  peer's identity done before paho has a socket, so nothing of MQTT reaches a wrong broker.
- No thread of paho's and no reconnecting: a connection that is lost is over, and the next one is a new client.
  paho would send its whole memory queue in a burst at reconnect, and back off without jitter.
- Its queue holds at most ``min(window, Receive Maximum)`` messages, because nobody may publish more; nothing is
  published before the CONNACK.
- Inbound messages are taken up to a bound per call; then the socket is left unread, and TCP tells the broker.
"""

from __future__ import annotations

import contextlib
import os
import select
import ssl
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from paho.mqtt.enums import MQTTErrorCode

from fsd_agent.adapters.mqtt_dial import Client, Dial
from fsd_agent.adapters.mqtt_options import MqttOptions
from fsd_agent.adapters.mqtt_session import MqttSession, shut
from fsd_agent.adapters.tcp import TcpProgress, wait_writable
from fsd_agent.ports.broker import Acked, BrokerEvent, Disconnected
from fsd_agent.rules.uplink.versions import Versions

__all__ = ["MqttLink", "MqttOptions"]

MISC_S = 1.0
"""paho's keep-alive is looked after at least this often."""


class MqttLink:
    """See the module; the contract of the methods is that of :class:`fsd_agent.ports.broker.Broker`."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._events: deque[BrokerEvent] = deque()
        self._session: MqttSession | None = None
        """None where nobody is connected, nor was since the connection before was closed."""
        self._versions = Versions(options.only_version)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # ``close`` may be followed by ``connect``, so this descriptor lives as long as the object.
        weakref.finalize(self, os.close, self._wake)
        self._deadline_s = 0.0
        self._last_misc_s = 0.0
        self._progress = TcpProgress(0.0)
        self._lost_tokens = 0

    def connect(self, dial: Dial) -> None:
        """Dial; blocks at most twice ``connect_timeout_s``. Faults come as :class:`Disconnected`."""
        self.close()
        now_s = time.monotonic()
        self._deadline_s = now_s + 3 * self._options.connect_timeout_s
        self._progress = TcpProgress(now_s)
        self._session = MqttSession(dial, self._options, self._versions, self._events)
        self._session.open()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """As :meth:`publish_all`, of one."""
        return self.publish_all(((topic, payload),), retain=retain)[0]

    def publish_all(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = False) -> list[int]:
        """Send at QoS 1 and return the tokens; only while connected and inside the window.

        They are written by the next ``events``, together with what else is published until then, or by ``close``.
        """
        session = self._session
        if session is None or session.client is None or not session.up:
            # Lost since the last ``events``, which the caller will learn from the next: forgotten like the others.
            self._lost_tokens -= len(messages)
            return [self._lost_tokens + number for number in range(len(messages))]
        # What can't be written at once stays with paho, bounded by the window.
        tokens = session.client.give(messages, retain=retain)
        session.in_flight += len(tokens)
        return tokens

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """Drive the connection until something happened, somebody woke us, or the time is over."""
        deadline_s = time.monotonic() + timeout_s
        self._write()
        woken = self._rest(timeout_s)
        while True:
            left_s = 0.0 if self._events or woken else max(0.0, deadline_s - time.monotonic())
            woken = self._turn(min(left_s, MISC_S)) or woken
            now_s = time.monotonic()
            if self._events or woken or now_s >= deadline_s:
                self._note_acknowledgements(now_s)
                found = tuple(self._events)
                self._events.clear()
                return found

    def _note_acknowledgements(self, now_s: float) -> None:
        taken = sum(isinstance(event, Acked) for event in self._events)
        if taken and self._session is not None:
            self._session.gathering.acked(taken, self._session.in_flight, now_s)

    def _write(self) -> None:
        """What was published since the last call. The rest of what was before waits until there is room for it."""
        client = self._session.client if self._session is not None else None
        if client is not None and client.has_news:
            client.loop_write()

    def _rest(self, most_s: float) -> bool:
        """Read nothing while the link has work; what waits to be written is written. True when woken."""
        session = self._session
        client = session.client if session is not None else None
        if session is None or client is None or self._events:
            return False
        until_s = time.monotonic() + min(most_s, session.gathering.wait_s(session.in_flight))
        while (left_s := until_s - time.monotonic()) > 0:
            sock = client.socket() if client.want_write() else None
            ready, woken = self._poll(sock, select.POLLOUT, left_s)
            if ready & select.POLLOUT:
                client.loop_write()
            if woken or ready & ~select.POLLOUT or session.client is None:
                return woken
        return False

    def wake(self) -> None:
        """Make ``events`` return. Any thread."""
        with contextlib.suppress(BlockingIOError):  # A counter at its limit: it will wake anyway
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Disconnect cleanly, giving what paho holds a moment to leave."""
        session, self._session = self._session, None
        self._events.clear()
        client = session.leave() if session is not None else None
        if client is None:
            return
        deadline_s = time.monotonic() + self._options.close_timeout_s
        while client.socket() is not None and client.want_write() and time.monotonic() < deadline_s:
            wait_writable(client.socket(), deadline_s - time.monotonic())
            client.loop_write()
        shut(client)

    def abandon(self) -> None:
        """Close the socket, whatever waits in it."""
        session, self._session = self._session, None
        self._events.clear()
        if session is not None:
            session.end()

    def fail(self, reason: str, *, refused: bool) -> None:
        """The connection, or the attempt, is over: :class:`Disconnected` comes next."""
        session, self._session = self._session, None
        if session is not None:
            session.end()
        self._events.append(Disconnected(reason, refused))

    def _turn(self, wait_s: float) -> bool:
        """Wait for the socket or a wake-up, and let paho read and write; True when woken."""
        session = self._session
        client = session.client if session is not None else None
        sock = client.socket() if client is not None else None
        if session is None or client is None or sock is None:
            return self._poll(None, 0, wait_s)[1]
        wanted = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
        pending = _has_more(client)
        ready, woken = self._poll(sock, wanted, 0.0 if pending else wait_s)
        if ready & select.POLLOUT:
            client.loop_write()
        if pending or ready & ~select.POLLOUT:  # Readable, or something is wrong with it, which reading tells
            self._read(session, client)
        self._misc(session)
        return woken

    def _poll(self, sock: Any, wanted: int, wait_s: float) -> tuple[int, bool]:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if sock is not None:
            poll.register(sock, wanted)
        ready, woken = 0, False
        for fd, mask in poll.poll(1000 * wait_s):  # Whole milliseconds, rounded up
            if fd == self._wake:
                woken = True
                os.eventfd_read(self._wake)
            else:
                ready = mask
        return ready, woken

    def _read(self, session: MqttSession, client: Client) -> None:
        """Read until the socket is empty or as much has arrived as one call may return."""
        while session.client is client and len(self._events) < self._options.inbound_messages:
            if client.socket() is None or client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if not _has_more(client):
                return

    def _misc(self, session: MqttSession) -> None:
        """Keep-alive, and an end to a connection that never came to be."""
        now_s = time.monotonic()
        if session.client is not None and now_s - self._last_misc_s >= MISC_S:
            self._last_misc_s = now_s
            # paho takes a ping that waits behind a segment on a slow link for one that is not answered, and closes.
            if self._progress.still_s(session.client.socket(), now_s) >= self._options.keepalive_s:
                session.client.loop_misc()
        if session.client is not None and not session.up and now_s >= self._deadline_s:
            session.fail("no answer from the broker in time", refused=False)


def _has_more(client: Client) -> bool:
    """Whether something can be read that the kernel no longer has: polling would not see it."""
    sock = client.socket()
    return client.holds_more or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)
