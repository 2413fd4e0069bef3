"""The demo on real input: the recorded minute with a real street as its camera, seen by NanoDet on the vehicle.

Skipped where the data does not lie beside the repository: none of it is ever part of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsd_agent.wire.clip import ClipContents, decode_clip
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.samples import Kind
from fsd_tools.data import data_dir
from fsd_tools.demo.play import HOME, play
from fsd_tools.demo.scenario import REAL_VIDEO, real

NEEDED = ("comma2k19", "models", f"video/{REAL_VIDEO}")
SURE = 0.5
NEAR_NS = 20_000_000


@pytest.mark.slow
def test_pedestrian_and_cyclist_arrive_without_their_heads(tmp_path: Path) -> None:
    missing = [name for name in NEEDED if not (data_dir() / name).exists()]
    if missing:
        pytest.skip(f"no {', '.join(missing)} in {data_dir()} (FSD_DATA)")
    scenario = real(tmp_path, data_dir(), say=lambda _: None)
    account = play(scenario, tmp_path, say=lambda _: None, paint=lambda _: None)
    assert account.complaints == ()
    assert {one.vehicle for one in account.arrived} == set(HOME)
    for one in account.arrived:
        clip = decode_clip(one.path.read_bytes())
        kinds = {box.kind for frame in clip.frames for box in frame.boxes if box.score >= SURE}
        assert {Kind.PEDESTRIAN, Kind.CYCLIST} <= kinds
        assert _heads_painted(clip) > 20


def _heads_painted(clip: ClipContents) -> int:
    """Count of sure persons in frames that were looked at; each one's head must be black."""
    looks = {frame.t_ns: frame for frame in clip.frames}
    heads = 0
    for frame in PyAvCodec().decode(clip.packets):
        near = [t_ns for t_ns in looks if abs(t_ns - frame.t_ns) < NEAR_NS]
        if not near:
            continue
        picture = frame.bgr()
        for box in looks[near[0]].boxes:
            if box.kind not in (Kind.PEDESTRIAN, Kind.CYCLIST) or box.score < SURE:
                continue
            x1, y1, x2, y2 = box.box
            width, height = x2 - x1, y2 - y1
            # The middle of the top fifth: where a head is. The picture's edges cut it.
            rows = slice(max(0, round(y1 + 0.02 * height)), max(1, round(y1 + 0.2 * height)))
            columns = slice(max(0, round(x1 + 0.25 * width)), max(1, round(x2 - 0.25 * width)))
            head = picture[rows, columns]
            assert np.median(head) < 24, f"a head shows at {frame.t_ns}: {box}"
            heads += 1
    return heads
