"""``fsdctl region data``: what a region stores of one vehicle, and copies of it, to answer the request of its user.

The catalogue is a ``RegionAnswer`` (``rights/answers.py``). Whoever answers must know that the request is the user's: a
region knows a vehicle by its pseudonym alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from fsd_agent.wire.moments import show_moment
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_tools.clip.reading import read_clip
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.region.expired import Expired, read_expiry
from fsd_tools.region.firings import FiringStore
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.store import ClipStore, StoredClip, StoreError
from fsd_tools.rights.answers import RegionAnswer, RegionClip, RegionFiring, RegionTold
from fsd_tools.rights.choose import choose
from fsd_tools.rights.folder import CATALOGUE, CopyFolder, copy_folder
from fsd_tools.rights.words import reason_in_words, removed_in_words

EXIT_ALL, EXIT_PART = 0, 3
_HELD_BACK = {
    False: "nobody has checked yet whether other people can be recognised in it",
    True: "it was checked, and other people may be recognised in it",
}
"""By whether the clip is in quarantine."""
_PART_BYTES = 1 << 20


def data(
    directory: Path,
    *,
    vehicle: str,
    clip: Annotated[tuple[str, ...], Parameter(name="--clip", consume_multiple=False, negative="")] = (),
    copy: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what the region in DIRECTORY stores of one vehicle, and was told of firings; with --copy, copy it, to answer the request of its user.

    Changes nothing. Exit codes: 0 everything was read and given, 3 something could not be, which is said.

    Example: fsdctl region data ./cn --vehicle car-1 --copy ./for-car-1

    Parameters
    ----------
    directory
        The region's directory.
    vehicle
        Pseudonym of the vehicle.
    clip
        Only this clip; the beginning of its id is enough. May be given several times.
    copy
        New or empty folder for the copies: MCAP files, and this catalogue as catalogue.json.
    json
        One JSON object: what `fsdctl vehicle data --answers` takes.
    """
    region = RegionDir(directory)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading clips", total=None)
        answer = answer_of(directory, vehicle, clip, progress=lambda: bar.update(task, advance=1))
        if copy is not None:
            bar.update(task, description="copying clips", total=len(answer.clips), completed=0)
            answer = _copied(answer, region, copy, lambda: bar.update(task, advance=1))
    if json:
        print(msgspec.json.encode(answer).decode())
    else:
        for line in _lines(answer):
            print(line)
    unread = any(one.why_no_copy for one in answer.clips if one.state == "stored" or (clip and copy))
    return EXIT_PART if unread else EXIT_ALL


def answer_of(
    directory: Path, vehicle: str, clip: Sequence[str] = (), *, progress: Callable[[], object] = lambda: None
) -> RegionAnswer:
    """Everything that the region stores, or stored, of a vehicle. Raises :class:`ToolError`."""
    region = RegionDir(directory)
    try:
        check_vehicle(vehicle)
    except RegistrationError as error:
        raise UsageError(f"--vehicle {vehicle!r}: {error}.") from error
    region_id = load_policy(region).region_id
    held = (path for root in region.holding for path in (root / vehicle).glob("*.json"))
    stored = {path.stem: path for path in sorted(held, key=lambda path: path.stem)}
    over = {path.stem: path for path in Expired(region.expired).files(vehicle) if path.stem not in stored}
    if not (stored or over or region.vehicle(vehicle).exists() or (region.firings / vehicle).exists()):
        raise ToolError(f"{directory}: no vehicle {vehicle} is enrolled, and nothing is stored of one")
    ids = choose([*stored, *over], clip)
    clips = []
    for clip_id in (*stored, *over):
        if clip_id in ids:
            clips.append(
                _stored(region, vehicle, stored[clip_id]) if clip_id in stored else _over(over[clip_id])
            )
            progress()
    told = () if clip else _told(region, vehicle)
    return RegionAnswer(1, region_id, vehicle, tuple(clip for clip in clips if clip is not None), told)


def _told(region: RegionDir, vehicle: str) -> tuple[RegionTold, ...]:
    """What the vehicle told of firings by itself, the oldest first."""
    try:
        found = sorted(
            FiringStore(region.firings).of(vehicle), key=lambda one: (one.told.wall_ns, one.firing)
        )
    except StoreError as error:
        raise ToolError(str(error)) from error
    return tuple(
        RegionTold(
            firing=one.firing,
            campaign=one.told.campaign_id,
            version=one.told.campaign_version,
            purpose=str(one.told.purpose),
            wall_ns=one.told.wall_ns,
            stored_wall_ns=one.stored_wall_ns,
            clip=one.told.clip_id or "",
            reason=str(one.told.drop or ""),
            evidence=one.told.evidence,
        )
        for one in found
    )


def _stored(region: RegionDir, vehicle: str, path: Path) -> RegionClip | None:
    """None where its retention was over meanwhile, or the checker took it elsewhere."""
    store, clip_id = path.parent.parent, path.stem
    try:
        about = ClipStore(store).find(vehicle, clip_id)
        if about is None:
            return None
        redaction = about.manifest.get("redaction", {})
        said = RegionClip(
            clip=clip_id,
            state="stored",
            sealed_sha256=about.sealed_sha256,
            stored_wall_ns=about.stored_wall_ns,
            bytes=about.clip_bytes,
            removed=removed_in_words(redaction.get("rules", ()), redaction.get("location", "")),
        )
    except StoreError as error:
        raise ToolError(str(error)) from error
    if store != region.store:
        return msgspec.structs.replace(said, why_no_copy=_HELD_BACK[store == region.quarantine])
    return _with_content(said, path.with_suffix(".mcap"), about)


def _with_content(said: RegionClip, path: Path, about: StoredClip) -> RegionClip:
    """With what the clip itself says: when it fired, for what, which cameras."""
    try:
        content = read_clip(path)
    except ToolError as error:
        return msgspec.structs.replace(said, why_no_copy=str(error))
    if (content.clip_id, content.vehicle) != (about.clip_id, about.vehicle):
        found = f"holds clip {content.clip_id} of {content.vehicle}"
        return msgspec.structs.replace(said, why_no_copy=f"{path}: {found}")
    return msgspec.structs.replace(
        said,
        purpose=str(content.provenance.get("purpose", "")),
        fired=tuple(
            RegionFiring(one["campaign"], one["version"], one["t_ns"] + content.wall_minus_mono_ns)
            for one in content.firings
        ),
        cameras=tuple(sorted({packet.camera for packet in content.packets})),
    )


def _over(path: Path) -> RegionClip:
    try:
        one = read_expiry(path)
    except StoreError as error:
        raise ToolError(str(error)) from error
    return RegionClip(
        clip=one.clip_id,
        state="over",
        sealed_sha256=one.sealed_sha256,
        stored_wall_ns=one.stored_wall_ns,
        expired_wall_ns=one.expired_wall_ns,
        signed=one.signed,
        why_no_copy=f"removed after {one.retention_days} days",
    )


def _copied(
    answer: RegionAnswer, region: RegionDir, out: Path, progress: Callable[[], object]
) -> RegionAnswer:
    """With the copies' names; the catalogue is written last."""
    clips = []
    with copy_folder(out) as folder:
        for one in answer.clips:
            clips.append(one if one.why_no_copy else _copy(one, region.store / answer.vehicle, folder))
            progress()
        done = msgspec.structs.replace(answer, clips=tuple(clips))
        folder.put(CATALOGUE, [msgspec.json.format(msgspec.json.encode(done)), b"\n"])
    return done


def _copy(clip: RegionClip, store: Path, out: CopyFolder) -> RegionClip:
    name = f"{clip.clip}.mcap"
    try:
        out.put(name, _parts(store / name))
    except OSError as error:
        return msgspec.structs.replace(clip, why_no_copy=f"{store / name}: {error.strerror}")
    return msgspec.structs.replace(clip, file=name)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            yield part


def _lines(answer: RegionAnswer) -> Iterator[str]:
    for one in answer.clips:
        when = show_moment(one.fired[0].wall_ns) if one.fired else "time not known"
        campaigns = ", ".join(dict.fromkeys(f"{fired.campaign} v{fired.version}" for fired in one.fired))
        parts = [
            f"{one.clip} {when} {campaigns or 'campaign not known'}{f' for {one.purpose}' if one.purpose else ''}",
            f"cameras {', '.join(one.cameras)}" if one.cameras else "",
            f"{one.bytes:,} bytes" if one.bytes else "",
            f"removed: {', '.join(one.removed)}" if one.removed else "",
            f"stored on {show_moment(one.stored_wall_ns)}",
            f"copy: {one.file}" if one.file else "",
            f"no copy: {one.why_no_copy}" if one.why_no_copy else "",
        ]
        yield "; ".join(part for part in parts if part)
    for told in answer.firings:
        made = f"clip {told.clip}" if told.clip else f"no clip: {reason_in_words(told.reason)}"
        saw = ", ".join(f"{name} {value:g}" for name, value in told.evidence)
        line = f"firing {told.firing} {show_moment(told.wall_ns)} {told.campaign} v{told.version} for {told.purpose}"
        yield "; ".join(part for part in (line, made, f"saw {saw}" if saw else "") if part)
    held = sum(one.state == "stored" for one in answer.clips)
    size = sum(one.bytes for one in answer.clips)
    over = len(answer.clips) - held
    firings = f", and was told of {len(answer.firings)} firings" if answer.firings else ""
    yield f"region {answer.region} stores {held} clips of {answer.vehicle}, {size:,} bytes; {over} are over{firings}"
