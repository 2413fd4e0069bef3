"""``fsdctl clip redaction``: what redaction does, on rendered pictures that anyone may see.

A line each for some moments of a generated city drive, by day and by night: the picture as it is, as each strictness leaves it, and pixelated. The
boxes are the drive's own truth, as perfect firmware would give them; the policy, and the painting, are the agent's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fsd_agent.records.region import FaceRule, Fill, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_firmware.samples import Detections
from fsd_tools.clip.sheet import FAINT, GAP_PX, INK, MARGIN_PX, PAPER, font
from fsd_tools.errors import ToolError

WIDTH, HEIGHT = 960, 540
SHOWN_PX: Final = (480, 270)
MOMENTS: Final = (("day", 2.0), ("day", 6.5), ("night", 4.0))
"""Light, and seconds into the drive."""
WAYS: Final = {
    "strictness standard": (Strictness.STANDARD, Fill.SOLID),
    "strictness strict": (Strictness.STRICT, Fill.SOLID),
    "standard, pixelated": (Strictness.STANDARD, Fill.PIXELATE),
}
HEADER_PX: Final = 28
QUALITY: Final = 82

Picture = NDArray[np.uint8]


def redaction(*, output: Annotated[Path, Parameter(name=("--output", "-o"))], seed: int = 1) -> int:
    """Draw a sheet of rendered pictures before and after redaction, JPEG. The same seed gives the same sheet.

    Example: fsdctl clip redaction -o redaction.jpg

    Parameters
    ----------
    output
        The picture to write.
    seed
        Of the generated drive.
    """
    rows = [(f"{light}, {t_s:g} s", _row(light, t_s, seed)) for light, t_s in MOMENTS]
    try:
        _draw(rows).save(output, format="JPEG", quality=QUALITY, optimize=True)
    except OSError as error:
        raise ToolError(f"{output}: {error.strerror or error}") from error
    print(output)
    return 0


def _row(light: str, t_s: float, seed: int) -> list[Picture]:
    """The picture as it is, then in each of ``WAYS``. Raises :class:`ToolError` without the optional part."""
    try:
        from fsd_firmware.pyav_frames import frame_from_bgr
        from fsd_tools.drive.generate.camera import lens_of
        from fsd_tools.drive.generate.extras import make_actors
        from fsd_tools.drive.generate.options import Daylight, GenerateOptions
        from fsd_tools.drive.generate.render import Renderer
        from fsd_tools.drive.generate.world import make_world
    except ImportError as error:
        raise ToolError(f"pictures need the optional part 'video': {error}") from error
    options = GenerateOptions(seconds=10.0, seed=seed, width=WIDTH, height=HEIGHT, daylight=Daylight(light))
    world = make_world(options)
    renderer = Renderer(world, make_actors(world), lens_of("front", WIDTH, HEIGHT))
    bgr, truth = renderer.frame(t_s)
    seen = _detections([int(one.kind) for one in truth], [one.box for one in truth])
    pictures = [np.asarray(bgr, np.uint8)]
    for strictness, fill in WAYS.values():
        frame = frame_from_bgr(0, pictures[0])
        (frame.pixelate if fill is Fill.PIXELATE else frame.fill)(_plan(seen, strictness).at(0))
        pictures.append(frame.bgr())
    return pictures


def _plan(seen: Detections, strictness: Strictness) -> RedactionPlan:
    rules = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 0, 1, LocationRule.DROP, 1.0, strictness)
    plan = plan_redaction(rules, [seen], np.zeros(1, np.int64), WIDTH, HEIGHT)
    if not isinstance(plan, RedactionPlan):
        raise ToolError(f"the policy refuses: {plan.reason}: {plan.detail}")
    return plan


def _detections(kinds: Sequence[int], boxes: Sequence[tuple[float, float, float, float]]) -> Detections:
    n = len(kinds)
    return Detections(
        camera="front",
        source="firmware",
        frame_t_ns=np.zeros(1, np.int64),
        frame=np.zeros(n, np.int32),
        kind=np.array(kinds, np.uint8),
        score=np.ones(n, np.float32),
        box=np.array(boxes, np.float32).reshape(n, 4),
        distance_m=np.full(n, np.nan, np.float32),
        track_id=np.full(n, -1, np.int32),
        ttc_s=np.full(n, np.nan, np.float32),
    )


def _draw(rows: Sequence[tuple[str, Sequence[Picture]]]) -> Image.Image:
    names = ["as the camera sees it", *WAYS]
    width, height = SHOWN_PX
    across, down = width + GAP_PX, height + GAP_PX
    sheet = Image.new(
        "RGB",
        (2 * MARGIN_PX + len(names) * across - GAP_PX, 2 * MARGIN_PX + HEADER_PX + len(rows) * down - GAP_PX),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        draw.text((MARGIN_PX + column * across, MARGIN_PX - 2), name, INK, font(17))
    for line, (caption, pictures) in enumerate(rows):
        top = MARGIN_PX + HEADER_PX + line * down
        for column, bgr in enumerate(pictures):
            shown = Image.fromarray(np.ascontiguousarray(bgr[:, :, ::-1])).resize(
                SHOWN_PX, Image.Resampling.LANCZOS
            )
            sheet.paste(shown, (MARGIN_PX + column * across, top))
        draw.text((MARGIN_PX + 6, top + height - 20), caption, FAINT, font(13))
    return sheet
