"""The worked examples of docs/campaigns.md, section "when it fires": each row of its tables, run as a vehicle would.

From the campaign file through the compiler, a signed push and the sensing loop to the journal. A table is known by its
first heading. How the drive is cut into batches makes no difference; where clips are sealed between firings it is cut
at every change.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fsd_agent.pipeline.check import Means
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.video_work import AtAnyTime
from fsd_agent.ports.broker import Message
from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.uplink.schedule import Schedule
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.codec import PictureCodec
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.firmware import ScriptedFirmware
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_document, sample_region
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.testing.unlimited import AlwaysOn, EverythingIsNew, KeepsEverything, KeepsWhole, NoReserve
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.transfer import campaigns_topic
from fsd_firmware.can_frames import empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.samples import DriveMode, GnssFixes, ModeChange, SensedBatch, Signals
from fsd_tools.campaign.compiler import compile_campaign

MS, S = 1_000_000, 1_000_000_000
WALL_NS = 1_767_600_000 * S
"""A Monday in January 2026."""
CATALOGUE = Catalogue(
    (
        CatalogueEntry("Vehicle.On", "bool", "", 0, 1, ""),
        CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, ""),
    )
)
ON, SPEED = 0, 1
REQUIRED = {
    "id": "example",
    "purpose": "safety",
    "description": "An example.",
    "condition": "Vehicle.On",
    "capture": "{before: 0s, after: 1s}",
    "valid": "{from: 2020-01-01, until: 2037-12-31}",
}
PLACES = {"inside": (48.005, 11.005), "outside": (48.02, 11.005)}
SECTION = (
    (Path(__file__).parents[2] / "docs" / "campaigns.md")
    .read_text(encoding="utf-8")
    .partition("\n## Reference: when it fires\n")[2]
    .partition("\n## ")[0]
)


def tables() -> dict[str, list[list[str]]]:
    """Rows by the first heading of their table."""
    found: dict[str, list[list[str]]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", SECTION, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line[1:-1].split(" |")] for line in table.splitlines()]
        found.setdefault(head[0], []).extend(rows)
    return found


TABLES = tables()


def settings_of(cell: str) -> dict[str, str]:
    """Fields of the campaign file."""
    named = dict(re.findall(r"`(\w+): (.*?)`", cell))
    assert named or cell == "none"
    return named


def compiled(settings: dict[str, str]) -> Campaign:
    fields = REQUIRED | settings
    if "geofence" in fields:
        fields |= dict(re.findall(r"`(zones): (.*?)`", SECTION))
    text = "\n".join(f"{name}: {value}" for name, value in fields.items())
    return compile_campaign(text, file="example.yaml", catalogue=CATALOGUE, cameras=(), region_id="cn")


@dataclass
class Drive:
    """What the vehicle senses from 0 to ``end_ns``."""

    end_ns: int
    on: list[tuple[int, bool]] = field(default_factory=list)
    modes: list[ModeChange] = field(default_factory=list)
    fixes: list[tuple[int, float, float]] = field(default_factory=list)
    wall_ns: int = WALL_NS

    def batch(self, start_ns: int, until_ns: int) -> SensedBatch:
        on = [(t_ns, value) for t_ns, value in self.on if start_ns <= t_ns < until_ns]
        fixes = np.array([fix for fix in self.fixes if start_ns <= fix[0] < until_ns]).reshape(-1, 3)
        zeros = np.zeros(len(fixes))
        return SensedBatch(
            until_ns=until_ns,
            wall_minus_mono_ns=self.wall_ns,
            can=empty_can(),
            signals=Signals(
                np.array([t_ns for t_ns, _ in on], np.int64),
                np.full(len(on), ON, np.int32),
                np.array([value for _, value in on], np.float64),
            ),
            packets=(),
            frames=(),
            detections=(),
            gnss=GnssFixes(fixes[:, 0].astype(np.int64), fixes[:, 1], fixes[:, 2], zeros, zeros, zeros),
            modes=tuple(mode for mode in self.modes if start_ns <= mode.t_ns < until_ns),
        )

    def cuts(self, step_ns: int | None) -> list[int]:
        """At every ``step_ns``, or right before and after every change of the condition."""
        if step_ns is not None:
            return [*range(step_ns, self.end_ns, step_ns), self.end_ns]
        changes = {t_ns + later for t_ns, _ in self.on for later in (0, 1, 2 * S)}
        return sorted({t_ns for t_ns in changes if 0 < t_ns < self.end_ns} | {self.end_ns})


class Car:
    """An agent without threads and connection."""

    def __init__(self) -> None:
        self.region, self.events, self.journal = sample_region(), RememberedEvents(), MemoryJournal()
        self.control = Control(
            journal=self.journal, events=self.events, catalogue=CATALOGUE, cameras=(), horizon_ns=10 * S
        )

    def push(self, version: int, *campaigns: Campaign) -> None:
        key, route = self.region.campaign_key, self.region.route("car-1")
        payload = encode_set(CampaignSet("cn", version, campaigns))
        envelope = seal_envelope(CAMPAIGNS, payload, key_id_of(public_key_of(key)), key)
        self.control.on_message(route, Message(campaigns_topic("cn"), envelope, retained=True))
        assert not self.events.of("campaigns_refused")

    def goes(self, batches: Iterator[SensedBatch]) -> None:
        registration = sample_document(self.region.route("car-1").registration)
        clock, keys, numbers = ManualClock(), MemoryVehicleKeys(), itertools.count(1)
        staging = MemoryStaging(keys)
        firmware = ScriptedFirmware(
            VehicleDescription((), CATALOGUE, None), batches, registration=registration
        )
        residence = Residence(
            firmware.registration,
            MemoryTrust.of(self.region),
            device_key_ids=lambda: {MemoryVehicleKeys().device_key_id()},
            journal=self.journal,
            clock=clock,
            events=self.events,
        )
        ring = Ring(CATALOGUE, horizon_ns=10 * S, max_bytes=1 << 20)
        ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=clock)

        def new_id() -> str:
            return f"{next(numbers):032x}"

        recorder = Recorder(
            ring=ring,
            staging=staging,
            journal=self.journal,
            ledger=ledger,
            events=self.events,
            new_id=new_id,
            room=NoReserve(),
        )
        sense = Sense(
            firmware=firmware,
            detector=None,
            min_score=0.0,
            engine=TriggerEngine(CATALOGUE),
            ring=ring,
            recorder=recorder,
            control=self.control,
            residence=residence,
            consent=PlainConsent(),
            journal=self.journal,
            events=self.events,
            new_id=new_id,
            power=AlwaysOn(),
            video=AtAnyTime(),
        )
        finisher = Finisher(
            journal=self.journal,
            staging=staging,
            spool=MemorySpool(keys),
            ledger=ledger,
            residence=residence,
            consent=PlainConsent(),
            means=Means(PictureCodec(), (), (), {}),
            keep=KeepsWhole(),
            select=KeepsEverything(),
            novelty=EverythingIsNew(),
            keys=keys,
            clock=clock,
            events=self.events,
            power=AlwaysOn(),
            video=AtAnyTime(),
        )
        while sense.step():
            while finisher.step():
                pass

    def fired(self, *, kept: bool = False) -> list[int]:
        return [int(one["event_ns"]) for one in self.events.of("fired") if not kept or "clip" in one]

    def clips(self) -> list[tuple[int, int]]:
        rows = self.journal.clips(set(ClipState))
        assert not any(row.cut for row in rows)
        return sorted((row.start_ns, row.end_ns) for row in rows)


def driven(
    drive: Drive,
    campaign: Campaign,
    step_ns: int | None,
    *,
    push_at_ns: int = -1,
    pushed: Sequence[Campaign] = (),
) -> Car:
    car = Car()

    def batches() -> Iterator[SensedBatch]:
        car.push(1, campaign)
        start_ns = 0
        for until_ns in sorted({*drive.cuts(step_ns), *([push_at_ns] if push_at_ns > 0 else [])}):
            if start_ns == push_at_ns:
                car.push(2, *pushed)
            yield drive.batch(start_ns, until_ns)
            start_ns = until_ns

    car.goes(batches())
    return car


# ---- cells


def milliseconds(cell: str) -> list[int]:
    """``at 100 and 400 ms``, or ``never``."""
    if cell == "never":
        return []
    assert re.fullmatch(r"at \d+( and \d+)* ms", cell)
    return [int(ms) * MS for ms in re.findall(r"\d+", cell)]


def runs(cell: str) -> list[tuple[int, bool]]:
    """``100 to 200 ms, from 300 ms``: false from the start, then changes."""
    changes = [(0, False)]
    for part in cell.split(", "):
        found = re.fullmatch(r"from (\d+) ms|(\d+) to (\d+) ms", part)
        assert found is not None
        start, *end = (int(ms) * MS for ms in found.groups() if ms is not None)
        changes += [(start, True), *((t_ns, False) for t_ns in end)]
    return changes


def moments(cell: str) -> list[int]:
    """``2026-01-05 06:00:00, ...`` in Unix time, or ``never``."""
    if cell == "never":
        return []
    made = (
        dt.datetime.strptime(part, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC) for part in cell.split(", ")
    )
    return [round(moment.timestamp()) * S for moment in made]


def pulses(cell: str) -> Drive:
    """True for ten seconds from each of the moments."""
    starts = moments(cell)
    wall_ns = starts[0] - 60 * S
    on = [(0, False)]
    for start in starts:
        on += [(start - wall_ns, True), (start - wall_ns + 10 * S, False)]
    return Drive(on[-1][0] + 60 * S, on, wall_ns=wall_ns)


def steps(*steps_ms: int | None) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "step_ns", [None if step is None else step * MS for step in steps_ms], ids=lambda step: f"step{step}"
    )


def rows(heading: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", TABLES[heading], ids=lambda row: " / ".join(row[:2]))


# ---- the tables


@rows("condition true")
@steps(7, 100, 10_000, None)
def test_phases_and_cool_down(row: list[str], step_ns: int | None) -> None:
    drive = Drive(2 * S, runs(row[0]))
    assert driven(drive, compiled(settings_of(row[1])), step_ns).fired() == milliseconds(row[2])


@rows("true for 10 s from (UTC)")
@steps(None, 10**9)
def test_validity_and_schedule(row: list[str], step_ns: int | None) -> None:
    drive = pulses(row[0])
    fired = driven(drive, compiled(settings_of(row[1])), step_ns).fired()
    assert [t_ns + drive.wall_ns for t_ns in fired] == moments(row[2])


@rows("drive mode")
@steps(7, 10_000)
def test_drive_states(row: list[str], step_ns: int) -> None:
    named = re.findall(r"(\w+) from (\d+) ms", row[0])
    assert named or row[0] == "never known"
    modes = [ModeChange(int(ms) * MS, DriveMode[name.upper()]) for name, ms in named]
    drive = Drive(2 * S, [(0, True)], modes)
    assert driven(drive, compiled(settings_of(row[1])), step_ns).fired() == milliseconds(row[2])


@rows("position fixes")
@steps(70, 10_000)
def test_geofence(row: list[str], step_ns: int) -> None:
    named = re.findall(r"(\w+) at (\d+) ms", row[0])
    assert named or row[0] == "none"
    drive = Drive(9 * S, [(0, True)], fixes=[(int(ms) * MS, *PLACES[place]) for place, ms in named])
    assert driven(drive, compiled(settings_of(row[1])), step_ns).fired() == milliseconds(row[2])


@rows("pushed at 200 ms")
@steps(7, 10_000)
def test_push(row: list[str], step_ns: int) -> None:
    settings = settings_of(row[1])
    example = compiled(settings)
    other = compiled({"id": "other", "condition": "Vehicle.Speed > 50.0"})
    pushed = {
        "nothing new": [example],
        "another campaign beside it": [other, example],
        "it with another cool-down": [compiled(settings | {"cooldown": "1min"})],
        "its next version": [compiled(settings | {"version": "2"})],
        "a set without it": [other],
    }[row[0]]
    drive = Drive(4 * S, [(t_ns, t_ns >= 100 * MS) for t_ns in range(0, 4 * S, 50 * MS)])
    car = driven(drive, example, step_ns, push_at_ns=200 * MS, pushed=pushed)
    assert car.fired() == milliseconds(row[2])
    windows = re.findall(r"(\d+) to (\d+) ms", row[3])
    assert windows or row[3] == "none"
    assert car.clips() == [(int(start) * MS, int(end) * MS) for start, end in windows]


@rows("fires (UTC)")
def test_sampling_and_budgets(row: list[str]) -> None:
    drive = pulses(row[0])
    car = driven(drive, compiled(settings_of(row[1])), None)
    assert [t_ns + drive.wall_ns for t_ns in car.fired()] == moments(row[0])
    assert [t_ns + drive.wall_ns for t_ns in car.fired(kept=True)] == moments(row[2])
    dropped = {str(one["dropped"]) for one in car.events.of("fired") if "dropped" in one}
    assert dropped == set(re.findall(r"`(\w+)`", row[3]))


@rows("clips, oldest first")
def test_priority(row: list[str]) -> None:
    priorities = settings_of(row[1])
    clips = [
        ClipRow(
            name * 32,
            "cn",
            Purpose.SAFETY,
            ClipState.SEALED,
            at,
            at + 1,
            0,
            (),
            (),
            int(priorities[name]),
            size_bytes=9,
        )
        for at, name in enumerate(row[0].split(", "))
    ]
    schedule = Schedule(sample_region().route("car-1"), UplinkLimits(), 5)
    schedule.update(clips)
    sent: list[str] = []
    for _ in clips:
        emission = schedule.next(0)
        assert emission is not None
        sent.append(emission.clip_id[0])
        schedule.done(emission.clip_id)
    assert sent == row[2].split(", ")


@rows("samples of `Vehicle.Speed`")
def test_evaluation_budget(row: list[str]) -> None:
    rate = int(row[0].removesuffix(" a second"))
    engine = TriggerEngine(CATALOGUE)
    plain = compiled({"id": "plain", "condition": "Vehicle.Speed > 50.0"})
    engine.set_campaigns(CampaignSet("cn", 1, (compiled(settings_of(row[1])), plain)))
    suspended: list[int] = []
    for until_ns in range(S // 4, 70 * S if rate < 1000 else 20 * S, S // 4):
        t_ns = np.arange(until_ns - S // 4, until_ns, S // rate)
        samples = Signals(t_ns, np.full(len(t_ns), SPEED, np.int32), np.full(len(t_ns), 60.0))
        engine.advance(samples, (), until_ns=until_ns, wall_minus_mono_ns=WALL_NS)
        if engine.suspended() and not suspended:
            suspended.append(until_ns)
            assert set(engine.suspended()) == {"example"}
            assert "operations in a second" in engine.suspended()["example"]
    assert suspended == milliseconds(row[2])


def test_every_table_is_run() -> None:
    assert set(TABLES) == {
        "condition true",
        "true for 10 s from (UTC)",
        "drive mode",
        "position fixes",
        "pushed at 200 ms",
        "fires (UTC)",
        "clips, oldest first",
        "samples of `Vehicle.Speed`",
    }
    assert sum(map(len, TABLES.values())) > 50
