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
    """Paho as it is, asked as the lean client is."""

    holds_more = False

    def give(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = False) -> list[int]:
        return [self.publish(topic, payload, qos=1, retain=retain).mid for topic, payload in messages]


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

    def give(self, *messages: tuple[str, bytes, bool]) -> None:
        """Publish all of them at once."""
        for topic, payload, retain in messages:
            self.client.give(((topic, payload),), retain=retain)
        assert self.client.loop_write() is MQTTErrorCode.MQTT_ERR_SUCCESS

    def heard_by_broker(self) -> bytes:
        """Everything that was written so far, and not heard before."""
        found = b""
        self.ours.setblocking(False)
        while True:
            try:
                data = self.ours.recv(1 << 20)
            except BlockingIOError:
                return found
            if not data:
                return found
            found += data

    def rest_of_it(self) -> bytes:
        """What the broker hears until the client has nothing left to write."""
        found = self.heard_by_broker()
        while self.client.want_write():
            assert self.client.loop_write() is MQTTErrorCode.MQTT_ERR_SUCCESS
            found += self.heard_by_broker()
        return found

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


def both(
    protocol: int, publishes: int, parts: Sequence[bytes]
) -> list[tuple[Heard, list[int], int, MQTTErrorCode]]:
    """What either client heard of these bytes, which of its messages are open, in two accounts, and how it ended."""
    found = []
    for kind in (Plain, LeanClient):
        line = Line(kind, protocol)
        line.give(*(("a", bytes([number]), False) for number in range(publishes)))
        said = [line.say(part) for part in parts]
        client = line.client
        found.append((line.heard, list(client._out_messages), client._inflight_messages, said[-1]))
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
    line.give(("a", b"x", False))
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
    line.give(("a", b"x", False))
    assert not lines
    line.say(puback(1, None, None) + b"\xd0")
    assert line.heard == [(1, False)], "paho reads acknowledgements otherwise"
    assert not line.client.holds_more
    line.ours.close()
    theirs = line.client.socket()
    theirs.close()
    line.client.loop_read()
    assert [level for level, _ in lines] == [paho.MQTT_LOG_ERR]


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_a_connection_that_breaks_is_told_as_paho_tells_it(acknowledged: int) -> None:
    found = []
    for kind in (Plain, LeanClient):
        line, lines = Line(kind, paho.MQTTv5), list[str]()
        line.client.on_log = lambda _client, _user, level, text, to=lines: (
            to.append(text) if level == paho.MQTT_LOG_ERR else None
        )
        line.give(("a", b"never read", False))
        for number in range(1, 1 + acknowledged):
            line.ours.sendall(puback(number, None, None))
        line.ours.close()  # With something unread in it: a reset, not an end
        said = [line.client.loop_read() for _ in range(2)]
        # It reads on where paho would be asked again, so the end may come a call sooner.
        found.append((line.heard, lines, next(filter(None, said))))
    assert found[0] == found[1]
    assert "reset" in found[0][1][0]


_messages = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="+#", exclude_categories=("Cs",)), min_size=1, max_size=40),
        st.integers(0, 300) | st.sampled_from([20_000, 70_000]),
        st.booleans(),
    ),
    max_size=6,
)
"""Topics, sizes of payloads, and whether they are retained."""


@pytest.mark.parametrize("protocol", [paho.MQTTv5, paho.MQTTv311])
@given(groups=st.lists(_messages, max_size=3))
@settings(max_examples=60, deadline=None)
def test_what_is_given_goes_out_as_paho_would_send_it(
    protocol: int, groups: list[list[tuple[str, int, bool]]]
) -> None:
    heard = []
    for kind in (Plain, LeanClient):
        line, said = Line(kind, protocol), []
        for messages in groups:
            line.give(*((topic, (b"%d." % size * size)[:size], retain) for topic, size, retain in messages))
            said.append(line.rest_of_it())
        heard.append((said, list(line.client._out_messages), line.client._inflight_messages))
        line.close()
    assert heard[0] == heard[1]


def test_what_does_not_fit_at_once_goes_on_where_it_stopped_and_later_ones_come_after_it() -> None:
    line, payloads = Line(LeanClient, paho.MQTTv5), [bytes([number]) * 100_000 for number in range(6)]
    line.heard_by_broker()
    line.client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line.give(*(("a", payload, False) for payload in payloads[:3]))
    assert line.client.want_write()
    heard = line.heard_by_broker()
    line.give(*(("a", payload, False) for payload in payloads[3:]))
    heard += line.rest_of_it()
    at = 0
    for number, payload in enumerate(payloads, 1):
        head = b"\x32" + bytes([0x80 | 100_006 & 0x7F, 0x80 | 100_006 >> 7 & 0x7F, 100_006 >> 14])
        packet = head + b"\0\x01a" + number.to_bytes(2, "big") + b"\0" + payload
        assert heard[at : at + len(packet)] == packet
        at += len(packet)
    assert at == len(heard)
    line.close()


@pytest.mark.parametrize("protocol", [paho.MQTTv5, paho.MQTTv311])
def test_what_was_given_leaves_before_anything_that_paho_says_later(protocol: int) -> None:
    line = Line(LeanClient, protocol)
    line.heard_by_broker()
    line.client.give((("a", b"last words"),))
    assert line.client.want_write()
    line.client.disconnect()
    heard = line.heard_by_broker()
    assert heard.index(b"last words") < heard.index(b"\xe0\0")
    assert heard.endswith(b"\xe0\0")
    line.close()


def test_no_more_is_given_than_may_be_in_flight_and_nothing_that_no_broker_takes() -> None:
    line = Line(LeanClient, paho.MQTTv5)
    line.client._max_inflight_messages = 2
    for topic in ("a/+", "#", "a" * 65_536):
        with pytest.raises(ValueError, match="topic"):
            line.client.give(((topic, b""),))
    assert not line.client.want_write()
    line.give(("a", b"", False), ("b", b"", False))
    with pytest.raises(AssertionError, match="more than 2 publishes in flight"):
        line.client.give((("c", b""),))
    line.say(puback(1, None, None))
    line.give(("c", b"", False))
    line.client._last_mid = 1
    line.say(puback(3, None, None))
    with pytest.raises(AssertionError, match="publish 2 was never acknowledged"):
        line.client.give((("d", b""),))
    line.close()
