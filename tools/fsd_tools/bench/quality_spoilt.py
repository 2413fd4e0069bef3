"""Real pictures spoilt on purpose, the ways a camera's are: a clip's few pictures in, the same number out.

What lies on the lens stays in its place while the world goes by; noise is another in each picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.selection_rule import Fault

Picture = NDArray[np.uint8]
Spoil = Callable[[Sequence[Picture], np.random.Generator], list[Picture]]
MUD: Final = (50.0, 70.0, 80.0)
"""Blue, green, red."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to spoil a clip's pictures."""

    spoil: Spoil
    fault: Fault | None
    """What is to be found; None where the clip must be kept."""


def driven(picture: Picture, count: int) -> list[Picture]:
    """What a camera would see that drives on: the picture, larger and larger about the point ahead."""
    height, width = picture.shape[:2]
    zooms = [1 + 0.08 * at for at in range(count)]
    turns = [cv2.getRotationMatrix2D((width / 2, height * 0.45), 0, zoom) for zoom in zooms]
    return [np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8) for turn in turns]


def _each(change: Callable[[Picture], NDArray[np.generic]]) -> Spoil:
    return lambda pictures, _: [np.asarray(change(one), np.uint8) for one in pictures]


def _dimmed(light: float) -> Spoil:
    def spoil(pictures: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        noisy = (light * one + rng.normal(0, 3, one.shape) for one in pictures)
        return [np.clip(one, 0, 255).astype(np.uint8) for one in noisy]

    return spoil


def _lit(gain: float, lift: float) -> Spoil:
    return _each(lambda one: np.clip(gain * one.astype(np.float32) + lift, 0, 255).astype(np.uint8))


def _frozen(pictures: Sequence[Picture], _: np.random.Generator) -> list[Picture]:
    return [pictures[0]] * len(pictures)


def _dirty(share: float) -> Spoil:
    def spoil(pictures: Sequence[Picture], rng: np.random.Generator) -> list[Picture]:
        height = pictures[0].shape[0]
        mask = _smears(pictures[0].shape[:2], share, rng)[..., None]
        through = (cv2.GaussianBlur(one, (0, 0), height / 12) for one in pictures)
        veils = [0.4 * np.asarray(one, np.float32) + 0.5 * np.array(MUD, np.float32) for one in through]
        return [
            np.clip(one * (1 - mask) + veil * mask, 0, 255).astype(np.uint8)
            for one, veil in zip(pictures, veils, strict=True)
        ]

    return spoil


def _smears(size: tuple[int, int], share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Soft ellipses that cover ``share`` of the picture or a little more, 1 inside."""
    rows, columns = size
    mask = np.zeros(size, np.float32)
    while mask.mean() < share:
        middle = int(rng.integers(columns)), int(rng.integers(rows))
        axes = int(rng.integers(rows // 10, rows // 3)), int(rng.integers(rows // 10, rows // 3))
        cv2.ellipse(mask, middle, axes, float(rng.uniform(0, 180)), 0.0, 360.0, (1.0,), -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), rows / 40), np.float32)


WAYS: Final[Mapping[str, Way]] = {
    "as they are": Way(lambda pictures, _: list(pictures), None),
    "a shaken picture among them": Way(
        lambda pictures, _: [np.asarray(cv2.GaussianBlur(pictures[0], (0, 0), 8), np.uint8), *pictures[1:]],
        None,
    ),
    "dusk, 0.4 of the light": Way(_dimmed(0.4), None),
    "night, 0.15 of the light": Way(_dimmed(0.15), None),
    "out of focus, 4 px": Way(_each(lambda one: cv2.GaussianBlur(one, (0, 0), 4)), Fault.BLURRED),
    "out of focus, 8 px": Way(_each(lambda one: cv2.GaussianBlur(one, (0, 0), 8)), Fault.BLURRED),
    "moved by 31 px": Way(_each(lambda one: cv2.blur(one, (31, 1))), Fault.BLURRED),
    "no light at all": Way(_dimmed(0.0), Fault.BLACK),
    "overexposed three times": Way(_lit(3, 30), Fault.OVEREXPOSED),
    "overexposed five times": Way(_lit(5, 60), Fault.OVEREXPOSED),
    "dirt on three tenths": Way(_dirty(0.3), Fault.DIRTY),
    "dirt on half": Way(_dirty(0.5), Fault.DIRTY),
    "dirt on seven tenths": Way(_dirty(0.7), Fault.DIRTY),
    "one picture again and again": Way(_frozen, Fault.FROZEN),
}
"""By name."""
