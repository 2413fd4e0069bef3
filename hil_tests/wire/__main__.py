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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from fsd_tools.rig.namespaces import why_not
from fsd_tools.rig.processes import fsdctl
from hil_tests.wire.explore import Report, explore
from hil_tests.wire.show import show


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    reason = why_not()
    if reason is not None:
        print(f"residency: can't be proven here: {reason}", file=sys.stderr)
        return 2
    if arguments.replay is not None:
        seeds = (arguments.replay,)
        if not arguments.journey:
            return _finish(explore(seeds, say=_say, verbose=True))
        with _a_drive() as drive:
            return _finish(explore((), say=_say, verbose=True, drive=drive, journeys=seeds))
    if arguments.drive is not None:
        return _one(arguments)
    with _a_drive() as drive:
        return _finish(_spread(arguments, drive))


def _one(arguments: argparse.Namespace) -> int:
    """One of several: its report goes to stdout as JSON."""
    first, last = arguments.first, arguments.first + arguments.schedules
    journeys = range(last - arguments.journeys, last)
    seeds = range(first, last - arguments.journeys)
    report = explore(seeds, say=_say, drive=arguments.drive, journeys=journeys)
    print(json.dumps(report.as_json()))
    return 1 if report.failures else 0


def _spread(arguments: argparse.Namespace, drive: Path) -> Report:
    """Several worlds beside each other, each in its own process."""
    jobs, began = arguments.jobs, time.monotonic()
    bounds = [1 + arguments.schedules * job // jobs for job in range(jobs + 1)]
    journeys = [arguments.journeys * job // jobs for job in range(jobs + 1)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "hil_tests.wire", "--drive", drive, "--first", str(low),
             "--schedules", str(high - low), "--journeys", str(more - less)],
            stdout=subprocess.PIPE,
        )
        for (low, high), (less, more) in zip(pairwise(bounds), pairwise(journeys), strict=True)
    ]  # fmt: skip
    reports = []
    try:
        for process in running:
            out, _ = process.communicate()
            if process.returncode not in (0, 1) or not out:
                raise SystemExit(process.returncode or 1)
            reports.append(Report.from_json(json.loads(out)))
    finally:
        for process in running:
            process.kill()
    total = sum(reports[1:], reports[0])
    total.seconds = time.monotonic() - began
    return total


@contextmanager
def _a_drive() -> Iterator[Path]:
    """What the real agent drives: small pictures, and a speed that passes 30 km/h now and then."""
    with tempfile.TemporaryDirectory(prefix="fsd-wire-drive-") as folder:
        drive = Path(folder) / "city.mcap"
        fsdctl("drive", "generate", "-o", drive, "--seconds", "20", "--seed", "7",
               "--width", "160", "--height", "120", "--fps", "10")  # fmt: skip
        yield drive


def _finish(report: Report) -> int:
    show(report)
    return 1 if report.failures else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="residency", description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=2000, help="how many to play (default 2000)")
    parser.add_argument(
        "--journeys", type=int, default=8, help="of them by fsd-agent in real time (default 8)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="worlds beside each other (default 2)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="play this one, telling every move")
    parser.add_argument("--journey", action="store_true", help="with --replay: by fsd-agent")
    parser.add_argument("--first", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
