from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.adapters.gathering import LEAST_S, MOST_S, Gathering


def paced(gap_s: float, count: int = 40) -> Gathering:
    made = Gathering(0.0)
    for number in range(1, count + 1):
        made.acked(1, number * gap_s)
    return made


@pytest.mark.parametrize(
    ("gap_s", "in_flight", "wait_s"),
    [
        (0.026, 8, 0.1),  # 20 Mbit/s: four take longer than anything may wait
        (0.026, 7, 0.078),
        (0.01, 7, 0.03),
        (0.01, 5, 0.01),
        (0.01, 4, 0.0),  # half of the window is left: the link must not run dry
        (0.01, 0, 0.0),
        (0.0001, 7, 0.0),  # a local network
    ],
)
def test_others_are_waited_for_while_the_link_has_work(gap_s: float, in_flight: int, wait_s: float) -> None:
    assert paced(gap_s).wait_s(in_flight, 8) == pytest.approx(wait_s, rel=0.01)


def test_acknowledgements_that_come_together_share_their_gap() -> None:
    one, four = paced(0.01), Gathering(0.0)
    for number in range(1, 41):
        four.acked(4, number * 0.04)
    assert four.wait_s(6, 8) == pytest.approx(one.wait_s(6, 8), rel=0.01)


def test_time_in_which_nothing_was_in_flight_does_not_count() -> None:
    made = paced(0.01)
    made.began(1000.0)
    made.acked(1, 1000.01)
    assert made.wait_s(6, 8) == pytest.approx(paced(0.01).wait_s(6, 8), rel=0.01)


@given(
    st.lists(st.tuples(st.integers(1, 16), st.floats(0, 100)), max_size=30),
    st.integers(0, 100),
    st.integers(1, 100),
)
def test_no_wait_is_longer_than_the_most_or_too_short_to_be_one(
    came: list[tuple[int, float]], in_flight: int, window: int
) -> None:
    made, now_s = Gathering(0.0), 0.0
    for count, after_s in came:
        now_s += after_s
        made.acked(count, now_s)
    wait_s = made.wait_s(in_flight, window)
    assert wait_s == 0 or LEAST_S <= wait_s <= MOST_S
    assert in_flight > window // 2 or wait_s == 0
