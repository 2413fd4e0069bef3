"""Nodes of a program as they are made: equal ones once, in an order in which arguments come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from fsd_agent.records.program import LOOPS, LiteralValue, Node, Op

_LEAVE_THE_BOX = LOOPS | {Op.BOX_MAX, Op.SIZE}


@dataclass(slots=True)
class NodeBuilder:
    """See the module. Positions are those of :attr:`nodes`."""

    nodes: list[Node] = field(default_factory=list)
    _is_box: list[bool] = field(default_factory=list)
    _known: dict[tuple[Node, str], int] = field(default_factory=dict)

    def add(
        self, op: Op, args: tuple[int, ...] = (), value: LiteralValue | None = None, *, window_ns: int = 0
    ) -> int:
        """The node's position; a new one where there is none like it."""
        node = Node(op, args, value, window_ns)
        key = (node, type(value).__name__)  # 1, 1.0 and True are equal in Python
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
            inside = op not in _LEAVE_THE_BOX and any(self._is_box[arg] for arg in args)
            self._is_box.append(inside or op in {Op.FIELD, Op.HAS})
        return self._known[key]

    def negated(self, at: int) -> int:
        """``!x``; of ``!x``, ``x``, which is the same in three-valued logic too."""
        node = self.nodes[at]
        return node.args[0] if node.op is Op.NOT else self.add(Op.NOT, (at,))

    def any_of(self, found: Sequence[int]) -> int:
        """``a || b || ...``; false of none."""
        if not found:
            return self.add(Op.LITERAL, (), value=False)
        return reduce(lambda a, b: self.add(Op.OR, (a, b)), found)

    def is_box(self, at: int) -> bool:
        """Whether its value differs from detection to detection."""
        return self._is_box[at]

    def program_nodes(self, root: int) -> tuple[Node, ...]:
        """What ``root`` needs and nothing else, ``root`` last."""
        needed = {root}
        for at in range(root, -1, -1):
            if at in needed:
                needed.update(self.nodes[at].args)
        order = sorted(needed)
        new = {at: position for position, at in enumerate(order)}
        return tuple(
            Node(node.op, tuple(new[arg] for arg in node.args), node.value, node.window_ns)
            for node in (self.nodes[at] for at in order)
        )
