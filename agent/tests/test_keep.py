"""A clip is cut to its most promising seconds as early as can be, and is then what a shorter window would have been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.test_pipeline import MS, Bench, S, campaign, drive, placed, teller_of, zoned
from fsd_agent.pipeline.keep import Keeper, Outcome, shortened
from fsd_agent.records.campaign import Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.clip import Clip, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.selection_rule import SelectionRule
from fsd_agent.records.worth import Valued, Weights, Worth
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.streams import CATALOGUE, looks, plain, row, stream
from fsd_agent.wire.clip import decode_clip
from fsd_agent.wire.clip_contents import ClipContents
from fsd_agent.wire.staged import assemble
from fsd_firmware.samples import Kind, SensedBatch

PATHS = tuple(entry.path for entry in CATALOGUE.entries)
NEAR = Weights(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
RARE = Weights(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
LONG = CaptureSpec(2 * S, 8 * S, ("front",), ("Vehicle.Speed",))


# What a cut is


def assembled(seed: int, start: int, length: int) -> Clip:
    ring = Ring(CATALOGUE, horizon_ns=1 << 40, max_bytes=1 << 40)
    ring.append(*stream(seed).batch(0, 120))
    clip_row = row(start, start + length, cameras=("front", "rear"), signals=PATHS[:3])
    return assemble([ring.window(start, start + length, clip_row.cameras, PATHS)], clip_row, ())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 20),
    start=st.integers(0, 60),
    length=st.integers(1, 59),
    inner=st.tuples(st.integers(0, 59), st.integers(0, 59)),
)
def test_a_cut_clip_is_what_a_shorter_window_would_have_been(
    seed: int, start: int, length: int, inner: tuple[int, int]
) -> None:
    low, high = sorted(min(one, length) for one in inner)
    cut = shortened(assembled(seed, start, length), start + low, start + high)
    meant = assembled(seed, start + low, high - low)
    assert cut.row == meant.row
    assert plain(cut) == plain(meant)  # type: ignore[arg-type]  # same fields
    assert cut.kept_of == (start, start + length)


def test_the_firings_stay_as_they_were() -> None:
    clip = assembled(1, 10, 50)
    fired = tuple(
        JudgedFiring(f"f{at}", Firing("c", 1, at, ()), at, clip.row.clip_id, None) for at in (12, 30, 58)
    )
    assert shortened(replace(clip, firings=fired), 25, 40).firings == fired


# Whether


def clip_of(*campaigns: str, seconds: int = 10, worth: Worth | None = None, clip_id: str = "0" * 32) -> Clip:
    clip = assembled(0, 0, 1)
    firings = tuple(JudgedFiring(name, Firing(name, 1, S, ()), S, clip_id, None) for name in campaigns)
    known = Worth(0.5, Valued.VALUED, best_ns=4 * S) if worth is None else worth
    changed = replace(clip.row, start_ns=0, end_ns=seconds * S, worth=known, clip_id=clip_id)
    return replace(clip, row=changed, firings=firings)


def keeping(**keep_s: int | None) -> Keeper:
    """Of a set of campaigns by name."""
    rules = {name: None if one is None else one * S for name, one in keep_s.items()}
    campaigns = tuple(campaign(name, selection=SelectionRule(keep_ns=one)) for name, one in rules.items())
    return Keeper(lambda region_id: CampaignSet(region_id, 1, campaigns))


def span_s(clip: Clip) -> tuple[float, float]:
    return clip.row.start_ns / S, clip.row.end_ns / S


@pytest.mark.parametrize(
    ("campaigns", "kept"),
    [
        (("three",), (4, 7)),
        (("five",), (3, 8)),
        (("three", "five"), (3, 8)),
        (("three", "all"), (0, 10)),
        (("three", "gone"), (0, 10)),
        (("twenty",), (0, 10)),
        ((), (0, 10)),
    ],
)
def test_of_several_campaigns_the_one_that_keeps_most_counts(
    campaigns: tuple[str, ...], kept: tuple[float, float]
) -> None:
    keeper = keeping(three=3, five=5, twenty=20, all=None)
    clip = clip_of(*campaigns)
    assert span_s(keeper.kept(clip)) == kept
    if kept == (0, 10):
        assert keeper.kept(clip) is clip


def test_without_a_set_in_force_all_is_kept() -> None:
    clip = clip_of("three")
    assert Keeper(lambda _region_id: None).kept(clip) is clip


@pytest.mark.parametrize("why", [Valued.NOT_YET, Valued.FAILED, Valued.NO_DETECTIONS, Valued.EARLIER])
def test_where_nobody_can_say_what_is_best_nothing_is_cut_and_that_is_counted(why: Valued) -> None:
    keeper = keeping(three=3)
    clip = clip_of("three", worth=Worth(0.0, why))
    assert keeper.kept(clip) is clip
    assert keeper.counted("cn") == {"three": {Outcome.UNDECIDED: 1}}


def test_what_becomes_of_clips_is_counted_once_for_each_campaign_and_region() -> None:
    keeper = keeping(three=3, five=5, all=None)
    for clip in (
        clip_of("three", "five", clip_id="1" * 32),
        clip_of("three", clip_id="2" * 32),
        clip_of("three", clip_id="2" * 32),
        clip_of("three", seconds=3, clip_id="3" * 32),
        clip_of("all", clip_id="4" * 32),
    ):
        keeper.kept(clip)
    assert keeper.counted("cn") == {
        "three": {Outcome.SHORTENED: 2, Outcome.SHORT_ENOUGH: 1},
        "five": {Outcome.SHORTENED: 1},
    }
    assert keeper.counted("eu") == {}


# Through the pipeline


def street(near: Kind = Kind.PEDESTRIAN, *, looked: bool = True) -> Iterator[SensedBatch]:
    """Somebody at 3 s, for whom the campaign fires; something taller from 8.5 to 9.5 s."""

    def boxes(t_ns: int) -> list[tuple[int, float, tuple[float, ...]]]:
        if 3 * S <= t_ns < 3.5 * S:
            return [(int(Kind.PEDESTRIAN), 0.9, (20.0, 20.0, 30.0, 34.0))]
        return [(int(near), 0.9, (20.0, 10.0, 32.0, 50.0))] if 8.5 * S <= t_ns < 9.5 * S else []

    for batch in drive(14, ()):
        start = batch.until_ns - 200 * MS
        seen = looks("front", "firmware", [(t, boxes(t)) for t in range(start, batch.until_ns, 100 * MS)])
        yield replace(batch, detections=(seen,) if looked else ())


def asking(keep_s: int | None = 3, weights: Weights = NEAR, **changes: object) -> Campaign:
    keep_ns = None if keep_s is None else keep_s * S
    rule = SelectionRule(frozenset(), confirm=False, keep_ns=keep_ns)
    return campaign(selection=rule, weights=weights, capture=LONG, cooldown_ns=60 * S, **changes)


def finished(bench: Bench) -> ClipContents:
    while bench.valuing.step():
        pass
    bench.finish()
    (clip_id,) = bench.clips(ClipState.SEALED)
    return decode_clip(bench.opened(clip_id))


def sensed(campaign: Campaign, batches: Iterator[SensedBatch]) -> Bench:
    bench = Bench(batches)
    bench.push(campaign)
    bench.drive()
    return bench


def test_a_long_window_comes_out_as_the_seconds_that_matter() -> None:
    bench = sensed(asking(), street())
    (row,) = bench.journal.clips({ClipState.CAPTURED})
    assert (row.start_ns, row.end_ns) == (1 * S, 11 * S)
    clip = finished(bench)
    assert clip.end_ns - clip.start_ns == 3 * S
    assert clip.start_ns <= 8.5 * S
    assert clip.end_ns >= 9.5 * S
    assert clip.provenance["kept"] == {
        "start_ns": clip.start_ns,
        "end_ns": clip.end_ns,
        "of_start_ns": 1 * S,
        "of_end_ns": 11 * S,
    }
    times = np.array([packet.t_ns for packet in clip.packets])
    assert len(times) == 30
    assert clip.packets[0].keyframe
    for column in (times, clip.signals.t_ns[1:], np.array([frame.t_ns for frame in clip.frames])):
        assert column.size
        assert ((column >= clip.start_ns) & (column < clip.end_ns)).all()
    assert [firing["t_ns"] for firing in clip.firings] == [3 * S], "that it fired is a fact"
    assert teller_of(bench).status(bench.region.route("car-1")).kept == {"walker": {"shortened": 1}}


def test_a_campaign_that_says_nothing_gets_all_of_it() -> None:
    bench = sensed(asking(None), street())
    clip = finished(bench)
    assert (clip.start_ns, clip.end_ns) == (1 * S, 11 * S)
    assert clip.provenance["kept"] is None
    assert teller_of(bench).status(bench.region.route("car-1")).kept == {}


def test_a_longer_span_lies_around_the_best_seconds() -> None:
    three, five = (finished(sensed(asking(keep_s), street())) for keep_s in (3, 5))
    assert five.end_ns - five.start_ns == 5 * S
    assert five.start_ns <= three.start_ns
    assert three.end_ns <= five.end_ns


def test_the_same_seconds_are_kept_after_a_kill_between_valuing_and_sealing() -> None:
    undisturbed = finished(sensed(asking(), street()))
    killed = sensed(asking(), street())
    assert killed.valuing.step()
    again = Bench(
        iter(()),
        keys=killed.keys,
        staging=killed.staging,
        spool=killed.spool,
        journal=killed.journal,
        ledger=killed.ledger,
    )
    again.control.restore(again.region.policy)
    assert not again.valuing.step(), "what is best is known"
    clip = finished(again)
    assert (clip.start_ns, clip.end_ns) == (undisturbed.start_ns, undisturbed.end_ns)
    assert clip.packets == undisturbed.packets


def test_without_a_look_at_the_cameras_nothing_is_cut() -> None:
    bench = sensed(asking(), street())
    (row,) = bench.journal.clips({ClipState.CAPTURED})
    bench.journal.valued({row.clip_id: Worth(0.0, Valued.NO_DETECTIONS)})
    clip = finished(bench)
    assert clip.end_ns - clip.start_ns == 10 * S
    assert teller_of(bench).status(bench.region.route("car-1")).kept == {"walker": {"undecided": 1}}


def test_a_firing_on_persons_is_not_excused_by_cutting_its_moment_away() -> None:
    """Nobody is seen in what is kept; whether the looks are blind or nobody is there, those seconds can't tell."""
    assert finished(sensed(asking(None, RARE), street(Kind.ANIMAL))).end_ns == 11 * S
    bench = sensed(asking(3, RARE), street(Kind.ANIMAL))
    assert bench.valuing.step()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.DROPPED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    assert row.drop is DropReason.REDACTION_FAILED
    assert "fired on persons" in row.drop_detail


def test_a_window_that_reaches_into_a_zone_is_dropped_also_where_that_part_is_cut_away() -> None:
    places = {0: (40.0, 100.0), 5: (31.5, 121.5), 6: (40.0, 100.0)}
    bench = Bench(placed(street(), places), region=zoned(sample_region()))
    bench.push(asking())
    bench.drive()
    assert bench.valuing.step()
    bench.finish()
    (clip_id,) = bench.clips(ClipState.DROPPED)
    row = bench.journal.clip(clip_id)
    assert row is not None
    assert row.drop is DropReason.SENSITIVE_ZONE
