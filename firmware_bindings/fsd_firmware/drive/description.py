"""The vehicle's description inside a drive: a msgpack map ``{v, cameras, catalogue, signal_table}``.

``cameras`` are maps ``{name, width, height, fps}``; ``catalogue`` is the list of entries in row order;
``signal_table`` is :meth:`SignalTable.to_bytes` or nil.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec

from fsd_firmware.can.table import SignalTable
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.format import CAMERA_NAME

DESCRIPTION_VERSION: Final = 1


class _Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    cameras: tuple[CameraDescription, ...]
    catalogue: tuple[CatalogueEntry, ...]
    signal_table: bytes | None


def encode_description(description: VehicleDescription) -> bytes:
    """The same description gives the same bytes. Raises ``ValueError`` as :func:`check_description`."""
    check_description(description)
    table = description.signal_table
    return msgspec.msgpack.encode(
        _Description(
            DESCRIPTION_VERSION,
            description.cameras,
            description.catalogue.entries,
            None if table is None else table.to_bytes(),
        )
    )


def decode_description(data: bytes) -> VehicleDescription:
    """Inverse of :func:`encode_description`. Raises ``ValueError`` naming the field."""
    try:
        raw = msgspec.msgpack.decode(data, type=_Description, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"vehicle description: {error}") from None
    if raw.v != DESCRIPTION_VERSION:
        raise ValueError(f"vehicle description: v: {raw.v}; this software reads {DESCRIPTION_VERSION}")
    table = None if raw.signal_table is None else SignalTable.from_bytes(raw.signal_table)
    description = VehicleDescription(raw.cameras, Catalogue(raw.catalogue), table)
    check_description(description)
    return description


def check_description(description: VehicleDescription) -> None:
    """Raise ``ValueError`` naming the camera, the signal or the table.

    Cameras need a name of their own and a size, labels rise in value, staleness isn't negative, and the table
    fills rows that are there.
    """
    names = [camera.name for camera in description.cameras]
    for camera in description.cameras:
        if not CAMERA_NAME.fullmatch(camera.name) or names.count(camera.name) > 1:
            raise ValueError(
                f"vehicle description: camera {camera.name!r}: needs a name of its own, [A-Za-z0-9_.-]"
            )
        if camera.width < 1 or camera.height < 1 or not camera.fps > 0:
            raise ValueError(f"vehicle description: camera {camera.name}: size and fps must be positive")
    for entry in description.catalogue.entries:
        values = [value for value, _name in entry.labels]
        if any(a >= b for a, b in pairwise(values)) or entry.stale_ns < 0:
            raise ValueError(
                f"vehicle description: signal {entry.path}: labels must rise in value, stale_ns must not be negative"
            )
    table = description.signal_table
    if table is not None and table.highest_row >= len(description.catalogue.entries):
        raise ValueError("vehicle description: signal_table: fills a row past the catalogue's end")
