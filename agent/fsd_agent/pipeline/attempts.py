"""How often a clip was tried, and until when it rests: longer after each time. Nothing of it outlives the agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_NS: Final = 5_000_000_000
MOST_NS: Final = 300_000_000_000


@dataclass(frozen=True, slots=True)
class _Resting:
    attempts: int
    until_ns: int


_FRESH: Final = _Resting(0, 0)


class Attempts:
    """Of clips that failed; all others were tried never. One thread."""

    def __init__(self) -> None:
        self._resting: dict[str, _Resting] = {}

    def __bool__(self) -> bool:
        """Whether any clip is to be tried again."""
        return bool(self._resting)

    def of(self, clip_id: str) -> int:
        """How often it failed."""
        return self._resting.get(clip_id, _FRESH).attempts

    def may(self, clip_id: str, now_ns: int) -> bool:
        """Whether it has rested enough."""
        return self._resting.get(clip_id, _FRESH).until_ns <= now_ns

    def failed(self, clip_id: str, now_ns: int) -> int:
        """It rests and others have their turn; returns how often it failed."""
        attempts = self.of(clip_id)
        until_ns = now_ns + min(MOST_NS, FIRST_NS << min(attempts, 10))
        self._resting[clip_id] = _Resting(attempts + 1, until_ns)
        return attempts + 1

    def ended(self, clip_id: str) -> None:
        """It is tried no more."""
        self._resting.pop(clip_id, None)
