"""A call that comes back is as if it had been made here; one that doesn't is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from fsd_firmware.in_time import in_time


def test_what_it_returns_and_raises_is_the_callers() -> None:
    assert in_time(lambda: 7, within_s=30, name="seven") == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, within_s=30, name="zero")


def test_it_is_scheduled_like_its_caller() -> None:
    def niced() -> list[int]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        return [in_time(lambda: os.getpriority(os.PRIO_PROCESS, 0), within_s=30, name="nice")]

    assert in_time(niced, within_s=30, name="niced") == [7]


def test_a_call_that_does_not_come_back_is_left_behind() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError, match=r"^the library: not back after 0\.05 s$"):
        in_time(release.wait, within_s=0.05, name="the library")
    assert any(one.name == "the library" for one in threading.enumerate())
    release.set()


def test_the_process_ends_without_it() -> None:
    program = (
        "import threading\n"
        "from fsd_firmware.in_time import in_time\n"
        "try:\n    in_time(threading.Event().wait, within_s=0.01, name='x')\n"
        "except TimeoutError:\n    print('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "went on\n"
