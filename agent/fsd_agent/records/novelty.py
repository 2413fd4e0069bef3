"""The code of a clip: a few bytes that are near those of a clip that shows nearly the same, and say little else.

``CODE_BYTES`` signed bytes, made by ``rules/selection/code.py``. Codes are near or far only among themselves: of one campaign,
one maker (:class:`Maker`) and one camera, which is what a :class:`Subject` says. There is no place, time or identity in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fsd_agent.records.reasons import DropReason

CODE_BYTES: Final = 96
"""In a first trial on the learning half 64 lost 4 to 5 % of true clips where 96 lost 1 to 2 %, and all cells as they are no less than 96."""
SENT_MAX: Final = 256
"""Codes that a vehicle remembers of one region and purpose: 30 kB of its journal."""
SKETCH_MAX: Final = 1024
"""Codes of a region's sketch: 130 kB that every vehicle loads once for each change."""
ABOUT_CHARS: Final = 160


class NoveltyMode(StrEnum):
    """How strictly a campaign wants the same left out; a campaign file says it."""

    OFF = "off"
    """Each clip counts, the same again too: what is dangerous is not less so the second time."""
    NORMAL = "normal"
    STRICT = "strict"
    """Also what is similar."""


class Maker(StrEnum):
    """What a code was made of; each has limits of its own."""

    PICTURES = "pictures"
    """Pooled features of a few pictures, by our detector."""
    BOXES = "boxes"
    """What was seen, where and when, and how the car moved."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a code is about: codes of two subjects have nothing in common."""

    campaign_id: str
    maker: Maker
    source: str
    """``name@version`` of the model for pictures, with ``+halves``; the version of the recipe for boxes."""
    camera: str


@dataclass(frozen=True, slots=True, order=True)
class ClipCode:
    """One code. Raises ValueError for one of another length, and for one of zeros alone: it is near nothing."""

    subject: Subject
    values: bytes
    """:data:`CODE_BYTES` of int8."""

    def __post_init__(self) -> None:
        """See the class."""
        if len(self.values) != CODE_BYTES:
            raise ValueError(f"a code of {len(self.values)} bytes, not {CODE_BYTES}")
        if not any(self.values):
            raise ValueError("a code of zeros alone")


@dataclass(frozen=True, slots=True)
class MadeCode:
    """A code, and what it is of but for the campaign."""

    maker: Maker
    source: str
    camera: str
    values: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one clip."""

    drop: DropReason | None = None
    detail: str = ""
    codes: tuple[ClipCode, ...] = ()
    """By each campaign that asks for novelty."""
    told: MadeCode | None = None
    """What may go to the region, inside of the clip."""


@dataclass(frozen=True, slots=True)
class SentCode:
    """A code that a vehicle remembers."""

    code: ClipCode
    clip_id: str
    """Of the clip that waits on board with it; empty once the region has it: then nobody can tell which it was."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a region has enough of."""

    region_id: str
    codes: tuple[ClipCode, ...]
    """In order, none twice."""
