"""The data of a chunk of frames as 64-bit words, each in four forms.

The forms are little-endian, big-endian, and both moved down by one bit. They lie one after the other in a buffer
that every chunk is written into, so a word's place is a sum of three numbers that are known beforehand: form,
frame, and block (which eight bytes of the frame).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_BITS: Final = 64
CHUNK_FRAMES: Final = 4_096
"""More frames at once would leave the processor's cache."""
LITTLE, BIG, MOVED = 0, 1, 2
"""Forms; ``MOVED`` is added to one of the others."""


class Words:
    """A buffer for chunks of frames of ``width`` bytes. Used by one thread.

    ``little_moved`` and ``big_moved`` say whether anybody reads these forms.
    """

    def __init__(self, width: int, *, little_moved: bool, big_moved: bool) -> None:
        self._little_moved, self._big_moved = little_moved, big_moved
        self.blocks = width // 8
        self.stride = CHUNK_FRAMES * self.blocks
        """Words from one form to the next."""
        self.flat = np.zeros(4 * self.stride, np.int64)
        """The word of form f, frame i and block b is at ``f * stride + i * blocks + b``."""
        self._forms = self.flat.view(np.uint64).reshape(4, self.stride)
        self._one = np.uint64(1)
        self.frames = np.arange(0, self.stride, self.blocks)
        """Shape (CHUNK_FRAMES,): where each frame's words begin in a form."""

    def load(self, data: NDArray[np.uint8]) -> None:
        """Take in the data of at most ``CHUNK_FRAMES`` frames."""
        words = np.ascontiguousarray(data).view("<u8").reshape(-1)
        n = words.shape[0]
        little, big, little_moved, big_moved = self._forms
        little[:n] = words
        big[:n] = words.byteswap()
        if self._little_moved:
            np.right_shift(words, self._one, little_moved[:n])
        if self._big_moved:
            np.right_shift(big[:n], self._one, big_moved[:n])


def form_of(words: NDArray[np.uint64], form: int) -> NDArray[np.uint64]:
    """``words``, read little-endian, in one of the four forms."""
    if form & BIG:
        words = words.byteswap()
    return words >> np.uint64(1) if form & MOVED else words
