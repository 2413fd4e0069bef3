"""CAN FD frames travel through a drive: 64 bytes a frame, beside classic ones and in any cut of time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fsd_firmware.can.build import Field, build_table
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can_frames import CAN_LENGTHS, CanFrames, empty_can
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.drive.columns import join, rows
from fsd_firmware.drive.format import BadMessage, decode_can, encode_can
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.replay import DriveReplay
from fsd_firmware.drive.writer import DriveWriter

SECOND = 1_000_000_000
TABLE = build_table(
    [
        Field(0, 7, 60, 64, False, False, 1, 0, catalogue_row=0),
        Field(0, 7, 200, 32, True, False, 1, 0, catalogue_row=1, is_float=True),
    ]
)


def _frames(width: int, begin_ns: int, n: int = 200) -> CanFrames:
    rng = np.random.default_rng(width + n)
    length = rng.choice([one for one in CAN_LENGTHS if one <= width], n).astype(np.uint8)
    data = rng.integers(0, 256, (n, width)) * (np.arange(width) < length[:, None])
    t_ns = begin_ns + np.arange(n, dtype=np.int64) * 9_100_000
    return CanFrames(t_ns, np.zeros(n, np.uint8), np.full(n, 7, np.uint32), length, data.astype(np.uint8))


def _write(path: Path, kit: SimpleNamespace, parts: list[CanFrames]) -> Path:
    plain = kit.description()
    described = VehicleDescription(plain.cameras, plain.catalogue, TABLE)
    with DriveWriter(path, described, name="wide", wall_minus_mono_ns=0, origin={}, attachments={}) as writer:
        for part in parts:
            writer.write_can(part)
    return path


def test_both_widths_come_back_in_every_cut(tmp_path: Path, kit: SimpleNamespace) -> None:
    narrow, wide = _frames(8, 10 * SECOND), _frames(64, 12 * SECOND)
    path = _write(tmp_path / "wide.mcap", kit, [narrow, wide])
    everything = join([narrow, wide])
    assert everything.data.shape == (400, 64)
    assert kit.same(join([batch.can for batch in DriveReader(path).chunks()]), everything)
    assert DriveReader(path).description.signal_table is not None
    whole = Decoder(TABLE).decode(everything)
    for tick_ns in (9_000_000, 130_000_000, 5 * SECOND):
        replay, decoder, parts = DriveReplay(path, speed="max", tick_ns=tick_ns), Decoder(TABLE), []
        while (batch := replay.poll()) is not None:
            parts.append(decoder.decode(batch.can))
        assert kit.same(join(parts), whole)


def test_a_drive_of_classic_frames_stays_as_narrow_as_it_was(tmp_path: Path, kit: SimpleNamespace) -> None:
    path = _write(tmp_path / "narrow.mcap", kit, [_frames(8, 10 * SECOND)])
    assert {batch.can.data.shape[1] for batch in DriveReader(path).chunks()} == {8}
    cell = rows(_frames(8, 0), 0, 3)
    assert decode_can(encode_can(cell)).data.tobytes() == cell.data.tobytes()


def test_joining_with_nothing_keeps_the_wide_frames() -> None:
    wide = _frames(64, 0)
    assert np.array_equal(join([empty_can(), wide]).data, wide.data)


@pytest.mark.parametrize(("width", "length"), [(8, 9), (8, 12), (64, 9), (64, 63), (64, 65)])
def test_a_length_that_no_frame_has_is_neither_written_nor_read(
    width: int, length: int, tmp_path: Path, kit: SimpleNamespace
) -> None:
    frames = rows(_frames(width, 0), 0, 2)
    frames.length[1] = length
    with pytest.raises(BadMessage, match="length: "):
        decode_can(encode_can(frames))
    with pytest.raises(ValueError, match="length: "):
        _write(tmp_path / "bad.mcap", kit, [frames])
