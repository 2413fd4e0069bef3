"""``fsdctl clip sheet``: a contact sheet: frames around each clip's firing, boxes drawn thinly.

Many clips take a line each; where there are only a few, their frames are drawn larger, on two lines.

Six frames: from a second and a half before the firing to two seconds after, as far as the window goes; the
firing's own has a bright edge. Boxes are the annotations of the nearest frame that was looked at; weak
ones, which redaction paints to be safe, are left out so that the picture stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fsd_agent.wire.clip import ClipContents
from fsd_agent.wire.clip_seen import COLOURS, SeenFrame
from fsd_firmware.codec import CodecError, VideoCodec
from fsd_firmware.samples import EncodedPacket
from fsd_tools.clip.info import utc
from fsd_tools.clip.reading import read_clip
from fsd_tools.errors import ToolError

BEFORE_S: Final = 1.5
AFTER_S: Final = 2.0
"""How far from the firing frames are shown, where the window reaches that far."""
STEPS: Final = (-1.0, -0.5, 0.0, 0.25, 0.5, 1.0)
"""The frames: shares of the way back (negative) and on."""
MAX_ROWS: Final = 40
"""More would make a picture that no viewer opens; the rest is counted on the sheet."""
MIN_DRAWN_SCORE: Final = 0.3
NEAR_NS: Final = 200_000_000
"""A look further from the frame than this says nothing of it."""

FEW_CLIPS: Final = 3
GAP_PX: Final = 8
MARGIN_PX: Final = 20
CAPTION_PX: Final = 46
PAPER, INK, FAINT, ACCENT = (24, 26, 30), (236, 238, 240), (150, 156, 164), (255, 196, 61)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class _Grid:
    """How the frames of a clip are laid out."""

    columns: int
    thumb_px: int

    def size(self, thumb: _Thumb) -> tuple[int, int]:
        """Width and height of a frame on the sheet."""
        height, width = thumb.bgr.shape[:2]
        return self.thumb_px, max(1, round(height * self.thumb_px / width))

    def height(self, row: _Row) -> int:
        """Of a clip's place on the sheet."""
        tallest = max((self.size(thumb)[1] for thumb in row.thumbs), default=30)
        lines = max(1, -(-len(row.thumbs) // self.columns))
        return CAPTION_PX + lines * (tallest + GAP_PX) - GAP_PX + MARGIN_PX


MANY, FEW = _Grid(6, 320), _Grid(3, 648)


@dataclass(frozen=True, slots=True, eq=False)
class _Thumb:
    """One frame for the sheet."""

    at_s: float
    """After the firing."""
    bgr: NDArray[np.uint8]
    seen: SeenFrame | None


@dataclass(frozen=True, slots=True)
class _Row:
    """One clip for the sheet."""

    caption: str
    detail: str
    thumbs: tuple[_Thumb, ...]


def sheet(file: Path, /, *more: Path, output: Annotated[Path, Parameter(name=("--output", "-o"))]) -> int:
    """Draw a contact sheet of clips.

    Example: fsdctl clip sheet cn/store/*/*.mcap -o sheet.png

    Parameters
    ----------
    file
        A clip as the region's receiver stored it.
    more
        Further clips.
    output
        The picture to write, PNG.
    """
    clips = []
    for path in (file, *more):
        clip = read_clip(path)
        campaigns = ", ".join(sorted({str(firing["campaign"]) for firing in clip.firings}))
        clips.append((f"{clip.vehicle} to {clip.region_id}: {campaigns}", path))
    make_sheet(clips, output)
    print(output)
    return 0


def make_sheet(clips: Sequence[tuple[str, Path]], out: Path) -> None:
    """Write the contact sheet of ``clips``, (caption, file) each, as PNG to ``out``.

    Raises :class:`ToolError` where a clip can't be read or decoded, or there is none.
    """
    if not clips:
        raise ToolError("a contact sheet needs at least one clip")
    codec = _codec()
    rows = [_row(caption, path, codec) for caption, path in clips[:MAX_ROWS]]
    picture = _draw(rows, len(clips) - len(rows))
    try:
        picture.save(out, format="PNG", optimize=True)
    except OSError as error:
        raise ToolError(f"{out}: {error.strerror or error}") from error


def _codec() -> VideoCodec:
    try:
        from fsd_firmware.codec_pyav import PyAvCodec
    except ImportError as error:
        raise ToolError(f"pictures need the optional part 'video': {error}") from error
    return PyAvCodec()


def _row(caption: str, path: Path, codec: VideoCodec) -> _Row:
    clip = read_clip(path)
    redaction = clip.provenance["redaction"]
    size = path.stat().st_size
    detail = (
        f"{utc(clip.start_ns + clip.wall_minus_mono_ns)}   "
        f"{(clip.end_ns - clip.start_ns) / 1e9:.1f} s{', cut short' if clip.cut else ''}   {size:,} bytes   "
        f"{len(clip.firings)} {'firing' if len(clip.firings) == 1 else 'firings'}   "
        f"{redaction['boxes']} rectangles filled in {redaction['frames']} frames, "
        f"{redaction['filled_share']:.1%} of the pixels   clip {clip.clip_id[:8]}"
    )
    try:
        return _Row(caption, detail, _thumbs(clip, codec))
    except CodecError as error:
        raise ToolError(f"{path}: {error}") from error


def _thumbs(clip: ClipContents, codec: VideoCodec) -> tuple[_Thumb, ...]:
    """Frames of the first camera around the first firing. Raises :class:`CodecError`."""
    if not clip.packets:
        return ()
    camera = clip.packets[0].camera
    packets = [packet for packet in clip.packets if packet.camera == camera]
    t_ns = np.array([packet.t_ns for packet in packets], np.int64)
    fired_ns = min((int(firing["t_ns"]) for firing in clip.firings), default=int(t_ns[t_ns.shape[0] // 2]))
    back_ns = min(BEFORE_S * 1e9, max(fired_ns - int(t_ns[0]), 0))
    on_ns = min(AFTER_S * 1e9, max(int(t_ns[-1]) - fired_ns, 0))
    offsets_ns = [step * (back_ns if step < 0 else on_ns) for step in STEPS]
    wanted = sorted({int(np.abs(t_ns - fired_ns - offset_ns).argmin()) for offset_ns in offsets_ns})
    looked = [frame for frame in clip.frames if frame.camera == camera]
    looked_ns = np.array([frame.t_ns for frame in looked], np.int64)
    thumbs = []
    for number, bgr in _pictures(packets, wanted, codec):
        seen = _nearest(looked, looked_ns, int(t_ns[number]))
        thumbs.append(_Thumb((int(t_ns[number]) - fired_ns) / 1e9, bgr, seen))
    return tuple(thumbs)


def _pictures(
    packets: Sequence[EncodedPacket], wanted: Sequence[int], codec: VideoCodec
) -> list[tuple[int, NDArray[np.uint8]]]:
    """The wanted pictures by number, decoded from the last key frame before each stretch of them."""
    keys = [number for number, packet in enumerate(packets) if packet.keyframe]
    found = []
    for begin, end in pairwise([*keys, len(packets)]):
        inside = [number for number in wanted if begin <= number < end]
        if inside:
            frames = codec.decode(packets[begin : inside[-1] + 1])
            found += [(at, frame.bgr()) for at, frame in enumerate(frames, begin) if at in inside]
    return found


def _nearest(looked: Sequence[SeenFrame], looked_ns: NDArray[np.int64], t_ns: int) -> SeenFrame | None:
    if not looked:
        return None
    at = int(np.abs(looked_ns - t_ns).argmin())
    return looked[at] if abs(int(looked_ns[at]) - t_ns) <= NEAR_NS else None


def _draw(rows: Sequence[_Row], left_out: int) -> Image.Image:
    grid = FEW if len(rows) <= FEW_CLIPS else MANY
    heights = [grid.height(row) for row in rows]
    width = 2 * MARGIN_PX + grid.columns * (grid.thumb_px + GAP_PX) - GAP_PX
    footer = 30 if left_out else 0
    picture = Image.new("RGB", (width, MARGIN_PX + sum(heights) + footer), PAPER)
    top = MARGIN_PX
    for row, height in zip(rows, heights, strict=True):
        _draw_row(picture, row, top, grid)
        top += height
    if left_out:
        ImageDraw.Draw(picture).text((MARGIN_PX, top), f"and {left_out} more", FAINT, font(16))
    return picture


def _draw_row(picture: Image.Image, row: _Row, top: int, grid: _Grid) -> None:
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN_PX, top), row.caption, INK, font(18))
    draw.text((MARGIN_PX, top + 23), row.detail, FAINT, font(13))
    if not row.thumbs:
        draw.text((MARGIN_PX, top + CAPTION_PX), "no video in this clip", FAINT, font(14))
    nearest = min((abs(thumb.at_s) for thumb in row.thumbs), default=0.0)
    for number, thumb in enumerate(row.thumbs):
        line, column = divmod(number, grid.columns)
        width, height = grid.size(thumb)
        corner = (MARGIN_PX + column * (width + GAP_PX), top + CAPTION_PX + line * (height + GAP_PX))
        _draw_thumb(picture, thumb, corner, (width, height), fired=abs(thumb.at_s) == nearest)


def _draw_thumb(
    picture: Image.Image, thumb: _Thumb, corner: tuple[int, int], size: tuple[int, int], *, fired: bool
) -> None:
    (left, top), (width, height) = corner, size
    small = Image.fromarray(np.ascontiguousarray(thumb.bgr[:, :, ::-1])).resize(
        (width, height), Image.Resampling.LANCZOS
    )
    draw = ImageDraw.Draw(small)
    scale = width / thumb.bgr.shape[1]
    for box in thumb.seen.boxes if thumb.seen else ():
        if box.score >= MIN_DRAWN_SCORE:
            red, green, blue = (round(255 * part) for part in COLOURS[box.kind])
            x1, y1, x2, y2 = (round(side * scale) for side in box.box)
            draw.rectangle(
                (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=(red, green, blue), width=1
            )
    label = "firing" if fired and abs(thumb.at_s) < 0.1 else f"{thumb.at_s:+.2f} s"
    face = font(13)
    wide = draw.textlength(label, font=face)
    draw.rectangle((0, height - 19, wide + 10, height), fill=PAPER)
    draw.text((5, height - 18), label, ACCENT if fired else INK, face)
    picture.paste(small, (left, top))
    if fired:
        ImageDraw.Draw(picture).rectangle(
            (left - 2, top - 2, left + width + 1, top + height + 1), outline=ACCENT, width=2
        )


def font(size_px: int) -> Font:
    """The one that comes with Pillow."""
    return ImageFont.load_default(size=size_px)
