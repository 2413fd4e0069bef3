"""Learn the head that values a clip in which somebody begins to cross: ``python -m fsd_tools.selection.train``.

From the learning half of the JAAD drives (MIT), windows of 3 s every half second, each track of a window one example: is it the one
that begins to cross? Who crosses at any moment of it, begun there or before, counts as :data:`CROSSING` others: telling a crossing
that begins from one that is under way is what the head is worst at. The same data give the same file on one machine, and the same to rounding on another.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.tracks import FEATURES, SOURCE, track_features
from fsd_agent.rules.selection.window import paths
from fsd_agent.wire.value_head import encode_value_head
from fsd_tools.data import data_dir
from fsd_tools.drive.import_jaad import FPS, load_tracks
from fsd_tools.selection.curves import Curves, learn
from fsd_tools.selection.head_file import SHIPPED, HeadFile, write_head_file
from fsd_tools.selection.jaad import Labelled, drives_of_half, windows_every

STEP: Final = FPS // 2
"""Frames: how far the windows begin that are learned from."""
CROSSING: Final = 2.0
DIGITS: Final = 6
"""Of knots and values in the file: a thousand times finer than a head's steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Tracks of windows; n of them."""

    features: NDArray[np.float64]
    """Shape (n, k)."""
    wanted: NDArray[np.bool_]
    crosses: NDArray[np.bool_]
    """Shape (n,): who crosses, begun there or before. It says what an example counts for in learning, and reaches no score."""
    window: NDArray[np.int64]
    """Index of the window."""

    def among(self, rows: NDArray[np.bool_]) -> Examples:
        """Those alone; ``rows`` has shape (n,)."""
        return Examples(self.features[rows], self.wanted[rows], self.crosses[rows], self.window[rows])


def examples_of(windows: Sequence[Labelled]) -> Examples:
    """All tracks of all windows, in order."""
    features, wanted, crosses, window = [np.empty((0, len(FEATURES)))], [], [], []
    for at, one in enumerate(windows):
        found = paths(one.window)
        features.append(track_features(one.window))
        wanted += [one.begins_of[path.track] for path in found]
        crosses += [one.crosses_of[path.track] for path in found]
        window += [at] * len(found)
    return Examples(
        np.concatenate(features), np.array(wanted, bool), np.array(crosses, bool), np.array(window, np.int64)
    )


def learn_from(examples: Examples) -> Curves:
    """With what was chosen on the learning half."""
    counts = np.where(examples.crosses, CROSSING, 1.0)
    return learn(examples.features, examples.wanted, FEATURES, counts=counts)


def as_file(curves: Curves) -> HeadFile:
    """The file that ships."""
    rounded = tuple(
        type(one)(
            one.feature,
            tuple(round(knot, DIGITS) for knot in one.knots),
            tuple(round(value, DIGITS) for value in one.values),
        )
        for one in curves.curves
    )
    return HeadFile(
        name="begins_to_cross-2",
        source=SOURCE,
        learned_from="JAAD 2.0 annotations (boxes, tracks, vehicle actions, crossing), half of 173 drives",
        licence="MIT",
        base=round(curves.base, DIGITS),
        curves=rounded,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tracks", type=Path, default=data_dir() / "jaad" / "tracks_dev.npz")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--vehicle", type=Path, help="also write the head as the agent ships it")
    chosen = parser.parse_args(argv)
    tracks = load_tracks(chosen.tracks)
    examples = examples_of(windows_every(tracks, drives_of_half(tracks, learning=True), STEP))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    learned = as_file(learn_from(examples))
    write_head_file(chosen.output, learned)
    if chosen.vehicle is not None:
        chosen.vehicle.write_bytes(encode_value_head(learned.as_head()))
    print(
        f"{chosen.output}: learned from {len(examples.wanted)} tracks, {int(examples.wanted.sum())} of which begin"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
