"""Values as functions of time, from batch to batch: what functions that look back take and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.codes import FAR, Codes, Kind
from fsd_agent.rules.triggers.sliding import Times, changes
from fsd_agent.rules.triggers.values import Value

NEVER: Final[Times] = np.empty(0, np.int64)


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
        unknown. The result has a step where its value changes and nowhere else, at an instant of the argument's or
        between; before its first step it is unknown. To be called, as all arithmetic on values, with numpy's
        floating point errors ignored: they are values here.
        """
        ...

    def next_ns(self) -> int | None:
        """The first instant at which the result may change though nothing arrives; None for never."""
        ...


class Shown:
    """What a node gave last; of what it gives now, only what changes that goes out."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._last = kind.unknown
        self.nothing = Steps(NEVER, kind.decode(NEVER))

    def steps(self, at_ns: Times, codes: Codes) -> Steps:
        """``codes[i]`` from ``at_ns[i]`` on; an instant that is there twice has one code."""
        if not codes.shape[0]:
            return self.nothing
        new = changes(codes, self._last)
        if not new.shape[0]:
            return self.nothing
        self._last = int(codes[new[-1]])
        if new.shape[0] < codes.shape[0]:
            at_ns, codes = at_ns[new], codes[new]
        return Steps(at_ns, self._kind.decode(codes))


def when(t_ns: int) -> int | None:
    """An instant, None for ``FAR``."""
    return None if t_ns == FAR else t_ns
