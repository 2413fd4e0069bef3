"""``fsdctl``: one command for people who make drives, campaigns and regions, and who look at what arrives.

Exit codes: 0 done, 1 failed with a message on stderr, 2 wrong usage.

Groups are imported when they are used, so that ``fsdctl --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts

import fsd_agent
from fsd_tools.errors import ToolError

app = cyclopts.App(
    name="fsdctl",
    version=fsd_agent.__version__,
    help="""Tools around the vehicle data agent.

    Examples::

        fsdctl drive generate -o city.mcap        # render a city drive
        fsdctl drive info city.mcap               # what is inside
        fsdctl region init ./cn --id cn --jurisdiction CN
        fsdctl demo                               # the main job, end to end
    """,
)

for _group, _help in (
    ("drive", "Generate, import and inspect recorded drives."),
    ("campaign", "Check, push and backtest campaigns."),
    ("model", "Assemble and verify model packages."),
    ("region", "Make a region and serve it."),
    ("vehicle", "Enrol a vehicle with a region."),
    ("clip", "Look into clips that arrived."),
    ("bench", "Figures against a peer in the same run."),
    ("demo", "The main job, end to end: two regions, two vehicles."),
):
    app.command(f"fsd_tools.{_group}.commands:app", name=_group, help=_help)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``argv`` (the process' own arguments by default) and return the exit code."""
    try:
        code = app(list(argv) if argv is not None else None, exit_on_error=True, result_action="return_value")
    except ToolError as error:
        print(f"fsdctl: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fsdctl: interrupted", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
