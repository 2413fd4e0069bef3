"""``fsdctl audit``: check a vehicle's ledger, read it, and show one record of it. The commands live in modules beside this one."""

from __future__ import annotations

import cyclopts

from fsd_tools.audit.proof import check, prove
from fsd_tools.audit.show import show
from fsd_tools.audit.verify import verify

app = cyclopts.App(
    name="audit",
    help="""Check a vehicle's ledger against what regions hold, and read it.

    For example:

        fsdctl audit verify ./car-1/data/ledger --receipts ./cn
        fsdctl audit show ./car-1/data/ledger --clip 4f2a
        fsdctl audit prove ./car-1/data/ledger --receipts ./cn --record 7 -o 7.json
        fsdctl audit check 7.json --receipts ./cn
    """,
)
app.command(verify)
app.command(show)
app.command(prove)
app.command(check)
