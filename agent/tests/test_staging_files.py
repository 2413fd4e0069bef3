"""Staging on real files: whole parts come back, torn ends are ends, damage is said, a full disk costs one part."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.staging_records import HEADER_BYTES, RecordCipher
from fsd_agent.ports.spool import SpoolError, SpoolFullError, Staging, StagingWriter
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.wire.compartment import use_key

CLIP = "ab" * 16
OTHER = "cd" * 16
EU = at("eu")
KEYS, OTHER_KEYS = keyed("eu"), keyed("eu", seed="car-2")
KEY = use_key(KEYS.compartment_key(*EU), EU, "staging")
RECORD_OVERHEAD = 24 + 16


@pytest.fixture(params=["memory", "files"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Staging:
    return MemoryStaging(KEYS) if request.param == "memory" else StagingFiles(tmp_path / "staging", KEYS)


def write(staging: Staging, parts: list[bytes], clip_id: str = CLIP) -> None:
    writer = staging.open(EU, clip_id)
    for part in parts:
        writer.append(part)
    writer.close()


def test_parts_come_back_in_order(staging: Staging) -> None:
    parts = [b"a", b"", b"c" * 100_000]
    write(staging, parts)
    assert list(staging.read(EU, CLIP)) == parts
    assert staging.entries() == {(EU, CLIP)}
    staging.erase(EU, CLIP)
    staging.erase(EU, CLIP)
    assert staging.entries() == frozenset()
    with pytest.raises(SpoolError, match=CLIP):
        list(staging.read(EU, CLIP))


def test_a_clip_is_opened_once(staging: Staging) -> None:
    write(staging, [b"a"])
    with pytest.raises(SpoolError, match=r"[Ee]xists"):
        staging.open(EU, CLIP)
    assert list(staging.read(EU, CLIP)) == [b"a"]


def test_a_closed_writer_refuses(staging: Staging) -> None:
    writer = staging.open(EU, CLIP)
    writer.close()
    writer.close()
    with pytest.raises(SpoolError, match="closed"):
        writer.append(b"x")


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "AB" * 16, "ab" * 16 + "/x"])
def test_ids_that_are_no_ids(staging: Staging, bad: str) -> None:
    with pytest.raises(SpoolError, match="not 32 lower-case hex digits"):
        staging.open(EU, bad)


def test_nothing_is_readable_without_the_key(tmp_path: Path) -> None:
    secret = b"a face at a window " * 50
    write(StagingFiles(tmp_path, KEYS), [secret])
    assert secret[:19] not in path_of(tmp_path).read_bytes()
    with pytest.raises(SpoolError, match="of another clip, compartment or device"):
        list(StagingFiles(tmp_path, OTHER_KEYS).read(EU, CLIP))
    path_of(tmp_path).rename(path_of(tmp_path, OTHER))  # a file can't be passed off as another clip's
    with pytest.raises(SpoolError, match="of another clip, compartment or device"):
        list(StagingFiles(tmp_path, KEYS).read(EU, OTHER))


def test_the_same_parts_never_encrypt_alike(tmp_path: Path) -> None:
    staging = StagingFiles(tmp_path, KEYS)
    write(staging, [b"same"])
    first = path_of(tmp_path).read_bytes()
    staging.erase(EU, CLIP)
    write(staging, [b"same"])
    assert path_of(tmp_path).read_bytes()[HEADER_BYTES:] != first[HEADER_BYTES:]


def path_of(folder: Path, clip_id: str = CLIP) -> Path:
    return folder / "eu" / "safety" / f"{clip_id}.staged"


def test_torn_at_every_byte(tmp_path: Path) -> None:
    staging = StagingFiles(tmp_path, KEYS)
    parts = [b"first", b"the second", b"3"]
    write(staging, parts)
    whole = path_of(tmp_path).read_bytes()
    ends = [HEADER_BYTES]
    for part in parts:
        ends.append(ends[-1] + RECORD_OVERHEAD + len(part))
    assert ends[-1] == len(whole)
    for length in range(len(whole) + 1):
        path_of(tmp_path).write_bytes(whole[:length])
        expected = parts[: sum(end <= length for end in ends[1:])]
        assert list(staging.read(EU, CLIP)) == expected, length


def synced_file(folder: Path) -> tuple[StagingFiles, bytes, list[bytes], list[int]]:
    """Three parts, a sync after each; content, parts, and where each record begins."""
    staging = StagingFiles(folder, KEYS)
    parts = [b"one" * 9, b"two" * 9, b"three" * 9]
    writer = staging.open(EU, CLIP)
    starts = []
    for part in parts:
        starts.append(path_of(folder).stat().st_size)
        writer.append(part)
        writer.sync()
    writer.close()
    return staging, path_of(folder).read_bytes(), parts, starts


def test_damage_to_any_synced_byte_is_said(tmp_path: Path) -> None:
    staging, whole, parts, starts = synced_file(tmp_path)
    for offset in range(len(whole)):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x10
        path_of(tmp_path).write_bytes(damaged)
        got: list[bytes] = []
        if offset >= starts[2]:  # the last record: as good as a torn end
            assert list(staging.read(EU, CLIP)) == parts[:2], offset
            continue
        with pytest.raises(SpoolError, match=str(path_of(tmp_path))):
            got.extend(staging.read(EU, CLIP))


def test_a_record_cut_out_of_the_middle_is_said(tmp_path: Path) -> None:
    staging, whole, _, starts = synced_file(tmp_path)
    path_of(tmp_path).write_bytes(whole[: starts[1]] + whole[starts[2] :])
    with pytest.raises(SpoolError, match="record 1"):
        list(staging.read(EU, CLIP))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    staging, whole, _, _ = synced_file(tmp_path)
    path_of(tmp_path).write_bytes(whole[:6] + b"\x00\x02" + whole[8:])
    with pytest.raises(SpoolError, match="format 2 is newer than 1"):
        list(staging.read(EU, CLIP))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 3_000), min_size=1, max_size=12),
    synced=st.integers(0, 12),
    data=st.data(),
)
def test_any_power_cut_keeps_what_was_synced(
    tmp_path: Path, sizes: list[int], synced: int, data: st.DataObject
) -> None:
    """After the last sync, sectors may be missing in any order and the file may end anywhere."""
    staging = StagingFiles(tmp_path, KEYS)
    staging.erase(EU, CLIP)
    parts = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    writer = staging.open(EU, CLIP)
    safe = HEADER_BYTES
    for n, part in enumerate(parts):
        writer.append(part)
        if n + 1 == synced:
            writer.sync()
            safe = path_of(tmp_path).stat().st_size
    content = bytearray(path_of(tmp_path).read_bytes())  # before close, which would sync the rest
    writer.close()
    for start in range(0, len(content), 512):
        if data.draw(st.booleans()):
            begin = max(start, safe)
            content[begin : start + 512] = bytes(max(0, min(start + 512, len(content)) - begin))
    content = content[: data.draw(st.integers(safe, len(content)))]
    path_of(tmp_path).write_bytes(content)
    got = list(staging.read(EU, CLIP))
    assert got == parts[: len(got)]
    assert len(got) >= (synced if synced <= len(parts) else 0)


def fill(writer: StagingWriter) -> int:
    """Append until the disk is full; how many parts were taken."""
    for taken in range(1_000):
        try:
            writer.append(bytes([taken % 251]) * 100_000)
        except SpoolFullError:
            return taken
    raise AssertionError("never full")


def test_a_full_disk_costs_one_part(small_disk: Path) -> None:
    staging = StagingFiles(small_disk / "staging", KEYS)
    writer = staging.open(EU, CLIP)
    written = fill(writer)
    size = path_of(small_disk / "staging").stat().st_size
    assert size == HEADER_BYTES + written * (100_000 + RECORD_OVERHEAD)  # cut back to whole records
    writer.sync()
    (small_disk / "ballast").unlink()
    writer.append(b"room again" * 10_000)
    writer.close()
    parts = list(staging.read(EU, CLIP))
    assert len(parts) == written + 1
    assert parts[-1] == b"room again" * 10_000
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(4 << 20))
    with pytest.raises(SpoolFullError):
        staging.open(EU, OTHER)
    assert staging.entries() == {(EU, CLIP)}  # no half file


LIMITED = """
import resource, sys
from pathlib import Path
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.ports.spool import SpoolFullError
from fsd_agent.testing.compartments import at, keyed
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
staging = StagingFiles(Path(sys.argv[1]), keyed("eu"))
writer = staging.open(at("eu"), "ab" * 16)
for n in range(100):
    try:
        writer.append(bytes([n]) * 700)
    except SpoolFullError:
        break
writer.append(b"small")  # what still fits is taken
writer.close()
print(n)
"""


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    count = int(done.stdout)
    assert count == (5_000 - HEADER_BYTES) // (700 + RECORD_OVERHEAD)
    parts = list(StagingFiles(tmp_path, KEYS).read(EU, CLIP))
    assert parts == [bytes([n]) * 700 for n in range(count)] + [b"small"]


def test_a_nonce_is_never_used_twice(small_disk: Path) -> None:
    """A part that did not fit burns its nonce: the blocks that were given back may still hold its ciphertext."""
    staging = StagingFiles(small_disk / "staging", KEYS)
    writer = staging.open(EU, CLIP)
    writer.append(b"first")
    with pytest.raises(SpoolFullError):
        writer.append(bytes(4 << 20))
    writer.append(b"second")
    writer.close()
    content = path_of(small_disk / "staging").read_bytes()
    cipher = RecordCipher(KEY, CLIP, content[24:56])
    first = cipher.encode(b"first", index=0, sequence=0, synced=0)
    assert content == cipher.header + first + cipher.encode(b"second", index=1, sequence=2, synced=0)


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.testing.compartments import at, keyed
writer = StagingFiles(Path(sys.argv[1]), keyed("eu")).open(at("eu"), sys.argv[2])
n = 0
while True:
    writer.append(n.to_bytes(4, "big") * 5_000)
    writer.sync()
    print(n, flush=True)
    n += 1
"""


def test_killed_in_the_middle_of_appends(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    for n, lines in enumerate((1, 5, 60)):
        clip_id = f"{n:032x}"
        told = int(kill_after_lines(KILLED, lines, str(tmp_path), clip_id)[-1])
        parts = list(StagingFiles(tmp_path, KEYS).read(EU, clip_id))
        assert len(parts) in {told + 1, told + 2}
        assert parts == [n.to_bytes(4, "big") * 5_000 for n in range(len(parts))]


def test_strangers_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    path_of(tmp_path).parent.mkdir(parents=True)
    (path_of(tmp_path).parent / "README").write_text("x")
    path_of(tmp_path, OTHER).symlink_to(tmp_path / "README")
    assert StagingFiles(tmp_path, KEYS).entries() == frozenset()


def test_the_fake_loses_what_was_not_synced() -> None:
    staging = MemoryStaging(KEYS, capacity_bytes=10)
    writer = staging.open(EU, CLIP)
    writer.append(b"12345")
    writer.sync()
    writer.append(b"678")
    with pytest.raises(SpoolFullError):
        writer.append(b"90ab")
    staging.power_cut()
    assert list(staging.read(EU, CLIP)) == [b"12345"]
