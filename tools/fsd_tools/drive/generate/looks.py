"""What the driving computer reports of each camera, look by look.

A scenario's looks follow from the scene alone, so that they are the same with and without video. The city's follow
from what is drawn, to the pixel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from fsd_firmware.samples import Detections
from fsd_tools.drive.generate.actors import Actor
from fsd_tools.drive.generate.camera import Lens
from fsd_tools.drive.generate.course import inside
from fsd_tools.drive.generate.noise import DetectorNoise, Report, columns
from fsd_tools.drive.generate.truth import TrueBox, true_looks
from fsd_tools.drive.generate.world import World

OTHER_CAMERA = 1_000_003
"""Between the seeds of two cameras' noise."""


class Looks:
    """The looks of all cameras that are not written yet. Times are seconds of the drive until they are taken."""

    def __init__(self, world: World, actors: Sequence[Actor], lenses: dict[str, Lens], start_ns: int) -> None:
        self._world, self._start_ns = world, start_ns
        self._actors = {actor.number: actor for actor in actors}
        self._waiting: dict[str, deque[tuple[int, list[Report]]]] = {name: deque() for name in lenses}
        self._noise = {
            name: DetectorNoise(world.options.seed + OTHER_CAMERA * at, lens.width, lens.height)
            for at, (name, lens) in enumerate(lenses.items())
        }

    def look(self, camera: str, t_ns: int, truth: Sequence[TrueBox]) -> None:
        """One more look, ``t_ns`` into the drive."""
        seen = tuple(one for one in truth if not self._missed(one.actor, camera, t_ns / 1e9))
        reports = self._noise[camera].look(self._start_ns + t_ns, seen, self._world.night(t_ns / 1e9))
        self._waiting[camera].append((self._start_ns + t_ns, reports))

    def all_of(self, camera: str, lens: Lens, times_ns: Sequence[int]) -> None:
        """All looks of a camera, from the scene."""
        t_s = np.array(times_ns, np.float64) / 1e9
        for t_ns, truth in zip(
            times_ns, true_looks(self._world, tuple(self._actors.values()), lens, t_s), strict=True
        ):
            self.look(camera, t_ns, truth)

    def take(self, until_ns: int) -> list[Detections]:
        """The waiting looks before ``until_ns`` of the vehicle's clock, as a drive holds them."""
        taken = []
        for camera, waiting in self._waiting.items():
            looks = []
            while waiting and waiting[0][0] < until_ns:
                looks.append(waiting.popleft())
            if looks:
                taken.append(columns(camera, looks))
        return taken

    def _missed(self, actor: int, camera: str, t_s: float) -> bool:
        spans = self._actors[actor].unseen.get(camera, ()) if actor in self._actors else ()
        return bool(spans) and bool(inside(spans, np.array([t_s]))[0])
