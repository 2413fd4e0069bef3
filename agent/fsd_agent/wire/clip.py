"""The clip as it leaves the vehicle: an MCAP file, version 1, that Foxglove and the ``mcap`` library open.

Profile empty, chunks compressed with zstd and checked by CRC, messages in order of ``log_time``, which is Unix
time: vehicle time + ``wall_minus_mono_ns``. ``publish_time`` is the sample's own time; it is another than
``log_time`` only for a signal's last value before the window, which is logged at the window's start, and for a firing outside of
what was kept of a window, which is logged at the near end.

============================  ===================================================================================
``/camera/<name>/video``      protobuf ``foxglove.CompressedVideo``, one frame a message; MCAP's ``sequence`` counts
                              from the key frame: 0 is one
``/camera/<name>/annotations``  protobuf ``foxglove.ImageAnnotations``: what was seen, by all who looked
``/gnss``                     protobuf ``foxglove.LocationFix``, absent when positions are dropped
``/signals/<VSS path>``       JSON ``{"value": x}``; unit and type in the channel's metadata
``/firing``                   JSON: each firing that shares the clip
``/provenance``               JSON, one message at the window's start: how the clip came to be
metadata ``foxglove``         ``deviceId``, ``deviceName``: the vehicle's pseudonym
metadata ``fsd``              format, version, clip, region, vehicle, window, clock offset, cut
============================  ===================================================================================

Nothing else of the vehicle is in the file: no raw CAN, no modes, no identity but the pseudonym, and no signal that
the clip's row does not name. Before it is sealed the file is read back and held against a list: ``wire/clip_allowed.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import IO, Any, Final

import zstandard
from mcap.exceptions import McapError
from mcap.stream_reader import CRCValidationError
from mcap.writer import CompressionType, Writer

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.wire import clip_messages as messages
from fsd_agent.wire.clip_book import ClipBook
from fsd_agent.wire.clip_contents import ClipContents, read_clip
from fsd_agent.wire.clip_messages import ClipMessageError
from fsd_firmware.drive.format import CAMERA_NAME, CODECS, BadMessage

__all__ = ["ClipContents", "ClipFormatError", "decode_clip", "encode_clip"]

FOREIGN: Final = (
    McapError,
    CRCValidationError,
    struct.error,
    UnicodeDecodeError,
    zstandard.ZstdError,
    EOFError,
    KeyError,
    OverflowError,
)
"""What the library raises on bytes that are cut off or damaged."""


class ClipFormatError(ValueError):
    """This is no clip, a damaged one, or values that no clip may hold; the message names the place."""


def encode_clip(redacted: RedactedClip, *, vehicle: str, provenance: Mapping[str, Any]) -> bytes:
    """The file of ``redacted``, from the vehicle with this pseudonym; ``provenance`` adds to what is known here.

    Raises :class:`ClipFormatError` for a camera or signal that the clip's row does not name, for a codec that no
    viewer knows, and for times before 1970.
    """
    clip = redacted.clip
    _check(clip)
    output = BytesIO()
    book = ClipBook(Writer(output, compression=CompressionType.ZSTD, enable_data_crcs=True), clip)
    book.writer.start(profile="", library=messages.LIBRARY)
    book.writer.add_metadata(messages.META_FOXGLOVE, dict.fromkeys(messages.FOXGLOVE_NAMES, vehicle))
    book.writer.add_metadata(messages.META_FSD, messages.encode_about(clip.row, vehicle))
    try:
        book.provenance(messages.encode_json({**provenance, **_known(redacted, vehicle)}))
        book.firings()
        book.video()
        book.annotations()
        book.fixes()
        book.signals()
    except ClipMessageError as error:
        raise ClipFormatError(f"clip {clip.row.clip_id}: {error}") from error
    book.finish()
    return output.getvalue()


def decode_clip(source: bytes | IO[bytes], name: str = "clip") -> ClipContents:
    """Everything in a clip, checksums verified; a stream must be seekable. Raises :class:`ClipFormatError`.

    ``name`` is how errors call it.
    """
    try:
        return read_clip(BytesIO(source) if isinstance(source, bytes) else source)
    except FOREIGN as error:
        reason = str(error) or type(error).__name__
        raise ClipFormatError(f"{name}: damaged, or no clip: {reason}") from error
    except (ClipMessageError, BadMessage) as error:
        raise ClipFormatError(f"{name}: {error}") from error


def _check(clip: Clip) -> None:
    """Last look before anything leaves: only what the row names, in forms that viewers read."""
    row = clip.row
    for what, have, named in (
        ("signal", {entry.path for entry in clip.catalogue}, row.signals),
        ("camera", {packet.camera for packet in clip.packets}, row.cameras),
        ("camera", {one.camera for one in clip.detections}, row.cameras),
    ):
        if surplus := have - set(named):
            raise ClipFormatError(f"clip {row.clip_id}: {what} {min(surplus)} is not one that it may hold")
    for camera in row.cameras:
        if not CAMERA_NAME.fullmatch(camera):
            raise ClipFormatError(f"clip {row.clip_id}: camera {camera!r} can't be part of a topic")
    if unknown := {packet.codec for packet in clip.packets} - CODECS:
        raise ClipFormatError(f"clip {row.clip_id}: video in {min(unknown)}, which no viewer knows")


def _known(redacted: RedactedClip, vehicle: str) -> dict[str, Any]:
    """The provenance that the clip itself knows; it wins over what the caller adds."""
    clip, row = redacted.clip, redacted.clip.row
    campaigns = {(one.firing.campaign_id, one.firing.campaign_version) for one in clip.firings}
    return {
        "clip": row.clip_id,
        "region": row.region_id,
        "vehicle": vehicle,
        "campaigns": [{"id": name, "version": version} for name, version in sorted(campaigns)],
        "window": {
            "start_ns": row.start_ns,
            "end_ns": row.end_ns,
            "start_wall_ns": row.start_ns + row.wall_minus_mono_ns,
            "end_wall_ns": row.end_ns + row.wall_minus_mono_ns,
        },
        "kept": messages.kept_told(clip),
        "cut": row.cut,
        "wall_minus_mono_ns": row.wall_minus_mono_ns,
        "priority": row.priority,
        "value": messages.worth_told(row.worth),
        "cameras": row.cameras,
        "signals": [entry.path for entry in clip.catalogue],
        "models": [source for source in redacted.redaction.sources if "@" in source],
        "redaction": asdict(redacted.redaction),
    }
