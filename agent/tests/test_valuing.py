"""Clips that wait to be finished are valued by their campaigns' weights, and nothing that goes wrong with it costs one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fsd_agent.adapters.shipped_head import shipped_head
from fsd_agent.pipeline.valuing import AT_ONCE, PAUSE_NS, Valuing, speed_of
from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.clip import Clip, ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.staged import StagedPart
from fsd_agent.records.worth import NOT_VALUED, Part, Valued, Weights, Worth
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.streams import looks
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.staged import encode_part
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import Detections, GnssFixes, Kind, Signals, empty_gnss, empty_signals

S, MS = 1_000_000_000, 1_000_000
KEYS = MemoryVehicleKeys()
SPEED = CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "")
MOTION = Weights(**dict.fromkeys(Part, 0.0) | {"motion": 1.0})  # type: ignore[arg-type] # names of its fields
RARITY = Weights(**dict.fromkeys(Part, 0.0) | {"rarity": 1.0})  # type: ignore[arg-type] # names of its fields


def walker(camera: str = "front", *, track: int = 7, seconds: int = 4) -> Detections:
    """Somebody who stands at first and then walks toward the car's line."""
    frames = []
    for n in range(seconds * 10):
        left = 400.0 + 16 * max(0, n - 15)
        frames.append((n * 100 * MS, [(int(Kind.PEDESTRIAN), 0.9, (left, 300.0, left + 80, 500.0))]))
    found = looks(camera, "firmware", frames)
    return replace(found, track_id=np.full(len(found), track, np.int32))


def braking(entry: CatalogueEntry = SPEED) -> tuple[tuple[CatalogueEntry, ...], Signals]:
    """From 36 to 18 km/h in a second."""
    t_ns = np.arange(0, 4 * S, 250 * MS)
    speed = np.interp(t_ns / S, [1, 2], [36, 18])
    return (entry,), Signals(t_ns, np.zeros(len(t_ns), np.int32), speed)


def part(
    *detections: Detections, signals: tuple[tuple[CatalogueEntry, ...], Signals] | None = None
) -> StagedPart:
    catalogue, samples = signals or ((), empty_signals())
    return StagedPart((), catalogue, samples, detections, empty_gnss(), ())


def campaign(name: str, weights: Weights) -> Campaign:
    return Campaign(
        id=name,
        version=1,
        purpose=Purpose.SAFETY,
        description="test",
        region_id="eu",
        source="true",
        program=Program(PROGRAM_VERSION, (Node(Op.LITERAL, (), value=True),)),
        hold_ns=0,
        cooldown_ns=0,
        capture=CaptureSpec(S, S, ("front",), ()),
        budget=Budget(None, None),
        sample_ratio=1.0,
        priority=0,
        valid_from_wall_ns=0,
        valid_until_wall_ns=2**62,
        weights=weights,
    )


class Ignition:
    phase = Phase.ON


class Bench:
    def __init__(self) -> None:
        self.journal, self.staging = MemoryJournal(), MemoryStaging(KEYS)
        self.consent, self.clock, self.events = PlainConsent(), ManualClock(), RememberedEvents()
        self.ignition = Ignition()
        self.sets: dict[str, CampaignSet] = {}
        self.valuing = Valuing(
            shipped_head(),
            journal=self.journal,
            staging=self.staging,
            campaigns=self,
            consent=self.consent,
            sizes={"front": (1280, 720)},
            power=self.ignition,
            clock=self.clock,
            events=self.events,
        )

    def in_force(self, region_id: str | None) -> CampaignSet | None:
        """As ``pipeline.control`` has it."""
        return self.sets.get(region_id or "")

    def clip(
        self,
        number: int,
        *parts: StagedPart,
        campaigns: tuple[str, ...] = ("c",),
        purpose: Purpose = Purpose.SAFETY,
    ) -> str:
        row = ClipRow(
            f"{number:032x}",
            "eu",
            purpose,
            ClipState.STAGED,
            0,
            4 * S,
            0,
            ("front", "rear"),
            (SPEED.path,),
            0,
        )
        writer = self.staging.open(row.compartment, row.clip_id)
        for one in parts:
            writer.append(encode_part(one))
        writer.sync()
        writer.close()
        firings = [
            JudgedFiring(f"{number}-{name}", Firing(name, 1, S, ()), S, row.clip_id, None)
            for name in campaigns
        ]
        self.journal.accept(firings, [row])
        self.journal.captured(row.clip_id, cut=False)
        return row.clip_id

    def worth(self, clip_id: str) -> Worth:
        row = self.journal.clip(clip_id)
        assert row is not None
        return row.worth

    def parts(self, clip_id: str) -> Mapping[str, float]:
        return dict(self.worth(clip_id).parts)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_clip_that_waits_is_valued_once(bench: Bench) -> None:
    clip_id = bench.clip(1, part(walker(), signals=braking()))
    assert bench.worth(clip_id) == NOT_VALUED
    assert bench.valuing.step()
    found = bench.worth(clip_id)
    assert found.why is Valued.VALUED
    assert 0 < found.value < 1
    assert bench.parts(clip_id)["motion"] == 1
    assert bench.parts(clip_id)["begins_to_cross"] > 0.05
    assert bench.valuing.counts == {"valued": 1}
    assert not bench.valuing.step()


def test_the_weights_are_those_of_the_campaigns_in_force(bench: Bench) -> None:
    bench.sets["eu"] = CampaignSet("eu", 1, (campaign("moves", MOTION), campaign("rare", RARITY)))
    stands = part(walker())
    brakes = part(walker(), signals=braking())
    found = [
        bench.clip(1, stands, campaigns=("moves",)),
        bench.clip(2, brakes, campaigns=("moves",)),
        bench.clip(3, brakes, campaigns=("rare",)),
        bench.clip(4, brakes, campaigns=("rare", "moves")),
        bench.clip(5, brakes, campaigns=("gone",)),
        bench.clip(6, brakes, campaigns=("gone", "rare")),
    ]
    assert bench.valuing.step()
    values = [bench.worth(one).value for one in found]
    assert values[:4] == [0, 1, 0.2, 1]
    assert 0.2 < values[4] < 1, "the defaults"
    assert values[5] == values[4]
    order = [row.clip_id for row in bench.journal.clips({ClipState.CAPTURED})]
    assert order[-1] == found[0], "what is worth least is finished last"


def test_when_the_best_seconds_begin_is_remembered_and_of_equals_those_around_the_firing(
    bench: Bench,
) -> None:
    bench.sets["eu"] = CampaignSet("eu", 1, (campaign("moves", MOTION), campaign("rare", RARITY)))
    brakes, stands = part(walker(), signals=braking()), part(walker())
    found = [
        bench.clip(1, brakes, campaigns=("moves",)),
        bench.clip(2, stands, campaigns=("rare",)),
        bench.clip(3, part(), campaigns=("rare",)),
    ]
    bench.staging.damaged.add(bench.clip(4, stands))
    assert bench.valuing.step()
    hard, alike, unseen, failed = (bench.worth(one).best_ns for one in (*found, f"{4:032x}"))
    assert hard is not None
    assert hard <= 2 * S < hard + 3 * S, "it brakes until then"
    assert alike == 0, "the firing at a second is nearest to the middle of the first window"
    assert unseen is None
    assert failed is None


def test_tracks_are_our_own_where_somebody_has_none(bench: Bench) -> None:
    given, own = bench.clip(1, part(walker())), bench.clip(2, part(walker(track=-1)))
    assert bench.valuing.step()
    assert bench.worth(own) == bench.worth(given)
    assert bench.worth(own).why is Valued.NO_MOTION


def test_what_is_in_several_parts_is_seen_as_one(bench: Bench) -> None:
    whole = walker()
    cut = [
        Detections(
            **{  # type: ignore[arg-type] # its own columns
                "camera": whole.camera,
                "source": whole.source,
                "frame_t_ns": whole.frame_t_ns[rows],
                "frame": np.arange(20, dtype=np.int32),
            }
            | {
                name: getattr(whole, name)[rows]
                for name in ("kind", "score", "box", "distance_m", "track_id", "ttc_s")
            }
        )
        for rows in (slice(0, 20), slice(20, 40))
    ]
    one, other = bench.clip(1, part(whole)), bench.clip(2, *map(part, cut))
    assert bench.valuing.step()
    assert bench.worth(one) == bench.worth(other)


def test_a_fault_costs_a_clip_its_value_and_nothing_else(bench: Bench) -> None:
    damaged, sound = bench.clip(1, part(walker())), bench.clip(2, part(walker()))
    elsewhere = bench.clip(3, part(walker("rear")))
    bench.staging.damaged.add(damaged)
    assert bench.valuing.step()
    assert [bench.worth(one).why for one in (damaged, sound, elsewhere)] == [
        Valued.FAILED,
        Valued.NO_MOTION,
        Valued.FAILED,
    ]
    assert bench.worth(damaged).value == 0
    assert bench.valuing.counts == {"failed": 2, "no_motion": 1}
    assert len(bench.journal.clips({ClipState.CAPTURED})) == 3
    assert not bench.valuing.step(), "it is not tried again for ever"


@pytest.mark.parametrize("fault", ["full", "read_only", "broken"])
def test_what_the_journal_cannot_take_is_tried_again_after_a_pause(bench: Bench, fault: str) -> None:
    clip_id = bench.clip(1, part(walker()))
    setattr(bench.journal, fault, True)
    assert not bench.valuing.step()
    assert bench.events.of("journal_failed")
    setattr(bench.journal, fault, False)
    assert not bench.valuing.step()
    assert (bench.worth(clip_id), bench.valuing.counts) == (NOT_VALUED, {})
    bench.clock.advance(PAUSE_NS)
    assert bench.valuing.step()
    assert bench.worth(clip_id).why is Valued.NO_MOTION


def test_without_consent_nothing_is_looked_at_and_others_are(bench: Bench) -> None:
    safety = bench.clip(1, part(walker()))
    other = bench.clip(2, part(walker()), purpose=Purpose.DIAGNOSTICS)
    bench.consent.withdraw(Purpose.SAFETY)
    assert bench.valuing.step()
    assert not bench.valuing.step()
    assert bench.worth(safety) == NOT_VALUED
    assert bench.worth(other) != NOT_VALUED


def test_nothing_is_done_while_the_agent_sleeps(bench: Bench) -> None:
    clip_id = bench.clip(1, part(walker()))
    bench.ignition.phase = Phase.ASLEEP
    assert not bench.valuing.step()
    assert bench.worth(clip_id) == NOT_VALUED
    bench.ignition.phase = Phase.DRAINING
    assert bench.valuing.step()


def test_many_are_valued_a_few_at_a_time_oldest_first(bench: Bench) -> None:
    ids = [bench.clip(n, part()) for n in range(AT_ONCE + 1)]
    assert bench.valuing.step()
    assert bench.worth(ids[AT_ONCE - 1]).why is Valued.NO_DETECTIONS
    assert bench.worth(ids[AT_ONCE]) == NOT_VALUED
    assert bench.valuing.step()
    assert not bench.valuing.step()
    assert bench.valuing.counts == {"no_detections": AT_ONCE + 1}


def clip_of(signals: tuple[tuple[CatalogueEntry, ...], Signals]) -> Clip:
    row = ClipRow("0" * 32, "eu", Purpose.SAFETY, ClipState.CAPTURED, 0, S, 0, (), (), 0)
    one = np.full(2, 3.0)
    fixes = GnssFixes(np.array([0, S]), one, one, one, one, one)
    return Clip(row, (), signals[0], signals[1], (), (), fixes, ())


def test_the_speed_is_the_signals_and_never_that_of_position_fixes() -> None:
    metres = replace(SPEED, unit="m/s")
    for entry, per_mps in ((SPEED, 3.6), (metres, 1.0)):
        catalogue, samples = braking(entry)
        other = replace(SPEED, path="Vehicle.Other")
        mixed = Signals(
            np.append(samples.t_ns, 9 * S),
            np.append(samples.signal, 1).astype(np.int32),
            np.append(samples.value, 1),
        )
        found = speed_of(clip_of(((*catalogue, other), mixed)))
        assert found is not None
        assert found.mps.tolist() == (samples.value / per_mps).tolist()
        assert found.t_ns.tolist() == samples.t_ns.tolist()
    for unknown in (
        braking(replace(SPEED, unit="mi/h")),
        ((SPEED,), empty_signals()),
        braking(replace(SPEED, path="Vehicle.Other")),
    ):
        assert speed_of(clip_of(unknown)) is None, "a value leaves also where positions may not"
