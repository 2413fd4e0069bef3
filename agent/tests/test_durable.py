"""Files that are written whole: the same bytes however they came, and nothing beside them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.adapters import durable
from fsd_agent.adapters.write_out import begin_write_out

SIZES = st.lists(
    st.one_of(st.integers(0, 9), st.integers(60_000, 70_000), st.integers(500_000, 600_000)), max_size=6
)


@settings(max_examples=30, deadline=None)
@given(SIZES)
def test_a_file_is_what_was_given_whether_it_is_written_or_laid(sizes: list[int]) -> None:
    chunks = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as name:
        written, laid = Path(name) / "written", Path(name) / "laid"
        assert durable.write_file(written, chunks) == sum(sizes)
        fd = durable.lay_file(laid, iter(chunks))
        assert laid.read_bytes() == b"".join(chunks), "it is whole as soon as it is there"
        durable.sync_laid(laid, fd)
        durable.settle_file(laid)
        assert written.read_bytes() == laid.read_bytes() == b"".join(chunks)
        assert {path.name for path in Path(name).iterdir()} == {"laid", "written"}


def test_beginning_to_write_out_is_a_hint(tmp_path: Path) -> None:
    """It changes no byte, and where it can't be done nothing is said: the fsync says it."""
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"content")
        file.flush()
        begin_write_out(file.fileno(), 0, 7)
        begin_write_out(file.fileno(), 0, 0)
    assert (tmp_path / "file").read_bytes() == b"content"
    begin_write_out(-1, 0, 7)
