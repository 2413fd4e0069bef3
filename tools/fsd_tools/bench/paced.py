"""Work as it comes in a car: a little every few milliseconds, with caches that others have filled in between.

A loop that repeats a call finds its code and tables in the first cache. Work that waits for its moment doesn't, and
takes several times as long; only this shows in a car.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def median_at_pace(
    every_s: float, turns: int, contenders: Mapping[str, Sequence[Callable[[], object]]]
) -> dict[str, float]:
    """Median seconds a call of each contender, whose calls are ``every_s`` apart; asleep in between.

    Contenders take turns, each with all its calls. One turn is not counted. The garbage collector rests.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, calls in contenders.items():
            spent = _paced(every_s if turn else 0.0, calls)
            if turn:
                seconds[name] += spent
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def _paced(every_s: float, calls: Sequence[Callable[[], object]]) -> list[float]:
    spent = []
    gc.collect()
    gc.disable()
    try:
        due = time.perf_counter()
        for call in calls:
            due += every_s
            time.sleep(max(due - time.perf_counter(), 0.0))
            begin = time.perf_counter()
            call()
            spent.append(time.perf_counter() - begin)
    finally:
        gc.enable()
    return spent
