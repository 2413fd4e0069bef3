"""Novelty: the same is never new, the order of rows does not matter, what is remembered is bounded."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fsd_agent.records.novelty import (
    CODE_BYTES,
    SENT_MAX,
    ClipCode,
    Maker,
    NoveltyMode,
    SentCode,
    Sketch,
    Subject,
)
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.selection.code import BOXES_LEAST, boxes_code, pictures_code, to_code
from fsd_agent.rules.selection.novelty import LIMITS, distances, judge_novelty, remember
from fsd_agent.rules.selection.window import Motion, Window
from fsd_firmware.samples import Kind

S = 1_000_000_000
ABOUT = Subject("crossing", Maker.BOXES, "boxes@1", "front")
MODES = (NoveltyMode.NORMAL, NoveltyMode.STRICT)
Row = tuple[float, int, tuple[float, float, float, float], Kind]


def window(rows: list[Row], motion: int = Motion.FAST) -> tuple[Window, NDArray[np.uint8]]:
    """Rows of seconds, track, box and kind."""
    made = Window(
        0,
        3 * S,
        (1920.0, 1080.0),
        np.array([round(t * S) for t, _, _, _ in rows], np.int64),
        np.array([track for _, track, _, _ in rows], np.int64),
        np.array([box for _, _, box, _ in rows], np.float64).reshape(-1, 4),
        np.zeros(1, np.int64),
        np.array([motion], np.uint8),
    )
    return made, np.array([kind for _, _, _, kind in rows], np.uint8)


def walker(
    start_px: float, px_a_s: float, *, tall: float = 200, hz: int = 10, kind: Kind = Kind.PEDESTRIAN
) -> list[Row]:
    """Somebody who goes to the right."""
    made: list[Row] = []
    for at in range(3 * hz):
        x = start_px + px_a_s * at / hz
        made.append((at / hz, 1, (x, 500.0, x + 80, 500 + tall), kind))
    return made


def boxes(rows: list[Row], motion: int = Motion.FAST, about: Subject = ABOUT) -> ClipCode:
    values = boxes_code(*window(rows, motion))
    assert values is not None
    return ClipCode(about, values)


def coded(values: bytes, about: Subject = ABOUT) -> ClipCode:
    return ClipCode(about, values)


def towards(*parts: int) -> bytes:
    """A code with these first numbers and zeros behind."""
    return np.array([*parts, *[0] * (CODE_BYTES - len(parts))], np.int8).tobytes()


def apart(one: ClipCode, other: ClipCode) -> float:
    return float(distances([one], [other])[0, 0])


rows_ = st.lists(
    st.tuples(
        st.integers(0, 89).map(lambda frame: frame / 30),
        st.integers(0, 3),
        st.tuples(st.integers(0, 900), st.integers(0, 500), st.integers(1, 900), st.integers(1, 500)).map(
            lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
        ),
        st.sampled_from([*Kind]),
    ),
    min_size=BOXES_LEAST,
    max_size=50,
)
broken = st.tuples(
    st.floats(-1, 4),
    st.integers(-(2**40), 2**40),
    st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
    st.sampled_from([*Kind]),
)
codes = st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES).filter(any).map(coded)


# ---- codes


@settings(max_examples=60)
@given(rows_, st.randoms(use_true_random=False), st.sampled_from([*Motion]))
def test_neither_the_order_of_rows_nor_the_names_of_tracks_matter(
    rows: list[Row], random: Random, motion: int
) -> None:
    shuffled = [(t, random.randrange(9), box, kind) for t, _, box, kind in rows]
    random.shuffle(shuffled)
    assert boxes_code(*window(rows, motion)) == boxes_code(*window(shuffled, motion))


@given(st.lists(broken, max_size=30), rows_)
def test_what_is_no_box_changes_nothing_and_breaks_nothing(bad: list[Row], rows: list[Row]) -> None:
    def is_sound(row: Row) -> bool:
        x1, y1, x2, y2 = row[2]
        return all(map(math.isfinite, row[2])) and x2 > x1 and y2 > y1

    bad = [row for row in bad if not is_sound(row)]
    assert boxes_code(*window(bad)) is None
    assert boxes_code(*window(bad + rows)) == boxes_code(*window(rows))


def test_nothing_is_made_of_too_little() -> None:
    rows = walker(500, 100)
    assert boxes_code(*window(rows[: BOXES_LEAST - 1])) is None
    assert boxes_code(*window(rows[:BOXES_LEAST])) is not None
    assert pictures_code(np.empty((0, 464), np.float32)) is None
    assert pictures_code(np.zeros((2, 464), np.float32)) is None
    assert pictures_code(np.array([[1.0, np.nan]], np.float32)) is None
    assert to_code(np.zeros(7)) is None


def test_rates_of_looking_do_not_matter_much_but_what_is_seen_does() -> None:
    fast, slow = boxes(walker(500, 200, hz=30)), boxes(walker(500, 200, hz=5))
    assert apart(fast, slow) < 0.5 * LIMITS[Maker.BOXES, NoveltyMode.NORMAL]
    strict = LIMITS[Maker.BOXES, NoveltyMode.STRICT]
    for other in (
        boxes(walker(1300, -200)),  # the other way
        boxes(walker(100, 50, tall=60)),  # far away
        boxes(walker(500, 200, kind=Kind.CYCLIST)),
        boxes(walker(500, 200, kind=Kind.CAR)),
        boxes(walker(500, 200, kind=Kind.ANIMAL)),
    ):
        assert apart(fast, other) > strict


def test_how_the_car_moves_counts_and_unknown_is_none_of_it() -> None:
    rows = walker(500, 200)
    moving, stands = boxes(rows), boxes(rows, Motion.STOPPED)
    unknown = boxes(rows, Motion.UNKNOWN)
    assert apart(moving, stands) > LIMITS[Maker.BOXES, NoveltyMode.STRICT]
    assert 0 < apart(moving, unknown) < apart(moving, stands)


@given(st.integers(0, 999), st.integers(1, 5))
def test_pictures_in_any_order_and_brightness_by_one_factor_make_the_same_code(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 3, (count, 464)).astype(np.float32)
    code = pictures_code(features)
    assert code is not None
    assert code == pictures_code(features[rng.permutation(count)])
    assert code == pictures_code(features * np.float32(2))


def test_the_matrix_of_signs_is_the_same_for_everybody() -> None:
    values = to_code(np.arange(1.0, 12.0))
    assert values is not None
    assert len(values) == CODE_BYTES
    assert max(abs(int(one)) for one in np.frombuffer(values, np.int8)) == 127
    assert np.frombuffer(values, np.int8)[:6].tolist() == [-59, -85, 89, 42, 85, 0]


@given(st.integers(0, 99))
def test_codes_keep_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = np.abs(rng.normal(size=480))
    other = one + rng.normal(size=480) * 0.4
    true = float(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))
    made = [to_code(vector) for vector in (one, other)]
    assert made[0] is not None
    assert made[1] is not None
    found = apart(coded(made[0]), coded(made[1]))
    assert 0.6 * true < found < 1.4 * true


def test_a_code_of_another_length_or_of_zeros_is_none() -> None:
    with pytest.raises(ValueError, match="95 bytes, not 96"):
        coded(bytes([1]) * 95)
    with pytest.raises(ValueError, match="zeros alone"):
        coded(bytes(96))


# ---- distances


@given(st.lists(codes, min_size=1, max_size=6))
def test_distance_is_nothing_to_itself_and_the_same_both_ways(some: list[ClipCode]) -> None:
    found = distances(some, some)
    assert (found >= 0).all()
    assert (found <= 2).all()
    assert (found == found.T).all()
    assert (np.diag(found) < 1e-6).all()


def test_distances_are_those_of_unit_vectors() -> None:
    right, up, left = coded(towards(100)), coded(towards(0, 7)), coded(towards(-100))
    assert distances([right], [right, up, left])[0].tolist() == pytest.approx([0, math.sqrt(2), 2])


# ---- verdicts


@given(codes, st.lists(codes, max_size=10), st.sampled_from(MODES))
def test_the_same_clip_twice_is_never_new(code: ClipCode, others: list[ClipCode], mode: NoveltyMode) -> None:
    sent: tuple[SentCode, ...] = ()
    for one in others:
        sent = remember(sent, SentCode(one, ""), 4)
    sent = remember(sent, SentCode(code, "a"), 4)
    verdict = judge_novelty(code, sent, None, mode)
    assert verdict.drop is DropReason.ALREADY_SENT
    assert verdict.distance < 1e-6
    in_region = judge_novelty(code, (), Sketch("cn", (*others, code)), mode)
    assert in_region.drop is DropReason.REGION_HAS_ENOUGH


@given(codes, st.lists(codes, max_size=6), st.sampled_from(MODES))
def test_who_drops_is_within_the_limit_and_who_keeps_is_not(
    code: ClipCode, sent: list[ClipCode], mode: NoveltyMode
) -> None:
    verdict = judge_novelty(code, [SentCode(one, "") for one in sent], None, mode)
    nearest = min((apart(code, one) for one in sent), default=math.inf)
    assert verdict.distance == pytest.approx(nearest)
    assert (verdict.drop is not None) == (nearest <= LIMITS[Maker.BOXES, mode])


@given(codes)
def test_off_finds_everything_new(code: ClipCode) -> None:
    verdict = judge_novelty(code, [SentCode(code, "")], Sketch("cn", (code,)), NoveltyMode.OFF)
    assert verdict.drop is None


@pytest.mark.parametrize(
    "other",
    [
        replace(ABOUT, campaign_id="overtaking"),
        replace(ABOUT, maker=Maker.PICTURES),
        replace(ABOUT, source="boxes@2"),
        replace(ABOUT, camera="rear"),
    ],
)
def test_codes_of_another_subject_do_not_count(other: Subject) -> None:
    ours, theirs = coded(towards(9)), coded(towards(9), other)
    verdict = judge_novelty(ours, [SentCode(theirs, "")], Sketch("cn", (theirs,)), NoveltyMode.STRICT)
    assert verdict.drop is None
    assert verdict.distance == math.inf


def test_what_this_vehicle_sent_is_said_before_what_the_region_has() -> None:
    code, near = coded(towards(100)), coded(towards(100, 30))
    both = judge_novelty(code, [SentCode(near, "a")], Sketch("cn", (code,)), NoveltyMode.NORMAL)
    assert both.drop is DropReason.ALREADY_SENT
    assert both.distance == pytest.approx(apart(code, near))
    far = coded(towards(0, 100))
    region = judge_novelty(code, [SentCode(far, "a")], Sketch("cn", (near,)), NoveltyMode.NORMAL)
    assert region.drop is DropReason.REGION_HAS_ENOUGH
    new = judge_novelty(code, [SentCode(far, "a")], Sketch("cn", (coded(towards(-100)),)), NoveltyMode.NORMAL)
    assert new.drop is None
    assert new.distance == pytest.approx(math.sqrt(2))


def test_strict_leaves_out_more_than_normal() -> None:
    for maker in Maker:
        assert LIMITS[maker, NoveltyMode.NORMAL] < LIMITS[maker, NoveltyMode.STRICT] < 1


# ---- what is remembered


@given(st.lists(codes, max_size=20), st.integers(1, 6))
def test_what_is_remembered_is_bounded_and_the_newest_is_in_it(some: list[ClipCode], most: int) -> None:
    sent: tuple[SentCode, ...] = ()
    for at, code in enumerate(some):
        before, sent = sent, remember(sent, SentCode(code, str(at)), most)
        assert len(sent) == min(most, at + 1)
        assert sent[-1].code == code
        # Oldest first, and nothing comes back.
        assert [int(one.clip_id) for one in sent] == sorted(int(one.clip_id) for one in sent)
        assert set(sent) - {sent[-1]} <= set(before)


def test_the_older_of_the_nearest_two_goes() -> None:
    lone, first, second, new = (
        SentCode(coded(towards(*parts)), name)
        for name, parts in {"lone": (0, 0, 9), "first": (99, 1), "second": (99, 2), "new": (-9,)}.items()
    )
    assert remember((lone, first, second), new, 3) == (lone, second, new)


def test_nearest_is_asked_within_a_subject_and_without_a_pair_the_oldest_goes() -> None:
    about = [replace(ABOUT, campaign_id=name) for name in "abcd"]
    sent = tuple(SentCode(coded(towards(9), one), one.campaign_id) for one in about)
    assert remember(sent[:3], sent[3], 3) == sent[1:]
    far = SentCode(coded(towards(-9), about[2]), "far")
    assert remember(sent[:3], far, 3) == (*sent[:2], far)


def test_most_is_what_the_records_say() -> None:
    rng = np.random.default_rng(1)
    sent: tuple[SentCode, ...] = ()
    for at in range(SENT_MAX + 3):
        sent = remember(sent, SentCode(coded(rng.bytes(CODE_BYTES)), str(at)))
    assert len(sent) == SENT_MAX
    assert sent[-1].clip_id == str(SENT_MAX + 2)
