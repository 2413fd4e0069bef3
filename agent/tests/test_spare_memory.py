"""When memory is given back: soon after the start, then now and then."""

from __future__ import annotations

from fsd_agent.pipeline.spare_memory import EVERY_NS, FIRST_NS, SpareMemory
from fsd_agent.testing.clock import ManualClock


def test_it_is_given_back_soon_after_the_start_and_then_now_and_then() -> None:
    clock, given = ManualClock(), list[int]()
    begun_ns = clock.monotonic_ns()
    memory = SpareMemory(lambda: given.append(clock.monotonic_ns() - begun_ns), clock)
    for to_ns in (
        0,
        FIRST_NS - 1,
        FIRST_NS,
        FIRST_NS + EVERY_NS - 1,
        FIRST_NS + EVERY_NS,
        FIRST_NS + EVERY_NS,
    ):
        clock.advance(begun_ns + to_ns - clock.monotonic_ns())
        memory.look()
    assert given == [FIRST_NS, FIRST_NS + EVERY_NS]
