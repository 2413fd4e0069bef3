"""Features in a drive: the one encoder and decoder of ``/features/<camera>``, and cutting and joining them.

A message is a msgpack map of ``camera``, ``source``, ``width``, ``t_ns`` (little-endian int64, one a picture) and
``value`` (little-endian float32, ``width`` a picture). The channel is optional: most drives have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import numpy as np

from fsd_firmware.drive.format import BadMessage, check_times
from fsd_firmware.samples import Features


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    camera: str
    source: str
    width: int
    t_ns: bytes
    value: bytes


def encode_features(features: Features) -> bytes:
    """Bytes of one message."""
    return msgspec.msgpack.encode(
        _Message(
            features.camera,
            features.source,
            features.value.shape[1],
            features.t_ns.astype("<i8", copy=False).tobytes(),
            features.value.astype("<f4", copy=False).tobytes(),
        )
    )


def decode_features(data: bytes) -> Features:
    """Inverse of :func:`encode_features`. Raises :class:`BadMessage`."""
    try:
        found = msgspec.msgpack.decode(data, type=_Message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"not features: {error}") from None
    if len(found.t_ns) % 8:
        raise BadMessage("t_ns: expected whole rows of 8 bytes")
    t_ns = np.frombuffer(found.t_ns, "<i8").astype(np.int64, copy=False)
    check_times("t_ns", t_ns)
    if found.width < 1 or len(found.value) != t_ns.shape[0] * found.width * 4:
        raise BadMessage(
            f"value: {len(found.value)} bytes, expected {t_ns.shape[0]} rows of {found.width} numbers"
        )
    value = np.frombuffer(found.value, "<f4").astype(np.float32, copy=False)
    return Features(found.camera, found.source, t_ns, value.reshape(-1, found.width))


def feature_rows(features: Features, low: int, high: int) -> Features:
    """Pictures ``low`` to ``high`` (exclusive)."""
    return replace(features, t_ns=features.t_ns[low:high], value=features.value[low:high])


def shifted_features(features: Features, by_ns: int) -> Features:
    """The same features later."""
    return replace(features, t_ns=features.t_ns + by_ns)


def join_features(parts: Iterable[Features]) -> tuple[Features, ...]:
    """One value for each camera, source and width, in order of first appearance."""
    groups: dict[tuple[str, str, int], list[Features]] = {}
    for part in parts:
        groups.setdefault((part.camera, part.source, part.value.shape[1]), []).append(part)
    return tuple(
        group[0]
        if len(group) == 1
        else replace(
            group[0],
            t_ns=np.concatenate([part.t_ns for part in group]),
            value=np.concatenate([part.value for part in group]),
        )
        for group in groups.values()
    )
