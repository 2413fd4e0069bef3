"""What came of every mutant: kept in ``out/mutation.json``, and told in ``docs/mutation.md``."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hil_tests.mutation.allowed import Allowed
from hil_tests.mutation.mutants import Mutant

_TOOL = ("operators.py", "mutants.py", "trial.py", "court.py")


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant with its verdict."""

    mutant: Mutant
    killed: bool
    by: str


@dataclass(frozen=True, slots=True)
class Result:
    """All mutants of one file, and of what content that is said."""

    key: str
    seconds: float
    tried: tuple[Tried, ...]

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """Those that no test killed."""
        return tuple(one.mutant for one in self.tried if not one.killed)


@dataclass(frozen=True, slots=True)
class Judged:
    """A file's survivors: explained or not; and what was allowed in vain."""

    explained: tuple[tuple[Mutant, str], ...]
    unexplained: tuple[Mutant, ...]
    stale: tuple[Allowed, ...]


def key_of(root: Path, file: str, tests: Sequence[str]) -> str:
    """A hash of everything that a result is kept for: the file, its tests, how mutants are made, the Python version."""
    parts = [
        root / file,
        *(root / test for test in tests),
        *(Path(__file__).with_name(name) for name in _TOOL),
    ]
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for part in parts:
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest()[:12]


def judge(file: str, result: Result, allowed: Sequence[Allowed]) -> Judged:
    """Set survivors against what is allowed."""
    mine = [one for one in allowed if one.file == file]
    explained, unexplained, used = [], [], set()
    for mutant in result.survivors:
        found = next((one for one in mine if one.fits(file, mutant)), None)
        if found is None:
            unexplained.append(mutant)
        else:
            explained.append((mutant, found.why))
            used.add(found)
    return Judged(tuple(explained), tuple(unexplained), tuple(one for one in mine if one not in used))


def read_results(path: Path) -> dict[str, Result]:
    """What is kept; nothing where there is nothing yet."""
    if not path.exists():
        return {}
    return {
        file: Result(
            one["key"],
            one["seconds"],
            tuple(Tried(Mutant(**tried["mutant"]), tried["killed"], tried["by"]) for tried in one["tried"]),
        )
        for file, one in json.loads(path.read_text()).items()
    }


def write_results(path: Path, results: Mapping[str, Result]) -> None:
    """Keep them, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({file: asdict(one) for file, one in sorted(results.items())}, indent=1))
    beside.replace(path)


@dataclass(frozen=True, slots=True)
class Told:
    """What the report says of one file."""

    mutants: int
    killed: int
    explained: int
    unexplained: int
    key: str
    survivors: str = ""
    """Of its survivors, as it is there."""


def told_of(result: Result, found: Judged, source: bytes) -> Told:
    """What there is to say of a file that was tried."""
    survivors = "\n".join(_survivors(found, source))
    killed = len(result.tried) - len(result.survivors)
    return Told(
        len(result.tried), killed, len(found.explained), len(found.unexplained), result.key, survivors
    )


def as_markdown(files: Mapping[str, Told], commit: str) -> str:
    """The report, of every covered file."""
    total, killed = sum(one.mutants for one in files.values()), sum(one.killed for one in files.values())
    explained, unexplained = (
        sum(one.explained for one in files.values()),
        sum(one.unexplained for one in files.values()),
    )
    lines = [
        _HEAD.format(total=total, killed=killed, commit=commit),
        "| file | mutants | killed | survive, explained | unexplained | content |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *(
            f"| `{file}` | {one.mutants} | {one.killed} | {one.explained} | {one.unexplained} | `{one.key}` |"
            for file, one in files.items()
        ),
        f"| all | {total} | {killed} | {explained} | {unexplained} | |",
        "",
        "## Survivors",
    ]
    for file, one in files.items():
        if one.survivors:
            lines += ["", f"### `{file}`", one.survivors]
    return "\n".join(lines) + "\n"


def read_report(report: str) -> dict[str, Told]:
    """What a report says of each file."""
    survivors = {
        name: text.rstrip("\n")
        for name, text in re.findall(
            r"^### `([^`]+)`\n(.*?)(?=\n\n### |\Z)", report, re.MULTILINE | re.DOTALL
        )
    }
    rows = re.findall(
        r"^\| `([^`]+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| `([0-9a-f]{12})` \|$", report, re.MULTILINE
    )
    return {file: Told(*map(int, counts), key, survivors.get(file, "")) for file, *counts, key in rows}


def _survivors(found: Judged, source: bytes) -> list[str]:
    reasons: dict[str, list[Mutant]] = {}
    for mutant, why in (*found.explained, *((one, "**Unexplained.**") for one in found.unexplained)):
        reasons.setdefault(why, []).append(mutant)
    lines = []
    for why, mutants in reasons.items():
        lines += ["", why, "", "```diff"]
        for mutant in mutants:
            lines += [f"@ {mutant.scope}", *diff(mutant, source)]
        lines.append("```")
    return lines


def diff(mutant: Mutant, source: bytes) -> list[str]:
    """The line or lines that a mutant changes, before and after, without indentation."""
    begin = source.rfind(b"\n", 0, mutant.begin) + 1
    end = source.find(b"\n", mutant.end)
    end = len(source) if end < 0 else end
    before = source[begin:end].decode()
    after = (source[begin : mutant.begin] + mutant.becomes.encode() + source[mutant.end : end]).decode()
    return [f"-{_one_line(before)}", f"+{_one_line(after)}"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


_HEAD = """# Mutation report

Made by `make mutation`; don't edit. Each mutant is one small change to the code that decides what a vehicle trusts, where
data goes and what is removed from it: a limit moved by one, a condition turned, a check, an argument or an entry of a
table left out, another reason given (`hil_tests/mutation/operators.py` has them all; `hil_tests/mutation/mutants.py` says what is
left alone, because it decides nothing). A mutant is killed when a test fails that passes without it. `hil_tests/mutation/covered.py` lists the
files, and for each the tests that must notice: its own, not the whole suite.

{killed} of {total} mutants were killed. Each of the others is below with the reason why it changes no decision, from
`hil_tests/mutation/allowed.toml`; an entry there goes stale with any change to its function. `make mutation` fails while
a survivor is unexplained or an entry is stale.

`content` is a hash over a file, its tests and the tool; `make mutation` tries again only the files where it has changed, and
`make mutation CHECK=1` names them. What this page says of the others stays, also in a new checkout. It doesn't see changes elsewhere that a test depends on: `AGAIN=1` tries everything.
Run on commit {commit}.
"""
