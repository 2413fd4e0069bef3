"""One MQTT connection over TLS, in version 5 or 3.1.1 (:mod:`fsd_agent.rules.uplink.versions`), driven by its owner's thread.

paho-mqtt is used for the protocol alone. What it would do by itself is kept away from it:

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
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fsd_agent.adapters.gathering import Gathering
from fsd_agent.adapters.mqtt_dial import LOWER_EFFORT, Client, Dial, Session, explain
from fsd_agent.adapters.tcp import TcpProgress, wait_writable
from fsd_agent.adapters.tls import BrokerRefusedError
from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.rules.uplink.versions import Answer, MqttVersion, Versions
from fsd_agent.wire.envelope import MAX_ENVELOPE_BYTES

_UNSUPPORTED_VERSION = 0x84
"""MQTT 5, section 3.2.2.2; paho gives it for 3.1.1's code 1 too."""
MISC_S = 1.0
"""paho's keep-alive is looked after at least this often."""


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """Bounds of a connection."""

    window: int = 16
    """Publishes that may be unacknowledged; 4 fill 20 Mbit/s at 50 ms, 16 fill a LAN."""
    connect_timeout_s: float = 4.0
    """For TCP, and again for TLS, and again for the CONNACK and the subscriptions. Dialling can't be interrupted,
    so twice this is the longest that an agent waits for its end."""
    keepalive_s: int = 10
    """The peer is asked for a sign of life when its TCP has acknowledged nothing for so long, and is dead after twice as long.
    From 4 on: below, pings of an idle connection come too late for a broker, who waits half as long again."""
    session_expiry_s: int = 3600
    """The broker keeps answers for us through a tunnel; after that they are asked for again."""
    inbound_bytes: int = MAX_ENVELOPE_BYTES + (64 << 10)
    """Largest packet that the broker may send us: a campaign set."""
    inbound_messages: int = 64
    """Taken from the socket in one call of ``events``, and Receive Maximum that we announce."""
    dscp: int = LOWER_EFFORT
    """Of every packet, 0 to 63."""
    close_timeout_s: float = 1.0
    """For what is already in paho's hands, at a clean end."""
    only_version: MqttVersion | None = None
    """Speak this one alone; None: 5, and 3.1.1 where the broker will not have it."""


class MqttLink:
    """See the module; the contract of the methods is that of :class:`fsd_agent.ports.broker.Broker`."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._events: deque[BrokerEvent] = deque()
        self._client: Client | None = None
        self._versions = Versions(options.only_version)
        self._answered = False
        """Whether a CONNACK has come, whatever it said."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # ``close`` may be followed by ``connect``, so this descriptor lives as long as the object.
        weakref.finalize(self, os.close, self._wake)
        self._subscriptions: tuple[str, ...] = ()
        self._up = False
        self._window = 0
        self._deadline_s = 0.0
        self._fault = ""
        self._refused = False
        self._last_misc_s = 0.0
        self._progress = TcpProgress(0.0)
        self._gathering = Gathering(0.0)
        self._in_flight = 0
        self._lost_tokens = 0

    def connect(self, dial: Dial) -> None:
        """Dial; blocks at most twice ``connect_timeout_s``. Faults come as :class:`Disconnected`."""
        self.close()
        self._fault, self._refused, self._up = "", False, False
        self._subscriptions = dial.subscriptions
        self._deadline_s = time.monotonic() + 3 * self._options.connect_timeout_s
        self._answered = False
        self._progress = TcpProgress(time.monotonic())
        self._gathering, self._in_flight = Gathering(time.monotonic()), 0
        version = self._versions.next(dial.endpoint, time.monotonic_ns())
        client = Client(
            dial,
            self._options.connect_timeout_s,
            version,
            self._session(),
            silence_s=2 * self._options.keepalive_s,
        )
        client.max_inflight_messages_set(self._options.window)
        client.max_queued_messages_set(self._options.window)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_taken = self._on_taken
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        self._client = client
        try:
            client.open()
        except (BrokerRefusedError, OSError) as error:
            reason, refused = explain(error)
            self.fail(reason, refused=refused)

    def _session(self) -> Session:
        options = self._options
        return Session(
            keepalive_s=options.keepalive_s,
            expiry_s=options.session_expiry_s,
            receive_maximum=options.inbound_messages,
            packet_bytes=options.inbound_bytes,
        )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send at QoS 1 and return its token; only while connected and inside the window."""
        if self._client is None or not self._up:
            # Lost since the last ``events``, which the caller will learn from the next: forgotten like the others.
            self._lost_tokens -= 1
            return self._lost_tokens
        # What paho can't write now stays with it, bounded by the window.
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc is MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise AssertionError(f"more than {self._options.window} publishes in flight")
        self._in_flight += 1
        return info.mid

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """Drive the connection until something happened, somebody woke us, or the time is over."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            woken = self._turn(0.0 if self._events else min(left_s, MISC_S))
            if self._events or woken or time.monotonic() >= deadline_s:
                if self._events and not woken:
                    self._gather()
                found = tuple(self._events)
                self._events.clear()
                return found

    def _gather(self) -> None:
        """Where only acknowledgements came, and nothing waits to be written, give others a moment to come."""
        client, taken = self._client, sum(isinstance(event, Acked) for event in self._events)
        if client is None or taken < len(self._events):
            return
        self._gathering.acked(taken, time.monotonic())
        wait_s = self._gathering.wait_s(self._in_flight, self._window)
        if wait_s and not client.want_write():
            self._poll(None, 0, wait_s)
            self._turn(0.0)

    def wake(self) -> None:
        """Make ``events`` return. Any thread."""
        with contextlib.suppress(BlockingIOError):  # A counter at its limit: it will wake anyway
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Disconnect cleanly, giving what paho holds a moment to leave."""
        client, self._client = self._client, None
        self._events.clear()
        self._up = False
        if client is None:
            return
        client.disconnect()
        deadline_s = time.monotonic() + self._options.close_timeout_s
        while client.socket() is not None and client.want_write() and time.monotonic() < deadline_s:
            wait_writable(client.socket(), deadline_s - time.monotonic())
            client.loop_write()
        _shut(client)

    def abandon(self) -> None:
        """Close the socket, whatever waits in it."""
        client, self._client = self._client, None
        self._events.clear()
        self._up = False
        if client is not None:
            _shut(client)

    def _turn(self, wait_s: float) -> bool:
        """Wait for the socket or a wake-up, and let paho read and write; True when woken."""
        client = self._client
        sock = client.socket() if client is not None else None
        if client is None or sock is None:
            return self._poll(None, 0, wait_s)[1]
        wanted = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
        pending = _has_more(client)
        ready, woken = self._poll(sock, wanted, 0.0 if pending else wait_s)
        if ready & select.POLLOUT:
            client.loop_write()
        if pending or ready & ~select.POLLOUT:  # Readable, or something is wrong with it, which reading tells
            self._read(client)
        self._misc(client)
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

    def _read(self, client: Client) -> None:
        """Read until the socket is empty or as much has arrived as one call may return."""
        while client is self._client and len(self._events) < self._options.inbound_messages:
            if client.socket() is None or client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if not _has_more(client):
                return

    def _misc(self, client: Client) -> None:
        """Keep-alive, and an end to a connection that never came to be."""
        now_s = time.monotonic()
        if now_s - self._last_misc_s >= MISC_S:
            self._last_misc_s = now_s
            # paho takes a ping that waits behind a segment on a slow link for one that is not answered, and closes.
            if self._progress.still_s(client.socket(), now_s) >= self._options.keepalive_s:
                client.loop_misc()
        if client is self._client and not self._up and now_s >= self._deadline_s:
            self.fail("no answer from the broker in time", refused=False)

    def fail(self, reason: str, *, refused: bool) -> None:
        """The connection, or the attempt, is over: :class:`Disconnected` comes next."""
        client, self._client = self._client, None
        self._up = False
        if client is not None:
            _shut(client)
        self._events.append(Disconnected(reason, refused))

    def _on_connect(
        self, client: paho.Client, _user: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if client is not self._client:
            return
        self._answered = True
        if reason.is_failure:
            self._fault, self._refused = f"the broker refused the connection: {reason}", True
            if reason.value == _UNSUPPORTED_VERSION:
                self._other_version(Answer.REFUSED_VERSION)
            return
        self._heard(Answer.CONNECTED)
        receive_maximum = getattr(properties, "ReceiveMaximum", 65535)
        self._window = min(self._options.window, int(receive_maximum))
        if not self._subscriptions:
            self._rise()
            return
        client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _on_subscribe(
        self, client: paho.Client, _user: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if client is not self._client:
            return
        failed = [str(reason) for reason in reasons if reason.is_failure]
        if failed:
            self._fault, self._refused = f"the broker refused a subscription: {', '.join(failed)}", True
            client.disconnect()
        else:
            self._rise()

    def _rise(self) -> None:
        peer = self._client.peer() if self._client is not None else None
        if self._client is None or peer is None:  # The socket went meanwhile: its end comes next
            return
        self._up = True
        self._events.append(Connected(self._window, peer, self._client.version.label))

    def _on_publish(
        self, client: paho.Client, _user: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if client is self._client:
            self._in_flight -= 1
            self._events.append(Acked(mid, str(reason) if reason.is_failure else ""))

    def _on_taken(self, client: paho.Client, number: int) -> None:
        if client is self._client:
            self._in_flight -= 1
            self._events.append(Acked(number))

    def _on_message(self, client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        if client is not self._client:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # Not a topic that anyone subscribed to
        self._events.append(Message(topic, bytes(message.payload), message.retain))

    def _on_disconnect(
        self, client: paho.Client, _user: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if client is not self._client:
            return
        # Closed in order: a link that breaks, and a TLS alert, leave a fault.
        if not self._answered and not self._fault:
            self._other_version(Answer.CLOSED)
        said = f"the broker closed the connection: {reason}" if flags.is_disconnect_packet_from_server else ""
        self.fail(self._fault or said or f"connection lost: {reason}", refused=self._refused)

    def _heard(self, answer: Answer) -> None:
        if self._client is not None:
            endpoint, now_ns = self._client.dial.endpoint, time.monotonic_ns()
            self._versions.heard(endpoint, self._client.version, answer, now_ns)

    def _other_version(self, answer: Answer) -> None:
        """No refusal of this vehicle: the next attempt may speak another version, and need not wait long."""
        self._heard(answer)
        if self._client is not None and self._options.only_version is None:
            spoken = self._client.version.label
            what = "refused" if answer is Answer.REFUSED_VERSION else "closed the connection on"
            self._fault, self._refused = f"the broker {what} MQTT {spoken}; the other version is next", False

    def _on_log(self, client: paho.Client, _user: Any, level: int, text: str) -> None:
        """Paho tells why a socket failed only here. A TLS alert after the handshake is a certificate refused."""
        if client is self._client and level == paho.MQTT_LOG_ERR:
            self._fault = text
            self._refused = self._refused or "ALERT" in text


def _has_more(client: Client) -> bool:
    """Whether something can be read that the kernel no longer has: polling would not see it."""
    sock = client.socket()
    return client.holds_more or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)


def _shut(client: paho.Client) -> None:
    """Close the socket of a client that is given up; paho closes its own on the paths that it knows."""
    sock = client.socket()
    if sock is not None:
        sock.close()
