"""``fsdctl region check``: look at clips again with a checker's models, and say what they still show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from fsd_tools.clip.reading import read_clip
from fsd_tools.region.check import check_clip, open_checkers

EXIT_PASSED, EXIT_FOUND = 0, 3
SHOWN = 20
"""Findings of a clip, the surest first."""


def check(
    clip: Path,
    /,
    *more: Path,
    package: Annotated[tuple[Path, ...], Parameter(name="--package", consume_multiple=False, negative="")],
    threads: int = 1,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Look at every frame of clips with other models than redaction's. Changes nothing.

    Exit codes: 0 nothing was found, 3 a clip shows whom it should hide, or could not be looked at to its end.

    Example: fsdctl region check cn/store/car-1/*.mcap --package ./yunet-n --package ./lpd-yunet --package ./nanodet

    Parameters
    ----------
    clip
        A clip as the region's receiver stored it.
    more
        Further clips.
    package
        Model package folder of a checker; may be given several times.
    threads
        Of each model.
    json
        One JSON object a clip.
    """
    codec, checkers = open_checkers(package, threads)
    passed = True
    for path in (clip, *more):
        looked = check_clip(read_clip(path), codec, checkers)
        if looked is None:
            continue
        passed = passed and looked.passed
        found = sorted(looked.verdict.findings, key=lambda one: -one.score)
        if json:
            facts = {
                "file": str(path),
                "passed": looked.passed,
                "frames": looked.verdict.frames,
                "fault": looked.fault,
            }
            print(msgspec.json.encode(facts | {"findings": found}).decode())
            continue
        said = "passed" if looked.passed else looked.fault or f"{len(found)} findings"
        print(f"{path}: {looked.verdict.frames} frames looked at, {said}")
        for one in found[:SHOWN]:
            print(f"  {one}")
    return EXIT_PASSED if passed else EXIT_FOUND
