"""Campaigns over recorded drives: the very engine of the car, fed from files.

Each drive is compiled against by itself, since vehicles differ in their signals. Nothing is left out in silence:
a drive that can't be read (or only in part) and a campaign that a drive's vehicle can't run are listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.firing import Firing
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.drive.format import DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.samples import Signals, merge_signals
from fsd_tools.campaign.compiler import UNASSIGNED, CampaignError, compile_campaign
from fsd_tools.campaign.vehicle import Vehicle, described
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Fired:
    """One firing in one drive."""

    drive: str
    firing: Firing
    wall_ns: int
    """Unix time of the firing."""
    drive_ns: int
    """Since the drive's first sample."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """Something that was not evaluated."""

    drive: str
    campaign: str
    """Empty when it is about the whole drive."""
    reason: str


@dataclass(slots=True)
class Backtest:
    """What came out."""

    fired: list[Fired] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    drives: int = 0
    """Read at least in part."""
    seconds: float = 0.0
    """Of driving."""

    def totals(self) -> dict[str, int]:
        """Firings by campaign."""
        return dict(sorted(Counter(one.firing.campaign_id for one in self.fired).items()))


@dataclass(frozen=True, slots=True)
class Source:
    """One campaign file."""

    name: str
    text: str


def drive_files(where: Sequence[Path]) -> tuple[Path, ...]:
    """Drive files: those named, and all ``*.mcap`` below folders. Raises :class:`ToolError` when there are none."""
    found: list[Path] = []
    for path in where:
        inside = sorted(path.rglob("*.mcap")) if path.is_dir() else [path]
        if not inside:
            raise ToolError(f"--drives {path}: no .mcap file in it")
        found += inside
    return tuple(dict.fromkeys(found))


def run_backtest(
    sources: Sequence[Source], drives: Sequence[Path], *, progress: Callable[[Path], None]
) -> Backtest:
    """Run campaigns over drives; ``progress`` is told of each drive that begins."""
    result = Backtest()
    for path in drives:
        progress(path)
        try:
            reader = DriveReader(path)
            result.drives += 1
            campaigns = _compiled(sources, path, described(reader.description), result)
            _run(reader, path, campaigns, result)
        except (DriveError, OSError) as error:
            result.not_run.append(NotRun(str(path), "", str(error)))
    return result


def _compiled(sources: Sequence[Source], drive: Path, vehicle: Vehicle, result: Backtest) -> CampaignSet:
    campaigns = []
    for source in sources:
        try:
            campaign = compile_campaign(
                source.text, file=source.name, catalogue=vehicle.catalogue, cameras=vehicle.cameras
            )
        except CampaignError as error:
            result.not_run.append(NotRun(str(drive), source.name, f"{error.field}: {error.reason}"))
        else:
            campaigns.append(campaign)
    return CampaignSet(UNASSIGNED, 0, tuple(campaigns))


def _run(reader: DriveReader, path: Path, campaigns: CampaignSet, result: Backtest) -> None:
    engine = TriggerEngine(reader.description.catalogue, reader.description.picture_sizes())
    engine.set_campaigns(campaigns)
    start_ns: int | None = None
    try:
        for start_ns, until_ns, firings, wall_minus_mono_ns in _batches(reader, engine):  # noqa: B007 - used below
            for firing in firings:
                wall_ns = firing.t_ns + wall_minus_mono_ns
                result.fired.append(Fired(str(path), firing, wall_ns, firing.t_ns - start_ns))
        if start_ns is not None:
            result.seconds += (until_ns - start_ns) / 1e9
    finally:
        for campaign, reason in engine.suspended().items():
            result.not_run.append(NotRun(str(path), campaign, f"suspended: {reason}"))


def _batches(
    reader: DriveReader, engine: TriggerEngine
) -> Iterator[tuple[int, int, tuple[Firing, ...], int]]:
    """(first sample's time, watermark, firings, clock offset) of each chunk."""
    table = reader.description.signal_table
    decoder = Decoder(table) if table is not None else None
    start_ns: int | None = None
    for batch in reader.chunks():
        signals: Signals = batch.signals
        if decoder is not None and len(batch.can):
            signals = merge_signals(decoder.decode(batch.can), signals)
        if start_ns is None:
            times = [int(signals.t_ns[0])] if len(signals) else []
            times += [int(one.frame_t_ns[0]) for one in batch.detections if len(one.frame_t_ns)]
            times += [packet.t_ns for packet in batch.packets[:1]]
            start_ns = min(times, default=batch.until_ns)
        firings = engine.advance_batch(batch, signals)
        yield start_ns, batch.until_ns, firings, batch.wall_minus_mono_ns
