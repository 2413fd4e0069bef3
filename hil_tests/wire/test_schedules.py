"""The short form of ``make residency``: some schedules of faults in a real small internet."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hil_tests.wire import fleet
from hil_tests.wire.agent import AgentProcess
from hil_tests.wire.brokers import Fault, port_of
from hil_tests.wire.explore import explore_in
from hil_tests.wire.moves import CLOCKS_S, Schedule, schedule
from hil_tests.wire.play import play
from hil_tests.wire.shorten import shorten
from hil_tests.wire.watch import OFF, ON, REWRITTEN, Watch
from hil_tests.wire.world import World

SCHEDULES = int(os.environ.get("FSD_SCHEDULES", "20"))


@pytest.mark.slow
def test_nothing_reaches_another_region_whatever_happens(world: World) -> None:
    report = explore_in(world, range(1, 1 + SCHEDULES), say=print)
    assert report.failures == []
    assert report.schedules == SCHEDULES
    assert report.delivered > SCHEDULES // 4, "a proof over vehicles that deliver nothing would prove nothing"
    assert report.told > SCHEDULES // 4, "nor over regions that are told of nothing"
    homes = {row for _, row, region in report.matrix if row == region}
    assert homes == {"cn", "eu", "us"}
    away = [cell for (_, row, region), cell in report.matrix.items() if region not in row]
    assert sum(cell.packets for cell in away) > 0, "no fault led a vehicle astray"
    assert sum(cell.secret_bytes for cell in away) == 0
    listed = [
        cell for (table, row, region), cell in report.matrix.items() if table == ON and region not in row
    ]
    assert sum(cell.packets for cell in listed) == 0


JOURNEY = Schedule(0, egress=False, named=False, moves=(
    ("register", "CN"), ("deliver", 0), ("collect",),
    ("hijack", "net", "cn", "eu", fleet.PORT), ("kill",), ("collect",), ("deliver", 0),
    ("heal",), ("register", "DE"), ("collect",), ("copy", "same name", 0, "eu"),
    ("hijack", "car", "eu", "us", port_of(Fault.OPEN)), ("kill",), ("deliver", 0),
    ("heal",), ("kill",), ("deliver", 0), ("collect",), ("clock", CLOCKS_S[-1]), ("kill",), ("deliver", 0),
))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("egress", [False, True])
def test_the_real_agent_keeps_to_its_region(world: World, city_drive: Path, egress: bool) -> None:
    """Half a minute of one agent's life, in its own process and in real time."""
    watch = Watch(world.car.address, world.memory)
    outcome = play(world, watch, replace(JOURNEY, egress=egress), car=AgentProcess(world, city_drive))
    assert outcome.wrong == [], outcome.log
    assert outcome.delivered > 0
    away = {table: cell for (table, row, region), cell in watch.matrix.items() if region not in row}
    assert all(cell.secret_bytes == 0 for cell in away.values())
    assert set(away) == ({REWRITTEN} if egress else {OFF}), (
        "the network's detour is beyond any list on the car"
    )


def test_a_seed_is_a_schedule() -> None:
    assert schedule(7) == schedule(7)
    assert len({schedule(seed) for seed in range(100)}) == 100


def test_nobody_is_led_to_a_stolen_key() -> None:
    """Not even around two corners: an address on the car that is rewritten again behind it, or a policy's."""
    stolen = [plan for plan in map(schedule, range(2000))
              if any(move[0] == "hijack" and move[-1] == port_of(Fault.SWAPPED) for move in plan.moves)]  # fmt: skip
    assert len(stolen) > 50
    for plan in stolen:
        detours = [move for move in plan.moves if move[0] in ("hijack", "names") or "address" in move]
        assert all(move[2] == move[3] for move in detours), detours


def test_a_failing_schedule_is_cut_down_to_what_it_takes() -> None:
    plan = schedule(11)
    wanted = {plan.moves[2], plan.moves[-1]}

    def fails(candidate: Schedule) -> bool:
        return wanted <= set(candidate.moves)

    short = shorten(plan, fails)
    assert set(short.moves) == wanted
    assert len(short.moves) == len(wanted)
