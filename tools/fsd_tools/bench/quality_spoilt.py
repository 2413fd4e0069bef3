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
MUD: Final = (50.0, 70.0, 80.0)
"""Blue, green, red."""
NOISE: Final = 3.0
"""Levels, standard deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """A clip's few pictures, and what is slow to make and needed by several ways."""

    pictures: Sequence[Picture]
    muddy: Sequence[Picture]
    """What they would show through mud."""
    noise: Sequence[NDArray[np.int8]]
    """Of a sensor in the dark, in levels: another one in each picture."""


Spoil = Callable[[Shots, np.random.Generator], list[Picture]]


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


def shots(pictures: Sequence[Picture], rng: np.random.Generator) -> Shots:
    """Ready to be spoilt in every way."""
    noise = [np.rint(NOISE * rng.standard_normal(one.shape, np.float32)).astype(np.int8) for one in pictures]
    return Shots(pictures, [_through_mud(one) for one in pictures], noise)


def _through_mud(picture: Picture) -> Picture:
    """Blurred by a twelfth of the height, at a quarter of the size: what is so soft loses nothing by it."""
    height, width = picture.shape[:2]
    quarter = cv2.resize(picture, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(cv2.GaussianBlur(quarter, (0, 0), height / 48), (width, height))
    veil = 0.4 * np.asarray(soft, np.float32) + 0.5 * np.array(MUD, np.float32)
    return np.rint(veil).astype(np.uint8)


def _each(change: Callable[[Picture], NDArray[np.generic]]) -> Spoil:
    return lambda clip, _: [np.asarray(change(one), np.uint8) for one in clip.pictures]


def _dimmed(light: float) -> Spoil:
    def spoil(clip: Shots, _: np.random.Generator) -> list[Picture]:
        both = zip(clip.pictures, clip.noise, strict=True)
        return [np.clip(np.float32(light) * one + noise, 0, 255).astype(np.uint8) for one, noise in both]

    return spoil


def _lit(gain: float, lift: float) -> Spoil:
    return _each(lambda one: np.clip(gain * one.astype(np.float32) + lift, 0, 255).astype(np.uint8))


def _frozen(clip: Shots, _: np.random.Generator) -> list[Picture]:
    return [clip.pictures[0]] * len(clip.pictures)


def _shaken(clip: Shots, _: np.random.Generator) -> list[Picture]:
    return [np.asarray(cv2.GaussianBlur(clip.pictures[0], (0, 0), 8), np.uint8), *clip.pictures[1:]]


def _dirty(share: float) -> Spoil:
    def spoil(clip: Shots, rng: np.random.Generator) -> list[Picture]:
        mud = np.minimum(_smears(clip.pictures[0].shape[:2], share, rng), np.float32(1))
        both = zip(clip.pictures, clip.muddy, strict=True)
        return [np.asarray(cv2.blendLinear(one, veil, 1 - mud, mud), np.uint8) for one, veil in both]

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
    "as they are": Way(lambda clip, _: list(clip.pictures), None),
    "a shaken picture among them": Way(_shaken, None),
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
