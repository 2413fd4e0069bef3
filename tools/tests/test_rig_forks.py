"""Processes that are forked at once: they say how they ended, and end with whoever asked for them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from fsd_tools.rig.forks import Forks

HERE = "tools.tests.test_rig_forks"
WAIT_S = 20.0
ASKS = f"""
import sys, time
from pathlib import Path
from fsd_tools.rig.forks import Forks
forks = Forks({HERE!r})
fork = forks.start("{HERE}:waits", [], log=Path(sys.argv[1]), on_line=lambda line: None)
print(fork.pid, flush=True)
time.sleep(600)
"""


def waits(_arguments: Sequence[str]) -> int:
    """Say so, and wait for a signal."""
    print("here", flush=True)
    signal.pause()
    return 0


def counts(arguments: Sequence[str]) -> int:
    """How many there are."""
    print(*arguments, flush=True)
    return len(arguments)


def gone(pid: int) -> bool:
    """Within some seconds; one that nobody has waited for yet is gone too."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_function_s_exit_code_and_lines_are_told(tmp_path: Path) -> None:
    forks, lines = Forks(HERE), list[bytes]()
    try:
        fork = forks.start(f"{HERE}:counts", ["a", "b", "c"], log=tmp_path / "log", on_line=lines.append)
        assert fork.wait(WAIT_S) == 3
        assert lines == [b"a b c\n"]
        assert "a b c" in fork.log_tail()
    finally:
        forks.close()


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_who_is_forked_does_not_outlive_who_asked(tmp_path: Path, how: str) -> None:
    if how == "closed":
        forks, lines = Forks(HERE), list[bytes]()
        fork = forks.start(f"{HERE}:waits", [], log=tmp_path / "log", on_line=lines.append)
        pid = fork.pid
        while not lines:
            time.sleep(0.01)
        assert psutil.pid_exists(pid)
        forks.close()
        assert fork.wait(WAIT_S) == -signal.SIGKILL
    else:
        argv = [sys.executable, "-c", ASKS, str(tmp_path / "log")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as asks:
            assert asks.stdout is not None
            pid = int(asks.stdout.readline())
            assert psutil.pid_exists(pid)
            asks.kill()
    assert gone(pid)
