"""Windows of the JAAD drives, what the agent is told of them, and the truth that it is not told.

Windows of 3 s one after the other from the start of each drive; a rest that is shorter is left out. True is a window in
which somebody begins to cross while the car moves: the label ``cross`` of a track goes from 0 to 1 at a frame in it, and
the vehicle's action at that frame is not *stopped*. What a :class:`~fsd_agent.rules.selection.window.Window` holds comes
from boxes, tracks and vehicle actions alone; labels, occlusion, looking, walking and crossing stay behind, also the one
that says whom people described (pedestrian or bystander).

The halves: a drive is of the learning half where the first byte of its name's SHA-256 is even.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.window import Motion, Window
from fsd_tools.drive.import_jaad import FPS, Tracks
from fsd_tools.errors import ToolError

FRAMES: Final = 3 * FPS


@dataclass(frozen=True, slots=True)
class Begin:
    """Somebody begins to cross while the car moves."""

    frame: int
    height: float
    """Of the box at that moment, in thousandths of the picture's."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One window."""

    drive: int
    frame: int
    """Of the drive, the first."""
    window: Window
    begins: tuple[Begin, ...]
    begins_of: dict[int, bool]
    """By track: whether it is one that begins."""
    crosses_of: dict[int, bool]
    """By track: whether it is labelled as crossing at any frame, begun here or before."""

    @property
    def is_true(self) -> bool:
        """See the module."""
        return bool(self.begins)

    @property
    def has_crossing(self) -> bool:
        """Whether somebody crosses, begun here or before."""
        return any(self.crosses_of.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Drive:
    boxes: NDArray[Any]
    action: NDArray[np.uint8]
    size_px: tuple[float, float]
    begins: tuple[tuple[int, Begin], ...]
    """Track and what it does."""


def learning_half(tracks: Tracks, drive: int) -> bool:
    """Whether a drive is of the half that is learned from."""
    return hashlib.sha256(str(tracks.clips[drive]["name"]).encode()).digest()[0] % 2 == 0


def drives_of_half(tracks: Tracks, *, learning: bool) -> list[int]:
    """The drives of the half that is learned from, or of the other."""
    return [drive for drive in range(len(tracks.clips)) if learning_half(tracks, drive) is learning]


def windows_of(tracks: Tracks, drive: int, step: int = FRAMES) -> list[Labelled]:
    """A drive's windows, each ``step`` frames after the one before. Raises :class:`ToolError` without labels."""
    frames = int(tracks.clips[drive]["frames"])
    return windows_at(tracks, drive, range(0, frames - FRAMES + 1, step))


def windows_at(tracks: Tracks, drive: int, frames: Iterable[int]) -> list[Labelled]:
    """A drive's windows from these frames on. Raises :class:`ToolError` without labels."""
    about = _drive(tracks, drive)
    return [_window(drive, about, frame) for frame in frames]


def windows_every(tracks: Tracks, drives: Iterable[int], step: int) -> list[Labelled]:
    """:func:`windows_of` several drives, one drive after the other."""
    return [one for drive in drives for one in windows_of(tracks, drive, step)]


def whole(tracks: Tracks, drive: int) -> Window:
    """A drive as one window. Raises :class:`ToolError` without labels."""
    return _cut_out(_drive(tracks, drive), 0, int(tracks.clips[drive]["frames"]))


def cut(window: Window, start_ns: int, end_ns: int) -> Window:
    """A part of a window."""
    inside = (window.t_ns >= start_ns) & (window.t_ns < end_ns)
    moved = (window.motion_t_ns >= start_ns) & (window.motion_t_ns < end_ns)
    return replace(
        window,
        start_ns=start_ns,
        end_ns=end_ns,
        t_ns=window.t_ns[inside],
        track=window.track[inside],
        box=window.box[inside],
        motion_t_ns=window.motion_t_ns[moved],
        motion=window.motion[moved],
    )


def _drive(tracks: Tracks, drive: int) -> _Drive:
    if "cross" not in (tracks.boxes.dtype.names or ()):
        raise ToolError("boxes: cross: the field is missing, and with it the truth")
    boxes = tracks.boxes[tracks.boxes["clip"] == drive]
    vehicle = tracks.vehicle[tracks.vehicle["clip"] == drive]
    about = tracks.clips[drive]
    action = np.full(int(about["frames"]), Motion.UNKNOWN, np.uint8)
    action[vehicle["frame"]] = vehicle["action"]
    begins: list[tuple[int, Begin]] = []
    for track in np.unique(boxes["track"]).tolist():
        own = boxes[boxes["track"] == track]
        for at in np.flatnonzero((own["cross"][1:] == 1) & (own["cross"][:-1] == 0)) + 1:
            frame = int(own["frame"][at])
            if action[frame] != Motion.STOPPED:
                height = float(own["y2"][at] - own["y1"][at]) * 1000 / float(about["height"])
                begins.append((track, Begin(frame, height)))
    return _Drive(boxes, action, (float(about["width"]), float(about["height"])), tuple(begins))


def _window(drive: int, about: _Drive, frame: int) -> Labelled:
    end = frame + FRAMES
    rows = about.boxes[(about.boxes["frame"] >= frame) & (about.boxes["frame"] < end)]
    begins = [(track, one) for track, one in about.begins if frame <= one.frame < end]
    window = _cut_out(about, frame, end)
    tracks = np.unique(rows["track"]).tolist()
    begins_of = {track: any(track == one for one, _ in begins) for track in tracks}
    crossing = set(rows["track"][rows["cross"] == 1].tolist())
    crosses_of = {track: track in crossing for track in tracks}
    return Labelled(drive, frame, window, tuple(one for _, one in begins), begins_of, crosses_of)


def _cut_out(about: _Drive, frame: int, end: int) -> Window:
    rows = about.boxes[(about.boxes["frame"] >= frame) & (about.boxes["frame"] < end)]
    return Window(
        start_ns=_ns(frame),
        end_ns=_ns(end),
        size_px=about.size_px,
        t_ns=_times(rows["frame"]),
        track=rows["track"].astype(np.int64),
        box=np.stack([rows[name] for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float64),
        motion_t_ns=_times(np.arange(frame, end)),
        motion=about.action[frame:end],
    )


def _times(frame: NDArray[Any]) -> NDArray[np.int64]:
    return frame.astype(np.int64) * 1_000_000_000 // FPS


def _ns(frame: int) -> int:
    return frame * 1_000_000_000 // FPS
