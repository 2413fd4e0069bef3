"""What a cut may leave, on plain files: everything that a disk may do to what was not synced, and nothing else."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_tests.powercut.disk import ROOT, Disk, File, Folder, Link
from hil_tests.powercut.folder import load, save
from hil_tests.powercut.survive import Kept, KeptFile, everything, survivors

SEEDS = range(400)
BLOCK = 4096


def test_what_was_synced_is_there_whatever_the_seed() -> None:
    disk = Disk()
    number = put(disk, "/clip", b"x" * 3 * BLOCK)
    disk.sync(number)
    disk.sync_folder(ROOT)
    disk.resize(number, BLOCK)
    disk.sync(number)
    assert contents(disk, "/clip") == {b"x" * BLOCK}


def test_blocks_that_were_not_synced_are_lost_and_kept_each_for_itself() -> None:
    disk = on_medium("/clip", b"a" * 3 * BLOCK)
    disk.write(disk.find("/clip"), 0, b"b" * 3 * BLOCK)
    put(disk, "/later", b"")
    seen = {bytes(one[n * BLOCK] for n in range(3)) for one in contents(disk, "/clip") if one is not None}
    assert seen == {b"aaa", b"aab", b"aba", b"abb", b"baa", b"bab", b"bba", b"bbb"}


def test_a_block_may_hold_what_it_held_in_between() -> None:
    disk = on_medium("/clip", b"a" * BLOCK)
    for letter in (b"b", b"c"):
        disk.write(disk.find("/clip"), 0, letter * BLOCK)
    disk.write(put(disk, "/later", b""), 0, b"last")
    seen = contents(disk, "/clip")
    assert {b"a" * BLOCK, b"b" * BLOCK, b"c" * BLOCK} <= seen
    assert {piece for one in seen for piece in pieces(one)} == {b"a" * 512, b"b" * 512, b"c" * 512}


def test_the_last_write_is_torn_inside_a_block_and_no_other_is() -> None:
    disk = on_medium("/clip", b"a" * 2 * BLOCK)
    disk.write(disk.find("/clip"), 0, b"b" * BLOCK)
    disk.write(disk.find("/clip"), BLOCK, b"c" * BLOCK)
    seen = [pieces(one) for one in contents(disk, "/clip")]
    assert {piece for one in seen for piece in one[:8]} == {b"a" * 512, b"b" * 512}
    torn = {piece for one in seen for piece in one[8:]} - {b"a" * 512, b"c" * 512}
    assert torn
    assert all(not piece.lstrip(b"c").rstrip(b"a") for piece in torn), (
        "the beginning of the new, the rest of the old"
    )


def test_sizes_are_old_or_new_and_what_never_came_is_zero() -> None:
    disk = on_medium("/clip", b"a" * 100)
    disk.write(disk.find("/clip"), 100, b"b" * (2 * BLOCK - 100))
    disk.write(put(disk, "/later", b""), 0, b"last")
    seen = contents(disk, "/clip")
    assert {len(one) for one in seen if one is not None} == {100, 2 * BLOCK}
    assert b"a" * 100 + bytes(2 * BLOCK - 100) in seen
    assert all(one is not None and one.startswith(b"a" * 100) for one in seen)


def test_truncating_may_not_have_come_and_leaves_zeros_where_it_did() -> None:
    disk = on_medium("/clip", b"a" * 2 * BLOCK)
    disk.resize(disk.find("/clip"), 10)
    disk.resize(disk.find("/clip"), BLOCK)
    seen = contents(disk, "/clip")
    assert {b"a" * 2 * BLOCK, b"a" * 10, b"a" * 10 + bytes(BLOCK - 10)} <= seen


def test_a_synced_file_loses_its_name_with_a_folder_that_was_not() -> None:
    disk = Disk()
    disk.sync(put(disk, "/clip", b"x"))
    assert contents(disk, "/clip") == {None, b"x"}
    disk.sync_folder(ROOT)
    assert contents(disk, "/clip") == {b"x"}


def test_a_name_that_came_before_its_content() -> None:
    disk = Disk()
    put(disk, "/clip", b"x" * BLOCK)
    disk.sync_folder(ROOT)
    assert {b"", b"x" * BLOCK, bytes(BLOCK)} <= contents(disk, "/clip")


def test_a_rename_came_whole_or_not_at_all() -> None:
    disk = on_medium("/clip", b"old")
    disk.sync(put(disk, "/.clip.tmp", b"new"))
    disk.sync_folder(ROOT)
    disk.rename("/.clip.tmp", "/clip")
    assert trees(disk) == {
        (("/.clip.tmp", b"new"), ("/clip", b"old")),
        (("/clip", b"new"),),
    }
    disk.sync_folder(ROOT)
    assert trees(disk) == {(("/clip", b"new"),)}


def test_a_rename_to_another_folder_leaves_one_name_or_both() -> None:
    disk = Disk()
    for folder in ("/a", "/b"):
        disk.add(folder, Folder(0o700))
    disk.sync(put(disk, "/a/clip", b"x"))
    disk.sync_all()
    disk.rename("/a/clip", "/b/clip")
    assert {tuple(path for path, _ in tree) for tree in trees(disk)} == {
        ("/a/clip",),
        ("/b/clip",),
        ("/a/clip", "/b/clip"),
    }
    disk.sync_folder(disk.find("/a"))
    assert trees(disk) == {(("/b/clip", b"x"),)}, "the old name can't go before the new one is there"


def test_an_unlinked_file_comes_back_until_the_folder_is_synced() -> None:
    disk = on_medium("/clip", b"x")
    disk.unlink("/clip")
    assert contents(disk, "/clip") == {None, b"x"}
    disk.sync_folder(ROOT)
    assert contents(disk, "/clip") == {None}


def test_a_folder_that_was_not_synced_above_takes_along_what_is_in_it() -> None:
    disk = Disk()
    number = disk.add("/region", Folder(0o700))
    disk.sync(put(disk, "/region/clip", b"x"))
    disk.sync_folder(number)
    assert contents(disk, "/region/clip") == {None, b"x"}
    disk.sync_folder(ROOT)
    assert contents(disk, "/region/clip") == {b"x"}


def test_names_are_lost_each_for_itself() -> None:
    disk = Disk()
    for name in "abc":
        disk.sync(put(disk, f"/{name}", name.encode()))
    assert len(trees(disk)) == 8


def test_a_seed_leaves_one_state() -> None:
    disk = on_medium("/clip", b"a" * 9 * BLOCK)
    disk.write(disk.find("/clip"), 5, b"b" * 8 * BLOCK)
    put(disk, "/new", b"x")
    assert survivors(disk, 7).tree == survivors(disk, 7).tree
    assert len({repr(survivors(disk, seed).tree) for seed in SEEDS}) > 100


def test_some_cuts_leave_nothing_uncertain_and_some_leave_everything() -> None:
    disk = on_medium("/clip", b"a" * 2 * BLOCK)
    before = everything(disk).tree
    disk.write(disk.find("/clip"), 0, b"b" * 2 * BLOCK)
    put(disk, "/new", b"x")
    after = everything(disk).tree
    left = [survivors(disk, seed).tree for seed in SEEDS]
    assert before in left
    assert after in left


NAMES = st.sampled_from(["/a", "/b", "/d", "/d/a", "/d/b"])
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.binary(max_size=5)),
    st.tuples(st.just("folder"), NAMES),
    st.tuples(st.just("write"), NAMES, st.integers(0, 2 * BLOCK), st.binary(min_size=1, max_size=5)),
    st.tuples(st.just("resize"), NAMES, st.integers(0, 2 * BLOCK)),
    st.tuples(st.just("unlink"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("sync"), NAMES),
    st.tuples(st.just("sync folder"), NAMES),
    st.tuples(st.just("sync all")),
)


@given(st.lists(STEPS, max_size=25), st.integers(0, 1000))
def test_whatever_was_done_a_sync_of_everything_makes_it_certain(
    steps: list[tuple[object, ...]], seed: int
) -> None:
    disk = Disk()
    for step in steps:
        do(disk, step)
        survivors(disk, seed)  # Looking changes nothing
    disk.sync_all()
    disk.write(disk.add("/last", File(0o600)), 0, b"not synced")
    certain = {path: kept for path, kept in survivors(disk, seed).tree.items() if path != "/last"}
    assert certain == {path: kept for path, kept in everything(disk).tree.items() if path != "/last"}


@given(st.lists(STEPS, max_size=25))
def test_programs_see_what_a_real_folder_shows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    disk, real = Disk(), tmp_path_factory.mktemp("real")
    for step in steps:
        assert do(disk, step) == do_really(real, step), step
    assert everything(disk).tree == everything(load(real)).tree


def test_a_folder_is_taken_up_and_laid_down_as_it_is(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "keys").mkdir(parents=True, mode=0o700)
    after.mkdir()
    (before / "keys" / "device.key").write_bytes(bytes(range(256)) * 100)
    (before / "keys" / "device.key").chmod(0o600)
    (before / "current").symlink_to("keys")
    save(survivors(load(before), 3), after)
    assert everything(load(after)).tree == everything(load(before)).tree
    assert (after / "current" / "device.key").read_bytes() == bytes(range(256)) * 100


def put(disk: Disk, path: str, content: bytes) -> int:
    """A new file."""
    number = disk.add(path, File(0o644))
    if content:
        disk.write(number, 0, content)
    return number


def on_medium(path: str, content: bytes) -> Disk:
    """A disk that is sure to hold one file."""
    disk = Disk()
    put(disk, path, content)
    disk.sync_all()
    return disk


def contents(disk: Disk, path: str) -> set[bytes | None]:
    """Every content that a file is left with; None where its name is gone."""
    found = (survivors(disk, seed).tree.get(path) for seed in SEEDS)
    return {one.content if isinstance(one, KeptFile) else None for one in found}


def pieces(content: bytes | None) -> list[bytes]:
    """Of the smallest size of a block."""
    assert content is not None
    return [content[at : at + 512] for at in range(0, len(content), 512)]


def trees(disk: Disk) -> set[tuple[tuple[str, bytes], ...]]:
    """Every state that the files are left in."""
    return {_files(survivors(disk, seed).tree.items()) for seed in SEEDS}


def _files(tree: Iterable[tuple[str, Kept]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((path, kept.content) for path, kept in tree if isinstance(kept, KeptFile)))


def do(disk: Disk, step: tuple[object, ...]) -> int:
    """One step; the number of the error, or 0."""
    return _attempt(lambda: _do(disk, step))


def _do(disk: Disk, step: tuple[object, ...]) -> None:
    match step:
        case ("put", str(path), bytes(content)):
            put(disk, path, content)
        case ("folder", str(path)):
            disk.add(path, Folder(0o755))
        case ("write", str(path), int(offset), bytes(data)):
            disk.write(disk.find(path), offset, data)
        case ("resize", str(path), int(size)):
            disk.resize(disk.find(path), size)
        case ("unlink", str(path)):
            disk.unlink(path)
        case ("rename", str(old), str(new)):
            disk.rename(old, new)
        case ("sync", str(path)):
            disk.sync(disk.find(path))
        case ("sync folder", str(path)):
            disk.sync_folder(disk.find(path))
        case _:
            disk.sync_all()


def do_really(root: Path, step: tuple[object, ...]) -> int:
    """The same in a real folder; syncing shows nothing there."""
    return _attempt(lambda: _do_really(root, step))


def _do_really(root: Path, step: tuple[object, ...]) -> None:
    match step:
        case ("put", str(path), bytes(content)):
            _put_really(root / path[1:], content)
        case ("folder", str(path)):
            (root / path[1:]).mkdir(mode=0o755)
        case ("write", str(path), int(offset), bytes(data)):
            _write_really(root / path[1:], offset, data)
        case ("resize", str(path), int(size)):
            _resize_really(root / path[1:], size)
        case ("unlink", str(path)):
            (root / path[1:]).unlink()
        case ("rename", str(old), str(new)):
            (root / old[1:]).rename(root / new[1:])
        case ("sync", str(path)):
            _write_really(root / path[1:], 0, b"")
        case ("sync folder", str(path)):
            list((root / path[1:]).iterdir())


def _put_really(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
    path.chmod(0o644)


def _write_really(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _resize_really(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _attempt(act: Callable[[], object]) -> int:
    try:
        act()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def test_a_link_is_a_name_like_any_other() -> None:
    disk = Disk()
    disk.add("/1", Link("nowhere"))
    disk.sync_folder(ROOT)
    disk.add("/.tmp", Link("somewhere"))
    disk.sync_folder(ROOT)
    disk.rename("/.tmp", "/1")
    left = {survivors(disk, seed).tree["/1"] for seed in SEEDS}
    assert left == {Link("nowhere"), Link("somewhere")}
