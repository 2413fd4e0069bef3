"""``make mutation``: tries every mutant of the code that decides, and writes docs/mutation.md.

    python -m hil_tests.mutation                       # files that have changed since the last run; then the report
    python -m hil_tests.mutation rules/trust curve.py  # these alone
    python -m hil_tests.mutation --survivors zones.py  # only what survived last time, and keep nothing
    python -m hil_tests.mutation --check               # what the report is stale for; tries nothing

Exit codes: 0 every mutant is killed or explained, 1 one survives unexplained or an explanation is stale, 2 nothing can be
tried. ``--check`` exits with 0: a stale report is no fault, only old.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hil_tests.mutation.allowed import Allowed, AllowedError, proposal, read_allowed
from hil_tests.mutation.court import Case, CourtError, try_all
from hil_tests.mutation.covered import COVERED, ROOT, module_of, sources_of_enums
from hil_tests.mutation.mutants import Mutant, enums_of, mutants_of
from hil_tests.mutation.report import (
    Judged,
    Result,
    Told,
    Tried,
    as_markdown,
    diff,
    judge,
    key_of,
    read_report,
    read_results,
    told_of,
    write_results,
)
from hil_tests.mutation.trial import Verdict, warm_up

REPORT = ROOT / "docs/mutation.md"
RESULTS = ROOT / "out/mutation.json"
ALLOWED = Path(__file__).with_name("allowed.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    os.chdir(ROOT)
    try:
        return _check() if arguments.check else _run(arguments)
    except (AllowedError, CourtError, _UsageError) as error:
        _say(f"mutation: {error}")
        return 2


class _UsageError(Exception):
    """What was asked for can't be done."""


def _run(arguments: argparse.Namespace) -> int:
    allowed = read_allowed(ALLOWED)
    files = _chosen(arguments.files)
    results = read_results(RESULTS)
    keys = {file: key_of(ROOT, file, COVERED[file]) for file in COVERED}
    told = {file: one for file, one in _told().items() if one.key == keys.get(file)}
    current = {file for file, one in results.items() if one.key == keys.get(file)} | told.keys()
    todo = [file for file in files if arguments.again or arguments.survivors or file not in current]
    enums = enums_of(sources_of_enums())
    work = {file: mutants_of((ROOT / file).read_bytes(), enums) for file in todo}
    if arguments.survivors:
        work = {file: _survived(work[file], results.get(file)) for file in todo}
    progress = _Progress(sum(map(len, work.values())))
    warm_up()
    for file in todo:
        progress.file(file, len(work[file]))
        result = _try(file, work[file], keys[file], arguments.jobs, progress)
        results[file] = result
        if not arguments.survivors:
            write_results(
                RESULTS, read_results(RESULTS) | {file: result}
            )  # another run may have written beside this
    if arguments.survivors:
        return _tell({file: judge(file, results[file], ()) for file in files}, propose=arguments.propose)
    results = {file: one for file, one in results.items() if one.key == keys.get(file)}
    tried = {file: judge(file, results[file], allowed) for file in files if file in results}
    code = _tell(tried, propose=arguments.propose)
    return max(code, _write_report(results, told, allowed))


def _try(file: str, mutants: Sequence[Mutant], key: str, jobs: int, progress: _Progress) -> Result:
    began = time.monotonic()
    case = Case(module_of(file), (ROOT / file).read_bytes(), COVERED[file])
    verdicts = try_all(case, mutants, jobs=jobs, tell=progress.tell)
    tried = tuple(Tried(one, verdicts[one.name].killed, verdicts[one.name].by) for one in mutants)
    return Result(key, round(time.monotonic() - began, 1), tried)


def _survived(mutants: Sequence[Mutant], before: Result | None) -> tuple[Mutant, ...]:
    """Those that survived last time, and those that are new."""
    dead = {one.mutant.name for one in before.tried if one.killed} if before is not None else set()
    return tuple(one for one in mutants if one.name not in dead)


def _chosen(names: Sequence[str]) -> list[str]:
    for name in names:
        if not any(name in file for file in COVERED):
            raise _UsageError(
                f"{name}: in no covered file's path; hil_tests/mutation/covered.py has the list"
            )
    return [file for file in COVERED if not names or any(name in file for name in names)]


def _tell(judged: Mapping[str, Judged], *, propose: bool) -> int:
    faults = 0
    for file, found in judged.items():
        source = (ROOT / file).read_bytes()
        for mutant in found.unexplained:
            print(f"{file}:{mutant.line}: survives in {mutant.scope} ({mutant.kind})")
            print(*(f"  {line}" for line in diff(mutant, source)), sep="\n")
        for entry in found.stale:
            print(
                f"{file}: allowed.toml: {entry.scope} {entry.code}: no survivor is {entry.was!r} -> {entry.becomes!r}"
            )
        if propose and found.unexplained:
            print(proposal(file, found.unexplained))
        faults += len(found.unexplained) + len(found.stale)
    return 1 if faults else 0


def _write_report(results: Mapping[str, Result], told: Mapping[str, Told], allowed: Sequence[Allowed]) -> int:
    """Written only when it is about everything as it is now: what was tried here, else what it has ``told`` already."""
    missing = [file for file in COVERED if file not in results and file not in told]
    if missing:
        _say(f"mutation: {REPORT.name} is not written: {', '.join(missing)} not tried as it is now")
        return 0
    judged = {file: judge(file, result, allowed) for file, result in results.items() if file in COVERED}
    new = {file: told_of(results[file], found, (ROOT / file).read_bytes()) for file, found in judged.items()}
    REPORT.write_text(as_markdown({file: new.get(file) or told[file] for file in COVERED}, _commit()))
    strangers = sorted({one.file for one in allowed} - COVERED.keys())
    for file in strangers:
        print(f"{file}: allowed.toml: no covered file")
    _say(f"mutation: {REPORT.relative_to(ROOT)} is written")
    return 1 if strangers or any(one.unexplained or one.stale for one in judged.values()) else 0


def _told() -> dict[str, Told]:
    return read_report(REPORT.read_text()) if REPORT.exists() else {}


def _check() -> int:
    keys = {file: one.key for file, one in _told().items()}
    stale = [file for file in COVERED if keys.get(file) != key_of(ROOT, file, COVERED[file])]
    for file in stale:
        _say(f"warning: docs/mutation.md is older than {file} or its tests: run make mutation")
    return 0


def _commit() -> str:
    """With a word where something was not committed: the content hashes are exact in any case."""
    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=False)
    name = f"`{found.stdout.strip()}`" if found.returncode == 0 else "unknown"
    return f"{name} and changes that were not committed" if changed.stdout.strip() else name


class _Progress:
    """A line now and then: how far it is, how long it may take."""

    EVERY_S = 10.0

    def __init__(self, total: int) -> None:
        self._total, self._done, self._survived = total, 0, 0
        self._began = self._told = time.monotonic()

    def file(self, name: str, mutants: int) -> None:
        _say(f"{name}: {mutants} mutants")

    def tell(self, _mutant: Mutant, verdict: Verdict) -> None:
        self._done += 1
        self._survived += not verdict.killed
        now = time.monotonic()
        if now - self._told >= self.EVERY_S or self._done == self._total:
            self._told = now
            left_s = (now - self._began) / self._done * (self._total - self._done)
            _say(f"  {self._done}/{self._total}, {self._survived} survive, about {left_s / 60:.0f} min to go")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="parts of paths of covered files (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at once (default 1)")
    parser.add_argument("--again", action="store_true", help="also files that have not changed")
    parser.add_argument(
        "--survivors", action="store_true", help="only what survived last time; keeps nothing"
    )
    parser.add_argument(
        "--propose", action="store_true", help="print entries for allowed.toml, to be reviewed"
    )
    parser.add_argument(
        "--check", action="store_true", help="say what the report is stale for; tries nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
