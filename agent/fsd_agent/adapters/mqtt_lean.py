"""Paho with less done for each message; the protocol stays paho's.

Of a publish paho makes three copies, a message with a lock and a condition of its own, and a TLS record that is nearly empty, since no
message fills its last one. :meth:`LeanClient.give` makes one copy, and what was given together is written together: fewer
records, and fewer calls of the kernel, each of which wakes the broker. It is put into paho's own queue of packets (``_out_packet``),
and its number where paho looks for the acknowledgement (``_out_messages``).

For an acknowledgement paho makes objects of everything that it could say and a line of log that nobody reads, and takes
it from the TLS socket in three reads. Between two segments on a slow link the processor's caches have gone cold, and each
of these steps then waits for memory. So three of its private methods are replaced: ``_sock_recv`` reads ahead, ``_packet_read``
takes acknowledgements of the two shortest forms, which nearly all are, and ``_easy_log`` passes on errors alone. What isn't
that goes to paho.

``test_mqtt_lean.py`` compares all of it with paho as it is, and fails where paho does otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.properties import VariableByteIntegers

READ_BYTES: Final = 4096
"""Read ahead where less is asked for."""
_PUBLISH_QOS_1: Final = 0x32
"""MQTT 5, section 3.3.1; retained is one more."""
_NO_PROPERTIES: Final = b"\0"
_ACK: Final = 0x40
"""MQTT 5, section 3.4: the length of the rest comes next, then the number, then a reason where there is one, then properties."""
_PLAIN_ACK_BYTES: Final = 4
"""Without a reason, which means that the message was taken. With one it is a byte longer; a broker gives it where nobody listened."""
_FAILURES_FROM: Final = 0x80
"""Reason codes of this and more say that a message was not taken (MQTT 5, section 2.4)."""


class LeanClient(paho.Client):
    """See the module. Used by one thread, with no more messages in flight than paho is told to allow."""

    on_taken: Callable[[paho.Client, int], None]
    """Told the id of each message that was acknowledged and not refused; ``on_publish`` hears of the others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ahead = b""
        self._fault: OSError | None = None
        """Met while reading ahead, and not told yet."""
        self._given: list[bytes] = []
        """Parts of packets that paho has not been handed yet."""
        self._unanswered = paho.MQTTMessage()
        """Stands for each message of ours: of one that is not acknowledged paho wants to know that it is at QoS 1."""
        self._unanswered.qos = 1

    @property
    def holds_more(self) -> bool:
        """Whether something was read from the socket that no packet was made of yet."""
        return bool(self._ahead)

    def give(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = False) -> list[int]:
        """Publish, each topic and payload, at QoS 1 with the next ``loop_write``; their numbers.

        Byte for byte what ``publish`` would send. Raises ``ValueError`` for a topic that can't be sent, and ``AssertionError``
        beyond what may be in flight; then none is taken.
        """
        names = [topic.encode() for topic, _ in messages]
        for name in names:
            self._raise_for_invalid_topic(name)
        if len(self._out_messages) + len(names) > self._max_inflight_messages:
            raise AssertionError(f"more than {self._max_inflight_messages} publishes in flight")
        kind, properties = bytes((_PUBLISH_QOS_1 | retain,)), _NO_PROPERTIES[: self._protocol == paho.MQTTv5]
        numbers: list[int] = []
        for name, (_, payload) in zip(names, messages, strict=True):
            number = self._number()
            length = _length(4 + len(name) + len(properties) + len(payload))
            head = (kind, length, len(name).to_bytes(2, "big"), name, number.to_bytes(2, "big"), properties)
            self._given += (*head, payload)
            numbers.append(number)
        return numbers

    def _number(self) -> int:
        """One that no message in flight has; from now on this one does."""
        number = self._mid_generate()
        if number in self._out_messages:
            raise AssertionError(f"publish {number} was never acknowledged, and 65,535 others were")
        self._out_messages[number] = self._unanswered
        self._inflight_messages += 1
        return number

    @property
    def has_news(self) -> bool:
        """Whether something was given that ``loop_write`` has not tried to write yet."""
        return bool(self._given)

    def want_write(self) -> bool:
        """See paho."""
        return bool(self._given) or super().want_write()

    def loop_write(self) -> MQTTErrorCode:
        """See paho."""
        self._hand_over()
        return super().loop_write()

    def _hand_over(self) -> None:
        """To paho, as one packet: it need not know where one message ends. What it tries to write must not change."""
        if self._given:
            data = memoryview(b"".join(self._given))
            self._given.clear()
            self._out_packet.append(
                {
                    "command": _PUBLISH_QOS_1,
                    "mid": 0,
                    "qos": 1,
                    "pos": 0,
                    "to_process": len(data),
                    "packet": data,  # type: ignore[typeddict-item]  # what paho cuts off is not copied
                    "info": None,
                }
            )

    def _packet_queue(self, *arguments: Any, **options: Any) -> MQTTErrorCode:
        self._hand_over()  # A DISCONNECT ends what comes after it
        return super()._packet_queue(*arguments, **options)

    def _packet_read(self) -> MQTTErrorCode:
        if self._in_packet["command"]:  # In the middle of something
            return super()._packet_read()
        while True:
            if not self._ahead:
                try:
                    self._ahead = super()._sock_recv(READ_BYTES)
                except BlockingIOError:
                    return MQTTErrorCode.MQTT_ERR_AGAIN
                except OSError as error:
                    self._fault = error  # For paho to say what it is
            if not self._take_acks():
                return super()._packet_read()

    def _take_acks(self) -> bool:
        """Take acknowledgements from the beginning of what was read; False where there is anything else."""
        ahead, at = self._ahead, 0
        while size := self._ack_bytes(ahead, at):
            number = ahead[at + 2] << 8 | ahead[at + 3]
            if self._out_messages.pop(number, None) is not None:
                self._inflight_messages -= 1
                self.on_taken(self, number)
            at += size
        if not at:
            return False
        self._ahead = ahead[at:]
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        return True

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        ahead = self._ahead
        if not ahead:
            if bufsize >= READ_BYTES:
                return super()._sock_recv(bufsize)
            ahead = super()._sock_recv(READ_BYTES)
        self._ahead = ahead[bufsize:]
        return ahead[:bufsize]

    def _ack_bytes(self, data: bytes, at: int) -> int:
        """Length of the acknowledgement there, which says that the message was taken; 0 where there is anything else."""
        if len(data) < at + _PLAIN_ACK_BYTES or data[at] != _ACK:
            return 0
        size = 2 + data[at + 1]
        if size == _PLAIN_ACK_BYTES:
            return size
        is_longer = size == _PLAIN_ACK_BYTES + 1 <= len(data) - at and self._protocol == paho.MQTTv5
        return size if is_longer and data[at + _PLAIN_ACK_BYTES] < _FAILURES_FROM else 0

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            super()._easy_log(level, fmt, *args)


@lru_cache(maxsize=64)
def _length(count: int) -> bytes:
    """Of the rest of a packet, as MQTT writes it; nearly all segments have one of a few."""
    encoded: bytes = VariableByteIntegers.encode(count)  # type: ignore[no-untyped-call]
    return encoded
