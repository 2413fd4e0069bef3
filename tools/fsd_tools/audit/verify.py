"""``fsdctl audit verify``: whether the ledger is whole, and where every clip went."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsd_agent.records.ledger import Head, Registered, Sealed
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Examined, examine, told_findings
from fsd_agent.rules.audit.clip_account import ClipAccount, RegionView
from fsd_agent.rules.audit.findings import Finding
from fsd_agent.wire.ledger import Signed
from fsd_tools.audit.sources import (
    enrolled_keys,
    former_keys,
    known_keys,
    parse_device_keys,
    read_heads,
    read_ledger,
    read_region,
    told_heads,
)
from fsd_tools.clip.info import utc
from fsd_tools.region.layout import RegionDir


def verify(
    ledger_dir: Path,
    *,
    receipts: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    heads: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    device_key: tuple[str, ...] = (),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Check the ledger in LEDGER_DIR against what regions hold; exit code 0 only if everything holds.

    Example: fsdctl audit verify ./car-1/data/ledger --receipts ./cn ./eu

    Parameters
    ----------
    ledger_dir
        The vehicle's ledger, or a copy.
    receipts
        Directories of regions: their policy, their store, the vehicles'
        public keys and what the vehicle told of its ledger are read, no
        private key.
    heads
        Further files with signed heads that the vehicle told.
    device_key
        Base64 of the vehicle's public key, where no region is given.
    as_json
        One JSON object.
    """
    audit = run_audit(ledger_dir, receipts, parse_device_keys(device_key), read_heads(heads))
    if as_json:
        print(json.dumps(_facts(audit)))
    else:
        _show(audit, Console())
    return 1 if audit.findings else 0


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    ledger: Path
    files: int
    examined: Examined
    clips: Mapping[str, ClipAccount]
    regions: Mapping[str, RegionView]
    told: int
    """Signed heads that regions were told, and that the ledger was compared with."""
    findings: tuple[Finding, ...]

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Regions that clips went to and that were not given."""
        return tuple(sorted({clip.region_id for clip in self.clips.values()} - self.regions.keys()))


def run_audit(
    ledger: Path,
    region_dirs: Sequence[Path],
    keys: Mapping[str, bytes],
    told: Sequence[tuple[str, Signed[Head]]],
) -> Audit:
    """Everything that ``verify`` does but printing. ``keys``: device public keys by id. Raises ``ToolError``."""
    segments, findings = read_ledger(ledger)
    regions = [RegionDir(path) for path in region_dirs]
    enrolled = [enrolled_keys(region) for region in regions]
    known = known_keys(region_dirs, keys)
    examined = examine(segments, known, former=former_keys(region_dirs))
    named = {segment.checkpoint.value.head.device_key_id for _, segment in segments}
    vehicles = {one[key_id][0] for one in enrolled for key_id in named & one.keys()} | _vehicles(examined)
    views = {view.region_id: view for view in (read_region(region, vehicles) for region in regions)}
    told = [*told, *(one for region in regions for one in told_heads(region, vehicles))]
    clips, said = account(examined.records, views, examined.start)
    findings += [*examined.findings, *told_findings(examined, told, examined.keys), *said]
    return Audit(ledger, len(segments), examined, clips, views, len(told), tuple(findings))


def _vehicles(examined: Examined) -> set[str]:
    """As the records name it."""
    facts = [located.entry.fact for located in examined.records]
    return {fact.vehicle for fact in facts if isinstance(fact, Registered | Sealed)}


def _show(audit: Audit, console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("clip", "region", "redacted by", "sealed to", "sent to", "receipt", "where it is"):
        table.add_column(name, overflow="fold")
    for clip in audit.clips.values():
        table.add_row(clip.clip_id, clip.region_id, *_cells(clip))
    if audit.clips:
        console.print(table)
    for line in _lines(audit):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _cells(clip: ClipAccount) -> Iterator[str]:
    yield _redacted_by(clip)
    yield clip.sealed.sealing_key_id if clip.sealed else ("earlier" if clip.file else "-")
    yield ", ".join(_sent_to(clip)) or ("earlier" if clip.was_sent else "-")
    yield _receipt(clip)
    reason = f", {clip.dropped.reason}" if clip.dropped else ""
    yield f"{clip.where}{reason}"


def _redacted_by(clip: ClipAccount) -> str:
    if clip.redacted is None:
        return "earlier" if clip.was_redacted else "-"
    return ", ".join(clip.redacted.sources) or "nothing to remove"


def _sent_to(clip: ClipAccount) -> list[str]:
    times = Counter((sent.host, sent.port, sent.certificate_sha256.hex()[:16]) for sent in clip.sent)
    return [
        f"{host}:{port} certificate {print_}" + (f" ({count} connections)" if count > 1 else "")
        for (host, port, print_), count in times.items()
    ]


def _receipt(clip: ClipAccount) -> str:
    if clip.receipted is None:
        return "earlier" if clip.got_receipt else "-"
    return "verified" if clip.receipt_checked else "not verified"


def _lines(audit: Audit) -> Iterator[str]:
    found = audit.examined
    records = f"records {found.first} to {found.size - 1}" if found.size > found.first else "no record"
    yield f"{audit.ledger}: {records} in {audit.files} files, signed up to record {found.signed_size - 1}"
    if found.intact and found.size:
        yield f"root {found.tree().root(found.size).hex()}"
    if found.first:
        removed = sum(count for _, _, count in found.start.counts) if found.start else 0
        yield f"{removed} older records were removed; the checkpoint that stands for them is signed"
    if found.records:
        first, last = found.records[0].entry, found.records[-1].entry
        yield f"from {utc(first.wall_ns)} to {utc(last.wall_ns)}"
    for where, count in sorted(Counter(clip.where for clip in audit.clips.values()).items()):
        yield f"{count} clips {where}"
    for region_id, view in sorted(audit.regions.items()):
        verified = sum(clip.receipt_checked for clip in audit.clips.values() if clip.region_id == region_id)
        yield f"region {region_id} holds {len(view.clips)} clips of this vehicle; {verified} receipts verified"
    yield f"compared with {audit.told} heads that regions were told"
    for region_id in audit.unchecked:
        yield f"region {region_id} was not given: its receipts and identity were not checked"
    for finding in audit.findings:
        yield str(finding)
    yield f"{len(audit.findings)} findings" if audit.findings else "everything holds"


def _facts(audit: Audit) -> dict[str, Any]:
    found = audit.examined
    return {
        "ledger": str(audit.ledger),
        "first": found.first,
        "size": found.size,
        "signed_size": found.signed_size,
        "root": found.tree().root(found.size).hex() if found.intact else None,
        "heads_told": audit.told,
        "regions_not_given": audit.unchecked,
        "clips": [_clip_facts(clip) for clip in audit.clips.values()],
        "findings": [
            {
                "kind": one.kind,
                "file": one.file,
                "record": one.number,
                "clip": one.clip_id,
                "detail": one.detail,
            }
            for one in audit.findings
        ],
    }


def _clip_facts(clip: ClipAccount) -> dict[str, Any]:
    sealed, dropped, file = clip.sealed, clip.dropped, clip.file
    return {
        "clip": clip.clip_id,
        "region": clip.region_id,
        "since": clip.since,
        "firings": clip.firings,
        "redacted_by": list(clip.redacted.sources) if clip.redacted else None,
        "rules": list(clip.redacted.rules) if clip.redacted else None,
        "sealed_to": sealed.sealing_key_id if sealed else None,
        "sha256": file[1].hex() if file else None,
        "sent": [
            {"host": sent.host, "port": sent.port, "identity": sent.identity_uri}
            | {"certificate_sha256": sent.certificate_sha256.hex()}
            for sent in clip.sent
        ],
        "receipt": _receipt(clip),
        "dropped": dropped.reason if dropped else None,
        "erased": dict(clip.erased),
        "where": clip.where,
    }
