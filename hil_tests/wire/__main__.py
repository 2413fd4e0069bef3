"""``make residency``: plays many schedules and prints where every byte went.

    python -m hil_tests.wire --schedules 2000 --jobs 2
    python -m hil_tests.wire --replay 1234

Exit codes: 0 nothing reached a wrong region, 1 something did (the schedule is shortened and printed), 2 namespaces
can't be made here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

from fsd_tools.rig.namespaces import why_not
from hil_tests.wire.explore import Report, explore
from hil_tests.wire.show import show

TELL_EVERY_S = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    reason = why_not()
    if reason is not None:
        print(f"residency: can't be proven here: {reason}", file=sys.stderr)
        return 2
    if arguments.replay is not None:
        return _finish(explore([arguments.replay], say=_say, verbose=True))
    first, count = arguments.first, arguments.schedules
    if arguments.jobs == 1:
        report = explore(range(first, first + count), say=_say)
        if arguments.json:
            print(json.dumps(report.as_json()))
            return 1 if report.failures else 0
        return _finish(report)
    return _finish(_spread(first, count, arguments.jobs))


def _spread(first: int, count: int, jobs: int) -> Report:
    """Several worlds beside each other, each in its own process."""
    bounds = [first + count * job // jobs for job in range(jobs + 1)]
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "hil_tests.wire", "--json", "--jobs", "1",
             "--first", str(low), "--schedules", str(high - low)],
            stdout=subprocess.PIPE,
        )
        for low, high in pairwise(bounds)
    ]  # fmt: skip
    reports = []
    for process in running:
        out, _ = process.communicate()
        if process.returncode not in (0, 1):
            for other in running:
                other.kill()
            raise SystemExit(process.returncode)
        reports.append(Report.from_json(json.loads(out)))
    total = sum(reports[1:], reports[0])
    total.seconds = time.monotonic() - began
    return total


def _finish(report: Report) -> int:
    show(report)
    return 1 if report.failures else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="residency", description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=2000, help="how many to play (default 2000)")
    parser.add_argument("--first", type=int, default=1, help="seed of the first one (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="worlds beside each other (default 2)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="play this one, telling every move")
    parser.add_argument("--json", action="store_true", help="one JSON object (with --jobs 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
