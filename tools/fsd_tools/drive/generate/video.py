"""Pictures of all cameras as packets.

They are drawn by worker processes, because a frame needs no frame before it; encoding follows in order of time. The
packets don't depend on the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext

import cv2

from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_encoder import EncoderSettings
from fsd_firmware.pyav_frames import PyAvFrame, frame_from_bgr
from fsd_firmware.samples import EncodedPacket
from fsd_tools.drive.generate.camera import Lens
from fsd_tools.drive.generate.options import GenerateOptions
from fsd_tools.drive.generate.paint import Picture
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.truth import TrueBox
from fsd_tools.drive.generate.world import make_world

AHEAD = 8
"""Pictures that may wait for the encoder; each takes three bytes a pixel."""
SMALL_PX = 320
"""Drives of narrower pictures are drawn in this process: starting others takes longer."""

ENCODER = EncoderSettings(quantizer=24)
"""Finer than the codec's default: clips cut from the drive are encoded once more."""

Drawn = tuple[Picture, tuple[TrueBox, ...]]
OnDrawn = Callable[[str, int, tuple[TrueBox, ...]], None]
"""Camera, time into the drive in ns, what is in the picture."""

_renderers: dict[Lens, Renderer] = {}
_options: list[GenerateOptions] = []


def packets(
    renderers: Mapping[str, Renderer],
    options: GenerateOptions,
    times_ns: Sequence[int],
    start_ns: int,
    on_drawn: OnDrawn,
) -> Iterator[EncodedPacket]:
    """Packets of all cameras in order of time; ``on_drawn`` is called for every picture before its packet comes."""
    pool = _pool(options)
    with pool or nullcontext():
        streams = [
            PyAvCodec(ENCODER).encode(
                camera,
                _frames(_drawn(pool, renderer, times_ns), camera, times_ns, start_ns, on_drawn),
                fps=options.fps,
                keyframe_every=max(1, round(options.fps)),
            )
            for camera, renderer in renderers.items()
        ]
        for row in zip(*streams, strict=True):
            yield from row


def _frames(
    drawn: Iterator[Drawn], camera: str, times_ns: Sequence[int], start_ns: int, on_drawn: OnDrawn
) -> Iterator[PyAvFrame]:
    for t_ns, (picture, truth) in zip(times_ns, drawn, strict=True):
        on_drawn(camera, t_ns, truth)
        yield frame_from_bgr(start_ns + t_ns, picture)


def _pool(options: GenerateOptions) -> ProcessPoolExecutor | None:
    workers = min(4, os.cpu_count() or 1)
    if workers == 1 or options.width < SMALL_PX:
        return None
    # Not forked: this process may have threads.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (options,))


def _drawn(pool: ProcessPoolExecutor | None, renderer: Renderer, times_ns: Sequence[int]) -> Iterator[Drawn]:
    """Pictures and truth in order of time."""
    if pool is None:
        for t_ns in times_ns:
            yield renderer.frame(t_ns / 1e9)
        return
    waiting: deque[Future[Drawn]] = deque()
    for t_ns in times_ns:
        waiting.append(pool.submit(_draw, renderer.lens, t_ns / 1e9))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker(options: GenerateOptions) -> None:
    cv2.setNumThreads(1)
    _options.append(options)


def _draw(lens: Lens, t_s: float) -> Drawn:
    if lens not in _renderers:
        _renderers[lens] = Renderer(make_world(_options[0]), lens=lens)
    return _renderers[lens].frame(t_s)
