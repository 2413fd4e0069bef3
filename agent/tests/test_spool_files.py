"""The spool on real files: whole or not at all, each in its compartment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from fsd_agent.adapters import durable
from fsd_agent.adapters.spool_files import FileLanding, SpoolFiles
from fsd_agent.ports.spool import SpoolError, SpoolFullError, SpoolStore
from fsd_agent.records.clip import SealedClip, SealedFile
from fsd_agent.records.purpose import Purpose
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.wire.pieces import FileIdentity

CLIP = "ab" * 16
OTHER = "cd" * 16


def folder(root: Path, region: str = "eu") -> Path:
    return root / region / "safety"


def large() -> SealedFile:
    return SealedFile(6400 << 10, bytes(32), (bytes(64 << 10) for _ in range(100)))


@pytest.fixture(params=["memory", "files"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> SpoolStore:
    keys = keyed("eu", "cn")
    return MemorySpool(keys) if request.param == "memory" else SpoolFiles(tmp_path / "spool", keys)


def test_put_read_erase(spool: SpoolStore) -> None:
    content = bytes(range(256)) * 300
    chunks = (content[at : at + 1000] for at in range(0, len(content), 1000))
    file = SealedFile(len(content), bytes(32), chunks)
    assert spool.put(at("eu"), CLIP, file) == SealedClip(
        CLIP, "eu", len(content), FileIdentity.of(content).sha256
    )
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, len(content)) == content
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 70_000, 1 << 20) == content[70_000:]
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 100, 0) == b""
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 1 << 30, 5) == b""
    spool.put(at("cn"), CLIP, as_file(b"x"))
    assert spool.entries() == {(at("eu"), CLIP), (at("cn"), CLIP)}
    spool.erase(at("eu"), CLIP)
    spool.erase(at("eu"), CLIP)
    spool.erase(at("us"), CLIP)
    assert spool.entries() == {(at("cn"), CLIP)}
    with pytest.raises(SpoolError, match=CLIP):
        spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 1)


def test_put_replaces(spool: SpoolStore) -> None:
    spool.put(at("eu"), CLIP, as_file(b"old and long"))
    spool.put(at("eu"), CLIP, as_file(b"new"))
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 100) == b"new"


@pytest.mark.parametrize(
    ("region", "clip"), [("..", CLIP), ("eu/../cn", CLIP), ("", CLIP), ("eu", "../" + CLIP[3:]), ("eu", "x")]
)
def test_no_id_reaches_out(spool: SpoolStore, region: str, clip: str) -> None:
    for call in (
        lambda: spool.put(at(region), clip, as_file(b"x")),
        lambda: spool.settle(at(region), clip),
        lambda: spool.region(region).read(Purpose.SAFETY, clip, 0, 1),
        lambda: spool.erase(at(region), clip),
    ):
        with pytest.raises(SpoolError, match="not "):
            call()
    assert spool.entries() == frozenset()


def test_a_file_says_of_itself_what_was_sealed(spool: SpoolStore) -> None:
    region = spool.region("eu")
    with pytest.raises(SpoolError):
        region.identity(Purpose.SAFETY, CLIP)
    for content in (b"first", bytes(1_500_000)):
        spool.put(at("eu"), CLIP, as_file(content))
        assert region.identity(Purpose.SAFETY, CLIP) == FileIdentity.of(content)


def test_a_put_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"new"
        raise KeyError("sealing failed")

    spool = SpoolFiles(tmp_path, keyed("eu"))
    spool.put(at("eu"), CLIP, as_file(b"old"))
    with pytest.raises(KeyError):
        spool.put(at("eu"), CLIP, SealedFile(9, bytes(32), breaking()))
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 9) == b"old"
    assert [path.name for path in folder(tmp_path).iterdir()] == [f"{CLIP}.sealed"]


def test_a_file_that_has_begun_is_whole_and_known_before_it_lands(spool: SpoolStore) -> None:
    landing = spool.begin(at("eu"), CLIP, as_file(b"content"))
    assert landing.clip == SealedClip(CLIP, "eu", 7, FileIdentity.of(b"content").sha256)
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 9) == b"content"
    assert landing.land() == landing.clip
    assert spool.entries() == {(at("eu"), CLIP)}


def test_what_has_begun_can_be_undone(spool: SpoolStore) -> None:
    landing = spool.begin(at("eu"), CLIP, as_file(b"content"))
    landing.undo()
    assert spool.entries() == frozenset()
    spool.put(at("eu"), CLIP, as_file(b"again"))
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 9) == b"again"


def test_settling_changes_nothing_and_needs_nothing(spool: SpoolStore) -> None:
    spool.settle(at("eu"), CLIP)
    spool.put(at("eu"), CLIP, as_file(b"content"))
    spool.settle(at("eu"), CLIP)
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 9) == b"content"


def test_a_file_that_does_not_land_is_not_read_from_memory(tmp_path: Path) -> None:
    """The kernel would go on giving out what the medium has refused."""
    path = tmp_path / "file"
    fd = durable.lay_file(path, [b"content"])
    os.close(fd)
    failed: Future[None] = Future()
    with pytest.raises(SpoolError, match="Bad file descriptor") as found:
        durable.sync_laid(path, fd)
    failed.set_exception(found.value)
    landing = FileLanding(path, SealedClip(CLIP, "eu", 7, bytes(32)), failed)
    with pytest.raises(SpoolError, match="Bad file descriptor"):
        landing.land()
    assert not path.exists()


def test_a_full_disk_leaves_no_half_file(small_disk: Path) -> None:
    spool = SpoolFiles(small_disk / "spool", keyed("eu"))
    spool.put(at("eu"), CLIP, as_file(bytes(64 << 10)))
    with pytest.raises(SpoolFullError, match="No space left"):
        spool.put(at("eu"), OTHER, large())
    with pytest.raises(SpoolFullError):
        spool.put(at("eu"), CLIP, large())
    assert [path.name for path in folder(small_disk / "spool").iterdir()] == [f"{CLIP}.sealed"]
    assert spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 1 << 20) == bytes(64 << 10)
    assert shutil.disk_usage(small_disk).free > 1 << 20, "what the failed puts took is back"
    spool.put(at("eu"), OTHER, as_file(bytes(256 << 10)))


LIMITED = """
import resource, sys
from pathlib import Path
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.ports.spool import SpoolFullError
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.sealed import as_file
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
try:
    SpoolFiles(Path(sys.argv[1]), keyed("eu")).put(at("eu"), "ab" * 16, as_file(bytes(9_000)))
except SpoolFullError as error:
    print(error)
"""


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path}/eu/safety/{CLIP}.sealed: File too large\n"
    assert list(folder(tmp_path).iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.sealed import as_file
spool = SpoolFiles(Path(sys.argv[1]), keyed("eu"))
n = int(sys.argv[2])
while True:
    spool.put(at("eu"), f"{n:032x}", as_file(n.to_bytes(4, "big") * 32_000))
    print(n, flush=True)
    n += 1
"""


def test_killed_in_the_middle_of_puts(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    for lines in (1, 5, 40):
        first = lines * 1_000
        told = int(kill_after_lines(KILLED, lines, str(tmp_path), str(first))[-1])
        spool = SpoolFiles(tmp_path, keyed("eu"))
        spool.sweep()
        found = {int(clip_id, 16) for _, clip_id in spool.entries()}
        assert set(range(first, told + 1)) <= found
        for n in found:
            assert (
                spool.region("eu").read(Purpose.SAFETY, f"{n:032x}", 0, 1 << 20)
                == n.to_bytes(4, "big") * 32_000
            )
        assert len(list(folder(tmp_path).iterdir())) == len(found)


def test_sweep_takes_only_what_writes_left(tmp_path: Path) -> None:
    spool = SpoolFiles(tmp_path, keyed("eu"))
    spool.put(at("eu"), CLIP, as_file(b"x"))
    (folder(tmp_path) / f".{OTHER}.sealed.0123abcd.tmp").write_bytes(b"half")
    (folder(tmp_path) / "notes.tmp").write_bytes(b"a person's")
    (tmp_path / "Not A Region").mkdir()
    (tmp_path / "eu" / "no_purpose").mkdir()
    assert (spool.sweep(), spool.sweep()) == (1, 0)
    assert sorted(path.name for path in folder(tmp_path).iterdir()) == [f"{CLIP}.sealed", "notes.tmp"]
    assert spool.entries() == {(at("eu"), CLIP)}


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    spool = SpoolFiles(tmp_path / "spool", keyed("eu"))
    spool.put(at("eu"), OTHER, as_file(b"x"))
    (folder(tmp_path / "spool") / f"{CLIP}.sealed").symlink_to(secret)
    (tmp_path / "spool" / "cn").symlink_to(tmp_path / "spool" / "eu")
    assert spool.entries() == {(at("eu"), OTHER)}
    with pytest.raises(SpoolError):
        spool.region("eu").read(Purpose.SAFETY, CLIP, 0, 6)
    with pytest.raises(SpoolError):
        spool.settle(at("eu"), CLIP)


def test_remove_and_folders(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")
    assert durable.write_file(tmp_path / "a" / "b" / "f", [b"1", b"", b"23"]) == 3
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"123"
    assert durable.remove(tmp_path / "a" / "b" / "f")
    assert not durable.remove(tmp_path / "a" / "b" / "f")
    with pytest.raises(SpoolError, match="missing"):
        durable.write_file(tmp_path / "missing" / "f", [b"x"])
