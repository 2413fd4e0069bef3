"""``fsdctl audit``: check a vehicle's ledger, and read it. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

from fsd_tools.audit.show import show
from fsd_tools.audit.verify import verify

app = cyclopts.App(
    name="audit",
    help="""Check a vehicle's ledger against what regions hold, and read it.

    For example:

        fsdctl audit verify ./car-1/data/ledger --receipts ./cn
        fsdctl audit show ./car-1/data/ledger --clip 4f2a
    """,
)
app.command(verify)
app.command(show)
