"""``fsdctl bench``: figures against a peer in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from fsd_tools.bench.frame import BenchResult, Progress
from fsd_tools.bench.registry import BENCHES, Bench, find_bench, method_of
from fsd_tools.bench.report import Section, by_name, cells, figures_on, read_result, render
from fsd_tools.errors import ToolError

ROUNDS = 5
MAX_ROUNDS = 1000
EVERY_S = 5.0
"""Between two lines of progress in a log."""
Rounds = Annotated[int, Parameter(validator=cyclopts.validators.Number(gte=1, lte=MAX_ROUNDS))]

app = cyclopts.App(
    name="bench",
    help="""Figures against a peer in the same run.

    For example:

        fsdctl bench list
        fsdctl bench detect --json
        fsdctl bench report -o docs/performance.md
    """,
)


@app.default
def run(
    name: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    rounds: Rounds = ROUNDS,
    check: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run one benchmark and show its figures.

    Example: fsdctl bench decode --rounds 9 --json

    Parameters
    ----------
    name
        One that `fsdctl bench list` shows.
    as_json
        Print one JSON object instead of a table.
    rounds
        Measured rounds; medians are shown.
    check
        Exit with 1 when a goal is missed.
    """
    bench = find_bench(name)
    with _progress(bench.name) as progress:
        result = bench.load()(rounds, progress)
    if as_json:
        print(result.to_json().decode())
    else:
        _show(result)
    if check and result.missed:
        raise ToolError(
            f"bench {name}: missed: {'; '.join(f'{one.name} ({one.goal})' for one in result.missed)}"
        )
    return 0


@app.command(name="list")
def list_benches() -> int:
    """Show the benchmarks there are.

    Example: fsdctl bench list
    """
    table = Table("name", "what it measures")
    for bench in BENCHES.values():
        table.add_row(bench.name, bench.summary)
    Console().print(table)
    return 0


@app.command
def report(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    source: Annotated[tuple[Path, ...], Parameter(name="--from", consume_multiple=True)] = (),
    rounds: Rounds = ROUNDS,
) -> int:
    """Write the performance page, from given results or by running every benchmark now.

    Benchmarks whose data is missing are named on the page and on stderr, with the reason. With --from, a benchmark of which no result is given
    keeps the figures that the page has of it.

    Example: fsdctl bench report -o docs/performance.md --from agent.json decode.json detect.json

    Parameters
    ----------
    output
        The Markdown page to write.
    source
        Files that `fsdctl bench NAME --json` wrote. Without any, all benchmarks run.
    rounds
        Measured rounds of a benchmark that runs now.
    """
    _check_output(output)
    given = by_name([read_result(path) for path in source])
    for name in given:
        find_bench(name)
    before = figures_on(output.read_text(encoding="utf-8")) if source and output.exists() else {}
    sections = [_section(bench, given, before, rounds, run_now=not source) for bench in BENCHES.values()]
    if not any(section.result for section in sections):
        raise ToolError("no benchmark could run; nothing written")
    output.write_text(render(sections), encoding="utf-8")
    new = sum(section.result is not None for section in sections)
    kept = sum(bool(section.before) for section in sections)
    print(f"{output}: {new} of {len(sections)} benchmarks" + (f", {kept} as they were" if kept else ""))
    return 0


def _check_output(path: Path) -> None:
    """Now, not after minutes of measuring. Raises :class:`ToolError`."""
    if path.is_dir() or not path.parent.is_dir():
        raise ToolError(
            f"{path}: can't be written: {'is' if path.is_dir() else 'lies in what is not'} a folder"
        )


def _section(
    bench: Bench,
    given: Mapping[str, BenchResult],
    before: Mapping[str, str],
    rounds: int,
    *,
    run_now: bool,
) -> Section:
    try:
        method = method_of(bench)
        if bench.name in given:
            return Section(bench.name, method, given[bench.name], None)
        if not run_now:
            return Section(bench.name, method, None, "no result was given", before.get(bench.name, ""))
        with _progress(bench.name) as progress:
            return Section(bench.name, method, bench.load()(rounds, progress), None)
    except ToolError as error:
        Console(stderr=True).print(f"bench {bench.name}: not run: {error}", markup=False, style="yellow")
        return Section(bench.name, bench.summary, None, "its needs aren't met here; `fsdctl bench "
                       f"{bench.name}` says which")  # fmt: skip


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A line on stderr that says what is measured now; where that is no terminal, a new line from time to time."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Paced(
            lambda text: console.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True),
            time.monotonic,
        )
        return
    with console.status(f"{name} ...") as status:
        yield lambda text: status.update(f"{name}: {text}")


class Paced:
    """Lets through what is told, at most once in :data:`EVERY_S`, and the first at once."""

    def __init__(self, tell: Progress, now_s: Callable[[], float]) -> None:
        self._tell, self._now_s = tell, now_s
        self._next_s = now_s()

    def __call__(self, text: str) -> None:
        """Tell it, or leave it out."""
        if self._now_s() >= self._next_s:
            self._next_s = self._now_s() + EVERY_S
            self._tell(text)


def _show(result: BenchResult) -> None:
    machine = result.machine
    table = Table(
        "figure",
        "value",
        "peer",
        "ratio",
        "goal",
        title=f"{result.bench}: {machine.cpu}, {machine.cores} cores",
    )
    for one in result.figures:
        table.add_row(*(text.replace("**", "") for text in cells(one)))
    Console().print(table)
