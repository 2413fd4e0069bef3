"""The status message: msgpack of ``[2, status]``, retained on the vehicle's status topic.

``status`` is a map of the fields of ``records.status.Status``. A campaign is an array in the order of ``CampaignStatus``:
names would be two thirds of it. Brokers bound a message (AWS IoT at 128 KiB), so a status that would be larger leaves out
campaigns, those that fired least first, and says how many.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from fsd_agent.records.status import Status

VERSION = 2
MAX_BYTES = 128_000
"""A thousand campaigns with a few drop reasons each stay below this."""
_KEPT = 0.8
"""Share of the campaigns that is left when all are too many; then it is looked again."""


class StatusFormatError(ValueError):
    """Bytes that are not a status message; the message says which field and why."""


def encode_status(status: Status) -> bytes:
    """Bytes of one status, at most :data:`MAX_BYTES`.

    Raises :class:`StatusFormatError` where it is larger without any campaign: its texts have no bound then.
    """
    data = msgspec.msgpack.encode((VERSION, status))
    while len(data) > MAX_BYTES:
        if not status.campaigns:
            raise StatusFormatError(f"status: {len(data)} bytes without any campaign, more than {MAX_BYTES}")
        status = _shorter(status)
        data = msgspec.msgpack.encode((VERSION, status))
    return data


def decode_status(data: bytes) -> Status:
    """Read what :func:`encode_status` wrote; raises :class:`StatusFormatError`."""
    if len(data) > MAX_BYTES:
        raise StatusFormatError(f"status: {len(data)} bytes, more than {MAX_BYTES}")
    try:
        version = msgspec.msgpack.decode(data, type=tuple[int, msgspec.Raw], strict=True)[0]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StatusFormatError(f"status: {error}") from error
    if version != VERSION:
        raise StatusFormatError(f"status: version {version}, this program reads {VERSION}")
    try:
        return msgspec.msgpack.decode(data, type=tuple[int, Status], strict=True)[1]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StatusFormatError(f"status: {error}") from error


def _shorter(status: Status) -> Status:
    """Without some of the campaigns that fired least."""
    count = int(len(status.campaigns) * _KEPT)
    most = sorted(status.campaigns, key=lambda one: (-one.fired, one.id))[:count]
    left_out = status.campaigns_left_out + len(status.campaigns) - count
    return replace(status, campaigns=tuple(sorted(most)), campaigns_left_out=left_out)
