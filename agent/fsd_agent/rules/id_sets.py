"""Sets of clip ids, packed as :mod:`fsd_agent.records.clip_ids` has them; none is in a set twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.clip_ids import ID_BYTES


def common(one: bytes, other: bytes) -> bytes:
    """What is in both, sorted."""
    return np.intersect1d(_ids(one), _ids(other), assume_unique=True).tobytes()


def without(ids: bytes, others: bytes) -> bytes:
    """What is not among ``others``, in its order."""
    mine = _ids(ids)
    return mine[~np.isin(mine, _ids(others))].tobytes()


def repeated(ids: bytes) -> bytes:
    """What is there more than once, sorted; here it may be."""
    found, counts = np.unique(_ids(ids), return_counts=True)
    return found[counts > 1].tobytes()


def _ids(packed: bytes) -> NDArray[np.bytes_]:
    """Compared byte by byte: all are of one length, so that zeros at an end change nothing."""
    return np.frombuffer(packed, f"S{ID_BYTES}")
