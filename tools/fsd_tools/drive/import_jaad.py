"""``fsdctl drive import jaad``: the JAAD tracks as drives, one a clip, without pixels.

Detections: source ``jaad``, score 1 (people drew the boxes), distance and time to collision
unknown. The labels pedestrian (0) and
bystander (1) are pedestrians; a group of pedestrians in one box (2) becomes one pedestrian too. Every frame of
a clip counts as looked at, also those without a box. Occlusion, looking, walking and crossing have no place in
:class:`Detections` and stay behind.

Signals: ``Vehicle.FSD.EgoAction`` at every frame, the annotated action of the car; a frame marked unknown
(255) gives no sample.

Clock: 30 frames a second from ``t_ns`` 0. The annotations have no date, so the wall clock is assumed
(``--starts``), and ``origin`` says so.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import cyclopts
import numpy as np
from numpy.typing import NDArray

from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import CameraDescription, FirmwareError, VehicleDescription
from fsd_firmware.drive.columns import detection_rows, rows
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import Detections, DriveMode, Kind, ModeChange, Signals
from fsd_tools.errors import ToolError, UsageError

FPS: Final = 30
UNKNOWN_ACTION: Final = 255
CAMERA: Final = "front"
CATALOGUE: Final = Catalogue(
    (
        CatalogueEntry(
            "Vehicle.FSD.EgoAction",
            "double",
            "",
            0,
            4,
            "0 stopped, 1 moving slow, 2 moving fast, 3 decelerating, 4 accelerating; annotated by people.",
        ),
    )
)
FIELDS: Final = {
    "clips": ("name", "frames", "width", "height", "time_of_day", "weather", "location"),
    "boxes": ("clip", "frame", "track", "label", "x1", "y1", "x2", "y2"),
    "vehicle": ("clip", "frame", "action"),
}
LABELS: Final = 3


@dataclass(frozen=True, slots=True)
class Tracks:
    """The data set's three tables as structured arrays; boxes and vehicle in order of clip and frame."""

    clips: NDArray[Any]
    boxes: NDArray[Any]
    vehicle: NDArray[Any]


def jaad(
    tracks: Annotated[Path, cyclopts.Parameter(help="The tracks as one .npz file.")],
    /,
    *,
    output: Annotated[Path, cyclopts.Parameter(name=["--output", "-o"], help="Folder for the drives.")],
    limit: Annotated[int | None, cyclopts.Parameter(help="Import only the first so many clips.")] = None,
    starts: Annotated[
        datetime, cyclopts.Parameter(help="Wall time that is assumed for the start of every clip.")
    ] = datetime(2026, 1, 1, tzinfo=UTC),
) -> None:
    """Import JAAD tracks as one drive a clip.

    Example: fsdctl drive import jaad tracks_dev.npz -o jaad/ --limit 10
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: from 1 on.")
    loaded = load_tracks(tracks)
    count = len(loaded.clips) if limit is None else min(limit, len(loaded.clips))
    wall_ns = int((starts if starts.tzinfo else starts.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
    try:
        output.mkdir(parents=True, exist_ok=True)
        for clip in _progress(count):
            write_clip(loaded, clip, output / f"{loaded.clips[clip]['name']}.mcap", wall_ns)
    except FirmwareError as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{output}: can't be made: {error.strerror or error}") from error
    print(f"{output}: {count} drives")


def load_tracks(path: Path) -> Tracks:
    """Read and check. Raises :class:`ToolError` naming the file, the table, the field and the reason."""
    try:
        # Opened here, because NumPy leaves a file open that turns out to be no archive.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ToolError(f"{path}: no .npz file that can be read: it holds a single array")
            tables = {name: archive[name] for name in FIELDS if name in archive}
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        # Not NumPy's own words: for foreign bytes it advises to load them as pickles.
        raise ToolError(f"{path}: no .npz file that can be read, or a damaged one") from error
    for name, wanted in FIELDS.items():
        if name not in tables:
            raise ToolError(f"{path}: {name}: the table is missing")
        missing = sorted(set(wanted) - set(tables[name].dtype.names or ()))
        if missing:
            raise ToolError(f"{path}: {name}: fields missing: {', '.join(missing)}")
    clips, boxes, vehicle = (tables[name] for name in FIELDS)
    for name, table in (("boxes", boxes), ("vehicle", vehicle)):
        _check_places(f"{path}: {name}", table, clips)
    if len(boxes) and boxes["label"].max() >= LABELS:
        raise ToolError(f"{path}: boxes: label: {boxes['label'].max()} is none of 0 to {LABELS - 1}")
    if not all(str(name).isidentifier() for name in clips["name"]):
        raise ToolError(f"{path}: clips: name: must be usable as a file's name")
    return Tracks(
        clips,
        boxes[np.lexsort((boxes["track"], boxes["frame"], boxes["clip"]))],
        vehicle[np.lexsort((vehicle["frame"], vehicle["clip"]))],
    )


def _check_places(where: str, table: NDArray[Any], clips: NDArray[Any]) -> None:
    clip, frame = table["clip"].astype(np.int64), table["frame"].astype(np.int64)
    if not len(table):
        return
    if clip.min() < 0 or clip.max() >= len(clips):
        raise ToolError(f"{where}: clip: must be 0 to {len(clips) - 1}")
    if frame.min() < 0 or (frame >= clips["frames"][clip]).any():
        raise ToolError(f"{where}: frame: lies past its clip's end")


def write_clip(tracks: Tracks, clip: int, path: Path, wall_minus_mono_ns: int) -> None:
    """One clip as a drive at ``path``. Raises :class:`FirmwareError` when it can't be written."""
    about = tracks.clips[clip]
    camera = CameraDescription(CAMERA, int(about["width"]), int(about["height"]), float(FPS))
    origin = {key: str(about[key]) for key in ("time_of_day", "weather", "location")}
    with DriveWriter(
        path,
        VehicleDescription((camera,), CATALOGUE, None),
        name=str(about["name"]),
        wall_minus_mono_ns=wall_minus_mono_ns,
        origin={"data_set": "JAAD 2.0", "clip": str(about["name"]), "wall_clock": "assumed", **origin},
        attachments={},
    ) as writer:
        seen, actions = _detections(tracks, clip), _actions(tracks, clip)
        writer.write_mode(ModeChange(0, DriveMode.MANUAL))
        for frame in range(0, int(about["frames"]), FPS):
            window = _times(np.array([frame, frame + FPS]))
            writer.write_detections(detection_rows(seen, *np.searchsorted(seen.frame_t_ns, window).tolist()))
            writer.write_signals(rows(actions, *np.searchsorted(actions.t_ns, window).tolist()))


def _times(frame: NDArray[Any]) -> NDArray[np.int64]:
    return frame.astype(np.int64) * 1_000_000_000 // FPS


def _of_clip(table: NDArray[Any], clip: int) -> NDArray[Any]:
    low, high = np.searchsorted(table["clip"], (clip, clip + 1)).tolist()
    return table[low:high]


def _detections(tracks: Tracks, clip: int) -> Detections:
    boxes = _of_clip(tracks.boxes, clip)
    count = len(boxes)
    return Detections(
        camera=CAMERA,
        source="jaad",
        frame_t_ns=_times(np.arange(int(tracks.clips[clip]["frames"]))),
        frame=boxes["frame"].astype(np.int32),
        kind=np.full(count, Kind.PEDESTRIAN, np.uint8),
        score=np.ones(count, np.float32),
        box=np.stack([boxes[name] for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32),
        distance_m=np.full(count, np.nan, np.float32),
        track_id=boxes["track"].astype(np.int32),
        ttc_s=np.full(count, np.nan, np.float32),
    )


def _actions(tracks: Tracks, clip: int) -> Signals:
    vehicle = _of_clip(tracks.vehicle, clip)
    known = vehicle[vehicle["action"] != UNKNOWN_ACTION]
    return Signals(_times(known["frame"]), np.zeros(len(known), np.int32), known["action"].astype(np.float64))


def _progress(count: int) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import track

    yield from track(range(count), "importing clips", console=Console(stderr=True), transient=True)
