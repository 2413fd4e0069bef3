"""Which positions lie in a zone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.zone import Zone

YARD = Zone(
    "yard", ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 3.0), (1.0, 3.0), (1.0, 1.0), (4.0, 1.0), (4.0, 0.0))
)
"""A U that opens to the north, (latitude, longitude)."""


def inside(zone: Zone, *places: tuple[float, float]) -> list[bool]:
    lat, lon = (np.array(column, np.float64) for column in zip(*places, strict=True))
    return zone.contains(lat, lon).tolist()


def test_a_bay_is_outside_and_its_arms_are_inside() -> None:
    found = inside(
        YARD, (0.5, 2.0), (3.0, 0.5), (3.0, 3.5), (3.0, 2.0), (5.0, 0.5), (-0.5, 2.0), (2.0, 4.5), (2.0, -1.0)
    )
    assert found == [True, True, True, False, False, False, False, False]


def test_a_corner_on_the_way_north_is_crossed_once() -> None:
    diamond = Zone("diamond", ((0.0, 1.0), (1.0, 2.0), (2.0, 1.0), (1.0, 0.0)))
    assert inside(diamond, (1.0, 1.0), (-1.0, 1.0), (3.0, 1.0), (0.5, 2.0), (0.5, 0.0)) == [
        True,
        *[False] * 4,
    ]


def test_what_is_not_a_number_is_nowhere() -> None:
    assert inside(YARD, (float("nan"), 2.0), (0.5, float("nan"))) == [False, False]


@given(
    st.integers(3, 9),
    st.floats(0, 6),
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1),
    st.booleans(),
)
def test_a_convex_zone_is_the_same_side_of_all_its_edges(
    count: int, turn: float, places: list[tuple[float, float]], clockwise: bool
) -> None:
    around = np.linspace(0, 2 * np.pi, count, endpoint=False)[:: -1 if clockwise else 1] + turn
    corners = np.stack([np.sin(around), np.cos(around)], axis=1)
    edges = np.roll(corners, -1, axis=0) - corners
    found = inside(Zone("z", tuple(map(tuple, corners.tolist()))), *places)
    for place, is_inside in zip(places, found, strict=True):
        to = np.array(place) - corners
        side = edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0]
        if np.abs(side).min() > 1e-9:  # On an edge either answer will do.
            assert is_inside == bool((side > 0).all() or (side < 0).all())


@given(st.integers(0, 7))
def test_it_does_not_matter_where_a_ring_begins(first: int) -> None:
    turned = Zone("yard", YARD.corners[first:] + YARD.corners[:first])
    places = [(lat / 3 + 0.01, lon / 3 + 0.01) for lat in range(-2, 15) for lon in range(-2, 15)]
    assert inside(turned, *places) == inside(YARD, *places)
