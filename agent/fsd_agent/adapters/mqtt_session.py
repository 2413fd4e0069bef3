"""One attempt at an MQTT connection: what paho says of it, as events.

A new one is made for each attempt, and what it says once it is over is not heard: paho calls back from within its own closing.

    CONNACK that takes us       the subscriptions are asked for; where there are none, it is up
    CONNACK that does not       a refusal; one of the version alone is none of this vehicle: the other version is next
    SUBACK that takes all       up: Connected
    SUBACK that refuses one     a refusal
    PUBACK                      Acked, with why where the broker did not take it
    PUBLISH                     Message
    closed, whoever did it      over: Disconnected. A close in order before any CONNACK may mean the version, too
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fsd_agent.adapters.gathering import Gathering
from fsd_agent.adapters.mqtt_dial import Client, Dial, Session, explain
from fsd_agent.adapters.mqtt_options import MqttOptions
from fsd_agent.adapters.tls import BrokerRefusedError
from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.rules.uplink.versions import Answer, Versions

_UNSUPPORTED_VERSION = 0x84
"""MQTT 5, section 3.2.2.2; paho gives it for 3.1.1's code 1 too."""


class MqttSession:
    """See the module. Used by one thread."""

    def __init__(
        self, dial: Dial, options: MqttOptions, versions: Versions, events: deque[BrokerEvent]
    ) -> None:
        """``events`` gets what happens; ``versions`` says what is spoken, and is told what it was answered."""
        self.up = False
        """Whether anything may be published."""
        self.in_flight = 0
        self.gathering = Gathering(options.window, time.monotonic())
        self._dial = dial
        self._options = options
        self._versions = versions
        self._events = events
        self._window = 0
        self._answered = False
        """Whether a CONNACK has come, whatever it said."""
        self._fault = ""
        self._refused = False
        client = Client(
            dial,
            options.connect_timeout_s,
            versions.next(dial.endpoint, time.monotonic_ns()),
            _asked_for(options),
            silence_s=2 * options.keepalive_s,
        )
        client.max_inflight_messages_set(options.window)
        client.max_queued_messages_set(options.window)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_taken = self._on_taken
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        self.client: Client | None = client
        """None once it is over; then nothing holds what paho held of messages, either."""

    def open(self) -> None:
        """Dial; blocks at most twice ``connect_timeout_s``. Faults come as an event."""
        if self.client is None:
            raise AssertionError("a session is opened once")
        try:
            self.client.open()
        except (BrokerRefusedError, OSError) as error:
            reason, refused = explain(error)
            self.fail(reason, refused=refused)

    def fail(self, reason: str, *, refused: bool) -> None:
        """The connection, or the attempt, is over: :class:`Disconnected` comes next."""
        self.end()
        self._events.append(Disconnected(reason, refused))

    def leave(self) -> Client | None:
        """Nothing more is heard. The client, which has a last word to the broker in its hands, where there is one."""
        client, self.client, self.up = self.client, None, False
        if client is not None:
            client.disconnect()
        return client

    def end(self) -> None:
        """Nothing more is heard or said."""
        client, self.client, self.up = self.client, None, False
        if client is not None:
            shut(client)

    def _on_connect(
        self, client: paho.Client, _user: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self.client is None:
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
        self.gathering = Gathering(self._window, time.monotonic())
        if not self._dial.subscriptions:
            self._rise()
            return
        client.subscribe([(topic, 1) for topic in self._dial.subscriptions])

    def _on_subscribe(
        self, client: paho.Client, _user: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if self.client is None:
            return
        failed = [str(reason) for reason in reasons if reason.is_failure]
        if failed:
            self._fault, self._refused = f"the broker refused a subscription: {', '.join(failed)}", True
            client.disconnect()
        else:
            self._rise()

    def _rise(self) -> None:
        peer = self.client.peer() if self.client is not None else None
        if self.client is None or peer is None:  # The socket went meanwhile: its end comes next
            return
        self.up = True
        self._events.append(Connected(self._window, peer, self.client.version.label))

    def _on_publish(
        self, _client: paho.Client, _user: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if self.client is not None:
            self.in_flight -= 1
            self._events.append(Acked(mid, str(reason) if reason.is_failure else ""))

    def _on_taken(self, _client: paho.Client, number: int) -> None:
        if self.client is not None:
            self.in_flight -= 1
            self._events.append(Acked(number))

    def _on_message(self, _client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        if self.client is None:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # Not a topic that anyone subscribed to
        self._events.append(Message(topic, bytes(message.payload), message.retain))

    def _on_disconnect(
        self, _client: paho.Client, _user: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self.client is None:
            return
        # Closed in order: a link that breaks, and a TLS alert, leave a fault.
        if not self._answered and not self._fault:
            self._other_version(Answer.CLOSED)
        said = f"the broker closed the connection: {reason}" if flags.is_disconnect_packet_from_server else ""
        self.fail(self._fault or said or f"connection lost: {reason}", refused=self._refused)

    def _heard(self, answer: Answer) -> None:
        if self.client is not None:
            self._versions.heard(self._dial.endpoint, self.client.version, answer, time.monotonic_ns())

    def _other_version(self, answer: Answer) -> None:
        """No refusal of this vehicle: the next attempt may speak another version, and need not wait long."""
        self._heard(answer)
        if self.client is not None and self._options.only_version is None:
            spoken = self.client.version.label
            what = "refused" if answer is Answer.REFUSED_VERSION else "closed the connection on"
            self._fault, self._refused = f"the broker {what} MQTT {spoken}; the other version is next", False

    def _on_log(self, _client: paho.Client, _user: Any, level: int, text: str) -> None:
        """Paho tells why a socket failed only here. A TLS alert after the handshake is a certificate refused."""
        if self.client is not None and level == paho.MQTT_LOG_ERR:
            self._fault = text
            self._refused = self._refused or "ALERT" in text


def _asked_for(options: MqttOptions) -> Session:
    return Session(
        keepalive_s=options.keepalive_s,
        expiry_s=options.session_expiry_s,
        receive_maximum=options.inbound_messages,
        packet_bytes=options.inbound_bytes,
    )


def shut(client: paho.Client) -> None:
    """Close the socket of a client that is given up; paho closes its own on the paths that it knows."""
    sock = client.socket()
    if sock is not None:
        sock.close()
