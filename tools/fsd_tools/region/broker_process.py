"""One broker as a child process: started until it takes connections, stopped, killed. The one home of this, for whichever broker.

It never outlives us: the kernel sends it SIGTERM when our thread that started it ends, however that comes about (setpriv(1);
``prctl(2)``, PR_SET_PDEATHSIG). Set by another program, because we may have threads, and a child that is forked from
them may run nothing of ours.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsd_tools.errors import ToolError

LOG_LINES = 8
"""Of its log, in an error message."""
_SBIN = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"
"""Where Debian installs brokers; in part not on a user's PATH."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a broker may take."""

    start_s: float = 10.0
    stop_s: float = 5.0
    """It may write its database before it ends."""


PATIENCE = Patience()


def find_broker(program: str, advice: str) -> str:
    """Path of the binary. Raises :class:`ToolError` with the advice."""
    found = shutil.which(program) or shutil.which(program, path=_SBIN)
    if found is None:
        raise ToolError(advice)
    return found


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


class BrokerProcess:
    """See the module. It can be started again after it was stopped or killed."""

    def __init__(self, name: str, address: tuple[str, int], log: Path, patience: Patience = PATIENCE) -> None:
        """``name`` is for error messages; what it says is appended to ``log``."""
        self._name = name
        self._address = address
        self._log = log
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise AssertionError("not started")
        return self._process.pid

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Start it and wait until it takes connections. Raises :class:`ToolError` with the end of its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - of our own brokers
                ["setpriv", "--pdeathsig", "TERM", *argv],  # noqa: S607 - util-linux, wherever it lies
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                process_group=0,  # A Ctrl-C at a terminal is for us, who stop it in order
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise :class:`ToolError` with the end of its log if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ToolError(
                f"{self._name} ended with exit code {self._process.returncode}:\n{self.log_tail()}"
            )

    def stop(self) -> None:
        """Ask it to end, as a service manager does, and insist after a while. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._patience.stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """The end of what it said; nothing where it said nothing."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + self._patience.start_s
        while not listens(*self._address):
            self.check()
            if time.monotonic() > deadline:
                took = f"takes no connections after {self._patience.start_s:.0f} s"
                raise ToolError(f"{self._name} {took}:\n{self.log_tail()}")
            time.sleep(0.02)
        self.check()
