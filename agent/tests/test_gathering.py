from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.adapters.gathering import LEAST_S, MOST_S, Gathering


def paced(gap_s: float, count: int = 40) -> Gathering:
    made = Gathering(8, 0.0)
    for number in range(1, count + 1):
        made.acked(1, 7, number * gap_s)
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
        (0.0001, 8, 0.0),  # a local network
    ],
)
def test_others_are_waited_for_while_the_link_has_work(gap_s: float, in_flight: int, wait_s: float) -> None:
    assert paced(gap_s).wait_s(in_flight) == pytest.approx(wait_s, rel=0.01)


def test_acknowledgements_that_come_together_share_their_gap() -> None:
    one, four = paced(0.01), Gathering(8, 0.0)
    for number in range(1, 41):
        four.acked(4, 4, number * 0.04)
    assert four.wait_s(6) == pytest.approx(one.wait_s(6), rel=0.01)


@pytest.mark.parametrize(("left", "waits"), [(3, True), (2, False), (0, False)])
def test_where_the_link_waited_for_us_nothing_is_left_alone(left: int, waits: bool) -> None:
    made = paced(0.01)
    made.acked(8 - left, left, 1.0)
    assert (made.wait_s(8) > 0) is waits


@pytest.mark.parametrize("window", [1, 2, 3, 8, 16, 64])
@pytest.mark.parametrize("link_s", [0.0, 0.0001, 0.001, 0.005, 0.03, 0.3])
@pytest.mark.parametrize("work_s", [0.0001, 0.001, 0.01])
def test_the_link_never_runs_dry_because_of_a_pause(window: int, link_s: float, work_s: float) -> None:
    """A link that takes so long for each message, and a loop that takes so long to make one: who is slower sets the pace.

    A pause may cost something until the link is known to be the faster one.
    """
    made, now_s, link_free_s, taken, done = Gathering(window, 0.0), 0.0, 0.0, 0, 0
    due: list[float] = []
    count = 40 * window
    while done < count:
        while len(due) < window and taken < count:
            now_s += work_s
            link_free_s = max(link_free_s, now_s) + link_s
            due.append(link_free_s)
            taken += 1
        now_s = max(now_s + made.wait_s(len(due)), due[0])
        came = [one for one in due if one <= now_s]
        due = due[len(came) :]
        done += len(came)
        made.acked(len(came), len(due), now_s)
    alone_s = count * max(work_s, link_s) if window > 1 else count * (work_s + link_s)
    assert now_s <= 1.1 * alone_s + window * (work_s + link_s)


@given(
    st.lists(st.tuples(st.integers(1, 16), st.integers(0, 16), st.floats(0, 100)), max_size=30),
    st.integers(0, 100),
    st.integers(1, 100),
)
def test_no_wait_is_longer_than_the_most_or_too_short_to_be_one(
    came: list[tuple[int, int, float]], in_flight: int, window: int
) -> None:
    made, now_s = Gathering(window, 0.0), 0.0
    for count, left, after_s in came:
        now_s += after_s
        made.acked(count, left, now_s)
    wait_s = made.wait_s(in_flight)
    assert wait_s == 0 or LEAST_S <= wait_s <= MOST_S
    assert in_flight > window // 2 or wait_s == 0
