"""Looking at a real disk, and keeping room on one: full, out of inodes, and read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.data_disk import PROBE_BYTES, UNCOUNTED, DataDisk, free_of
from fsd_agent.adapters.reserve_files import ReserveFiles
from fsd_agent.ports.disk import Reserve
from fsd_agent.records.room import NOTHING, Amount
from fsd_agent.testing.disk import MemoryDisk, MemoryReserve

PART = 64 << 10


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def use_up_inodes(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for number in range(10_000):
            (folder / str(number)).touch()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """The file system of ``disk`` takes no writes."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def test_what_is_free_is_what_may_be_written(small_disk: Path) -> None:
    disk = DataDisk(small_disk)
    free = disk.look(write=False).free
    assert (free.size_bytes, free.size_bytes % 4096) == (1_572_864, 0)
    (small_disk / "more").write_bytes(bytes(8192))
    assert disk.look(write=False).free == Amount(free.size_bytes - 8192, free.files - 1)


def test_a_write_is_timed_and_takes_one_block(small_disk: Path) -> None:
    disk = DataDisk(small_disk)
    for _ in range(2):
        seen = disk.look(write=True)
        assert seen.write_ns is not None
        assert 0 < seen.write_ns < 60 * 10**9
        assert seen.fault == ""
    assert (small_disk / "probe").stat().st_size == PROBE_BYTES
    assert disk.look(write=False).write_ns is None


def test_a_full_disk_is_full_and_not_at_fault(small_disk: Path) -> None:
    disk = DataDisk(small_disk)
    fill(small_disk / "filler")
    seen = disk.look(write=True)
    assert (seen.free.size_bytes, seen.write_ns, seen.fault, seen.is_read_only) == (0, None, "", False)


def test_a_disk_that_was_written_to_before_can_be_probed_when_it_is_full(small_disk: Path) -> None:
    disk = DataDisk(small_disk)
    disk.look(write=True)
    fill(small_disk / "filler")
    assert disk.look(write=True).write_ns is not None


def test_a_read_only_disk_is_not_written_to(small_disk: Path) -> None:
    disk = DataDisk(small_disk)
    with read_only(small_disk):
        seen = disk.look(write=True)
    assert (seen.is_read_only, seen.write_ns, seen.fault) == (True, None, "")
    assert disk.look(write=True).write_ns is not None


def test_what_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "probe").symlink_to("elsewhere")
    assert DataDisk(tmp_path).look(write=True).fault.startswith(f"{tmp_path / 'probe'}: ")
    gone = DataDisk(tmp_path / "gone").look(write=True)
    assert (gone.free, gone.fault) == (NOTHING, f"{tmp_path / 'gone'}: No such file or directory")


def test_a_file_system_that_does_not_count_has_more_than_anybody_needs() -> None:
    """btrfs counts no inodes, and some user space file systems count nothing."""

    def answer(**counts: int) -> os.statvfs_result:
        names = (
            "bsize",
            "frsize",
            "blocks",
            "bfree",
            "bavail",
            "files",
            "ffree",
            "favail",
            "flag",
            "namemax",
        )
        return os.statvfs_result([counts.get(name, 0) for name in names])

    counted = answer(bsize=1, frsize=512, blocks=9, bfree=8, bavail=7, files=6, ffree=5, favail=4)
    assert free_of(counted) == Amount(7 * 512, 4)
    assert free_of(answer(frsize=512, blocks=9)) == Amount(0, UNCOUNTED)
    assert free_of(answer(frsize=512, files=6)) == Amount(UNCOUNTED, 0)


# The reserve


def reserve(folder: Path, parts: int = 4) -> ReserveFiles:
    return ReserveFiles(folder / "reserve", part_bytes=PART, parts=parts)


@pytest.fixture(params=["memory", "files"])
def some(request: pytest.FixtureRequest, tmp_path: Path) -> Reserve:
    if request.param == "files":
        return reserve(tmp_path)
    return MemoryReserve(MemoryDisk(Amount(10**9, 10**6)), part=Amount(PART, 1), parts=4)


def test_parts_are_kept_and_given_up_one_by_one(some: Reserve) -> None:
    assert (some.part, some.held, some.give_up()) == (Amount(PART, 1), NOTHING, False)
    assert [some.add() for _ in range(5)] == [True] * 4 + [False]
    assert some.held == Amount(4 * PART, 4)
    assert some.give_up()
    assert some.held == Amount(3 * PART, 3)
    assert some.add()
    assert [some.give_up() for _ in range(5)] == [True] * 4 + [False]


def test_a_part_is_room_on_the_disk_in_bytes_and_in_files(small_disk: Path) -> None:
    disk, kept = DataDisk(small_disk), reserve(small_disk)
    before = disk.look(write=False).free
    while kept.add():
        pass
    assert disk.look(write=False).free == before.beyond(kept.held)
    use_up_inodes(small_disk)
    fill(small_disk / "1")
    assert disk.look(write=False).free == NOTHING
    assert not kept.add()
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "new").write_bytes(b"1")
    assert kept.give_up()
    (small_disk / "new").write_bytes(bytes(PART))
    assert not kept.add()
    assert len(list((small_disk / "reserve").iterdir())) == 3


def test_no_half_part_stays_behind(small_disk: Path) -> None:
    kept = reserve(small_disk)
    fill(small_disk / "filler")
    (small_disk / "ballast").write_bytes(bytes((512 << 10) - PART // 2))
    assert not kept.add()
    assert list((small_disk / "reserve").iterdir()) == []


def test_what_is_there_is_taken_up_again_and_what_does_not_fit_goes(tmp_path: Path) -> None:
    kept = reserve(tmp_path)
    while kept.add():
        pass
    (tmp_path / "reserve" / "01.reserve").write_bytes(bytes(PART - 1))
    (tmp_path / "reserve" / "note").write_text("a stranger's")
    again = reserve(tmp_path, parts=3)
    assert again.held == Amount(2 * PART, 2)
    assert sorted(path.name for path in (tmp_path / "reserve").iterdir()) == [
        "00.reserve",
        "02.reserve",
        "note",
    ]
    assert [again.add(), again.add()] == [True, False]


def test_a_read_only_disk_gives_nothing_up(small_disk: Path) -> None:
    kept = reserve(small_disk)
    assert kept.add()
    with read_only(small_disk):
        assert (kept.give_up(), kept.add()) == (False, False)
        assert kept.held == Amount(PART, 1)
    assert kept.give_up()
