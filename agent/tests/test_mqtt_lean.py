"""The lean client says what paho says, whatever the broker's bytes are and however they come."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from fsd_agent.adapters.mqtt_lean import READ_BYTES, LeanClient

CONNACK = {paho.MQTTv5: bytes([0x20, 3, 0, 0, 0]), paho.MQTTv311: bytes([0x20, 2, 0, 0])}
REASONS = [0x00, 0x10, 0x80, 0x87, 0x97]
Heard = list[tuple[int, bool]]
"""Message ids, and whether each was refused, in order."""


class Plain(paho.Client):
    """Paho as it is."""

    holds_more = False


class Line:
    """A client, and a broker that says what it is told to."""

    def __init__(self, kind: type[Plain | LeanClient], protocol: int) -> None:
        self.heard: Heard = []
        self.ours, theirs = socket.socketpair()

        class Client(kind):  # type: ignore[valid-type, misc]
            def _create_socket(self) -> socket.socket:
                return theirs

        self.client: Any = Client(CallbackAPIVersion.VERSION2, "car", protocol=protocol)
        self.client.on_publish = self._on_publish
        self.client.on_taken = lambda _client, number: self.heard.append((number, False))
        self.client.connect("nobody", 1)
        self.say(CONNACK[protocol])
        assert self.client.is_connected()

    def _on_publish(self, _client: Any, _user: Any, number: int, reason: Any, _properties: Any) -> None:
        self.heard.append((number, reason.is_failure))

    def say(self, data: bytes) -> MQTTErrorCode:
        """Send, and read until the socket is empty; as :class:`fsd_agent.adapters.mqtt_link.MqttLink` reads."""
        self.ours.sendall(data)
        found = MQTTErrorCode.MQTT_ERR_SUCCESS
        while found is MQTTErrorCode.MQTT_ERR_SUCCESS and (self.client.holds_more or self._is_readable()):
            found = self.client.loop_read()
        return MQTTErrorCode(found)

    def _is_readable(self) -> bool:
        sock = self.client.socket()
        try:
            return sock is not None and bool(sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.ours.close()
        if (sock := self.client.socket()) is not None:
            sock.close()


def both(protocol: int, publishes: int, parts: Sequence[bytes]) -> list[tuple[Heard, int, MQTTErrorCode]]:
    """What either client heard of these bytes, how many of its messages are open, and how it ended."""
    found = []
    for kind in (Plain, LeanClient):
        line = Line(kind, protocol)
        for number in range(publishes):
            line.client.publish("a", bytes([number]), qos=1)
        said = [line.say(part) for part in parts]
        found.append((line.heard, len(line.client._out_messages), said[-1]))
        line.close()
    return found


def puback(number: int, reason: int | None, properties: bytes | None) -> bytes:
    body = number.to_bytes(2, "big")
    if reason is not None:
        body += bytes([reason]) + (properties if properties is not None else b"")
    return bytes([0x40, len(body)]) + body


_said = st.tuples(
    st.integers(1, 6),
    st.none() | st.sampled_from(REASONS),
    st.sampled_from([None, b"\0", b"\x04\x1f\0\x01x"]),
)


@given(st.lists(_said, min_size=1, max_size=12), st.lists(st.integers(1, 9), max_size=8))
@settings(max_examples=60, deadline=None)
def test_acknowledgements_mean_the_same_in_5(
    said: list[tuple[int, int | None, bytes | None]], cuts: list[int]
) -> None:
    data, parts, at = b"".join(puback(*one) for one in said), [], 0
    for cut in cuts:
        parts.append(data[at : at + cut])
        at += cut
    plain, lean = both(paho.MQTTv5, 5, [*(part for part in parts if part), data[at:] or b"\xd0\0"])
    assert lean == plain
    assert [number for number, _ in lean[0]] == list(dict.fromkeys(one[0] for one in said if one[0] <= 5))


def test_acknowledgements_mean_the_same_in_311() -> None:
    plain, lean = both(
        paho.MQTTv311, 3, [puback(2, None, None) + puback(1, None, None), puback(3, None, None)]
    )
    assert lean == plain
    assert lean[0] == [(2, False), (1, False), (3, False)]


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\x01\0\x05ab"])
def test_a_malformed_acknowledgement_ends_the_connection_as_with_paho(body: bytes) -> None:
    plain, lean = both(paho.MQTTv5, 1, [bytes([0x40, len(body)]) + body])
    assert lean == plain


def test_a_large_packet_is_read_whole_behind_small_ones() -> None:
    line, found = Line(LeanClient, paho.MQTTv5), []
    line.client.on_message = lambda _client, _user, message: found.append((message.topic, message.payload))
    line.client.publish("a", b"x", qos=1)
    payload = bytes(range(256)) * (3 * READ_BYTES // 256)
    body = b"\0\x01t" + b"\0" + payload
    length = bytes([0x80 | len(body) & 0x7F, len(body) >> 7])
    line.say(puback(1, 0x10, None) + b"\x30" + length + body + puback(7, None, None))
    assert found == [("t", payload)]
    assert line.heard == [(1, False)]
    line.close()


def test_paho_still_asks_what_was_replaced_and_errors_alone_are_logged() -> None:
    line, lines = Line(LeanClient, paho.MQTTv5), []
    line.client.on_log = lambda _client, _user, level, text: lines.append((level, text))
    line.client.publish("a", b"x", qos=1)
    assert not lines
    line.say(puback(1, None, None) + b"\xd0")
    assert line.heard == [(1, False)], "paho reads acknowledgements otherwise"
    assert not line.client.holds_more
    line.ours.close()
    theirs = line.client.socket()
    theirs.close()
    line.client.loop_read()
    assert [level for level, _ in lines] == [paho.MQTT_LOG_ERR]
