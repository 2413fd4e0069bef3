"""Which version of MQTT the next attempt at an endpoint speaks: 5, and 3.1.1 with a broker that will not have 5.

    spoken   what the broker did                               next attempt at it
    ------   ------------------------------------------------  --------------------------------------------
    5        connected                                         5
    5        refused the version (0x84, or 3.1.1's code 1)     3.1.1
    5        closed in order on the CONNECT                    3.1.1
    3.1.1    connected, after a refusal of 5                   3.1.1, until ``AGAIN_NS`` have passed; then 5
    3.1.1    connected, after a close                          3.1.1, until ``AGAIN_AFTER_CLOSE_NS`` have passed; then 5
    3.1.1    refused the version, or closed on the CONNECT     5
    either   anything else (not reached, reset, no answer)     the same

A broker of 3.1.1 has to refuse with code 1 and close (MQTT 3.1.1, section 3.1.2.2); some only close. One that speaks 5 and ends
at that very moment looks the same: then 3.1.1 is spoken with it for some minutes.

This is no downgrade of trust. Whoever can make the agent fall back, by cutting connections, gains nothing: the peer has
proved to be the region's broker, and the vehicle is bound to its certificate, in TLS below MQTT, in either version alike.
What 3.1.1 lacks is comfort: the broker's Receive Maximum (our own window bounds what is in flight), reasons for what is
refused, and an expiry of the session that we choose.

No input or output; times are monotonic nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from fsd_agent.records.region import Endpoint

AGAIN_NS = 24 * 3600 * 1_000_000_000
"""A broker that was replaced by a newer one is noticed within a day; until then each connection is made at once."""

AGAIN_AFTER_CLOSE_NS = 600 * 1_000_000_000
"""A close is a guess, and 3.1.1 with a broker that speaks both is the poorer of two."""


class MqttVersion(IntEnum):
    """As CONNECT has it (MQTT 5, section 3.1.2.2)."""

    V311 = 4
    V5 = 5

    @property
    def label(self) -> str:
        """As people call it."""
        return "5" if self is MqttVersion.V5 else "3.1.1"


class Answer(StrEnum):
    """What the broker did about a CONNECT."""

    CONNECTED = "connected"
    REFUSED_VERSION = "refused_version"
    CLOSED = "closed"
    """In order, without a CONNACK, and without a TLS alert, which would be about our certificate."""


_REMEMBERED_NS = {Answer.REFUSED_VERSION: AGAIN_NS, Answer.CLOSED: AGAIN_AFTER_CLOSE_NS}


@dataclass(frozen=True, slots=True)
class _Plain:
    """An endpoint that 3.1.1 is spoken with."""

    remembered_ns: int
    """Once it was taken."""
    until_ns: int | None = None
    """None where it has not been tried yet."""


class Versions:
    """See the module; remembered for the life of the process."""

    def __init__(self, only: MqttVersion | None = None) -> None:
        """``only``: never speak another, whatever the broker does."""
        self._only = only
        self._plain: dict[Endpoint, _Plain] = {}

    def next(self, endpoint: Endpoint, now_ns: int) -> MqttVersion:
        """What to speak with it now."""
        if self._only is not None:
            return self._only
        plain = self._plain.get(endpoint)
        if plain is None or (plain.until_ns is not None and now_ns >= plain.until_ns):
            return MqttVersion.V5
        return MqttVersion.V311

    def heard(self, endpoint: Endpoint, spoken: MqttVersion, answer: Answer, now_ns: int) -> None:
        """It answered a CONNECT in that version."""
        plain = self._plain.get(endpoint)
        if spoken is MqttVersion.V5:
            if answer is not Answer.CONNECTED:
                self._plain[endpoint] = _Plain(_REMEMBERED_NS[answer])
        elif answer is not Answer.CONNECTED:
            self._plain.pop(endpoint, None)
        elif plain is not None:
            self._plain[endpoint] = replace(plain, until_ns=now_ns + plain.remembered_ns)
