"""``fsdctl clip info``: what is inside a clip."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fsd_agent.wire.clip import ClipContents
from fsd_tools.clip.account import account_lines
from fsd_tools.clip.reading import read_clip


def info(
    file: Path, /, *more: Path, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> int:
    """Print what is inside clips: window, video, annotations, signals, firings; what was removed, by what, how sure, what is left.

    Example: fsdctl clip info cn/store/car-1/*.mcap --json

    Parameters
    ----------
    file
        A clip as the region's receiver stored it.
    more
        Further clips.
    as_json
        One JSON object a line for every clip.
    """
    console = Console()
    for number, path in enumerate((file, *more)):
        facts = facts_of(read_clip(path), path.stat().st_size)
        if as_json:
            print(json.dumps(facts))
            continue
        if number:
            console.print()
        _show(facts, console)
    return 0


def facts_of(clip: ClipContents, size_bytes: int) -> dict[str, Any]:
    """Everything that the command prints, as plain values."""
    record = clip.provenance["redaction"]
    return {
        "clip": clip.clip_id,
        "region": clip.region_id,
        "vehicle": clip.vehicle,
        "size_bytes": size_bytes,
        "start": utc(clip.start_ns + clip.wall_minus_mono_ns),
        "utc_offset_h": record.get("utc_offset_h"),
        "local_start": local(clip.start_ns + clip.wall_minus_mono_ns, record.get("utc_offset_h")),
        "seconds": (clip.end_ns - clip.start_ns) / 1e9,
        "cut": clip.cut,
        "kept": clip.provenance.get("kept"),
        "firings": [
            {
                "campaign": firing["campaign"],
                "version": firing["version"],
                "at_s": (firing["t_ns"] - clip.start_ns) / 1e9,
                "evidence": firing["evidence"],
            }
            for firing in clip.firings
        ],
        "cameras": [_camera(clip, camera) for camera in sorted({packet.camera for packet in clip.packets})],
        "annotations": {
            "frames": len(clip.frames),
            "boxes": Counter(box.kind.name.lower() for frame in clip.frames for box in frame.boxes),
        },
        "signals": [
            {"path": entry.path, "unit": entry.unit, "samples": int((clip.signals.signal == row).sum())}
            for row, entry in enumerate(clip.catalogue)
        ],
        "fixes": len(clip.gnss),
        "redaction": record,
        "value": clip.provenance.get("value"),
        "provenance": clip.provenance,
    }


def _camera(clip: ClipContents, camera: str) -> dict[str, Any]:
    packets = [packet for packet in clip.packets if packet.camera == camera]
    steps = np.diff([packet.t_ns for packet in packets])
    return {
        "name": camera,
        "codec": packets[0].codec,
        "frames": len(packets),
        "keyframes": sum(packet.keyframe for packet in packets),
        "fps": round(1e9 / float(np.median(steps)), 2) if steps.size else None,
        "longest_gap_s": round(float(steps.max()) / 1e9, 3) if steps.size else None,
        "bytes": sum(len(packet.data) for packet in packets),
    }


def _show(facts: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in _lines(facts):
        table.add_row(name, Text(text))  # a Text, because names from a file must not act as markup
    console.print(table)


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "clip", facts["clip"]
    yield "from, to", f"{facts['vehicle']}, {facts['region']}"
    whole = "cut short" if facts["cut"] else "whole"
    yield "window", f"{facts['start']}, {facts['seconds']:.2f} s, {whole}, {facts['size_bytes']:,} bytes"
    if facts["local_start"] is not None:
        yield "local time", f"{facts['local_start']} (nautical zone, not the legal one)"
    if facts["kept"] is not None:
        yield "kept", _kept(facts["kept"])
    for firing in facts["firings"]:
        seen = ", ".join(f"{name} {_short(value)}" for name, value in firing["evidence"].items())
        yield "firing", f"{firing['campaign']} v{firing['version']} at {firing['at_s']:.2f} s: {seen}"
    for camera in facts["cameras"]:
        rate = f"{camera['frames']} frames at {camera['fps']} per second, {camera['keyframes']} key frames"
        yield "video", f"{camera['name']}: {camera['codec']}, {rate}, {camera['bytes']:,} bytes"
    boxes = ", ".join(f"{count} {kind}" for kind, count in sorted(facts["annotations"]["boxes"].items()))
    yield "annotations", f"{facts['annotations']['frames']} frames looked at; {boxes or 'nothing seen'}"
    for signal in facts["signals"]:
        yield "signal", f"{signal['path']} [{signal['unit'] or '-'}]: {signal['samples']} samples"
    if facts["value"] is not None:
        yield "value", _value(facts["value"])
    yield "rules", ", ".join(facts["redaction"]["rules"])
    yield from account_lines(facts)


def _value(told: dict[str, Any]) -> str:
    made = ", ".join(f"{part} {value:.2f}" for part, value in told["parts"].items())
    return f"{told['value']:.3f}, {str(told['why']).replace('_', ' ')}" + (f": {made}" if made else "")


def _kept(told: dict[str, int]) -> str:
    low, high, whole = (
        (told[name] - told["of_start_ns"]) / 1e9 for name in ("start_ns", "end_ns", "of_end_ns")
    )
    return f"the most promising seconds, {low:.2f} to {high:.2f} of {whole:.2f} captured"


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def utc(wall_ns: int) -> str:
    """Unix time in nanoseconds for people."""
    at = dt.datetime.fromtimestamp(wall_ns / 1e9, dt.UTC)
    return at.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def local(wall_ns: int, utc_offset_h: int | None) -> str | None:
    """The same moment in the nautical time zone that the clip says; None where it says none."""
    if utc_offset_h is None:
        return None
    zone = dt.timezone(dt.timedelta(hours=utc_offset_h))
    return dt.datetime.fromtimestamp(wall_ns / 1e9, zone).isoformat(sep=" ", timespec="milliseconds")
