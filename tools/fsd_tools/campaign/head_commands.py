"""``fsdctl campaign heads``: what the trigger heads of a campaign file are, and what they say about a drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from fsd_agent.records.campaign import SECOND_NS
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_agent.rules.triggers.signals.columns import Samples, join_samples
from fsd_firmware.drive.format import DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.ticks import first_ns
from fsd_tools.campaign.compiler import CampaignError
from fsd_tools.campaign.head import CompiledHead, compile_head
from fsd_tools.campaign.schema import FieldError, parse_file, read_text
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class SecondOfScores:
    """The scores of a head in one second of a drive."""

    drive_s: int
    lowest: float
    highest: float
    pictures: int


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What ``--json`` prints of one head."""

    name: str
    source: str
    camera: str
    layers: tuple[int, ...]
    """Inputs, hidden units, 1."""
    input_bits: int
    loss: float
    """Largest change of a score by whole numbers, as a share of the range of scores."""
    tried: int
    from_sample: bool
    seconds: tuple[SecondOfScores, ...] = ()
    unknown: int = 0
    """Pictures of the drive whose score is not known."""
    refused: str | None = None


def heads(
    file: Path,
    /,
    *,
    drive: Path | None = None,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Compile the trigger heads of a campaign FILE; with a drive, show their scores second by second.

    Example: fsdctl campaign heads crossing.yaml --drive city.mcap

    Parameters
    ----------
    file
        A campaign file (YAML) with `heads`.
    drive
        A drive that carries features; `fsdctl drive info` lists whose.
    json
        Print one JSON object.
    """
    compiled = _compiled(file)
    facts = [_facts(one) for one in compiled] if drive is None else _on_drive(compiled, drive)
    if json:
        print(msgspec.json.format(msgspec.json.encode({"heads": facts}), indent=2).decode())
    else:
        _show(facts)
    return 0


def _compiled(file: Path) -> list[CompiledHead]:
    try:
        wanted = parse_file(read_text(file)).heads
        found = [compile_head(name, spec, file.parent) for name, spec in wanted.items()]
    except FieldError as error:
        raise CampaignError(str(file), error.field, error.reason) from None
    if not found:
        raise ToolError(f"{file}: heads: there is none")
    return found


def _facts(one: CompiledHead) -> HeadFacts:
    head, loss = one.head, one.loss
    return HeadFacts(
        head.name,
        head.source,
        head.camera,
        (head.inputs, *(layer.outputs for layer in head.layers)),
        head.input_bits,
        loss.error / loss.spread,
        loss.tried,
        loss.from_sample,
    )


def _on_drive(compiled: Sequence[CompiledHead], drive: Path) -> list[HeadFacts]:
    """With the scores. Raises :class:`ToolError` when the drive can't be read or has no features for any head."""
    bank = HeadBank([(row, one.head) for row, one in enumerate(compiled)])
    parts: list[Samples] = []
    there: set[str] = set()
    start_ns: int | None = None
    try:
        for batch in DriveReader(drive).chunks():
            start_ns = first_ns(batch) if start_ns is None else start_ns
            there |= {f"{one.source} on {one.camera}" for one in batch.features}
            parts += bank.samples(batch.features)
    except DriveError as error:
        raise ToolError(str(error)) from None
    if not parts:
        listed = ", ".join(sorted(there)) or "none at all"
        raise ToolError(f"{drive}: no features for these heads; there are: {listed}")
    scores, refused = join_samples(parts), bank.refused()
    return [
        replace(
            _facts(one),
            seconds=_seconds(scores, row, start_ns or 0),
            unknown=int(np.count_nonzero((scores.row == row) & ~scores.known)),
            refused=refused[row].reason if row in refused else None,
        )
        for row, one in enumerate(compiled)
    ]


def _seconds(scores: Samples, row: int, start_ns: int) -> tuple[SecondOfScores, ...]:
    mine = (scores.row == row) & scores.known
    second, value = (scores.t_ns[mine] - start_ns) // SECOND_NS, scores.value[mine]
    parts = ((number, value[second == number]) for number in np.unique(second).tolist())
    return tuple(
        SecondOfScores(number, float(part.min()), float(part.max()), part.shape[0]) for number, part in parts
    )


def _show(facts: Sequence[HeadFacts]) -> None:
    table = Table("head", "features", "layers", "steps", "lost at most", box=None, pad_edge=False)
    for one in facts:
        on = f"{one.tried} of the sample" if one.from_sample else f"{one.tried} made up"
        layers = "-".join(str(size) for size in one.layers)
        lost = f"{one.loss:.3%} of the range ({on})"
        table.add_row(one.name, f"{one.source} on {one.camera}", layers, f"2^-{one.input_bits}", lost)
    Console().print(table)
    for one in facts:
        if one.refused is not None:
            print(f"refused: {one.refused}")
        if one.unknown:
            print(f"{one.name}: no score for {one.unknown} pictures")
        for second in one.seconds:
            scores = f"{second.lowest:.4g} to {second.highest:.4g}"
            print(f"{one.name}  {second.drive_s} s  {scores}  {second.pictures} pictures")
