"""One agent a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_agent.adapters.data_lock import DataLock, DataLockedError


def test_a_second_agent_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = DataLock(tmp_path)
    with pytest.raises(DataLockedError, match=str(tmp_path)):
        DataLock(tmp_path)
    first.release()
    first.release()
    DataLock(tmp_path).release()
