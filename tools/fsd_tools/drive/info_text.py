"""A drive's summary for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fsd_tools.drive.info import DriveSummary


def show(summary: DriveSummary) -> None:
    """Print to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    state = "CUT OFF OR DAMAGED" if summary.truncated else "whole"
    console.print(
        f"{summary.file}: {summary.name}, {summary.duration_s:.1f} s from {summary.starts}, {state}"
    )
    console.print("origin: " + ", ".join(f"{key} {value}" for key, value in summary.origin.items()))
    attached = (f"{name} ({size:,} bytes)" for name, size in summary.attachments.items())
    console.print(f"attachments: {', '.join(attached)}; {summary.signals_known} signals in the catalogue")
    console.print(_channels(summary))
    for camera in summary.cameras:
        what = f"camera {camera.name}: {camera.width}x{camera.height} at {camera.fps:g} fps, "
        if camera.packets:
            what += (
                f"{camera.codec}, a key frame every {camera.key_frame_interval_s:.2f} s"
                f" ({camera.key_frames}), {camera.bytes / 1e6:.1f} MB"
            )
        console.print(what if camera.packets else what + "no video")
    for bus in summary.buses:
        ids = ", ".join(f"{number} {count}" for number, count in bus.ids.items())
        console.print(f"CAN bus {bus.bus}: {bus.frames} frames of {len(bus.ids)} ids: {ids}")
    if summary.detections:
        console.print("boxes: " + ", ".join(f"{kind} {count}" for kind, count in summary.detections.items()))
    for gap in summary.worst_gaps:
        console.print(f"gap: {gap.series}: {gap.length_s:.3f} s at {gap.at_s:.1f} s")


def _channels(summary: DriveSummary) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("channel")
    for heading in ("samples", "rate", "first", "last", "period", "gaps"):
        table.add_column(heading, justify="right")
    for series in summary.channels:
        table.add_row(
            series.name,
            f"{series.count:,}",
            f"{series.rate_hz:,.1f} Hz",
            f"{series.first_s:.1f} s",
            f"{series.last_s:.1f} s",
            f"{series.median_period_ms:.2f} ms",
            str(series.gaps),
        )
    return table
