"""Sense, record and finish together, in one thread: from batches to sealed clips and counted drops.

Everything around them is a fake, but the video codec is the real one: a clip holds what viewers decode.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fsd_agent.adapters.process_use import process_use
from fsd_agent.adapters.shipped_head import shipped_head
from fsd_agent.pipeline.attempts import FIRST_NS, MOST_NS
from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.pipeline.check import Means
from fsd_agent.pipeline.clip_code import make_code
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.finish import ATTEMPTS, Finisher
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.keep import Keeper
from fsd_agent.pipeline.novelty import Novelty
from fsd_agent.pipeline.power import Loop, Power
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.residence import LOOK_EVERY_NS, Residence
from fsd_agent.pipeline.select import Selector, Selects, Unwanted
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.tell import ELSEWHERE, Teller
from fsd_agent.pipeline.valuing import Valuing
from fsd_agent.pipeline.video_work import AtAnyTime, VideoWork, WhenParked
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.ports.broker import Message
from fsd_agent.ports.detector import Detector, DetectorStalledError, Seen
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.clip import Clip, ClipState, SealedFile
from fsd_agent.records.delivery import BytesSent
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.ledger import FiringDropped, PolicyRefused, Registered, Sealed
from fsd_agent.records.novelty import ClipCode, Maker, NoveltyMode, Sketch, Subject
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import DataClass, Hold, HoldReason, Route, SensitiveZone
from fsd_agent.records.status import HoldSpan
from fsd_agent.records.worth import Valued, Weights, Worth
from fsd_agent.records.zone import Zone
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import ClipAccount, Where
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.codec import PictureCodec
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.firmware import ScriptedFirmware
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import (
    SampleRegion,
    sample_document,
    sample_key,
    sample_region,
    sample_registration,
)
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemoryLanding, MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.streams import looks
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.testing.unlimited import AlwaysOn, NoReserve
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.clip import decode_clip
from fsd_agent.wire.envelope import CAMPAIGNS, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.ledger import decode_head
from fsd_agent.wire.provenance import codes_in
from fsd_agent.wire.sealed import open_sealed
from fsd_agent.wire.sent_codes import state_key
from fsd_agent.wire.staged import assemble, decode_part
from fsd_agent.wire.transfer import campaigns_topic
from fsd_firmware.can_frames import empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.codec import CodecStalledError, DecodedFrame, VideoCodec
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.contract import CameraDescription, FirmwareError, VehicleDescription
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    EncodedPacket,
    Features,
    Frame,
    GnssFixes,
    Kind,
    ModeChange,
    SensedBatch,
    Signals,
    empty_gnss,
)

S, MS = 1_000_000_000, 1_000_000
WALL_NS = 1_780_000_000 * S
WIDTH, HEIGHT = 64, 64
PERSON = (20.0, 10.0, 32.0, 40.0)
CATALOGUE = Catalogue((CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),))
VEHICLE = VehicleDescription((CameraDescription("front", WIDTH, HEIGHT, 10.0),), CATALOGUE, None)


def campaign(name: str = "walker", region: str = "cn", **changes: object) -> Campaign:
    nodes = (
        Node(Op.DETECTIONS),
        Node(Op.FIELD, (), "kind"),
        Node(Op.LITERAL, (), "pedestrian"),
        Node(Op.EQ, (1, 2)),
        Node(Op.EXISTS, (0, 3)),
    )
    made = Campaign(
        id=name,
        version=1,
        purpose=Purpose.SAFETY,
        description="test",
        region_id=region,
        source='detections.exists(d, d.kind == "pedestrian")',
        program=Program(PROGRAM_VERSION, nodes),
        hold_ns=0,
        cooldown_ns=0,
        capture=CaptureSpec(S, S, ("front",), ("Vehicle.Speed",)),
        budget=Budget(None, None),
        sample_ratio=1.0,
        priority=1,
        valid_from_wall_ns=0,
        valid_until_wall_ns=2**62,
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields of the record


def drive(seconds: int, walkers_s: tuple[float, ...], *, looked: bool = True) -> Iterator[SensedBatch]:
    """Ten pictures a second in which a person stands for half a second from each of ``walkers_s`` on."""
    pictures = np.random.default_rng(1).integers(40, 255, (seconds * 10, HEIGHT, WIDTH, 3), np.uint8)
    frames = (frame_from_bgr(n * 100 * MS, picture) for n, picture in enumerate(pictures))
    packets = list(PyAvCodec().encode("front", frames, fps=10.0, keyframe_every=10))
    for tick in range(seconds * 5):
        start, until = tick * 200 * MS, (tick + 1) * 200 * MS
        times = np.arange(start, until, 50 * MS)
        yield SensedBatch(
            until_ns=until,
            wall_minus_mono_ns=WALL_NS,
            can=empty_can(),
            signals=Signals(times, np.zeros(len(times), np.int32), times / S),
            packets=tuple(packet for packet in packets if start <= packet.t_ns < until),
            frames=(),
            detections=(seen(start, until, walkers_s),) if looked else (),
            gnss=empty_gnss(),
            modes=(),
        )


def seen(start: int, until: int, walkers_s: tuple[float, ...]) -> Detections:
    def persons(t_ns: int) -> list[tuple[int, float, tuple[float, ...]]]:
        there = any(at * S <= t_ns < (at + 0.5) * S for at in walkers_s)
        return [(int(Kind.PEDESTRIAN), 0.9, PERSON)] if there else []

    return looks("front", "firmware", [(t, persons(t)) for t in range(start, until, 100 * MS)])


class Bench:
    """One agent without its threads and its connection."""

    def __init__(
        self,
        batches: Iterator[SensedBatch],
        *,
        jurisdiction: str = "CN",
        breaks_with: str | None = None,
        codec: VideoCodec | None = None,
        detector: Detector | None = None,
        spool: MemorySpool | None = None,
        staging: MemoryStaging | None = None,
        region: SampleRegion | None = None,
        keys: MemoryVehicleKeys | None = None,
        power: Power | None = None,
        select: Selects | None = None,
        looking: Sequence[Detector] = (),
        looks_again: Detector | None = None,
        journal: MemoryJournal | None = None,
        ledger: MemoryLedger | None = None,
        video: VideoWork | None = None,
        cameras: Sequence[str] = ("front",),
    ) -> None:
        """``looks_again`` gives features of pictures, for novelty."""
        sizes = dict.fromkeys(cameras, (WIDTH, HEIGHT))
        self.looks_again = looks_again
        self.power = power or AlwaysOn()
        self.video = video or AtAnyTime()
        self.region = region or sample_region()
        document = sample_document(sample_registration("car-1", jurisdiction))
        self.firmware = ScriptedFirmware(
            VEHICLE,
            batches,
            registration=document,
            breaks_with=breaks_with,
            consent=consent_document(Purpose.SAFETY),
        )
        self.keys = keys or MemoryVehicleKeys()
        self.journal, self.staging = journal or MemoryJournal(), staging or MemoryStaging(self.keys)
        self.spool = spool or MemorySpool(self.keys)
        self.events, self.clock = RememberedEvents(), ManualClock()
        self.trust = MemoryTrust.of(self.region)
        self.ledger = ledger or MemoryLedger(keys=self.keys, clock=self.clock)
        self.residence = Residence(
            self.firmware.registration,
            self.trust,
            device_key_ids=lambda: {self.keys.device_key_id()},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )
        self.control = Control(
            journal=self.journal,
            events=self.events,
            catalogue=CATALOGUE,
            cameras=cameras,
            horizon_ns=10 * S,
        )
        self.consent = ConsentKeeper(
            self.firmware.consent,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )
        self.where = RecordedWhereabouts(self.residence, self.ledger, self.events)
        self.sense = self._sense(detector)
        codec = codec or PyAvCodec()
        self.selector = Selector(in_force=self.control.in_force, codec=codec, detectors=(), sizes=sizes)
        self.keeper = Keeper(self.control.in_force)
        self.novelty = Novelty(
            in_force=self.control.in_force,
            journal=self.journal,
            keys=self.keys,
            codec=codec,
            detectors=[self.looks_again] if self.looks_again else [],
            sizes=sizes,
            events=self.events,
        )
        self.finisher = Finisher(
            journal=self.journal,
            staging=self.staging,
            ledger=self.ledger,
            spool=self.spool,
            residence=self.where,
            consent=self.consent,
            means=Means(codec, looking, (), sizes),
            keep=self.keeper,
            select=select or self.selector,
            novelty=self.novelty,
            keys=self.keys,
            clock=self.clock,
            events=self.events,
            power=self.power,
            video=self.video,
        )

        self.valuing = Valuing(
            shipped_head(),
            journal=self.journal,
            staging=self.staging,
            campaigns=self.control,
            consent=self.consent,
            sizes=sizes,
            power=self.power,
            clock=self.clock,
            events=self.events,
        )

    def _sense(self, detector: Detector | None) -> Sense:
        ids = itertools.count(1)
        self.no_room: dict[int, DropReason] = {}
        """By priority."""

        def new_id() -> str:
            return f"{next(ids):032x}"

        ring = Ring(CATALOGUE, horizon_ns=10 * S, max_bytes=1 << 26)
        self.engine = TriggerEngine(CATALOGUE)
        return Sense(
            firmware=self.firmware,
            detector=detector,
            min_score=0.0,
            engine=self.engine,
            ring=ring,
            recorder=Recorder(
                ring=ring,
                staging=self.staging,
                journal=self.journal,
                ledger=self.ledger,
                events=self.events,
                new_id=new_id,
                room=NoReserve(),
            ),
            control=self.control,
            residence=self.where,
            consent=self.consent,
            journal=self.journal,
            events=self.events,
            new_id=new_id,
            power=self.power,
            video=self.video,
            no_room=self.no_room.get,
        )

    def push(
        self, *campaigns: Campaign, version: int = 1, region: str = "cn", sketch: Sketch | None = None
    ) -> bytes:
        """An operator's push, as it arrives."""
        key = self.region.campaign_key
        payload = encode_set(CampaignSet(region, version, campaigns, sketch))
        envelope = seal_envelope(CAMPAIGNS, payload, key_id_of(public_key_of(key)), key)
        self.deliver(envelope)
        return envelope

    def deliver(self, envelope: bytes) -> None:
        route = self.region.route("car-1")
        topic = campaigns_topic(self.region.policy.region_id)
        self.control.on_message(route, Message(topic, envelope, retained=True))

    def drive(self) -> None:
        while self.sense.step():
            pass

    def finish(self) -> None:
        while self.finisher.step():
            pass

    def clips(self, state: ClipState) -> list[str]:
        return [row.clip_id for row in self.journal.clips({state})]

    def opened(self, clip_id: str) -> bytes:
        """The clip as the region reads it."""
        row = self.journal.clip(clip_id)
        assert row is not None
        sealed = self.spool.region("cn").read(row.purpose, clip_id, 0, row.size_bytes)
        _, parts = open_sealed(
            io.BytesIO(sealed),
            region_id="cn",
            private_key=self.region.sealing_key,
            device_public_key=lambda _: self.keys.device_public_key,
            vehicle="car-1",
            clip_id=clip_id,
        )
        return b"".join(parts)


def test_from_a_walker_to_a_sealed_clip() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    assert not bench.staging.entries()
    clip = decode_clip(bench.opened(clip_id))
    assert [firing["campaign"] for firing in clip.firings] == ["walker"]
    frames = list(PyAvCodec().decode(clip.packets))
    assert len(frames) == 20
    head = frames[10].bgr()[12:18, 22:30]
    assert head.max() < 40, "the head was not painted"
    assert frames[10].bgr()[34:38, 22:30].mean() > 60, "more than the head was painted"


def test_a_clip_whose_file_holds_what_is_not_listed_is_never_sealed() -> None:
    def named(batch: SensedBatch) -> SensedBatch:
        return replace(batch, detections=tuple(replace(one, source="x" * 5000) for one in batch.detections))

    bench = Bench(map(named, drive(8, (3.0,))))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert not bench.clips(ClipState.SEALED)
    (clip_id,) = bench.clips(ClipState.DROPPED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    assert row.drop is DropReason.SEAL_FAILED
    assert "5000 characters" in row.drop_detail


def test_a_clip_arrives_with_what_it_is_worth_to_its_campaign() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign(weights=Weights(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)))
    bench.drive()
    assert bench.valuing.step()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    told = decode_clip(bench.opened(clip_id)).provenance["value"]
    assert (told["v"], told["value"], told["why"]) == (1, row.worth.value, "valued")
    assert told["parts"] == dict(row.worth.parts)
    # A box of 30 of 64 pixels, where 0.6 of the picture counts as at the car.
    assert row.worth.value == pytest.approx(30 / (0.6 * 64), abs=1e-6)


def test_a_clip_that_was_not_valued_says_so() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    told = decode_clip(bench.opened(clip_id)).provenance["value"]
    assert told == {"v": 1, "value": 0.0, "why": "not_yet", "parts": {}}


def test_what_is_worth_most_is_finished_first() -> None:
    bench = Bench(drive(16, (3.0, 11.0)))
    bench.push(campaign())
    bench.drive()
    first, second = bench.clips(ClipState.CAPTURED)
    bench.journal.valued({second: Worth(0.5, Valued.VALUED), first: Worth(0.25, Valued.VALUED)})
    assert bench.finisher.step()
    assert bench.clips(ClipState.SEALED) == [second]


def test_what_fires_is_noted_for_its_region_with_its_clip_or_the_reason_why_there_is_none() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign(), campaign("sampled", budget=Budget(0, None)))
    bench.drive()
    one, other = bench.journal.untold("cn", limit=9)
    found = {each.judged.firing.campaign_id: each for each in (one, other)}
    (row,) = bench.journal.clips(tuple(ClipState))
    assert found["walker"].judged.clip_id == row.clip_id
    assert found["sampled"].judged.drop is DropReason.BUDGET_CLIPS
    assert all(each.telling == Telling(Purpose.SAFETY, ("Vehicle.Speed",)) for each in found.values())


def test_what_fires_without_consent_is_noted_for_nobody() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign(purpose=Purpose.DIAGNOSTICS))
    bench.drive()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.NO_CONSENT, 1),)
    assert not bench.journal.untold("cn", limit=9)


def test_a_head_on_the_features_of_our_own_detector_fires() -> None:
    """Pushed as an operator would, run on what the detector knows of the raw frames of the drive."""
    pictures = [np.full((HEIGHT, WIDTH, 3), 255 * (at == 5), np.uint8) for at in range(10)]
    batches = [
        replace(batch, frames=(Frame("front", batch.until_ns - 1, picture),))
        for batch, picture in zip(drive(2, (), looked=False), pictures, strict=True)
    ]
    layer = HeadLayer(1, 3, np.array([[1, 1, 1]], "<i2").tobytes(), (0,), 0)
    nodes = Node(Op.HEAD, (), "bright"), Node(Op.LITERAL, (), 2.0), Node(Op.GT, (0, 1))
    bench = Bench(iter(batches), detector=MarkerDetector())
    bench.push(
        campaign(
            source='head("bright") > 2.0',
            program=Program(PROGRAM_VERSION, nodes),
            heads=(Head("bright", "marker@1", "front", 8, (layer,), 2.0**-8),),
        )
    )
    bench.drive()
    assert [event["event_ns"] for event in bench.events.of("fired")] == [batches[5].until_ns - 1]


def test_a_detector_that_fails_on_a_picture_is_counted_and_sensing_goes_on() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), MARKERS[Kind.PEDESTRIAN], np.uint8)
    batches = [
        replace(batch, frames=(Frame("front", batch.until_ns - 1, picture),))
        for batch in drive(2, (), looked=False)
    ]
    detector = MarkerDetector()
    detector.fail_next(3)
    bench = Bench(iter(batches), detector=detector)
    bench.push(campaign())
    bench.drive()
    assert len(detector.looked_at) == len(batches)
    assert bench.sense.lost()["pictures_unseen"] == 3
    assert len(bench.events.of("detector_failed")) == 1
    (totals,) = bench.journal.totals()
    assert totals.fired == 1


def test_hold_collects_nothing_and_says_why() -> None:
    bench = Bench(drive(6, (2.0,)), jurisdiction="US")
    bench.push(campaign())
    bench.drive()
    assert not bench.journal.totals()
    assert bench.events.of("hold")[0]["reason"] == "no_region_serves_jurisdiction"


def rotated(region: SampleRegion) -> SampleRegion:
    """The region after its campaign key was replaced."""
    key = bytes(31) + b"\7"
    policy = replace(region.policy, version=2, campaign_keys=(sample_key(public_key_of(key)),))
    return replace(region, policy=policy, campaign_key=key)


@pytest.mark.parametrize("restored_at_start", [True, False])
def test_no_older_set_comes_back_when_the_campaign_key_was_replaced(restored_at_start: bool) -> None:
    """Nor where the region's policy came into force only after the start."""
    bench = Bench(drive(1, ()))
    bench.push(campaign(), version=5)
    new = rotated(bench.region)
    again = Control(
        journal=bench.journal, events=bench.events, catalogue=CATALOGUE, cameras=["front"], horizon_ns=10 * S
    )
    bench.control, bench.region = again, new
    if restored_at_start:
        again.restore(new.policy)
    bench.push(campaign(), version=4)
    assert again.in_force("cn") is None
    assert "older" in again.refused("cn")
    bench.push(campaign(), version=6)
    in_force = again.in_force("cn")
    assert in_force is not None
    assert in_force.version == 6


HARBOUR = Zone("harbour", ((31.0, 121.0), (31.0, 122.0), (32.0, 122.0), (32.0, 121.0)))


def zoned(region: SampleRegion) -> SampleRegion:
    """The region, with a harbour in which nothing is collected."""
    zones = (SensitiveZone("harbour", ((HARBOUR,),)),)
    return replace(region, policy=replace(region.policy, zones=zones))


def placed(batches: Iterable[SensedBatch], places: dict[int, tuple[float, float]]) -> Iterator[SensedBatch]:
    """The drive with a fix at each of these seconds."""
    for batch in batches:
        here = [
            (s * S, *at) for s, at in places.items() if batch.until_ns - 200 * MS <= s * S < batch.until_ns
        ]
        rows = np.array(here, np.float64).reshape(-1, 3)
        zeros = np.zeros(len(here))
        yield replace(
            batch, gnss=GnssFixes(rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2], zeros, zeros, zeros)
        )


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({0: (40.0, 100.0)}, None),
        ({0: (40.0, 100.0), 2: (31.5, 121.5)}, DropReason.SENSITIVE_ZONE),
        ({0: (31.5, 121.5), 2: (40.0, 100.0)}, None),
        ({}, DropReason.POSITION_UNKNOWN),
        ({7: (40.0, 100.0)}, DropReason.POSITION_UNKNOWN),
    ],
)
def test_nothing_fires_in_a_sensitive_zone_or_where_nobody_knows(
    places: dict[int, tuple[float, float]], reason: DropReason | None
) -> None:
    bench = Bench(placed(drive(8, (3.0,)), places), region=zoned(sample_region()))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (totals,) = bench.journal.totals()
    assert totals.fired == 1
    assert totals.dropped == (((reason, 1),) if reason is not None else ())
    dropped = [one.fact for one in bench.ledger.entries if isinstance(one.fact, FiringDropped)]
    assert [(one.region_id, one.reason) for one in dropped] == (
        [("cn", reason)] if reason is not None else []
    )
    audited(bench)
    assert len(bench.clips(ClipState.SEALED)) == (reason is None)
    assert not bench.staging.entries()


def test_a_clip_that_reaches_into_a_zone_is_dropped_whole() -> None:
    places = {0: (40.0, 100.0), 2: (40.0, 100.0), 4: (31.5, 121.5)}
    bench = Bench(placed(drive(8, (3.0,)), places), region=zoned(sample_region()))
    bench.push(campaign(capture=CaptureSpec(S, 2 * S, ("front",), ("Vehicle.Speed",))))
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.DROPPED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    assert (row.drop, row.drop_detail) == (DropReason.SENSITIVE_ZONE, "reaches into zone 'harbour'")
    assert facts_of(bench) == ["Registered", "ConsentChanged", "Fired", "Dropped", "Erased"]
    assert audited(bench)[clip_id].where is Where.NOWHERE
    assert not bench.staging.entries()
    assert not bench.spool.entries()


class _Rejects:
    """Implements ``Selects``: nothing is worth it."""

    def __init__(self) -> None:
        self.cameras: list[set[str]] = []

    def judge(self, clip: Clip, stopped: Callable[[], bool]) -> Unwanted | None:
        assert not stopped()
        self.cameras.append({packet.camera for packet in clip.packets})
        return Unwanted(DropReason.PICTURE_BLURRED, "front: blurred")


def test_a_clip_that_is_not_worth_encoding_is_dropped_whole_and_counted_for_its_campaign() -> None:
    codec, select = _BuggyCodec(ATTEMPTS), _Rejects()
    bench = Bench(drive(8, (3.0,)), codec=codec, select=select)
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.DROPPED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    assert (row.drop, row.drop_detail) == (DropReason.PICTURE_BLURRED, "front: blurred")
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.PICTURE_BLURRED, 1),)
    (told,) = teller_of(bench).status(bench.region.route("car-1")).campaigns
    assert told.dropped == {"picture_blurred": 1}
    assert facts_of(bench) == ["Registered", "ConsentChanged", "Fired", "Dropped", "Erased"]
    assert audited(bench)[clip_id].where is Where.NOWHERE
    assert not bench.staging.entries()
    assert not bench.spool.entries()
    assert select.cameras == [{"front"}]


def test_selection_sees_no_more_of_a_clip_than_its_region_allows() -> None:
    region = sample_region()
    policy = replace(region.policy, data_classes=frozenset(DataClass) - {DataClass.EXTERIOR_VIDEO})
    select = _Rejects()
    bench = Bench(drive(8, (3.0,)), select=select, region=replace(region, policy=policy))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert select.cameras == [set()]


def test_a_clip_that_can_not_be_judged_is_sealed_and_the_status_says_so() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1
    status = teller_of(bench).status(bench.region.route("car-1"))
    assert status.unjudged == {"walker": {"quality": 1, "confirmation": 1}}


def test_without_zones_a_position_is_not_needed() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    assert bench.clips(ClipState.CAPTURED)


def test_a_clip_carries_what_the_policy_says_of_it() -> None:
    region = sample_region()
    policy = replace(region.policy, data_classes=frozenset({DataClass.EXTERIOR_VIDEO}), retention_days=30)
    bench = Bench(drive(8, (3.0,)), region=replace(region, policy=policy))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    clip = decode_clip(bench.opened(clip_id))
    assert clip.provenance["data_classes"] == ["exterior_video"]
    assert (clip.provenance["retention_days"], clip.provenance["export"]) == (30, "never")
    assert clip.packets
    assert (clip.frames, clip.catalogue) == ((), ())


def test_re_registration_while_driving_ends_collection() -> None:
    bench = Bench(drive(9, (2.0, 6.0)))
    bench.push(campaign())
    while bench.sense.step():
        if bench.journal.clips({ClipState.CAPTURED}):
            bench.firmware.document = None
            bench.clock.advance(LOOK_EVERY_NS)
    (totals,) = bench.journal.totals()
    assert totals.fired == 1
    bench.finish()
    assert bench.clips(ClipState.CAPTURED), "what was captured for a region waits for that region"


def test_a_withdrawn_registration_is_noticed_while_the_source_is_silent() -> None:
    bench = Bench(drive(1, ()))
    assert isinstance(bench.residence.current, Route)
    bench.firmware.document = None
    bench.clock.advance(LOOK_EVERY_NS)
    where = bench.residence.current
    assert isinstance(where, Hold), "delivery would have gone on to the region that the vehicle has left"
    assert where.reason is HoldReason.NO_REGISTRATION


def test_budget_drops_are_counted() -> None:
    bench = Bench(drive(14, (2.0, 6.0, 10.0)))
    bench.push(campaign(budget=Budget(clips_per_day=2, bytes_per_day=None)))
    bench.drive()
    (totals,) = bench.journal.totals()
    assert (totals.fired, totals.in_progress) == (3, 2)
    assert totals.dropped == ((DropReason.BUDGET_CLIPS, 1),)


def test_a_source_that_breaks_leaves_a_cut_clip() -> None:
    bench = Bench(drive(4, (3.4,)), breaks_with="bus 1: gone")
    bench.push(campaign())
    with pytest.raises(FirmwareError, match="bus 1"):
        bench.drive()
    (row,) = bench.journal.clips({ClipState.CAPTURED})
    assert row.cut


def test_video_that_nobody_looked_at_is_never_sealed() -> None:
    bench = Bench(drive(6, (), looked=False))
    nodes = (Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Speed"), Node(Op.LITERAL, (), 2.0), Node(Op.GT, (0, 1)))
    bench.push(campaign(program=Program(PROGRAM_VERSION, nodes)))
    bench.drive()
    bench.finish()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.REDACTION_NOT_LOOKED, 1),)
    assert not bench.staging.entries()
    assert not bench.spool.entries()


def test_a_firing_that_the_disk_has_no_room_for_is_dropped_with_that_reason_and_others_are_kept() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign("low", priority=1), campaign("high", priority=2))
    bench.no_room[1] = DropReason.DISK_SCARCE
    bench.drive()
    totals = {one.campaign_id: (one.in_progress, one.dropped) for one in bench.journal.totals()}
    assert totals == {"low": (0, ((DropReason.DISK_SCARCE, 1),)), "high": (1, ())}
    facts = [entry.fact for entry in bench.ledger.entries if isinstance(entry.fact, FiringDropped)]
    assert [fact.reason for fact in facts] == [DropReason.DISK_SCARCE]


def test_a_full_spool_keeps_the_clip_and_tries_again() -> None:
    bench = Bench(
        drive(6, (3.0,)), keys=(keys := MemoryVehicleKeys()), spool=MemorySpool(keys, capacity_bytes=100)
    )
    bench.push(campaign())
    bench.drive()
    assert bench.finisher.step()
    assert not bench.finisher.step(), "it rests before the next try"
    assert bench.clips(ClipState.CAPTURED)
    assert bench.staging.entries()
    assert bench.events.of("disk_full")
    bench.clock.advance(FIRST_NS)
    assert bench.finisher.step()


def test_a_clip_that_does_not_fit_lets_the_next_one_try() -> None:
    """A file size limit counts as full too: a clip above it must not keep all others from being tried."""
    bench = Bench(
        drive(12, (3.0, 8.0)), keys=(keys := MemoryVehicleKeys()), spool=MemorySpool(keys, capacity_bytes=100)
    )
    bench.push(campaign())
    bench.drive()
    tried = []
    for _ in range(2):
        assert bench.finisher.step()
        tried.append(bench.events.of("disk_full")[-1]["clip"])
        bench.clock.advance(FIRST_NS)
    assert len(set(tried)) == 2
    bench.spool.capacity_bytes = 1 << 30
    bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2


class _BrittleSpool(MemorySpool):
    """Fails as a broken disk does: not because it is full."""

    def __init__(self, keys: MemoryVehicleKeys, broken: set[str]) -> None:
        super().__init__(keys)
        self.broken = broken

    def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> MemoryLanding:
        if clip_id in self.broken:
            raise SpoolError(f"{clip_id}.sealed: Input/output error")
        return super().begin(compartment, clip_id, file)


def test_a_disk_that_breaks_under_one_clip_loses_nothing_and_stops_no_other() -> None:
    keys = MemoryVehicleKeys()
    spool = _BrittleSpool(keys, {f"{2:032x}"})
    bench = Bench(drive(12, (3.0, 8.0)), spool=spool, keys=keys)
    bench.push(campaign())
    bench.drive()
    (broken, sound) = bench.clips(ClipState.CAPTURED)
    spool.broken = {broken}
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [sound]
    assert bench.clips(ClipState.CAPTURED) == [broken]
    assert "Input/output error" in bench.finisher.trouble
    for _ in range(20):
        bench.clock.advance(MOST_NS)
        bench.finish()
    assert bench.clips(ClipState.CAPTURED) == [broken], "a disk's fault is no reason to give a clip up"
    spool.broken = set()
    bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    assert bench.finisher.trouble == ""


class _BrittleStaging(MemoryStaging):
    """Can't be read a few times, as with too many files open; may refuse to erase."""

    def __init__(self, keys: MemoryVehicleKeys) -> None:
        super().__init__(keys)
        self.unreadable = 0
        self.stuck = False

    def read(self, compartment: Compartment, clip_id: str) -> Iterator[bytes]:
        if self.unreadable:
            self.unreadable -= 1
            raise SpoolError(f"{clip_id}.staged: Too many open files")
        return super().read(compartment, clip_id)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        if self.stuck:
            raise SpoolError(f"{clip_id}.staged: Input/output error")
        super().erase(compartment, clip_id)


@pytest.mark.parametrize(("times", "state"), [(2, ClipState.SEALED), (3, ClipState.DROPPED)])
def test_staging_that_can_not_be_read_is_read_again_before_it_is_given_up(
    times: int, state: ClipState
) -> None:
    staging = _BrittleStaging(keys := MemoryVehicleKeys())
    bench = Bench(drive(6, (3.0,)), staging=staging, keys=keys)
    bench.push(campaign())
    bench.drive()
    staging.unreadable = times
    for _ in range(3):
        bench.finish()
        bench.clock.advance(MOST_NS)
    assert bench.clips(state)
    (totals,) = bench.journal.totals()
    assert totals.dropped == (((DropReason.STAGING_LOST, 1),) if state is ClipState.DROPPED else ())


def test_staging_that_can_not_be_erased_stops_nothing() -> None:
    staging = _BrittleStaging(keys := MemoryVehicleKeys())
    bench = Bench(drive(6, (3.0,)), staging=staging, keys=keys)
    bench.push(campaign())
    bench.drive()
    staging.stuck = True
    bench.finish()
    assert bench.clips(ClipState.SEALED)
    assert "Input/output error" in bench.finisher.trouble


class _BuggyCodec(PyAvCodec):
    """Breaks on its first streams, by default in a way that no contract foresees."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        super().__init__()
        self.times, self.error = times, error or IndexError("a bug")

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        if self.times:
            self.times -= 1
            raise self.error
        return super().encode(camera, frames, fps=fps, keyframe_every=keyframe_every)


def test_an_unexpected_fault_costs_that_clip_alone_and_only_when_it_stays() -> None:
    bench = Bench(drive(12, (3.0, 8.0)), codec=_BuggyCodec(times=1))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1
    bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2

    bench = Bench(drive(6, (3.0,)), codec=_BuggyCodec(times=100))
    bench.push(campaign())
    bench.drive()
    for _ in range(3):
        bench.finish()
        bench.clock.advance(MOST_NS)
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.REDACTION_FAILED, 1),)
    (told,) = bench.events.of("dropped")
    assert "IndexError: a bug" in str(told["detail"])
    assert not bench.spool.entries()


class _Ignition(AlwaysOn):
    """Goes off and on."""

    phase = Phase.ON


def _moded(batches: Sequence[SensedBatch], *modes: tuple[float, DriveMode]) -> list[SensedBatch]:
    """With changes of the mode, at so many seconds each."""
    changes = [ModeChange(round(at_s * S), mode) for at_s, mode in modes]
    out, begin = list[SensedBatch](), 0
    for batch in batches:
        now = tuple(one for one in changes if begin <= one.t_ns < batch.until_ns)
        out.append(replace(batch, modes=now))
        begin = batch.until_ns
    return out


def test_where_video_waits_for_the_car_to_be_parked_a_clip_stays_captured_until_then() -> None:
    power, events = _Ignition(), RememberedEvents()
    batches = _moded(drive(12, (3.0, 8.0)), (0.0, DriveMode.PARKED), (1.0, DriveMode.MANUAL))
    bench = Bench(batches, power=power, video=(video := WhenParked(power, events)))
    bench.push(campaign())
    video.sensed([ModeChange(0, DriveMode.MANUAL)])
    assert not teller_of(bench).status(bench.region.route("car-1")).until_parked, "no clip waits for it"
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.CAPTURED)) == 2
    elsewhere = teller_of(bench).status(sample_region("eu", ("DE",)).route("car-1"))
    assert not elsewhere.until_parked, "no clip of that region waits for it"
    status = teller_of(bench).status(bench.region.route("car-1"))
    assert (status.spool["captured"].clips, status.until_parked) == (2, True)
    video.sensed([ModeChange(13 * S, DriveMode.ASSISTED)])
    bench.finish()
    assert len(bench.clips(ClipState.CAPTURED)) == 2
    video.sensed([ModeChange(14 * S, DriveMode.MANUAL), ModeChange(15 * S, DriveMode.PARKED)])
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    assert not teller_of(bench).status(bench.region.route("car-1")).until_parked
    assert [one["allowed"] for one in events.of("video_work")] == [False, True, False, True]
    begun = RememberedEvents()
    WhenParked(power, begun).sensed([ModeChange(0, DriveMode.MANUAL)])
    assert [one["allowed"] for one in begun.of("video_work")] == [False], (
        "whoever waits for clips is told why"
    )


def test_with_the_ignition_off_video_waits_no_longer() -> None:
    power = _Ignition()
    bench = Bench(drive(6, (3.0,)), power=power, video=WhenParked(power, RememberedEvents()))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.CAPTURED)) == 1, "nobody has said that the car is parked"
    power.phase = Phase.ASLEEP
    bench.finish()
    assert len(bench.clips(ClipState.CAPTURED)) == 1
    power.phase = Phase.DRAINING
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1


def test_a_clip_that_is_at_work_when_the_car_drives_off_is_left_and_begun_anew() -> None:
    power = _Ignition()
    video = WhenParked(power, RememberedEvents())

    class DrivesOff(MarkerDetector):
        """At its second look."""

        def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
            if len(self.looked_at) == 1:
                video.sensed([ModeChange(20 * S, DriveMode.MANUAL)])
            return super().detect(frame, min_score=min_score, thorough=thorough)

    detector = DrivesOff()
    batches = _moded(drive(6, (3.0,)), (0.0, DriveMode.PARKED))
    bench = Bench(batches, power=power, video=video, looking=[detector])
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.CAPTURED)) == 1
    assert len(detector.looked_at) == 2
    assert not bench.events.of("dropped")
    video.sensed([ModeChange(30 * S, DriveMode.PARKED)])
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1


def test_a_codec_that_stalls_once_costs_no_clip() -> None:
    stalled = CodecStalledError("camera front: 5 ns: video encoder: not back after 60 s")
    bench = Bench(drive(12, (3.0, 8.0)), codec=_BuggyCodec(times=1, error=stalled))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1
    (told,) = bench.events.of("postponed")
    assert (told["reason"], told["detail"]) == (DropReason.REDACTION_FAILED, str(stalled))
    assert str(stalled) in bench.finisher.trouble
    bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2


@pytest.mark.parametrize(("times", "sealed"), [(1, 1), (2, 1), (3, 0)])
def test_a_look_that_stalls_is_tried_again_and_the_third_time_costs_the_clip(times: int, sealed: int) -> None:
    detector = MarkerDetector()
    detector.fail_next(times, DetectorStalledError)
    bench = Bench(drive(6, (3.0,)), looking=[detector])
    bench.push(campaign())
    bench.drive()
    for _ in range(times):
        assert not bench.clips(ClipState.SEALED)
        bench.finish()
        bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == sealed
    (totals,) = bench.journal.totals()
    assert totals.dropped == (((DropReason.REDACTION_FAILED, 1),) if not sealed else ())


def test_a_drop_that_the_journal_has_no_room_for_waits() -> None:
    bench = Bench(drive(6, (3.0,)), codec=PictureCodec())
    bench.push(campaign())
    bench.drive()
    bench.journal.full = True
    bench.finish()
    assert bench.clips(ClipState.CAPTURED)
    assert bench.staging.entries()
    bench.journal.full = False
    bench.clock.advance(FIRST_NS)
    bench.finish()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.VIDEO_DAMAGED, 1),)


def test_a_stop_in_the_middle_of_redaction_leaves_the_clip_for_the_next_start() -> None:
    bench = Bench(drive(6, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finisher.stop()
    assert not bench.finisher.step()
    assert bench.clips(ClipState.CAPTURED)
    assert bench.staging.entries()


def test_video_that_can_not_be_decoded_means_no_clip() -> None:
    bench = Bench(drive(6, (3.0,)), codec=PictureCodec())
    bench.push(campaign())
    bench.drive()
    bench.finish()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.VIDEO_DAMAGED, 1),)


def test_pushes_are_taken_in_order_and_bad_ones_leave_the_set_in_force() -> None:
    bench = Bench(drive(1, ()))
    bench.push(campaign("one"), version=2)
    bench.push(campaign("older"), version=1)
    assert "older" in bench.control.refused("cn")
    bench.push(campaign("two", region="eu"), version=3, region="eu")
    assert bench.control.refused("cn")
    far = CaptureSpec(30 * S, S, ("front",), ())
    bench.push(campaign("far", capture=far), version=4)
    assert "far" in bench.control.refused("cn")
    assert "before" in bench.control.refused("cn")
    unknown = Program(
        PROGRAM_VERSION,
        (Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Nothing"), Node(Op.LITERAL, (), 2.0), Node(Op.GT, (0, 1))),
    )
    bench.push(campaign("unknown", program=unknown), version=5)
    assert "Vehicle.Nothing" in bench.control.refused("cn")
    bench.deliver(b"garbage")
    assert bench.control.refused("cn")
    in_force = bench.control.in_force("cn")
    assert in_force is not None
    assert [one.id for one in in_force.campaigns] == ["one"]
    assert bench.control.in_force("eu") is None
    bench.push(campaign("next"), version=6)
    assert not bench.control.refused("cn")


def test_the_set_in_force_survives_a_restart() -> None:
    bench = Bench(drive(1, ()))
    bench.push(campaign("one"), version=3)
    again = Bench(drive(1, ()))
    again.journal = bench.journal
    again.control = Control(
        journal=bench.journal, events=again.events, catalogue=CATALOGUE, cameras=["front"], horizon_ns=10 * S
    )
    again.control.restore(again.region.policy)
    in_force = again.control.in_force("cn")
    assert in_force is not None
    assert in_force.version == 3


def test_an_older_set_never_comes_back_also_not_with_another_car_or_region_in_between() -> None:
    """Whoever can replay old retained sets must not bring a campaign back that operators have ended."""
    bench = Bench(drive(1, ()))
    first = bench.push(campaign("first"), version=1)
    second = bench.push(campaign("second"), version=2)

    def restarted(cameras: list[str]) -> Control:
        control = Control(
            journal=bench.journal,
            events=bench.events,
            catalogue=CATALOGUE,
            cameras=cameras,
            horizon_ns=10 * S,
        )
        control.restore(bench.region.policy)
        return control

    bench.control = restarted(["rear"])  # the set in force can't run on this car
    assert bench.control.in_force("cn") is None
    assert "no camera 'front'" in bench.control.refused("cn")
    bench.deliver(first)
    assert "older" in bench.control.refused("cn")
    bench.deliver(second)
    assert "contradicts" not in bench.control.refused("cn")
    bench.control = restarted(["front"])
    assert bench.control.in_force("cn") is not None
    bench.deliver(first)
    assert "older" in bench.control.refused("cn")
    in_force = bench.control.in_force("cn")
    assert in_force is not None
    assert in_force.version == 2


def teller_of(bench: Bench, trouble: str = "") -> Teller:
    return Teller(
        journal=bench.journal,
        control=bench.control,
        refused_policies=lambda: bench.residence.refused_policies,
        clock=bench.clock,
        lost=bench.sense.lost,
        suspended=bench.engine.suspended,
        use=process_use,
        trouble=lambda: trouble,
        head=Heads(bench.ledger, bench.events).tell,
        holds=lambda _where: (HoldSpan("no_registration", 1, 2, 3),),
        certificate_until_ns=CertificateWatch(bench.keys, bench.clock, bench.events).look,
        faults=FaultLog(bench.events, bench.clock),
        sent=lambda: (
            BytesSent("eu", "h", 1, 1, 5),
            BytesSent("cn", "h", 1, 2, 7),
            BytesSent("cn", "i", 1, 3, 8),
        ),
        models=("nanodet@1",),
        every_s=5.0,
        video=bench.video,
        unjudged=bench.selector.missed,
        kept=bench.keeper.counted,
    )


def test_the_status_tells_a_region_nothing_of_another() -> None:
    """After a re-registration: neither what the other region collects, nor how much, nor what it pushed wrongly."""
    bench = Bench(drive(8, (2.0,)))
    bench.push(campaign("secret"))
    bench.drive()
    bench.deliver(b"garbage")
    eu = sample_region("eu", ("DE",)).route("car-1")
    status = teller_of(bench).status(eu)
    assert (status.campaigns, status.spool, status.refused_push) == ((), {}, "")
    assert status.sent_bytes == 5
    assert [one.reason for one in status.holds] == ["no_registration"], "of holds the reason and no detail"

    bench.push(campaign("newer"), version=2)
    cn = bench.region.route("car-1")
    assert [one.id for one in teller_of(bench).status(cn).campaigns] == ["secret"]
    again = Control(
        journal=bench.journal, events=bench.events, catalogue=CATALOGUE, cameras=["front"], horizon_ns=10 * S
    )
    again.restore(bench.region.policy)
    bench.control = again
    assert [one.id for one in teller_of(bench).status(cn).campaigns] == ["secret"]


@pytest.mark.parametrize("own", ["cn", "eu"])
def test_two_regions_campaigns_of_one_id_are_told_apart(own: str) -> None:
    """The vehicle collected for one region, moved, and the other one pushed a campaign of the same id."""
    region = sample_region(own, ("DE",) if own == "eu" else ("CN",))
    bench = Bench(drive(1, ()), region=region)
    bench.push(campaign(region=own), region=own)
    for number, of in enumerate(("cn", "eu", "eu")):
        fired, drop = Firing("walker", 1, number, ()), DropReason.SAMPLED_OUT
        bench.journal.accept([JudgedFiring(f"f{number}", fired, 0, None, drop, of)], ())
    (told,) = teller_of(bench).status(region.route()).campaigns
    assert (told.id, told.fired) == ("walker", {"cn": 1, "eu": 2}[own])


@pytest.mark.parametrize(
    "text", ["clip {}: damaged", "/data/spool/cn/safety/{}.sealed: cut", "/x/cn/safety.key: away"]
)
def test_a_region_is_not_told_of_trouble_with_anothers_clips(text: str) -> None:
    bench = Bench(drive(8, (2.0,)))
    bench.push(campaign())
    bench.drive()
    (row,) = bench.journal.clips(frozenset(ClipState))
    trouble = text.format(row.clip_id)
    cn, eu = bench.region.route("car-1"), sample_region("eu", ("DE",)).route("car-1")
    assert teller_of(bench, trouble).status(cn).trouble == trouble
    assert teller_of(bench, trouble).status(eu).trouble == ELSEWHERE
    assert teller_of(bench, "clip " + "0" * 32).status(cn).trouble == ELSEWHERE, "nobody knows whose it is"
    assert teller_of(bench, "broker: timed out").status(eu).trouble == "broker: timed out"


def test_the_status_says_what_happened() -> None:
    bench = Bench(drive(8, (2.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    teller = teller_of(bench)
    where = bench.residence.current
    assert isinstance(where, Route)
    status = teller.status(where)
    assert (status.vehicle, status.region, status.campaign_set) == ("car-1", "cn", 1)
    assert status.campaigns[0].fired == 1
    assert status.spool.keys() == {"sealed"}
    assert status.campaigns[0][1:6] == (1, 0, 0, 1, 0)
    assert (status.spool["sealed"].clips, status.spool["sealed"].bytes > 0) == (1, True)
    assert (status.sent_bytes, status.models, status.every_s) == (15, ("nanodet@1",), 5.0)
    assert status.wire["status"] == 2


def facts_of(bench: Bench) -> list[str]:
    return [type(entry.fact).__name__ for entry in bench.ledger.entries]


def audited(bench: Bench) -> dict[str, ClipAccount]:
    clips, findings = account([Located(entry, "memory") for entry in bench.ledger.entries], {}, None)
    assert not findings
    return clips


def test_every_decision_is_in_the_ledger() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert facts_of(bench) == ["Registered", "ConsentChanged", "Fired", "Redacted", "Sealed", "Erased"]
    (row,) = bench.journal.clips({ClipState.SEALED})
    (clip,) = audited(bench).values()
    assert clip.sealed is not None
    assert (clip.sealed.sha256, clip.sealed.size_bytes) == (row.sha256, row.size_bytes)
    assert clip.sealed.sealing_key_id == bench.region.policy.sealing_key_id
    assert clip.redacted is not None
    assert clip.redacted.sources == ("firmware",)


def test_a_sealing_that_the_journal_had_no_room_for_is_carried_through_and_not_done_again() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.journal.full = True
    bench.finish()
    files = dict(bench.spool.files)
    assert files
    bench.journal.full = False
    bench.clock.advance(FIRST_NS)
    bench.finish()
    assert bench.clips(ClipState.SEALED)
    assert dict(bench.spool.files) == files
    assert facts_of(bench).count("Sealed") == 1
    audited(bench)


def test_a_sealed_file_that_is_not_what_was_recorded_is_made_anew() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.journal.full = True
    bench.finish()
    bench.journal.full = False
    ((compartment, clip_id),) = bench.spool.entries()
    bench.spool.put(compartment, clip_id, as_file(b"damaged"))
    bench.clock.advance(FIRST_NS)
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [clip_id]
    assert bench.opened(clip_id)
    audited(bench)
    assert facts_of(bench).count("Sealed") == 2


class _SinkingSpool(MemorySpool):
    """A disk that takes a file and fails at its sync: of as many files as ``sinks`` says nothing comes to be."""

    sinks = 0

    def settle(self, compartment: Compartment, clip_id: str) -> None:
        if self.sinks:
            self.sinks -= 1
            self.erase(compartment, clip_id)
            raise SpoolError(f"{clip_id}.sealed: Input/output error")
        super().settle(compartment, clip_id)


def test_a_file_that_was_recorded_and_did_not_land_is_made_anew() -> None:
    spool = _SinkingSpool(keys := MemoryVehicleKeys())
    bench = Bench(drive(8, (3.0,)), spool=spool, keys=keys)
    bench.push(campaign())
    bench.drive()
    spool.sinks = 1
    bench.finish()
    (clip_id,) = bench.clips(ClipState.CAPTURED)
    assert facts_of(bench)[-1] == "Sealed"
    assert bench.events.of("disk_failed")
    assert not spool.entries()
    bench.clock.advance(FIRST_NS)
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [clip_id]
    assert bench.opened(clip_id)
    assert facts_of(bench)[-5:] == ["Sealed", "Erased", "Redacted", "Sealed", "Erased"]
    audited(bench)


def test_a_drop_that_the_journal_had_no_room_for_is_recorded_once_and_carried_through() -> None:
    """Also where it would work by now: what was decided is not taken back."""
    bench = Bench(drive(8, (3.0,)), codec=_BuggyCodec(times=ATTEMPTS))
    bench.push(campaign())
    bench.drive()
    bench.journal.full = True
    for _ in range(ATTEMPTS):
        bench.finish()
        bench.clock.advance(MOST_NS)
    assert "Dropped" in facts_of(bench)
    bench.journal.full = False
    for _ in range(3):
        bench.clock.advance(MOST_NS)
        bench.finish()
    (row,) = bench.journal.clips({ClipState.DROPPED})
    (clip,) = audited(bench).values()
    assert clip.dropped is not None
    assert clip.dropped.reason == row.drop
    assert not clip.copies


@pytest.mark.parametrize("how", ["full", "broken"])
def test_what_the_ledger_can_not_record_does_not_happen(how: str) -> None:
    """Nothing is sealed, a new firing is not kept, and what was collected stays and is sealed when it works again."""
    bench = Bench(drive(14, (3.0, 10.0)))
    bench.push(campaign())
    while not bench.clips(ClipState.CAPTURED):
        bench.sense.step()
    setattr(bench.ledger, how, True)
    bench.finish()
    bench.drive()
    assert not bench.spool.entries()
    assert len(bench.clips(ClipState.CAPTURED)) == len(bench.staging.entries()) == 1
    (totals,) = bench.journal.totals()
    reason = DropReason.DISK_FULL if how == "full" else DropReason.LEDGER_FAILED
    assert totals.dropped == ((reason, 1),)
    assert bench.events.of("disk_full" if how == "full" else "ledger_failed")
    setattr(bench.ledger, how, False)
    bench.clock.advance(MOST_NS)
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 1
    audited(bench)


def test_a_region_that_can_not_be_recorded_is_a_hold() -> None:
    bench = Bench(drive(1, ()))
    bench.ledger.broken = True
    where = bench.where.current
    assert isinstance(where, Hold)
    assert "can't be recorded" in where.detail
    assert bench.where.current == where
    assert len(bench.events.of("ledger_failed")) == 1
    bench.ledger.broken = False
    assert isinstance(bench.where.current, Route)
    assert isinstance(bench.where.current, Route)
    bench.firmware.document = None
    bench.clock.advance(LOOK_EVERY_NS)
    assert isinstance(bench.where.current, Hold)
    assert facts_of(bench) == ["Registered", "Held"]


def test_a_policy_that_comes_at_run_time_is_recorded_before_anything_goes_by_it() -> None:
    """The new version, and what is sealed under it names its version and its new key; one that is refused, too."""
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    other = sample_region("other").policy.sealing_keys
    policy = replace(bench.region.policy, version=2, sealing_keys=(*other, *bench.region.policy.sealing_keys))
    bench.trust.enrol(replace(bench.region, policy=policy))
    bench.clock.advance(LOOK_EVERY_NS)
    bench.finish()
    assert facts_of(bench)[2:] == ["Fired", "Registered", "Redacted", "Sealed", "Erased"]
    facts = [entry.fact for entry in bench.ledger.entries]
    registered = [fact for fact in facts if isinstance(fact, Registered)]
    assert [one.policy_version for one in registered] == [1, 2]
    (sealed,) = [fact for fact in facts if isinstance(fact, Sealed)]
    assert (sealed.policy_version, sealed.sealing_key_id) == (2, other[0].key_id)
    for _ in range(2):
        bench.trust.enrol(bench.region)  # rolled back
        bench.clock.advance(LOOK_EVERY_NS)
        assert isinstance(bench.where.current, Route)
    assert [entry.fact for entry in bench.ledger.entries][len(facts) :] == [PolicyRefused("cn", 2)]
    audited(bench)


def test_the_status_carries_a_head_of_the_ledger() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    where = bench.where.current
    assert isinstance(where, Route)
    teller = teller_of(bench)
    head = decode_head(teller.status(where).ledger_head)
    head.verify(bench.keys.device_public_key)
    assert head.value.size == len(bench.ledger.entries)
    bench.ledger.broken = True
    assert teller.status(where).ledger_head == b""
    assert bench.events.of("ledger_failed")


def test_without_consent_a_firing_is_counted_and_nothing_of_it_is_kept() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.firmware.consent_document = consent_document(Purpose.DIAGNOSTICS)
    bench.push(campaign())
    bench.drive()
    assert [(one.fired, one.dropped) for one in bench.journal.totals()] == [
        (1, ((DropReason.NO_CONSENT, 1),))
    ]
    assert not bench.staging.entries()
    assert bench.keys.compartments() == frozenset()
    assert "Fired" not in facts_of(bench)
    audited(bench)


def withdrawn(bench: Bench) -> None:
    """The user withdraws, and everybody notices."""
    bench.firmware.consent_document = consent_document(revision=2)
    bench.clock.advance(LOOK_EVERY_NS)


def give_up_withdrawn(bench: Bench) -> None:
    """What whoever finishes clips does about them."""
    WithdrawnClips(
        bench.consent,
        GiveUp(
            journal=bench.journal,
            staging=bench.staging,
            spool=bench.spool,
            ledger=bench.ledger,
            events=bench.events,
        ),
        journal=bench.journal,
        clock=bench.clock,
        events=bench.events,
    ).step()


def cleared(bench: Bench, *, copies: int = 1) -> None:
    """Whoever finishes clips gives up what was withdrawn."""
    give_up_withdrawn(bench)
    assert not bench.staging.entries()
    assert not bench.spool.entries()
    assert bench.keys.compartments() == frozenset()
    assert [row.drop for row in bench.journal.clips({ClipState.DROPPED})] == [DropReason.CONSENT_WITHDRAWN]
    assert facts_of(bench)[-1 - copies :] == ["Dropped", *["Erased"] * copies]
    audited(bench)


def test_consent_that_is_withdrawn_ends_a_captured_clip_as_that() -> None:
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    withdrawn(bench)
    bench.finish()
    assert bench.clips(ClipState.CAPTURED), "nothing is finished without consent"
    cleared(bench)


def test_consent_that_is_withdrawn_in_the_middle_of_a_redaction_ends_it_unsealed() -> None:
    class Withdrawing(PyAvCodec):
        def decode(self, *args: Any, **more: Any) -> Any:
            withdrawn(bench)
            return super().decode(*args, **more)

    bench = Bench(drive(8, (3.0,)), codec=Withdrawing())
    bench.push(campaign())
    bench.drive()
    assert not bench.finisher.step()
    assert not bench.clips(ClipState.SEALED)
    assert "Sealed" not in facts_of(bench)
    assert not bench.events.of("disk_failed")
    cleared(bench)


def test_consent_that_is_withdrawn_between_writing_and_recording_leaves_no_file() -> None:
    class Withdrawing(MemorySpool):
        def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> MemoryLanding:
            begun = super().begin(compartment, clip_id, file)
            withdrawn(bench)
            return begun

    keys = MemoryVehicleKeys()
    bench = Bench(drive(8, (3.0,)), spool=Withdrawing(keys), keys=keys)
    bench.push(campaign())
    bench.drive()
    bench.finish()
    assert not bench.spool.entries()
    assert "Sealed" not in facts_of(bench)
    cleared(bench)


def test_consent_that_is_withdrawn_between_recording_and_landing_ends_file_and_record() -> None:
    class Withdrawing(MemorySpool):
        def settle(self, compartment: Compartment, clip_id: str) -> None:
            super().settle(compartment, clip_id)
            withdrawn(bench)

    keys = MemoryVehicleKeys()
    bench = Bench(drive(8, (3.0,)), spool=Withdrawing(keys), keys=keys)
    bench.push(campaign())
    bench.drive()
    assert not bench.finisher.step()
    assert "Sealed" in facts_of(bench)
    assert bench.clips(ClipState.CAPTURED), "it does not count"
    assert not bench.events.of("sealed")
    cleared(bench, copies=2)


def test_a_document_that_is_lost_between_recording_and_landing_costs_no_clip() -> None:
    """Nobody can say what is consented to, for a while: the file that landed counts afterwards, and is not made again."""

    class Losing(MemorySpool):
        def settle(self, compartment: Compartment, clip_id: str) -> None:
            super().settle(compartment, clip_id)
            bench.firmware.consent_document = document
            bench.clock.advance(LOOK_EVERY_NS)

    document: bytes | None = None
    keys = MemoryVehicleKeys()
    bench = Bench(drive(8, (3.0,)), spool=Losing(keys), keys=keys)
    before = bench.firmware.consent_document
    bench.push(campaign())
    bench.drive()
    assert not bench.finisher.step()
    (clip_id,) = bench.clips(ClipState.CAPTURED)
    document = bench.firmware.consent_document = before
    bench.clock.advance(LOOK_EVERY_NS)
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [clip_id]
    assert bench.opened(clip_id)
    assert facts_of(bench).count("Sealed") == 1
    audited(bench)


def test_a_sealed_clip_ends_with_its_consent_and_new_consent_collects_anew() -> None:
    bench = Bench(drive(12, (3.0, 9.0)))
    bench.push(campaign())
    for _ in range(25):
        assert bench.sense.step()
    bench.finish()
    assert bench.clips(ClipState.SEALED)
    withdrawn(bench)
    cleared(bench)
    bench.firmware.consent_document = consent_document(Purpose.SAFETY, revision=3)
    bench.clock.advance(LOOK_EVERY_NS)
    bench.drive()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    assert bench.opened(clip_id)
    audited(bench)


def test_a_key_that_can_not_be_read_for_a_while_costs_no_clip() -> None:
    """A token that was pulled out, a mode that somebody changed: the clip waits, however long that takes."""
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.keys.broken = "safety.key: others may read or change it"
    for _ in range(10):
        bench.finish()
        bench.clock.advance(MOST_NS)
    assert bench.clips(ClipState.CAPTURED)
    assert "safety.key" in bench.finisher.trouble
    bench.keys.broken = ""
    bench.finish()
    assert bench.clips(ClipState.SEALED)


def test_a_clip_waits_for_a_token_that_was_taken_out() -> None:
    """However long: what was collected is not given up for a key that can't be used."""
    bench = Bench(drive(8, (3.0,)))
    bench.push(campaign())
    bench.drive()
    bench.keys.away = True
    for _ in range(6):
        bench.finish()
        bench.clock.advance(400 * S)
    (clip,) = bench.clips(ClipState.CAPTURED)
    told = bench.events.of("keys_failed")
    assert len(told) == 6
    assert told[0] == {"clip": clip, "what": "the token is not there"}
    assert bench.finisher.trouble == "the token is not there"
    assert not bench.spool.entries()
    bench.keys.away = False
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [clip]
    assert bench.finisher.trouble == ""


def test_the_status_says_until_when_the_certificate_serves() -> None:
    bench = Bench(drive(1, ()))
    teller, route = teller_of(bench), bench.region.route("car-1")
    assert teller.status(route).certificate_until_wall_ns == 0
    bench.keys.until_ns = bench.clock.wall_ns() + 10**15
    assert teller.status(route).certificate_until_wall_ns == bench.keys.until_ns
    assert [one["days_left"] for one in bench.events.of("certificate_expiring")] == [11]


class Ignition:
    """A power whose phase a test sets."""

    def __init__(self) -> None:
        self.phase = Phase.ON
        self.rested: set[Loop] = set()

    def rest(self, loop: Loop) -> None:
        self.rested.add(loop)


def test_with_the_ignition_off_open_windows_end_and_nothing_new_is_kept() -> None:
    ignition = Ignition()
    bench = Bench(drive(8, (1.0, 5.0)), power=ignition)
    bench.push(campaign())
    for _ in range(6):
        bench.sense.step()
    (clip_id,) = bench.clips(ClipState.STAGED)
    ignition.phase = Phase.DRAINING
    bench.drive()
    assert [(one.fired, one.dropped) for one in bench.journal.totals()] == [
        (2, ((DropReason.IGNITION_OFF, 1),))
    ]
    (captured,) = bench.events.of("captured")
    assert captured == {"clip": clip_id, "cut": False}
    assert ignition.rested == set()
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [clip_id]
    audited(bench)


def test_asleep_nothing_is_looked_at_and_nothing_finished_until_the_ignition_is_on() -> None:
    ignition = Ignition()
    bench = Bench(drive(12, (1.0, 3.0, 8.0)), power=ignition)
    bench.push(campaign())
    for _ in range(6):
        assert bench.sense.step()
    ignition.phase = Phase.ASLEEP
    for _ in range(24):
        assert bench.sense.step()
    assert [one["cut"] for one in bench.events.of("captured")] == [True]
    assert not bench.finisher.step()
    assert ignition.rested == {Loop.SENSE, Loop.FINISH}
    ignition.phase = Phase.ON
    bench.drive()
    assert sum(one.fired for one in bench.journal.totals()) == 2, "nobody saw the second walker"
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    audited(bench)


def test_a_redaction_that_the_sleep_finds_under_way_is_left_for_the_next_ignition() -> None:
    ignition = Ignition()

    class Slow(PyAvCodec):
        def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[DecodedFrame]:
            for number, frame in enumerate(super().decode(packets)):
                ignition.phase = Phase.ASLEEP if number == 3 and not ignition.rested else ignition.phase
                yield frame

    bench = Bench(drive(6, (3.0,)), codec=Slow(), power=ignition)
    bench.push(campaign())
    bench.drive()
    assert not bench.finisher.step()
    assert bench.clips(ClipState.CAPTURED)
    assert not bench.finisher.step()
    ignition.phase = Phase.ON
    bench.finish()
    assert bench.clips(ClipState.SEALED)


# ---- novelty

TWICE = (3.0, 3.5, 8.0, 8.5)
"""Somebody stands for a second, and five seconds later again."""
SAFETY_CN = Compartment("cn", Purpose.SAFETY)


def asking(name: str = "walker", mode: NoveltyMode = NoveltyMode.NORMAL) -> Campaign:
    return campaign(name, novelty=mode)


def twice(*campaigns: Campaign, **given: Any) -> Bench:
    bench = Bench(drive(12, TWICE), **given)
    bench.push(*(campaigns or (asking(),)))
    bench.drive()
    return bench


def waiting(bench: Bench) -> Clip:
    """The next that is to be finished, as the loop reads it."""
    (row, *_) = bench.journal.clips({ClipState.CAPTURED})
    parts = (decode_part(part) for part in bench.staging.read(row.compartment, row.clip_id))
    return assemble(parts, row, bench.journal.firings_of(row.clip_id))


def drops(bench: Bench) -> list[tuple[str, str]]:
    return [(str(one["clip"]), str(one["reason"])) for one in bench.events.of("dropped")]


def test_the_same_again_is_sent_once_and_the_second_is_counted_by_its_campaign() -> None:
    bench = twice()
    first, second = bench.clips(ClipState.CAPTURED)
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [first]
    assert drops(bench) == [(second, "already_sent")]
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.ALREADY_SENT, 1),)
    row = bench.journal.clip(second)
    assert row is not None
    assert row.drop_detail.startswith("by boxes: distance 0.")
    assert not bench.staging.entries()
    assert bench.novelty.counted() == {}


def test_a_campaign_that_wants_each_clip_gets_each_and_nothing_is_remembered() -> None:
    bench = twice(campaign())
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    assert state_key(SAFETY_CN) not in bench.journal.state


def test_a_clip_that_another_campaign_wants_is_kept_and_still_counts_as_sent() -> None:
    bench = twice(asking(), campaign("each"))
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    both = twice(asking(), asking("other", NoveltyMode.STRICT))
    both.finish()
    assert [reason for _, reason in drops(both)] == ["already_sent"]


def test_a_clip_that_is_dropped_after_it_was_sealed_counts_no_more() -> None:
    bench = twice()
    first, second = bench.clips(ClipState.CAPTURED)
    assert bench.finisher.step()
    bench.journal.dropped(first, DropReason.QUOTA_SPOOL, "evicted")
    bench.finish()
    assert bench.clips(ClipState.SEALED) == [second]
    assert not drops(bench)


def test_a_clip_that_was_delivered_counts_and_nobody_can_tell_which_it_was() -> None:
    bench = twice()
    first, _ = bench.clips(ClipState.CAPTURED)
    assert bench.finisher.step()
    bench.journal.delivered(first, receipt=b"signed")
    bench.finish()
    assert [reason for _, reason in drops(bench)] == ["already_sent"]


def test_what_the_region_has_enough_of_is_not_sent_at_all() -> None:
    first = twice()
    first.finish()
    (clip_id,) = first.clips(ClipState.SEALED)
    vehicle, codes = codes_in(decode_clip(first.opened(clip_id)).provenance)
    assert vehicle == "car-1"
    assert [one.subject for one in codes] == [Subject("walker", Maker.BOXES, "boxes@1", "front")]
    other = Bench(drive(12, TWICE))
    other.push(asking(), sketch=Sketch("cn", codes))
    other.drive()
    other.finish()
    assert [reason for _, reason in drops(other)] == ["region_has_enough", "region_has_enough"]


def test_a_sketch_of_another_region_is_refused_with_its_whole_push() -> None:
    bench = Bench(drive(1, ()))
    code = ClipCode(Subject("walker", Maker.BOXES, "boxes@1", "front"), bytes([1] * 96))
    with pytest.raises(ValueError, match="sketch: of region 'eu' in a set for 'cn'"):
        bench.push(asking(), sketch=Sketch("eu", (code,)))


def test_the_code_stays_on_board_where_what_it_is_made_of_may_not_be_collected() -> None:
    region = sample_region()
    policy = replace(region.policy, data_classes=frozenset({DataClass.EXTERIOR_VIDEO, DataClass.SIGNALS}))
    bench = twice(region=replace(region, policy=policy))
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    assert codes_in(decode_clip(bench.opened(clip_id)).provenance) == ("car-1", ())
    assert [reason for _, reason in drops(bench)] == ["already_sent"]


def test_where_nothing_can_be_told_of_a_clip_it_is_kept_and_counted() -> None:
    bench = Bench(drive(12, (3.0, 8.0)))  # Half a second: too little
    bench.push(asking())
    bench.drive()
    bench.finish()
    assert len(bench.clips(ClipState.SEALED)) == 2
    assert bench.novelty.counted() == {"novelty_no_code": 2}


class _Foreign(MarkerDetector):
    """Breaks as no port says."""

    def features(self, frame: Frame) -> Features:
        raise ZeroDivisionError(f"{frame.camera}: as nobody foresaw")


def test_a_model_that_breaks_as_nobody_foresaw_costs_no_clip_for_novelty() -> None:
    bench = twice(looks_again=_Foreign())
    bench.finish()
    assert (len(bench.clips(ClipState.SEALED)), drops(bench)) == (2, [])
    assert bench.novelty.counted() == {"novelty_no_code": 2}


def test_pictures_come_before_boxes_and_boxes_help_where_a_detector_fails() -> None:
    seeing = MarkerDetector()
    bench = twice(looks_again=seeing)
    first, _ = bench.clips(ClipState.CAPTURED)
    assert bench.finisher.step()
    _, codes = codes_in(decode_clip(bench.opened(first)).provenance)
    assert [one.subject for one in codes] == [Subject("walker", Maker.PICTURES, "marker@1", "front")]
    looked = [t_ns for _, t_ns in seeing.looked_at]
    assert looked == [
        2 * S,
        3 * S,
    ]  # Key frames of a window from 2 s to 4 s; the last is nearest to two of the moments
    failing = MarkerDetector()
    failing.fail_next(99)
    bench = twice(looks_again=failing)
    bench.finish()
    assert [reason for _, reason in drops(bench)] == ["already_sent"]


def test_a_key_that_was_destroyed_takes_what_is_remembered_with_it() -> None:
    bench = twice()
    assert bench.finisher.step()
    kept = bench.journal.state[state_key(SAFETY_CN)]
    assert b"walker" not in kept
    clip = waiting(bench)
    allowed = bench.region.policy.data_classes
    assert bench.novelty.judge(clip, allowed).drop is DropReason.ALREADY_SENT
    bench.keys.destroy_compartment(*SAFETY_CN)
    assert bench.novelty.judge(clip, allowed).drop is None
    assert bench.novelty.counted() == {"novelty_not_read": 1}
    bench.keys.compartment_key(*SAFETY_CN, make=True)
    again = bench.novelty.judge(clip, allowed)
    assert again.drop is None
    bench.novelty.sealed(clip.row, again)
    assert bench.novelty.judge(clip, allowed).drop is DropReason.ALREADY_SENT
    assert bench.journal.state[state_key(SAFETY_CN)] != kept


def test_codes_that_can_not_be_kept_cost_a_clip_more_and_none_less() -> None:
    bench = twice()
    clip, allowed = waiting(bench), bench.region.policy.data_classes
    judged = bench.novelty.judge(clip, allowed)
    bench.journal.read_only = True
    bench.novelty.sealed(clip.row, judged)
    assert bench.novelty.judge(clip, allowed).drop is None
    bench.journal.broken = True
    assert bench.novelty.judge(clip, allowed).drop is None
    assert bench.novelty.counted() == {"novelty_not_kept": 1, "novelty_not_read": 1}
    (told,) = bench.events.of("journal_failed")
    assert str(told["what"]).startswith("novelty: ")


def test_the_cabin_is_never_coded_and_the_next_camera_is_asked() -> None:
    bench = twice()
    clip = waiting(bench)
    (looks,) = clip.detections
    inside = replace(
        clip,
        row=replace(clip.row, cameras=("cabin_driver",)),
        detections=(replace(looks, camera="cabin_driver"),),
        packets=tuple(replace(one, camera="cabin_driver") for one in clip.packets),
    )
    sizes = dict.fromkeys(("cabin_driver", "front", "rear"), (WIDTH, HEIGHT))
    assert make_code(inside, PyAvCodec(), [MarkerDetector()], sizes) is None
    both = replace(clip, row=replace(clip.row, cameras=("cabin_driver", "rear", "front")))
    made = make_code(both, PyAvCodec(), [], sizes)
    assert made is not None
    assert (made.maker, made.camera) == (Maker.BOXES, "front")
    assert make_code(both, PyAvCodec(), [], {}) is None


def test_the_source_that_looked_most_often_is_coded_and_the_cars_motion_with_it() -> None:
    bench = twice()
    clip = waiting(bench)
    sizes = {"front": (WIDTH, HEIGHT)}
    code = make_code(clip, None, [], sizes)
    few = looks("front", "a@1", [(2 * S, [(int(Kind.CAR), 0.9, PERSON)] * 9)])
    assert make_code(replace(clip, detections=(few, *clip.detections)), None, [], sizes) == code
    still = replace(clip, signals=Signals(clip.signals.t_ns, clip.signals.signal, clip.signals.value * 0))
    assert make_code(still, None, [], sizes) != code
    unknown = replace(clip, catalogue=())
    assert make_code(unknown, None, [], sizes) not in (code, None)
