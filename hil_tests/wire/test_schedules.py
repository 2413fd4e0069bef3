"""The short form of ``make residency``: some schedules of faults in a real small internet."""

from __future__ import annotations

import os

import pytest

from hil_tests.wire.explore import explore_in
from hil_tests.wire.moves import Schedule, schedule
from hil_tests.wire.play import shorten
from hil_tests.wire.watch import ON
from hil_tests.wire.world import World

SCHEDULES = int(os.environ.get("FSD_SCHEDULES", "20"))


@pytest.mark.slow
def test_nothing_reaches_another_region_whatever_happens(world: World) -> None:
    report = explore_in(world, range(1, 1 + SCHEDULES), say=print)
    assert report.failures == []
    assert report.schedules == SCHEDULES
    assert report.delivered > SCHEDULES // 4, "a proof over vehicles that deliver nothing would prove nothing"
    homes = {row for _, row, region in report.matrix if row == region}
    assert homes == {"cn", "eu", "us"}
    away = [cell for (_, row, region), cell in report.matrix.items() if region not in row]
    assert sum(cell.packets for cell in away) > 0, "no fault led a vehicle astray"
    assert sum(cell.secret_bytes for cell in away) == 0
    listed = [
        cell for (table, row, region), cell in report.matrix.items() if table == ON and region not in row
    ]
    assert sum(cell.packets for cell in listed) == 0


def test_a_seed_is_a_schedule() -> None:
    assert schedule(7) == schedule(7)
    assert len({schedule(seed) for seed in range(100)}) == 100


def test_a_failing_schedule_is_cut_down_to_what_it_takes() -> None:
    plan = schedule(11)
    wanted = {plan.moves[2], plan.moves[-1]}

    def fails(candidate: Schedule) -> bool:
        return wanted <= set(candidate.moves)

    short = shorten(plan, fails)
    assert set(short.moves) == wanted
    assert len(short.moves) == len(wanted)
