"""The switch of a powered folder, for whoever starts programs on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fsd_tools.errors import ToolError
from fsd_tools.rig.processes import Child, wait_until
from hil_tests.powercut.terms import CUT, END, GO_ON, Count, Lie

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 60.0
_UNMOUNT = "fusermount3"


@dataclass(frozen=True, slots=True)
class At:
    """Where the disk stopped."""

    operation: int
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a disk told when it ended."""

    counts: dict[Count, int]
    """What was done while the power was on."""
    fate: Counter[str]
    """Of what was not certain: blocks and names kept and lost, sizes, torn writes."""


class PoweredFolder:
    """A folder that is on a disk of ``mount.py`` while its power is on; the rest of the time it is a plain folder.

    Not for more than one thread.
    """

    def __init__(self, folder: Path, logs: Path, *, lie: Lie = Lie.NONE) -> None:
        """``logs``: where to note every operation, one file for each time that the power is on."""
        self.folder = folder
        self._logs = logs
        self._lie = lie
        self._after = folder.with_name(f".{folder.name}.after")
        self._child: Child | None = None
        self.log = logs
        """Of the operations while the power was on last: number, kind, path and detail, by tabs."""
        self._events: dict[str, Mapping[str, Any]] = {}
        self._times = 0

    def __enter__(self) -> Self:
        """Use as a context manager: the power does not stay on."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cut it, where it is on."""
        if self.is_on:
            self.off()

    @property
    def is_on(self) -> bool:
        """It is a disk, working or cut; not a plain folder."""
        return self._child is not None

    def on(self, *, stop_at: int = 0, count: Count = Count.OPERATIONS, seed: int = 0) -> None:
        """Power on; the disk stops answering at number ``stop_at`` of ``count``, where that is not 0.

        ``seed`` chooses what survives.
        """
        self._after.mkdir()
        self._times += 1
        self._events = {}
        self.log = self._logs / f"{self.folder.name}-{self._times:04}.ops"
        argv = [
            sys.executable, "-m", "hil_tests.powercut.mount", str(self.folder), "--leave", str(self._after),
            "--stop-at", str(stop_at), "--count", count, "--seed", str(seed), "--lie", self._lie,
            "--log", str(self.log),
        ]  # fmt: skip
        log = self._logs / f"disk-{self.folder.name}.log"
        child = self._child = Child(f"disk {self.folder.name}", argv, log=log, on_event=self._hear)
        wait_until(
            lambda: "ready" in self._events or not child.running(),
            timeout_s=START_TIMEOUT_S,
            what=f"{self.folder} is mounted",
        )
        if not child.running():
            child.wait(1.0)
            self._child = None
            self._after.rmdir()
            raise ToolError(f"{self.folder} was not mounted:\n{child.log_tail()}")

    def at(self) -> At | None:
        """Where it stopped; None where it has not."""
        event = self._events.get("stopped")
        return None if event is None else At(event["operation"], event["kind"], event["path"])

    def go_on(self) -> None:
        """Answer again after a stop: whoever had asked has been killed (signalled is enough), and the power has stayed on."""
        os.kill(self._on().pid, GO_ON)

    def off(self) -> Left:
        """Cut the power; the folder is plain then and holds what survived.

        Whoever writes to it must have been killed (signalled is enough).
        """
        return self._end(CUT)

    def end(self) -> Left:
        """An orderly end of the disk: nothing is lost."""
        return self._end(END)

    def _end(self, how: int) -> Left:
        child, self._child = self._on(), None
        os.kill(child.pid, how)
        try:
            code = child.wait(END_TIMEOUT_S)
        finally:
            child.kill()
            # The process that served is gone, so this waits for nobody; lazily, for who was killed may still be dying.
            subprocess.run([_UNMOUNT, "-u", "-z", "-q", str(self.folder)], check=True)
        left = self._events.get("left")
        if code != 0 or left is None:
            raise ToolError(f"{self.folder}: the disk ended with {code}:\n{child.log_tail()}")
        self._exchange()
        return Left({Count(name): n for name, n in left["counts"].items()}, Counter(left["fate"]))

    def _on(self) -> Child:
        if self._child is None:
            raise ToolError(f"{self.folder}: the power is off")
        return self._child

    def _exchange(self) -> None:
        """What was left, in the place of what was there before."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in self._after.iterdir():
            path.rename(self.folder / path.name)
        self._after.rmdir()

    def _hear(self, event: Mapping[str, Any]) -> None:
        self._events[event["event"]] = event


def why_not() -> str | None:
    """Why no file system can be mounted here; None where one can: one was."""
    if shutil.which(_UNMOUNT) is None:
        return f"not installed: {_UNMOUNT}"
    with tempfile.TemporaryDirectory(prefix="fsd-powercut-") as root:
        folder = Path(root) / "probe"
        folder.mkdir()
        try:
            with PoweredFolder(folder, Path(root)) as disk:
                disk.on()
        except ToolError as error:
            return str(error)
    return None
