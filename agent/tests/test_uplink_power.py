"""From one phase to the next, by ignition, window and work."""

from __future__ import annotations

import pytest

from fsd_agent.rules.uplink.power import RESERVE_NS, Phase, phase
from fsd_firmware.surroundings import POWERED, PowerState

ON, DRAINING, ASLEEP = Phase


def off(left_ns: int) -> PowerState:
    return PowerState(ignition_on=False, drain_left_ns=left_ns)


@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("work_left", [False, True])
def test_the_ignition_wakes(before: Phase, work_left: bool) -> None:
    assert phase(POWERED, before, work_left=work_left) is ON


@pytest.mark.parametrize(
    ("before", "left_ns", "work_left", "after"),
    [
        (ON, RESERVE_NS + 1, True, DRAINING),
        (ON, RESERVE_NS, True, ASLEEP),
        (ON, 0, True, ASLEEP),
        (ON, RESERVE_NS + 1, False, ASLEEP),
        (DRAINING, RESERVE_NS + 1, True, DRAINING),
        (DRAINING, RESERVE_NS, True, ASLEEP),
        (DRAINING, 10**12, False, ASLEEP),
        (ASLEEP, 10**12, True, ASLEEP),
        (ASLEEP, 0, False, ASLEEP),
    ],
)
def test_a_window_is_used_once(before: Phase, left_ns: int, work_left: bool, after: Phase) -> None:
    assert phase(off(left_ns), before, work_left=work_left) is after


def test_a_clean_end_fits_into_what_is_kept_back() -> None:
    assert RESERVE_NS == 3_000_000_000


def test_the_words_that_are_told() -> None:
    assert [str(one) for one in Phase] == ["on", "draining", "asleep"]
