"""Paho with less done for each message; the protocol stays paho's.

For an acknowledgement paho makes objects of everything that it could say and a line of log that nobody reads, and takes
it from the TLS socket in three reads. Between two segments on a slow link the processor's caches have gone cold, and each
of these steps then waits for memory. So three of its private methods are replaced: ``_sock_recv`` reads ahead,
``_handle_pubackcomp`` reads what nearly all acknowledgements are, and ``_easy_log`` passes on errors alone. What isn't
that goes to paho. ``test_mqtt_lean.py`` fails if paho stops calling them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import LogLevel, MQTTErrorCode

READ_BYTES: Final = 4096
"""Read ahead where less is asked for."""
_FAILURES_FROM: Final = 0x80
"""Reason codes of this and more say that a message was not taken (MQTT 5, section 2.4)."""


class LeanClient(paho.Client):
    """See the module. Used by one thread, with no more messages in flight than paho is told to allow."""

    on_taken: Callable[[paho.Client, int], None]
    """Told the id of each message that was acknowledged and not refused; ``on_publish`` hears of the others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ahead = b""

    @property
    def holds_more(self) -> bool:
        """Whether something was read from the socket that no packet was made of yet."""
        return bool(self._ahead)

    def _sock_recv(self, bufsize: int) -> bytes:
        ahead = self._ahead
        if not ahead:
            if bufsize >= READ_BYTES:
                return super()._sock_recv(bufsize)
            ahead = super()._sock_recv(READ_BYTES)
        self._ahead = ahead[bufsize:]
        return ahead[:bufsize]

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        said, properties = packet[2:3], packet[3:]
        is_plain = cmd == "PUBACK" and len(packet) >= 2 and bytes(properties) in {b"", b"\0"}
        if not is_plain or (said and said[0] >= _FAILURES_FROM):
            return super()._handle_pubackcomp(cmd)
        number = packet[0] << 8 | packet[1]
        if self._out_messages.pop(number, None) is not None:
            self._inflight_messages -= 1
            self.on_taken(self, number)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            super()._easy_log(level, fmt, *args)
