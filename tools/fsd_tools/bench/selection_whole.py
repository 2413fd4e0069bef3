"""The whole value of a window of JAAD by the default weights: the head's chance beside what else its boxes tell.

Every box is a pedestrian's, nobody said how sure or how far, one looked, and the car's speed is not in the data: so rarity is the
same in all windows with somebody, and motion, uncertainty and disagreement are 0. What is left beside the head is closeness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.worth import DEFAULT_WEIGHTS
from fsd_agent.rules.selection.parts import Seen
from fsd_agent.rules.selection.window import Window
from fsd_agent.rules.selection.worth import values_of
from fsd_firmware.samples import Detections, Kind


def whole_values(windows: Sequence[Window], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each window, by the product's rule; ``chances`` are the head's."""
    return np.array(
        [_value(window, chance) for window, chance in zip(windows, chances.tolist(), strict=True)]
    )


def _value(window: Window, chance: float) -> float:
    seen, span = [Seen(_looks(window), window.size_px[1])], (window.start_ns, window.end_ns)
    (found,) = values_of(seen, None, [span], [chance], [DEFAULT_WEIGHTS])
    return found


def _looks(window: Window) -> Detections:
    count = window.t_ns.shape[0]
    unknown = np.full(count, np.nan, np.float32)
    frame_t_ns, frame = np.unique(window.t_ns, return_inverse=True)
    order = np.argsort(frame, kind="stable")
    return Detections(
        camera="front",
        source="jaad",
        frame_t_ns=frame_t_ns,
        frame=frame[order].astype(np.int32),
        kind=np.full(count, Kind.PEDESTRIAN, np.uint8),
        score=np.ones(count, np.float32),
        box=window.box[order].astype(np.float32),
        distance_m=unknown,
        track_id=window.track[order].astype(np.int32),
        ttc_s=unknown,
    )
