"""``fsdctl clip``: look into clips that arrived. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

app = cyclopts.App(
    name="clip",
    help="""Look into clips that arrived.

    Examples::

        fsdctl clip info clip.mcap
        fsdctl clip sheet store/*/*.mcap -o sheet.png
    """,
)
app.command("fsd_tools.clip.info:info", name="info")
app.command("fsd_tools.clip.sheet:sheet", name="sheet")
