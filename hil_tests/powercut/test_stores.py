"""Each of the agent's stores, stopped at its steps one after the other: by a cut, or by a kill and a cut later.

A kill is not a cut: what was not synced is seen by who starts next, who goes by it. So it must be made durable first,
or a later cut takes back what was built upon.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_tools.rig.forks import Forks
from fsd_tools.rig.processes import wait_until
from hil_tests.powercut.disk import ROOT, Disk, File, Folder
from hil_tests.powercut.power import At, PoweredFolder
from hil_tests.powercut.stores import DONE, SAID, STORES
from hil_tests.powercut.survive import KeptFile, survivors
from hil_tests.powercut.terms import Count

ALL = bool(os.environ.get("FSD_ALL_STEPS"))
"""Every step, which takes minutes; otherwise the last sync of each place, for most is uncertain just before one."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Processes that start at once."""
    forks = Forks("hil_tests.powercut.stores")
    yield forks
    forks.close()


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("name", STORES)
def test_a_store_that_was_cut_at_any_step_holds_what_it_said_and_goes_on(
    tmp_path: Path, forks: Forks, name: str
) -> None:
    for step in steps(tmp_path, forks, name):
        with folder(tmp_path, f"cut-{step}") as disk:
            program, at = stopped(forks, name, disk, step, seed=step)
            disk.off()
            assert STORES[name].holds(disk.folder, program.gone()), f"cut at {at}"
            again = Program(forks, name, disk.folder).finish()
            assert STORES[name].holds(disk.folder, again), f"cut at {at}, run again"


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("name", STORES)
def test_a_store_that_was_killed_at_any_step_goes_by_nothing_that_a_later_cut_takes_back(
    tmp_path: Path, forks: Forks, name: str
) -> None:
    for step in steps(tmp_path, forks, name):
        with folder(tmp_path, f"killed-{step}") as disk:
            program, at = stopped(forks, name, disk, step, seed=NOTHING_UNCERTAIN)
            disk.go_on()
            program.gone()
            said = Program(forks, name, disk.folder).finish()
            disk.off()
            assert STORES[name].holds(disk.folder, said), f"killed at {at}"


class Program:
    """A store at work, in a process of its own."""

    def __init__(self, forks: Forks, name: str, where: Path) -> None:
        self.said: list[str] = []
        self._done = False
        log = where.parent / "logs" / "stores.log"
        self._fork = forks.start(
            "hil_tests.powercut.stores:work", [name, str(where)], log=log, on_line=self._hear
        )

    def finish(self) -> list[str]:
        """Let it do everything, and kill it then; what it said."""
        wait_until(lambda: self._done or not self._fork.running(), timeout_s=60.0, what="a store's work")
        assert self._done, self._fork.log_tail()
        self.kill()
        return self.gone()

    def kill(self) -> None:
        """With SIGKILL; who waits for a disk is gone when that answers or ends."""
        self._fork.kill()

    def gone(self) -> list[str]:
        """It has been killed; what it had said."""
        self._fork.wait(30.0)
        return self.said

    def _hear(self, line: bytes) -> None:
        text = line.decode().rstrip("\n")
        self._done |= text == DONE
        if text.startswith(SAID):
            self.said.append(text.removeprefix(SAID))


def stopped(forks: Forks, name: str, disk: PoweredFolder, step: int, *, seed: int) -> tuple[Program, At]:
    """The power is on, and a store was killed at a step; the disk has not answered it yet."""
    disk.on(stop_at=step, count=Count.STEPS, seed=seed)
    program = Program(forks, name, disk.folder)
    wait_until(lambda: disk.at() is not None, timeout_s=30.0, what=f"step {step}")
    at = disk.at()
    assert at is not None
    program.kill()
    return program, at


def folder(root: Path, name: str) -> PoweredFolder:
    """A vehicle's directory that is empty."""
    path = root / name
    path.mkdir(mode=0o700)
    return PoweredFolder(path, root / "logs")


def steps(root: Path, forks: Forks, name: str) -> list[int]:
    """Those of a whole run to stop at."""
    with folder(root, "whole") as disk:
        disk.on()
        Program(forks, name, disk.folder).finish()
        disk.end()
    operations = [line.split("\t")[1:3] for line in disk.log.read_text().splitlines()]
    done = [(kind, re.sub("[0-9a-f]{8,}", "*", path)) for kind, path in operations if kind != "write"]
    last = {one: number for number, one in enumerate(done, 1) if "fsync" in one[0]}
    return list(range(1, len(done) + 1)) if ALL else sorted(last.values())


def _leaves_nothing_uncertain(seed: int) -> bool:
    disk = Disk()
    for number in range(50):
        disk.write(disk.add(f"/{number}", File(0o600)), 0, b"x")
    disk.sync_folder(ROOT)
    disk.add("/name", Folder(0o700))
    return all(kept == KeptFile(0o600, b"") for kept in survivors(disk, seed).tree.values())


NOTHING_UNCERTAIN = next(seed for seed in range(100) if _leaves_nothing_uncertain(seed))
