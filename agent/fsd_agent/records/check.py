"""What a checker sees in redacted video, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray


class Sight(IntEnum):
    """What a checker's model may see."""

    PERSON = 1
    VEHICLE = 2
    FACE = 3
    PLATE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """What one model sees in one picture. All arrays have length n."""

    source: str
    """``name@version``."""
    what: NDArray[np.uint8]
    """Values of :class:`Sight`."""
    score: NDArray[np.float32]
    box: NDArray[np.float32]
    """Shape (n, 4): x1, y1, x2, y2 in pixels."""


class Miss(StrEnum):
    """What redaction left open."""

    FACE = "face"
    """A face is seen in pixels that are not painted."""
    HEAD = "head"
    """A person is seen, and where the head is nothing is painted."""
    PLATE = "plate"
    """A licence plate is seen in pixels that are not painted."""
    PLATE_BAND = "plate_band"
    """A vehicle is seen, and where its plate may be nothing is painted."""
    NOT_PAINTED = "not_painted"
    """Redaction itself saw something, and the decoded pixels there are not painted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One miss in one frame."""

    camera: str
    t_ns: int
    miss: Miss
    source: str
    """Who saw it."""
    score: float
    """How sure the source is, 0 to 1, on its own scale."""
    box: tuple[float, float, float, float]
    """What it saw: x1, y1, x2, y2 in pixels."""

    def __str__(self) -> str:
        """For logs and reports."""
        corners = ", ".join(f"{side:.0f}" for side in self.box)
        return f"{self.miss} in {self.camera} at {self.t_ns / 1e9:.3f} s ({corners}), {self.source} {self.score:.2f}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether redacted video may go on."""

    frames: int
    """Looked at."""
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Nothing was found in frames that were looked at."""
        return not self.findings

    @property
    def reason(self) -> str:
        """For people: the surest finding, and how many more there are; empty where it passed."""
        if not self.findings:
            return ""
        more = f" and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
        return f"{max(self.findings, key=lambda one: one.score)}{more}"
