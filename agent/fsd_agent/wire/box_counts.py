"""Rectangles per frame as short text: runs of one count, ``<count>x<frames>`` or ``<count>`` for a single one, split by commas.

``3x12,4,0x2`` says 3 in each of twelve, then 4, then twice none. The text has at most :data:`MAX_CHARS` characters, whatever the
clip: where it would be longer, one count stands for two, four, eight ... frames, the most of them.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_CHARS: Final = 512
"""A sealed file's manifest has room for sixteen cameras of this."""
_TEXT: Final = re.compile(r"(?:\d{1,9}(?:x\d{1,9})?(?:,\d{1,9}(?:x\d{1,9})?)*)?")
_MAX_FRAMES: Final = 10_000_000
"""More is no clip: three days at 30 a second."""


class BoxCountError(ValueError):
    """This is no such text."""


def encode_counts(counts: NDArray[np.int64]) -> tuple[int, str]:
    """(frames that one count stands for, text) of the counts of each frame, (f,)."""
    every = 1
    while len(text := _runs(counts)) > MAX_CHARS:
        every *= 2
        even = np.pad(counts, (0, counts.size % 2))
        counts = np.maximum(even[::2], even[1::2])
    return every, text


def decode_counts(text: str) -> NDArray[np.int64]:
    """The counts, one for each ``every`` frames. Raises :class:`BoxCountError`."""
    if not _TEXT.fullmatch(text):
        raise BoxCountError(f"{text[:40]!r} is no list of runs")
    runs = [part.partition("x") for part in text.split(",") if part]
    lengths = [int(frames) if x else 1 for _, x, frames in runs]
    if sum(lengths) > _MAX_FRAMES:
        raise BoxCountError(f"{sum(lengths)} frames, at most {_MAX_FRAMES}")
    return np.repeat(np.array([int(count) for count, _, _ in runs], np.int64), np.array(lengths, np.int64))


def _runs(counts: NDArray[np.int64]) -> str:
    runs = ((count, sum(1 for _ in same)) for count, same in groupby(counts))
    return ",".join(f"{count}x{frames}" if frames > 1 else str(count) for count, frames in runs)
