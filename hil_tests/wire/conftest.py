"""One world for all tests of the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsd_tools.rig.forks import Forks
from fsd_tools.rig.namespaces import why_not
from hil_tests.wire.world import World


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where network namespaces can't be made."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def world(namespaces: None, forks: Forks) -> Iterator[World]:
    """Regions and a car in network namespaces."""
    with World(forks) as world:
        yield world
