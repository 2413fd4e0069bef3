"""When memory is given back: soon after the start, then now and then."""

from __future__ import annotations

from fsd_agent.pipeline.spare_memory import EVERY_NS, FIRST_NS, SpareMemory
from fsd_agent.testing.clock import ManualClock

S = 1_000_000_000


def test_it_is_given_back_soon_after_the_start_and_then_now_and_then() -> None:
    clock, given = ManualClock(), list[int]()
    begun_ns = clock.monotonic_ns()
    memory = SpareMemory(lambda: given.append(clock.monotonic_ns() - begun_ns), clock)
    for _ in range(200):
        memory.look()
        memory.look()
        clock.advance(S)
    assert given == [at * S for at in (3, 9, 21, 45, 93, 153)]
    assert (FIRST_NS, EVERY_NS) == (3 * S, 60 * S)
