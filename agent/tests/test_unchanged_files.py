"""A file that did not change is not read again, and whatever may have changed is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.trust_files import public_key_text, read_public_keys
from fsd_agent.adapters.unchanged_files import KEPT_NS, MOST_FILES, SETTLED_NS, UnchangedFiles
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.wire.envelope import public_key_of

LATER_NS = 2 * SETTLED_NS


class Bench:
    """One file, read by somebody who counts, under clocks that can be set; times of files are the kernel's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.key"
        self.path.write_bytes(b"one")
        self.reads = 0
        self.ahead_ns, self.monotonic_ns = LATER_NS, 0
        self.while_reading: Callable[[], object] = int
        self.files = UnchangedFiles(
            self._read,
            wall_ns=lambda: time.time_ns() + self.ahead_ns,
            monotonic_ns=lambda: self.monotonic_ns,
        )

    def _read(self, path: Path) -> bytes:
        self.reads += 1
        data = path.read_bytes()
        self.while_reading()
        return data

    def get(self) -> bytes:
        return self.files.get(self.path)

    def settle(self) -> None:
        """It is read, and known from now on."""
        assert self.get() == self.get()
        assert self.reads == 1


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_did_not_change_is_read_once(bench: Bench) -> None:
    assert [bench.get() for _ in range(5)] == [b"one"] * 5
    assert bench.reads == 1


def rewrite_with_the_same_time(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_with_the_same_time(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def link_to_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"two")
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"two"),
        lambda path: path.write_bytes(b"another"),
        rewrite_with_the_same_time,
        replace_with_the_same_time,
        link_to_another,
    ],
)
def test_any_change_of_the_content_is_noticed_at_once(bench: Bench, change: Callable[[Path], None]) -> None:
    bench.settle()
    change(bench.path)
    assert bench.get() == bench.path.read_bytes() != b"one"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.chmod(0o666),
        lambda path: path.parent.chmod(0o777),
        lambda path: os.utime(path, ns=(0, 0)),
    ],
)
def test_modes_and_times_count_too(bench: Bench, change: Callable[[Path], None]) -> None:
    bench.settle()
    change(bench.path)
    assert bench.get() == b"one"
    assert bench.reads == 2


@pytest.mark.parametrize("change", [lambda path: path.chmod(0o620), lambda path: path.parent.chmod(0o777)])
def test_a_key_that_others_may_change_from_now_on_is_refused_at_once(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "cn.root"
    path.write_text(public_key_text(public_key_of(bytes(32)), "a key"))
    path.chmod(0o644)
    files = UnchangedFiles(read_public_keys, wall_ns=lambda: time.time_ns() + LATER_NS)
    assert files.get(path) == files.get(path) == (public_key_of(bytes(32)),)
    change(path)
    with pytest.raises(TrustError, match="others may"):
        files.get(path)


def test_a_file_that_is_gone_is_gone(bench: Bench) -> None:
    bench.settle()
    bench.path.unlink()
    with pytest.raises(FileNotFoundError):
        bench.get()
    bench.path.write_bytes(b"two")
    assert bench.get() == b"two"


def test_what_was_written_a_moment_ago_is_read_again_because_it_may_be_written_again_and_look_the_same(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    newest_ns = max(bench.path.stat().st_mtime_ns, bench.path.stat().st_ctime_ns)
    now_ns = [newest_ns + SETTLED_NS - 1]
    reads: list[bytes] = []
    files = UnchangedFiles(lambda path: reads.append(path.read_bytes()), wall_ns=lambda: now_ns[0])
    for _ in range(3):
        files.get(bench.path)
    assert len(reads) == 3
    now_ns[0] += 1
    for _ in range(3):
        files.get(bench.path)
    assert len(reads) == 4


@pytest.mark.parametrize("when", ["modified", "changed"])
def test_what_seems_to_come_from_the_future_is_always_read(bench: Bench, when: str) -> None:
    if when == "modified":
        os.utime(bench.path, ns=(0, time.time_ns() + 10 * LATER_NS))
    else:
        bench.ahead_ns = -LATER_NS
    for _ in range(3):
        bench.get()
    assert bench.reads == 3


def test_nothing_is_kept_for_ever(bench: Bench) -> None:
    bench.settle()
    bench.monotonic_ns = KEPT_NS - 1
    bench.get()
    assert bench.reads == 1
    bench.monotonic_ns = KEPT_NS
    bench.get()
    bench.get()
    assert bench.reads == 2


def test_a_clock_that_goes_back_ends_what_is_known(bench: Bench) -> None:
    bench.settle()
    bench.ahead_ns -= 1_000_000_000
    bench.get()
    assert bench.reads == 2


def test_what_changes_while_it_is_read_is_read_again(bench: Bench) -> None:
    bench.while_reading = lambda: bench.path.write_bytes(b"two")
    assert bench.get() == b"one"
    bench.while_reading = int
    assert bench.get() == b"two"


def test_a_fault_is_not_kept(bench: Bench) -> None:
    def fail() -> None:
        raise TrustError("no")

    bench.while_reading = fail
    for _ in range(2):
        with pytest.raises(TrustError):
            bench.get()
    bench.while_reading = int
    assert bench.get() == b"one"
    assert bench.reads == 3


def test_the_memory_is_bounded_and_forgetting_costs_only_reading(tmp_path: Path) -> None:
    reads: list[str] = []
    files = UnchangedFiles(lambda path: reads.append(path.name), wall_ns=lambda: time.time_ns() + LATER_NS)
    paths = [tmp_path / str(number) for number in range(MOST_FILES + 1)]
    for path in paths:
        path.touch()
        files.get(path)
    files.get(paths[-1])
    assert len(reads) == MOST_FILES + 1
    files.get(paths[0])
    assert len(reads) == MOST_FILES + 2


_steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "replace", "remove", "set back", "let time pass", "nothing"]),
        st.binary(min_size=2, max_size=3),
    ),
    max_size=20,
)


@given(_steps, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_said_is_always_what_lies_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes]], first_ns: int
) -> None:
    """Each content has a time of its own, as it has on a file system whose clock is finer than the changes."""
    bench = Bench(tmp_path_factory.mktemp("files"))
    for number, (step, data) in enumerate(steps):
        if step == "write":
            bench.path.write_bytes(data)
        elif step == "replace":
            bench.path.with_name("other").write_bytes(data)
            bench.path.with_name("other").replace(bench.path)
        elif step == "remove":
            bench.path.unlink(missing_ok=True)
        elif step == "set back":
            bench.ahead_ns -= 1
        elif step == "let time pass":
            bench.monotonic_ns += KEPT_NS
        if step in {"write", "replace"}:
            os.utime(bench.path, ns=(0, first_ns + number))
        for _ in range(2):
            if bench.path.exists():
                assert bench.get() == bench.path.read_bytes()
            else:
                with pytest.raises(FileNotFoundError):
                    bench.get()
