"""``fsdctl drive``: generate, import and inspect recorded drives. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

from fsd_tools.drive.generate.command import generate
from fsd_tools.drive.import_jaad import jaad
from fsd_tools.drive.info import info

app = cyclopts.App(
    name="drive",
    help="""Generate, import and inspect recorded drives.

    For example:

        fsdctl drive generate -o city.mcap
        fsdctl drive info city.mcap
        fsdctl drive import comma2k19 ~/comma2k19 --camera street.mp4 -o real.mcap
    """,
)
importers = cyclopts.App(
    name="import",
    help="""Import recorded drives of public data sets.

    For example:

        fsdctl drive import comma2k19 ~/comma2k19 --camera street.mp4 -o real.mcap
        fsdctl drive import jaad tracks_dev.npz -o jaad/ --limit 10
    """,
)
app.command(generate)
app.command(info)
app.command(importers)
importers.command(
    "fsd_tools.drive.import_comma2k19:comma2k19",  # by name: cantools takes a second to import
    name="comma2k19",
    help="""Import a comma2k19 segment, with any video as its camera.

    Example: fsdctl drive import comma2k19 ~/comma2k19 --camera street.mp4 -o real.mcap
    """,
)
importers.command(jaad)
