"""Functions that look back, over values as functions of time. Contract first; see :class:`Temporal`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.values import Value


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A value as a function of time: ``value[i]`` from ``t_ns[i]`` on, until the next step."""

    t_ns: NDArray[np.int64]
    """Shape (k,), strictly increasing."""
    value: Value
    """Arrays of length k."""


class Temporal(Protocol):
    """One temporal node's memory, from batch to batch."""

    def follow(self, steps: Steps, until_ns: int) -> Steps:
        """Take up every arrival of the argument before ``until_ns`` (k may be 0); the result's steps up to there.

        Arrivals before the last call's ``until_ns`` have been given then. Before the first arrival the argument is
        unknown. The result has a step wherever its value changes, at an instant of the argument's or between.
        """
        ...

    def next_ns(self) -> int | None:
        """The first instant at which the result may change though nothing arrives; None for never."""
        ...
