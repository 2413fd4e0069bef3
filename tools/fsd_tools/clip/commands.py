"""``fsdctl clip``: look into clips that arrived. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

from fsd_tools.clip.info import info
from fsd_tools.clip.redaction_sheet import redaction
from fsd_tools.clip.sheet import sheet

app = cyclopts.App(
    name="clip",
    help="""Look into clips that arrived.

    For example:

        fsdctl clip info cn/store/car-1/*.mcap
        fsdctl clip sheet cn/store/*/*.mcap -o sheet.png
    """,
)
app.command(info)
app.command(sheet)
app.command(redaction)
