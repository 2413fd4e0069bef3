"""The same work on many things, as many at a time as there are cores: for figures of what is found, never of how long it takes.

Each thread has tools of its own, because a model is for one thread at a time. Results come in the order of the things, and
what is drawn at random belongs to the thing (:func:`drawn_for`): so they are the same on one core and on eight.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar

import numpy as np

from fsd_tools.bench.frame import Progress

Tools = TypeVar("Tools")
Thing = TypeVar("Thing")
Found = TypeVar("Found")

MOST: Final = 4
"""Threads: each has models and pictures in memory."""


def threads() -> int:
    """As many as this process may use cores."""
    return min(MOST, len(os.sched_getaffinity(0)))


def drawn_for(*who: int) -> np.random.Generator:
    """Chance that is the same for the same numbers, whatever was drawn before."""
    return np.random.default_rng(who)


def side_by_side(
    tools: Sequence[Tools],
    things: Sequence[Thing],
    work: Callable[[Tools, Thing], Found],
    progress: Progress,
    named: str,
) -> Iterator[Found]:
    """``work`` with one of ``tools`` on each thing, results in order; raises what ``work`` raises."""
    free: SimpleQueue[Tools] = SimpleQueue()
    for one in tools:
        free.put(one)

    def with_tools(thing: Thing) -> Found:
        own = free.get()
        try:
            return work(own, thing)
        finally:
            free.put(own)

    with ThreadPoolExecutor(len(tools)) as pool:
        for at, found in enumerate(pool.map(with_tools, things)):
            progress(f"{named} {at + 1} of {len(things)}")
            yield found
