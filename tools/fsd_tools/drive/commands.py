"""``fsdctl drive``: generate, import and inspect recorded drives. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

app = cyclopts.App(name="drive", help="Generate, import and inspect recorded drives.")
importers = cyclopts.App(name="import", help="Import recorded drives of public data sets.")

app.command(
    "fsd_tools.drive.generate.command:generate", name="generate", help="Render a city drive procedurally."
)
app.command("fsd_tools.drive.info:info", name="info", help="Print what is inside a drive.")
importers.command(
    "fsd_tools.drive.import_comma2k19:comma2k19",
    name="comma2k19",
    help="A segment, with any video as camera.",
)
importers.command(
    "fsd_tools.drive.import_jaad:jaad", name="jaad", help="One drive a clip, tracks without pixels."
)
app.command(importers)
