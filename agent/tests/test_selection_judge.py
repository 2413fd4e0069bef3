"""Sampling, then clips, then bytes; days are UTC days."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import Budget
from fsd_agent.records.firing import Firing
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.selection.judge import DAY_NS, day_start_wall_ns, judge, sample_draw
from fsd_agent.testing.campaigns import plain_campaign

WALL_NS = 1_700_000_000_123_456_789
CAMPAIGN = plain_campaign(Program(PROGRAM_VERSION, (Node(Op.SIGNAL_BOOL, (), "Car.On"),)))
FIRING = Firing("c", 1, 5, ())


@pytest.mark.parametrize(
    ("budget", "usage", "expected"),
    [
        (Budget(None, None), (10**6, 10**12), None),
        (Budget(3, None), (2, 0), None),
        (Budget(3, None), (3, 0), DropReason.BUDGET_CLIPS),
        (Budget(0, None), (0, 0), DropReason.BUDGET_CLIPS),
        (Budget(None, 1000), (9, 999), None),
        (Budget(None, 1000), (9, 1000), DropReason.BUDGET_BYTES),
        (Budget(3, 1000), (3, 1000), DropReason.BUDGET_CLIPS),
    ],
)
def test_budget(budget: Budget, usage: tuple[int, int], expected: DropReason | None) -> None:
    assert judge(FIRING, replace(CAMPAIGN, budget=budget), wall_ns=WALL_NS, usage=usage) is expected


def test_sampling_comes_before_budgets_and_is_the_same_for_ever() -> None:
    # Golden: another hash would silently select other clips than the backtest that was agreed on.
    assert sample_draw("c", WALL_NS) == pytest.approx(0.1606327749, abs=1e-9)
    tight = replace(CAMPAIGN, sample_ratio=0.16, budget=Budget(0, 0))
    assert judge(FIRING, tight, wall_ns=WALL_NS, usage=(0, 0)) is DropReason.SAMPLED_OUT
    wide = replace(CAMPAIGN, sample_ratio=0.17)
    assert judge(FIRING, wide, wall_ns=WALL_NS, usage=(0, 0)) is None


def test_sampling_keeps_its_share() -> None:
    half = replace(CAMPAIGN, sample_ratio=0.25)
    kept = sum(judge(FIRING, half, wall_ns=WALL_NS + at, usage=(0, 0)) is None for at in range(4000))
    assert 900 < kept < 1100


@given(st.integers(0, 2**62))
def test_days_begin_at_midnight_utc(wall_ns: int) -> None:
    start = day_start_wall_ns(wall_ns)
    assert start % DAY_NS == 0
    assert start <= wall_ns < start + DAY_NS
