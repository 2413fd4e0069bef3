"""The same drive again: never the same numbers, for ``fsdctl bench novelty``.

A JAAD drive has no pixels, so that driving it again is its people again, met a little differently: each clip begins up to
:data:`SHIFT` frames earlier or later; the whole pass is a little to the side (a normal error of :data:`SIDE` of the
picture's width) and nearer or farther (:data:`NEARER` of the logarithm of the scale, about the picture's middle); and boxes
are seen as by a detector (:mod:`.selection_worse`: a third of the pictures, a fifth of the boxes lost, edges that shake).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fsd_agent.rules.selection.window import Window
from fsd_tools.bench.selection_worse import worsened
from fsd_tools.drive.import_jaad import Tracks
from fsd_tools.selection.jaad import FRAMES, windows_at

SHIFT: Final = 9
SIDE: Final = 0.02
NEARER: Final = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Driven:
    """One drive's clips: those in which a person's box is; a campaign that looks for persons fires on no other."""

    true: tuple[bool, ...]
    """By clip: whether somebody begins to cross in it."""
    first: tuple[Window, ...]
    """As people drew them."""
    passes: tuple[tuple[Window, ...], ...]
    """The same clips, each time it is driven."""


def driven(tracks: Tracks, drive: int, passes: int, rng: np.random.Generator, harder: float = 1.0) -> Driven:
    """``harder``: by how much more two passes differ than the module says."""
    frames = int(tracks.clips[drive]["frames"])
    whole = windows_at(tracks, drive, range(0, frames - FRAMES + 1, FRAMES))
    clips = [one for one in whole if one.begins_of]
    shift = round(SHIFT * harder)
    again = []
    for _ in range(passes):
        starts = [one.frame + int(rng.integers(-shift, shift + 1)) for one in clips]
        met = windows_at(tracks, drive, [min(max(at, 0), frames - FRAMES) for at in starts])
        side, scale = rng.normal(0, SIDE * harder), float(np.exp(rng.normal(0, NEARER * harder)))
        again.append(tuple(worsened(_aside(one.window, side, scale), rng) for one in met))
    return Driven(tuple(one.is_true for one in clips), tuple(one.window for one in clips), tuple(again))


def _aside(window: Window, side: float, scale: float) -> Window:
    width, height = window.size_px
    middle = np.array([width, height, width, height]) / 2
    moved = (window.box - middle) * scale + middle
    return replace(window, box=moved + np.array([side * width, 0, side * width, 0]))
