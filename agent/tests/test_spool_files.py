"""The spool on real files: whole or not at all, each in its compartment."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters import durable
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.ports.spool import SpoolError, SpoolFullError, SpoolStore
from fsd_agent.records.clip import SealedClip
from fsd_agent.testing.spool import MemorySpool

CLIP = "ab" * 16
OTHER = "cd" * 16


@pytest.fixture(params=["memory", "files"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> SpoolStore:
    return MemorySpool() if request.param == "memory" else SpoolFiles(tmp_path / "spool")


def test_put_read_erase(spool: SpoolStore) -> None:
    content = bytes(range(256)) * 300
    chunks = (content[at : at + 1000] for at in range(0, len(content), 1000))
    assert spool.put("eu", CLIP, chunks) == SealedClip(
        CLIP, "eu", len(content), hashlib.sha256(content).digest()
    )
    assert spool.read("eu", CLIP, 0, len(content)) == content
    assert spool.read("eu", CLIP, 70_000, 1 << 20) == content[70_000:]
    assert spool.read("eu", CLIP, 100, 0) == b""
    assert spool.read("eu", CLIP, 1 << 30, 5) == b""
    spool.put("cn", CLIP, [b"x"])
    assert spool.entries() == {("eu", CLIP), ("cn", CLIP)}
    spool.erase("eu", CLIP)
    spool.erase("eu", CLIP)
    spool.erase("us", CLIP)
    assert spool.entries() == {("cn", CLIP)}
    with pytest.raises(SpoolError, match=CLIP):
        spool.read("eu", CLIP, 0, 1)


def test_put_replaces(spool: SpoolStore) -> None:
    spool.put("eu", CLIP, [b"old and long"])
    spool.put("eu", CLIP, [b"new"])
    assert spool.read("eu", CLIP, 0, 100) == b"new"


@pytest.mark.parametrize(
    ("region", "clip"), [("..", CLIP), ("eu/../cn", CLIP), ("", CLIP), ("eu", "../" + CLIP[3:]), ("eu", "x")]
)
def test_no_id_reaches_out(spool: SpoolStore, region: str, clip: str) -> None:
    for call in (
        lambda: spool.put(region, clip, [b"x"]),
        lambda: spool.read(region, clip, 0, 1),
        lambda: spool.erase(region, clip),
    ):
        with pytest.raises(SpoolError, match="not "):
            call()
    assert spool.entries() == frozenset()


def test_a_put_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"new"
        raise KeyError("sealing failed")

    spool = SpoolFiles(tmp_path)
    spool.put("eu", CLIP, [b"old"])
    with pytest.raises(KeyError):
        spool.put("eu", CLIP, breaking())
    assert spool.read("eu", CLIP, 0, 9) == b"old"
    assert [path.name for path in (tmp_path / "eu").iterdir()] == [f"{CLIP}.sealed"]


def test_a_full_disk_leaves_no_half_file(small_disk: Path) -> None:
    spool = SpoolFiles(small_disk / "spool")
    spool.put("eu", CLIP, [bytes(64 << 10)])
    with pytest.raises(SpoolFullError, match="No space left"):
        spool.put("eu", OTHER, (bytes(64 << 10) for _ in range(100)))
    with pytest.raises(SpoolFullError):
        spool.put("eu", CLIP, (bytes(64 << 10) for _ in range(100)))
    assert [path.name for path in (small_disk / "spool" / "eu").iterdir()] == [f"{CLIP}.sealed"]
    assert spool.read("eu", CLIP, 0, 1 << 20) == bytes(64 << 10)
    assert shutil.disk_usage(small_disk).free > 1 << 20, "what the failed puts took is back"
    spool.put("eu", OTHER, [bytes(64 << 10)] * 4)


LIMITED = """
import resource, sys
from pathlib import Path
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.ports.spool import SpoolFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
try:
    SpoolFiles(Path(sys.argv[1])).put("eu", "ab" * 16, [bytes(3_000)] * 3)
except SpoolFullError as error:
    print(error)
"""


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path}/eu/{CLIP}.sealed: File too large\n"
    assert list((tmp_path / "eu").iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.spool_files import SpoolFiles
spool = SpoolFiles(Path(sys.argv[1]))
n = int(sys.argv[2])
while True:
    spool.put("eu", f"{n:032x}", [n.to_bytes(4, "big") * 4_000] * 8)
    print(n, flush=True)
    n += 1
"""


def test_killed_in_the_middle_of_puts(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    for lines in (1, 5, 40):
        first = lines * 1_000
        told = int(kill_after_lines(KILLED, lines, str(tmp_path), str(first))[-1])
        spool = SpoolFiles(tmp_path)
        spool.sweep()
        found = {int(clip_id, 16) for _, clip_id in spool.entries()}
        assert set(range(first, told + 1)) <= found
        for n in found:
            assert spool.read("eu", f"{n:032x}", 0, 1 << 20) == n.to_bytes(4, "big") * 32_000
        assert len(list((tmp_path / "eu").iterdir())) == len(found)


def test_sweep_takes_only_what_writes_left(tmp_path: Path) -> None:
    spool = SpoolFiles(tmp_path)
    spool.put("eu", CLIP, [b"x"])
    (tmp_path / "eu" / f".{OTHER}.sealed.0123abcd.tmp").write_bytes(b"half")
    (tmp_path / "eu" / "notes.tmp").write_bytes(b"a person's")
    (tmp_path / "Not A Region").mkdir()
    assert (spool.sweep(), spool.sweep()) == (1, 0)
    assert sorted(path.name for path in (tmp_path / "eu").iterdir()) == [f"{CLIP}.sealed", "notes.tmp"]
    assert spool.entries() == {("eu", CLIP)}


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    spool = SpoolFiles(tmp_path / "spool")
    spool.put("eu", OTHER, [b"x"])
    (tmp_path / "spool" / "eu" / f"{CLIP}.sealed").symlink_to(secret)
    (tmp_path / "spool" / "cn").symlink_to(tmp_path / "spool" / "eu")
    assert spool.entries() == {("eu", OTHER)}
    with pytest.raises(SpoolError):
        spool.read("eu", CLIP, 0, 6)


def test_remove_and_folders(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")
    size, digest = durable.write_file(tmp_path / "a" / "b" / "f", [b"1", b"", b"23"])
    assert (size, digest) == (3, hashlib.sha256(b"123").digest())
    assert durable.remove(tmp_path / "a" / "b" / "f")
    assert not durable.remove(tmp_path / "a" / "b" / "f")
    with pytest.raises(SpoolError, match="missing"):
        durable.write_file(tmp_path / "missing" / "f", [b"x"])
