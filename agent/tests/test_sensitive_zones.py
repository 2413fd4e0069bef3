"""In a sensitive zone nothing is collected, and nothing where nobody knows whether it is one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import SensitiveZone
from fsd_agent.records.zone import Zone
from fsd_agent.rules.residency.zones import POSITION_GOOD_NS, Positions, collected_here, zone_reached
from fsd_firmware.samples import GnssFixes

S = 1_000_000_000
OUTLINE = Zone("harbour", ((31.0, 121.0), (31.0, 122.0), (32.0, 122.0), (32.0, 121.0)))
HOLE = Zone("harbour", ((31.4, 121.4), (31.4, 121.6), (31.6, 121.6), (31.6, 121.4)))
ISLAND = Zone("harbour", ((33.0, 121.0), (33.0, 122.0), (34.0, 121.5)))
ZONES = (SensitiveZone("harbour", ((OUTLINE, HOLE), (ISLAND,))),)


def fixes(*rows: tuple[float, float, float]) -> GnssFixes:
    """(seconds, latitude, longitude)."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    nothing = np.zeros(len(rows))
    return GnssFixes((table[:, 0] * S).astype(np.int64), table[:, 1], table[:, 2], nothing, nothing, nothing)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ((31.2, 121.2), DropReason.SENSITIVE_ZONE),
        ((31.5, 121.5), None),
        ((33.3, 121.5), DropReason.SENSITIVE_ZONE),
        ((32.5, 121.5), None),
        ((121.2, 31.2), None),
        (None, DropReason.POSITION_UNKNOWN),
    ],
)
def test_inside_outside_in_a_hole_and_nowhere(
    position: tuple[float, float] | None, expected: DropReason | None
) -> None:
    assert collected_here(ZONES, position) is expected
    assert collected_here((), position) is None


def test_one_of_several_zones_is_enough() -> None:
    other = SensitiveZone("port", ((Zone("port", ((10.0, 10.0), (10.0, 11.0), (11.0, 10.5))),),))
    for zones in ((*ZONES, other), (other, *ZONES)):
        assert collected_here(zones, (31.2, 121.2)) is DropReason.SENSITIVE_ZONE
        assert collected_here(zones, (50.0, 50.0)) is None
        assert zone_reached(zones, fixes((1, 50.0, 50.0), (2, 10.3, 10.5))) == "port"


@given(latitude=st.floats(30, 35), longitude=st.floats(120, 123), polygons=st.permutations(ZONES[0].polygons))
def test_a_zone_is_the_union_of_its_polygons(
    latitude: float, longitude: float, polygons: list[tuple[Zone, ...]]
) -> None:
    parts = [
        collected_here((SensitiveZone("one", (polygon,)),), (latitude, longitude)) for polygon in polygons
    ]
    whole = collected_here((SensitiveZone("both", tuple(polygons)),), (latitude, longitude))
    assert (whole is not None) == any(parts)


def test_the_newest_position_at_the_moment_counts_while_it_is_good() -> None:
    where = Positions()
    assert where.at(0) is None
    where.take(fixes((1, 31.2, 121.2), (2, 40.0, 100.0)))
    assert where.at(S - 1) is None
    assert where.at(S) == (31.2, 121.2)
    assert where.at(2 * S) == (40.0, 100.0)
    assert where.at(2 * S + POSITION_GOOD_NS) == (40.0, 100.0)
    assert where.at(2 * S + POSITION_GOOD_NS + 1) is None


def test_fixes_without_a_position_count_for_nothing() -> None:
    where = Positions()
    where.take(fixes((1, 31.2, 121.2), (2, np.nan, 121.2), (3, 31.2, np.nan), (4, np.inf, 0.0)))
    assert where.at(5 * S) == (31.2, 121.2)
    assert zone_reached(ZONES, fixes((1, np.nan, np.nan), (2, 0.0, 0.0))) is None
    assert zone_reached(ZONES, fixes((1, np.nan, np.nan), (2, 31.2, 121.2))) == "harbour"
    assert zone_reached(ZONES, fixes()) is None
    assert zone_reached((), fixes((1, 31.2, 121.2))) is None


@settings(max_examples=60)
@given(
    seconds=st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True).map(sorted),
    cuts=st.sets(st.integers(0, 40), max_size=5),
    back=st.integers(0, 40),
)
def test_the_answer_does_not_depend_on_how_fixes_were_cut_into_batches(
    seconds: list[int], cuts: set[int], back: int
) -> None:
    rows = [(float(at), at / 10, at / 5) for at in seconds]
    whole, cut = Positions(), Positions()
    whole.take(fixes(*rows))
    edges = [0, *sorted(edge for edge in cuts if edge < len(rows)), len(rows)]
    for start, end in itertools.pairwise(edges):
        if rows[start:end]:
            cut.take(fixes(*rows[start:end]))
    asked = max(0, seconds[-1] - min(back, 30)) * S
    assert whole.at(asked) == cut.at(asked)
    newest = max((at for at in seconds if at * S <= asked), default=None)
    good = newest is not None and asked - newest * S <= POSITION_GOOD_NS
    assert cut.at(asked) == ((newest / 10, newest / 5) if good and newest is not None else None)
