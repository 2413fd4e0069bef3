"""Faults of a model's run as the ports tell them, with camera and time: what was stopped apart from what failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fsd_agent.ports.detector import DetectorError, DetectorStalledError
from fsd_firmware.samples import Frame
from fsd_models.errors import ModelRunError, ModelTimeoutError

LOOK_LIMIT_S = 5.0
"""A pass takes some hundredths of a second, at nice 10 on a busy computer some tenths. What takes longer hangs."""


@contextmanager
def told_apart(frame: Frame) -> Iterator[None]:
    """Around a look at ``frame``."""
    try:
        yield
    except ModelTimeoutError as error:
        raise DetectorStalledError(f"{frame.camera} at {frame.t_ns} ns: {error}") from None
    except ModelRunError as error:
        raise DetectorError(f"{frame.camera} at {frame.t_ns} ns: {error}") from None
