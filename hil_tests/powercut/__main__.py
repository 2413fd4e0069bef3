"""``make powercut``: cuts the power of vehicles many times and accounts for every firing.

    python -m hil_tests.powercut --cuts 1000 --seed 1
    python -m hil_tests.powercut --replay 17

Exit codes: 0 nothing was lost, stored twice or corrupt; 1 something was (its folder is kept: every disk as it was left,
every operation of every life, every log); 2 no file system can be mounted here.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hil_tests.powercut.journeys import CUTS_A_VEHICLE, Fleet, travel
from hil_tests.powercut.power import why_not
from hil_tests.powercut.road import lay_campaigns, lay_drive
from hil_tests.powercut.show import show
from hil_tests.powercut.terms import Lie


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    reason = why_not()
    if reason is not None:
        print(f"powercut: can't be shown here: {reason}", file=sys.stderr)
        return 2
    first, cuts = arguments.seed, arguments.cuts
    if arguments.replay is not None:
        first, cuts = arguments.replay, CUTS_A_VEHICLE
    seeds = range(first, first - (-cuts // CUTS_A_VEHICLE))
    root = Path(tempfile.mkdtemp(prefix="fsd-powercut-"))
    fleet = Fleet(root / "rig", lay_drive(root), lay_campaigns(root))
    try:
        report = travel(fleet, seeds, cuts, jobs=arguments.jobs, say=_say, lie=arguments.lie)
    finally:
        fleet.close()
    print(show(report))
    if report.wrong:
        print(f"\nkept: {root}")
        return 1
    shutil.rmtree(root)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="powercut", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first vehicle (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="vehicles beside each other (default 2)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="the vehicle of this seed alone")
    parser.add_argument(
        "--lie", type=Lie, choices=Lie, default=Lie.NONE,
        help="what the disk says it has synced and has not: with one the proof must fail",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
