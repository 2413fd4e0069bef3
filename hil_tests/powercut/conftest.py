"""One region for all vehicles whose power is cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hil_tests.powercut.journeys import Fleet
from hil_tests.powercut.power import why_not
from hil_tests.powercut.road import lay_campaigns, lay_drive


@pytest.fixture(scope="session")
def mounts() -> None:
    """Skips where no file system can be mounted."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def fleet(mounts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A region that is up."""
    root = tmp_path_factory.mktemp("powercut")
    fleet = Fleet(root / "rig", lay_drive(root), lay_campaigns(root))
    try:
        yield fleet
    finally:
        fleet.close()
