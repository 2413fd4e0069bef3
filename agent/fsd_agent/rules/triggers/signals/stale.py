"""When rows go stale: at exactly ``stale_ns`` after a sample that no other followed by then.

Only what is known can go stale. A sample that arrives at the very instant at which its forerunner would go stale is in
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
NEVER_STALE_NS: Final = 2**62
"""After any time of a sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Lapses:
    """What goes stale in a batch, in order of time. Arrays of length k."""

    t_ns: Times
    row: NDArray[np.int32]
    next_ns: int
    """None of what is known at the end of the batch goes stale before this."""


def lapses(
    t_ns: Times, row: NDArray[np.integer], known: NDArray[np.bool_], stale_ns: Times, until_ns: int
) -> Lapses:
    """Look at samples of rows that go stale, of each row in order of time.

    ``stale_ns`` is that of each sample's row; the samples are those of a batch that ends at ``until_ns``, after what
    was newest before it.
    """
    order = np.argsort(row, kind="stable")
    t_ns, row, known, stale_ns = t_ns[order], row[order], known[order], stale_ns[order]
    last = np.ones(row.shape, np.bool_)
    last[:-1] = row[1:] != row[:-1]
    following = np.full(t_ns.shape, until_ns, np.int64)
    following[:-1] = np.where(last[:-1], until_ns, t_ns[1:])
    ends = t_ns + stale_ns
    ended = known & (ends < following)
    at = np.flatnonzero(ended)
    at = at[np.argsort(ends[at], kind="stable")]
    lives = ends[last & known & ~ended]
    return Lapses(ends[at], row[at].astype(np.int32), int(lives.min(initial=NEVER_STALE_NS)))
