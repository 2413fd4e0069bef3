"""Boxes as a detector would give them: fewer pictures, looks that are missing, edges that shake.

Of JAAD's boxes, which people drew in every frame: one picture in three stays (10 a second), of its boxes a fifth is lost by
chance, and each edge of the others moves by a normal error of :data:`SHAKES` of the box's height. The tracks stay whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from fsd_agent.rules.selection.window import Window
from fsd_tools.drive.import_jaad import FPS

EVERY: Final = 3
LOST: Final = 0.2
SHAKES: Final = 0.03


def worsened(window: Window, rng: np.random.Generator) -> Window:
    """The same window, seen so."""
    picture = np.rint((window.t_ns - window.start_ns) * (FPS / 1e9)).astype(np.int64)
    stays = (picture % EVERY == 0) & (rng.uniform(size=picture.shape[0]) >= LOST)
    box = window.box[stays]
    height = (box[:, 3] - box[:, 1])[:, None]
    shaken = box + rng.normal(0, SHAKES, box.shape) * height
    return replace(window, t_ns=window.t_ns[stays], track=window.track[stays], box=shaken)
