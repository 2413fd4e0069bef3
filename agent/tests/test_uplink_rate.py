"""However messages come, no stretch of time carries more than rate, burst and one message."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.uplink.rate import Rate, busy_until

S = 1_000_000_000
RATE = Rate(bytes_per_s=1000, burst_ns=S)


def test_after_a_pause_a_burst_may_go() -> None:
    busy = busy_until(RATE, -(10**18), 500, 10 * S)
    assert busy == 10 * S - S + S // 2
    assert busy_until(RATE, busy, 1500, 10 * S) == 11 * S


def test_a_byte_takes_its_time_and_more_than_none() -> None:
    assert busy_until(Rate(3, 0), 0, 1, 0) == 333_333_334
    assert busy_until(RATE, 5 * S, 1, 0) == 5 * S + S // 1000
    assert busy_until(RATE, 5 * S, 0, 0) == 5 * S


@given(
    st.integers(1, 10**6),
    st.integers(0, 3 * S),
    st.lists(st.tuples(st.integers(0, 2 * S), st.integers(0, 70_000)), max_size=60),
)
def test_no_stretch_carries_more_than_its_share(
    bytes_per_s: int, burst_ns: int, coming: list[tuple[int, int]]
) -> None:
    rate, busy_ns, now_ns = Rate(bytes_per_s, burst_ns), -(10**18), 0
    went: list[tuple[int, int]] = []
    for pause_ns, size in coming:
        now_ns = max(now_ns + pause_ns, busy_ns)  # It waits until it may
        busy_ns = busy_until(rate, busy_ns, size, now_ns)
        went.append((now_ns, size))
    for first, last in itertools.combinations_with_replacement(range(len(went)), 2):
        span_ns = went[last][0] - went[first][0]
        sizes = [size for _, size in went[first : last + 1]]
        assert sum(sizes[:-1]) * S <= (span_ns + burst_ns) * bytes_per_s


@given(st.integers(1, 10**6), st.lists(st.integers(1, 70_000), min_size=1, max_size=20))
def test_who_is_always_ready_gets_the_whole_rate(bytes_per_s: int, sizes: list[int]) -> None:
    rate, busy_ns, now_ns = Rate(bytes_per_s, 0), 0, 0
    for size in sizes:
        now_ns = max(now_ns, busy_ns)
        busy_ns = busy_until(rate, busy_ns, size, now_ns)
    assert busy_ns <= sum(sizes) * S // bytes_per_s + len(sizes)
