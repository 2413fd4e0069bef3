"""How the car moves, by its speed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.selection.speeds import motion_of
from fsd_agent.rules.selection.window import Motion

S = 1_000_000_000


def words(speed: list[float], hz: int = 10) -> list[Motion]:
    t_ns = np.arange(len(speed), dtype=np.int64) * S // hz
    return [Motion(one) for one in motion_of(t_ns, np.array(speed, np.float64)).tolist()]


def test_steady_speeds() -> None:
    for speed, motion in ((0.0, Motion.STOPPED), (0.9, Motion.STOPPED), (1.0, Motion.SLOW), (24.9, Motion.SLOW),
                          (25.0, Motion.FAST), (-30.0, Motion.FAST), (float("nan"), Motion.UNKNOWN)):  # fmt: skip
        assert set(words([speed] * 30)) == {motion}


def test_changes_of_speed() -> None:
    assert set(words([30 + at * 0.3 for at in range(30)])) == {Motion.GAINING}  # 3 km/h a second
    assert set(words([30 + at * 0.27 for at in range(30)])) == {Motion.FAST}
    assert set(words([50 - at * 0.3 for at in range(30)])) == {Motion.SLOWING}
    assert words([5 - at * 0.5 for at in range(11)])[-1] is Motion.STOPPED


def test_of_nothing_nothing() -> None:
    assert motion_of(np.empty(0, np.int64), np.empty(0)).shape == (0,)
    assert words([40.0]) == [Motion.FAST]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_whatever_comes_is_a_motion(speed: list[float]) -> None:
    assert len(words(speed)) == len(speed)
