"""Small streams of samples on rows, and what they mean, worked out one sample at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Signals

INF, NAN = float("inf"), float("nan")
CATALOGUE = Catalogue(
    (
        CatalogueEntry("Car.Speed", "double", "", -INF, INF, ""),
        CatalogueEntry("Car.Brake", "double", "", 0.0, 4.0, ""),
        CatalogueEntry("Car.Steer", "double", "", -INF, INF, "", stale_ns=5),
        CatalogueEntry("Car.Gear", "double", "", -1.0, 3.0, "", stale_ns=3),
        CatalogueEntry("Car.On", "bool", "", 0.0, 1.0, ""),
    )
)
LITERALS = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
VALUES = (*LITERALS, -2.0, 0.5, 1.5, 2.0000000000000004, 3.5, 5.0, -0.0, INF, -INF, NAN)

STEPS_NS = (0, 0, 1, 1, 1, 2, 7)
"""Several samples at an instant now and then, and gaps in which rows go stale."""

Sample = tuple[int, int, float]
"""Time, row, value."""
Meant = tuple[int, int, float | None]
"""Time, row, and the value where it is known."""


def timed(steps: Sequence[tuple[int, int, float]]) -> list[Sample]:
    """Samples in order of time from (nanoseconds since the one before, row, value)."""
    t_ns = itertools.accumulate(step for step, _, _ in steps)
    return [(at_ns, row, value) for at_ns, (_, row, value) in zip(t_ns, steps, strict=True)]


def batches(stream: Sequence[Sample], ends: Sequence[int]) -> Iterator[tuple[Signals, int]]:
    """The stream in batches, each with the instant it ends before."""
    for begin, end in itertools.pairwise([-1, *ends]):
        inside = [sample for sample in stream if begin <= sample[0] < end]
        yield (
            Signals(
                np.array([t_ns for t_ns, _, _ in inside], np.int64),
                np.array([row for _, row, _ in inside], np.int32),
                np.array([value for _, _, value in inside], np.float64),
            ),
            end,
        )


def meaning(stream: Sequence[Sample], until_ns: int) -> list[Meant]:
    """What each sample says, and what goes stale before ``until_ns``."""
    found: list[Meant] = []
    for at, (t_ns, row, value) in enumerate(stream):
        entry = CATALOGUE.entries[row]
        known = not (value < entry.minimum or value > entry.maximum)
        found.append((t_ns, row, value if known else None))
        following = next((after_ns for after_ns, other, _ in stream[at + 1 :] if other == row), until_ns)
        ends_ns = t_ns + entry.stale_ns
        if known and entry.stale_ns and ends_ns < following:
            found.append((ends_ns, row, None))
    return sorted(found, key=lambda one: one[0])
