"""``fsdctl drive generate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from fsd_firmware.codec import CodecError
from fsd_firmware.contract import FirmwareError
from fsd_tools.drive.generate.options import Daylight, GenerateOptions, default_seconds
from fsd_tools.errors import ToolError, UsageError


def generate(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    scenario: str = "",
    seconds: float | None = None,
    seed: int = 1,
    width: int = 1280,
    height: int = 960,
    fps: float = 20.0,
    daylight: Annotated[Daylight, Parameter(name="--light")] = Daylight.BOTH,
    day: Annotated[bool, Parameter(negative="")] = False,
    night: Annotated[bool, Parameter(negative="")] = False,
    both: Annotated[bool, Parameter(negative="")] = False,
    without_video: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Render a city drive: pictures, buses, position and the driving computer's detections.

    The same options give the same drive. A scenario is a short drive that one of the campaigns that ship fires on; it
    has the name of the campaign and its own light.

    Examples::

        fsdctl drive generate -o city.mcap --seconds 30 --both
        fsdctl drive generate -o near.mcap --scenario near_miss --without-video

    Parameters
    ----------
    output
        The drive to write, an MCAP file.
    scenario
        What happens, by the name of the campaign that it is for; a busy city street without.
    seconds
        Length: that of the scenario, or 30; the city's story repeats every ten seconds.
    seed
        Another seed gives another street, other people and other noise.
    width
        Of the picture, in pixels.
    height
        Of the picture, in pixels.
    fps
        Pictures a second.
    daylight
        day, night or both: night falls in the middle.
    day
        The same as --light day.
    night
        The same as --light night.
    both
        The same as --light both.
    without_video
        Draw no pictures: only what the buses, the receiver and the driving computer say. Takes half a second.
    as_json
        Print one JSON object about the file.
    """
    chosen = [
        light for light, flag in ((Daylight.DAY, day), (Daylight.NIGHT, night), (Daylight.BOTH, both)) if flag
    ]
    if len(chosen) > 1:
        raise UsageError("--day, --night, --both: choose one.")
    options = GenerateOptions(
        seconds=default_seconds(scenario) if seconds is None else seconds,
        seed=seed,
        width=width,
        height=height,
        fps=fps,
        daylight=chosen[0] if chosen else daylight,
        scenario=scenario,
        video=not without_video,
    )
    _write(output, options)
    size = output.stat().st_size
    if as_json:
        print(json.dumps({"path": str(output), "bytes": size, "seconds": options.seconds, "seed": seed}))
    else:
        print(f"{output}: {options.seconds:g} s, {size / 1e6:.1f} MB")


def _write(output: Path, options: GenerateOptions) -> None:
    try:
        from fsd_tools.drive.generate.drive import generate_drive
    except ImportError as error:
        raise ToolError(
            f"drive generate needs the video part (pip install 'fsd-agent[video]'): {error}"
        ) from None
    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("rendering", total=1.0)
        try:
            generate_drive(output, options, lambda share: bar.update(task, completed=share))
        except (FirmwareError, CodecError, OSError) as error:
            raise ToolError(str(error)) from None
