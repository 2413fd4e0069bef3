"""From a campaign that names a camera of the cabin to what its region finds in the clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agent.tests.test_pipeline import (
    CATALOGUE,
    WALL_NS,
    Bench,
    S,
    audited,
    campaign,
    drive,
    give_up_withdrawn,
)
from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.consent import LOOK_EVERY_NS
from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import DataClass, Route
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.regions import SampleRegion, sample_region
from fsd_agent.wire.clip import ClipContents, decode_clip
from fsd_agent.wire.staged import encode_part
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.samples import SensedBatch

CAMERAS = ("front", "cabin_driver")
NAMED = (CAMERAS, ("Vehicle.Speed",))
BOTH = CaptureSpec(S, S, *NAMED)
MONITORING, SAFETY = Purpose.OCCUPANT_MONITORING, Purpose.SAFETY


def drive_inside(seconds: int, walkers_s: tuple[float, ...]) -> Iterator[SensedBatch]:
    """As ``drive``, and a camera that looks into the car shows the same."""
    for batch in drive(seconds, walkers_s):
        packets = (*batch.packets, *(replace(one, camera="cabin_driver") for one in batch.packets))
        looked = (*batch.detections, *(replace(one, camera="cabin_driver") for one in batch.detections))
        yield replace(batch, packets=packets, detections=looked)


def listing(classes: frozenset[DataClass] = frozenset(DataClass)) -> SampleRegion:
    """A region whose policy lists these."""
    region = sample_region()
    return replace(region, policy=replace(region.policy, data_classes=classes))


def bench_of(*given: Purpose, region: SampleRegion | None = None) -> Bench:
    bench = Bench(drive_inside(8, (3.0,)), region=region or listing(), cameras=CAMERAS)
    bench.firmware.consent_document = consent_document(*given)
    return bench


def arrived(bench: Bench) -> ClipContents:
    """The only clip that was sealed."""
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    audited(bench)
    return decode_clip(bench.opened(clip_id))


def shown(clip: ClipContents) -> set[str]:
    return {packet.camera for packet in clip.packets}


def test_for_occupant_monitoring_the_cabin_arrives_painted_as_all_else() -> None:
    bench = bench_of(MONITORING)
    bench.push(campaign(purpose=MONITORING, capture=BOTH))
    bench.drive()
    clip = arrived(bench)
    assert clip.provenance["purpose"] == "occupant_monitoring"
    assert clip.provenance["data_classes"] == sorted(DataClass)
    assert shown(clip) == {frame.camera for frame in clip.frames} == set(CAMERAS)
    inside = [packet for packet in clip.packets if packet.camera == "cabin_driver"]
    frames = list(PyAvCodec().decode(inside))
    assert len(frames) == 20
    assert frames[10].bgr()[12:18, 22:30].max() < 40, "the head was not painted"
    assert frames[10].bgr()[34:38, 22:30].mean() > 60, "more than the head was painted"


def test_without_the_class_in_the_policy_the_purpose_opens_nothing() -> None:
    bench = bench_of(MONITORING, region=listing(frozenset(DataClass) - {DataClass.CABIN_VIDEO}))
    bench.push(campaign(purpose=MONITORING, capture=BOTH))
    bench.drive()
    assert shown(arrived(bench)) == {"front"}


def test_consent_to_safety_is_none_to_the_cabin() -> None:
    bench = bench_of(SAFETY)
    bench.push(campaign(purpose=MONITORING, capture=BOTH))
    bench.drive()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.NO_CONSENT, 1),)
    assert not bench.staging.entries()


def test_a_set_that_names_the_cabin_for_safety_is_refused_and_the_one_in_force_goes_on() -> None:
    bench = bench_of(SAFETY)
    bench.push(campaign(capture=replace(BOTH, cameras=("front",))))
    bench.push(campaign(capture=BOTH), version=2)
    assert bench.control.refused("cn").startswith(
        "walker: capture.cameras: camera 'cabin_driver' looks into the cabin"
    )
    bench.drive()
    clip = arrived(bench)
    assert shown(clip) == {"front"}
    assert set(clip.provenance["data_classes"]) == set(DataClass) - {DataClass.CABIN_VIDEO, DataClass.AUDIO}


def test_a_clip_for_safety_that_an_older_agent_staged_with_the_cabin_leaves_without_it() -> None:
    """Its region lists the class, its campaign named the camera, and the user consents to its purpose."""
    bench = bench_of(SAFETY)
    ring = Ring(CATALOGUE, horizon_ns=10 * S, max_bytes=1 << 26)
    for batch in drive_inside(8, (3.0,)):
        ring.append(batch, batch.signals, batch.detections)
    clip_id = "c" * 32
    row = ClipRow(clip_id, "cn", SAFETY, ClipState.STAGED, 2 * S, 4 * S, WALL_NS, *NAMED, priority=1)
    fired = Firing("walker", 1, 3 * S, (("detections.pedestrian", 2.0),))
    judged = JudgedFiring("f" * 32, fired, WALL_NS + 3 * S, clip_id, None, "cn")
    assert isinstance(bench.where.current, Route)
    assert bench.consent.now.given == {SAFETY}
    writer = bench.staging.open(row.compartment, clip_id)
    writer.append(encode_part(ring.window(2 * S, 4 * S, *NAMED)))
    writer.sync()
    ClipBook(bench.ledger).kept([(row, [judged])])
    bench.journal.accept([judged], [row])
    bench.journal.captured(clip_id, cut=False)
    clip = arrived(bench)
    assert shown(clip) == {frame.camera for frame in clip.frames} == {"front"}


def test_withdrawing_occupant_monitoring_ends_its_clips_and_leaves_those_of_others() -> None:
    bench = bench_of(MONITORING, SAFETY)
    inside = campaign("inside", purpose=MONITORING, capture=BOTH)
    bench.push(campaign(capture=replace(BOTH, cameras=("front",))), inside)
    bench.drive()
    cabin, other = Compartment("cn", MONITORING), Compartment("cn", SAFETY)
    assert bench.keys.compartments() == {cabin, other}
    bench.firmware.consent_document = consent_document(SAFETY, revision=2)
    bench.clock.advance(LOOK_EVERY_NS)
    give_up_withdrawn(bench)
    assert bench.keys.compartments() == {other}
    (gone,) = bench.journal.clips({ClipState.DROPPED})
    assert (gone.purpose, gone.drop) == (MONITORING, DropReason.CONSENT_WITHDRAWN)
    assert {compartment for compartment, _ in bench.staging.entries()} == {other}
    clip = arrived(bench)
    assert (clip.provenance["purpose"], shown(clip)) == ("safety", {"front"})
