"""Parts of a campaign on the wire: its program, schedule, zones, heads, link and selection rule, weights. ``wire.campaigns`` has the whole.

A node is an array ``[op, [argument positions], value, window_ns]``; a span, an offset and a corner are pairs. Each
``unpack`` gives a record, whose own checks raise its own ``ValueError``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS
from fsd_agent.records.head import MAX_HIDDEN, MAX_LAYERS, Head, HeadLayer
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.program import MAX_NODES, MAX_TEXT, MAX_WINDOW_NS, LiteralValue, Node, Op, Program
from fsd_agent.records.schedule import LocalOffset, Schedule, WeekSpan
from fsd_agent.records.selection_rule import Cameras, Fault, SelectionRule
from fsd_agent.records.worth import Weights
from fsd_agent.records.zone import Zone

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
_Latitude = Annotated[float, Meta(ge=-90, le=90)]
_Longitude = Annotated[float, Meta(ge=-180, le=180)]


class SelectionError(ValueError):
    """No form of a selection rule."""


class WireNode(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A :class:`Node`."""

    op: Op
    args: Annotated[tuple[int, ...], Meta(max_length=3)]
    value: LiteralValue | None
    window_ns: Annotated[int, Meta(ge=0, le=MAX_WINDOW_NS)]


class WireProgram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`Program`."""

    v: int
    nodes: Annotated[tuple[WireNode, ...], Meta(min_length=1, max_length=MAX_NODES)]

    @classmethod
    def pack(cls, program: Program) -> WireProgram:
        """What is sent."""
        nodes = (WireNode(node.op, node.args, node.value, node.window_ns) for node in program.nodes)
        return cls(program.version, tuple(nodes))

    def unpack(self) -> Program:
        """The program. Raises :class:`~fsd_agent.records.program.ProgramError`."""
        nodes = (Node(node.op, node.args, node.value, node.window_ns) for node in self.nodes)
        return Program(self.v, tuple(nodes))


class WireSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`Schedule`."""

    spans: Annotated[tuple[tuple[int, int], ...], Meta(max_length=LIMITS.spans)]
    """(from_ns, until_ns)."""
    offsets: Annotated[tuple[tuple[int, int], ...], Meta(max_length=LIMITS.offsets)]
    """(from_wall_ns, offset_s)."""

    @classmethod
    def pack(cls, schedule: Schedule) -> WireSchedule:
        """What is sent."""
        spans = ((span.from_ns, span.until_ns) for span in schedule.spans)
        return cls(tuple(spans), tuple((one.from_wall_ns, one.offset_s) for one in schedule.offsets))

    def unpack(self) -> Schedule:
        """The schedule. Raises :class:`~fsd_agent.records.schedule.ScheduleError`."""
        spans, offsets = (
            (WeekSpan(*pair) for pair in self.spans),
            (LocalOffset(*pair) for pair in self.offsets),
        )
        return Schedule(tuple(spans), tuple(offsets))


class WireZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`Zone`."""

    name: Name
    corners: Annotated[
        tuple[tuple[_Latitude, _Longitude], ...], Meta(min_length=3, max_length=LIMITS.corners)
    ]

    @classmethod
    def pack(cls, zone: Zone) -> WireZone:
        """What is sent."""
        return cls(zone.name, zone.corners)

    def unpack(self) -> Zone:
        """The zone. Raises :class:`~fsd_agent.records.zone.ZoneError`."""
        return Zone(self.name, self.corners)


class WireLayer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`HeadLayer`."""

    outputs: int
    inputs: int
    weights: bytes
    """As in the record: little-endian int16."""
    biases: Annotated[tuple[int, ...], Meta(max_length=MAX_HIDDEN)]
    shift: int

    @classmethod
    def pack(cls, layer: HeadLayer) -> WireLayer:
        """What is sent."""
        return cls(layer.outputs, layer.inputs, layer.weights, layer.biases, layer.shift)

    def unpack(self) -> HeadLayer:
        """The layer; its head checks it."""
        return HeadLayer(self.outputs, self.inputs, self.weights, self.biases, self.shift)


class WireHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`Head`."""

    name: Name
    source: Text
    camera: Text
    input_bits: int
    layers: Annotated[tuple[WireLayer, ...], Meta(max_length=MAX_LAYERS)]
    scale: float

    @classmethod
    def pack(cls, head: Head) -> WireHead:
        """What is sent."""
        layers = tuple(WireLayer.pack(layer) for layer in head.layers)
        return cls(head.name, head.source, head.camera, head.input_bits, layers, head.scale)

    def unpack(self) -> Head:
        """The head. Raises :class:`~fsd_agent.records.head.HeadError`."""
        layers = tuple(layer.unpack() for layer in self.layers)
        return Head(self.name, self.source, self.camera, self.input_bits, layers, self.scale)


class WireLinkRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`LinkRule`."""

    links: Links
    roaming: bool
    urgent: bool
    deadline_ns: Annotated[int, Meta(ge=LIMITS.deadline_min_ns, le=LIMITS.deadline_max_ns)] | None

    @classmethod
    def pack(cls, rule: LinkRule) -> WireLinkRule:
        """What is sent."""
        return cls(rule.links, rule.roaming, rule.urgent, rule.deadline_ns)

    def unpack(self) -> LinkRule:
        """The rule."""
        return LinkRule(self.links, self.roaming, self.urgent, self.deadline_ns)


class WireSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A :class:`SelectionRule`."""

    reject: Annotated[tuple[Fault, ...], Meta(max_length=len(Fault))]
    """In the order of :class:`Fault`, each once, so that a rule has one form."""
    cameras: Cameras
    confirm: bool
    keep_ns: Annotated[int, Meta(ge=LIMITS.keep_min_ns, le=LIMITS.keep_max_ns)] | None = None
    """Left out where all is kept, as in sets of before: only a vehicle that can't cut refuses a set, and only one that asks for it."""

    @classmethod
    def pack(cls, rule: SelectionRule) -> WireSelection:
        """What is sent."""
        reject = tuple(fault for fault in Fault if fault in rule.reject)
        return cls(reject, rule.cameras, rule.confirm, rule.keep_ns)

    def unpack(self) -> SelectionRule:
        """The rule. Raises :class:`SelectionError`."""
        rule = SelectionRule(frozenset(self.reject), self.cameras, self.confirm, self.keep_ns)
        if self.pack(rule) != self:
            raise SelectionError("reject: faults are in their order, each once")
        return rule


class WireWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """:class:`Weights`."""

    begins_to_cross: float
    rarity: float
    motion: float
    closeness: float
    uncertainty: float
    disagreement: float

    @classmethod
    def pack(cls, weights: Weights) -> WireWeights:
        """What is sent."""
        return cls(*(weight for _, weight in weights.items()))

    def unpack(self) -> Weights:
        """The weights. Raises :class:`~fsd_agent.records.worth.WeightsError`."""
        return Weights(*msgspec.structs.astuple(self))
