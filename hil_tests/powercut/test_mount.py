"""The disk as programs see it: an ordinary file system until its power goes, and then nothing at all."""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_tools.errors import ToolError
from fsd_tools.rig.processes import wait_until
from hil_tests.powercut.power import At, PoweredFolder
from hil_tests.powercut.terms import Count, Lie


@pytest.fixture
def disk(mounts: None, tmp_path: Path) -> Iterator[PoweredFolder]:
    folder = tmp_path / "folder"
    (folder / "before").mkdir(parents=True)
    (folder / "before" / "file").write_bytes(b"before")
    with PoweredFolder(folder, tmp_path / "logs") as disk:
        yield disk


def test_what_programs_do_to_files_works(disk: PoweredFolder) -> None:
    disk.on()
    folder = disk.folder
    assert (folder / "before" / "file").read_bytes() == b"before"
    (folder / "new").write_bytes(bytes(300_000))
    with (folder / "new").open("r+b") as file, mmap.mmap(file.fileno(), 300_000) as view:
        view[299_990:] = b"0123456789"
        view.flush()
        file.truncate(299_995)
    assert (folder / "new").read_bytes()[-6:] == b"\x0001234"
    (folder / "new").write_bytes(b"shorter")
    (folder / "link").symlink_to("new")
    assert (folder / "link").read_bytes() == b"shorter"
    (folder / "new").rename(folder / "before" / "file")
    assert sorted(path.name for path in folder.iterdir()) == ["before", "link"]
    assert (folder / "before" / "file").read_bytes() == b"shorter"
    (folder / "before" / "file").chmod(0o600)
    assert (folder / "before" / "file").stat().st_mode & 0o777 == 0o600
    assert os.statvfs(folder).f_bavail > 100_000
    with pytest.raises(OSError, match="not empty"):
        (folder / "before").rmdir()
    disk.end()
    assert (folder / "before" / "file").read_bytes() == b"shorter"
    assert (folder / "link").readlink() == Path("new")


def test_a_file_that_is_unlinked_while_it_is_open_has_no_name_and_goes_on(disk: PoweredFolder) -> None:
    disk.on()
    path = disk.folder / "open"
    with path.open("w+b") as file:
        file.write(b"first")
        file.flush()
        path.unlink()
        assert [one.name for one in disk.folder.iterdir()] == ["before"]
        file.write(b" and second")
        file.seek(0)
        assert file.read() == b"first and second"
        assert os.fstat(file.fileno()).st_size == 16
    disk.end()
    assert [one.name for one in disk.folder.iterdir()] == ["before"]


def test_locks_keep_others_out_and_go_with_the_power(disk: PoweredFolder) -> None:
    for _ in range(2):
        disk.on()
        with (disk.folder / "lock").open("w") as one, (disk.folder / "lock").open("w") as other:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        disk.end()


def test_from_the_cut_on_nothing_is_answered_and_the_program_can_be_killed(disk: PoweredFolder) -> None:
    disk.on(stop_at=3, seed=1)
    running = _run(disk, "for n in range(9): open(folder + f'/{n}', 'x').close(); print(n, flush=True)")
    wait_until(lambda: disk.at() is not None, timeout_s=30.0, what="the cut")
    assert disk.at() == At(3, "create", "/2")
    assert running.poll() is None
    running.kill()
    disk.off()
    said, _ = running.communicate()
    assert said.split() == [b"0", b"1"]
    assert running.returncode == -signal.SIGKILL
    assert {one.name for one in disk.folder.iterdir()} <= {"before", "0", "1", "2"}


def test_steps_are_what_is_not_written(disk: PoweredFolder) -> None:
    disk.on(stop_at=2, count=Count.STEPS)
    running = _run(
        disk, "f = open(folder + '/f', 'wb', 0); f.write(b'1'); f.write(b'2'); os.fsync(f.fileno())"
    )
    wait_until(lambda: disk.at() is not None, timeout_s=30.0, what="the cut")
    assert disk.at() == At(4, "fsync", "/f")
    running.kill()
    disk.off()
    running.communicate()


def test_the_power_can_be_cut_between_two_operations(disk: PoweredFolder) -> None:
    disk.on(seed=2)
    fd = os.open(disk.folder / "synced", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x")
    os.fsync(fd)
    os.close(fd)
    above = os.open(disk.folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(above)
    os.close(above)
    disk.off()
    assert disk.at() is None
    assert (disk.folder / "synced").read_bytes() == b"x"


@pytest.mark.parametrize("lie", [Lie.NONE, Lie.FOLDERS])
def test_a_lie_costs_what_was_said_to_be_synced(mounts: None, tmp_path: Path, lie: Lie) -> None:
    left = set()
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        disk = PoweredFolder(folder, tmp_path / "logs", lie=lie)
        disk.on(seed=seed)
        (folder / "name").mkdir()
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(above)
        os.close(above)
        disk.off()
        left.add((folder / "name").exists())
    assert left == ({True} if lie is Lie.NONE else {True, False})


def test_what_can_not_be_mounted_is_said(mounts: None, tmp_path: Path) -> None:
    with PoweredFolder(tmp_path / "missing", tmp_path / "logs") as disk:
        with pytest.raises(ToolError, match="missing was not mounted"):
            disk.on()
        assert not disk.is_on
    assert [one.name for one in tmp_path.iterdir()] == ["logs"]


def _run(disk: PoweredFolder, program: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", f"import os; folder = {str(disk.folder)!r}\n{program}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)
