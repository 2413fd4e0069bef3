"""Children that tell what they do as NDJSON on stdout, and that never outlive their parent by accident.

A child leads its own process group, so that stopping it also stops what it started (a region's broker).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from fsd_tools.errors import ToolError
from fsd_tools.rig.forks import Fork

STOP_GRACE_S = 10.0
"""A child that was asked to stop and has not after this long is killed: the broker writes its database first."""

OnEvent = Callable[[Mapping[str, Any]], None]


class Child:
    """One process, its events and its log.

    ``on_event`` is called from a reader thread, one event at a time, for every JSON line on stdout; stdout and
    stderr also go to ``log``.
    """

    def __init__(self, name: str, argv: Sequence[str], *, log: Path, on_event: OnEvent | None = None) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file: IO[bytes] = log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            process_group=0,
        )
        self._on_event = on_event
        self._reader = threading.Thread(target=self._read, name=f"events of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        return self._process.pid

    def running(self) -> bool:
        """It has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Exit code; raises :class:`ToolError` with the end of its log when it takes longer."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{self.name} did not end within {timeout_s:.0f} s\n{self.log_tail()}") from error
        self._finish()
        return code

    def stop(self) -> int:
        """Ask it to end (SIGTERM), insist after a while, and return the exit code."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            return self.kill()
        self._finish()
        return self._process.returncode

    def kill(self) -> int:
        """End it and everything it started with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)
        code = self._process.wait(STOP_GRACE_S)
        self._finish()
        return code

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it printed."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _finish(self) -> None:
        self._reader.join(STOP_GRACE_S)
        if not self._log_file.closed:
            self._log_file.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError("stdout is a pipe")
        with stdout:
            for line in stdout:
                if not self._log_file.closed:
                    self._log_file.write(line)
                    self._log_file.flush()
                if self._on_event is not None:
                    hear(line, self._on_event)


class ForkedChild:
    """The same, of a process that was forked from one that has its imports behind it: it starts at once.

    It counts as running until everybody has closed its stdout.
    """

    def __init__(self, name: str, fork: Fork, log: Path) -> None:
        self.name = name
        self.log = log
        self._fork = fork

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        return self._fork.pid

    def running(self) -> bool:
        """It has not ended yet."""
        return self._fork.running()

    def wait(self, timeout_s: float) -> int:
        """Exit code; raises :class:`ToolError` with the end of its log when it takes longer."""
        return self._fork.wait(timeout_s)

    def stop(self) -> int:
        """Ask it to end (SIGTERM), insist after a while, and return the exit code."""
        self._signal(signal.SIGTERM)
        return self._fork.wait(0.0) if self._fork.ends(STOP_GRACE_S) else self.kill()

    def kill(self) -> int:
        """End it and everything it started with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)
        return self._fork.wait(STOP_GRACE_S)

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it printed."""
        return self._fork.log_tail(lines)

    def _signal(self, number: signal.Signals) -> None:
        if self.running():
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, number)


def hear(line: bytes, on_event: OnEvent) -> None:
    """Tell the event of a line, where it is one."""
    if not line.startswith(b"{"):
        return
    try:
        event = json.loads(line)
    except ValueError:
        return  # half a line of a killed child; the log has it
    on_event(event)


def fsdctl(
    *arguments: str | Path,
    timeout_s: float = 120.0,
    place: Callable[[list[str]], list[str]] = lambda argv: argv,
) -> str:
    """Run one ``fsdctl`` command and return its stdout; raises :class:`ToolError` with what it said.

    ``place`` makes it a command that runs elsewhere (:meth:`fsd_tools.rig.namespaces.Namespace.argv`).
    """
    argv = place([sys.executable, "-m", "fsd_tools", *map(str, arguments)])
    done = subprocess.run(  # noqa: S603 - argv is ours, no shell
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ToolError(f"fsdctl {' '.join(map(str, arguments[:2]))}: {said}")
    return done.stdout


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Poll ``condition`` until it holds; raises :class:`ToolError` naming ``what`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ToolError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.02)
