"""What a camera or a source shows, and the largest value of a list, at every look of several streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from fsd_agent.records.nodes import Node, Op, ValueType
from fsd_agent.rules.triggers.detections.looks import DetectionState, Looks
from fsd_agent.rules.triggers.detections.loops import Loop
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.operations import literal, number
from fsd_agent.testing.boxes import CAMERAS, MS, NAN, Frame, Seen, streams
from fsd_firmware.samples import Kind

PERSON, RIDER, CAR = Seen(100), Seen(300, kind=Kind.CYCLIST), Seen(600, kind=Kind.CAR)


def looked(frames: Sequence[Frame], until_ms: int = 5000) -> Looks:
    return DetectionState(CAMERAS).looks(streams(frames), since_ns=0, until_ns=until_ms * MS)


def steps(value: v.Number, looks: Looks) -> list[tuple[int, float | None]]:
    """From which millisecond on it is what; None for unknown. The first is what was before everything."""
    times = [-1, *(looks.changes_ns // MS).tolist()]
    known = np.broadcast_to(value.known, value.value.shape).tolist()
    return [
        (t, one if sure else None) for t, one, sure in zip(times, value.value.tolist(), known, strict=True)
    ]


def test_seen_counts_pedestrians_and_cyclists_of_a_camera_and_of_a_source() -> None:
    looks = looked(
        [
            Frame(0, (PERSON, RIDER, CAR)),
            Frame(100, (CAR,), source="model@1"),
            Frame(200, (PERSON,), camera="rear", source="model@1"),
            Frame(300, ()),
        ]
    )
    assert [t for t, _ in steps(looks.seen("front"), looks)] == [-1, 0, 100, 200, 300, 600, 700, 800]
    assert [n for _, n in steps(looks.seen("front"), looks)] == [None, 2, 2, 2, 0, 0, 0, None]
    assert [n for _, n in steps(looks.seen("model@1"), looks)] == [None, None, 0, 1, 1, 1, None, None]
    assert [n for _, n in steps(looks.seen("rear"), looks)] == [None, None, None, 1, 1, 1, None, None]
    assert [n for _, n in steps(looks.seen("nobody"), looks)] == [None] * 8


def test_a_stale_stream_does_not_count_while_another_of_the_camera_is_fresh() -> None:
    looks = looked([Frame(0, (PERSON, RIDER)), Frame(400, (PERSON,), source="model@1")])
    assert steps(looks.seen("front"), looks) == [(-1, None), (0, 2), (400, 3), (500, 1), (900, None)]


def test_seen_goes_on_from_batch_to_batch() -> None:
    state = DetectionState(CAMERAS)
    first = streams([Frame(0, (PERSON,))])
    state.looks(first, since_ns=0, until_ns=50 * MS)
    state.store(first)
    looks = state.looks((), since_ns=50 * MS, until_ns=60 * MS)
    assert steps(looks.seen("front"), looks) == [(-1, 1)]


@dataclass(frozen=True)
class Vertex:
    node: Node
    type: ValueType
    box: bool


@dataclass(frozen=True)
class Batch:
    looks: Looks

    @property
    def instants(self) -> np.ndarray:
        return np.concatenate([np.array([-1]), self.looks.changes_ns])


def largest(looks: Looks, of: str) -> list[float | None]:
    """Of the boxes with a score above 0.25, at every look."""
    vertices = [
        Vertex(Node(Op.DETECTIONS), ValueType.LIST, box=False),
        Vertex(Node(Op.FIELD, (), "distance_m"), ValueType.DOUBLE, box=True),
        Vertex(Node(Op.LITERAL, (), 100.0), ValueType.DOUBLE, box=False),
        Vertex(Node(Op.LT, (1, 2)), ValueType.BOOL, box=True),
        Vertex(Node(Op.FILTER, (0, 3)), ValueType.LIST, box=False),
        Vertex(Node(Op.FIELD, (), of), ValueType.DOUBLE, box=True),
        Vertex(Node(Op.BOX_MAX, (4, 5)), ValueType.DOUBLE, box=False),
    ]
    loop = Loop(vertices, lambda at: literal(vertices[at].node), Batch(looks))
    with np.errstate(all="ignore"):  # as the engine does
        found = number(loop.reduce(vertices[6].node))
    return [one for _, one in steps(found, looks)]


NEAR, FAR = Seen(100, distance=5, tall=80), Seen(500, distance=200, tall=160)


@pytest.mark.parametrize(
    ("boxes", "of", "value"),
    [
        ((NEAR,), "height_px", 80),
        ((NEAR, Seen(300, distance=9, tall=90)), "height_px", 90),
        ((NEAR, FAR), "height_px", 80),
        ((FAR,), "height_px", None),
        ((), "height_px", None),
        ((NEAR, Seen(300, distance=NAN)), "height_px", None),
        ((NEAR, Seen(300, distance=9, ttc=2)), "ttc_s", None),
        ((Seen(100, distance=5, ttc=3), Seen(300, distance=9, ttc=2)), "ttc_s", 3),
    ],
)
def test_the_largest_of_a_list(boxes: tuple[Seen, ...], of: str, value: float | None) -> None:
    looks = looked([Frame(0, boxes)])
    assert largest(looks, of) == [None, value, None]


def test_the_largest_over_several_streams_needs_all_of_them() -> None:
    looks = looked(
        [Frame(0, (NEAR,)), Frame(100, (Seen(1, distance=1, tall=30),), camera="rear"), Frame(400, ())]
    )
    assert largest(looks, "height_px") == [None, 80, 80, 30, None, None]
