"""The spool's benchmark on a small scale: that it measures what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipState
from fsd_tools.bench.spool_held import CLIP_BYTES, REGION, Fleet
from fsd_tools.bench.spool_ingest import MIB, MIX, SIZES_BYTES, Ingest, megabytes_a_second
from fsd_tools.bench.spool_stores import HEADER_BYTES, parts_of
from fsd_tools.rig.rig import Rig


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Rig(tmp_path_factory.mktemp("rig")) as rig:
        yield Fleet(rig)


def test_every_way_is_timed_the_same_number_of_times_and_nothing_stays(fleet: Fleet, tmp_path: Path) -> None:
    stores, seconds = fleet.stores(tmp_path), dict[str, list[float]]()
    try:
        Ingest(stores, tmp_path, pairs={"0.5 MiB": 2}, mixes=1).round(seconds, turned=True)
        waiting = stores.journal.levels()
    finally:
        stores.close()
    counts = {name: len(times) for name, times in seconds.items()}
    assert counts == {
        f"{call} {name}": count
        for call in ("put", "plain", "take")
        for name, count in (("0.5 MiB", 2), (MIX, 1))
    }
    assert list((tmp_path / "plain").iterdir()) == []
    assert not stores.spool.entries()
    sealed = {level.state: (level.clips, level.size_bytes) for level in waiting}[ClipState.SEALED]
    assert sealed == (
        10,
        MIB + sum(SIZES_BYTES[size] for size in ("0.5 MiB",) * 5 + ("2 MiB",) * 2 + ("8 MiB",)),
    )
    assert megabytes_a_second({"put 2 MiB": [1.0, 2.0, 9.0]}, "put", "2 MiB") == pytest.approx(1.048576)


def test_a_sealed_file_comes_in_the_parts_that_sealing_gives() -> None:
    content = bytes(range(256)) * 1000
    parts = parts_of(content)
    assert b"".join(parts) == content
    assert [len(part) for part in parts] == [HEADER_BYTES, 65552, 65552, 65552, 58644]


def test_an_agent_with_a_filled_spool_tells_about_itself(fleet: Fleet) -> None:
    config = fleet.fill(30)
    measured = fleet.run_agent(config, 1.0)
    assert measured.start_s > 0
    assert measured.start_cpu_s > 0
    assert 10e6 < measured.imported_bytes < measured.held_bytes < 1e9
    assert measured.peak_bytes >= 0.99 * measured.held_bytes, "the kernel counts its peak in steps"
    assert not measured.connected, "nobody serves the region here"
    journal = SqliteJournal(config.parent / "data-30" / "journal.db")
    try:
        (level,) = journal.levels()
    finally:
        journal.close()
    assert (level.region_id, level.state, level.clips) == (REGION, ClipState.SEALED, 30)
    assert level.size_bytes == 30 * CLIP_BYTES
