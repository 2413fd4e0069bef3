"""The record of a clip's redaction: what was removed, by what, from which looks. It travels in the clip and its signed manifest.

Records of the first version have no :attr:`RedactionRecord.models` and what follows; whoever reads one sees the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_VERSION, VERSION = 1, 2


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """From which scores a source's boxes counted."""

    shows: str
    """``head``, ``plate`` or ``rider``."""
    alone: float
    confirmed: float
    """Where another model saw the same; equal to ``alone`` for a source that no other can confirm."""


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One who looked at the video before it was painted."""

    source: str
    """``firmware``, ``nanodet-m-416@2022.11``."""
    digest: str
    """SHA-256 of the package's manifest, which names its weights by theirs; empty for what is no package of ours."""
    looks: int
    """Frames, over all cameras."""
    scores: tuple[ScoreRecord, ...]


@dataclass(frozen=True, slots=True)
class CameraRecord:
    """What was filled in one camera's video."""

    camera: str
    width: int
    height: int
    frames: int
    filled_share: float
    """Of the pixels of all its frames, overlapping rectangles counted once."""
    counted_every: int
    """Frames that one count of ``counts`` stands for: 1, or more in long clips."""
    counts: str
    """Rectangles of each frame, the most of ``counted_every`` frames, as ``wire.box_counts`` writes them."""


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """How the redacted video was looked at again, by other models, before it was sealed."""

    sources: tuple[str, ...]
    digests: tuple[str, ...]
    frames: int
    """That were decoded again and looked at."""
    again: str
    """Why the clip was redacted a second time with strict rules; empty where the first time passed."""


@dataclass(frozen=True, slots=True)
class RedactionRecord:
    """What was removed, by what, and what was looked at; it travels in the clip and its manifest."""

    rules: tuple[str, ...]
    """The region's rules that were applied, e.g. ``faces=head_zone``."""
    sources: tuple[str, ...]
    """Who looked: ``firmware``, ``nanodet_m_416@1``."""
    frames: int
    boxes: int
    """Rectangles filled, counted per frame."""
    filled_share: float
    """Of all pixels of all frames, 0 to 1; overlapping rectangles counted once."""
    location: str
    """What was done to positions: ``dropped``, ``coarse:<degrees>`` or ``kept``."""
    version: int = FIRST_VERSION
    models: tuple[SourceRecord, ...] = ()
    """Every one of ``sources``, in their order."""
    cameras: tuple[CameraRecord, ...] = ()
    check: CheckRecord | None = None
    """None where nobody looked again."""
    looked_again: int = 0
    """Frames that the models looked at a second time before painting, because their stretch may have hidden somebody."""
    utc_offset_h: int | None = None
    """The nautical time zone in which the clip was made (``rules.privacy.location``), kept whatever was done to positions; None
    where no position was known, where a region may have nothing of it, and in records of before it."""
