"""The vocabulary of programs: operations, types, fields of a detection, limits. See ``records.program``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fsd_firmware.samples import DriveMode

PROGRAM_VERSION: Final = 2
MAX_NODES: Final = 256
"""Bounds the work of one evaluation; the families that ship need under 50."""
MAX_DEPTH: Final = 32
"""Longest chain of arguments."""
MAX_WRITTEN_OUT: Final = 1024
"""Operations where each argument is written out wherever it is used: one value at a time, that is what is computed. A
few shared nodes, each twice an argument of the next, would make millions."""
INT_LIMIT: Final = 2**53
"""First magnitude at which a double no longer holds every integer."""
MAX_TEXT: Final = 256
"""Characters of a path or a text literal."""
MAX_TEMPORAL: Final = 16
"""Temporal nodes of one program: each keeps what it saw in its window."""
MAX_TEMPORAL_DEPTH: Final = 4
"""Temporal nodes on one chain of arguments: each is a pass of its own over the batch."""
MAX_WINDOW_NS: Final = 60 * 1_000_000_000
"""A window further back than the longest clip is a statistic, not an event."""


class ProgramError(ValueError):
    """The nodes are not a program; the message names the node and the reason."""


class ValueType(StrEnum):
    """What a node gives."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    TEXT = "text"
    LIST = "list"
    """Some of the detections of an instant."""


class Op(StrEnum):
    """What a node does. The value is its name on the wire."""

    LITERAL = "lit"
    SIGNAL_DOUBLE = "sig"
    """``value`` is a VSS path; the newest sample at the instant, unknown before the first."""
    SIGNAL_BOOL = "sigb"
    FIELD = "field"
    """``value`` names a field of :data:`FIELDS`; of box level."""
    HAS = "has"
    """Whether an optional field is known; of box level."""
    NOT = "not"
    NEG = "neg"
    TO_DOUBLE = "double"
    AND = "and"
    OR = "or"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MOD = "mod"
    IF = "if"
    DETECTIONS = "dets"
    """Boxes of the newest frame of every camera and source."""
    FILTER = "filter"
    EXISTS = "exists"
    EXISTS_ONE = "one"
    ALL = "all"
    SIZE = "size"
    BOX_MAX = "boxmax"
    """The largest value of a number over a list of detections; unknown over none, or where one can't be decided."""
    SEEN = "seen"
    """``value`` names a camera or a source: how many pedestrians and cyclists its newest frame shows; unknown where
    it has none that is fresh."""
    MODE = "mode"
    """``value`` is a :class:`~fsd_firmware.samples.DriveMode` in lower case: whether it is the present one."""
    ZONE = "zone"
    """``value`` names a zone of the campaign: whether the newest position fix lies in it."""
    HEAD = "head"
    """``value`` names a trigger head of the campaign: its score for the newest features."""
    ONCE = "once"
    """Temporal: the argument was true at some instant of the window that ends now, its far end not included."""
    RISE = "rise"
    """Temporal: the argument became true from false at this very instant."""
    PREVIOUS = "prev"
    """Temporal: the argument's value at the arrival before the newest."""
    RATE = "rate"
    """Temporal: change over the window, per second."""
    MAX_OVER = "maxo"
    MIN_OVER = "mino"
    MEAN_OVER = "meano"
    STD_OVER = "stdo"
    COUNT_OVER = "counto"
    """Temporal: how often the argument became true in the window."""


FIELDS: Final[dict[str, ValueType]] = {
    "kind": ValueType.TEXT,
    "camera": ValueType.TEXT,
    "source": ValueType.TEXT,
    "score": ValueType.DOUBLE,
    "x1": ValueType.DOUBLE,
    "y1": ValueType.DOUBLE,
    "x2": ValueType.DOUBLE,
    "y2": ValueType.DOUBLE,
    "width_px": ValueType.DOUBLE,
    "height_px": ValueType.DOUBLE,
    "distance_m": ValueType.DOUBLE,
    "track_id": ValueType.INT,
    "center_x": ValueType.DOUBLE,
    "center_y": ValueType.DOUBLE,
    "dwell_s": ValueType.DOUBLE,
    "ttc_s": ValueType.DOUBLE,
    "closing_mps": ValueType.DOUBLE,
    "vx_px_s": ValueType.DOUBLE,
    "vy_px_s": ValueType.DOUBLE,
    "speed_px_s": ValueType.DOUBLE,
    "direction_deg": ValueType.DOUBLE,
    "lateral_heights_s": ValueType.DOUBLE,
    "growth_per_s": ValueType.DOUBLE,
    "jitter": ValueType.DOUBLE,
}
"""Fields of a detection. Those from ``center_x`` on are derived from cameras and tracks: see ``rules.triggers.detections.tracks``."""
OPTIONAL_FIELDS: Final = frozenset(
    {
        "center_x",
        "center_y",
        "distance_m",
        "ttc_s",
        "closing_mps",
        "vx_px_s",
        "vy_px_s",
        "speed_px_s",
        "direction_deg",
        "lateral_heights_s",
        "growth_per_s",
        "jitter",
    }
)
"""Fields that a detection may lack; reading one that is not there is unknown."""

COMPARISONS: Final = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})
EQUALITIES: Final = frozenset({Op.EQ, Op.NE})
ARITHMETIC: Final = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD})
SIGNALS: Final = frozenset({Op.SIGNAL_DOUBLE, Op.SIGNAL_BOOL})
LOOPS: Final = frozenset({Op.FILTER, Op.EXISTS, Op.EXISTS_ONE, Op.ALL})
NAMED: Final = frozenset({Op.MODE, Op.ZONE, Op.HEAD, Op.SEEN})
WINDOWED: Final = frozenset(
    {Op.ONCE, Op.RATE, Op.MAX_OVER, Op.MIN_OVER, Op.MEAN_OVER, Op.STD_OVER, Op.COUNT_OVER}
)
TEMPORAL: Final = WINDOWED | {Op.RISE, Op.PREVIOUS}
MODES: Final = tuple(mode.name.lower() for mode in DriveMode)

LiteralValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Node:
    """One step."""

    op: Op
    args: tuple[int, ...] = ()
    """Positions of earlier nodes."""
    value: LiteralValue | None = None
    """Of a literal; the path of a signal; the name of a field, mode, zone, head, camera or source."""
    window_ns: int = 0
    """Of a windowed node."""


def is_source(name: str) -> bool:
    """Whether a name is one of who looks (``firmware``, ``firmware:NAME``, a model's ``name@version``), not a camera's."""
    return name == "firmware" or name.startswith("firmware:") or "@" in name
