"""Cuts a failing schedule down to what it takes."""

from __future__ import annotations

from collections.abc import Callable

from hil_tests.wire.moves import Schedule


def shorten(plan: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """The shortest part of a failing schedule that still fails, found by leaving out more and more (ddmin)."""
    count = max(1, len(plan.moves) // 2)
    while count:
        at, shortened = 0, False
        while at < len(plan.moves):
            shorter = plan.without(at, count)
            if fails(shorter):
                plan, shortened = shorter, True
            else:
                at += count
        if not shortened or count > 1:
            count = count // 2 if count > 1 else 0
    return plan
