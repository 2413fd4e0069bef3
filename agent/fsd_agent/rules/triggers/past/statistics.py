"""Mean and standard deviation of the samples in a window, from sums that are exact.

Every double is a whole number times a power of two, so sums of samples and of their squares can be kept as whole
numbers of any length: a sample is added when it comes and subtracted when it leaves, and nothing is ever rounded but the
result, once. So the result depends on the samples in the window alone, however many came before, and costs the same
for a window of a second and of a minute.
"""

from __future__ import annotations

from collections import deque
from math import inf, isqrt, nan
from typing import Final

_PLAIN_BITS: Final = 512
_PLAIN: Final = 2.0**512
"""Up to there, what a multiplication in doubles scales is scaled exactly."""
_ROOT_BITS: Final = 128
"""A square has at least so many bits when its root is taken: that is 64 of the root, more than a double holds."""


class Samples:
    """The samples of a window, the oldest first. ``squares`` are needed for their deviation only."""

    __slots__ = ("_bits", "_held", "_minus", "_nan", "_plus", "_scale", "_squares", "_squaring", "_sum")

    def __init__(self, *, squares: bool) -> None:
        self._held: deque[float] = deque()
        self._squaring = squares
        self._bits, self._scale = 0, 1.0
        """Samples are multiples of 2**-bits; grows with the finest, and begins anew when the window is empty."""
        self._sum = 0
        """Of the finite samples, times 2**bits."""
        self._squares = 0
        """Of their squares, times 4**bits."""
        self._nan = self._plus = self._minus = 0
        """How many are no numbers, and how many are infinite."""

    def __len__(self) -> int:
        """Count samples."""
        return len(self._held)

    def append(self, value: float) -> None:
        """One more, the newest."""
        self._held.append(value)
        if value - value != 0:  # NaN and the infinities alone
            self._count_odd(value, 1)
            return
        whole = self._whole(value)
        self._sum += whole
        if self._squaring:
            self._squares += whole * whole

    def drop(self) -> None:
        """The oldest leaves."""
        value = self._held.popleft()
        if value - value != 0:
            self._count_odd(value, -1)
            return
        whole = self._whole(value)
        self._sum -= whole
        if self._squaring:
            self._squares -= whole * whole
        if not self._held:
            self._bits, self._scale = 0, 1.0

    def mean(self) -> float:
        """Of at least one sample. Zero is positive."""
        if self._nan or self._plus or self._minus:
            return nan if self._nan or (self._plus and self._minus) else (inf if self._plus else -inf)
        return self._sum / (len(self._held) << self._bits)

    def deviation(self) -> float:
        """The population standard deviation of at least one sample; exactly 0 where all are equal."""
        if self._nan or self._plus or self._minus:
            return nan
        count = len(self._held)
        square = count * self._squares - self._sum * self._sum
        more = max(0, _ROOT_BITS - square.bit_length() + 1) // 2
        return isqrt(square << 2 * more) / (count << self._bits + more)

    def _whole(self, value: float) -> int:
        """``value`` times 2**bits."""
        if self._bits <= _PLAIN_BITS:
            scaled = value * self._scale  # Exact, as the scale is a power of two, unless it becomes infinite.
            if -_PLAIN < scaled < _PLAIN and scaled == (whole := int(scaled)):
                return whole
        whole, part = value.as_integer_ratio()
        bits = part.bit_length() - 1
        if bits > self._bits:
            self._sum <<= bits - self._bits
            self._squares <<= 2 * (bits - self._bits)
            self._bits = bits
            self._scale = 2.0 ** min(bits, _PLAIN_BITS)
        return whole << self._bits - bits

    def _count_odd(self, value: float, sign: int) -> None:
        if value == inf:
            self._plus += sign
        elif value == -inf:
            self._minus += sign
        else:
            self._nan += sign
