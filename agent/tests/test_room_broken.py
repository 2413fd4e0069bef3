"""A disk that turns read-only, fails or becomes slow under open files: journal, ledger, staging and all.

A process of its own has a library before libc that refuses changes (``faulty_disk.c``); no remount can do that to files that
are open.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("faulty_disk.c")
ROOT = Path(__file__).resolve().parents[2]


def run(code: str, folder: Path) -> str:
    """Run Python ``code`` with ``folder`` as its disk; what it prints. There, ``fault(error, sync_ms)`` sets what happens."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the library that makes a disk fail can't be built")
    library, control, disk = folder / "faulty_disk.so", folder / "fault", folder / "disk"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True
    )
    control.write_bytes(struct.pack("=ii", 0, 0))
    disk.mkdir()
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FSD_DISK_FAULT": str(control),
        "FSD_DISK_FOLDER": str(disk),
    }
    prelude = f"""
import os, struct
from pathlib import Path
from agent.tests.test_room_faults import *
from fsd_agent.ports.ledger import LedgerError
control = os.open({str(control)!r}, os.O_WRONLY)
def fault(error, sync_ms=0):
    os.pwrite(control, struct.pack("=ii", error, sync_ms), 0)
disk = Path({str(disk)!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


BROKEN = """
car = Car(disk)
car.event()
car.event()
car.seal()
car.event()
car.event(priority=9, in_between=lambda: fault({error}))
assert len(car.rows(ClipState.STAGED)) == 1, "its closing waits for the journal"
car.look()
assert car.levels() == ["broken"]
for number in range(3):
    car.event(priority=100 + number)
assert {{one.campaign_id for one in car.journal.totals()}} == {{"p0", "p9"}}, "the others wait in memory"
assert [car.room.step(state) for state in (CAPTURED, SEALED)] == [(), ()]
assert (len(car.rows(SEALED)), len(car.rows(CAPTURED))) == (2, 1)
for row in car.rows(SEALED):
    assert len(car.spool.region("cn").read(Purpose.SAFETY, row.clip_id, 0, 10**9)) == SEALED_BYTES
fault(0)
for _ in range(LOOKS):
    try:
        car.look()
    except LedgerError as error:
        print("upkeep fails, so that the agent is started anew:", error)
assert car.levels() == ["broken", "ample"]
car.event(priority=55)
assert car.dropped_firings() == {{
    "p100": {{DropReason.DISK_FAILED: 1}},
    "p101": {{DropReason.DISK_FAILED: 1}},
    "p102": {{DropReason.DISK_FAILED: 1}},
    "p55": {{DropReason.LEDGER_FAILED: 1}},
}}
assert [row.cut for row in car.rows(CAPTURED)] == [False, True]
car.journal.close()
with contextlib.suppress(LedgerError):
    car.ledger.close()
again = Car(disk)
again.recover()
again.check()
assert [row.cut for row in again.rows(CAPTURED)] == [False, True]
again.event(priority=77)
assert len(again.rows(CAPTURED)) == 3
again.check()
print("nothing is lost")
"""


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO])
def test_a_disk_that_breaks_under_open_files_keeps_what_was_accepted_and_counts_what_it_could_not(
    tmp_path: Path, error: int
) -> None:
    told = run(BROKEN.format(error=error), tmp_path).splitlines()
    assert "could not be cut back after a failed write" in told[0]
    assert told[1] == "nothing is lost"


SLOW = """
import time
from fsd_agent.adapters.data_disk import DataDisk
from fsd_agent.records.room import NOTHING
from fsd_agent.rules.spool.headroom import Headroom, follow
limits = headroom_limits(Amount(1, 1), Amount(1, 1), slow_ns=50_000_000)
looks, now = DataDisk(disk), Headroom()
def level(count):
    global now
    for _ in range(count):
        now = follow(now, looks.look(write=True), NOTHING, limits)
    return now.level.name
print(level(3))
fault(0, sync_ms=80)
print(level(3))
fault(0)
print(level(30))
"""


def test_a_slow_disk_is_found_by_its_writes(tmp_path: Path) -> None:
    assert run(SLOW, tmp_path).split() == ["AMPLE", "SCARCE", "AMPLE"]
