"""The sky as two panoramas, for day and for night: clouds stay where they are when the car turns."""

from __future__ import annotations

import cv2
import numpy as np

from fsd_tools.drive.generate.camera import Camera, Lens
from fsd_tools.drive.generate.light import Light
from fsd_tools.drive.generate.paint import Picture


class Sky:
    """Paints what lies above the horizon."""

    def __init__(self, lens: Lens, seed: int) -> None:
        self._lens = lens
        self._day, self._night = _panoramas(lens, seed)

    def paint(self, picture: Picture, camera: Camera, light: Light) -> None:
        """Fill everything above the horizon."""
        rows = int(min(max(camera.horizon_px + 2, 1), picture.shape[0]))
        height, width = self._day.shape[:2]
        turn = int(camera.heading_rad * self._lens.focal_px)
        x = min(max(width // 2 - self._lens.width // 2 - turn, 0), width - self._lens.width)
        missing = max(rows - height, 0)  # a nose-up car sees past the panorama's edge
        day, night = (
            sky[height - rows + missing :, x : x + self._lens.width] for sky in (self._day, self._night)
        )
        part = picture[missing:rows]
        cv2.addWeighted(day, 1 - light.night, night, light.night, 0, dst=part)
        picture[:missing] = part[0]


def _panoramas(lens: Lens, seed: int) -> tuple[Picture, Picture]:
    """Day and night, their lower edge at the horizon, three pictures wide."""
    rng = np.random.default_rng([seed, 4])
    width, height = lens.width * 3, int(lens.height * 0.6)
    up = np.linspace(1, 0, height)[:, None, None]
    day = np.array([222, 206, 190]) + (np.array([205, 150, 95]) - np.array([222, 206, 190])) * up**0.7
    night = np.array([62, 42, 38]) + (np.array([30, 15, 12]) - np.array([62, 42, 38])) * up**0.5
    noise = np.zeros((height, width), np.float32)
    for cells, weight in ((6, 1.0), (13, 0.5), (29, 0.25)):
        grid = rng.random((cells, cells * 6)).astype(np.float32)
        noise += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    cloud = np.clip((noise / 1.75 - 0.5) * 3.2, 0, 0.85)[..., None]
    day_sky = day * (1 - cloud) + np.array([250, 246, 243]) * cloud
    night_sky = night * (1 - 0.4 * cloud) + np.array([58, 44, 42]) * 0.4 * cloud
    return day_sky.astype(np.uint8), night_sky.astype(np.uint8)
