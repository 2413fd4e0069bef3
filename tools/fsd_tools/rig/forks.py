"""Processes that start at once: each is forked from one that has imported what they need and done nothing else.

A bench that starts an agent thousands of times would spend most of its time on imports. What runs is a function of a module,
such as the agent's own command line, in a process and a process group of its own.

    python -m fsd_tools.rig.forks MODULE...

imports the modules and takes orders as JSON lines on stdin: ``target`` (``module:function``), ``arguments`` (texts), ``out``
(a pipe by name, its stdout) and ``log`` (a file, its stderr). It answers each with the process id. The function gives an exit
code, which is the last line on the pipe; where that is missing the process was killed.

Whoever asks may be killed at any time: then this process reads the end of its orders and ends, and with it those that were forked
from it (``prctl(2)``, PR_SET_PDEATHSIG), so that no region or agent is left behind at work.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from fsd_tools.errors import ToolError

OnLine = Callable[[bytes], None]
_EXIT = b"exit "
_PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


class Forks:
    """A process to fork from. Any thread may ask; close it when nothing is to be started any more."""

    def __init__(self, *modules: str) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            [sys.executable, "-m", "fsd_tools.rig.forks", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        """Processes that were started and still run are killed."""
        with self._asking:
            self._process.communicate()

    def start(self, target: str, arguments: Sequence[str], *, log: Path, on_line: OnLine) -> Fork:
        """``module:function`` in a new process; ``on_line`` gets each line on its stdout, from a thread."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fsd-fork-") as folder:
            out = Path(folder) / "out"
            os.mkfifo(out)
            # Both ends, so that neither side waits for the other; ours is for reading alone once both are there.
            both = os.open(out, os.O_RDWR)
            hears = os.open(out, os.O_RDONLY)
            order = {"target": target, "arguments": list(arguments), "out": str(out), "log": str(log)}
            with self._asking:
                _pipe(self._process.stdin).write(json.dumps(order).encode() + b"\n")
                _pipe(self._process.stdin).flush()
                answer = _pipe(self._process.stdout).readline()
            os.close(both)
        if not answer:
            os.close(hears)
            raise ToolError("the process to fork from has ended")
        return Fork(int(answer), hears, log, on_line)


class Fork:
    """One process."""

    def __init__(self, pid: int, hears: int, log: Path, on_line: OnLine) -> None:
        self._pid = pid
        self._log = log
        self._on_line = on_line
        self._code: int | None = None
        self._reader = threading.Thread(target=self._read, args=(hears,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        return self._pid

    def running(self) -> bool:
        """It has not ended yet, nor what holds its stdout."""
        return self._reader.is_alive()

    def wait(self, timeout_s: float) -> int:
        """Exit code; raises :class:`ToolError` when it takes longer, and -SIGKILL where it was killed."""
        self._reader.join(timeout_s)
        if self.running():
            raise ToolError(f"process {self._pid} did not end within {timeout_s:.0f} s\n{self.log_tail()}")
        return -signal.SIGKILL if self._code is None else self._code

    def ends(self, timeout_s: float) -> bool:
        """Whether it does within so long."""
        self._reader.join(timeout_s)
        return not self.running()

    def kill(self) -> None:
        """SIGKILL, without waiting: who waits for a disk is gone only when that answers or ends."""
        if self.running():
            try:
                os.kill(self._pid, signal.SIGKILL)
            except ProcessLookupError:  # it has just ended
                return

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it said."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _read(self, hears: int) -> None:
        """Until nobody has the other end open any more; the log gets it all."""
        with os.fdopen(hears, "rb") as lines, self._log.open("ab", buffering=0) as log:
            for line in lines:
                if line.startswith(_EXIT) and line.endswith(b"\n"):
                    self._code = int(line.removeprefix(_EXIT))
                    continue
                log.write(line)
                if line.endswith(b"\n"):  # else it was killed in the middle of it
                    self._on_line(line)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("it was made with a pipe")
    return pipe


def _serve() -> None:
    """Fork for each order; children are reaped by nobody."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    own = os.getpid()
    for line in sys.stdin:
        order = json.loads(line)
        out = os.open(order["out"], os.O_WRONLY)
        pid = os.fork()
        if pid == 0:
            _end_with(own)
            _work(order, out)
        os.close(out)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _end_with(parent: int) -> None:
    """This process is killed when ``parent`` ends; where that has just happened, or can't be had, it ends now."""
    asked = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if asked != 0 or os.getppid() != parent:
        os._exit(1)


def _work(order: dict[str, Any], out: int) -> None:
    """The new process; it does not come back."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for mine, standard in ((nothing, 0), (out, 1), (log, 2)):
        os.dup2(mine, standard)
        os.close(mine)
    code = 1
    try:
        module, _, function = order["target"].partition(":")
        code = getattr(sys.modules[module], function)(order["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a process: its traceback is in the log
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, _EXIT + b"%d\n" % code)
        os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    _serve()
