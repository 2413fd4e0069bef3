"""What a clip is worth: its parts, their mean, and what is said where something is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.shipped_head import shipped_head
from fsd_agent.records.worth import DEFAULT_WEIGHTS, WEIGHT_MOST, Part, Valued, Weights, WeightsError
from fsd_agent.rules.selection import parts
from fsd_agent.rules.selection.moving import Speed, change_mps2, hardest, hardness, motion_of
from fsd_agent.rules.selection.parts import RARE, Seen, weighed
from fsd_agent.rules.selection.span import WINDOW_NS
from fsd_agent.rules.selection.window import Motion
from fsd_agent.rules.selection.worth import Looked, worth
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, Kind

S, MS = 1_000_000_000, 1_000_000
HEAD = shipped_head()
BOX = (900.0, 400.0, 980.0, 600.0)
Boxes = Sequence[tuple[int, float, Sequence[float]]]
NONE = Weights(**dict.fromkeys(Part, 0.0) | {"motion": 1.0})  # type: ignore[arg-type] # names of its fields
shares = st.floats(0, 1)
weights_of = st.builds(Weights, *[st.floats(0, WEIGHT_MOST)] * 5, st.floats(0.001, WEIGHT_MOST))


def person(score: float = 1.0, box: Sequence[float] = BOX, kind: Kind = Kind.PEDESTRIAN) -> Boxes:
    return [(int(kind), score, box)]


def seen(frames: Sequence[tuple[int, Boxes]], camera: str = "front", source: str = "firmware") -> Seen:
    return Seen(looks(camera, source, frames), 1000.0)


def at_distance(*metres: float, kind: Kind = Kind.PEDESTRIAN) -> Seen:
    one = seen([(n, person(kind=kind)) for n in range(len(metres))])
    return replace(one, looks=replace(one.looks, distance_m=np.array(metres, np.float32)))


def walker(count: int, toward: float, *, every_ns: int = 100 * MS) -> Looked:
    """Somebody 200 px tall beside the car's line, who begins to walk toward it half way."""
    frames = []
    for n in range(count):
        left = 500 + toward * 200 * max(0, n - count // 2) * every_ns / S
        frames.append((n * every_ns, [(int(Kind.PEDESTRIAN), 0.9, (left, 400.0, left + 80, 600.0))]))
    found = looks("front", "firmware", frames)
    return Looked(found, np.zeros(len(found), np.int64), (1920.0, 1080.0))


def driven(*mps: float, every_ns: int = 250 * MS) -> Speed:
    return Speed(np.arange(len(mps)) * every_ns, np.array(mps))


# The mean


@given(st.dictionaries(st.sampled_from(Part), shares), weights_of)
def test_a_value_is_a_number_from_0_to_1(made: dict[Part, float], weights: Weights) -> None:
    assert 0 <= weighed(made, weights) <= 1


@given(st.dictionaries(st.sampled_from(Part), shares), weights_of, st.sampled_from(Part), shares)
def test_a_value_never_falls_where_a_part_rises(
    made: dict[Part, float], weights: Weights, part: Part, more: float
) -> None:
    risen = made | {part: max(made.get(part, 0.0), more)}
    assert weighed(risen, weights) >= weighed(made, weights) - 1e-12


@given(shares, weights_of)
def test_parts_that_are_alike_are_the_value_whatever_they_weigh(share: float, weights: Weights) -> None:
    assert weighed(dict.fromkeys(Part, share), weights) == pytest.approx(share)


def test_each_part_counts_by_its_own_weight() -> None:
    weights = Weights(1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
    found = [weighed({part: 1.0}, weights) for part in Part]
    assert found == [0.04, 0.08, 0.12, 0.16, 0.2, 0.4]


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"motion": -0.1}, "motion: -0.1: a weight is a number from 0 to 100"),
        ({"closeness": 100.5}, "closeness: 100.5"),
        ({"rarity": math.nan}, "rarity: nan"),
        (dict.fromkeys(Part, 0.0), "every weight is 0"),
    ],
)
def test_weights_that_say_nothing_are_refused(stated: dict[str, Any], told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        Weights(**stated)


# Rarity


def test_two_kinds_together_are_rarer_than_either_and_a_flicker_counts_for_nothing() -> None:
    walks, rides = (
        seen([(n, person(kind=kind)) for n in range(3)]) for kind in (Kind.PEDESTRIAN, Kind.CYCLIST)
    )
    alone = [parts.rarity([one]) for one in (walks, rides)]
    assert alone == pytest.approx([RARE[Kind.PEDESTRIAN], RARE[Kind.CYCLIST]])
    assert parts.rarity([walks, rides]) == pytest.approx(1 - (1 - alone[0]) * (1 - alone[1]))
    flicker = seen([(n, person(kind=Kind.ANIMAL)) for n in range(2)])
    assert parts.rarity([walks, flicker, flicker]) == pytest.approx(alone[0])
    assert parts.rarity([]) == 0
    assert set(RARE) == set(Kind)
    assert all(0 <= rare < 1 for rare in RARE.values())


# Closeness


def test_the_nearest_person_counts_by_distance_or_else_by_height() -> None:
    assert parts.closeness([at_distance(10.0, 30.0), at_distance(20.0)]) == pytest.approx(0.75)
    assert parts.closeness([at_distance(math.nan, 20.0)]) == pytest.approx(0.5)
    assert parts.closeness([at_distance(50.0)]) == 0
    assert parts.closeness([at_distance(5.0, kind=Kind.CAR)]) == 0
    assert parts.closeness([at_distance(20.0, kind=Kind.CYCLIST)]) == pytest.approx(0.5)
    assert parts.closeness([seen([(0, person(box=(0, 100, 50, 400)))])]) == pytest.approx(0.5)
    assert parts.closeness([seen([(0, person(box=(0, 0, 50, 1000)))])]) == 1
    assert parts.closeness([seen([(0, [])])]) == 0
    infinite = (0.0, -math.inf, 1.0, math.inf)
    assert parts.closeness([seen([(0, person(box=infinite)), (1, person(box=(0, 100, 50, 400)))])]) == 0.5


# Uncertainty


def test_a_score_of_one_half_is_the_least_certain() -> None:
    assert parts.uncertainty([seen([(0, person(0.5))])]) == 1
    assert parts.uncertainty([seen([(0, person(1.0)), (1, person(0.75))])]) == pytest.approx(0.25)
    assert parts.uncertainty([seen([(0, person(0.5, kind=Kind.CAR))])]) == 0
    assert parts.uncertainty([seen([(0, person(math.nan)), (1, person(7.0)), (2, person(-1.0))])]) == 0
    assert parts.uncertainty([]) == 0


# Disagreement


def test_two_who_looked_disagree_where_just_one_saw_somebody() -> None:
    always = seen([(n * S // 2, person()) for n in range(4)])
    half = seen([(n * S // 2, person() if n < 2 else []) for n in range(4)], source="nanodet@1")
    never = seen([(n * S // 2, []) for n in range(8)], source="nanodet@1")
    assert parts.disagreement([always, half]) == 0.5
    assert parts.disagreement([always, never]) == 1
    assert parts.disagreement([half, always, never]) == 1
    assert parts.disagreement([always]) == 0
    assert parts.disagreement([]) == 0
    elsewhere = replace(never, looks=replace(never.looks, camera="rear"))
    assert parts.disagreement([always, elsewhere]) == 0, "of two cameras each sees its own"
    later = seen([(9 * S, [])], source="nanodet@1")
    assert parts.disagreement([always, later]) == 0, "they never looked at the same time"


# The car


def test_the_car_moves_as_its_speed_says() -> None:
    assert motion_of(driven(*[0.2] * 5)).tolist() == [Motion.STOPPED] * 5
    assert motion_of(driven(*[6.9] * 5)).tolist() == [Motion.SLOW] * 5
    assert motion_of(driven(*[7.0] * 5)).tolist() == [Motion.FAST] * 5
    assert motion_of(driven(-8.0, -8.0, -8.0, -8.0)).tolist() == [Motion.FAST] * 4
    gains = motion_of(driven(5.0, 5.0, 5.2, 5.4, 5.8)).tolist()
    assert gains == [Motion.SLOW] * 3 + [Motion.GAINING] * 2
    brakes = motion_of(driven(9.0, 9.0, 9.0, 9.0, 8.4)).tolist()
    assert brakes == [Motion.FAST] * 4 + [Motion.SLOWING]
    assert motion_of(driven(9.0, math.nan, 9.0)).tolist() == [Motion.FAST, Motion.UNKNOWN, Motion.FAST]
    assert motion_of(driven(9.0, 200.0, -1e308)).tolist() == [Motion.FAST, Motion.UNKNOWN, Motion.UNKNOWN]
    assert motion_of(driven()).tolist() == []


def test_how_hard_it_braked_is_told_over_a_second() -> None:
    assert change_mps2(driven(10.0, 9.0, 8.0, 7.0, 6.0, 5.0)).tolist() == pytest.approx(
        [0, 0, -4, -4, -4, -4]
    )
    assert hardness(driven(10.0, 9.0, 8.0, 7.0, 6.0)) == pytest.approx(0.8)
    assert hardness(driven(20.0, 10.0, 0.0)) == 1
    assert hardness(driven(7.0, 7.0, 7.0)) == 0
    assert hardness(driven(math.nan)) == 0
    assert hardness(driven()) == 0


# The whole


def test_what_a_clip_is_worth_and_what_of() -> None:
    found = worth([walker(60, 0.8)], driven(*[5.0] * 24), (0, 6 * S), HEAD, [DEFAULT_WEIGHTS])
    made = dict(found.parts)
    assert list(made) == [str(part) for part in Part]
    assert found.why is Valued.VALUED
    assert found.value == pytest.approx(
        weighed({Part(k): v for k, v in made.items()}, DEFAULT_WEIGHTS), abs=1e-5
    )
    stands = worth([walker(60, 0.0)], driven(*[5.0] * 24), (0, 6 * S), HEAD, [DEFAULT_WEIGHTS])
    assert dict(stands.parts)["begins_to_cross"] < made["begins_to_cross"]
    assert stands.value < found.value


def test_a_clip_of_several_campaigns_is_worth_what_it_is_to_the_one_that_values_it_most() -> None:
    def valued(*weights: Weights) -> float:
        return worth([walker(60, 0.8)], driven(9.0, 5.0, 1.0), (0, 6 * S), HEAD, weights).value

    assert valued(NONE) == 1
    assert valued(DEFAULT_WEIGHTS, NONE) == valued(NONE, DEFAULT_WEIGHTS) == 1
    assert valued(DEFAULT_WEIGHTS) < 1


def test_what_is_missing_is_said_and_the_value_is_defined() -> None:
    nobody = Looked(looks("front", "firmware", [(0, []), (S, [])]), np.empty(0, np.int64), (1920.0, 1080.0))
    blind = Looked(looks("front", "firmware", []), np.empty(0, np.int64), (1920.0, 1080.0))
    speed = driven(10.0, 9.0, 8.0, 7.0, 6.0)
    for looked, given_speed, why in (
        ([], speed, Valued.NO_DETECTIONS),
        ([blind], speed, Valued.NO_DETECTIONS),
        ([blind], None, Valued.NO_DETECTIONS),
        ([nobody], None, Valued.NO_MOTION),
        ([nobody], speed, Valued.VALUED),
    ):
        found = worth(looked, given_speed, (0, 6 * S), HEAD, [DEFAULT_WEIGHTS])
        assert found.why is why
        assert dict(found.parts)["begins_to_cross"] == 0
        assert dict(found.parts)["motion"] == (0.8 if given_speed else 0)
    assert worth([walker(60, 0.8)], None, (0, 6 * S), HEAD, [DEFAULT_WEIGHTS]).why is Valued.NO_MOTION


def test_only_pedestrians_are_judged_by_the_head_that_was_learned_of_them() -> None:
    rides = walker(60, 0.8)
    rides = replace(rides, looks=replace(rides.looks, kind=np.full(60, Kind.CYCLIST, np.uint8)))
    assert dict(worth([rides], None, (0, 6 * S), HEAD, [NONE]).parts)["begins_to_cross"] == 0


def test_a_moment_is_found_wherever_in_the_clip_it_is() -> None:
    walks = walker(60, 0.8)
    short = dict(worth([walks], None, (0, 6 * S), HEAD, [NONE]).parts)["begins_to_cross"]
    later = replace(walks, looks=replace(walks.looks, frame_t_ns=walks.looks.frame_t_ns + 20 * S))
    found = dict(worth([later], None, (0, 26 * S), HEAD, [NONE]).parts)["begins_to_cross"]
    assert found >= short - 0.05
    brief = worth([walks], None, (0, 2 * S), HEAD, [NONE])
    assert 0 < dict(brief.parts)["begins_to_cross"] < 1


@st.composite
def streams(draw: st.DrawFn) -> list[Looked]:
    made = []
    for source in draw(st.lists(st.sampled_from(["firmware", "nanodet@1"]), max_size=2, unique=True)):
        numbers = st.floats(width=32)
        box = st.tuples(numbers, numbers, numbers, numbers) | st.just((100.0, 100.0, 180.0, 300.0))
        one = st.tuples(st.sampled_from([int(kind) for kind in Kind]), numbers, box)
        frames = [(n * 300 * MS, draw(st.lists(one, max_size=3))) for n in range(draw(st.integers(0, 14)))]
        found = looks("front", source, frames)
        found = replace(
            found,
            distance_m=np.array(
                draw(st.lists(numbers, min_size=len(found), max_size=len(found))), np.float32
            ),
        )
        track = np.array(
            draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found))), np.int64
        )
        made.append(Looked(found, track, (640.0, 480.0)))
    return made


def shuffled(one: Looked, random: Random) -> Looked:
    """The same boxes of each frame in another order."""
    found = one.looks
    order = sorted(range(len(found)), key=lambda at: (found.frame[at], random.random()))
    columns = {
        name: getattr(found, name)[order]
        for name in ("kind", "score", "box", "distance_m", "track_id", "ttc_s")
    }
    turned: Detections = replace(found, **columns)
    return replace(one, looks=turned, track=one.track[order])


@settings(max_examples=80, deadline=None)
@given(streams(), st.lists(st.floats(), max_size=20), weights_of, st.randoms(use_true_random=False))
def test_whatever_comes_the_value_is_a_number_and_the_order_does_not_matter(
    looked: list[Looked], mps: list[float], weights: Weights, random: Random
) -> None:
    speed = driven(*mps) if mps else None
    found = worth(looked, speed, (0, 4 * S), HEAD, [weights])
    assert 0 <= found.value <= 1
    assert all(0 <= part <= 1 for _, part in found.parts)
    again = worth([shuffled(one, random) for one in reversed(looked)], speed, (0, 4 * S), HEAD, [weights])
    assert again == found


# Which seconds are best


CLOSE = Weights(**dict.fromkeys(Part, 0.0) | {"closeness": 1.0})  # type: ignore[arg-type] # names of its fields
RARE_ONLY = Weights(**dict.fromkeys(Part, 0.0) | {"rarity": 1.0})  # type: ignore[arg-type] # names of its fields


def shown(*at_s: tuple[float, Kind, float], seconds: int = 20) -> Looked:
    """Looks every tenth of a second; for half a second from each moment on somebody of a kind and height."""
    frames: list[tuple[int, Boxes]] = []
    for n in range(seconds * 10):
        there = [(kind, tall) for at, kind, tall in at_s if at <= n / 10 < at + 0.5]
        frames.append(
            (n * 100 * MS, [(int(kind), 0.9, (900.0, 600 - tall, 950.0, 600.0)) for kind, tall in there])
        )
    found = looks("front", "firmware", frames)
    return Looked(found, np.zeros(len(found), np.int64), (1920.0, 1080.0))


def best_of(
    looked: list[Looked], *weights: Weights, speed: Speed | None = None, moments_s: Sequence[float] = ()
) -> tuple[float, float]:
    """Begin and end of the best window of a clip of 20 s, in seconds."""
    found = worth(looked, speed, (0, 20 * S), HEAD, weights, [round(one * S) for one in moments_s])
    assert found.best_ns is not None
    return found.best_ns / S, (found.best_ns + WINDOW_NS) / S


def test_the_best_window_is_that_of_the_campaigns_weights() -> None:
    far_then_near = shown((4, Kind.ANIMAL, 50), (9, Kind.PEDESTRIAN, 60), (15, Kind.PEDESTRIAN, 300))
    near, rare = (best_of([far_then_near], weights) for weights in (CLOSE, RARE_ONLY))
    assert near[0] <= 15 < near[1]
    assert rare[0] <= 4 < rare[1]
    braking = driven(*np.interp(np.arange(80) / 4, [10, 11], [20, 14]))
    hard = best_of([far_then_near], NONE, speed=braking)
    assert hard[0] <= 11 <= hard[1]
    both = best_of([far_then_near], CLOSE, RARE_ONLY)
    assert both == rare, "0.9 of rarity is more than what is near: the campaign that values it most counts"


def test_the_best_window_shows_who_begins_to_cross() -> None:
    walks = walker(60, 0.8)
    later = replace(walks, looks=replace(walks.looks, frame_t_ns=walks.looks.frame_t_ns + 12 * S))
    begin, end = best_of([later], DEFAULT_WEIGHTS, moments_s=[2.0])
    assert begin <= 15 <= end


def test_where_all_is_worth_the_same_the_firing_decides() -> None:
    nobody = shown()
    begin, end = best_of([nobody], DEFAULT_WEIGHTS, moments_s=[11.0])
    assert (begin + end) / 2 == pytest.approx(11.0, abs=0.2)
    assert best_of([nobody], DEFAULT_WEIGHTS, moments_s=[0.1]) == (0, 3)
    assert best_of([nobody], DEFAULT_WEIGHTS)[0] == 0


def test_where_nobody_looked_nobody_can_say_what_is_best() -> None:
    blind = Looked(looks("front", "firmware", []), np.empty(0, np.int64), (1920.0, 1080.0))
    speed = driven(*np.linspace(20, 0, 80))
    for looked in ([], [blind]):
        assert worth(looked, speed, (0, 20 * S), HEAD, [DEFAULT_WEIGHTS]).best_ns is None
    assert worth([shown()], None, (0, S // 4), HEAD, [DEFAULT_WEIGHTS]).best_ns is None, "too short a clip"


def test_how_hard_it_braked_is_told_of_each_window_by_what_came_before_too() -> None:
    speed = driven(10.0, 10.0, 10.0, 10.0, 10.0, 9.0, 8.0, 7.0, 6.0, 6.0, 6.0, 6.0, 6.0)
    spans = [(0, S), (S, 2 * S), (2 * S, 3 * S), (9 * S, 12 * S)]
    assert hardest(speed, spans) == pytest.approx([0, 0.6, 0.8, 0])
    assert max(hardest(speed, spans)) == hardness(speed)
    assert hardest(driven(math.nan), [(0, S)]) == [0]
